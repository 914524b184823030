"""A lost disk is told once, past the journal, and a broken one ends the process."""

from dataclasses import dataclass, field

import pytest

from bot.storage_watch import StorageWatch
from tests.catalogue import fired
from trading.domain.errors import StorageLost


@dataclass
class _Store:
    """A store whose disk can be filled, freed and broken."""

    is_full: bool = False
    is_broken: bool = False
    told: list[str] = field(default_factory=list)

    @property
    def journal(self) -> "_Store":
        return self

    @property
    def is_degraded(self) -> bool:
        return self.is_full

    async def append(self) -> int:
        if self.is_full or self.is_broken:
            raise StorageLost("disk full")
        return 0

    async def tell(self, text: str) -> bool:
        self.told.append(text)
        return True


async def _never(_: float) -> None:
    raise AssertionError("a probe does not sleep")


@pytest.mark.fault("S01")
async def test_a_full_disk_is_told_once_and_its_end_too() -> None:
    store = _Store()
    watch = StorageWatch(store, store.tell, _never)  # type: ignore[arg-type]
    await watch.probe()
    store.is_full = True
    await watch.probe()
    await watch.probe()
    store.is_full = False
    await watch.probe()
    await watch.probe()
    assert ["disk full" in text for text in store.told] == [True, False]
    assert "again" in store.told[1]
    fired(store.told)


@pytest.mark.fault("S06")
@pytest.mark.fault("S08", "SAID")
async def test_a_broken_database_ends_the_process_after_telling() -> None:
    store = _Store(is_broken=True)
    watch = StorageWatch(store, store.tell, _never)  # type: ignore[arg-type]
    with pytest.raises(StorageLost):
        await watch.run()
    assert len(store.told) == 1
    fired(store.told)
