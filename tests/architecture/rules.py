"""Who may import whom, which package alone knows a library, and where code may wait.

A row counts for a module and everything below it; of two rows that fit, the longer name counts.
"""

# Reactions and effects are plain calls of these; only an engine may hold them.
_WAITING = ("trading.bus", "trading.deadlines", "trading.right_of_way")
_SHELL = (
    *("trading.ports.clock", "trading.ports.exchange", "trading.ports.storage"),
    "trading.ports.on_the_way",
    *_WAITING,
)
_ANYTHING = ("bot", "trading", "storage")
_ENGINES = tuple(
    f"trading.{package}.engine"
    for package in ("market", "scanner", "trackers", "execution", "signals")
)
# What leads the rest: the agent, the commands it carries out, and the desk it answers at.
_CONDUCTORS = (
    "trading.account_stream",
    "trading.agent",
    "trading.alarms",
    "trading.catching_up",
    "trading.commanding",
    "trading.follow_ups",
    "trading.housekeeping",
    "trading.locking",
    "trading.lost_coins",
    "trading.probing",
    "trading.reacting",
    "trading.reception",
    "trading.restoring",
)
_CONDUCTED = (
    "trading.activity",
    "trading.alarms",
    "trading.backstops",
    "trading.decide",
    "trading.desk",
    "trading.domain",
    "trading.key_rights",
    "trading.market",
    "trading.execution.settings",
    "trading.overview",
    "trading.portfolio",
    "trading.pricing",
    "trading.proposals",
    "trading.reachability",
    "trading.risk",
    "trading.schedule",
    "trading.state",
    "trading.symbols",
    "trading.trackers",
    "trading.views",
    *_SHELL,
    *_ENGINES,
)
# The exchange is reached by the desk alone.
_AGENT = (
    *("trading.agent", "trading.desk", "trading.domain", "trading.overview", "trading.poison"),
    *("trading.ports.clock", "trading.ports.on_the_way", "trading.ports.storage"),
    *_WAITING,
)

