"""What decisions at work come to: units that they have sold, may still spend, lock or move."""

from collections.abc import Container, Iterable
from decimal import Decimal

from trading.domain.instrument import base_and_quote
from trading.domain.money import ZERO
from trading.domain.order import Attempt, Intent, IntentState, Purpose, Side
from trading.execution.engine.case import Case
from trading.execution.ladder import BlockReason, is_resting
from trading.execution.reconcile import RESTING

_PERSONAL = frozenset({Purpose.CLOSE, Purpose.PANIC})
_OF_SLICES = frozenset({Purpose.PROTECT, Purpose.BACKSTOP})


def sold_of_slices(cases: Iterable[Case], symbol: str) -> Decimal:
    """Return the base units that decisions of trackers have sold before their end."""
    return sum(
        (
            case.intent.filled_quantity
            for case in cases
            if case.intent.symbol == symbol
            and case.intent.purpose in _OF_SLICES
            and not case.intent.state.is_terminal
        ),
        ZERO,
    )


def sold_by_order(cases: Iterable[Case], symbol: str) -> Decimal:
    """Return the base units that sales of no tracker still want to sell, or have sold unbooked."""
    return sum(
        (
            case.unbooked + (ZERO if case.intent.state.is_terminal else case.residual)
            for case in cases
            if case.intent.symbol == symbol
            and case.intent.side is Side.SELL
            and case.intent.tracker_id is None
        ),
        ZERO,
    )


def bought_of_slices(
    cases: Iterable[Case], symbol: str, tracker_ids: Container[int] | None = None
) -> Decimal:
    """Return the base units that purchases of these trackers, or of all, brought before their end.

    What a fee took of them is none of what is managed.
    """
    base, _ = base_and_quote(symbol)
    return sum(
        (
            fill.quantity - (fill.fee if fill.fee_asset == base else ZERO)
            for case in cases
            if case.intent.symbol == symbol
            and case.intent.side is Side.BUY
            and (number := case.intent.tracker_id) is not None
            and (tracker_ids is None or number in tracker_ids)
            and not case.intent.state.is_terminal
            for fill in case.fills
        ),
        ZERO,
    )


def by_order(cases: Iterable[Case], symbol: str) -> list[Case]:
    """Return the open sales of no tracker whose opening is told of: they may be told of anew."""
    return [
        case
        for case in cases
        if case.intent.symbol == symbol
        and case.intent.side is Side.SELL
        and case.intent.tracker_id is None
        and case.is_begun
        and not case.intent.state.is_terminal
    ]


def is_lending(cases: Iterable[Case], symbol: str) -> bool:
    """Whether coins of a symbol are under care only for a sale that has not ended."""
    return any(case.intent.symbol == symbol and case.intent.on_loan for case in cases)


def exits_of_slices(cases: Iterable[Case], symbol: str) -> list[Intent]:
    """Return the open sales of what trackers owned as they fired."""
    return [
        case.intent
        for case in cases
        if case.intent.symbol == symbol
        and case.intent.purpose is Purpose.PROTECT
        and not case.intent.state.is_terminal
    ]


def owned_beside(case: Case, cases: Iterable[Case]) -> Decimal:
    """Return the managed base units that other sales than a case want, or have sold unbooked.

    Of decisions of trackers, slices count what these want, and until the end what they have sold.
    """
    return sum(
        (
            other.unbooked + _wanted(other)
            for other in cases
            if other is not case
            and other.intent.symbol == case.intent.symbol
            and other.intent.side is Side.SELL
        ),
        ZERO,
    )


def _wanted(case: Case) -> Decimal:
    if case.has_ended:
        return ZERO
    return -case.intent.filled_quantity if case.intent.purpose in _OF_SLICES else case.residual


def arriving(cases: Iterable[Case], asset: str) -> Decimal:
    """Return the base units of an asset that purchases may have brought, and have not booked."""
    return sum(
        (
            case.unlisted + case.unbooked + (ZERO if _rests(case) else case.unfilled_live)
            for case in cases
            if case.intent.side is Side.BUY and base_and_quote(case.intent.symbol)[0] == asset
        ),
        ZERO,
    )


