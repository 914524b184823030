"""The course of one decision: attempt after attempt, until it is done or a person must decide."""

import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace

from trading.domain.errors import AlreadyRecorded, Retryable, StorageLost, UmbraError
from trading.domain.events import AttemptPrepared, Event
from trading.domain.instrument import Instrument
from trading.domain.market import BookLevel, OrderBook, PriceSource, Quote
from trading.domain.money import ZERO
from trading.domain.order import SELF_TRADE, Attempt, AttemptState, Intent, IntentState
from trading.execution import ladder
from trading.execution.engine.booking import Booking
from trading.execution.engine.case import Case
from trading.execution.engine.clearing import Clearing
from trading.execution.engine.looking import SharedLook
from trading.execution.engine.proving import Proving
from trading.execution.engine.searching import Searching
from trading.execution.engine.sending import OF_RULES, Sending
from trading.execution.engine.surroundings import Surroundings
from trading.execution.engine.unrecorded import Unrecorded
from trading.execution.ladder import HELD, Block, BlockReason, Finish, Send, Step
from trading.execution.lifecycle import Observed, advance

logger = logging.getLogger(__name__)
_FOREVER_S = 3600.0
_AFTER_BUG_S = 5.0
_ATTEMPTS_READ = 200
_IN_THE_BOOK = frozenset({AttemptState.OPEN, AttemptState.PARTIAL})