# What a module may import of ours, besides its own package.
DIRECTIONS: dict[str, tuple[str, ...]] = {
    "trading.domain": (),
    "trading.ports": ("trading.domain",),
    "trading.ports.history": ("trading.candles", "trading.domain"),
    "trading.bus": ("trading.domain",),
    "trading.deadlines": ("trading.domain",),
    "trading.right_of_way": (),
    "trading.market": ("trading.candles", "trading.domain"),
    "trading.market.engine": ("trading.domain", *_SHELL),
    "trading.market.live_candles": (
        *("trading.candles", "trading.domain", "trading.ports.history"),
        *_SHELL,
    ),
    "trading.scanner": ("trading.candles", "trading.domain", "trading.market"),
    "trading.scanner.engine": (
        *("trading.candles", "trading.domain", "trading.market", "trading.ports.history"),
        *_SHELL,
    ),
    "trading.oracle": ("trading.domain", "trading.market"),
    "trading.trackers": ("trading.domain", "trading.market"),
    "trading.trackers.engine": ("trading.domain", "trading.market", *_SHELL),
    "trading.candles": ("trading.domain",),
    "trading.risk": ("trading.domain",),
    "trading.execution": ("trading.domain", "trading.risk"),
    "trading.execution.engine": ("trading.domain", "trading.risk", *_SHELL),
    "trading.signals": ("trading.domain",),
    "trading.signals.engine": ("trading.domain", *_SHELL),
    "trading.decide": (
        "trading.domain",
        "trading.market",
        "trading.scanner",
        "trading.oracle",
        "trading.trackers",
        "trading.risk",
    ),
    "trading.activity": ("trading.domain", "trading.portfolio", "trading.risk"),
    "trading.pricing": (
        *("trading.domain", "trading.ports.clock", "trading.ports.exchange"),
        "trading.market.engine",
    ),
    "trading.proposals": (
        "trading.domain",
        "trading.decide",
        "trading.desk",
        "trading.market",
        "trading.risk",
        "trading.trackers",
    ),
    "trading.commanding": (*_CONDUCTED, "trading.execution.reconcile"),
    "trading.funds": ("trading.domain", "trading.portfolio", "trading.ports.clock"),
    "trading.transfers": ("trading.domain", "trading.funds", "trading.state", *_SHELL),
    "trading.housekeeping": (
        *_CONDUCTED,
        "trading.commanding",
        "trading.funds",
        "trading.lost_coins",
        "trading.outside",
        "trading.reading_back",
        "trading.transfers",
    ),
    "trading.lost_coins": (
        *_CONDUCTED,
        "trading.commanding",
        "trading.execution.reconcile",
        "trading.missing",
        "trading.outside",
    ),
    "trading.locking": (*_CONDUCTED, "trading.commanding"),
    "trading.probing": (*_CONDUCTED, "trading.commanding"),
    "trading.restoring": (
        *_CONDUCTED,
        *("trading.commanding", "trading.execution.reconcile", "trading.follow_ups"),
    ),
    "trading.alarms": ("trading.domain", "trading.risk", "trading.state", *_SHELL),
    "trading.follow_ups": ("trading.domain",),
    "trading.catching_up": (*_CONDUCTED, "trading.follow_ups", "trading.reading_back"),
    "trading.reading_back": ("trading.domain", "trading.ports.storage"),
    "trading.account_stream": (
        *_CONDUCTED,
        "trading.commanding",
        "trading.follow_ups",
        "trading.housekeeping",
    ),
    "trading.reacting": (*_CONDUCTED, "trading.commanding", "trading.follow_ups"),
    "trading.start_card": (
        "trading.domain",
        "trading.execution.ladder",
        "trading.execution.reconcile",
        "trading.trackers",
    ),
    "trading.installation": ("trading.decide", "trading.domain", "trading.risk", *_SHELL),
    "trading.agent": (
        *_CONDUCTED,
        "trading.installation",
        "trading.account_stream",
        "trading.catching_up",
        "trading.commanding",
        "trading.follow_ups",
        "trading.housekeeping",
        "trading.last_words",
        "trading.locking",
        "trading.probing",
        "trading.reacting",
        "trading.reading_back",
        "trading.restoring",
        "trading.start_card",
    ),
    "trading.reception": (*_CONDUCTED, "trading.commanding", "trading.agent"),
    "trading.reachability": (),
    "trading.backstops": ("trading.domain",),
    "trading.last_words": ("trading.backstops", "trading.domain", "trading.ports.storage"),
    "trading.key_rights": ("trading.domain", "trading.ports.exchange"),
    "trading.outside": ("trading.domain", "trading.execution", "trading.reachability"),
    "trading.missing": ("trading.domain", "trading.execution.reconcile"),
    "trading.desk": ("trading.domain", "trading.overview", "trading.ports.storage"),
    "trading.overview": ("trading.domain",),
    "trading.portfolio": ("trading.domain",),
    "trading.state": ("trading.domain", "trading.ports.storage", "trading.portfolio"),
    "trading.symbols": ("trading.domain",),
    "trading.views": (
        "trading.domain",
        "trading.market",
        "trading.overview",
        "trading.portfolio",
        "trading.reachability",
        "trading.trackers",
    ),
    "trading.schedule": ("trading.domain", "trading.ports.clock"),
    "trading.loopback": (),
    "trading.sim": ("trading.candles", "trading.domain", "trading.loopback"),
    "trading.poison": (),
    "trading.gateway": (
        *("trading.candles", "trading.domain", "trading.poison"),
        *("trading.ports.clock", "trading.ports.exchange", "trading.right_of_way", "trading.sim"),
    ),
    "trading.learn": ("trading.domain", "trading.market", "trading.scanner"),
    "trading.backtest": (
        "trading.domain",
        "trading.market",
        "trading.scanner",
        "trading.decide",
        "trading.agent",
        "trading.sim",
        "trading.learn",
    ),
    "trading.tune": (
        "trading.domain",
        "trading.market",
        "trading.scanner",
        "trading.decide",
        "trading.agent",
        "trading.sim",
        "trading.learn",
        "trading.backtest",
    ),
    "storage": (
        *("trading.domain", "trading.ports.clock", "trading.ports.history"),
        "trading.ports.storage",
    ),
    "storage.archive": ("trading.domain", "trading.candles"),
    "bot": (*_AGENT, "bot"),
    "bot.telegram": (
        *(*_AGENT, "trading.scanner"),
        *("bot.charts", "bot.handed_out", "bot.modes", "bot.repetition", "bot.totp"),
    ),
    "bot.telegram.confirm": ("trading.domain", "trading.ports.storage"),
    "bot.localchat": (*_AGENT, "trading.loopback"),
    "bot.web": _AGENT,
    "bot.charts": ("trading.domain", "trading.scanner", "bot.child", "bot.handed_out"),
    "bot.child": ("trading.domain",),
    "bot.clock": ("trading.domain", "trading.ports.clock"),
    "bot.data": (
        *("trading.domain", "trading.candles", "storage.archive", "bot"),
        *("trading.gateway.candle_history", "trading.gateway.settings"),
    ),
    # Of an agent that does not run, the journal is asked.
    "bot.control.wording": (*_AGENT, "trading.last_words", "bot"),
    "bot.config": ("trading", "storage", "bot"),  # the settings types of each package
    "bot.logs": ("trading.domain",),
    "bot.modes": ("trading.domain",),
    "bot.notify": ("trading.domain",),
    "bot.secrets": ("trading.domain",),
    "bot.totp": (),
    "bot.handed_out": (),
    "bot.small_files": (),
    "bot.silence": ("trading.gateway.silence", "bot.small_files"),
    "bot.shares": ("trading", "bot"),  # the settings types of each package
    "bot.vital_signs": (*_AGENT, "trading.reception", "storage", "bot"),
    "bot.repetition": (),
    "bot.replaying": (
        *("trading.domain", "trading.candles", "trading.scanner", "storage.archive"),
        "bot.child",
    ),
    "bot.accounts": _ANYTHING,
    "bot.scanning": _ANYTHING,
    "bot.archive_watch": (
        *("trading.domain", "trading.ports.clock", "trading.candles.series"),
        "storage.archive",
    ),
    "bot.storage_watch": ("trading.domain", "trading.ports.clock", "storage", "bot.repetition"),
    "bot.on_the_way": ("bot.in_hand",),
    "bot.held_start": ("trading.domain", "storage.database", "bot.systemd"),
    "bot.owners_chat": ("trading.domain.chat", "bot.small_files"),
    "bot.refused_start": ("trading.ports.clock", "bot.escalation", "bot.small_files"),
    "bot.starting": (
        *_AGENT,
        "trading.installation",
        "storage",
        "bot.in_hand",
        "bot.refused_start",
    ),
    "bot.compose": _ANYTHING,
    "bot.front": _ANYTHING,
    "bot.opening": _ANYTHING,
    "bot.cli": _ANYTHING,
}

