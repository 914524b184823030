"""The card of a start says what exits have done already, for they never wait for it."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from tests.builders import protective_stop
from tests.catalogue import fired
from tests.fakes.desk import INSTRUMENTS
from tests.unit.trading.agent_world import AgentWorld
from trading.domain.commands import PlaceOrder
from trading.domain.events import (
    AttemptChanged,
    FillBooked,
    IntentClosed,
    ProcessStarted,
    RecoveryReported,
)
from trading.domain.money import ZERO
from trading.domain.order import (
    Attempt,
    AttemptState,
    Fill,
    Intent,
    IntentState,
    OrderRequest,
    OrderType,
    Purpose,
    Side,
)
from trading.domain.position import Position, TradingMode
from trading.domain.tracker import Amount, AmountKind, Tracker, TrackerState
from trading.execution.reconcile import Difference, Finding, sentence
from trading.start_card import Standing, StartLog, card, left, program_changes, selling, waiting
from trading.views import too_little

AT = datetime(2026, 11, 20, 12, tzinfo=UTC)


def tracker(number: int, state: TrackerState, **changes: object) -> Tracker:
    return replace(protective_stop(number), state=state, **changes)  # type: ignore[arg-type]


def closed(number: int | None, filled: str, notional: str) -> IntentClosed:
    intent = Intent(
        f"i{number}",
        "BTC/USDT",
        Side.SELL,
        Purpose.PROTECT,
        Decimal(57_000),
        AT,
        quantity=Decimal("0.5"),
        tracker_id=number,
        state=IntentState.DONE,
        filled_quantity=Decimal(filled),
        filled_notional=Decimal(notional),
    )
    return IntentClosed(intent, AT)


def test_what_was_sold_in_part_before_the_card_is_not_said_to_be_all() -> None:
    log = StartLog([])
    log.apply(closed(1, "0.2", "11400"))
    log.apply(closed(2, "0.49999999", "28499.99"))
    assert log.completed([], [], INSTRUMENTS) == [
        "Done while starting: #1 BTC/USDT sold only in part: 0.2 BTC at 57000",
        "Done while starting: #2 BTC/USDT sold 0.49999999 BTC at 56999.98114",
    ]


def test_what_was_sold_before_the_card_is_said_with_its_price() -> None:
    log = StartLog([])
    log.apply(closed(1, "0.5", "28450"))
    assert log.completed([], [], INSTRUMENTS) == [
        "Done while starting: #1 BTC/USDT sold 0.5 BTC at 56900"
    ]


def test_an_order_that_ended_without_a_fill_has_done_nothing() -> None:
    log = StartLog([])
    log.apply(closed(1, "0", "0"))
    assert log.completed([], [], INSTRUMENTS) == []


@pytest.mark.parametrize(
    ("state", "reason", "words"),
    [
        (TrackerState.EXITING, "", "selling 0.5 BTC"),
        (TrackerState.BLOCKED, "there are no bids", "BLOCKED: there are no bids"),
    ],
)
def test_what_fired_since_the_load_is_said_and_what_had_fired_before_is_not(
    state: TrackerState, reason: str, words: str
) -> None:
    waiting, acting = tracker(1, TrackerState.TRAILING), tracker(2, TrackerState.EXITING)
    log = StartLog([waiting, acting])
    fired = tracker(1, state, reason=reason)
    assert log.completed([], [fired, acting], INSTRUMENTS) == [
        f"Fired while starting: #1 BTC/USDT {words}"
    ]


def test_a_storm_at_a_start_is_cut_and_counted() -> None:
    log = StartLog([])
    for number in range(1, 14):
        log.apply(closed(number, "0.5", "28450"))
    lines = log.completed([], [], INSTRUMENTS)
    assert len(lines) == 11
    assert lines[-1] == "Done or fired while starting: 3 more"


def test_what_a_finding_says_of_a_tracker_is_completed_there_and_not_said_twice() -> None:
    log = StartLog([tracker(1, TrackerState.TRAILING)])
    found = "#1 BTC/USDT: fired now: the price 57000 is beyond 58000"
    at_work = tracker(1, TrackerState.EXITING)
    assert log.completed([found], [at_work], INSTRUMENTS) == [f"{found}; selling 0.5 BTC"]
    log.apply(closed(1, "0.5", "28450"))
    assert log.completed([found], [], INSTRUMENTS) == [f"{found}; sold 0.5 BTC at 56900"]


def test_a_start_without_findings_says_that_there_is_nothing_to_do() -> None:
    positions = [Position("BTC/USDT", Decimal("0.5")), Position("ADA/USDT")]
    watching = [tracker(1, TrackerState.TRAILING), tracker(2, TrackerState.WATCHING)]
    assert card([], Standing(AT, positions, watching, working=0)) == (
        "Nothing fired meanwhile; there is nothing to do.",
        "At 12:00:00 UTC:",
        "Under care: 0.5 BTC",
        "Watched again: 2",
    )
    assert card(["#1 was sold"], Standing(AT, [], [], working=1)) == (
        "#1 was sold",
        "At 12:00:00 UTC:",
        "Under care: no coins",
        "Watched again: 0, orders at work: 1",
    )


def test_a_start_with_a_paused_tracker_and_open_coins_says_what_is_to_be_done() -> None:
    positions = [Position("BTC/USDT", Decimal("0.5"))]
    paused = [tracker(1, TrackerState.TRAILING, is_paused=True)]
    assert card([], Standing(AT, positions, paused, working=0)) == (
        "Nothing fired meanwhile.",
        "⚠️ NOT PROTECTED: 0.5 BTC",
        "⚠️ PAUSED, watches nothing: #1",
        "At 12:00:00 UTC:",
        "Under care: 0.5 BTC",
        "Watched again: 0",
    )


def test_a_start_calls_no_rest_unprotected_that_no_order_could_sell() -> None:
    positions = [Position("BTC/USDT", Decimal("0.50000001"))]
    watching = [tracker(1, TrackerState.TRAILING)]
    is_too_little = too_little(INSTRUMENTS, lambda _: Decimal(60_000))
    standing = Standing(AT, positions, watching, 0, is_too_little=is_too_little)
    assert card([], standing)[0] == "Nothing fired meanwhile; there is nothing to do."
    more = replace(standing, positions=[Position("BTC/USDT", Decimal("0.5001"))])
    assert "⚠️ NOT PROTECTED: 0.0001 BTC" in card([], more)


def test_a_start_under_a_full_halt_says_so_and_names_the_coins_whose_stops_are_held() -> None:
    positions = [Position("BTC/USDT", Decimal("0.5"))]
    watching = [tracker(1, TrackerState.TRAILING)]
    mode = TradingMode.HALTED_EVERYTHING
    assert card([], Standing(AT, positions, watching, 0, mode))[:3] == (
        "Nothing fired meanwhile.",
        "⚠️ HALTED EVERYTHING: NO STOP SELLS. /resume ends it",
        "⚠️ NOT PROTECTED: 0.5 BTC",
    )
    lines = card([], Standing(AT, positions, watching, 0, mode, {1: Decimal(50_000)}))
    assert lines[2] == "⚠️ ONLY A BACKSTOP SELLS: 0.5 BTC at 50000"
    assert "NOT PROTECTED" not in " ".join(lines)


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        (TradingMode.REDUCING, "Reducing: nothing new is bought. /resume ends it"),
        (TradingMode.HALTED, "HALTED: only private stops sell. /resume ends it"),
    ],
)
def test_a_start_in_a_stricter_mode_says_which_and_calls_live_stops_protection(
    mode: TradingMode, words: str
) -> None:
    positions = [Position("BTC/USDT", Decimal("0.5"))]
    lines = card([], Standing(AT, positions, [tracker(1, TrackerState.TRAILING)], 0, mode))
    assert lines[:2] == ("Nothing fired meanwhile.", words)
    assert "NOT PROTECTED" not in " ".join(lines)


def test_a_blocked_tracker_is_called_blocked_and_its_live_backstop_counts() -> None:
    positions = [Position("BTC/USDT", Decimal("0.5"))]
    blocked = [tracker(1, TrackerState.BLOCKED)]
    resting = {1: Decimal(50_000)}
    assert card([], Standing(AT, positions, blocked, 0, backstops=resting))[1:3] == (
        "⚠️ ONLY A BACKSTOP SELLS: 0.5 BTC at 50000",
        "⚠️ BLOCKED, does nothing now: #1",
    )
    assert card([], Standing(AT, positions, blocked, 0))[1:3] == (
        "⚠️ NOT PROTECTED: 0.5 BTC",
        "⚠️ BLOCKED, does nothing now: #1",
    )
    found = "Fired while starting: #1 BTC/USDT BLOCKED: there are no bids"
    lines = card([found], Standing(AT, positions, blocked, 0))
    assert "BLOCKED, does nothing" not in " ".join(lines)


def attempt(filled: str) -> Attempt:
    request = OrderRequest("u-1", "BTC/USDT", Side.SELL, OrderType.MARKET, Decimal("0.5"))
    return Attempt("i1", 1, request, AttemptState.FILLED, AT, filled_quantity=Decimal(filled))


def short(asset: str, quantity: str) -> str:
    finding = Finding(Difference.SHORT, f"{asset}/USDT", quantity=Decimal(quantity), asset=asset)
    return sentence(finding)


def test_coins_that_an_order_of_ours_has_sold_are_not_called_short() -> None:
    log = StartLog([], [attempt("0.1")])
    # Of the 0.5 that the order sold, 0.1 was known and booked before the death.
    log.apply(AttemptChanged(attempt("0.5"), "asked", AT))
    assert log.unexplained([short("BTC", "0.4"), short("ETH", "2")]) == [short("ETH", "2")]
    # Only what it did not sell is called short.
    assert log.unexplained([short("BTC", "0.5")]) == [short("BTC", "0.1")]
    # What is booked is managed no more: coins that are short all the same were not sold by it.
    at = (Decimal("0.4"), Decimal(57_000))
    fill = Fill("BTC/USDT", "1", "u-1", Side.SELL, *at, ZERO, "USDT", AT)
    log.apply(FillBooked(fill, "i1", "BTC", "USDT", AT))
    assert log.unexplained([short("BTC", "0.4")]) == [short("BTC", "0.4")]


def test_coins_whose_sale_was_known_before_the_death_and_not_booked_are_not_called_short() -> None:
    sale = replace(closed(1, "0.1", "5700").intent, intent_id="i1", state=IntentState.OPEN)
    # 0.4 were sold, of which the executions of 0.1 were listed.
    log = StartLog([], [attempt("0.4")], [sale])
    assert log.unexplained([short("BTC", "0.3")]) == []
    assert log.unexplained([short("BTC", "0.5")]) == [short("BTC", "0.2")]
    at = (Decimal("0.3"), Decimal(57_000))
    fill = Fill("BTC/USDT", "1", "u-1", Side.SELL, *at, ZERO, "USDT", AT)
    log.apply(FillBooked(fill, "i1", "BTC", "USDT", AT))
    assert log.unexplained([short("BTC", "0.3")]) == [short("BTC", "0.3")]


class Exiting:
    """Exits at work: decisions, and what those of a symbol take."""

    def __init__(self, *intents: Intent, **taken: str) -> None:
        self.intents = intents
        self._taken = taken

    def exiting(self, symbol: str) -> Decimal:
        return Decimal(self._taken.get(symbol.partition("/")[0], "0"))


def test_what_an_exit_sells_or_has_sold_is_neither_under_care_nor_unprotected() -> None:
    positions = [Position("BTC/USDT", Decimal("0.5")), Position("ETH/USDT", Decimal(3))]
    sold = selling(positions, Exiting(BTC="0.5", ETH="1"))
    trackers = [tracker(1, TrackerState.EXITING)]
    rest = left(positions, sold)
    assert card(["found"], Standing(AT, rest, trackers, 2, selling=sold)) == (
        "found",
        "⚠️ NOT PROTECTED: 2 ETH",
        "At 12:00:00 UTC:",
        "Sold or being sold: 0.5 BTC, 1 ETH",
        "Under care: 2 ETH",
        "Watched again: 0, orders at work: 2",
    )


def test_coins_of_an_exit_that_is_blocked_stay_under_care() -> None:
    intent = replace(closed(1, "0.2", "11380").intent, state=IntentState.BLOCKED)
    positions = [Position("BTC/USDT", Decimal("0.5"))]
    assert selling(positions, Exiting(intent, BTC="0.3")) == {}


def started(**changes: Any) -> ProcessStarted:
    """A start of one program."""
    plain = ProcessStarted("1.0", "live", None, AT, "aaaa", ("UMBRA_CURRENCY=11",))
    return replace(plain, **changes)


@pytest.mark.fault("P11", "SAID")
@pytest.mark.parametrize(
    ("before", "words"),
    [
        ({"build": "bbbb"}, "Another program: 1.0 (aaaa), before 1.0 (bbbb)"),
        ({"version": "0.9"}, "Another program: 1.0 (aaaa), before 0.9 (aaaa)"),
        (
            {"build": "", "configured": ()},
            "Another program: 1.0 (aaaa), before 1.0 (unnamed)",
        ),
        ({"mode": "paper"}, "Another mode: live, before paper"),
        (
            {"configured": ("UMBRA_CURRENCY=22", "UMBRA_SPREAD_MAX=33")},
            "Settings changed: UMBRA_CURRENCY, UMBRA_SPREAD_MAX",
        ),
    ],
)
def test_another_program_and_other_settings_are_told(before: dict[str, Any], words: str) -> None:
    found = program_changes(started(**before), started())
    assert found == (words,)
    fired(found)


def test_the_same_program_tells_nothing_of_itself() -> None:
    assert program_changes(started(), started(at=AT + timedelta(days=1))) == ()
    assert program_changes(None, started()) == ()


def limit_sale(number: int, quantity: str) -> Intent:
    """A person's sale at a price far above."""
    ordered = closed(None, "0", "0").intent
    return replace(
        ordered,
        intent_id=f"s{number}",
        purpose=Purpose.CLOSE,
        state=IntentState.OPEN,
        quantity=Decimal(quantity),
        limit_price=Decimal(70_000),
    )


