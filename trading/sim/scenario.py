"""Seeded price paths: a market that trends, ranges, bursts, crashes and spikes."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from random import Random

STEP_MS = 250
_STEPS_PER_S = 1000 // STEP_MS
# Generated coins move once a second each, in turn, so that hundreds of markets stay cheap.
_TURNS = 4
_EVERY_STEP = frozenset({"BTC", "ETH", "SOL", "ADA", "DOGE"})
_QUIET = 0.00015
_HOME_PULL = 0.02


class Regime(Enum):
    """What the market is doing."""

    TREND = "trend"
    RANGE = "range"
    BURST = "burst"
    CRASH = "crash"
    WICK = "wick"


_CHANCES = {
    Regime.TREND: 0.46,
    Regime.RANGE: 0.28,
    Regime.BURST: 0.12,
    Regime.WICK: 0.10,
    Regime.CRASH: 0.04,
}


@dataclass(frozen=True, slots=True)
class Leg:
    """A stretch of one regime: the drift of each step (as a logarithm) and its noise."""

    regime: Regime
    drifts: tuple[float, ...]
    sigma: float


@dataclass(slots=True)
class _Coin:
    price: float
    beta: float
    own: float = 0.0


class Scenario:
    """Coins that follow one market factor, each with its own weight and noise.

    The stable coin stands still. Same seed and coins, same prices; a step is 250 ms of the
    scenario's own time.
    """

    def __init__(self, seed: int, start_prices: Mapping[str, float]) -> None:
        self._chance = Random(f"scenario {seed}")
        self._coins = {
            coin: _Coin(price, 1.0 if coin == "BTC" else self._chance.uniform(0.8, 1.4))
            for coin, price in start_prices.items()
            if coin not in {"USDT", "USDC"}
        }
        self._turns = _turns(list(self._coins))
        self._factor = 0.0
        self._steps = 0
        self._direction = 1
        self._legs = self._moves()
        self.regime = Regime.TREND

    def step(self) -> Mapping[str, float]:
        """Move on by 250 ms."""
        self._factor += next(self._legs)
        moved = {}
        for name in self._turns[self._steps % _TURNS]:
            coin = self._coins[name]
            coin.own += self._chance.gauss(-0.01 * coin.own, _QUIET)
            moved[name] = coin.price * math.exp(coin.beta * self._factor + coin.own)
        self._steps += 1
        return moved

    def _moves(self) -> Iterator[float]:
        while True:
            leg = self._next_leg()
            self.regime = leg.regime
            for drift in leg.drifts:
                yield drift + self._chance.gauss(0, leg.sigma)

    def _next_leg(self) -> Leg:
        regime = self._chance.choices(list(_CHANCES), list(_CHANCES.values()))[0]
        # Legs mostly alternate, and the further from the start price the more they lead back.
        if self._chance.random() < 0.8:
            self._direction = -self._direction
        if self._chance.random() < abs(self._factor) / (abs(self._factor) + _HOME_PULL * 2):
            self._direction = -1 if self._factor > 0 else 1
        return _LEGS[regime](self._chance, self._direction)


def _trend(chance: Random, direction: int) -> Leg:
    steps = int(chance.uniform(14, 28) * _STEPS_PER_S)
    return Leg(
        Regime.TREND, (direction * chance.uniform(0.004, 0.008) / steps,) * steps, 1.3 * _QUIET
    )


def _range(chance: Random, direction: int) -> Leg:
    period = int(chance.uniform(12, 20) * _STEPS_PER_S)
    height = direction * chance.uniform(0.0015, 0.003)
    wave = [height * math.sin(2 * math.pi * step / period) for step in range(2 * period + 1)]
    drifts = tuple(after - before for before, after in pairwise(wave))
    return Leg(Regime.RANGE, drifts, _QUIET)


def _burst(chance: Random, _direction: int) -> Leg:
    return Leg(Regime.BURST, (0.0,) * int(chance.uniform(6, 12) * _STEPS_PER_S), 5 * _QUIET)


def _crash(chance: Random, _direction: int) -> Leg:
    depth = chance.uniform(0.03, 0.06)
    down = int(chance.uniform(12, 25) * _STEPS_PER_S)
    up = 2 * down
    drifts = (-depth / down,) * down + (depth * chance.uniform(0.4, 0.8) / up,) * up
    return Leg(Regime.CRASH, drifts, 4 * _QUIET)


def _wick(chance: Random, direction: int) -> Leg:
    depth = direction * chance.uniform(0.007, 0.016)
    out, back = 5, 9
    drifts = (depth / out,) * out + (-depth * chance.uniform(0.85, 1.0) / back,) * back
    return Leg(Regime.WICK, drifts + (0.0,) * (5 * _STEPS_PER_S), 2 * _QUIET)


_LEGS = {
    Regime.TREND: _trend,
    Regime.RANGE: _range,
    Regime.BURST: _burst,
    Regime.CRASH: _crash,
    Regime.WICK: _wick,
}


def _turns(coins: Sequence[str]) -> list[list[str]]:
    turns: list[list[str]] = [[] for _ in range(_TURNS)]
    for number, coin in enumerate(coins):
        for turn, members in enumerate(turns):
            if coin in _EVERY_STEP or number % _TURNS == turn:
                members.append(coin)
    return turns
