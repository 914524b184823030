"""Points: the steps of both methods, worked out on a past of 1 to 200 percent."""

import numpy as np
import pytest

from tests.unit.trading.scanner.make import candles, rated, reaches, running
from trading.scanner.history import RankHistory
from trading.scanner.metrics import metrics
from trading.scanner.points import Method
from trading.scanner.scores import TimeframeScore

HUNDREDTHS = [reach / 100 for reach in range(1, 201)]


def scored(change: float, method: Method, history: RankHistory | None = None) -> TimeframeScore:
    past = reaches(HUNDREDTHS) if history is None else history
    [made] = rated(past, running(change), method).timeframes
    return made


@pytest.mark.parametrize(
    ("reach", "expected"),
    [
        # Of 200, four are larger: 100 * 5 / 200 = 2.5 %; five: 3 %.
        (1.965, 6),
        (1.955, 5),
        (1.915, 5),
        (1.905, 4),
        (1.815, 4),
        (1.805, 3),
        (1.715, 3),
        (1.705, 2),
        (1.615, 2),
        (1.605, 1),
        (1.515, 1),
        (1.505, 0),
    ],
)
def test_ranks_give_points_by_their_step(reach: float, expected: int) -> None:
    assert scored(+reach, Method.RANK).bull_points == expected
    assert scored(-reach, Method.RANK).bear_points == expected


@pytest.mark.parametrize(
    ("reach", "expected"),
    [
        # H[int(200 * 0.75)] = H[150] = 1.51 is reached; H[197] = 1.98 must be exceeded.
        (1.505, 0),
        (1.515, 1),
        (1.605, 1),
        (1.615, 2),
        (1.715, 3),
        (1.815, 4),
        (1.915, 5),
        (1.975, 5),
        (1.985, 6),
    ],
)
def test_quantiles_give_points_by_what_is_exceeded(reach: float, expected: int) -> None:
    assert scored(+reach, Method.QUANTILE).bull_points == expected
    assert scored(-reach, Method.QUANTILE).bear_points == expected


def test_a_quantile_that_is_met_exactly_counts_for_the_first_step_alone() -> None:
    past = [1.0] * 150 + [2.0] * 50
    assert scored(2.0, Method.QUANTILE, reaches(past)).bull_points == 1
    assert scored(2.1, Method.QUANTILE, reaches(past)).bull_points == 6


@pytest.mark.parametrize("method", Method)
def test_a_record_earns_the_most_however_young_the_past(method: Method) -> None:
    for count in (40, 41, 79, 199, 1_000):
        past = RankHistory(candles(count))
        assert scored(-90.0, method, past).bear_points == 6
        assert scored(+900.0, method, past).bull_points == 6


@pytest.mark.parametrize("method", Method)
def test_a_candle_that_has_not_moved_earns_nothing_in_a_dead_market(method: Method) -> None:
    # 98 of 100 candles stood still: a flat one would rank at 3 %.
    dead = reaches([0.0] * 98 + [1.0, 2.0])
    flat = scored(0.0, method, dead)
    assert flat.up_rank == pytest.approx(3.0)
    assert (flat.bull_points, flat.bear_points, flat.change_points) == (0, 0, 0)


def _closes(percent: list[float]) -> RankHistory:
    opens = np.full(len(percent), 100.0)
    closes = opens + np.array(percent)
    return RankHistory(metrics(opens, np.maximum(opens, closes), np.minimum(opens, closes), closes))


@pytest.mark.parametrize(
    ("change", "expected"),
    # Closes from -1.00 to +0.99: H[int(200 * 0.9)] = 0.80, H[185], H[190], H[194], H[196], H[198].
    [(0.805, 1), (0.855, 2), (0.905, 3), (0.945, 4), (0.965, 5), (0.985, 6)],
)
def test_a_close_is_the_less_likely_the_fewer_candles_kept_so_much(
    change: float, expected: int
) -> None:
    past = _closes([(step - 100) / 100 for step in range(200)])
    assert scored(change, Method.QUANTILE, past).change_points == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    # H[int(200 * 0.1)] = -0.80, H[15] = -0.85, H[10] = -0.90, H[6], H[4], H[2] = -0.98.
    [(-0.805, 1), (-0.855, 2), (-0.905, 3), (-0.945, 4), (-0.965, 5), (-0.985, 6)],
)
def test_falls_are_judged_in_the_mirror(change: float, expected: int) -> None:
    past = _closes([(step - 100) / 100 for step in range(200)])
    assert scored(change, Method.QUANTILE, past).change_points == expected


def test_without_points_the_close_is_not_judged() -> None:
    # The change is among the highest closes, but far from the highest reaches.
    opens = np.full(100, 100.0)
    past = RankHistory(metrics(opens, opens + 10, opens - 10, opens.copy()))
    assert scored(1.0, Method.QUANTILE, past).change_points == 0


@pytest.mark.parametrize(
    ("spike", "expected"),
    # Amplitudes of 100 % to 1 % against lows of 100: H[150] = 1.51, H[195] = 1.96, H[10] = 0.11.
    [(1.505, 0), (1.515, 1), (1.915, 5), (1.965, 6), (0.105, -1), (0.115, 0)],
)
def test_amplitudes_have_a_top_step_of_their_own_and_a_word_for_small(
    spike: float, expected: int
) -> None:
    opens = np.full(200, 100.0)
    past = RankHistory(metrics(opens, opens + np.array(HUNDREDTHS), opens.copy(), opens.copy()))
    [made] = rated(past, running(0.0, spike=spike), Method.RANK).timeframes
    assert made.amplitude_points == expected
