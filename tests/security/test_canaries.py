"""Z-02: planted secrets reach no repr, log, traceback, database, export or chat."""

import asyncio
import contextlib
import io
import json
import resource
import subprocess
import sys
import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from telegram import Update

from bot import config, logs
from bot.clock import SystemClock
from bot.localchat import build_app, serving
from bot.secrets import OsKeychain, Passphrase, Vault
from bot.shares import gateway_settings
from bot.telegram import Surroundings, TelegramBot, TelegramSettings
from bot.telegram.access import WITHHELD, AccessRules, judge
from bot.telegram.inbox import Inbox
from storage.lease import AccountLock
from storage.store import open_store
from tests.contract.gateway.worlds import MachineClock, control, settings_of, simulated
from tests.e2e.world import World
from tests.fakes.desk import FakeDesk
from tests.fakes.memory_store import MemoryStore
from tests.fakes.scanner import FakeScanner
from tests.security.canaries import CANARIES, PASSWORD, SPELLED, leaks, spellings
from trading.bus import Bus
from trading.domain.chat import InboxUpdate, Person, Role
from trading.domain.errors import UmbraError
from trading.domain.redaction import masking_typed
from trading.gateway import create_gateway

OURS = ("bot", "trading", "storage", "telegram", "ccxt")


def test_z02_the_search_finds_every_spelling() -> None:
    for word in SPELLED:
        assert leaks(f"…{word}…") != []
    assert leaks("nothing here") == []


def _telegram(settings: config.Settings) -> TelegramSettings:
    return TelegramSettings(
        token=settings.telegram_token.get_secret_value(),
        base_url=settings.telegram_api_url,
        totp_secret=settings.totp_key,
    )


def _around(store: MemoryStore, clock: SystemClock, data_dir: Path) -> Surroundings:
    return Surroundings(
        desk=FakeDesk(clock, store),
        scanner=FakeScanner(),
        journal=store,
        records=store,
        record=store.append,
        clock=clock,
        bus=Bus(),
        charts=None,  # type: ignore[arg-type]
        random_nonce=str,
        random_code=str,
        export=None,  # type: ignore[arg-type]
        data_dir=data_dir,
        version="0",
    )


# ------------------------------------------------------------ repr


def _reached(roots: list[Any]) -> Iterator[Any]:
    """Every object of ours, and of the clients that we hold, that the roots lead to."""
    waiting, seen = list(roots), set[int]()
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, dict | list | tuple | set | frozenset):
            waiting += [*(one.values() if isinstance(one, dict) else one)]
        elif type(one).__module__.split(".")[0] in OURS:
            yield one
            slots = [name for kind in type(one).__mro__ for name in getattr(kind, "__slots__", ())]
            held = {name: getattr(one, name, None) for name in slots if isinstance(name, str)}
            waiting += [*held.values(), *getattr(one, "__dict__", {}).values()]


async def test_z02_no_object_shows_a_secret(settings: config.Settings, tmp_path: Path) -> None:
    clock = SystemClock()
    gateway = create_gateway(gateway_settings(settings), clock)
    store = MemoryStore(clock)
    telegram = _telegram(settings)
    bot = TelegramBot(telegram, _around(store, clock, tmp_path))
    code = await bot.start()
    assert code is not None
    lock = AccountLock("http://127.0.0.1:9", settings.exchange_api_key.get_secret_value())
    kept = [Vault(tmp_path, OsKeychain("x"), Passphrase()), lock, settings, telegram]
    shown = 0
    try:
        for one in _reached([*kept, gateway, bot]):
            assert leaks(f"{one!r} {one}") == [], type(one)
            shown += 1
    finally:
        await gateway.close()
        await bot.stop()
    names = {type(one).__name__ for one in _reached([*kept, gateway, bot])}
    assert {"Settings", "GatewaySettings", "TelegramSettings", "Inbox", "Sender"} <= names
    assert shown > 20


# ------------------------------------------------------------ tracebacks and logs


async def _failures(settings: config.Settings, tmp_path: Path) -> list[str]:
    """Provoke the errors that a running agent meets, and format them as nobody should."""
    told = []
    gateway = create_gateway(gateway_settings(settings), MachineClock())
    for call in (gateway.connect, gateway.balances):
        try:
            await call()
        except Exception:
            told.append(traceback.format_exc())
    await gateway.close()
    with contextlib.suppress(UmbraError):
        try:
            await open_store(settings.store_url, MachineClock(), data_dir=tmp_path)
        except Exception:
            told.append(traceback.format_exc())
            raise
    return told


