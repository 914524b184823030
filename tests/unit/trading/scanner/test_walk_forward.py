"""Thresholds: paid for in fees, chosen on the past alone, told with the size of the sample."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trading.scanner.scores import ScoreSignal, Thresholds, signal
from trading.scanner.walk_forward import (
    Costs,
    Outcome,
    ScoredCandles,
    SearchSettings,
    best_thresholds,
    trade,
)

FREE = Costs(0.0, 0.0)
HALF = Thresholds(0.5, 0.5)
BUY, SELL, NOTHING = (0.0, 1.0), (1.0, 0.0), (0.0, 0.0)


def candles(scores: list[tuple[float, float]], opens: list[float]) -> ScoredCandles:
    bull, bear = (np.array(column) for column in zip(*scores, strict=True))
    return ScoredCandles(bull, bear, np.array(opens), np.array(opens))


def test_a_score_is_traded_at_the_open_after_it() -> None:
    # Bought at 100 and sold at 150; 80 and 170, the prices of the scores themselves, are missed.
    made = candles([BUY, NOTHING, SELL, NOTHING], [80, 100, 170, 150])
    assert trade(made, HALF, FREE) == Outcome(pytest.approx(0.5), 1)


def test_fees_and_slippage_are_taken_from_the_notional_on_both_sides() -> None:
    made = candles([BUY, NOTHING, SELL, NOTHING], [80, 100, 170, 150])
    outcome = trade(made, HALF, Costs(fee=0.001, slippage=0.002))
    assert outcome.profit == pytest.approx(1.5 * (0.999 * 0.998) ** 2 - 1)
    flat = candles([BUY, NOTHING, SELL, NOTHING], [100, 100, 100, 100])
    assert trade(flat, HALF, Costs(fee=0.001, slippage=0.0)).profit < 0, "and on losses too"


def test_only_a_change_of_the_signal_trades_and_a_sale_without_coins_does_not() -> None:
    scores = [SELL, BUY, BUY, NOTHING, BUY, SELL, SELL, NOTHING]
    assert trade(candles(scores, [100.0] * 8), HALF, FREE).round_trips == 1


def test_what_is_held_at_the_end_is_valued_as_if_it_were_sold() -> None:
    made = candles([BUY, NOTHING, NOTHING], [90, 100, 130])
    assert trade(made, HALF, Costs(0.01, 0.0)).profit == pytest.approx(1.3 * 0.99**2 - 1)


def test_the_last_score_has_no_open_to_be_traded_at() -> None:
    assert trade(candles([NOTHING, BUY], [100, 100]), HALF, FREE) == Outcome(0.0, 0)


def _naive(made: ScoredCandles, thresholds: Thresholds, costs: Costs) -> Outcome:
    quote, coins, trips = 1.0, 0.0, 0
    for place in range(len(made) - 1):
        asked = signal(float(made.bull[place]), float(made.bear[place]), thresholds)
        price = float(made.open[place + 1])
        if asked is ScoreSignal.BUY and not coins:
            quote, coins, trips = 0.0, quote * costs.kept / price, trips + 1
        elif asked is ScoreSignal.SELL and coins:
            quote, coins = coins * price * costs.kept, 0.0
    worth = quote + coins * float(made.close[-1]) * costs.kept
    return Outcome(worth - 1, trips)


def random_candles(seed: int, count: int) -> ScoredCandles:
    generator = np.random.default_rng(seed)
    closes = 100 * np.exp(np.cumsum(generator.normal(0, 0.02, count + 1)))
    bull, bear = (generator.integers(0, 7, (2, count)) / 6).round(6)
    return ScoredCandles(bull, bear, closes[:-1], closes[1:])


@given(
    seed=st.integers(0, 10_000),
    count=st.integers(1, 80),
    thresholds=st.tuples(st.integers(1, 6), st.integers(1, 6)),
)
def test_trading_by_arrays_equals_trading_step_by_step(
    seed: int, count: int, thresholds: tuple[int, int]
) -> None:
    made, limits = random_candles(seed, count), Thresholds(*(points / 6 for points in thresholds))
    expected = _naive(made, limits, Costs())
    found = trade(made, limits, Costs())
    assert found.round_trips == expected.round_trips
    assert found.profit == pytest.approx(expected.profit, abs=1e-12)


def cycles(count: int, seed: int = 3) -> ScoredCandles:
    """Waves of 40: scores of 4 points come at the turns, of up to 2 anywhere."""
    generator = np.random.default_rng(seed)
    phase = np.arange(count) % 40
    prices = 100 + 10 * np.cos(2 * np.pi * phase / 40)
    noise = generator.integers(0, 3, (2, count)) / 6
    bull = np.where(phase == 38, 4 / 6, noise[0])
    bear = np.where(phase == 18, 4 / 6, noise[1])
    return ScoredCandles(bull, bear, prices, prices)


def _held(bought: float, sold: float) -> float:
    return sold / bought * (0.999 * 0.9995) ** 2 - 1


def test_the_best_thresholds_are_found_and_hold_on_what_was_not_seen() -> None:
    made = cycles(1_000)
    found = best_thresholds(made, SearchSettings(timeframes=1))
    assert found is not None
    # Between the noise of 2 points and the turns of 4; of equals the rarest signal.
    assert found.thresholds == Thresholds(4 / 6, 4 / 6)
    assert found.in_sample.round_trips == 25
    assert found.out_of_sample.profit > 10
    assert found.out_of_sample.round_trips == sum(fold.outcome.round_trips for fold in found.folds)
    assert [(fold.first, fold.past) for fold in found.folds] == [
        *((200, 400), (400, 600), (600, 800), (800, 1_000))
    ]
    # Bought at the fold's first open, 110, and held until the last close before a new wave.
    assert found.held == pytest.approx(_held(made.open[200], made.close[-1]))


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000))
def test_no_choice_knows_what_it_is_traded_on(seed: int) -> None:
    made = random_candles(seed, 200)
    search = SearchSettings(timeframes=1, round_trips_min=1)
    known = best_thresholds(made, search)
    assert known is not None
    fold = known.folds[1]
    future = np.arange(200) >= fold.first
    shuffled = np.where(future, made.open[::-1] * 2, made.open)
    other = best_thresholds(ScoredCandles(made.bull, made.bear, shuffled, shuffled), search)
    assert other is not None
    ours = best_thresholds(ScoredCandles(made.bull, made.bear, made.open, made.open), search)
    assert ours is not None
    assert [each.chosen for each in other.folds[:2]] == [each.chosen for each in ours.folds[:2]]
    assert other.folds[0].outcome == ours.folds[0].outcome


def test_profit_on_noise_does_not_survive_out_of_sample() -> None:
    differences = []
    for seed in range(12):
        found = best_thresholds(random_candles(seed, 400), SearchSettings(timeframes=1))
        assert found is not None
        differences.append(found.in_sample.profit - found.out_of_sample.profit)
    assert np.mean(differences) > 0, "in-sample profit of noise should be the larger"


def test_too_few_round_trips_are_no_choice() -> None:
    quiet = candles([BUY, SELL, NOTHING] * 2, [100.0] * 6)
    assert best_thresholds(quiet, SearchSettings(timeframes=1)) is None
    unknown = candles([(math.nan, math.nan)] * 6, [100.0] * 6)
    assert best_thresholds(unknown, SearchSettings(timeframes=1)) is None


def test_a_fold_without_a_choice_does_not_trade() -> None:
    # Nothing happens in the first fifth, so there is nothing to choose from.
    scores = [NOTHING] * 40 + [BUY, SELL] * 80
    prices = [100.0, 101.0] * 100
    found = best_thresholds(candles(scores, prices), SearchSettings(timeframes=1))
    assert found is not None
    assert found.folds[0].chosen is None
    assert found.folds[0].outcome == Outcome(0.0, 0)
    assert found.folds[1].chosen is not None


def test_scores_before_the_first_known_one_are_not_cut_into_folds() -> None:
    made = cycles(1_000)
    unknown = np.full(500, np.nan)
    late = ScoredCandles(
        np.concatenate((unknown, made.bull)),
        np.concatenate((unknown, made.bear)),
        np.concatenate((np.full(500, 1.0), made.open)),
        np.concatenate((np.full(500, 1.0), made.close)),
    )
    found, expected = (best_thresholds(each, SearchSettings(1)) for each in (late, made))
    assert found is not None
    assert expected is not None
    assert found.out_of_sample == expected.out_of_sample
    assert found.folds[0].first == expected.folds[0].first + 500
