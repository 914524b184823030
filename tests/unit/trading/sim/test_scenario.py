"""The price generator: seeded, alive within a minute, and never lost."""

import math
from itertools import pairwise

import pytest

from trading.sim.catalogue import COIN_PRICES
from trading.sim.scenario import Regime, Scenario

pytestmark = pytest.mark.uncounted

START = {coin: float(price) for coin, price in COIN_PRICES.items()}
MINUTE = 240


def btc(seed: int, steps: int) -> list[float]:
    scenario = Scenario(seed, START)
    return [scenario.step()["BTC"] for _ in range(steps)]


def test_the_same_seed_makes_the_same_prices() -> None:
    assert btc(3, 500) == btc(3, 500)
    assert btc(3, 500) != btc(4, 500)


def test_nearly_every_minute_holds_a_move_that_can_fire_a_close_stop() -> None:
    falls = []
    for seed in range(10):
        path = btc(seed, 20 * MINUTE)
        for begin in range(0, len(path), MINUTE):
            minute = path[begin : begin + MINUTE]
            falls.append(max(1 - low / high for high, low in _falls(minute)))
    assert sum(fall > 0.003 for fall in falls) > 0.95 * len(falls)


def _falls(path: list[float]) -> list[tuple[float, float]]:
    highest = path[0]
    pairs = []
    for price in path:
        highest = max(highest, price)
        pairs.append((highest, price))
    return pairs


@pytest.mark.slow
def test_prices_stay_within_sight_of_where_they_began() -> None:
    for seed in range(5):
        path = btc(seed, 120 * MINUTE)
        assert all(0.75 * 60_000 < price < 1.3 * 60_000 for price in path)


def test_every_regime_comes_up_and_a_crash_falls_deep() -> None:
    scenario = Scenario(5, START)
    seen: dict[Regime, int] = {}
    for _ in range(240 * MINUTE):
        scenario.step()
        seen[scenario.regime] = seen.get(scenario.regime, 0) + 1
    assert set(seen) == set(Regime)
    deepest = max(1 - low / high for high, low in _falls(btc(5, 60 * MINUTE)))
    assert deepest > 0.025


def test_single_steps_are_small_outside_of_crashes_and_spikes() -> None:
    path = btc(1, 30 * MINUTE)
    moves = sorted(abs(math.log(after / before)) for before, after in pairwise(path))
    assert moves[len(moves) // 2] < 0.0005


def test_major_coins_move_each_step_and_others_take_turns() -> None:
    prices = {**START, **{f"COIN{number}": 1.0 for number in range(10, 50)}}
    scenario = Scenario(1, prices)
    steps = [set(scenario.step()) for _ in range(4)]
    assert all({"BTC", "ETH", "SOL", "ADA", "DOGE"} <= moved for moved in steps)
    assert {"COIN10", "COIN49"} <= set.union(*steps)
    assert all(len(moved) < 20 for moved in steps)
    assert not any({"USDT", "USDC"} & moved for moved in steps)
