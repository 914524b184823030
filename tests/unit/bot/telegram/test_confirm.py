"""Questions for one tap."""

import itertools
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.telegram import confirm
from bot.telegram.confirm import Question, TapVerdict, judge_tap
from tests.catalogue import fired
from tests.fakes.desk import START
from trading.domain.chat import Confirmation, ConfirmationAnswer
from trading.ports.storage import StoredConfirmation


def _asked(everything: str | None = None) -> Confirmation:
    question = Question("Panic", '{"command": "/panic"}', 45, everything)
    return confirm.ask(question, "n1", 7, 7, "u1", START)


OPEN = StoredConfirmation(_asked(), None)
IN_TIME = START + timedelta(seconds=45)


def test_confirm_hands_the_payload_back() -> None:
    tap = judge_tap("c:n1", OPEN, 7, 7, IN_TIME)
    assert (tap.verdict, tap.payload) == (TapVerdict.CONFIRMED, '{"command": "/panic"}')


def test_cancel_does_nothing() -> None:
    assert judge_tap("x:n1", OPEN, 7, 7, IN_TIME).verdict is TapVerdict.CANCELLED


def test_everything_is_a_payload_of_its_own() -> None:
    stored = StoredConfirmation(_asked("all of it"), None)
    assert judge_tap("e:n1", stored, 7, 7, IN_TIME).payload == "all of it"
    assert judge_tap("c:n1", stored, 7, 7, IN_TIME).payload == '{"command": "/panic"}'


@pytest.mark.fault("T15", "ONE")
def test_a_forged_second_button_confirms_nothing() -> None:
    verdicts = [judge_tap(f"{kind}:n1", OPEN, 7, 7, IN_TIME).verdict for kind in "ce"]
    assert verdicts == [TapVerdict.CONFIRMED, TapVerdict.UNKNOWN]
    fired(verdicts.count(TapVerdict.UNKNOWN))


def test_a_late_tap_is_expired() -> None:
    late = IN_TIME + timedelta(microseconds=1)
    assert judge_tap("c:n1", OPEN, 7, 7, late).verdict is TapVerdict.EXPIRED


@pytest.mark.fault("C01", "SAID")
@pytest.mark.parametrize("set_back", [timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)])
def test_a_question_from_the_future_is_over(set_back: timedelta) -> None:
    # Clocks are kept right by small steps.
    steps = set_back, timedelta(seconds=2)
    verdicts = [judge_tap("c:n1", OPEN, 7, 7, START - step).verdict for step in steps]
    assert verdicts == [TapVerdict.EXPIRED, TapVerdict.CONFIRMED]
    fired(verdicts.count(TapVerdict.EXPIRED), words=f"set back by {set_back}")


def test_a_question_ends_after_its_grace_and_five_seconds_before_it_was_asked() -> None:
    asked, grace, moment = _asked(), timedelta(seconds=2), timedelta(microseconds=1)
    earliest, latest = START - timedelta(seconds=5), IN_TIME + grace
    assert not confirm.is_past(asked, earliest, grace)
    assert not confirm.is_past(asked, latest, grace)
    assert confirm.is_past(asked, earliest - moment, grace)
    assert confirm.is_past(asked, latest + moment, grace)


@pytest.mark.fault("T15", "ONE SAID")
@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (ConfirmationAnswer.CONFIRMED, TapVerdict.ALREADY_DONE),
        (ConfirmationAnswer.CANCELLED, TapVerdict.ALREADY_DONE),
        (ConfirmationAnswer.EXPIRED, TapVerdict.EXPIRED),
    ],
)
def test_an_answered_question_stays_answered(
    answer: ConfirmationAnswer, verdict: TapVerdict
) -> None:
    stored = replace(OPEN, answer=answer)
    buttons = "c:n1", "x:n1", "e:n1"
    verdicts = [judge_tap(button, stored, 7, 7, IN_TIME).verdict for button in buttons]
    assert set(verdicts) == {verdict}
    fired(len(verdicts) - verdicts.count(TapVerdict.CONFIRMED), words="replayed taps")


@pytest.mark.fault("T13", "SAID")
@pytest.mark.fault("T15", "ONE")
def test_a_question_is_for_one_person_in_one_chat() -> None:
    places = itertools.product((7, 8), repeat=2)
    verdicts = {place: judge_tap("c:n1", OPEN, *place, IN_TIME).verdict for place in places}
    assert verdicts.pop((7, 7)) is TapVerdict.CONFIRMED
    assert set(verdicts.values()) == {TapVerdict.NOT_YOURS}
    fired([place for place, verdict in verdicts.items() if verdict is TapVerdict.NOT_YOURS])


def test_an_unknown_nonce_does_nothing() -> None:
    assert judge_tap("c:n2", None, 7, 7, START).verdict is TapVerdict.UNKNOWN


def test_the_buttons_are_confirm_and_cancel_and_perhaps_everything() -> None:
    labels = [[button.label for button in row] for row in confirm.buttons(_asked())]
    assert labels == [["Confirm", "Cancel"]]
    labels = [[button.label for button in row] for row in confirm.buttons(_asked("all"))]
    assert labels == [["Confirm", "Cancel"], ["Everything"]]


@given(st.text("abcdefghijklmnopqrstuvwxyz0123456789-_", min_size=1, max_size=32))
def test_the_data_of_a_button_leads_back_to_its_question(nonce: str) -> None:
    asked = replace(_asked("all"), nonce=nonce)
    for row in confirm.buttons(asked):
        for button in row:
            assert confirm.is_answer(button.data)
            assert confirm.nonce_of(button.data) == nonce
            assert len(button.data.encode()) <= 64
    assert not confirm.is_answer(f"+/status {nonce}")
