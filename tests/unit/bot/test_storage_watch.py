"""A lost disk is told past the journal, and a broken one ends the process."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from decimal import Decimal

import pytest

from bot import storage_watch
from bot.storage_watch import CALM_S, StorageWatch
from tests.catalogue import fired
from tests.fakes.clock import FakeClock
from trading.domain.errors import StorageLost
from trading.domain.events import IntentClosed
from trading.domain.order import Intent, IntentState, Purpose, Side
from trading.domain.position import TradingMode

NOW = FakeClock().now()


@dataclass
class _Store:
    """A store whose disk can be filled, freed and broken."""

    is_full: bool = False
    is_broken: bool = False
    is_slow: bool = False
    mode: TradingMode | None = TradingMode.ACTIVE
    was_told: asyncio.Event = field(default_factory=asyncio.Event)
    told: list[str] = field(default_factory=list)
    unseen: int = 0
    # Whether nobody is reached.
    is_deaf: bool = False

    @property
    def journal(self) -> "_Store":
        return self

    @property
    def is_degraded(self) -> bool:
        return self.is_full

    @property
    def lost_reason(self) -> str:
        return "disk full" if self.is_full else ""

    async def append(self) -> int:
        if self.is_slow:
            await self.was_told.wait()
        if self.is_full or self.is_broken:
            raise StorageLost("disk full")
        return 0

    async def tell(self, text: str, is_unseen: bool) -> bool:
        self.told.append(text)
        self.unseen += is_unseen
        self.was_told.set()
        return not self.is_deaf


async def _never(_: float) -> None:
    raise AssertionError("a probe does not sleep")


async def _at_once(_: float) -> None:
    return None


def _watch(
    store: _Store, clock: FakeClock, sleep: Callable[[float], Awaitable[None]] = _never
) -> StorageWatch:
    return StorageWatch(
        store,  # type: ignore[arg-type]
        store.tell,
        clock,
        sleep,
        mode=lambda: store.mode,
        left_behind=lambda: "backstops on the exchange: #7 BTC/USDT at 50000",
    )


@pytest.mark.fault("S01")
async def test_a_full_disk_is_told_once_and_its_end_too() -> None:
    store = _Store()
    watch = _watch(store, FakeClock())
    await watch.probe()
    assert not watch.is_wrong
    store.is_full = True
    await watch.probe()
    await watch.probe()
    assert watch.is_wrong
    store.is_full = False
    await watch.probe()
    await watch.probe()
    assert not watch.is_wrong
    assert ["disk full" in text for text in store.told] == [True, False]
    assert "again" in store.told[1]
    fired(store.told)


async def test_the_log_holds_a_lost_disk_once_a_minute_and_its_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store, clock = _Store(), FakeClock()
    watch = _watch(store, clock)
    store.is_full = True
    for _ in range(61):
        await watch.probe()
        clock.advance(2)
    assert [one.message for one in caplog.records] == ["storage_lost"] * 3
    store.is_full = False
    await watch.probe()
    await watch.probe()
    assert [one.message for one in caplog.records][3:] == ["storage_back"]
    # Another one is news again, however soon.
    store.is_full = True
    await watch.probe()
    assert [one.message for one in caplog.records][4:] == ["storage_lost"]
    # And so is what ends the process.
    store.is_broken = True
    with pytest.raises(AssertionError, match="does not sleep"):
        await watch.probe()
    assert [one.message for one in caplog.records][5:] == ["storage_lost"]


async def test_a_full_disk_that_memory_tells_is_probed_at_once() -> None:
    store, clock = _Store(), FakeClock()
    looks: list[float] = []

    async def look(seconds: float) -> None:
        looks.append(seconds)
        clock.advance(seconds)
        if len(looks) == 2:
            store.is_full = store.is_broken = True

    watch = _watch(store, clock, look)
    with pytest.raises(StorageLost):
        await watch.run()
    # What has fired by then is sold before the end.
    assert looks == [0.5, 0.5, 1.0]


async def test_a_disk_that_was_slow_is_well_after_half_a_minute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(storage_watch, "SLOW_S", 0.0)
    store, clock = _Store(), FakeClock()
    watch = _watch(store, clock)
    store.is_slow = True
    await watch.probe()
    store.is_slow = False
    await watch.probe()
    assert len(store.told) == 1
    clock.advance(CALM_S)
    await watch.probe()
    assert ["slow" in text for text in store.told] == [True, False]


@pytest.mark.fault("S06")
@pytest.mark.fault("S08", "SAID")
async def test_a_broken_database_ends_the_process_which_says_what_it_leaves_behind() -> None:
    store = _Store(is_broken=True)
    watch = _watch(store, FakeClock(), _at_once)
    with pytest.raises(StorageLost) as lost:
        await watch.run()
    # Until what has fired is sold, nobody knows what is left to say.
    assert store.told == []
    await watch.tell_end(str(lost.value))
    [told] = store.told
    assert "ENDS NOW" in told
    assert "PRIVATE STOPS ARE NOT WATCHED" in told
    assert "#7 BTC/USDT at 50000" in told
    assert "umbra run" in told
    assert "still sell" not in told
    fired(store.told)


@pytest.mark.parametrize(
    ("mode", "stops"),
    [
        (TradingMode.ACTIVE, "Private stops still sell"),
        (TradingMode.HALTED, "Private stops still sell"),
        (TradingMode.HALTED_EVERYTHING, "NO STOP SELLS"),
        (None, "NO PRIVATE STOP IS WATCHED"),
    ],
)
async def test_a_full_disk_says_what_of_the_stops_and_where_umbra_still_answers(
    mode: TradingMode | None, stops: str
) -> None:
    store = _Store(is_full=True, mode=mode)
    await _watch(store, FakeClock()).probe()
    [told] = store.told
    assert stops in told
    assert "This chat is answered again when that is over" in told
    assert "umbra halt" in told


async def test_what_nobody_mends_for_a_minute_is_told_past_the_chat_too_once() -> None:
    store, clock = _Store(is_full=True), FakeClock()
    watch = _watch(store, clock)
    seen = []
    for _ in range(12):
        await watch.probe()
        seen.append((len(store.told), store.unseen))
        clock.advance(60)
    assert seen[0] == (1, 0)
    assert seen[1] == (2, 1)
    assert seen[-1][0] > 2
    assert seen[-1][1] == 1


async def test_an_end_is_told_past_the_journal_only_when_that_takes_no_word_of_it() -> None:
    store = _Store()
    watch = _watch(store, FakeClock())
    await watch.tell_stopped()
    assert store.told == []
    store.is_full = True
    await watch.tell_stopped()
    [said] = store.told
    assert "while it cannot write its journal: disk full." in said
    assert "NOT watched while I am down; backstops on the exchange: #7 BTC/USDT at 50000." in said


async def test_an_end_waits_for_its_last_word_only_so_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(storage_watch, "LAST_WORD_S", 0.0)
    store = _Store(is_full=True)
    watch = _watch(store, FakeClock())
    watch._tell = _unanswered
    await watch.tell_stopped()
    assert store.told == []


async def _unanswered(_text: str, _is_unseen: bool) -> bool:
    await asyncio.Event().wait()
    return True


def _closed(number: int, side: Side, quantity: str, notional: str) -> IntentClosed:
    intent = Intent(
        *(f"i{number}", "BTC/USDT", side, Purpose.PROTECT, Decimal(58000), NOW),
        tracker_id=number if side is Side.SELL else None,
        state=IntentState.DONE,
        filled_quantity=Decimal(quantity),
        filled_notional=Decimal(notional),
    )
    return IntentClosed(intent, NOW)


async def _looks(watch: StorageWatch, count: int) -> None:
    """Let it run for so many looks."""
    left = count

    async def sleep(_: float) -> None:
        nonlocal left
        left -= 1
        if left < 0:
            raise asyncio.CancelledError

    watch._sleep = sleep
    with pytest.raises(asyncio.CancelledError):
        await watch.run()


async def test_what_is_done_while_nothing_can_be_written_is_told_at_once_and_once() -> None:
    store = _Store(is_full=True)
    watch = _watch(store, FakeClock())
    await watch.probe()
    store.told.clear()
    watch.note(_closed(3, Side.SELL, "0.50", "28995.06"))
    watch.note(_closed(4, Side.BUY, "0.1", "5799.9"))
    watch.note(_closed(5, Side.SELL, "0", "0"))
    await _looks(watch, 3)
    [said] = store.told
    assert said == (
        "✅ Done at the exchange, while the journal cannot be written: sold 0.5 BTC at 57990.12 "
        "USDT (#3); bought 0.1 BTC at 57999 USDT. Fees and profit are told when that is over."
    )


async def test_what_is_done_is_told_again_until_somebody_was_reached() -> None:
    store = _Store(is_full=True, is_deaf=True)
    watch = _watch(store, FakeClock())
    for number in range(10):
        watch.note(_closed(number, Side.SELL, "0.1", "5800"))
    await _looks(watch, 2)
    store.is_deaf = False
    await _looks(watch, 2)
    said = [text for text in store.told if text.startswith("✅ Done")]
    assert len(said) == 3, "twice to nobody"
    assert said[-1].count("sold 0.1 BTC") == 8
    assert "; 2 more. Fees" in said[-1]


async def test_what_the_journal_takes_is_told_by_who_reads_it() -> None:
    store = _Store()
    watch = _watch(store, FakeClock())
    watch.note(_closed(3, Side.SELL, "0.5", "28995.06"))
    store.is_full = True
    watch.note(_closed(4, Side.SELL, "0.5", "28995.06"))
    store.is_full = False
    await _looks(watch, 3)
    assert store.told == []
