"""What a restart believes of a silence that was asked for: never longer than a ban can be."""

from datetime import timedelta

import pytest

from tests.builders import NOON
from trading.gateway.silence import SILENCE_MAX, Silence, left_s

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("later", "left"),
    [
        (timedelta(0), 3600),
        (timedelta(minutes=59), 60),
        (HOUR, 0),
        (timedelta(days=9), 0),
        # A clock is set by a moment now and then.
        (timedelta(seconds=-2), 3602),
    ],
)
def test_what_is_left_of_a_silence_is_kept(later: timedelta, left: float) -> None:
    assert left_s(Silence(NOON, NOON + HOUR), NOON + later) == left


def test_no_silence_is_longer_than_the_longest_ban() -> None:
    silence = Silence(NOON, NOON + timedelta(days=400))
    assert left_s(silence, NOON) == SILENCE_MAX.total_seconds() == 3 * 86_400
    assert left_s(silence, NOON + timedelta(days=3)) == 0


def test_what_a_wrong_clock_wrote_down_keeps_nobody_out() -> None:
    written = NOON + timedelta(days=365)
    assert left_s(Silence(written, written + HOUR), NOON) == 0