class Running:
    """Carries cases out, one task each."""

    def __init__(
        self,
        surroundings: Surroundings,
        booking: Booking,
        sending: Sending,
        searching: Searching,
        proving: Proving,
    ) -> None:
        self._s = surroundings
        self._booking = booking
        self._sending = sending
        self._searching = searching
        self._proving = proving
        self._clearing = Clearing(surroundings, booking)
        self._key = SharedLook(self._key_works, surroundings.monotonic)
        self._unrecorded = Unrecorded(surroundings, booking, sending)

    async def run(self, case: Case) -> None:
        """Carry a case to its end."""
        while not case.intent.state.is_terminal:
            case.changed.clear()
            try:
                await self._advance(case)
            except Exception as error:
                # A stop must go on, whatever is wrong with us: the next turn starts from what is
                # known, and nothing is sent before it is durable.
                logger.exception("case_failed", extra={"intent": case.intent.intent_id})
                await self._booking.alert(
                    case, "failed", f"{case.intent.symbol}: an error of ours, trying on: {error}"
                )
                await self._s.sleep(_AFTER_BUG_S)
        async with case.lock:
            # Whoever writes the end holds it: what waits for this end must find it booked.
            return

    def first(self, case: Case) -> Attempt | None:
        """Return an attempt that may go out at once, None when anything has to be awaited."""
        if case.is_held or self._s.in_the_way(case) or self._s.wants_balance(case):
            return None
        if self.must_ask(case):
            return None
        quote = self._s.fresh_quote(case.intent.symbol)
        if quote is None:
            return None
        step = ladder.step(self._s.sight(case, quote), self._s.settings.ladder)
        if not isinstance(step, Send) or not self._s.pacer.try_take(is_exit=case.is_exit):
            return None
        return self._prepare(case, step)

    def must_ask(self, case: Case) -> bool:
        """Whether only the exchange knows if a case's next order was sent before."""
        return self._proving.doubts(case)

    def _prepare(self, case: Case, send: Send) -> Attempt:
        settings = self._s.settings.absence
        window = settings.exit_recv_window_ms if case.is_exit else settings.recv_window_ms
        case.prepared_s = self._s.monotonic()
        return case.prepare(send, self._s.prefix, window, self._s.now())

    async def _advance(self, case: Case) -> None:
        live = case.live
        is_listed = self._s.is_listed(case.intent.symbol)
        if not is_listed and (live is not None or case.missing_fills()):
            await self._await_market(case)
            return
        if live is not None:
            await self._follow(case, live)
            return
        self._sending.detach(case)
        if case.giving_up is not None:
            await self._finish(case, case.giving_up)
        elif case.is_held and case.intent.quantity > ladder.filled(case.attempts):
            async with case.lock:
                await self._booking.block(case, HELD)
                await self._booking.remind(case)
            await self._s.wait(case, self._s.settings.remind_s)
        elif late := self._s.patience_over(case):
            await self._finish(case, late)
        elif self._s.is_refused(case):
            await self._finish(case, ladder.ended(case.attempts, "new entries are refused"))
        elif not is_listed:
            await self._without_market(case)
        elif case.obstacle is not None and not await self._overcome(case, case.obstacle):
            return
        else:
            await self._next(case)

    # -------------------------------------------------------- a live attempt

    async def _follow(self, case: Case, live: Attempt) -> None:
        if case.sending is not None:
            await self._sending.answer(case)
        elif live.state is AttemptState.JOURNALED:
            await self._s.wait(case, self._s.settings.not_sent_retry_s)
            await self._send_again(case, live)
        elif live.state in _IN_THE_BOOK and (case.giving_up or case.is_outdated):
            await self._searching.cancel(case, live)
        elif live.state is AttemptState.PENDING_CANCEL:
            await self._await_cancel(case, live)
        elif live.state is not AttemptState.UNKNOWN and ladder.is_resting(case.intent):
            await self._s.wait(case, _FOREVER_S)
        else:
            await self._searching.step(case, live)

    async def _send_again(self, case: Case, live: Attempt) -> None:
        async with case.lock:
            if case.live is not live:
                return
            # A person's word may have come since it was decided.
            if self._s.may_send(case) and not case.is_outdated:
                self._sending.start(case, live)
                return
            await self._note_unsent(case, live)

    async def close_unsent(self, cases: Iterable[Case]) -> None:
        """Note of each attempt that never left that it did not, so that no start looks for it."""
        for case in cases:
            live = case.live
            if live is not None and live.state is AttemptState.JOURNALED and case.sending is None:
                async with case.lock:
                    await self._note_unsent(case, live)

    async def _note_unsent(self, case: Case, live: Attempt) -> None:
        refused = advance(live, Observed.REFUSED, "never sent")
        await self._booking.note(case, refused, "never sent: it may not leave any more")

    async def _await_cancel(self, case: Case, live: Attempt) -> None:
        # Whatever the answer was, it still rests; asking again is safe, a cancel has no twin.
        left_s = case.cancel_again_s - self._s.monotonic()
        if left_s > 0:
            await self._searching.step(case, live, left_s)
        else:
            await self._searching.cancel(case, live)

    # -------------------------------------------------------- the next attempt

    async def _next(self, case: Case) -> None:
        if self.must_ask(case):
            # A backstop protects until its coins can be sold.
            await self._proving.ask(case)
            return
        if ladder.is_resting(case.intent) and self._s.wants_balance(case):
            # By that is told how many backstops have to go for it.
            await self._sending.read_free(case)
        if in_the_way := self._s.in_the_way(case):
            await self._clearing.clear(case, in_the_way)
            return
        await self._booking.over(case, "backstop")
        if not case.is_booked:
            # Until then what it may sell does not count as managed.
            await self._s.wait(case, _FOREVER_S)
            return
        last = case.attempts[-1] if case.attempts else None
        is_met = last is not None and last.reason == SELF_TRADE
        if last is not None and is_met and case.is_exit and case.made_room_for != last.number:
            case.made_room_for = last.number
            await self._clearing.make_room(case)
        pause_s = ladder.pause_s(case.intent, case.attempts, self._s.settings.ladder)
        left_s = case.ended_s + pause_s - self._s.monotonic()
        if left_s > 0:
            await self._s.wait(case, left_s)
            return
        step = await self._step(case)
        if isinstance(step, Send):
            await self._send(case, step)
        elif isinstance(step, Finish):
            await self._finish(case, step)
        else:
            await self._stop_at(case, step)

    async def _stop_at(self, case: Case, block: Block) -> None:
        async with self._as_decided(case) as is_same:
            if not is_same:
                return
            is_less = block.reason is BlockReason.BALANCE and await self._booking.cutting.cut(case)
            if not is_less and not case.intent.state.is_terminal:
                await self._booking.block(case, block)

    async def _finish(self, case: Case, finish: Finish) -> None:
        if case.missing_fills():
            await self._searching.complete_fills(case)
            return
        async with self._as_decided(case) as is_same:
            if is_same and not case.intent.state.is_terminal:
                await self._booking.close(case, finish)

    @asynccontextmanager
    async def _as_decided(self, case: Case) -> AsyncIterator[bool]:
        """Hold a case, and tell whether what was decided of it a moment ago still counts.

        It may have been cut down since, or a closing have taken the price or the patience for which
        it was to wait or to end: then it is decided anew.
        """
        decided = case.intent
        async with case.lock:
            yield case.intent is decided

    async def _step(self, case: Case) -> Step:
        if self._s.wants_balance(case):
            await self._sending.read_free(case)
        quote = self._news(case)
        if quote is None:
            # What cannot be read leaves what the stream said last.
            quote = await self._read_top(case) or self._s.fresh_quote(case.intent.symbol)
        return ladder.step(self._s.sight(case, quote), self._s.settings.ladder)

    def _news(self, case: Case) -> Quote | None:
        quote = self._s.fresh_quote(case.intent.symbol)
        # A sale that found nobody knows better than the quote it was priced by.
        is_known_empty = case.is_exit and quote is not None and quote.received_s <= case.empty_s
        return None if is_known_empty else quote

    async def _read_top(self, case: Case) -> Quote | None:
        symbol = case.intent.symbol
        case.book_read_s = self._s.monotonic()
        try:
            # Depth, and not the best prices alone: only it can say that there are none.
            book = await self._s.read(self._s.gateway.order_book(symbol))
        except Retryable as error:
            logger.warning("book_not_read", extra={"error": str(error)})
            return None
        quote = _top(book, self._s.rules[symbol], self._s.monotonic())
        if quote.bid <= 0:
            case.empty_s = quote.received_s
        return quote

    async def _send(self, case: Case, send: Send) -> None:
        if not self._s.may_send(case):
            # Whatever came while a price or a balance was read: the next turn knows what to do, but
            # for the end of the process.
            if self._s.is_stopping and not case.is_bare:
                await self._s.wait(case, _FOREVER_S)
            return
        if self._is_capped(case):
            most = self._s.settings.exit_attempts_per_minute_max
            async with case.lock:
                await self._booking.block(
                    case, Block(BlockReason.ATTEMPTS, f"{most} attempts within a minute")
                )
            return
        if not self._s.pacer.try_take(is_exit=case.is_exit):
            if silence_s := self._s.pacer.silence_s:
                # Another request has met it, before this one was tried.
                await self._sending.tell_silence(case, silence_s)
            await self._s.pacer.take(is_exit=case.is_exit, value=self._s.at_risk(case))
            # The price has moved on while we waited.
            step = await self._step(case)
            if not isinstance(step, Send) or not self._s.may_send(case):
                return
            send = step
        async with self._as_decided(case) as is_same:
            # A person's word may have come while a price or a balance was read.
            if is_same and case.live is None and self._s.may_send(case):
                await self._dispatch(case, send)

    async def _dispatch(self, case: Case, send: Send) -> None:
        attempt = self._prepare(case, send)
        before = case.intent
        events: list[Event] = [
            *self._booking.unblocked(case),
            AttemptPrepared(attempt, self._s.now()),
        ]
        try:
            await self._s.writer.write(*events, is_exit=case.is_exit, is_sequel=case.is_unwritten)
        except StorageLost as error:
            if not await self._unrecorded.go(case, attempt, events[:-1], str(error)):
                _undo(case, before)
                await self._storage_refused(case, str(error))
            return
        except AlreadyRecorded:
            _undo(case, before)
            await self._never_left(case, attempt)
            return
        self._sending.start(case, attempt)
        self._s.writer.publish(events)

    async def _never_left(self, case: Case, attempt: Attempt) -> None:
        """Close an attempt whose write was answered as lost, and had reached the disk after all."""
        for one in await self._s.writer.latest(_ATTEMPTS_READ, (AttemptPrepared.__name__,)):
            if (
                isinstance(one.event, AttemptPrepared)
                and one.event.attempt.client_order_id == attempt.client_order_id
            ):
                attempt = one.event.attempt
        refused = advance(attempt, Observed.REFUSED, "never sent")
        await self._booking.note(case, refused, "never sent: its record was taken for lost")

    async def _storage_refused(self, case: Case, text: str) -> None:
        if case.is_exit:
            await self._booking.block(case, Block(BlockReason.STORAGE, text))
        else:
            await self._booking.close(case, Finish(IntentState.EXPIRED, text))

    def _is_capped(self, case: Case) -> bool:
        if not case.is_exit:
            return False
        now_s = self._s.monotonic()
        while case.sends_s and case.sends_s[0] <= now_s - 60:
            case.sends_s.pop(0)
        return len(case.sends_s) >= self._s.settings.exit_attempts_per_minute_max

    # -------------------------------------------------------- what stands in the way

    async def _without_market(self, case: Case) -> None:
        if case.is_exit:
            await self._await_market(case)
        else:
            reason = f"the exchange does not list {case.intent.symbol} now"
            await self._finish(case, ladder.ended(case.attempts, reason))

    async def _await_market(self, case: Case) -> None:
        """Hold a case until the exchange lists its market again: until then nothing can be known.

        Its rules are unknown, and its orders and executions cannot be asked for.
        """
        if case.obstacle is None or case.obstacle.reason is not BlockReason.UNLISTED:
            async with case.lock:
                await self._booking.block(case, ladder.unlisted(case.intent, case.live))
        due_s = case.looked_s + self._s.settings.market_poll_s
        await self._s.wait(case, due_s - self._s.monotonic())
        if self._s.monotonic() >= due_s:
            looked_s, case.looked_s = case.looked_s, self._s.monotonic()
            await self._sending.reload_rules(looked_s)
        if self._s.is_listed(case.intent.symbol):
            case.obstacle = None

    async def _overcome(self, case: Case, obstacle: Block) -> bool:
        settings = self._s.settings
        poll_s = {
            BlockReason.MARKET: settings.market_poll_s,
            BlockReason.KEY: settings.auth_probe_s,
            BlockReason.BAND: settings.band_retry_s,
            BlockReason.FLOOR: settings.floor_poll_s,
            BlockReason.BIDS: settings.bids_poll_s,
        }.get(obstacle.reason, settings.probe_s)
        await self._booking.remind(case)
        due_s = case.looked_s + poll_s
        await self._s.wait(case, due_s - self._s.monotonic())
        # Who wakes a case in between must not put the look off: some do so again and again.
        if case.giving_up is not None or case.is_held or self._s.monotonic() < due_s:
            return False
        looked_s, case.looked_s = case.looked_s, self._s.monotonic()
        if not await self._probe(case, obstacle.reason, looked_s):
            return False
        case.obstacle = None
        return True

    async def _probe(self, case: Case, reason: BlockReason, looked_s: float) -> bool:
        if reason is BlockReason.BALANCE:
            return await self._coins_are_back(case)
        if reason in OF_RULES:
            case.refusals.clear()
            return await self._sending.reload_rules(looked_s)
        if reason is BlockReason.KEY:
            return await self._key.since(looked_s)
        if reason is BlockReason.BIDS:
            return self._news(case) is not None or self._is_book_due(case)
        return True

    def _is_book_due(self, case: Case) -> bool:
        return self._s.monotonic() - case.book_read_s >= self._s.settings.book_read_every_s

    async def _key_works(self) -> bool:
        try:
            await self._s.read(self._s.gateway.balances())
        except UmbraError as error:
            logger.warning("key_refused", extra={"error": str(error)})
            return False
        return True

    async def _coins_are_back(self, case: Case) -> bool:
        if case.missing_fills():
            # What we sold ourselves is no proof that somebody else did, and has to be booked.
            await self._searching.complete_fills(case)
            return False
        # What is gone, and not only locked, is let go of for all its owners: that cuts this case.
        if not await self._sending.read_free(case):
            return False
        case.insufficient = 0
        return True


def _undo(case: Case, before: Intent) -> None:
    # It may have been given up while that was written.
    case.intent = replace(case.intent, state=before.state, reason=before.reason)


def _top(book: OrderBook, instrument: Instrument, received_s: float) -> Quote:
    """Return the best prices of a book; a bid of 0 where nobody bids."""
    empty = BookLevel(ZERO, ZERO)
    bid = book.bids[0] if book.bids else empty
    # A book without asks is priced by its bids alone.
    ask = book.asks[0] if book.asks else BookLevel(bid.price + instrument.price_tick, ZERO)
    return Quote(
        symbol=book.symbol,
        bid=bid.price,
        bid_quantity=bid.quantity,
        ask=ask.price,
        ask_quantity=ask.quantity,
        event_time_ms=book.event_time_ms,
        received_s=received_s,
        source=PriceSource.REST,
    )