async def test_z02_no_traceback_of_a_lost_link_holds_a_secret(
    settings: config.Settings, tmp_path: Path
) -> None:
    told = await _failures(settings, tmp_path)
    assert len(told) >= 2
    assert "127.0.0.1" in "".join(told)
    assert leaks("".join(told)) == []


async def test_z02_a_key_that_the_exchange_refuses_is_not_in_the_error() -> None:
    async with simulated() as sim:
        secret = CANARIES["UMBRA_EXCHANGE_SECRET"]
        key = CANARIES["UMBRA_EXCHANGE_API_KEY"]
        gateway = create_gateway(settings_of(sim, api_key=key, secret=secret), MachineClock())
        await gateway.connect()
        try:
            with pytest.raises(UmbraError) as refused:
                await gateway.balances()
        finally:
            await gateway.close()
        told = "".join(traceback.format_exception(refused.value))
        assert leaks(told) == []
        await control(sim, "permissions", {})


async def test_z02_a_bot_whose_token_is_refused_logs_none_of_it(
    settings: config.Settings, tmp_path: Path, log: io.StringIO
) -> None:
    clock = SystemClock()
    store = MemoryStore(clock)
    app = build_app("1:another", clock)
    async with serving(app, "127.0.0.1", 0) as url:
        changed = settings.model_copy(update={"telegram_api_url": f"{url}/bot"})
        bot = TelegramBot(_telegram(changed), _around(store, clock, tmp_path))
        await bot.start()
        running = asyncio.create_task(bot.run())
        async with asyncio.timeout(10):
            while "telegram_unreachable" not in log.getvalue():
                await asyncio.sleep(0.01)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await bot.stop()
    assert leaks(log.getvalue()) == []


