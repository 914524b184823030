"""The long run in small: a few rounds of weather, and what its figures say."""

import random
from pathlib import Path

import pytest

from tests.e2e.soak import Soak, slope_mb_per_h, soaked_hours
from tests.e2e.world import World


@pytest.mark.e2e
@pytest.mark.timeout(300)
async def test_stops_in_faulty_weather_end_in_one_sale_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    async with World(tmp_path / "world") as world:
        soak = Soak(world, random.Random(5), "state", 0.0)
        await soak.run(0.004)
        assert soak.rounds > 0
        assert soak.fired.total() > 0
        assert soak.failures() == []


def test_memory_that_grows_shows_as_a_slope_once_it_is_warm() -> None:
    growing = [(minute / 60, 150.0 + minute / 60 * 2.5) for minute in range(121)]
    assert slope_mb_per_h(growing) == 2.5
    # What a start fills is no leak, and too little says nothing.
    filled = [(minute / 60, 100.0 + min(minute, 15) * 5) for minute in range(121)]
    assert slope_mb_per_h(filled) == 0.0
    assert slope_mb_per_h(growing[:70]) is None


def test_hours_of_other_sources_do_not_count() -> None:
    rows = [["a", "0.0", "1.5", "180.0", "9"], ["a", "1.5", "0.5", "181.0", "3"]]
    assert soaked_hours(rows, "a") == 2.0
    assert soaked_hours(rows, "b") == 0.0
