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


def test_a_death_is_said_with_what_is_held_and_the_return_once() -> None:
    watch = Watch()
    assert watch.look(sign(0), 100.0) is None
    assert watch.look(sign(5), 105.0) is None
    assert watch.look(sign(5), 105.0 + SILENCE_S_MAX - 0.1) is None
    said = watch.look(sign(5), 105.0 + SILENCE_S_MAX)
    assert said is not None
    assert "NOT WATCHED" in said
    assert "Holds 0.2 BTC" in said
    assert watch.look(sign(5), 150.0) is None
    back = watch.look(sign(800), 151.0)
    assert back is not None
    assert "back" in back
    assert watch.look(sign(805), 156.0) is None


def test_a_death_is_said_again_until_there_is_life_or_an_orderly_end() -> None:
    for ends_with in (sign(9_000), sign(9_000, is_stopped=True)):
        watch = Watch()
        watch.look(sign(0), 0.0)
        said = [second for second in range(1, 3_001) if watch.look(sign(0), float(second))]
        died = said[0]
        assert [second - died for second in said[1:]] == [60, 300, 900, 1_800, 2_700]
        assert watch.is_repeating
        assert watch.look(ends_with, 3_001.0) is not None
        assert not any(watch.look(ends_with, second) for second in (3_002.0, 3_008.0))
        assert not watch.is_repeating
    # The second life's death is counted anew.
    watch.look(sign(9_005), 3_010.0)
    again = [second for second in range(3_011, 3_200) if watch.look(sign(9_005), float(second))]
    assert [second - again[0] for second in again] == [0, 60]


def test_a_death_that_stands_for_long_says_minutes_and_that_it_goes_on() -> None:
    watch = Watch()
    watch.look(sign(0), 0.0)
    watch.look(sign(0), 20.0)
    said = watch.look(sign(0), 320.0)
    assert said is not None
    assert "no sign of life for 5 min: PRIVATE STOPS ARE NOT WATCHED" in said
    assert "Holds 0.2 BTC" in said
    assert "until it runs" in said


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
    await _look(watchdog, time, 30)
    assert [len(way.said) for way in ways] == [1, 1]


async def _look(watchdog: Watchdog, time: VirtualTime, times: int) -> None:
    for _ in range(times):
        await watchdog.step()
        await time.pass_by(0.5)


async def test_what_no_way_takes_is_tried_until_one_does(tmp_path: Path) -> None:
    time = VirtualTime()
    way = _Way(is_open=False)
    watchdog = Watchdog(tmp_path, [way.say], time, time.sleep)
    await _look(watchdog, time, 60)
    assert way.said == []
    way.is_open = True
    await _look(watchdog, time, 10)
    assert len(way.said) == 1


async def test_a_death_that_no_way_takes_for_long_is_said_once_when_one_does(
    tmp_path: Path,
) -> None:
    time = VirtualTime()
    way = _Way(is_open=False)
    watchdog = Watchdog(tmp_path, [way.say], time, time.sleep)
    await _look(watchdog, time, 2_000)
    way.is_open = True
    await _look(watchdog, time, 10)
    assert len(way.said) == 1
    assert "for 15 min" in way.said[0]
