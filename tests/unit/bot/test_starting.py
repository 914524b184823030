"""A start waits for a full disk and for an exchange, says for what, and for no broken disk."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest

from bot.starting import Start
from tests.fakes.clock import FakeClock
from trading.decide import DecisionSettings
from trading.domain.errors import AuthLost, StorageLost, Unreachable
from trading.installation import AgentSettings
from trading.risk.limits import RiskLimits


@dataclass
class _Parts:
    """Agent, store and marks of a start, as far as it asks them."""

    free_at_look: int
    is_broken: bool = False
    is_ready: bool = False
    becomes_ready: bool = False
    looks: int = 0
    recoveries: int = 0
    restores: int = 0
    findings_told: list[str] = field(default_factory=list)

    @property
    def journal(self) -> "_Parts":
        return self

    @property
    def alarms(self) -> "_Parts":
        return self

    findings = ("the database takes no writes",)

    def forget_lost(self) -> None:
        self.findings_told.append("")

    async def alert(self, _: str, text: str) -> None:
        self.findings_told.append(text)

    async def append(self) -> int:
        self.looks += 1
        if self.looks < self.free_at_look:
            raise StorageLost("disk full")
        return 1

    async def recover(self) -> None:
        self.recoveries += 1
        if self.looks < self.free_at_look:
            self.is_ready = self.becomes_ready
            raise StorageLost("disk full")

    async def restore(self) -> None:
        self.restores += 1


class _NoMarks:
    def findings(self) -> dict[str, str]:
        return {}


async def _silent(_: str) -> bool:
    raise AssertionError("a start that waits for the disk is told by the watch on it")


def _start(parts: _Parts, slept: list[float]) -> Start:
    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    clock = FakeClock(datetime(2026, 11, 20, tzinfo=UTC))
    return Start(parts, parts, _NoMarks(), clock, _silent, sleep)  # type: ignore[arg-type]


async def test_a_start_on_a_full_disk_goes_on_when_there_is_room() -> None:
    parts, slept = _Parts(free_at_look=4), []  # type: tuple[_Parts, list[float]]
    await _start(parts, slept).run(parts.restore)
    # The exchange is asked once before and once after, however long the disk is full.
    assert (parts.recoveries, parts.restores, slept) == (2, 1, [1.0] * 4)
    assert parts.findings_told == ["", "the database takes no writes"]


class _FullAgain(_Parts):
    """A disk that is full again as soon as the agent watches, for two looks."""

    async def recover(self) -> None:
        self.is_ready, self.free_at_look = True, self.looks + 3

    async def alert(self, _: str, text: str) -> None:
        if self.looks < self.free_at_look:
            raise StorageLost("disk full")
        self.findings_told.append(text)


async def test_what_a_start_has_found_waits_for_a_disk_that_is_full_again() -> None:
    parts, slept = _FullAgain(free_at_look=0), []  # type: tuple[_FullAgain, list[float]]
    await _start(parts, slept).run(parts.restore)
    assert (parts.findings_told, slept) == (["", "the database takes no writes"], [1.0] * 3)
    broken = _FullAgain(free_at_look=0, is_broken=True)
    with pytest.raises(StorageLost):
        await _start(broken, slept).run(broken.restore)


@pytest.mark.parametrize("fate", ["is_broken", "becomes_ready"])
async def test_a_start_without_a_database_ends_and_so_does_one_that_watched(fate: str) -> None:
    slept: list[float] = []
    parts = _Parts(free_at_look=4, **{fate: True})  # type: ignore[arg-type]
    with pytest.raises(StorageLost):
        await _start(parts, slept).run(parts.restore)
    assert (parts.recoveries, slept) == (1, [])


class _Refused(_Parts):
    """An agent whose key is refused; what it leaves undone is known, or the journal is gone."""

    def __init__(self, left: tuple[str, ...] | None) -> None:
        super().__init__(free_at_look=0)
        self.left = left

    async def recover(self) -> None:
        raise AuthLost("the key is refused")

    async def unwatched(self) -> tuple[str, ...]:
        if self.left is None:
            raise StorageLost("the database cannot be read")
        return self.left


@pytest.mark.parametrize(
    ("left", "said"),
    [
        (("STOPS ARE NOT WATCHED: #1", "#2 HAS FIRED"), "STOPS ARE NOT WATCHED: #1. #2 HAS FIRED"),
        (None, "PRIVATE STOPS ARE NOT WATCHED. Which there are, and what is sold, is unknown"),
    ],
)
async def test_a_start_that_is_refused_says_what_nobody_watches_or_sells(
    left: tuple[str, ...] | None, said: str
) -> None:
    parts, told = _Refused(left), list[str]()

    async def tell(text: str) -> bool:
        told.append(text)
        return True

    clock = FakeClock(datetime(2026, 11, 20, tzinfo=UTC))
    start = Start(parts, parts, _NoMarks(), clock, tell)  # type: ignore[arg-type]
    with pytest.raises(AuthLost):
        await start.run(parts.restore)
    assert told == [f"Umbra does not start: the key is refused. {said}"]


async def test_what_else_was_found_is_told_after_what_the_store_found() -> None:
    parts = _Parts(free_at_look=0)
    start = Start(parts, parts, _NoMarks(), FakeClock(), _silent)  # type: ignore[arg-type]
    await start.run(parts.restore, ["a sale is not marked"])
    assert parts.findings_told == ["", "the database takes no writes", "a sale is not marked"]


class _Elsewhere(_Parts):
    """An agent that asks another exchange than it is set to, until somebody puts that right."""

    settings = AgentSettings(
        mode="paper",
        exchange="kraken",
        currency="USDT",
        version="0",
        limits=RiskLimits(),
        decisions=DecisionSettings(installation="install-1"),
        exchange_address="http://127.0.0.1:8090",
    )

    def __init__(self, right_after: int) -> None:
        super().__init__(free_at_look=0)
        self.right_after = right_after
        self.told: list[str] = []
        self.failures: list[Unreachable] = []

    async def recover(self) -> None:
        self.recoveries += 1
        if self.failures:
            raise self.failures.pop(0)
        if self.recoveries <= self.right_after:
            raise Unreachable("http 404, code -1000: No endpoint GET /0/public/AssetPairs.", 404)

    async def tell_unreached(self, advice: str) -> None:
        self.told.append(advice)


async def test_a_start_at_another_exchange_says_so_and_goes_on_once_it_is_the_right_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    agent, clock = _Elsewhere(right_after=12), FakeClock()

    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.advance(seconds)

    start = Start(agent, agent, _NoMarks(), clock, _silent, sleep)  # type: ignore[arg-type]
    await start.run(agent.restore)
    said = (
        "What answers for kraken at http://127.0.0.1:8090 does not know what is asked (404): it "
        "may be another exchange. Check UMBRA_EXCHANGE_ID and UMBRA_EXCHANGE_REST_URL"
    )
    # A hiccup of seconds is told to nobody, what lasts longer is, once.
    assert (agent.recoveries, agent.told) == (13, [said])
    assert [record.__dict__["advice"] for record in caplog.records] == [said]
    # Who refuses is asked less and less often.
    assert slept == [1.0, 2.0, 4.0, 8.0, *[15.0] * 8]


async def test_a_start_asks_a_silent_exchange_each_second_and_logs_what_changes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    silent, refused = Unreachable("nothing came in time"), Unreachable("http 404", 404)
    down = Unreachable("http 502", 502)
    agent, clock = _Elsewhere(right_after=0), FakeClock()
    agent.failures = [*[silent] * 60, *[refused] * 2, *[down] * 3, refused]
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        clock.advance(seconds)

    start = Start(agent, agent, _NoMarks(), clock, _silent, sleep)  # type: ignore[arg-type]
    await start.run(agent.restore)
    assert slept == [*[1.0] * 60, 1.0, 2.0, *[1.0] * 3, 1.0]
    logged = [record.__dict__["error"] for record in caplog.records]
    assert logged == ["nothing came in time", "http 404", "http 502", "http 404"]
    assert len(agent.told) == 1
