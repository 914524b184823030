"""When each person looked last, read from what they sent."""

import json
from datetime import timedelta

import pytest

from bot.telegram.looks import Looks, sender_of
from tests.fakes.desk import START
from trading.domain.chat import InboxUpdate


def message(user_id: object, minutes: int = 0) -> InboxUpdate:
    payload = json.dumps({"message": {"from": {"id": user_id}, "text": "/status"}})
    return InboxUpdate(1, payload, START + timedelta(minutes=minutes))


def test_messages_and_taps_are_looks() -> None:
    tap = json.dumps({"callback_query": {"from": {"id": 8}, "data": "+/status"}})

    assert sender_of(message(7).payload) == 7
    assert sender_of(tap) == 8


@pytest.mark.parametrize(
    "payload", ["", "[]", "7", '{"message": 5}', '{"message": {"from": null}}', "[" * 100_000]
)
def test_what_names_nobody_is_no_look(payload: str) -> None:
    assert sender_of(payload) is None


@pytest.mark.parametrize("user_id", [True, "7", 7.5, None])
def test_an_id_that_is_no_whole_number_names_nobody(user_id: object) -> None:
    assert sender_of(message(user_id).payload) is None


def test_the_newest_look_counts_in_whatever_order_they_are_read() -> None:
    looks = Looks()

    looks.load([message(7, minutes=5), message(7, minutes=2), message(8, minutes=1)])

    assert looks.at(7) == START + timedelta(minutes=5)
    assert looks.at(8) == START + timedelta(minutes=1)
    assert looks.at(9) is None


def test_strangers_are_forgotten() -> None:
    looks = Looks()
    looks.load([message(7), message(666)])

    looks.keep([7])

    assert (looks.at(7), looks.at(666)) == (START, None)


def test_a_look_is_noted_as_it_comes() -> None:
    looks = Looks()

    looks.note(7, START + timedelta(minutes=5))
    looks.note(7, START)

    assert looks.at(7) == START + timedelta(minutes=5)
