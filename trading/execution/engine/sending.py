"""One request: sent once, its answer awaited, and what the answer means written down."""

import asyncio
import logging
from dataclasses import replace
from datetime import timedelta

from trading.domain.chat import Severity
from trading.domain.errors import AuthLost, Retryable
from trading.domain.money import ZERO
from trading.domain.order import Attempt, IntentState, OrderReport, SendEvidence, SendPhase
from trading.execution import absence, ladder
from trading.execution.classify import Cause, Classified, Verdict, classify
from trading.execution.engine.beforehand import Beforehand
from trading.execution.engine.booking import Booking
from trading.execution.engine.case import Case
from trading.execution.engine.looking import SharedLook
from trading.execution.engine.surroundings import Surroundings
from trading.execution.ladder import Block, BlockReason, Finish
from trading.execution.lifecycle import Observed, advance, merge

logger = logging.getLogger(__name__)

_OBSTACLES = {
    Cause.MARKET_CLOSED: BlockReason.MARKET,
    Cause.AUTH: BlockReason.KEY,
    Cause.PRICE_BAND: BlockReason.BAND,
    Cause.BALANCE: BlockReason.BALANCE,
    Cause.FILTER: BlockReason.FILTER,
    Cause.CLOCK: BlockReason.FILTER,
    Cause.OTHER: BlockReason.FILTER,
}
# What other rules of its instrument may overcome.
OF_RULES = frozenset({BlockReason.MARKET, BlockReason.UNLISTED, BlockReason.FILTER})
# How often a refusal is answered by a corrected attempt before a person must know.
_PATIENCE = {
    Cause.FILTER: 1,
    Cause.PRICE_BAND: 1,
    Cause.CLOCK: 1,
    Cause.OTHER: 1,
}


