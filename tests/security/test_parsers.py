"""Z-05: whatever is typed, tapped, sent or set is read or refused, quickly, and never crashes.

`FUZZ_INPUTS` says how many mutated inputs each reader gets; the long run takes a million.
"""

import contextlib
import json
import os
import random
import string
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from bot import totp
from bot.telegram import confirm, grammar
from bot.telegram.commands.registry import COMMANDS
from bot.telegram.stepup import code_in
from tests.fakes.desk import find
from tests.security.front import Front, tapped, typed
from trading.domain.errors import Refused

pytestmark = pytest.mark.slow

INPUTS = int(os.environ.get("FUZZ_INPUTS", "10000"))
SLOWEST_S = 0.010
_ODD = "\x00\u202e\u200b٣½²−,'\"\\<&%$#@!{}[]()=+~^🛑\ud7ff\uffff" + string.ascii_letters
_WORDS = (
    *("/track", "/buy", "/tracker", "stop", "trail", "above", "below", "confirm", "close", "all"),
    *("cancel", "60000", "2%", "-1", "1e9", "0", "NaN", "BTC/USDT", "btcusdt", "100", "USDT"),
    *("then", "swing", "cooldown", "lines", "T1", "P1", "/", "15m", "ticks", "max", "9" * 13),
    "0." + "0" * 40 + "1",
    "9" * 400,
)


def _mutate(chance: random.Random, text: str) -> str:
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


def _read_all(read: Callable[[str], object], seeds: list[str], own: type[Exception]) -> int:
    """Give a reader its share of inputs; returns how many it refused."""
    chance, refused = random.Random(7), 0
    for _ in range(INPUTS):
        text = _mutate(chance, chance.choice(seeds))
        began = time.thread_time()
        try:
            read(text)
        except own:
            refused += 1
        if time.thread_time() - began > SLOWEST_S:
            assert _seconds(read, text, own) <= SLOWEST_S, text[:200]
    return refused


def _seconds(read: Callable[[str], object], text: str, own: type[Exception]) -> float:
    """The best of five: a collection or a cold page is not the reader's."""
    best = 1.0
    for _ in range(5):
        began = time.thread_time()
        with contextlib.suppress(own):
            read(text)
        best = min(best, time.thread_time() - began)
    return best


def test_z05_typed_commands_are_read_or_refused() -> None:
    seeds = [
        *(entry.example for entry in COMMANDS),
        "/track BTC/USDT sell above 65000 trail 2% all then swing 4%",
        "/track ADA/USDC lines T1 P1 T2 P2 / T1 P1 T2 P2 trail 1.5% all confirm 3 ticks max 1%",
        "/tracker 3 stop 59000",
        "/track BTC/USDT buy below 55000 trail 1% 500 USDT confirm close 15m",
    ]
    refused = _read_all(lambda text: grammar.parse(text, find), seeds, Refused)
    # Both happen, or the inputs would prove nothing.
    assert 0 < refused < INPUTS


def test_z05_answers_of_buttons_are_read() -> None:
    def read(data: str) -> object:
        return confirm.is_answer(data) and confirm.nonce_of(data)

    assert _read_all(read, ["c:nonce", "x:nonce", "e:nonce", "+/status"], Refused) == 0


def test_z05_codes_and_their_secrets_are_read_or_refused() -> None:
    secret, at = b"1" * 20, datetime(2026, 11, 20, tzinfo=UTC)

    def read(text: str) -> object:
        code_in(text)
        totp.matching_step(secret, text, at)
        return totp.read_secret(text)

    refused = _read_all(read, ["123456", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"], ValueError)
    assert 0 < refused < INPUTS


def _bent(chance: random.Random, value: Any) -> Any:
    """Bend one place of an update: wrong type, missing, doubled, or mutated text."""
    if isinstance(value, dict) and value:
        key = chance.choice(sorted(value))
        bent = dict(value)
        match chance.randint(0, 3):
            case 0:
                del bent[key]
            case 1:
                bent[key] = chance.choice([None, True, -1, 1.5, "", "x", [], {}, 2**63, [[]]])
            case _:
                bent[key] = _bent(chance, bent[key])
        return bent
    return _mutate(chance, value) if isinstance(value, str) else chance.choice([None, 0, "x", {}])


@pytest.mark.timeout(600)
async def test_z05_a_mutated_update_has_one_end_and_never_ends_the_chat(
    caplog: pytest.LogCaptureFixture,
) -> None:
    front, chance = Front(), random.Random(7)
    bodies = [typed(entry.example) for entry in COMMANDS] + [tapped("c:nonce1"), tapped("+/status")]
    for _ in range(INPUTS // 5):
        body = _bent(chance, chance.choice(bodies))
        assert json.dumps(body)
        handled = await front.take(body)
        front.later(seconds=30)
        assert [type(event).__name__ for event in handled.events].count("UpdateHandled") == 1
    failed = [record for record in caplog.records if record.message == "update_failed"]
    assert failed == [], failed[0].exc_text if failed else ""
