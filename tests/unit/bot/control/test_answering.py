"""The terminal reaches the same desk as the chat, before recovery as well as after it."""

import asyncio
import errno
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot.control.answering import LocalDesk
from bot.control.halt_file import FILE, HaltFile
from bot.control.messages import Ask, Request
from bot.control.wording import ALONE, NOBODY_WATCHES, NOTHING_TO_RESUME
from bot.modes import reason
from bot.telegram.render.status import status_card
from tests.catalogue import fired
from tests.unit.trading.agent_world import AgentWorld
from trading.domain.commands import SetTradingMode
from trading.domain.errors import Refused, StorageLost
from trading.domain.events import CommandExecuted, Heartbeat, TradingModeChanged
from trading.domain.position import TradingMode
from trading.reception import Reception, Vitals
from trading.risk.halts import put_back
from trading.schedule import JOBS, Schedule

ONE, TWO = "request-1", "request-2"


@dataclass
class _Bench:
    world: AgentWorld
    halt_file: HaltFile
    desk: Reception
    local: LocalDesk

    @classmethod
    def of(cls, world: AgentWorld, folder: Path) -> "_Bench":
        halt_file = HaltFile(folder, world.time)
        agent = world.agent

        async def remember(_: object) -> None:
            return None

        async def nothing() -> None:
            return None

        jobs = {one.name: nothing for one in JOBS} | dict(agent.jobs())
        schedule = Schedule(jobs, world.time, remember)

        def vitals() -> Vitals:
            return Vitals(0, 0, world.store.is_degraded, 0, 0, {})

        desk = Reception(agent, schedule, vitals, halt_file.forbid)
        local = LocalDesk(
            desk, world.store.records, world.time, lambda: agent.is_ready, world.time.sleep
        )
        return cls(world, halt_file, desk, local)

    async def ask(self, ask: Ask, request_id: str = ONE, note: str = "") -> tuple[bool, str]:
        request = Request(ask, request_id, note=note)
        reply = await self.world.time.finish(self.local.answer(request))
        return reply.is_done, reply.text


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[_Bench]:
    async with AgentWorld() as world:
        yield _Bench.of(world, tmp_path)


async def _cover(bench: _Bench) -> None:
    await bench.world.protect("50000")


async def test_a_halt_is_audited_with_its_request_and_happens_once(bench: _Bench) -> None:
    is_done, said = await bench.ask(Ask.HALT)
    assert is_done
    assert "Halted" in said
    causes = [event.cause for event in bench.world.published if isinstance(event, CommandExecuted)]
    assert causes == [f"local:{ONE}"]
    assert (await bench.ask(Ask.HALT))[1].startswith("Already HALTED")
    modes = [one.mode for one in bench.world.published if isinstance(one, TradingModeChanged)]
    assert modes == [TradingMode.HALTED]


async def test_a_panic_sells_what_is_managed_and_says_so(bench: _Bench) -> None:
    await _cover(bench)
    is_done, said = await bench.ask(Ask.PREVIEW)
    assert is_done
    assert "sells 0.5 BTC" in said
    is_done, said = await bench.ask(Ask.PANIC)
    assert is_done, said
    assert "Everything managed is sold" in said
    assert bench.desk.status().state is TradingMode.HALTED
    assert (await bench.ask(Ask.PANIC)) == (True, "This panic was carried out already.")


async def test_a_panic_on_a_journal_that_lacks_records_says_first_that_more_may_be_managed(
    bench: _Bench,
) -> None:
    await _cover(bench)
    await bench.world.agent.alarms.halt_loudly(put_back(29, None), "put_back")
    unknown = "IT IS NOT KNOWN WHAT IS MANAGED"
    is_done, said = await bench.ask(Ask.PREVIEW)
    assert said.startswith(f"{unknown}: the database is not the newest one of this place.")
    assert "This sells 0.5 BTC at the market" in said
    is_done, said = await bench.ask(Ask.PANIC)
    assert not is_done
    assert said.startswith(unknown)
    assert "\nOf what is known: " in said
    assert "the exchange itself" in said
    assert "Everything managed is sold" not in said
    # Nothing is left, and it is no more certain than before.
    is_done, said = await bench.ask(Ask.PREVIEW, TWO)
    assert "Nothing is known to be managed" in said
    is_done, said = await bench.ask(Ask.PANIC, TWO)
    assert (is_done, "Everything managed is sold" in said) == (False, False)
    assert said.startswith(unknown)


