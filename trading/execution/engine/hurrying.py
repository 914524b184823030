"""Older sales that a person's closing has sell at the market: they go on, without their price.

Their limit, floor and patience end in one fact with the closing. An order that rests is taken off
the exchange after that, and what is left of it is sold by the same decision: nothing waits for a
cancel but the coins that it locks, and no death in between leaves coins to nobody.
"""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from decimal import Decimal

from trading.domain.errors import NotCarriedOn, UmbraError
from trading.domain.events import Event, IntentChanged
from trading.domain.money import ZERO
from trading.domain.order import Intent
from trading.execution.engine.case import Case
from trading.execution.engine.surroundings import Surroundings

# A closing waits no longer for whoever books such a sale, or reads for its next order.
_UNMOVED_S = 1.0
_LOOK_S = 0.02


class Hurrying:
    """Has sales go to the market that wait for a price, or for what blocks them."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._s = surroundings

    @asynccontextmanager
    async def unmoved(self, intent_ids: Iterable[str]) -> AsyncIterator[frozenset[str]]:
        """Let no sale change or end inside; yields which of these stand still."""
        unmoved, ends_s = set[str](), self._s.monotonic() + _UNMOVED_S
        async with AsyncExitStack() as stack:
            # In one order, for two closings may come at once.
            for case in self._found(sorted(intent_ids)):
                while case.lock.locked() and self._s.monotonic() < ends_s:
                    await self._s.sleep(_LOOK_S)
                if not case.lock.locked():
                    await stack.enter_async_context(case.lock)
                    unmoved.add(case.intent.intent_id)
            yield frozenset(unmoved)

    @contextmanager
    def at_market(self, released: Mapping[str, Decimal]) -> Iterator[Sequence[Event]]:
        """Have unmoved sales go to the market, less the base units that each lets go unsold.

        The block writes these events with what they follow from; where it fails, nothing changes.
        """
        seen = [(case, case.intent) for case in self._found(released)]
        changed = {known.intent_id: _unpriced(known, released) for _, known in seen}
        now = self._s.now()
        try:
            yield [IntentChanged(intent, now) for intent in changed.values()]
        except NotCarriedOn:
            _hurry(seen, changed)
            raise
        except UmbraError:
            raise
        except BaseException:
            # Who asked has gone away; what he began is written nevertheless.
            _hurry(seen, changed)
            raise
        _hurry(seen, changed)

    def _found(self, intent_ids: Iterable[str]) -> list[Case]:
        found = (self._s.cases.get(intent_id) for intent_id in intent_ids)
        return [case for case in found if case is not None and not case.intent.state.is_terminal]


def _unpriced(intent: Intent, released: Mapping[str, Decimal]) -> Intent:
    return replace(
        intent,
        quantity=intent.quantity - released[intent.intent_id],
        limit_price=None,
        slippage_max=None,
        expires_at=None,
        given_up="",
        given_up_filled=ZERO,
    )


def _hurry(seen: Iterable[tuple[Case, Intent]], changed: Mapping[str, Intent]) -> None:
    for case, known in seen:
        # A newer word may have given it up while that was written.
        is_newer = case.intent.given_up != known.given_up
        given_up = (case.intent.given_up, case.intent.given_up_filled) if is_newer else ("", ZERO)
        case.intent = replace(
            changed[known.intent_id], given_up=given_up[0], given_up_filled=given_up[1]
        )
        if not is_newer:
            case.giving_up = None
        case.hurry()
