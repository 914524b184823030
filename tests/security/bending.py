"""Inputs bent by chance, and readers that must take or refuse each of them quickly.

`FUZZ_INPUTS` says how many each reader gets: ten thousand in `make test`, a million in `make fuzz`.
"""

import contextlib
import os
import random
import string
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

Said = TypeVar("Said")
INPUTS = int(os.environ.get("FUZZ_INPUTS", "10000"))
# A thousand inputs a second are slow for each of the readers, even beside other tests.
TIMEOUT_S = max(600, INPUTS // 100)
SLOWEST_S = 0.050
_ODD = "\x00\u202e\u200b٣½²−,'\"\\<&%$#@!{}[]()=+~^🛑\ud7ff\uffff" + string.ascii_letters
_WORDS = (
    *("/track", "/buy", "/tracker", "stop", "trail", "above", "below", "confirm", "close", "all"),
    *("cancel", "60000", "2%", "-1", "1e9", "0", "NaN", "BTC/USDT", "btcusdt", "100", "USDT"),
    *("then", "swing", "cooldown", "lines", "T1", "P1", "/", "15m", "ticks", "max", "9" * 13),
    "0." + "0" * 40 + "1",
    "9" * 400,
)
_NO_VALUES = (None, True, -1, 1.5, "", "x", [], {}, 2**63, [[]], "NaN", "1e999999", "-0", "٣")


def bent_text(chance: random.Random, text: str) -> str:
    """Bend a text a few times: cut, doubled, replaced, salted, swapped for a word of ours."""
    for _ in range(chance.randint(1, 4)):
        place = chance.randint(0, len(text))
        match chance.randint(0, 5):
            case 0:
                text = text[:place] + chance.choice(_ODD) + text[place:]
            case 1:
                text = text[:place] + text[place + chance.randint(1, 5) :]
            case 2:
                text = f"{text[:place]} {chance.choice(_WORDS)} {text[place:]}"
            case 3:
                text = text[:place] + text[place // 2 :]
            case 4:
                text = "".join(chance.sample(text.split(" "), len(text.split(" "))))
            case _:
                text = (
                    text[:place] + text[place : place + 1] * chance.randint(2, 300) + text[place:]
                )
    return text[:4096]


def bent_value(chance: random.Random, value: Any) -> Any:
    """Bend one place of what JSON can say: wrong type, missing, doubled, or bent text."""
    if isinstance(value, dict) and value:
        return _bent_mapping(chance, value)
    if isinstance(value, list) and value:
        return _bent_list(chance, value)
    return bent_text(chance, value) if isinstance(value, str) else chance.choice(_NO_VALUES)


def _bent_mapping(chance: random.Random, value: dict[str, Any]) -> dict[str, Any]:
    key = chance.choice(sorted(value))
    bent = dict(value)
    match chance.randint(0, 3):
        case 0:
            del bent[key]
        case 1:
            bent[key] = chance.choice(_NO_VALUES)
        case _:
            bent[key] = bent_value(chance, bent[key])
    return bent


def _bent_list(chance: random.Random, value: list[Any]) -> list[Any]:
    place = chance.randrange(len(value))
    match chance.randint(0, 3):
        case 0:
            return value[:place] + value[place + 1 :]
        case 1:
            return [*value[: place + 1], *value[place:]]
        case _:
            return [*value[:place], bent_value(chance, value[place]), *value[place + 1 :]]


def bent_texts(seeds: Sequence[str]) -> Iterator[str]:
    """A reader's share of bent texts, the same in each run."""
    chance = random.Random(7)
    for _ in range(INPUTS):
        yield bent_text(chance, chance.choice(seeds))


def bent_values(seeds: Sequence[Any]) -> Iterator[Any]:
    """A reader's share of bent values, the same in each run."""
    chance = random.Random(7)
    for _ in range(INPUTS):
        yield bent_value(chance, chance.choice(seeds))


def read_all(
    read: Callable[[Said], object],
    inputs: Iterator[Said],
    own: type[Exception],
    slowest_s: float = SLOWEST_S,
) -> int:
    """Give a reader its inputs; returns how many it refused. Any error but `own` fails."""
    refused = 0
    for said in inputs:
        began = time.thread_time()
        try:
            read(said)
        except own:
            refused += 1
        if time.thread_time() - began > slowest_s:
            assert _seconds(read, said, own) <= slowest_s, repr(said)[:200]
    return refused


def _seconds(read: Callable[[Said], object], said: Said, own: type[Exception]) -> float:
    """The best of five: a collection or a cold page is not the reader's."""
    best = 1.0
    for _ in range(5):
        began = time.thread_time()
        with contextlib.suppress(own):
            read(said)
        best = min(best, time.thread_time() - began)
    return best
