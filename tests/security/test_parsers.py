"""Z-05: whatever a person types or taps is read or refused, quickly, and never crashes."""

import json
import logging
import random
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from bot import totp
from bot.telegram import confirm, grammar, invitations
from bot.telegram.commands import lines
from bot.telegram.commands.registry import COMMANDS
from bot.telegram.stepup import code_in
from tests.fakes.desk import find
from tests.security.bending import INPUTS, TIMEOUT_S, bent_texts, bent_value, read_all
from tests.security.front import Front, tapped, typed
from trading.domain.errors import Refused
from trading.domain.money import parse_decimal, parse_percent, plain

pytestmark = [pytest.mark.slow, pytest.mark.timeout(TIMEOUT_S)]

# What a front has heard stays in its memory.
_UPDATES_PER_FRONT = 2_000


def test_z05_typed_commands_are_read_or_refused() -> None:
    seeds = [
        *(entry.example for entry in COMMANDS),
        "/track BTC/USDT sell above 65000 trail 2% all then swing 4%",
        "/track ADA/USDC lines T1 P1 T2 P2 / T1 P1 T2 P2 trail 1.5% all confirm 3 ticks max 1%",
        "/tracker 3 stop 59000",
        "/track BTC/USDT buy below 55000 trail 1% 500 USDT confirm close 15m",
    ]
    refused = read_all(lambda text: grammar.parse(text, find), bent_texts(seeds), Refused)
    # Both happen, or the inputs would prove nothing.
    assert 0 < refused < INPUTS


def test_z05_lines_about_what_is_watched_are_read_or_refused() -> None:
    def read(text: str) -> None:
        line = lines.read_line(text.split(), lambda word: find(word).symbol, "/watch BTC/USDT")
        assert line.symbols
        assert len(line.timeframes) <= lines.TIMEFRAMES_MAX
        if line.threshold:
            value = lines.read_threshold(line.threshold, "")
            assert value is None or 1 <= value <= 100

    seeds = ["BTC/USDT 15m 1h 4h threshold 70", "btc-usdt ETH/USDT from auto", "BTC/USDT 1h"]
    refused = read_all(read, bent_texts(seeds), Refused)
    assert 0 < refused < INPUTS


def test_z05_codes_of_invitations_are_read_or_are_none() -> None:
    def read(text: str) -> None:
        digest = invitations.digest_of(text)
        assert digest is None or len(digest) == 64

    assert read_all(read, bent_texts(["abcde-fghij", "ABCDE-FGHIJ", "k7qp2mx4ab"]), Refused) == 0


@pytest.mark.parametrize("parse", [parse_decimal, parse_percent])
def test_z05_numbers_are_read_exactly_or_refused(parse: Callable[[str], Decimal]) -> None:
    def read(text: str) -> None:
        number = parse(text)
        assert number.is_finite()
        assert Decimal(plain(number)) == number

    seeds = ["65000", "0.00001", "1234567.89", "2%", "0.5%", "1e3", "-1", "1 000", "1,5", "٣٤"]
    refused = read_all(read, bent_texts(seeds), Refused)
    assert 0 < refused < INPUTS


def test_z05_answers_of_buttons_are_read() -> None:
    def read(data: str) -> object:
        return confirm.is_answer(data) and confirm.nonce_of(data)

    seeds = ["c:nonce", "x:nonce", "e:nonce", "+/status"]
    assert read_all(read, bent_texts(seeds), Refused) == 0


def test_z05_codes_and_their_secrets_are_read_or_refused() -> None:
    secret, at = b"1" * 20, datetime(2026, 11, 20, tzinfo=UTC)

    def read(text: str) -> object:
        code_in(text)
        totp.matching_step(secret, text, at)
        return totp.read_secret(text)

    seeds = ["123456", "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ"]
    refused = read_all(read, bent_texts(seeds), ValueError)
    assert 0 < refused < INPUTS


async def test_z05_a_mutated_update_has_one_end_and_never_ends_the_chat(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # What is refused is logged, and a million of that would fill the memory.
    caplog.set_level(logging.ERROR)
    front, chance = Front(), random.Random(7)
    bodies = [typed(entry.example) for entry in COMMANDS] + [tapped("c:nonce1"), tapped("+/status")]
    for number in range(INPUTS):
        if number % _UPDATES_PER_FRONT == 0:
            front = Front()
        body = bent_value(chance, chance.choice(bodies))
        assert json.dumps(body)
        handled = await front.take(body)
        front.later(seconds=30)
        assert [type(event).__name__ for event in handled.events].count("UpdateHandled") == 1
    failed = [record for record in caplog.records if record.message == "update_failed"]
    assert failed == [], failed[0].exc_text if failed else ""