def test_coins_in_a_sale_that_waits_for_its_price_stay_under_care_and_are_not_protected() -> None:
    positions = [Position("BTC/USDT", Decimal("0.5"))]
    exits = Exiting(limit_sale(1, "0.3"), limit_sale(2, "0.2"), BTC="0.5")
    sold = selling(positions, exits)
    assert sold == {}
    standing = Standing(AT, left(positions, sold), [], 2, waiting=waiting(exits))
    assert card([], standing) == (
        "Nothing fired meanwhile.",
        "⚠️ NOT PROTECTED: 0.5 BTC",
        "At 12:00:00 UTC:",
        "Under care: 0.5 BTC",
        "Of it in sales that wait for a price: 0.5 BTC",
        "Watched again: 0, orders at work: 2",
    )


def test_what_such_a_sale_has_sold_and_nobody_booked_is_sold() -> None:
    positions = [Position("BTC/USDT", Decimal("0.5"))]
    begun = replace(limit_sale(1, "0.5"), filled_quantity=Decimal("0.2"))
    exits = Exiting(begun, BTC="0.5")
    assert selling(positions, exits) == {"BTC/USDT": Decimal("0.2")}
    assert waiting(exits) == {"BTC/USDT": Decimal("0.3")}


def test_a_start_names_coins_that_no_stop_can_sell_and_calls_none_of_them_protected() -> None:
    positions = [Position("BTC/USDT", Decimal("0.5")), Position("ETH/USDT", Decimal(3))]
    watching = [tracker(1, TrackerState.TRAILING, quantity=Decimal("0.5"))]
    bound, missing = {"BTC/USDT": Decimal("0.3")}, {"ETH": Decimal(1)}
    assert card([], Standing(AT, positions, watching, 0, bound=bound, missing=missing)) == (
        "Nothing fired meanwhile.",
        "⚠️ NOT PROTECTED: 2 ETH",
        "⚠️ NO STOP CAN SELL, in orders not Umbra's: 0.3 BTC",
        "⚠️ MISSING, being checked: 1 ETH",
        "At 12:00:00 UTC:",
        "Under care: 0.5 BTC, 3 ETH",
        "Watched again: 1",
    )