async def test_after_a_panic_status_says_how_the_halt_was_asked_for(bench: _Bench) -> None:
    await _cover(bench)
    await bench.ask(Ask.PANIC)
    _, said = await bench.ask(Ask.STATUS)
    assert said.splitlines()[:2] == [
        "SIMULATED, live on fake, HALTED: only private stops sell",
        "  Asked for on this machine.",
    ]


async def test_status_names_an_exit_that_cannot_act(bench: _Bench) -> None:
    await bench.world.protect("58000")
    await bench.world.do(SetTradingMode(TradingMode.HALTED_EVERYTHING))
    assert "BLOCKED" not in (await bench.ask(Ask.STATUS))[1]
    await bench.world.move("57990")
    await bench.world.time.until(lambda: bool(bench.desk.standing().blocked), 10)
    assert "1 acting, 0 paused, 1 BLOCKED\n" in (await bench.ask(Ask.STATUS))[1]


async def test_a_resume_says_what_it_permits_ends_the_halt_and_keeps_its_reason(
    bench: _Bench,
) -> None:
    await bench.ask(Ask.HALT)
    is_done, said = await bench.ask(Ask.PREVIEW_RESUME, TWO)
    assert is_done
    assert "New entries are allowed again. This ends the halt." in said
    assert bench.desk.status().state is TradingMode.HALTED
    is_done, said = await bench.ask(Ask.RESUME, TWO, "the key was replaced")
    assert is_done
    assert "Active again" in said
    changed = bench.desk.status().trading_mode
    assert changed is not None
    assert (changed.mode, changed.by) == (TradingMode.ACTIVE, "0")
    told = reason(changed.reason, changed.by)
    assert told == "Asked for on this machine: the key was replaced"


async def test_a_resume_of_what_is_active_changes_nothing_and_says_so(bench: _Bench) -> None:
    assert await bench.ask(Ask.PREVIEW_RESUME) == (False, NOTHING_TO_RESUME)
    assert await bench.ask(Ask.RESUME) == (True, NOTHING_TO_RESUME)
    assert [one for one in bench.world.published if isinstance(one, TradingModeChanged)] == []


async def test_the_terminal_resumes_neither_past_the_file_nor_before_the_exchange_has_answered(
    bench: _Bench, tmp_path: Path
) -> None:
    await bench.ask(Ask.HALT)
    (tmp_path / FILE).touch()
    for ask in (Ask.PREVIEW_RESUME, Ask.RESUME):
        with pytest.raises(Refused, match=f"rm {tmp_path / FILE}"):
            await bench.ask(ask, TWO)
    (tmp_path / FILE).unlink()
    bench.world.agent.is_ready = False
    for ask in (Ask.PREVIEW_RESUME, Ask.RESUME):
        with pytest.raises(Refused, match="still starting"):
            await bench.ask(ask, TWO)
    assert bench.desk.status().state is TradingMode.HALTED


async def test_status_shows_mode_holdings_and_trackers(bench: _Bench) -> None:
    await _cover(bench)
    is_done, said = await bench.ask(Ask.STATUS)
    assert is_done
    assert "live on fake, active" in said
    assert "Holds 0.5 BTC (BTC/USDT), stop 50000" in said
    assert "#1 BTC/USDT protective stop, watching" in said


async def test_before_the_exchange_has_answered_a_halt_is_kept_and_a_panic_halts(
    bench: _Bench,
) -> None:
    await _cover(bench)
    bench.world.agent.is_ready = False
    is_done, said = await bench.ask(Ask.STATUS)
    assert not is_done
    assert "NO STOP IS WATCHED" in said
    assert "Holds 0.5 BTC" in said
    is_done, said = await bench.ask(Ask.PANIC)
    assert not is_done
    assert "Halted" in said
    assert "Nothing can be sold now" in said
    assert (await bench.world.store.records.state()).trading_mode is not None