# Only pure modules go into a decision: its row names packages, and this takes their shells out.
PURE_ONLY = ("trading.decide", "trading.proposals", "trading.views")
SHELL_MODULES = (
    "trading.market.engine",
    "trading.market.live_candles",
    "trading.scanner.desk",
    "trading.scanner.engine",
    "trading.trackers.engine",
)

# Of risk, execution may know the one type that opens its gate.
ONE_NAME_ONLY = {"trading.execution": ("trading.risk", "Approved")}

# Who alone knows a library. The standard library is free for all, but for os.environ below.
LIBRARIES: dict[str, tuple[str, ...]] = {
    "aiohttp": ("trading.sim.binance", "trading.gateway", "bot.demo", "bot.localchat", "bot.web"),
    "aiosqlite": ("storage",),
    "alembic": ("storage",),
    "apprise": ("bot.notify",),
    "apscheduler": ("trading.schedule",),
    "asyncpg": ("storage",),
    "ccxt": ("trading.gateway",),
    "cryptography": ("bot.secrets",),
    "dask": ("trading.tune",),
    "distributed": ("trading.tune",),
    "dotenv": ("bot.config.environment",),
    "httpx": ("bot.telegram.requesting",),
    "keyring": ("bot.secrets",),
    "lightgbm": ("trading.learn",),
    "matplotlib": ("bot.charts",),
    "numba": ("trading.backtest",),
    "numpy": (
        "storage.archive",
        "storage.scores",
        "storage.write_ahead_log",
        "bot.replaying",
        "trading.candles",
        "trading.market",
        "trading.scanner",
        "trading.oracle",
        "trading.trackers",
        "trading.sim",
        "trading.learn",
        "trading.backtest",
        "trading.tune",
        "bot.charts",
    ),
    "optuna": ("trading.tune",),
    "orjson": (
        *("trading.sim.binance", "trading.gateway", "storage"),
        *("bot.charts", "bot.localchat", "bot.web"),
    ),
    "prometheus_client": ("bot.web",),
    "pyarrow": ("storage", "trading.sim"),
    "pydantic": ("bot.config", "storage"),
    "pydantic_settings": ("bot.config.settings",),
    "pyotp": ("bot.telegram.confirm",),
    "rich": ("bot.data",),
    "sklearn": ("trading.learn",),
    "sqlalchemy": ("storage",),
    "structlog": ("bot.logs",),
    "talib": ("trading.market.indicators",),
    "telegram": ("bot.telegram",),
    "typer": ("bot.data",),
    "uvloop": (),
}