async def _started_again(world: AgentWorld) -> tuple[str, ...]:
    await world.agent.beat()
    await world.kill()
    await world.start()
    return world.store.of(RecoveryReported)[-1].lines


async def test_the_first_card_tells_of_coins_that_went_into_an_order_of_others(
    world: AgentWorld,
) -> None:
    await world.protect()
    world.exchange.lock_by_hand("BTC", "0.3")
    lines = await _started_again(world)
    assert "⚠️ NO STOP CAN SELL, in orders not Umbra's: 0.3 BTC" in lines
    assert "nothing to do" not in " ".join(lines)
    world.exchange.lock_by_hand("BTC", "-0.3")
    assert "there is nothing to do" in (await _started_again(world))[0]


async def test_the_first_card_tells_of_coins_that_left_while_nobody_looked(
    world: AgentWorld,
) -> None:
    await world.protect()
    await world.agent.beat()
    await world.kill()
    world.exchange.bring("BTC", "-0.2")
    await world.start()
    assert "⚠️ MISSING, being checked: 0.2 BTC" in world.store.of(RecoveryReported)[-1].lines


async def test_the_first_card_keeps_under_care_what_lies_in_a_sale_of_ours(
    world: AgentWorld,
) -> None:
    sale = PlaceOrder("BTC/USDT", Side.SELL, Amount(AmountKind.ALL), Decimal(70_000))
    await world.do(sale)
    # As the exchange locks what a limit order sells.
    world.exchange.lock_by_hand("BTC", "0.5")
    lines = await _started_again(world)
    assert lines[-3:] == (
        "Under care: 0.5 BTC",
        "Of it in sales that wait for a price: 0.5 BTC",
        "Watched again: 0, orders at work: 1",
    )
    assert "not Umbra's" not in " ".join(lines)


async def test_the_card_names_no_sale_from_before_the_account_showed_everything(
    world: AgentWorld,
) -> None:
    await world.protect(amount=Amount(AmountKind.BASE, Decimal("0.25")))
    await world.time.pass_by(1)
    # Coins of the person's own.
    world.exchange.sell_by_hand("BTC/USDT", "0.1")
    for _ in range(3):
        await world.time.pass_by(10)
        await world.time.finish(world.agent.jobs()["balances"]())
    await world.agent.beat()
    await world.kill()
    world.exchange.bring("BTC", "-0.2")
    await world.start()
    told = " ".join(world.store.of(RecoveryReported)[-1].lines)
    assert "BTC/USDT: the account shows 0.05 BTC less than Umbra manages" in told
    assert "outside of Umbra" not in told
    await world.kill()
    world.exchange.sell_by_hand("BTC/USDT", "0.05")
    await world.start()
    told = " ".join(world.store.of(RecoveryReported)[-1].lines)
    assert "BTC/USDT: 0.05 BTC sold outside of Umbra" in told
