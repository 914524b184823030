"""Tests of the tests: security with one invariant broken is caught by the test that guards it."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from pydantic import SecretStr

from bot import logs
from bot.telegram import access, confirm, grammar
from tests.security import test_canaries, test_gate, test_parsers, test_questions
from trading.domain.chat import Person, Role
from trading.domain.errors import AlreadyRecorded

Break = Callable[[pytest.MonkeyPatch], None]


def the_gate_takes_whoever_writes_for_the_owner(patch: pytest.MonkeyPatch) -> None:
    real = access.judge

    def judge(update: Any, people: Any, rules: Any) -> access.Ruling:
        user = update.effective_user
        number = user.id if user else 0
        return real(update, {**people, number: Person(number, number, "", Role.OWNER)}, rules)

    patch.setattr(access, "judge", judge)


def the_gate_lets_a_kind_of_update_pass_that_nobody_has_named(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(access, "ALLOWED_KINDS", (*access.ALLOWED_KINDS, "channel_post"))


def a_question_may_be_answered_again(patch: pytest.MonkeyPatch) -> None:
    real = confirm.judge_tap

    def judge_tap(data: str, stored: Any, *arguments: Any) -> confirm.Tap:
        return real(data, stored and replace(stored, answer=None), *arguments)

    patch.setattr(confirm, "judge_tap", judge_tap)


def a_question_is_anybodys(patch: pytest.MonkeyPatch) -> None:
    real = confirm.judge_tap

    def judge_tap(data: str, stored: Any, _user: int, _chat: int, at: Any) -> confirm.Tap:
        asked = stored.confirmation if stored else None
        return real(data, stored, asked.user_id if asked else 0, asked.chat_id if asked else 0, at)

    patch.setattr(confirm, "judge_tap", judge_tap)


@pytest.mark.parametrize(
    ("mutate", "guard"),
    [
        (
            the_gate_takes_whoever_writes_for_the_owner,
            lambda: test_gate.test_z01_no_kind_from_outside_does_or_tells_anything("message"),
        ),
        (
            the_gate_lets_a_kind_of_update_pass_that_nobody_has_named,
            lambda: test_gate.test_z01_not_even_the_owner_acts_by_a_kind_that_is_not_named(
                "channel_post", "/panic"
            ),
        ),
        (
            a_question_may_be_answered_again,
            lambda: test_questions.test_z04_an_answer_counts_once("c:"),
        ),
        (
            a_question_is_anybodys,
            lambda: test_questions.test_z04_an_answer_from_elsewhere_does_nothing(8, 8),
        ),
    ],
)
async def test_a_broken_gate_or_question_is_caught(
    mutate: Break, guard: Callable[[], Awaitable[None]], monkeypatch: pytest.MonkeyPatch
) -> None:
    mutate(monkeypatch)
    # The journal refuses a second answer to one question, too.
    with pytest.raises((AssertionError, AlreadyRecorded)):
        await guard()


def test_a_log_that_masks_nothing_is_caught(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> None:
    def unmasked(self: Any, record: logging.LogRecord) -> str:
        return super(logs._RedactingFormatter, self).format(record)

    monkeypatch.setattr(logs._RedactingFormatter, "format", unmasked)
    log = request.getfixturevalue("log")
    with pytest.raises(AssertionError):
        test_canaries.test_z02_what_ends_a_process_or_a_thread_is_masked(log, monkeypatch)


async def test_an_object_that_shows_what_it_keeps_secret_is_caught(
    monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest, tmp_path: Any
) -> None:
    settings = request.getfixturevalue("settings")
    monkeypatch.setattr(SecretStr, "__repr__", SecretStr.get_secret_value)
    with pytest.raises(AssertionError):
        await test_canaries.test_z02_no_object_shows_a_secret(settings, tmp_path)


def test_a_reader_that_fails_with_an_error_not_its_own_is_caught(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    real = grammar.parse

    def parse(text: str, *arguments: Any) -> Any:
        int(text[-1:] or "0")
        return real(text, *arguments)

    monkeypatch.setattr(grammar, "parse", parse)
    with pytest.raises(ValueError, match="invalid literal"):
        test_parsers.test_z05_typed_commands_are_read_or_refused()
