"""A start that cannot be right ends in one sentence: the setting's exact name and an example."""

import socket

import pytest

from bot.accounts import exchange_place
from storage.lease import AccountLock
from tests.catalogue import fired
from tests.e2e.world import World
from trading.sim.liquidity import hash_of

pytestmark = pytest.mark.e2e

_NOBODY = "postgresql+asyncpg://umbra:hidden@127.0.0.1:{port}/umbra"
_WRONG = [
    ({"UMBRA_DATA_DIR": "/proc/x"}, "UMBRA_DATA_DIR=/var/lib/umbra"),
    ({"UMBRA_DATA_DIR": "{folder}/file"}, "UMBRA_DATA_DIR=/var/lib/umbra"),
    ({"UMBRA_DATA_DIR": "{folder}/file/below"}, "was '{folder}/file/below'"),
    ({"UMBRA_DATABASE_URL": _NOBODY}, "UMBRA_DATABASE_URL=sqlite+aiosqlite:////var/lib"),
    (
        {"UMBRA_DATABASE_URL": "sqlite+aiosqlite:///{folder}/file/umbra.db"},
        "UMBRA_DATABASE_URL=sqlite+aiosqlite:////var/lib",
    ),
    ({"UMBRA_CURRENCY": "EUR"}, "UMBRA_CURRENCY should name coins of the exchange, EUR is none"),
    ({"UMBRA_CURRENCY": "USTD"}, "near it: USDT"),
    (
        {"UMBRA_MODE": "paper", "UMBRA_PAPER_BALANCE": "FOO=5"},
        "UMBRA_PAPER_BALANCE=USDT=10000,BTC=0.5",
    ),
    (
        {"UMBRA_MODE": "paper", "UMBRA_PAPER_BALANCE": "USDT=-5"},
        "UMBRA_PAPER_BALANCE=USDT=10000,BTC=0.5",
    ),
    ({"UMBRA_MODE": "paper", "UMBRA_PAPER_BALANCE": "DOGEE=5"}, "near it: DOGE"),
]


@pytest.mark.fault("I06", "SAID")
async def test_a_start_that_cannot_be_right_is_refused_by_name_and_by_example(
    quiet_world: World,
) -> None:
    world = quiet_world
    (world.folder / "file").touch()
    # Bound and not listened to: nobody answers there, and nobody else can.
    nobody = socket.socket()
    nobody.bind(("127.0.0.1", 0))
    with nobody:
        await _refused(world, str(nobody.getsockname()[1]))


async def _refused(world: World, port: str) -> None:
    told = {"folder": str(world.folder), "port": port}
    for values, expected in _WRONG:
        before = len(world.log()) if "run" in world.processes else 0
        world.settings = {name: text.format(**told) for name, text in values.items()}
        await world.spawn("run")
        assert await world.agent_exit() == 2, values
        said = world.log()[before:]
        assert expected.format(**told) in said, said
        assert "Traceback" not in said
        assert "hidden" not in said
        fired(said.count(expected.format(**told)), words=said)


@pytest.mark.parametrize(
    ("balance", "expected"),
    [
        ("FOO=1", "FOO is none"),
        ("DOGEE=1", "near it: DOGE"),
        ("USDT=-1", "balance of USDT should be a plain number with a point, was '-1'"),
    ],
)
async def test_an_exchange_that_cannot_hold_a_balance_does_not_start(
    quiet_world: World, balance: str, expected: str
) -> None:
    world = quiet_world
    await world.end("sim")
    before = len(world.log("sim"))
    sim = await world.spawn("sim", "--port", "0", "--balance", balance)
    assert await sim.wait() == 2
    said = world.log("sim")[before:]
    assert expected in said
    assert "for example: USDT=10000,BTC=0.5" in said


async def test_an_account_that_another_key_trades_on_this_host_is_left_alone(
    quiet_world: World,
) -> None:
    world = quiet_world
    other = AccountLock(exchange_place("binance", world.exchange), "another key of it")
    other.take()
    other.claim(str(hash_of(world.environment["UMBRA_EXCHANGE_API_KEY"])))
    try:
        await world.spawn_agent()
        assert await world.agent_exit() == 2
    finally:
        other.release()
    assert "two agents must not trade one account" in world.log()
    assert "Traceback" not in world.log()
    # Whoever is not at the terminal learns it, too.
    told = await world.until_message("Umbra does not start")
    assert "two agents must not trade" in " ".join(told["text"].split())
    # The place is free again.
    await world.start_agent()


async def test_a_demo_that_cannot_keep_its_data_does_not_start(quiet_world: World) -> None:
    world = quiet_world
    demo = await world.spawn("demo", "--data-dir", "/proc/x")
    assert await demo.wait() == 2
    assert "--data-dir should be a directory to write in, was '/proc/x'" in world.log("demo")
    assert "Traceback" not in world.log("demo")
