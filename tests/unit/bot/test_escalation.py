"""What nobody acknowledges for a minute goes to the second channel, once."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from bot.escalation import Escalation
from bot.repetition import Standing
from tests.fakes.virtual_time import VirtualTime


@dataclass
class _Way:
    name: str = "json (1)"
    way_id: str = "one"
    is_open: bool = True
    calls: int = 0
    said: list[str] = field(default_factory=list)

    async def say(self, text: str) -> bool:
        self.calls += 1
        if self.is_open:
            self.said.append(text)
        return self.is_open


@dataclass
class _Bench:
    folder: Path
    time: VirtualTime = field(default_factory=VirtualTime)
    ways: list[_Way] = field(default_factory=lambda: [_Way()])
    standing: dict[str, str] = field(default_factory=dict)
    since: datetime | None = None

    def start(self) -> Escalation:
        def standing() -> dict[str, Standing]:
            return {key: Standing(text, self.since) for key, text in self.standing.items()}

        return Escalation(self.folder, self.ways, standing, self.time, self.time.sleep)

    async def live(self, escalation: Escalation, seconds: int) -> None:
        for _ in range(seconds):
            await escalation.step()
            await self.time.pass_by(1.0)


async def test_an_alert_goes_out_after_a_minute_and_only_once(tmp_path: Path) -> None:
    bench = _Bench(tmp_path, standing={"a": "the key was refused"})
    escalation = bench.start()
    await bench.live(escalation, 60)
    assert bench.ways[0].said == []
    await bench.live(escalation, 600)
    assert bench.ways[0].said == ["the key was refused"]

    await bench.live(bench.start(), 600)
    assert bench.ways[0].said == ["the key was refused"], "a restart said it again"


async def test_in_a_crash_loop_the_minute_is_counted_over_all_lives(tmp_path: Path) -> None:
    bench = _Bench(tmp_path, standing={"a": "the key was refused"})
    bench.since = bench.time.now()
    for _ in range(2):
        await bench.live(bench.start(), 30)
        assert bench.ways[0].said == []
    await bench.live(bench.start(), 1)
    assert bench.ways[0].said == ["the key was refused"]


async def test_a_wall_clock_that_was_set_back_delays_nothing_beyond_a_minute(
    tmp_path: Path,
) -> None:
    bench = _Bench(tmp_path, standing={"a": "the key was refused"})
    bench.since = bench.time.now() + timedelta(hours=1)
    await bench.live(bench.start(), 61)
    assert bench.ways[0].said == ["the key was refused"]


async def test_what_is_acknowledged_in_time_stays_in_the_chat(tmp_path: Path) -> None:
    bench = _Bench(tmp_path, standing={"a": "text"})
    escalation = bench.start()
    await bench.live(escalation, 50)
    bench.standing.clear()
    await bench.live(escalation, 100)
    assert bench.ways[0].said == []


async def test_that_the_chat_is_lost_does_not_wait_for_the_chat(tmp_path: Path) -> None:
    bench = _Bench(tmp_path, standing={"condition:telegram_conflict::x": "somebody reads"})
    await bench.live(bench.start(), 1)
    assert bench.ways[0].said == ["somebody reads"]


async def test_an_address_that_refuses_is_tried_less_and_less_as_long_as_it_stands(
    tmp_path: Path,
) -> None:
    bench = _Bench(tmp_path, standing={"a": "text"})
    bench.ways.append(_Way("mailto (2)", "two", is_open=False))
    escalation = bench.start()
    await bench.live(escalation, 3_600)
    first, second = bench.ways
    assert first.said == ["text"]
    # After 1 min, 15 s, 1, 5 and 15 min, and then each 15 min.
    assert second.calls == 7
    assert "json (1) ready" in escalation.state
    assert "mailto (2) FAILED 7 times, tries again" in escalation.state

    second.is_open = True
    await bench.live(escalation, 900)
    assert second.said == ["text"]
    assert escalation.state == "json (1) ready, mailto (2) ready"


async def test_a_storm_is_a_few_messages(tmp_path: Path) -> None:
    bench = _Bench(tmp_path, standing={f"alert-{n}": f"text {n}" for n in range(25)})
    await bench.live(bench.start(), 70)
    assert bench.ways[0].calls == 3


def test_without_an_address_there_is_nothing_to_show(tmp_path: Path) -> None:
    assert _Bench(tmp_path, ways=[]).start().state == ""
