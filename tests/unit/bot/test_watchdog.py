"""The watcher speaks once when the sign of life stops, and knows a death from an orderly stop."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from bot import heartbeat
from bot.heartbeat import Sign
from bot.watchdog import SILENCE_S_MAX, Watch, Watchdog
from tests.builders import NOON
from tests.fakes.virtual_time import VirtualTime


def sign(second: float, *, is_stopped: bool = False) -> Sign:
    at = NOON + timedelta(seconds=second)
    return Sign(at, True, "3 trackers", is_stopped, ("Holds 0.2 BTC",))


def test_a_death_is_said_once_with_what_is_held_and_the_return_once() -> None:
    watch = Watch()
    assert watch.look(sign(0), 100.0) is None
    assert watch.look(sign(5), 105.0) is None
    assert watch.look(sign(5), 105.0 + SILENCE_S_MAX - 0.1) is None
    said = watch.look(sign(5), 105.0 + SILENCE_S_MAX)
    assert said is not None
    assert "NOT WATCHED" in said
    assert "Holds 0.2 BTC" in said
    assert watch.look(sign(5), 900.0) is None
    back = watch.look(sign(800), 901.0)
    assert back is not None
    assert "back" in back
    assert watch.look(sign(805), 906.0) is None


def test_an_orderly_stop_is_no_death() -> None:
    watch = Watch()
    watch.look(sign(0), 100.0)
    said = watch.look(sign(3, is_stopped=True), 103.0)
    assert said is not None
    assert "good order" in said
    assert watch.look(sign(3, is_stopped=True), 10_000.0) is None


def test_a_watcher_that_starts_beside_a_stopped_agent_keeps_silent_until_it_runs() -> None:
    watch = Watch()
    assert watch.look(sign(0, is_stopped=True), 100.0) is None
    assert watch.look(sign(0, is_stopped=True), 1_000.0) is None
    said = watch.look(sign(1_000), 1_100.0)
    assert said is not None
    assert "back" in said


def test_an_agent_that_never_gave_a_sign_is_told_too() -> None:
    watch = Watch()
    assert watch.look(None, 100.0) is None
    said = watch.look(None, 100.0 + SILENCE_S_MAX)
    assert said is not None
    assert "never" in said


def test_a_step_of_the_wall_clock_is_no_death() -> None:
    watch = Watch()
    watch.look(sign(0), 100.0)
    assert watch.look(sign(3_605), 105.0) is None
    assert watch.look(sign(10), 110.0) is None


@dataclass
class _Way:
    is_open: bool = True
    said: list[str] = field(default_factory=list)

    async def say(self, text: str) -> bool:
        if self.is_open:
            self.said.append(text)
        return self.is_open


async def test_within_fifteen_seconds_of_the_last_sign_it_is_said_by_every_way(
    tmp_path: Path,
) -> None:
    time = VirtualTime()
    heartbeat.write(tmp_path, NOON, is_healthy=True, note="")
    ways = (_Way(), _Way())
    watchdog = Watchdog(tmp_path, [way.say for way in ways], time, time.sleep)
    for _ in range(30):
        await watchdog.step()
        await time.pass_by(0.5)
    assert [len(way.said) for way in ways] == [1, 1]


async def test_what_no_way_takes_is_tried_until_one_does(tmp_path: Path) -> None:
    time = VirtualTime()
    way = _Way(is_open=False)
    watchdog = Watchdog(tmp_path, [way.say], time, time.sleep)
    for _ in range(60):
        await watchdog.step()
        await time.pass_by(0.5)
    assert way.said == []
    way.is_open = True
    for _ in range(10):
        await watchdog.step()
        await time.pass_by(0.5)
    assert len(way.said) == 1
