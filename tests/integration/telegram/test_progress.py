"""What takes its time, over the wire: a sign in the chat that turns into a picture, or a file."""

import asyncio
from pathlib import Path

import pytest

from bot.charts.worker import Picture
from tests.integration.telegram.conftest import PixelCharts, World


class GatedCharts(PixelCharts):
    """Draws once the gate is open."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()

    async def draw(self, picture: Picture, path: Path) -> Path:
        async with asyncio.timeout(10):
            await self.gate.wait()
        return await super().draw(picture, path)


async def test_a_picture_that_takes_long_takes_the_place_of_its_sign(world: World) -> None:
    charts = GatedCharts()
    world.charts = charts
    async with world.running():
        sent = await world.phone.send("/chart BTC/USDT 1h")
        sign = await world.phone.until_text("Drawing…", after=sent)
        charts.gate.set()
        drawn = await world.phone.until_text("BTC/USDT 1h", after=sent)
        rows = await world.phone.messages(after=sent)
    assert sign["media"] is None
    assert drawn["message_id"] == sign["message_id"]
    assert drawn["media"]["kind"] == "photo"
    assert len(rows) == 1


async def test_a_file_that_takes_long_takes_the_place_of_its_sign(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = asyncio.Event()
    write = world._export

    async def export(kind: str) -> Path:
        async with asyncio.timeout(10):
            await gate.wait()
        return await write(kind)

    monkeypatch.setattr(world, "_export", export)
    async with world.running():
        sent = await world.phone.send("/export fills")
        sign = await world.phone.until_text("Writing the file…", after=sent)
        gate.set()
        file = await world.phone.until_text("fills as CSV", after=sent)
    assert file["message_id"] == sign["message_id"]
    assert file["media"]["kind"] == "document"
