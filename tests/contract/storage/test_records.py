"""What every store answers from its projections: exactly what the journal adds up to."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from storage.fold import Fold
from storage.store import open_store
from tests.contract.storage import samples
from tests.contract.storage.conftest import both_databases, copy_database
from tests.fakes.memory_store import MemoryStore, SettableClock
from trading.domain import events
from trading.domain.chat import ConfirmationAnswer, Person, Role, Severity
from trading.domain.errors import AlreadyRecorded
from trading.domain.order import AttemptState, Side
from trading.domain.position import AdjustReason, Movement, TradingMode
from trading.domain.tracker import TrackerChange, TrackerState

NOW = samples.START + timedelta(days=30)


async def everything(store: Any, limit: int = 10_000) -> list[Any]:
    """All answers of a store's records to all questions."""
    records = store.records
    intents = [f"i{number}" for number in range(40)]
    return [
        await records.state(),
        await records.trackers(limit),
        [await records.intent(name) for name in intents],
        [await records.attempts(name) for name in intents],
        await records.fills(limit=limit),
        await records.fills("BTC/USDT", samples.START + timedelta(hours=5), 3),
        [await records.intent_fills(name) for name in intents],
        await records.round_trips(limit=limit),
        await records.round_trips(samples.START + timedelta(hours=5), 2),
        await records.people(),
        await records.pending_updates(),
        await records.last_update_id(),
        await records.pending_messages(limit),
        await records.pending_messages(2),
        [await records.card_message_id(7, card) for card in ("card", "other")],
        await records.addressed_seq(),
        [await records.confirmation(f"n{number}") for number in range(80)],
        await records.last_runs(),
    ]


