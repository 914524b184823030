"""Each check of the architecture finds what it is for, on a small tree that breaks its rule."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.architecture import checks

Write = Callable[[dict[str, str]], list[checks.Module]]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Lays out modules, given as path and source, and reads them back."""

    def lay_out(sources: dict[str, str]) -> list[checks.Module]:
        for name, source in sources.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(source)
        return checks.read_modules(tmp_path)

    return lay_out


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("trading/domain/order.py", "from trading import ports"),
        ("trading/domain/order.py", "import trading.market.book"),
        ("trading/market/book.py", "from trading.ports.clock import Clock"),
        ("trading/market/engine.py", "from trading.trackers import lines"),
        ("trading/trackers/trailing.py", "from trading.bus import Bus"),
        ("trading/risk/gate.py", "def f():\n    from trading.execution import engine"),
        ("trading/execution/engine.py", "from trading.risk.sizing import quantity"),
        ("trading/decide.py", "from trading.market.engine import MarketEngine"),
        ("trading/execution/engine.py", "from trading.ports.history import CandleStore"),
        ("trading/agent.py", "from trading.gateway.rest import RestGateway"),
        ("trading/gateway/rest.py", "from trading.ports.storage import Journal"),
        ("trading/sim/models.py", "from trading.market import book"),
        ("trading/schedule.py", "from trading.agent import TradingAgent"),
        ("trading/unheard_of/room.py", "import os"),
        ("storage/tables.py", "from trading.trackers import lines"),
        ("storage/tables.py", "from trading.ports.exchange import MarketFeed"),
        ("bot/telegram/app.py", "from storage.database import open_database"),
        ("bot/telegram/app.py", "from trading.trackers.rules import decide"),
        ("bot/telegram/app.py", "from trading.ports.exchange import ExchangeGateway"),
        ("bot/charts/candles.py", "from trading.agent import TradingAgent"),
        ("bot/supervisor.py", "from trading.gateway import rest"),
    ],
)
def test_a_wrong_direction_is_found(write: Write, path: str, source: str) -> None:
    assert len(checks.wrong_directions(write({path: source}))) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("trading/domain/order.py", "from trading.domain import money"),
        ("trading/market/engine.py", "from trading.ports.clock import Clock"),
        ("trading/execution/engine.py", "from trading.risk.gate import Approved"),
        ("trading/decide.py", "from trading.market.book import OrderBook"),
        ("trading/agent.py", "from trading.trackers.engine import TrackerEngine"),
        ("trading/gateway/paper.py", "from trading.sim.matching import match"),
        ("storage/tables.py", "from trading.domain.order import Order"),
        ("bot/telegram/app.py", "from trading.agent import TradingAgent"),
        ("bot/compose.py", "from storage.database import open_database"),
        ("trading/sim/binance/__main__.py", "from bot.config import load"),
    ],
)
def test_a_right_direction_passes(write: Write, path: str, source: str) -> None:
    assert checks.wrong_directions(write({path: source})) == []


def test_an_import_of_the_bot_or_of_storage_by_trading_is_found(write: Write) -> None:
    modules = write(
        {
            "trading/agent.py": "from bot import config\nimport storage.tables",
            "storage/tables.py": "import bot.config",
            "bot/cli.py": "import bot.config\nimport storage.tables",
        }
    )
    assert len(checks.imports_of_bot(modules)) == 3


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("trading/domain/money.py", "import numpy as np"),
        ("trading/market/engine.py", "import ccxt.pro"),
        ("trading/sim/matching.py", "from aiohttp import web"),
        ("trading/sim/scenario.py", "import pyarrow.parquet"),
        ("trading/agent.py", "import structlog"),
        ("storage/mapping.py", "from pydantic_settings import BaseSettings"),
        ("bot/localchat/server.py", "import telegram"),
        ("bot/telegram/app.py", "import sqlalchemy"),
        ("bot/telegram/app.py", "import unheard_of_library"),
    ],
)
def test_a_library_outside_its_package_is_found(write: Write, path: str, source: str) -> None:
    assert len(checks.strange_libraries(write({path: source}))) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("trading/gateway/rest.py", "import ccxt.pro"),
        ("trading/sim/scenario.py", "def read():\n    import pyarrow.parquet"),
        ("storage/export.py", "import pyarrow.parquet"),
        ("bot/cli.py", "import typer"),
        ("trading/domain/money.py", "from decimal import Decimal"),
    ],
)
def test_a_library_in_its_package_passes(write: Write, path: str, source: str) -> None:
    assert checks.strange_libraries(write({path: source})) == []


@pytest.mark.parametrize("source", ["import os\nos.environ['HOME']", "import os\nos.getenv('A')"])
def test_reading_the_environment_is_found(write: Write, source: str) -> None:
    modules = write({"trading/agent.py": source, "bot/config/environment.py": source})
    assert [finding.partition(" ")[0][-10:] for finding in checks.environment_reads(modules)] == [
        "agent.py:2"
    ]


