"""Codes of invitations: single use, a day to live, few tries, and nothing but a hash is kept."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.telegram.invitations import (
    LASTS,
    TRIES_MAX,
    TRIES_OF_ONE_MAX,
    USED,
    CodeVerdict,
    Invitations,
    code_from,
    digest_of,
    invitation,
    written,
)
from tests.fakes.desk import START
from trading.domain.chat import Role
from trading.domain.events import InvitationClosed, InvitationMade

CODE = code_from("a nonce")
WRONG = code_from("another nonce")


def _open(code: str = CODE) -> Invitations:
    invitations = Invitations()
    invitations.note(invitation(code, Role.VIEWER, 7, START))
    return invitations


def _verdict(invitations: Invitations, typed: str, user_id: int = 8, **later: float) -> CodeVerdict:
    return invitations.try_code(typed, user_id, START + timedelta(**later)).verdict


def test_a_right_code_names_its_invitation() -> None:
    tried = _open().try_code(written(CODE).upper(), 8, START)
    assert tried.verdict is CodeVerdict.RIGHT
    assert tried.invitation == InvitationMade(
        digest_of(CODE) or "", Role.VIEWER, 7, START + LASTS, START
    )


def test_a_code_that_was_used_is_told_apart_from_one_that_never_was() -> None:
    invitations = _open()
    invitations.note(InvitationClosed(digest_of(CODE) or "", USED, 8, START))
    tried = invitations.try_code(CODE, 9, START)
    assert (tried.verdict, tried.ending) == (CodeVerdict.ENDED, USED)
    assert _verdict(invitations, WRONG, 9) is CodeVerdict.WRONG
    assert invitations.open(START) == []


def test_a_code_ends_after_a_day() -> None:
    invitations = _open()
    assert _verdict(invitations, CODE, hours=24, seconds=-1) is CodeVerdict.RIGHT
    tried = invitations.try_code(CODE, 8, START + LASTS)
    assert (tried.verdict, tried.ending) == (CodeVerdict.ENDED, "too old")


def test_a_clock_that_was_set_back_does_not_keep_a_code_open() -> None:
    assert _verdict(_open(), CODE, hours=-1) is CodeVerdict.ENDED
    assert _verdict(_open(), CODE, seconds=-3) is CodeVerdict.RIGHT


def test_one_sender_has_a_few_tries_and_uses_up_nobody_elses() -> None:
    invitations = _open()
    for _ in range(TRIES_OF_ONE_MAX):
        assert _verdict(invitations, WRONG, 666) is CodeVerdict.WRONG
    assert _verdict(invitations, CODE, 666) is CodeVerdict.WRONG
    assert _verdict(invitations, CODE, 8) is CodeVerdict.RIGHT


def test_a_right_code_that_could_not_be_stored_is_right_again() -> None:
    invitations = _open()
    for _ in range(TRIES_OF_ONE_MAX + 1):
        assert _verdict(invitations, CODE) is CodeVerdict.RIGHT


def test_a_swarm_has_bounded_tries_in_all_until_their_time_is_over() -> None:
    invitations = _open()
    for number in range(TRIES_MAX):
        assert _verdict(invitations, WRONG, 1000 + number) is CodeVerdict.WRONG
    assert _verdict(invitations, CODE, 8) is CodeVerdict.WRONG
    late = code_from("a later one")
    invitations.note(invitation(late, Role.VIEWER, 7, START + timedelta(minutes=14)))
    assert _verdict(invitations, late, 8, minutes=14) is CodeVerdict.WRONG
    assert _verdict(invitations, late, 8, minutes=15) is CodeVerdict.RIGHT


def test_what_cannot_be_a_code_costs_no_try() -> None:
    invitations = _open()
    for typed in (
        "",
        "x",
        "123456",
        "abcde-fghij-klmn1",
        "аbcde-fghij-klmno",
        "a" * 4000,
        "\u0661" * 15,
    ):
        assert _verdict(invitations, typed) is CodeVerdict.WRONG
    assert _verdict(invitations, CODE) is CodeVerdict.RIGHT


def test_a_restart_finds_what_the_journal_holds() -> None:
    made = invitation(CODE, Role.TRADER, 7, START)
    again = Invitations()
    again.load([made])
    assert again.open(START) == [made]
    assert _verdict(again, CODE) is CodeVerdict.RIGHT
    closed = Invitations()
    closed.load([made, InvitationClosed(made.digest, USED, 8, START)])
    assert _verdict(closed, CODE) is CodeVerdict.ENDED


def test_only_the_newest_ones_are_remembered() -> None:
    invitations = _open()
    for number in range(60):
        made = invitation(code_from(str(number)), Role.VIEWER, 7, START)
        invitations.note(made)
        invitations.note(InvitationClosed(made.digest, USED, 8, START))
    assert _verdict(invitations, CODE) is CodeVerdict.WRONG
    assert _verdict(invitations, code_from("59")) is CodeVerdict.ENDED


@given(st.text(min_size=1, max_size=30), st.text(min_size=1, max_size=30))
def test_codes_are_short_plain_and_differ_as_their_nonces_do(one: str, other: str) -> None:
    code = code_from(one)
    assert len(code) == 15
    assert set(code) <= set("abcdefghijklmnopqrstuvwxyz234567")
    assert digest_of(written(code)) == digest_of(code)
    assert code not in (digest_of(code) or "")
    assert (code == code_from(other)) == (one == other)


def test_a_text_that_is_no_code_makes_no_invitation() -> None:
    with pytest.raises(ValueError, match="fifteen small letters"):
        invitation("123", Role.VIEWER, 7, START)
