"""One table of words for the modes: the chat, its alerts and a terminal agree."""

import pytest

from bot import modes
from bot.modes import MODES
from trading.domain.position import TradingMode


def test_every_mode_has_words_and_no_two_read_alike() -> None:
    assert set(MODES) == set(TradingMode)
    assert len({words.state for words in MODES.values()}) == len(TradingMode)
    assert len({words.begun for words in MODES.values()}) == len(TradingMode)


def test_only_the_gravest_mode_says_that_nothing_sells() -> None:
    silent = [mode for mode, words in MODES.items() if "NOTHING SELLS" in words.state]
    assert silent == [TradingMode.HALTED_EVERYTHING]


def test_what_was_asked_for_at_a_terminal_is_not_said_to_be_typed_in_the_chat() -> None:
    assert modes.reason("panic", "0") == "Asked for on this machine."
    assert modes.reason("panic", "7") == "Asked for with /panic."
    assert modes.reason("resume: done", "0") == "Asked for on this machine: done"


@pytest.mark.parametrize(
    ("kept", "told"),
    [
        ("panic", "Asked for with /panic."),
        ("reduce", "Asked for with /reduce."),
        ("resume: all is well: really", "Asked for with /resume: all is well: really"),
        ("SAFE MODE: 3 crashes", "SAFE MODE: 3 crashes"),
        ("daily loss 5% reached the limit of 5%", "daily loss 5% reached the limit of 5%"),
        ("", ""),
    ],
)
def test_a_command_that_was_typed_is_a_sentence_and_any_other_reason_stays(
    kept: str, told: str
) -> None:
    assert modes.reason(kept) == told