class Sending:
    """Sends prepared attempts and settles their answers."""

    def __init__(self, surroundings: Surroundings, booking: Booking) -> None:
        self._s = surroundings
        self._booking = booking
        # Requests whose answer nobody waits for any more; their reports still count.
        self.late: set[asyncio.Task[SendEvidence]] = set()
        self.on_late_report = _ignore
        self._silence_told_until_s = float("-inf")
        self._measuring: asyncio.Future[bool] | None = None
        self._rules = SharedLook(self._load_rules, surroundings.monotonic)

    def make_ready(self, case: Case, attempt: Attempt) -> None:
        """Have the request of an attempt made while that is written; nothing leaves before."""
        case.beforehand = Beforehand(attempt, self._submit, self._s.monotonic())

    def release(self, case: Case, attempt: Attempt) -> None:
        """Let the request that was made ready leave, its attempt being durable."""
        if case.beforehand is not None and self._s.may_send(case):
            case.beforehand.release(attempt, self._s.monotonic())

    def forget_ready(self, case: Case) -> None:
        """Drop a request that was made ready and never left."""
        if case.beforehand is not None:
            case.beforehand.drop()
            case.beforehand = None

    def start(self, case: Case, attempt: Attempt) -> None:
        """Hand an attempt, durable by now, to the gateway; returns without waiting.

        Writing it may have taken long: when the end, a halt or a person's word has come meanwhile,
        it does not leave any more.
        """
        is_leaving = case.beforehand is not None and case.beforehand.is_released
        if not (is_leaving or self._s.may_send(case)):
            case.put(attempt)
            return
        now_s = self._s.monotonic()
        ready, case.beforehand = case.beforehand, None
        sending = None if ready is None else ready.release(attempt, now_s)
        sending = sending or asyncio.create_task(self._submit(attempt))
        case.put(replace(advance(attempt, Observed.SENDING), sent_at=self._s.now()))
        case.prepared_s = case.prepared_s or now_s
        case.sent_s = now_s
        case.sends_s.append(now_s)
        case.search = None
        case.fresh_free = None
        sending.add_done_callback(lambda _: case.wake())
        case.sending = sending

    async def _submit(
        self, attempt: Attempt, durable: asyncio.Future[None] | None = None
    ) -> SendEvidence:
        return await self._s.gateway.submit(attempt.request, durable)

    def detach(self, case: Case) -> None:
        """Stop waiting for an answer: the order's fate is known, or a query must tell it."""
        sending, case.sending = case.sending, None
        if sending is None:
            return
        self.late.add(sending)
        sending.add_done_callback(self._answered_late)

    def let_go(self, case: Case) -> None:
        """Keep no answer of an ended decision; one that is still to come counts as a report."""
        if case.sending is not None and case.sending.done():
            case.sending = None
        self.detach(case)

    def _answered_late(self, sending: asyncio.Task[SendEvidence]) -> None:
        self.late.discard(sending)
        evidence = _result(sending)
        if evidence.report is not None:
            self.on_late_report(evidence.report)

    async def answer(self, case: Case) -> None:
        """Wait for the answer, for a report that makes it unnecessary, or for the deadline."""
        sending = case.sending
        live = case.live
        if sending is None or live is None:
            return
        left_s = case.sent_s + self._s.settings.send_deadline_s - self._s.monotonic()
        if sending.done():
            case.sending = None
            await self.settle(case, live, _result(sending))
        elif left_s > 0:
            await self._booking.tell_unanswered(case)
            told_s = case.sent_s + self._s.settings.unanswered_told_s - self._s.monotonic()
            await self._s.wait(case, min(left_s, told_s) if told_s > 0 else left_s)
        else:
            self.detach(case)
            text = f"no answer within {self._s.settings.send_deadline_s:.0f} s"
            await self.settle(case, live, SendEvidence(SendPhase.SENT, message=text))

    async def settle(self, case: Case, live: Attempt, evidence: SendEvidence) -> None:
        """Write what the answer means (tx B), and prepare for what it says."""
        classified = classify(evidence)
        if evidence.http_status in {403, 418, 429}:
            # Whatever became of the order: who asked for silence gets it.
            wish_s = evidence.retry_after_s or self._s.settings.silence_default_s
            self._s.pacer.silence(wish_s)
        if classified.cause is Cause.AUTH:
            self._s.on_key_refused()
        if classified.verdict is Verdict.NOT_SENT:
            case.sends_s.pop()
        async with case.lock:
            attempt = case.attempt(live.client_order_id) or live
            if classified.verdict is Verdict.ACK and evidence.report is not None:
                case.refusals.clear()
                known = case.known_fills(attempt.client_order_id)
                merged = merge(attempt, evidence.report, known)
                await self._booking.merged(case, merged, classified.text)
            elif classified.verdict is Verdict.NOT_SENT:
                await self._never_left(case, attempt, evidence, classified)
            elif classified.verdict in {Verdict.REJECTED, Verdict.RATE_LIMITED}:
                await self._refused(case, attempt, evidence, classified)
            else:
                case.search = absence.search(
                    attempt.request, case.sent_s, case.sent_s, self._s.settings.absence
                )
                lost = advance(attempt, Observed.LOST, classified.text)
                await self._booking.note(case, lost, classified.text)
            if classified.verdict in {Verdict.ACK, Verdict.REJECTED}:
                await self._booking.over(case, "rate_limit")

    async def _never_left(
        self, case: Case, attempt: Attempt, evidence: SendEvidence, classified: Classified
    ) -> None:
        if evidence.retry_after_s is not None:
            self._s.pacer.silence(evidence.retry_after_s)
        back = advance(attempt, Observed.NOT_SENT)
        age_s = self._s.monotonic() - case.prepared_s
        if age_s < self._s.settings.not_sent_fresh_s and evidence.retry_after_s is None:
            # The proof that nothing left lets the same id go again; disk still says "maybe sent".
            case.put(back)
            return
        refused = advance(back, Observed.REFUSED, "never sent")
        if evidence.retry_after_s is not None:
            await self.tell_silence(case, evidence.retry_after_s)
        elif case.is_exit and not case.told_unsent:
            case.told_unsent = True
            text = f"{case.intent.symbol}: the sale cannot leave this machine"
            await self._booking.alert(
                case, "not_sent", f"{text}: {evidence.message}. It is tried on"
            )
        await self._booking.note(case, refused, f"never sent: {classified.text}")

    async def _refused(
        self, case: Case, attempt: Attempt, evidence: SendEvidence, classified: Classified
    ) -> None:
        refused = advance(attempt, Observed.REFUSED, classified.text)
        if classified.verdict is Verdict.RATE_LIMITED:
            await self._rate_limited(case, evidence)
        else:
            await self._correct(case, classified)
        await self._booking.note(case, refused, classified.text)

    async def _rate_limited(self, case: Case, evidence: SendEvidence) -> None:
        silence_s = evidence.retry_after_s or self._s.settings.silence_default_s
        self._s.pacer.silence(silence_s)
        await self.tell_silence(case, silence_s, is_ban=evidence.http_status == 418)

    async def tell_silence(self, case: Case, silence_s: float, *, is_ban: bool = False) -> None:
        """Say of a sale that it waits until the exchange takes requests again, and when that is."""
        now_s = self._s.monotonic()
        # One silence is one thing to tell, however many sales it holds up.
        if not case.is_exit or now_s < self._silence_told_until_s:
            return
        self._silence_told_until_s = now_s + silence_s
        is_grave = is_ban or silence_s > self._s.settings.silence_crit_s
        severity = Severity.CRIT if is_grave else Severity.WARN
        word = "banned us" if is_ban else "asks for silence"
        until = self._s.now() + timedelta(seconds=silence_s)
        text = (
            f"{case.intent.symbol}: the exchange {word} for {silence_s:.0f} s, until "
            f"{until:%H:%M:%S} UTC: the sale waits"
        )
        await self._booking.alert(case, "rate_limit", text, severity)

    async def _correct(self, case: Case, classified: Classified) -> None:
        cause = classified.cause
        case.refusals[cause] += 1
        times = case.refusals[cause]
        if cause is Cause.BALANCE and case.is_exit:
            case.insufficient += 1
            if case.insufficient <= self._s.settings.insufficient_balance_max:
                await self.read_free(case)
                return
        elif times <= _PATIENCE.get(cause, 0):
            case.is_band_refused = case.is_band_refused or cause is Cause.PRICE_BAND
            is_ready = await self._prepare_again(cause)
            if is_ready or case.is_exit:
                return
            # Nothing is added to what is at risk while the exchange's clock is not known.
        if not case.is_exit or ladder.is_resting(case.intent):
            case.giving_up = Finish(
                IntentState.EXPIRED, f"the exchange refused it: {classified.text}"
            )
            return
        await self._booking.block(case, Block(_OBSTACLES[cause], classified.text))

    async def _prepare_again(self, cause: Cause) -> bool:
        if cause is Cause.CLOCK:
            return await self.measure_clock()
        await self.reload_rules(self._s.monotonic())
        return True

    async def measure_clock(self) -> bool:
        """Measure the exchange's clock; whether it is known afterwards.

        One measurement at a time serves all who ask: many orders are refused for it at once.
        """
        if self._measuring is None or self._measuring.done():
            self._measuring = asyncio.ensure_future(self._measure_clock())
        return await asyncio.shield(self._measuring)

    async def _measure_clock(self) -> bool:
        try:
            await self._s.read(self._s.gateway.clock_offset_ms())
        except Retryable as error:
            logger.warning("clock_unknown", extra={"error": str(error)})
            self._s.is_clock_known = False
        else:
            self._s.is_clock_known = True
        return self._s.is_clock_known

    async def reload_rules(self, since_s: float) -> bool:
        """Have the instruments' rules as of a monotonic moment or later; whether that succeeded.

        They are megabytes and cost the exchange's patience: one load serves all who wait.
        """
        return await self._rules.since(since_s)

    async def _load_rules(self) -> bool:
        try:
            loaded = await self._s.read(self._s.gateway.instruments())
        except Retryable as error:
            logger.warning("rules_not_loaded", extra={"error": str(error)})
            return False
        news = {symbol for symbol, rules in loaded.items() if rules != self._s.rules.get(symbol)}
        self._s.rules.update(loaded)
        for case in self._s.cases.values():
            is_waiting = case.obstacle is not None and case.obstacle.reason in OF_RULES
            if is_waiting and case.intent.symbol in news:
                # What it waits for may be there: it looks now, and not when its turn comes.
                case.looked_s = float("-inf")
                case.wake()
        return True

    async def read_free(self, case: Case) -> bool:
        """Read the balance that the next attempt is sized by; whether that succeeded."""
        instrument = self._s.rules[case.intent.symbol]
        asset = instrument.base if case.intent.side.sign < 0 else instrument.quote
        try:
            balances = await self._s.read(self._s.gateway.balances())
        except (Retryable, AuthLost) as error:
            logger.warning("balance_not_read", extra={"error": str(error)})
            return False
        balance = balances.get(asset)
        case.fresh_free = balance.free if balance else ZERO
        total = balance.total if balance else ZERO
        missing = self._s.portfolio_of().managed_of(asset) - total
        if case.is_exit and missing > instrument.quantity_step:
            self._s.on_missing(asset)
        return True


def _result(sending: asyncio.Task[SendEvidence]) -> SendEvidence:
    if sending.cancelled():
        return SendEvidence(SendPhase.SENT, message="the send was cancelled")
    error = sending.exception()
    if error is not None:
        # A gateway promises not to raise; if it does, nothing is proven about the order.
        logger.error("submit_raised", exc_info=error)
        return SendEvidence(SendPhase.SENT, message=f"{type(error).__name__}: {error}")
    return sending.result()


def _ignore(report: OrderReport) -> None:
    del report