@pytest.mark.parametrize("is_ready", [True, False])
async def test_where_nobody_goes_on_no_answer_says_that_stops_sell(
    bench: _Bench, *, is_ready: bool
) -> None:
    await _cover(bench)
    bench.local.words = ALONE
    bench.world.agent.is_ready = is_ready
    for number, wanted in enumerate((Ask.HALT, Ask.HALT, Ask.PANIC)):
        _, said = await bench.ask(wanted, f"request-{number}")
        assert said.endswith(NOBODY_WATCHES), said
        assert "stops still sell" not in said
        assert "starting" not in said


async def test_a_panic_that_can_sell_nothing_yet_says_what_it_waits_for(bench: _Bench) -> None:
    await _cover(bench)
    bench.world.agent.is_ready = False
    bench.world.store.lose()
    is_done, said = await bench.ask(Ask.PANIC)
    assert not is_done
    assert "STORAGE LOST" in said


async def test_the_file_halts_and_nothing_ends_the_halt_while_it_lies_there(
    bench: _Bench, tmp_path: Path
) -> None:
    looking = asyncio.create_task(bench.halt_file.run(bench.desk, bench.world.time.sleep))
    await bench.world.time.pass_by(2)
    assert bench.desk.status().state is TradingMode.ACTIVE

    (tmp_path / FILE).touch()
    await bench.world.time.pass_by(1)
    changed = bench.desk.status().trading_mode
    assert changed is not None
    assert changed.mode is TradingMode.HALTED
    assert f"rm {tmp_path / FILE}" in changed.reason
    # It stands when the file is gone, too, and must be true then.
    assert "is there" not in changed.reason
    assert "once it is gone" in changed.reason
    for mode in (TradingMode.ACTIVE, TradingMode.REDUCING):
        with pytest.raises(Refused, match="remove it first") as refused:
            await bench.desk.propose(SetTradingMode(mode), 1)
        # What the card says to try must be something that the chat understands.
        assert refused.value.example == "/resume"
        assert f"rm {tmp_path / FILE}" in str(refused.value)
        with pytest.raises(Refused, match="remove it first"):
            await bench.desk.execute(SetTradingMode(mode), 1, f"tap-{mode.value}")

    await bench.desk.execute(SetTradingMode(TradingMode.HALTED_EVERYTHING), 1, "tap-everything")
    await bench.world.time.pass_by(2)
    assert bench.desk.status().state is TradingMode.HALTED_EVERYTHING

    (tmp_path / FILE).unlink()
    await bench.desk.execute(SetTradingMode(TradingMode.ACTIVE), 1, "tap-resume")
    await bench.world.time.pass_by(2)
    assert bench.desk.status().state is TradingMode.ACTIVE
    looking.cancel()


async def test_with_the_exchange_dead_a_panic_says_what_is_not_sold(bench: _Bench) -> None:
    await _cover(bench)
    bench.world.exchange.is_down = True
    is_done, said = await bench.ask(Ask.PANIC)
    assert not is_done
    assert "NOT SOLD YET: BTC/USDT, 0.5 left" in said


@pytest.mark.fault("S01", "SAID")
async def test_a_lost_journal_is_shown_as_long_as_it_is_lost(bench: _Bench) -> None:
    await _cover(bench)
    assert "STORAGE LOST" not in (await bench.ask(Ask.STATUS))[1]
    bench.world.store.lose()
    _, said = await bench.ask(Ask.STATUS)
    assert "! STORAGE LOST: the journal cannot be written. Only what protects goes on" in said
    assert said.startswith("SIMULATED, live on fake, active, STORAGE LOST\n")
    card = status_card(bench.desk.status()).text
    assert "🔴 Protected: 1 of 1" in card
    assert "live on fake · active, STORAGE LOST" in " ".join(card.split())
    bench.world.agent.is_ready = False
    _, said = await bench.ask(Ask.STATUS)
    assert "Still starting: the journal cannot be written, so NO STOP IS WATCHED" in said
    # The write that is lost beside it.
    with pytest.raises(StorageLost) as lost:
        await bench.world.store.append(Heartbeat(bench.world.time.now()))
    fired(lost)


