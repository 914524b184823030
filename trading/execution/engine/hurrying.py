"""Older sales that a person's closing has sell at the market: they go on, without their price.

Their limit, floor and patience end in one fact with the closing. An order that rests is taken off
the exchange after that, and what is left of it is sold by the same decision: nothing waits for a
cancel but the coins that it locks, and no death in between leaves coins to nobody.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from decimal import Decimal
from typing import Literal

from trading.domain.errors import NotCarriedOn, UmbraError
from trading.domain.events import Event, IntentChanged
from trading.domain.money import ZERO
from trading.domain.order import Intent
from trading.execution.engine.case import Case
from trading.execution.engine.surroundings import Surroundings

# A closing waits no longer for whoever opens or books such a sale, or reads for its next order.
_UNMOVED_S = 1.0
_LOOK_S = 0.02


class Hurrying:
    """Has sales go to the market that wait for a price, or for what blocks them."""

    def __init__(self, surroundings: Surroundings) -> None:
        self._s = surroundings

    @asynccontextmanager
    async def unmoved(self, intent_ids: Iterable[str]) -> AsyncIterator[frozenset[str]]:
        """Let no sale change or end inside; yields which of these stand still.

        Of one whose end is just being booked the coins are free once that is done.
        """
        unmoved, ends_s = set[str](), self._s.monotonic() + _UNMOVED_S
        async with AsyncExitStack() as stack:
            # In one order, for two closings may come at once.
            for case in self._found(sorted(intent_ids)):
                # In line with whoever books: on a slow disk it is hardly ever free.
                taking = asyncio.ensure_future(case.lock.acquire())
                stack.callback(_let_go, case, taking)
                await asyncio.sleep(0)
                # One that is just being opened would go out with its price after the closing.
                while not (taking.done() and case.is_begun) and self._s.monotonic() < ends_s:
                    await self._s.sleep(_LOOK_S)
                if taking.done() and case.is_begun and not case.intent.state.is_terminal:
                    unmoved.add(case.intent.intent_id)
            yield frozenset(unmoved)

    @contextmanager
    def at_market(self, released: Mapping[str, Decimal]) -> Iterator[Sequence[Event]]:
        """Have unmoved sales go to the market, less the base units that each lets go unsold.

        The block writes these events with what they follow from; where it fails, nothing changes.
        """
        # Of one that is just being opened there must be no record before that.
        found = (case for case in self._found(released) if case.is_begun)
        seen = [(case, case.intent) for case in found if not case.intent.state.is_terminal]
        now = self._s.now()
        try:
            yield [IntentChanged(_unpriced(known, released), now) for _, known in seen]
        except NotCarriedOn:
            _hurry(seen, released)
            raise
        except UmbraError:
            raise
        except BaseException:
            # Who asked has gone away; what he began is written nevertheless.
            _hurry(seen, released)
            raise
        _hurry(seen, released)

    def _found(self, intent_ids: Iterable[str]) -> list[Case]:
        found = (self._s.cases.get(intent_id) for intent_id in intent_ids)
        return [case for case in found if case is not None]


def _let_go(case: Case, taking: asyncio.Task[Literal[True]]) -> None:
    # One that is in line still leaves it.
    if not taking.cancel() and not taking.cancelled():
        case.lock.release()


def _unpriced(intent: Intent, released: Mapping[str, Decimal]) -> Intent:
    return replace(
        intent,
        quantity=intent.quantity - released[intent.intent_id],
        released=intent.released + released[intent.intent_id],
        limit_price=None,
        slippage_max=None,
        expires_at=None,
        given_up="",
        given_up_filled=ZERO,
    )


def _hurry(seen: Iterable[tuple[Case, Intent]], released: Mapping[str, Decimal]) -> None:
    for case, known in seen:
        # While that was written a backstop may have cut it down, or a newer word given it up.
        present = case.intent
        case.intent = _unpriced(present, released)
        if present.given_up == known.given_up:
            case.giving_up = None
        else:
            case.intent = replace(
                case.intent,
                given_up=present.given_up,
                given_up_filled=present.given_up_filled,
            )
        case.hurry()