def test_z02_what_ends_a_process_or_a_thread_is_masked(
    log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    logs.write_what_nobody_caught()
    told = f"refused {sorted(CANARIES.values())} {quote(CANARIES['UMBRA_EXCHANGE_SECRET'])}"
    try:
        raise RuntimeError(told)
    except RuntimeError as error:
        sys.excepthook(type(error), error, error.__traceback__)

    def fail() -> None:
        raise RuntimeError(f"{told} {PASSWORD}")

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()
    assert log.getvalue().count("RuntimeError") >= 2
    assert leaks(log.getvalue()) == []


_DIES = """
import resource, sys
from bot import cli, compose

async def dies(settings, *_):
    assert resource.getrlimit(resource.RLIMIT_CORE)[0] <= 1, "memory is written where it dies"
    raise RuntimeError(f"refused {settings.secrets}")

compose.answer_alone = dies
sys.argv = ["umbra", "halt"]
cli.main()
"""


@pytest.mark.usefixtures("settings")
def test_z02_a_command_that_acts_alone_leaves_no_secret_where_it_dies() -> None:
    most = resource.getrlimit(resource.RLIMIT_CORE)[1]

    def may_leave_a_core() -> None:
        resource.setrlimit(resource.RLIMIT_CORE, (most, most))

    done = subprocess.run(
        [sys.executable, "-c", _DIES],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=may_leave_a_core,
    )
    assert done.returncode != 0
    assert "RuntimeError: refused" in done.stderr
    assert leaks(done.stdout + done.stderr) == []


# ------------------------------------------------------------ pasted into the chat


class _Polled:
    """Answers one poll with what a person sent, and then stays silent."""

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows

    async def do_api_request(self, *_: Any, **__: Any) -> Any:
        if not self.rows:
            await asyncio.Event().wait()
        rows, self.rows = self.rows, []
        return rows


def _pasted(secret: str) -> list[dict[str, Any]]:
    chat = {"id": 7, "type": "private", "first_name": "Ada"}
    person = {"id": 7, "is_bot": False, "first_name": "Ada"}
    message = {"message_id": 1, "date": 1_700_000_000, "chat": chat, "from": person}
    tap = {"id": "1", "from": person, "chat_instance": "1", "message": message}
    return [
        {"update_id": 1, "message": {**message, "text": f"my key: {secret}"}},
        {"update_id": 2, "message": {**message, "caption": f"{secret} "}},
        {"update_id": 3, "edited_message": {**message, "text": secret}},
        {"update_id": 4, "callback_query": {**tap, "data": secret}},
        {
            "update_id": 5,
            "message": {
                **message,
                "text": "/status",
                "reply_to_message": {**message, "text": secret},
            },
        },
        # A kind of content that Telegram may add: strings in a list.
        {"update_id": 6, "message": {**message, "text": "/status", "added": [[secret], secret]}},
    ]


@pytest.mark.parametrize("gap", ["", " ", "\n"])
@pytest.mark.parametrize("name", sorted(CANARIES))
async def test_z02_a_secret_that_is_pasted_into_the_chat_is_answered_and_not_stored(
    name: str, gap: str, settings: config.Settings, tmp_path: Path
) -> None:
    secret = CANARIES[name].partition(":")[2] or CANARIES[name]
    middle = len(secret) // 2
    rows = _pasted(f"{secret[:middle]}{gap}{secret[middle:]}")
    found: list[InboxUpdate] = []
    done = asyncio.Event()

    async def take(update: InboxUpdate) -> None:
        found.append(update)
        if len(found) == len(rows):
            done.set()

    async def polled(_: object) -> None:
        """Nobody has to know."""

    clock = SystemClock()
    folder = tmp_path / "kept"
    folder.mkdir()
    url = f"sqlite+aiosqlite:///{folder / 'umbra.db'}"
    store = await open_store(url, clock, data_dir=folder)
    without_secrets = masking_typed(settings.secrets, WITHHELD)
    inbox = Inbox(
        _Polled(list(rows)),  # type: ignore[arg-type]
        store.journal,
        store.records,
        clock,
        1,
        polled,
        without_secrets,
    )
    tasks = [
        asyncio.create_task(work) for work in (inbox.poll_forever(), inbox.handle_forever(take))
    ]
    async with asyncio.timeout(20):
        await done.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await store.close()
    ada = {7: Person(7, 7, "Ada", Role.OWNER)}
    updates = [Update.de_json(json.loads(one.payload), None) for one in found]
    hints = [judge(update, ada, AccessRules()).hint for update in updates]
    assert ["delete the message" in hint for hint in hints] == [True] * 3 + [False] * 3
    kept = b"".join(path.read_bytes() for path in _files(folder)).decode("latin-1")
    assert kept.count(WITHHELD) >= len(rows)
    assert leaks(kept) == []
    assert secret[:middle] not in kept


# ------------------------------------------------------------ the whole agent


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_z02_a_whole_agent_leaves_its_secrets_nowhere(tmp_path: Path) -> None:
    async with World(tmp_path / "world") as world:
        world.environment |= {"UMBRA_TOTP_SECRET": CANARIES["UMBRA_TOTP_SECRET"]}
        spelled = {
            word
            for name, value in world.environment.items()
            if name in CANARIES
            for word in spellings(value)
        }
        await world.price("60000")
        await world.start_agent()
        await world.arm("/track BTC/USDT stop 58000 0.1")
        await world.answer("/export journal", "CSV")
        await world.answer("/export audit", "CSV")
        await world.answer("/buy BTC/USDT nonsense", "✋")
        await world.fault("status", 2, status=500, method="GET")
        await world.ask("/status")
        await world.kill_agent()
        await world.start_agent(UMBRA_LOG_LEVEL="DEBUG")
        await world.price("57000")
        await world.until_message("Sold 0.1 BTC")
        await world.control("permissions", revoked=True)
        await world.answer("/balance", "BTC")
        pasted = world.environment["UMBRA_EXCHANGE_API_KEY"]
        await world.answer(f"my key is {pasted}", "Your message held a key")
        # What the person has typed stays in their chat until they delete it.
        texts = str([each for each in await world.messages() if pasted not in each.get("text", "")])
    found = _files(tmp_path)
    assert {"umbra.db", "run.log"} <= {path.name for path in found}
    assert [path for path in found if "exports" in path.parts]
    for path in found:
        assert leaks(path.read_bytes().decode("latin-1"), spelled) == [], path
    assert leaks(texts, spelled) == []
