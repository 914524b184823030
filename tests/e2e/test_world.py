"""The world of these tests finds its own servers, whoever else takes ports on this machine."""

import asyncio
import socket

import pytest

from tests.announced import address_in, is_taken_in
from tests.e2e.world import World

pytestmark = pytest.mark.e2e


def test_an_address_is_what_a_server_announces_and_not_what_is_said_of_another() -> None:
    assert address_in("") is None
    assert address_in("umbra: port 8090 is taken, choose another") is None
    assert address_in("a warning\nLocal chat on http://127.0.0.1:4242/ and") == (
        "http://127.0.0.1:4242"
    )
    assert is_taken_in("umbra: port 8090 is taken, choose another")
    assert not is_taken_in("umbra: --balance should be coins")


async def test_an_exchange_comes_back_where_it_was_though_somebody_was_there_for_a_moment(
    quiet_world: World,
) -> None:
    world = quiet_world
    await world.end("sim")
    with socket.socket() as somebody:
        somebody.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        somebody.bind(("127.0.0.1", int(world.exchange.rpartition(":")[2])))
        somebody.listen()
        begin = len(world.log("sim"))
        serving = asyncio.create_task(world.serve_exchange())

        async def is_refused() -> bool:
            return is_taken_in(world.log("sim")[begin:])

        await world.until(is_refused, "the port is not taken")
        assert not serving.done()
    assert await serving == world.exchange
    await world.price("59000")