@pytest.mark.parametrize(
    "source",
    ["async def wait():\n    await nothing()", "import asyncio", "from asyncio import sleep"],
)
def test_waiting_outside_the_shells_is_found(write: Write, source: str) -> None:
    modules = write({"trading/trackers/rules.py": source, "trading/trackers/engine.py": source})
    findings = checks.async_outside_shells(modules)
    assert findings
    assert all("rules.py" in finding for finding in findings)


def test_a_cycle_is_found_even_through_a_function_and_its_shortest_way_is_shown(
    write: Write,
) -> None:
    modules = write(
        {
            "trading/domain/money.py": "from trading.domain.order import Order",
            "trading/domain/order.py": "def f():\n    from trading.domain import position",
            "trading/domain/position.py": "import trading.domain.money",
            "trading/domain/events.py": "import trading.domain.money",
        }
    )
    money, order, position = (f"trading.domain.{name}" for name in ("money", "order", "position"))
    assert checks.import_cycles(modules) == [f"{money} -> {order} -> {position} -> {money}"]


def test_two_modules_that_share_a_third_are_no_cycle(write: Write) -> None:
    modules = write(
        {
            "trading/domain/money.py": "",
            "trading/domain/order.py": "from trading.domain.money import Money",
            "trading/domain/events.py": "from trading.domain import money, order",
        }
    )
    assert checks.import_cycles(modules) == []


def test_a_question_for_the_mode_is_found_below_the_composition_root(write: Write) -> None:
    source = "dry_run = True\ndef f(self):\n    if self.dry_run:\n        return"
    modules = write({"trading/execution/engine.py": source, "bot/compose.py": source})
    assert len(checks.mode_questions(modules)) == 1


@pytest.mark.parametrize(("lines", "findings"), [(70, 0), (71, 1)])
def test_a_function_longer_than_a_screen_is_found(write: Write, lines: int, findings: int) -> None:
    source = "def f():\n" + "    x = 1\n" * (lines - 1)
    assert len(checks.long_functions(write({"bot/cli.py": source}))) == findings


@pytest.mark.parametrize(
    ("source", "findings"), [("x = 1", 1), ('"""Purse"""', 1), ('"""A."""', 0)]
)
def test_a_module_without_a_sentence_is_found(write: Write, source: str, findings: int) -> None:
    assert len(checks.modules_without_purpose(write({"bot/cli.py": source}))) == findings


def test_a_folder_that_is_no_package_is_found(write: Write) -> None:
    modules = write({"bot/__init__.py": "", "bot/cli.py": "", "bot/web/app.py": ""})
    (finding,) = checks.folders_without_init(modules)
    assert finding.partition(" ")[0].endswith("bot/web")


@pytest.mark.parametrize("name", ["utils", "order_helpers", "manager"])
def test_a_module_named_for_nothing_is_found(write: Write, name: str) -> None:
    assert len(checks.empty_names(write({f"bot/{name}.py": "", "bot/orders.py": ""}))) == 1


@pytest.mark.parametrize(
    "word",
    ["https://" + "pypi" + ".org/simple", "/" + "work/main", "files." + "python" + "hosted.org"],
)
def test_a_foreign_word_is_found_with_its_line(tmp_path: Path, word: str) -> None:
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\xff")
    (tmp_path / "page.md").write_text(f"fine\nsee {word}\n")
    (finding,) = checks.foreign_words(tmp_path.iterdir())
    assert "page.md:2" in finding


def test_a_relative_import_is_refused(write: Write) -> None:
    with pytest.raises(ValueError, match="import absolutely"):
        checks.wrong_directions(write({"bot/cli.py": "", "bot/control.py": "from . import cli"}))


@pytest.mark.parametrize(
    "source",
    [
        "self._waiting = asyncio.Queue()",
        "self._waiting: asyncio.Queue[int] = asyncio.Queue()",
        "_waiting = asyncio.PriorityQueue[int]()",
        "_waiting = queue.SimpleQueue()",
        "_waiting = deque([1])",
        "_waiting: deque[int] = field(default_factory=deque)",
        "_waiting: deque[int] = field(default_factory=lambda: deque())",
        "heapq.heappush(self._waiting, 1)",
    ],
)
def test_a_queue_without_a_size_is_found(write: Write, source: str) -> None:
    modules = write({"trading/trackers/room.py": source})
    assert checks.unbounded_queues(modules) == ["trading.trackers.room._waiting"]


@pytest.mark.parametrize(
    "source",
    [
        "self._waiting = asyncio.Queue(maxsize=5)",
        "self._waiting = asyncio.Queue(_WAITING_MAX)",
        "_waiting = deque([], 5)",
        "_waiting: deque[int] = field(default_factory=lambda: deque(maxlen=5))",
        "_waiting = list(deque_of(5))",
    ],
)
def test_a_queue_with_a_size_is_none(write: Write, source: str) -> None:
    assert checks.unbounded_queues(write({"trading/trackers/room.py": source})) == []


def test_a_bound_of_a_queue_that_is_gone_is_found(write: Write) -> None:
    assert "trading.trackers.engine.recording._fires" in checks.bounds_of_nothing(write({}))
