"""Pairing, roster, flood gate, strangers, quiet hours and the hour of the digest."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from bot.telegram.access import Ruling, Verdict
from bot.telegram.delivery import is_silent
from bot.telegram.digests import Digests, due_day
from bot.telegram.flood import Admission, FloodGate, Said
from bot.telegram.roster import PAIRING_LASTS, PAIRING_TRIES_MAX, Pairing, Roster
from bot.telegram.strangers import Strangers
from tests.catalogue import fired
from tests.fakes.desk import START, FakeDesk
from tests.fakes.memory_store import MemoryStore, SettableClock
from trading.domain.chat import Person, Role, Severity
from trading.domain.events import AccessDenied, MessageQueued

ADA = Person(7, 7, "Ada", Role.OWNER)


def test_a_pairing_code_works_once() -> None:
    pairing = Pairing("123456", START)
    assert not pairing.try_code("123457", 7, START)
    assert pairing.try_code("123456", 7, START)
    assert not pairing.try_code("123456", 7, START)
    assert not pairing.is_open(START)


def test_what_is_stored_of_a_pairing_code_is_a_hash_that_only_its_own_process_takes() -> None:
    pairing, other = (Pairing("123456", START, key) for key in ("nonce1", "nonce2"))
    stored = pairing.hashed("/pair 123456", START)
    assert "123456" not in stored
    assert stored != other.hashed("/pair 123456", START)
    word = stored.split()[1]
    assert not other.try_code(word, 7, START)
    assert pairing.try_code(word, 7, START)
    # Once it is used, six digits are six digits, except where they are a code again.
    assert pairing.hashed("/buy BTC/USDT 123456", START) == "/buy BTC/USDT 123456"
    assert "123456" not in pairing.hashed("/pair 123456", START + PAIRING_LASTS)


def test_a_pairing_code_can_be_tried_a_few_times_only() -> None:
    pairing = Pairing("123456", START)
    for number in range(PAIRING_TRIES_MAX):
        assert not pairing.try_code("ünïcode", number, START)
    assert not pairing.try_code("123456", 7, START)


def test_one_stranger_cannot_use_up_the_tries_of_the_owner() -> None:
    pairing = Pairing("123456", START)
    for _ in range(PAIRING_TRIES_MAX + 1):
        assert not pairing.try_code("000000", 666, START)
    assert not pairing.try_code("123456", 666, START)
    assert pairing.try_code("123456", 7, START)


def test_a_pairing_code_ends_after_minutes_and_does_not_show_itself() -> None:
    pairing = Pairing("123456", START)
    assert "123456" not in repr(pairing)
    late = START + PAIRING_LASTS
    assert pairing.is_open(late - timedelta(seconds=1))
    assert not pairing.try_code("123456", 7, late)
    assert not pairing.is_open(late)


def test_the_roster_knows_its_owner_and_only_active_people_pass() -> None:
    roster = Roster()
    assert roster.owner is None
    roster.replace_all([replace(ADA, role=Role.VIEWER, user_id=8), ADA])
    assert roster.owner == ADA
    roster.put(replace(ADA, is_active=False))
    assert roster.owner is None
    assert set(roster.active) == {8}
    assert roster.get(7) == replace(ADA, is_active=False)


def test_there_is_one_owner_and_it_is_whom_the_setting_names() -> None:
    roster = Roster()
    watching = replace(ADA, role=Role.VIEWER, user_id=8, timezone="Asia/Tokyo")
    roster.replace_all([ADA, watching])
    out, owner = roster.named_owner(8, START)
    assert out.person == ADA.put_out()
    assert out.reason == "put out: UMBRA_OWNER_ID names 8"
    assert owner.person == replace(watching, role=Role.OWNER)
    roster.replace_all([out.person, owner.person])
    assert roster.named_owner(8, START) == ()


def _said(number: int, text: str, seconds: float = 0.0, **changes: Any) -> Said:
    said = Said(number, 7, text, START + timedelta(seconds=seconds))
    return replace(said, **changes)


@pytest.mark.fault("T19")
def test_the_same_command_twice_in_a_second_counts_once_while_it_is_being_answered() -> None:
    gate = FloodGate()
    answers = [gate.admit(7, _said(n, "/status", s)) for n, s in enumerate((0, 0.9, 1))]
    assert answers == [Admission.PASS, Admission.SAME, Admission.PASS]
    assert gate.admit(7, _said(4, "/trackers", 1)) is Admission.PASS
    assert gate.admit(8, _said(5, "/trackers", 1)) is Admission.PASS
    # Elsewhere nobody sees the answer.
    assert gate.admit(7, _said(6, "/trackers", 1, chat_id=-9)) is Admission.PASS
    fired(answers.count(Admission.SAME))


def test_what_is_typed_again_after_its_answer_is_answered_again_however_soon() -> None:
    gate = FloodGate()
    assert gate.admit(7, _said(1, "/ack")) is Admission.PASS
    gate.answered(1, START + timedelta(seconds=0.1))
    # It was on its way before the answer was.
    assert gate.admit(7, _said(2, "/ack", 0.05)) is Admission.SAME
    assert gate.admit(7, _said(3, "/ack", 0.15)) is Admission.PASS
    # The answer to an older one is none to this one; what is sent again came no later.
    gate.answered(1, START + timedelta(seconds=0.2))
    assert gate.admit(7, _said(4, "/ack", 0.3)) is Admission.SAME
    gate.answered(3, START + timedelta(seconds=0.4))
    gate.answered(3, START + timedelta(seconds=0.6))
    assert gate.admit(7, _said(5, "/ack", 0.5)) is Admission.PASS


def test_a_button_that_is_tapped_twice_in_a_second_counts_once_even_when_it_was_answered() -> None:
    gate = FloodGate()
    assert gate.admit(7, _said(1, "+/status", is_tap=True)) is Admission.PASS
    gate.answered(1, START + timedelta(seconds=0.1))
    assert gate.admit(7, _said(2, "+/status", 0.3, is_tap=True)) is Admission.SAME
    assert gate.admit(7, _said(3, "+/status", 1.0, is_tap=True)) is Admission.PASS


def test_an_update_that_is_handled_again_is_not_its_own_double() -> None:
    gate = FloodGate()
    assert [gate.admit(7, _said(1, "/panic")) for _ in range(3)] == [Admission.PASS] * 3


@pytest.mark.fault("T19")
def test_a_flood_is_told_once_in_ten_seconds_and_never_holds_panic_back() -> None:
    gate = FloodGate()
    verdicts = [gate.admit(7, _said(n, f"/sell {n}")) for n in range(1000)]
    assert verdicts.count(Admission.PASS) == 30
    assert verdicts.count(Admission.FLOOD) == 1
    for number, way_out in enumerate(("/panic", "/PANIC everything", "+/closeall", "/halt"), 1000):
        assert gate.admit(7, _said(number, way_out)) is Admission.PASS
    assert gate.admit(7, _said(2000, "/closed")) is Admission.FLOOD_TOLD
    assert gate.admit(7, _said(2001, "/status", 11)) is Admission.PASS
    # What is said again and again, and answered each time, is a flood as well.
    same = []
    for number in range(3000, 3100):
        same.append(gate.admit(7, _said(number, "/status", 11)))
        gate.answered(number, START)
    assert same.count(Admission.PASS) < 30
    fired(len(verdicts) - verdicts.count(Admission.PASS))


def _ruling(user_id: int) -> Ruling:
    return Ruling(Verdict.STRANGER, "message", user_id, user_id)


@pytest.mark.fault("T12", "SAID")
def test_a_stranger_gets_one_notice_a_day_and_few_audit_rows() -> None:
    strangers = Strangers()
    rows = [
        strangers.denied(_ruling(666), START + timedelta(minutes=minutes))
        for minutes in (0, 1, 11, 25 * 60)
    ]
    assert [row and row.tell_owner for row in rows] == [True, None, False, True]
    fired([row for row in rows if row is not None])


def test_a_swarm_of_strangers_makes_five_notices_a_minute() -> None:
    strangers = Strangers()
    denied = [strangers.denied(_ruling(1000 + n), START) for n in range(2500)]
    assert sum(one is not None and one.tell_owner for one in denied) == 5


def test_the_owner_hears_of_whom_a_swarm_hid_a_minute_later() -> None:
    strangers = Strangers()
    for number in range(2, 7):
        swarm = strangers.denied(_ruling(number), START)
        assert swarm is not None
        assert swarm.tell_owner
    second = strangers.denied(_ruling(99), START + timedelta(seconds=20))
    assert second is not None
    assert not second.tell_owner
    assert strangers.denied(_ruling(99), START + timedelta(seconds=40)) is None
    told = strangers.denied(_ruling(99), START + timedelta(seconds=61))
    assert told is not None
    assert told.tell_owner


def test_a_restart_remembers_who_was_noticed() -> None:
    strangers = Strangers()
    strangers.load([AccessDenied(666, 666, "message", True, START)])
    again = strangers.denied(_ruling(666), START + timedelta(hours=1))
    assert again is not None
    assert not again.tell_owner


@pytest.mark.parametrize(
    ("hour", "silent"), [(22, False), (23, True), (3, True), (7, False), (12, False)]
)
def test_quiet_hours_run_over_midnight_in_the_persons_time(hour: int, silent: bool) -> None:
    person = replace(ADA, quiet_hours="23:00-07:00", timezone="Europe/Berlin")
    berlin = datetime(2026, 11, 20, hour, 0, tzinfo=UTC) - timedelta(hours=1)
    assert is_silent(person, Severity.WARN, berlin) is silent
    assert not is_silent(person, Severity.CRIT, berlin)


def test_quiet_hours_within_a_day_and_mute() -> None:
    person = replace(ADA, quiet_hours="12:00-13:00")
    assert is_silent(person, Severity.INFO, START)
    assert not is_silent(person, Severity.INFO, START + timedelta(hours=1))
    muted = replace(ADA, muted_until=START + timedelta(hours=4))
    assert is_silent(muted, Severity.WARN, START)
    assert not is_silent(muted, Severity.WARN, START + timedelta(hours=4))
    assert is_silent(ADA, Severity.INFO, START, is_quiet=True)


def test_a_digest_is_due_at_the_persons_hour_for_an_hour() -> None:
    person = replace(ADA, digest_at="09:00", timezone="America/New_York")
    nine = datetime(2026, 7, 1, 13, 0, tzinfo=UTC)
    assert due_day(person, nine - timedelta(seconds=1)) is None
    assert due_day(person, nine) == nine.date()
    assert due_day(person, nine + timedelta(minutes=59)) == nine.date()
    assert due_day(person, nine + timedelta(minutes=60)) is None
    assert due_day(replace(person, digest_at=None), nine) is None
    assert due_day(replace(person, is_active=False), nine) is None


async def test_a_digest_goes_out_once_a_day_also_across_a_restart() -> None:
    clock = SettableClock(datetime(2026, 11, 20, 9, 0, tzinfo=UTC))
    store = MemoryStore(clock)
    kicks: list[int] = []

    def digests() -> Digests:
        roster = Roster({7: ADA})
        desk = FakeDesk(clock, store, equity_before=Decimal(39_000))
        return Digests(desk, store, roster, clock, lambda: "SIM", lambda: kicks.append(1))

    first = digests()
    assert await first.tick() == 1
    assert await first.tick() == 0
    assert await digests().tick() == 0
    clock.time += timedelta(days=1)
    assert await first.tick() == 1
    queued = store.of(MessageQueued)
    assert [one.message.message_key for one in queued] == [
        "digest:7:2026-11-20",
        "digest:7:2026-11-21",
    ]
    assert "A quiet time" in queued[0].message.text
    assert queued[0].message.text.endswith("SIM")
    assert len(kicks) == 2


def test_a_reader_of_the_journal_that_lags_takes_nobody_back() -> None:
    roster = Roster()
    newer = replace(ADA, digest_at=None)
    roster.put(newer, START + timedelta(seconds=1))
    roster.follow(ADA, START)
    assert roster.get(7) == newer
    roster.follow(ADA, START + timedelta(seconds=2))
    assert roster.get(7) == ADA
    # A change that a person made counts whatever the clock says.
    roster.put(newer, START - timedelta(hours=1))
    assert roster.get(7) == newer