@pytest.mark.slow
@settings(max_examples=12, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
async def test_projections_equal_the_replayed_journal_after_every_append(
    seed: int, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("replay")
    clock = SettableClock(NOW)
    store = await open_store(copy_database(sqlite_template, folder), clock, data_dir=folder)
    fold, history = Fold(), samples.History(seed)
    try:
        for appended in history.appends(60):
            await store.journal.append(*appended)
            clock.time = history.now
            recorded = await store.journal.events(after_seq=fold.last_seq)
            fold.add_all((one.seq, one.event) for one in recorded)
            assert await store.records.state() == fold.state(clock.time)
    finally:
        await store.close()


@pytest.mark.slow
@both_databases
@pytest.mark.parametrize("seed", [3, 4])
async def test_every_database_answers_as_the_memory_does(
    database_url: str, seed: int, tmp_path: Path
) -> None:
    clock = SettableClock(NOW)
    store = await open_store(database_url, clock, data_dir=tmp_path)
    memory = MemoryStore(clock)
    history = samples.History(seed)
    try:
        for number, appended in enumerate(history.appends(80)):
            assert await store.journal.append(*appended) == await memory.append(*appended)
            clock.time = history.now
            if number % 20 == 19:
                assert await everything(store) == await everything(memory)
    finally:
        await store.close()


async def test_an_empty_store_has_nothing_and_says_so(store: Any) -> None:
    state = await store.records.state()
    assert (state.installed, state.day, state.last_alive_at, state.trading_mode) == (None,) * 4
    assert (state.next_tracker_id, state.last_seq) == (1, 0)
    assert await store.records.last_update_id() is None
    assert await store.records.addressed_seq() == 0
    assert await store.records.confirmation("n1") is None
    assert await store.records.intent("i1") is None
    assert await store.records.card_message_id(7, "card") is None


async def test_ended_trackers_are_history_and_their_numbers_are_not_used_again(store: Any) -> None:
    first, second = samples.armed(1), samples.armed(2)
    ended = replace(second.tracker, state=TrackerState.CANCELLED)
    await store.journal.append(first, second)
    await store.journal.append(replace(second, tracker=ended, change=TrackerChange.CANCELLED))
    state = await store.records.state()
    assert state.trackers == [first.tracker]
    assert state.next_tracker_id == 3
    assert await store.records.trackers() == [ended, first.tracker]
    assert await store.records.trackers(limit=1) == [ended]
    assert await store.records.tracker(2) == ended
    assert await store.records.tracker(1) == first.tracker
    assert await store.records.tracker(3) is None


async def test_an_absent_attempt_is_watched_for_a_day(store: Any, clock: SettableClock) -> None:
    await store.journal.append(*samples.transaction_a(1))
    attempt = (await store.records.attempts("i1"))[0]
    absent = replace(attempt, state=AttemptState.ABSENT)
    intent = await store.records.intent("i1")
    done = replace(intent, state=type(intent.state).DONE)
    await store.journal.append(
        events.AttemptChanged(absent, "not found twice", samples.START),
        events.IntentClosed(done, samples.START),
    )
    clock.time = samples.START + timedelta(hours=24)
    state = await store.records.state()
    assert (state.attempts, state.watched_attempts) == ([], [absent])
    clock.time += timedelta(microseconds=1)
    assert (await store.records.state()).watched_attempts == []


async def test_an_open_attempt_of_a_closed_intent_is_not_forgotten(store: Any) -> None:
    await store.journal.append(*samples.transaction_a(1))
    intent = await store.records.intent("i1")
    done = replace(intent, state=type(intent.state).DONE)
    await store.journal.append(events.IntentClosed(done, samples.START))
    state = await store.records.state()
    assert state.intents == []
    assert [one.client_order_id for one in state.attempts] == ["um1-1"]


async def test_positions_follow_fills_and_adjustments_exactly(store: Any) -> None:
    adopted = events.PositionAdjusted(
        *("BTC/USDT", Decimal("1E-18"), Decimal("123456789012.123456789012345678")),
        *(AdjustReason.ADOPTED, "", samples.START),
    )
    await store.journal.append(adopted, samples.fill(1), samples.fill(2, Side.SELL))
    # Bought 0.3 less 0.0003 fee in base; sold 0.3 and 0.0003 fee: more than there was, so all.
    assert (await store.records.state()).positions == {}
    await store.journal.append(adopted)
    position = (await store.records.state()).positions["BTC/USDT"]
    assert str(position.quantity) == "1E-18"
    assert str(position.cost) == "1.23456789012123456789012345678E-7"


async def test_a_position_of_extreme_size_is_kept_to_the_last_digit(store: Any) -> None:
    whole, part = Decimal(1000000000000), Decimal("0.000000000000000001")
    for quantity in (whole, part):
        adjusted = events.PositionAdjusted(
            "BTC/USDT", quantity, Decimal(1), AdjustReason.ADOPTED, "", samples.START
        )
        await store.journal.append(adjusted)
    position = (await store.records.state()).positions["BTC/USDT"]
    assert str(position.quantity) == "1000000000000.000000000000000001"
    assert str(position.cost) == "1000000000000.000000000000000001"


async def test_fills_are_newest_first_and_can_be_limited(store: Any) -> None:
    await store.journal.append(samples.fill(3), samples.fill(1), samples.fill(2, intent_id="i2"))
    found = await store.records.fills()
    assert [one.trade_id for one in found] == ["3", "2", "1"]
    since = samples.START + timedelta(seconds=2)
    assert [one.trade_id for one in await store.records.fills(since=since)] == ["3", "2"]
    assert [one.trade_id for one in await store.records.fills(limit=1)] == ["3"]
    assert await store.records.fills("ETH/USDT") == []
    assert [one.trade_id for one in await store.records.intent_fills("i1")] == ["3", "1"]


async def test_urgent_messages_go_first_and_delivered_ones_not_again(store: Any) -> None:
    await store.journal.append(
        samples.message("old"),
        samples.message("warn", Severity.WARN),
        samples.message("crit", Severity.CRIT),
    )
    keys = [one.message_key for one in await store.records.pending_messages()]
    assert keys == ["crit", "old", "warn"]
    assert await store.records.messages_waiting() == 3
    await store.journal.append(events.MessageDelivered("crit", 55, "", samples.START))
    keys = [one.message_key for one in await store.records.pending_messages(limit=1)]
    assert keys == ["old"]
    assert await store.records.messages_waiting() == 2


async def test_the_newest_delivered_message_of_a_card_is_found(store: Any) -> None:
    for key, message_id in (("a", 55), ("b", 56), ("c", None)):
        await store.journal.append(samples.message(key, card="panic"))
        await store.journal.append(events.MessageDelivered(key, message_id, "", samples.START))
    assert await store.records.card_message_id(7, "panic") == 56
    assert await store.records.card_message_id(8, "panic") is None
    # An older message that is edited is an older one still.
    await store.journal.append(samples.message("d", card="panic"))
    await store.journal.append(events.MessageDelivered("d", 55, "", samples.START))
    assert await store.records.card_message_id(7, "panic") == 56
    assert list(await store.records.card_message_ids(7, "panic", 5)) == [56, 55]
    assert list(await store.records.card_message_ids(7, "panic", 1)) == [56]


async def test_a_card_is_known_in_every_chat_it_goes_to_delivered_or_not(store: Any) -> None:
    await store.journal.append(samples.message("a", card="tracker:1"))
    await store.journal.append(samples.message("b", card="tracker:1"))
    await store.journal.append(samples.message("c", card="tracker:2"))
    assert list(await store.records.card_chats("tracker:1")) == [7]
    assert list(await store.records.card_chats("tracker:3")) == []


async def test_updates_wait_until_they_are_handled(store: Any) -> None:
    await store.journal.append(samples.update(11), samples.update(12))
    await store.journal.append(events.UpdateHandled(11, "answered", samples.START))
    pending = await store.records.pending_updates()
    assert [(one.seq, one.update.update_id) for one in pending] == [(2, 12)]
    assert await store.records.last_update_id() == 12


async def test_the_first_answer_to_a_question_stays(store: Any) -> None:
    asked = events.ConfirmationAsked(samples.minimal(events.ConfirmationAsked).confirmation)
    nonce = asked.confirmation.nonce
    await store.journal.append(asked)
    found = await store.records.confirmation(nonce)
    assert (found.confirmation, found.answer) == (asked.confirmation, None)
    answered = events.ConfirmationAnswered(nonce, ConfirmationAnswer.CANCELLED, 1, samples.START)
    await store.journal.append(answered)
    assert (await store.records.confirmation(nonce)).answer is ConfirmationAnswer.CANCELLED


async def test_modes_conditions_and_alerts_survive(store: Any) -> None:
    mode = events.TradingModeChanged(TradingMode.HALTED, "panic", "owner", samples.START)
    stale = events.ConditionChanged("STALE", "BTC/USDT", True, Severity.WARN, "", samples.START)
    crit = events.AlertRaised("a1", Severity.CRIT, "unprotected", samples.START)
    info = events.AlertRaised("a2", Severity.INFO, "fyi", samples.START)
    await store.journal.append(mode, stale, replace(stale, symbol=None), crit, info)
    await store.journal.append(replace(stale, is_active=False))
    state = await store.records.state()
    assert state.trading_mode == mode
    assert state.conditions == [replace(stale, symbol=None)]
    assert state.alerts == [crit]
    await store.journal.append(events.AlertAcknowledged("a1", 1, samples.START))
    assert (await store.records.state()).alerts == []


async def test_only_a_heartbeat_is_a_sign_that_prices_were_watched(store: Any) -> None:
    later = samples.START + timedelta(minutes=9)
    await store.journal.append(samples.heartbeat(3), events.ProcessStopped("asked to", later))
    await store.journal.append(events.ProcessStarted("1", "paper", None, later))
    state = await store.records.state()
    assert state.last_alive_at == samples.START + timedelta(minutes=3)


async def test_revoked_people_are_listed_as_such(store: Any) -> None:
    ann = Person(5, 5, "Ann", Role.TRADER)
    for person in (ann, Person(2, 2, "Bo", Role.OWNER), replace(ann, is_active=False)):
        await store.journal.append(events.PersonChanged(person, "", samples.START))
    assert [(one.user_id, one.is_active) for one in await store.records.people()] == [
        (2, True),
        (5, False),
    ]


async def test_job_runs_and_addressed_events_keep_the_newest(store: Any) -> None:
    for minute, up_to in ((1, 4), (2, 3)):
        at = samples.START + timedelta(minutes=minute)
        await store.journal.append(
            events.JobRan("digest", "ok", at), events.EventsAddressed(up_to, at)
        )
    assert await store.records.addressed_seq() == 4
    assert await store.records.last_runs() == {"digest": samples.START + timedelta(minutes=2)}


async def test_an_alert_that_is_no_longer_true_does_not_stand(store: Any) -> None:
    crit = events.AlertRaised("a1", Severity.CRIT, "the sale waits", samples.START)
    await store.journal.append(crit, replace(crit, alert_id="a2"))
    await store.journal.append(events.AlertEnded("a1", samples.START))
    assert [one.alert_id for one in (await store.records.state()).alerts] == ["a2"]


async def test_what_moved_in_or_out_counts_once_and_for_the_day_in_which_it_did(store: Any) -> None:
    def moved(quantity: str) -> events.FundsMoved:
        movement = Movement("ETH", Decimal(quantity), samples.START)
        return events.FundsMoved(movement, Decimal(quantity) * 3_000, samples.START)

    day = samples.START.date()
    await store.journal.append(moved("1"))
    assert (await store.records.state()).moved == [moved("1")]
    await store.journal.append(events.DayOpened(day, Decimal(9_000), samples.START))
    assert (await store.records.state()).moved == []
    await store.journal.append(moved("2.5"))
    await store.journal.append(moved("-0.5"))
    with pytest.raises(AlreadyRecorded):
        await store.journal.append(moved("2.50"))
    assert (await store.records.state()).moved == [moved("2.5"), moved("-0.5")]
    tomorrow = events.DayOpened(day + timedelta(1), Decimal(15_000), samples.START)
    await store.journal.append(tomorrow)
    assert (await store.records.state()).moved == []
