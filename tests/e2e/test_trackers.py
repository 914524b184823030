"""Every kind of tracker, armed and fired from the chat in a still market."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
import pytest_asyncio

from tests.catalogue import fired
from tests.e2e.coin import HELD, Coin, Mint
from tests.e2e.world import World

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]

COINS = 30


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mint(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mint]:
    """One world for all tests of this module."""
    options, balance = Mint.options(COINS)
    async with World(tmp_path_factory.mktemp("trackers"), options, balance) as world:
        minted = Mint(world)
        await minted.open(COINS)
        yield minted


@pytest_asyncio.fixture(loop_scope="module")
async def coin(mint: Mint) -> Coin:
    """A coin of its own."""
    return await mint.take()


def line(first: str, second: str) -> str:
    """A line from ten days ago to ten days ahead."""
    now = datetime.now(UTC)
    points = zip((now - timedelta(days=10), now + timedelta(days=10)), (first, second), strict=True)
    return " ".join(f"{at:%Y-%m-%dT%H:%M} {price}" for at, price in points)


# Rule, prices at which it keeps still, the price at which it sells, and what it sells then.
SALES = [
    ("stop 95 all", ["95.1", "103"], "94.9", "50"),
    ("stop 90 trail 2% 20", ["110", "107.9"], "107.7", "20"),
    ("trail 3% all", ["105", "101.9"], "101.8", "50"),
    ("sell above 110 trail 2% all", ["97", "105", "111", "115", "112.8"], "112.6", "50"),
    (f"lines {line('85', '95')} / {line('115', '105')} trail 1.5% all", ["111"], "109.2", "50"),
    (f"stop line {line('90', '100')} all", ["95.5"], "94.8", "50"),
    ("stop 95 50%", ["96"], "94.9", "25"),
    ("stop 95 500 USDT", ["96"], "94.9", "5"),
    ("stop 95 all confirm 3 ticks", ["94.9", "94.8"], "94.7", "50"),
    ("stop 95 all confirm close 15m max 1%", ["94.5", "96", "94.2"], "94", "50"),
    ("stop 95 all price bid", ["95.2"], "94.9", "50"),
    ("sell above 110 trail 2% all stop 95", ["96"], "94.9", "50"),
]


async def test_a_tracker_sells_its_slice_when_its_rule_is_true_and_not_before(mint: Mint) -> None:
    coins = [await mint.take() for _ in SALES]
    for coin, (rule, *_) in zip(coins, SALES, strict=True):
        await coin.track(rule)
    for coin, (_, quiet, *_) in zip(coins, SALES, strict=True):
        await coin.price(*quiet)
        # At once: three ticks beyond a level are one price for five seconds as well.
        assert await coin.orders() == []
    for coin, (_, _, fatal, _) in zip(coins, SALES, strict=True):
        await coin.price(fatal)
    for coin, (_, _, _, quantity) in zip(coins, SALES, strict=True):
        await coin.sold(quantity)


@pytest.mark.parametrize(
    ("rule", "quiet", "fatal"),
    [
        ("buy below 90 trail 1% 500 USDT then once", ["91", "89", "85", "85.8"], "85.9"),
        ("buy stop 105 500 USDT", ["99", "104.9"], "105.1"),
    ],
)
async def test_a_tracker_buys_within_its_budget(
    coin: Coin, rule: str, quiet: list[str], fatal: str
) -> None:
    await coin.track(rule)
    await coin.price(*quiet)
    assert await coin.orders() == []
    await coin.price(fatal)
    await coin.told(rf"Bought [\d.]+ {coin.name}\b")
    cost = await coin.done("BUY") * Decimal(fatal)
    assert Decimal(490) < cost <= Decimal(500)


async def test_a_distance_in_average_true_ranges_trails_too(mint: Mint) -> None:
    world = mint.world
    card = await world.arm("/track BTC/USDT trail 2.5 atr 1h all")
    assert "🛡 protected" in card["text"]
    await world.price("56000")
    await world.until_message(r"Sold 0\.5 BTC", after=card["message_id"])


async def test_swing_buys_back_below_its_own_sale_from_its_proceeds(coin: Coin) -> None:
    await coin.track("trail 2% all then swing 6%")
    await coin.price("97.9")
    await coin.sold()
    await coin.told("Watching again")
    await coin.price("91", "91.9")
    assert await coin.done("BUY") == 0
    await coin.price("93")
    await coin.told(rf"Bought [\d.]+ {coin.name}\b")
    assert 50 < await coin.done("BUY") <= 50 * Decimal("97.9") / Decimal("92.9")


async def test_cooldown_rests_until_the_price_was_back(coin: Coin) -> None:
    # All coins are under care, and no other tracker owns those that stay: they are watched next.
    number = await coin.number(await coin.track("stop 50 all"))
    await coin.world.press(await coin.world.answer(f"/tracker {number} cancel", "End"), "Confirm")
    await coin.told("was cancelled")
    await coin.track("stop 95 20 then cooldown")
    await coin.price("94")
    await coin.sold("20")
    await coin.told("Resting")
    await coin.price("93", "92")
    assert await coin.done("SELL") == 20


# ---------------------------------------------------------------- what is refused


async def test_a_stop_that_is_already_crossed_is_refused_with_the_price(coin: Coin) -> None:
    text = await coin.refused("stop 105 all")
    assert "100" in text
    assert "105" in text
    assert await coin.orders() == []


async def test_a_second_all_is_refused_and_names_the_first(coin: Coin) -> None:
    first = await coin.number(await coin.track("stop 90 all"))
    text = await coin.refused("stop 80 all")
    assert f"#{first}" in text
    assert "50" in text


async def test_a_swing_that_cannot_gain_is_refused_with_the_numbers(coin: Coin) -> None:
    assert "%" in await coin.refused("trail 3% all then swing 0.5%")


# ---------------------------------------------------------------- changing a live tracker


async def test_tightening_acts_at_once_and_loosening_asks(coin: Coin) -> None:
    number = await coin.number(await coin.track("trail 5% all"))
    # The answer is the tracker's card, which says at once what is true from now on.
    tightened = await coin.world.answer(f"/tracker {number} trail 3%", "trail 3%")
    assert "97" in tightened["text"]
    question = await coin.world.answer(f"/tracker {number} trail 10%", "Loosen")
    assert "worst -150.00" in question["text"]
    assert "worst -500.00" in question["text"]
    await coin.world.press(question, "Cancel")
    await coin.world.until_edited(question)
    await coin.price("96.9")
    await coin.sold()


async def test_a_paused_tracker_is_silent_until_it_is_resumed(coin: Coin) -> None:
    number = await coin.number(await coin.track("stop 95 all"))
    question = await coin.world.answer(f"/tracker {number} pause", "Pause")
    assert "NOT be protected" in " ".join(question["text"].split())
    await coin.world.press(question, "Confirm")
    await coin.world.until_edited(question)
    await coin.price("94", "96")
    assert await coin.orders() == []
    await coin.world.answer(f"/tracker {number} resume", "watches again|watching")
    await coin.price("94")
    await coin.sold()


async def test_an_ended_tracker_never_fires(coin: Coin) -> None:
    number = await coin.number(await coin.track("stop 95 all"))
    await coin.world.press(await coin.world.answer(f"/tracker {number} cancel", "End"), "Confirm")
    await coin.told("was cancelled")
    await coin.price("90")
    ended = await coin.world.answer(f"/tracker {number}", "cancelled")
    assert f"#{number}" in ended["text"]
    assert "Nothing is watched" in ended["text"]
    assert await coin.orders() == []


# ---------------------------------------------------------------- what cannot be sold


async def test_a_floor_blocks_an_exit_rather_than_sell_below_it(coin: Coin) -> None:
    await coin.track("stop 95 all slippage 0.5%")
    name = f"{coin.name}USDT"
    # Bids stand 1.5 % below the print, which the floor does not allow.
    await coin.world.control("book", symbol=name, spread="0.03")
    await coin.price("94")
    blocked = await coin.told("🚨 BLOCKED: ")
    assert ["⚡ Exit now", "✖️ Abort", "👍 Seen"] in blocked["buttons"]
    assert await coin.done("SELL") == 0
    await coin.world.control("book", symbol=name, spread="0")
    await coin.sold()


@pytest.mark.fault("W02", "SAID")
async def test_a_connection_that_announces_its_end_is_replaced_before_it_has_ended(
    coin: Coin,
) -> None:
    await coin.track("stop 95 all")
    world = coin.world
    announced_ms = await world.server_time_ms()
    await world.fault("announce_end", scope="market")

    async def is_replaced() -> bool:
        connections = (await world.seen("streams"))["connections"]
        markets = [one["connected_ms"] for one in connections if one["scope"] == "market"]
        return bool(markets) and min(markets) >= announced_ms

    await world.until(is_replaced, "the old connection is still the one")
    await coin.price("94.9")
    await coin.sold()
    fired([one["effects"] for one in await world.faults() if one["kind"] == "announce_end"])
    assert await world.count(rf"(?i)live\s+prices\s+of\s+{coin.symbol}", coin.begin) == 0


@pytest.mark.fault("X24", "ONE SAID")
async def test_a_stop_sells_once_though_the_cancel_of_its_backstop_is_never_answered(
    coin: Coin,
) -> None:
    await coin.track("stop 95 all backstop 80")

    async def rests() -> bool:
        return [one["status"] for one in await coin.orders()] == ["NEW"]

    await coin.world.until(rests, "the backstop never reached the exchange")
    cancel = {"path": "/api/v3/order", "method": "DELETE", "symbol": f"{coin.name}USDT"}
    await coin.world.fault("drop_response", **cancel)
    await coin.price("94.9")
    await coin.sold()
    lost = [one["fired"] for one in await coin.world.faults() if one["args"] == cancel]
    backstop, sale = await coin.orders()
    assert (backstop["type"], backstop["status"]) == ("STOP_LOSS", "CANCELED")
    assert (sale["status"], Decimal(sale["executedQty"])) == ("FILLED", HELD)
    fired(lost, words="answers to a cancel lost")


async def test_halt_everything_holds_a_trigger_until_exit_now(coin: Coin) -> None:
    world = coin.world
    await coin.track("stop 95 all")
    await world.press(await world.answer("/halt everything", "EVERYTHING"), "Confirm")
    await coin.told("HALTED EVERYTHING")
    assert "UNPROTECTED" in (await world.answer("/status", "Equity"))["text"]
    assert "🛡" not in (await world.answer("/positions", "💼"))["text"]
    await coin.price("94")
    blocked = await coin.told("🚨 BLOCKED: ")
    assert await coin.orders() == []
    await world.press(blocked, "Exit now")
    await coin.sold()
    await world.press(await world.answer("/resume", "Resume"), "Confirm")
    await coin.told("Active again")
