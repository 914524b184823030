"""Panic with twenty open positions: flat within two seconds of Confirm, and halted for good."""

import time
from decimal import Decimal
from itertools import cycle
from pathlib import Path

import pytest

from tests.e2e.coin import Mint
from tests.e2e.world import OWNER_ID, World

pytestmark = pytest.mark.e2e

POSITIONS = 16
FLAT_WITHIN_S = 2.0
_TRADER_ID = 77
HOUSE = ("BTC", "ETH", "SOL", "DOGE")


@pytest.mark.alone
async def test_twenty_positions_are_flat_within_two_seconds_and_stay_halted(
    tmp_path: Path,
) -> None:
    _, coins = Mint.options(POSITIONS)
    balance = f"{coins},ETH=2,SOL=20,DOGE=10000"
    async with World(tmp_path, ("--still", "--markets", "25"), balance, is_executed=True) as world:
        mint = Mint(world)
        await mint.open(POSITIONS)
        names = [*HOUSE, *[(await mint.take()).name for _ in range(POSITIONS)]]
        # A chat takes one message a second in the long run, so two people arm in turns.
        await world.confirm(f"/role {_TRADER_ID} trader")
        await world.until_message(f"{_TRADER_ID} is trader")
        for name, person in zip(names, cycle((OWNER_ID, _TRADER_ID))):
            armed = await world.arm(f"/track {name}/USDT trail 20% all", person)
            assert "🛡 protected" in armed["text"]
        question = await world.answer("/panic", "PANIC: sell 20")

        async def is_flat() -> bool:
            orders = await world.orders()
            return len(orders) == len(names) and {o["status"] for o in orders} == {"FILLED"}

        pressed_s = time.monotonic()
        await world.press(question, "Confirm")
        await world.until(is_flat, "not flat")
        took_s = time.monotonic() - pressed_s
        assert took_s <= FLAT_WITHIN_S

        for name in names:
            assert await world.balance_of(name) == 0, name
        await _check_halted(world)
        assert "No open position" in (await world.answer("/status", "Equity"))["text"]

        await world.kill_agent()
        await world.start_agent()
        await _check_halted(world)
        resume = await world.answer("/resume", "Resume")
        await world.press(resume, "Confirm")
        await world.until_message("Active again", after=resume["message_id"])
        assert "active" in (await world.answer("/status", "Equity"))["text"]


async def _check_halted(world: World) -> None:
    assert "HALTED" in (await world.answer("/status", "Equity"))["text"]
    assert "halted" in (await world.answer("/buy BTC/USDT 100 USDT", "✋"))["text"].lower()


async def test_everything_is_a_second_button_that_takes_what_was_never_managed(
    world: World,
) -> None:
    await world.arm("/track BTC/USDT stop 50000 0.2")
    question = await world.answer("/panic", "PANIC")
    assert "not managed" in question["text"]
    await world.press(question, "Everything")
    sure = await world.until_edited(question)
    if any(text.endswith("Confirm") for row in sure["buttons"] for text in row):
        await world.press(sure, "Confirm")
    await world.until_message(r"Sold 0\.5 BTC")
    assert await world.balance_of("BTC") == Decimal(0)