@pytest.mark.fault("S01")
@pytest.mark.parametrize("is_ready", [True, False])
async def test_a_halt_holds_on_a_full_disk_and_after_it(bench: _Bench, is_ready: bool) -> None:
    store, agent = bench.world.store, bench.world.agent
    agent.is_ready = is_ready
    store.lose()
    is_done, said = await bench.ask(Ask.HALT)
    assert (is_done, "Halted" in said) == (True, True)
    assert ("STORAGE LOST" in said) is is_ready
    assert agent.state.mode is TradingMode.HALTED
    assert ("NO STOP IS WATCHED" in said) is not is_ready
    assert ", HALTED: only private stops sell, STORAGE LOST" in (await bench.ask(Ask.STATUS))[1]
    assert store.of(TradingModeChanged) == []
    fired(store.appends_lost)
    store.heal()
    await bench.world.kill()
    await bench.world.start()
    [halted] = store.of(TradingModeChanged)
    assert halted.mode is bench.world.agent.state.mode is TradingMode.HALTED


@pytest.mark.fault("S01")
async def test_the_halt_file_halts_on_a_full_disk(bench: _Bench, tmp_path: Path) -> None:
    bench.world.store.lose()
    (tmp_path / FILE).touch()
    await bench.halt_file.check(bench.desk)
    assert bench.desk.status().state is TradingMode.HALTED
    fired(bench.world.store.appends_lost)


@pytest.mark.parametrize("looser", [TradingMode.ACTIVE, TradingMode.REDUCING, TradingMode.HALTED])
async def test_nothing_gets_out_of_a_halt_on_a_full_disk(
    bench: _Bench, looser: TradingMode
) -> None:
    halted = SetTradingMode(TradingMode.HALTED_EVERYTHING, "")
    await bench.desk.execute(halted, 1, "halt")
    bench.world.store.lose()
    with pytest.raises(StorageLost):
        await bench.desk.execute(SetTradingMode(looser, ""), 1, "out")
    assert bench.desk.status().state is TradingMode.HALTED_EVERYTHING


def unseen(_: Path) -> None:
    raise OSError(errno.EIO, "Input/output error")


async def test_a_directory_that_cannot_be_looked_into_ends_no_look_and_no_halt(
    bench: _Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.ask(Ask.HALT)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "lstat", unseen)
        await bench.halt_file.check(bench.desk)
        with pytest.raises(Refused, match=r"cannot be told \(Input/output error\)"):
            await bench.ask(Ask.RESUME, TWO)
        assert "cannot be told" in bench.halt_file.note
    assert bench.desk.status().state is TradingMode.HALTED
    assert (await bench.ask(Ask.RESUME, "request-3"))[0]
    (tmp_path / FILE).touch()
    await bench.halt_file.check(bench.desk)
    assert bench.desk.status().state is TradingMode.HALTED


@pytest.mark.parametrize("word", [Ask.HALT, Ask.PANIC])
async def test_a_halt_that_nothing_can_take_down_says_so_and_is_written_when_asked_again(
    bench: _Bench, word: Ask
) -> None:
    bench.world.store.lose(reserve_too=True)
    is_done, said = await bench.ask(word)
    assert bench.world.store.appends_lost
    assert not is_done
    assert said.startswith("Halted as long as Umbra runs, but NOT WRITTEN DOWN")
    assert "Ask again" in said
    assert bench.desk.status().state is TradingMode.HALTED
    bench.world.store.heal()
    is_done, said = await bench.ask(Ask.HALT, TWO)
    assert is_done
    assert said.startswith("Halted: nothing new is bought")
    assert [one.mode for one in bench.world.store.of(TradingModeChanged)] == [TradingMode.HALTED]
    assert (await bench.ask(Ask.HALT, "request-3"))[1].startswith("Already HALTED")