def moving(cases: Iterable[Case]) -> frozenset[str]:
    """Return the symbols of which an order trades now, or has traded what is not booked yet.

    One that rests moves nothing: what it locks is part of what the account holds.
    """
    return frozenset(
        case.intent.symbol
        for case in cases
        if (case.live is not None and not _rests(case)) or case.unbooked or case.missing_fills()
    )


def changing(cases: Iterable[Case]) -> frozenset[str]:
    """Return the symbols of which an order comes or goes: what it locks cannot be told now."""
    return frozenset(
        case.intent.symbol
        for case in cases
        if (case.live is not None and case.live.state not in RESTING)
        or case.unbooked
        or case.missing_fills()
    )


def lying(cases: Iterable[Case], side: Side, assets: Container[str]) -> list[tuple[Case, Attempt]]:
    """Return the sales or purchases of these assets that rest, each with its order."""
    return [
        (case, live)
        for case in cases
        if case.intent.side is side
        and base_and_quote(case.intent.symbol)[0] in assets
        and (live := case.live) is not None
        and _rests(case)
    ]


def _rests(case: Case) -> bool:
    live = case.live
    return live is not None and live.state in RESTING and is_resting(case.intent)


def leaving(cases: Iterable[Case]) -> frozenset[str]:
    """Return the symbols of backstops that are taken off and whose end is not proven."""
    return frozenset(
        case.intent.symbol for case in cases if case.is_backstop and case.giving_up is not None
    )


def claimed(cases: Iterable[Case]) -> frozenset[str]:
    """Return the symbols whose coins a person's sale needs: one that rests has them already."""
    return frozenset(
        case.intent.symbol
        for case in cases
        if case.intent.purpose in _PERSONAL
        and not (is_resting(case.intent) and case.live is not None and case.live.state in RESTING)
    )


def stuck(cases: Iterable[Case]) -> list[Intent]:
    """Return the sales that wait for a price or for what blocks them, not for the end of a halt.

    Also those that are given up already: their coins are free once their ends are proven, and
    booked, which may take long where the fate of an order is not known.
    """
    return [
        case.intent
        for case in cases
        if case.intent.side is Side.SELL
        and not (case.is_backstop or case.is_held or case.has_ended)
        and (
            is_resting(case.intent)
            or case.intent.given_up
            or (case.live is None and case.intent.state is IntentState.BLOCKED)
        )
    ]


def bounded(cases: Iterable[Case]) -> list[Intent]:
    """Return the sales at work that may end unsold: at a price, once out of patience, given up."""
    return [
        case.intent
        for case in cases
        if case.is_exit
        and not case.has_ended
        and (
            case.intent.given_up
            or case.intent.expires_at is not None
            or (case.intent.limit_price or case.intent.slippage_max) is not None
        )
    ]


def is_without_coins(cases: Iterable[Case], symbol: str) -> bool:
    """Whether a sale of a symbol waits, for the account has too few of its coins free."""
    return any(
        case.is_exit
        and case.intent.symbol == symbol
        and case.intent.state is IntentState.BLOCKED
        and case.intent.reason.startswith(BlockReason.BALANCE.value)
        for case in cases
    )


def reserved(cases: Iterable[Case], asset: str) -> Decimal:
    """Return the quote units of an asset that entries may still spend."""
    return sum(
        (
            max(case.intent.budget - case.intent.filled_notional, ZERO)
            for case in cases
            if case.intent.side is Side.BUY and base_and_quote(case.intent.symbol)[1] == asset
        ),
        ZERO,
    )


def offered(cases: Iterable[Case], asset: str) -> Decimal:
    """Return the base units of an asset that resting sales lock on the exchange."""
    return _live(cases, asset, is_resting=True)


def in_doubt(cases: Iterable[Case], asset: str) -> Decimal:
    """Return those of sales that may rest as well: nothing is known of them yet."""
    return _live(cases, asset, is_resting=False)


def _live(cases: Iterable[Case], asset: str, *, is_resting: bool) -> Decimal:
    return sum(
        (
            case.unfilled_live
            for case in cases
            if case.intent.side is Side.SELL
            and base_and_quote(case.intent.symbol)[0] == asset
            and case.live is not None
            and (case.live.state in RESTING) is is_resting
        ),
        ZERO,
    )