# Where a library may be named inside a function only: it is heavy, and most runs never need it.
LAZY_LIBRARIES: dict[str, tuple[str, ...]] = {"pyarrow": ("trading.sim", "storage.archive")}

# The composition root and the command line may name any library.
COMPOSITION_ROOT = ("bot.compose", "bot.cli", "bot.servers")
# The demo hands its own environment on to the processes that it starts.
ENVIRONMENT_READERS = ("bot.config.environment", "bot.demo")

# Where `async` may appear; everything else in trading is synchronous and pure.
ASYNC_SHELLS = (
    "trading.bus",
    "trading.deadlines",
    "trading.right_of_way",
    "trading.desk",
    "trading.funds",
    "trading.installation",  # names the sleep that everything waits with
    "trading.ports",
    "trading.pricing",
    "trading.reading_back",
    "trading.schedule",
    "trading.transfers",
    *_CONDUCTORS,
    "trading.market.candle_keeping",
    "trading.market.candle_line",
    "trading.market.handover",
    "trading.market.live_candles",
    "trading.scanner.desk",
    "trading.gateway",
    "trading.sim.exchange",
    "trading.sim.binance",
    "trading.backtest.run",
    "trading.tune.worker",
    *_ENGINES,
    "storage",
    "bot",
)

# A mode is what was passed to a constructor, never a question (style: one core, many worlds).
MODE_QUESTIONS = frozenset(
    {
        "dry_run",
        "is_backtest",
        "is_backtesting",
        "is_dry_run",
        "is_live",
        "is_paper",
        "is_simulated",
    }
)

FUNCTION_LINES_MAX = 70
EMPTY_NOUNS = frozenset(
    {"base", "common", "helper", "helpers", "manager", "misc", "util", "utilities", "utils"}
)

# Queues that say no size of their own: what bounds each, and what happens at the bound.
BOUNDED_ELSEWHERE: dict[str, str] = {
    "trading.execution.engine.pacing._sent_s": "one per order of the venue's window; past the "
    "venue's limit orders wait",
    "trading.execution.engine.pacing._waiting": "one per open decision, which the gate limits",
    "trading.execution.engine.reporting._queue": "`reports_max`; past it a symbol is swept over "
    "REST, where the same facts stand",
    "trading.execution.engine.writing._put_off": "what one transaction has just written; it is "
    "told with the next facts",
    "trading.execution.engine.writing._unsaved": "`_UNSAVED_MAX` facts; past it the process ends "
    "and the next one asks the exchange",
    "trading.gateway.throttle._used": "one per request of the last minute, each of a weight; past "
    "the venue's weight requests are refused",
    "trading.market.live_candles._reads": "one per watched series",
    "trading.market.unwritten._waiting": "`unwritten_max`; past it the oldest go, and are asked "
    "for again as a hole of the archive",
    "trading.sim.binance.outlet._queue": "`queue_max`; past it the reader is disconnected",
    "trading.sim.binance.limits._order_times": "one per order of the last ten seconds; past the "
    "limit orders are refused",
    "trading.sim.exchange._late": "one per order that a planned fault holds back",
    "trading.trackers.engine.recording._fires": "one per live tracker",
}
