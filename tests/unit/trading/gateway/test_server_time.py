"""A clock that is read over a slow line is believed only as far as its round trip lets it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.catalogue import fired
from trading.gateway.server_time import ROUND_TRIP_S_MAX, Sample, offset_ms

_WAYS_S = st.floats(0, 5)


@pytest.mark.fault("C05", "SAID")
def test_a_sample_is_never_further_off_than_half_its_round_trip() -> None:
    off_by_ms: list[int] = []

    @given(st.integers(-4_000_000, 4_000_000), _WAYS_S, _WAYS_S)
    def measures(true_ms: int, there_s: float, back_s: float) -> None:
        asked_ms = 1_800_000_000_000
        theirs_ms = asked_ms + round(there_s * 1000) + true_ms
        sample = Sample.of(asked_ms, theirs_ms, there_s + back_s)
        off_by_ms.append(round(abs(sample.offset_ms - true_ms)))
        # A millisecond for each of the two roundings.
        assert off_by_ms[-1] <= sample.error_ms + 2

    measures()
    fired(max(off_by_ms), words="ms was the furthest")


@pytest.mark.fault("C05", "SAID")
def test_the_quickest_of_several_samples_counts() -> None:
    samples = [Sample(900, 2.1), Sample(20, 0.08), Sample(-300, 0.9)]
    assert offset_ms(samples, None) == 20
    assert offset_ms(samples, 700) == 20
    fired([one for one in samples if one.offset_ms != 20])


@pytest.mark.fault("C05", "SAID")
def test_a_round_trip_of_more_than_a_second_is_refused_while_the_held_offset_may_be_right() -> None:
    slow = Sample(1500, 3.0)
    fired([one for one in [slow] if one.round_trip_s > ROUND_TRIP_S_MAX])
    assert offset_ms([slow], 10) == 10
    assert offset_ms([slow], 3000) == 3000
    assert offset_ms([Sample(500, ROUND_TRIP_S_MAX)], 10) == 500


@pytest.mark.fault("C05", "SAID")
def test_a_slow_sample_that_proves_the_held_offset_wrong_replaces_it() -> None:
    # The machine's clock was set by an hour while the line is slow.
    after_ms = offset_ms([Sample(3_601_500, 3.0)], 10)
    assert after_ms == 3_601_500
    # Nothing better is known before the first measurement.
    assert offset_ms([Sample(1500, 3.0)], None) == 1500
    fired(after_ms - 10, words="ms, over a line of 3 s")


def test_without_a_sample_what_was_held_stands() -> None:
    assert offset_ms([], 10) == 10
    assert offset_ms([], None) is None
