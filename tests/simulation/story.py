"""One seed's story: a person, a market and faults for a while; then calm, and all settles."""

import asyncio
import contextlib
import logging
import traceback
from collections.abc import Callable, Iterator
from decimal import Decimal
from random import Random
from typing import Any

from tests.simulation import knobs
from tests.simulation.checks import (
    Broken,
    check_all,
    check_request,
    check_settled,
    none_missed,
)
from tests.simulation.facts import Facts
from tests.simulation.world import MARKETS, Chances, World, play
from trading.domain.errors import StorageLost
from trading.domain.events import TrackerChanged
from trading.domain.instrument import base_and_quote
from trading.domain.order import Purpose
from trading.domain.tracker import Tracker
from trading.installation import order_prefix
from trading.sim.binance.codes import ApiError
from trading.sim.binance.control import Control

SAFETY_S = (30.0, 90.0)
LIVENESS_S = 240.0
# Further than any stop of this person lies, and less than what has to be confirmed.
FALL = Decimal("0.92")
FIRED_WITHIN_S = 10.0
# In one print through stops and backstops.
PLUNGE = Decimal("0.94")
PLUNGES = 0.06
BACKSTOP = 0.955
_KNOB_SHARE = 0.3
# In some stories there is a market that spends what another one protects.
_CROSS = "ETH/BTC"
_CROSSES = 0.25
_MARKETS_WITH_CROSS = 8
_CALM_S = 0.5


class Story:
    """Plays a seed in its world and checks it at each step."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.facts = Facts()
        self.control = Control(world.exchange)
        self.sent: set[str] = set()
        self.last_tracker: dict[int, Tracker] = {}
        self.order_prefix = "??"
        self.exits: list[str] = []
        self.thin_until_s = self.chat_back_s = self.slow_disk_until_s = 0.0
        self.doubled = 0
        self.settled_after_s = 0.0
        self._seen_changes = 0
        self._restart_s = 0.0
        self._asked: set[int] = set()
        self._ends: list[tuple[float, Callable[[], None]]] = []
        self._chance = world.chances.of("story")
        self._disk = world.chances.of("disk")
        # In every other story on average, so that the usual ones stay as frequent.
        self._goes_round = world.chances.of("rounds").random() < 0.5
        self._has_backstops = world.chances.of("backstops").random() < 0.5
        self._sells_at_limits = world.chances.of("limits").random() < 0.5
        traded = ("BTC/USDT", "ETH/USDT", _CROSS)
        self.symbols = [one for one in traded if one in world.exchange.venue.world.markets]
        chosen = world.chances.of("knobs")
        self.knobs = [knob for knob in knobs.KNOBS if chosen.random() < _KNOB_SHARE]
        world.network.on_request = lambda request: check_request(self, request)
        world.loop.storage_delay_s = self._storage_delay_s

    # ------------------------------------------------------------ phases

    async def run(self) -> None:
        """Both phases; raises Broken with the invariant that did not hold."""
        try:
            self._start()
            await self._safety(self._chance.uniform(*SAFETY_S))
            await self._liveness()
        finally:
            self.facts.close()

    async def _safety(self, seconds: float) -> None:
        ends_s = self.world.loop.time() + seconds
        while self.world.loop.time() < ends_s:
            await self._pass(self._chance.uniform(0.05, 1.2))
            await self._act()
            self.check()

    async def _liveness(self) -> None:
        knobs.clear(self)
        self._end_everything()
        self.world.trace.note(self.world.loop.time(), "calm")
        self.settled_after_s = await self._settle()
        await self._fall()
        await self._settle()

    async def _fall(self) -> None:
        """Let every market fall below every stop: whoever still waits has missed it."""
        for symbol in self.symbols:
            self.world.move(symbol, self.world.price(symbol) * FALL)
        ends_s = self.world.loop.time() + FIRED_WITHIN_S
        while missed := list(none_missed(self)):
            await self._pass(_CALM_S)
            self.check()
            if self.world.loop.time() > ends_s:
                raise Broken("I-23", missed[0])

    async def _settle(self) -> float:
        """Wait until all has come to rest; how long that took."""
        began_s = self.world.loop.time()
        while True:
            await self._pass(_CALM_S)
            self._keep_alive()
            self._wander()
            self.check()
            try:
                self._check_rest()
            except Broken:
                if self.world.loop.time() > began_s + LIVENESS_S:
                    raise
            else:
                return self.world.loop.time() - began_s

    def _check_rest(self) -> None:
        machine = self.world.machine
        if not machine.is_running or machine.process is None or not self._is_ready():
            raise Broken("L-02", "the agent is not up")
        check_settled(self)

    def _is_ready(self) -> bool:
        process = self.world.machine.process
        return hasattr(process, "_agent") and process._agent.is_ready

    def check(self) -> None:
        """Everything that must hold at each moment."""
        self.read()
        check_all(self)

    def read(self) -> None:
        """Take in the journal; what is being torn just now is no part of it."""
        if self.world.loop.is_power_cut:
            return
        for event in self.facts.read(self.world.machine.disk.database):
            kind = type(event).__name__
            if kind == "Installed":
                self.order_prefix = order_prefix(event.install_id)  # type: ignore[union-attr]
            self.world.trace.note(self.world.loop.time(), f"fact {kind} {event!r}", 300)

    def fresh_changes(self) -> list[TrackerChanged]:
        """The tracker changes since the last call."""
        fresh = self.facts.changes[self._seen_changes :]
        self._seen_changes = len(self.facts.changes)
        return fresh

    # ------------------------------------------------------------ what the checks ask

    def balances(self) -> dict[str, Decimal]:
        """What the agent believes to hold, by asset."""
        found = self.world.agent.state.book.snapshot().balances
        return {asset: balance.total for asset, balance in found.items()}

    def is_resting(self, name: str) -> bool:
        """Whether an order may stay open: the backstop of a stop that waits, or a limit sale."""
        intent = self.facts.intents.get(self.facts.attempts[name].intent_id)
        if intent is not None and intent.limit_price is not None:
            return intent.purpose is Purpose.CLOSE
        if intent is None or intent.purpose is not Purpose.BACKSTOP:
            return False
        tracker = self.facts.trackers.get(intent.tracker_id or 0)
        return tracker is not None and tracker.state.is_waiting

    def agent_tasks(self) -> list[asyncio.Task[Any]]:
        """The tasks of the agent's process."""
        worlds = self.world.loop.worlds_tasks
        return [task for task in asyncio.all_tasks(self.world.loop) if task not in worlds]

    # ------------------------------------------------------------ steps

    async def _pass(self, seconds: float) -> None:
        await self.world.pass_by(seconds)
        now_s = self.world.loop.time()
        due = [end for at_s, end in self._ends if at_s <= now_s]
        self._ends = [(at_s, end) for at_s, end in self._ends if at_s > now_s]
        for end in due:
            end()
        line = self.world.telephone.line
        if (line.is_refusing or line.is_black_hole) and now_s >= self.chat_back_s:
            line.is_refusing = line.is_black_hole = False
        if self.thin_until_s and now_s >= self.thin_until_s:
            self._fill_books()

    async def _act(self) -> None:
        chance = self._chance
        self._keep_alive()
        if chance.random() < 0.8:
            self._wander()
        if self.knobs and chance.random() < 0.35:
            knob = chance.choice(self.knobs)
            self.world.trace.note(self.world.loop.time(), f"knob {knob.__name__}")
            await knob(self, chance)
        if chance.random() < 0.3:
            self._speak(chance)
        if chance.random() < 0.8:
            self._tap(chance)

    def _start(self) -> None:
        self.world.machine.start()

    def _keep_alive(self) -> None:
        machine, now_s = self.world.machine, self.world.loop.time()
        if machine.is_running:
            self._restart_s = 0.0
            return
        if self._restart_s == 0.0:
            self._note_exit()
            self._restart_s = now_s + self._chance.choice((0.1, 1.0, 5.0, 20.0))
        elif now_s >= self._restart_s:
            self._restart_s = 0.0
            self._start()

    def _note_exit(self) -> None:
        main = self.world.machine.main
        if main is None or main.cancelled():
            return
        error = main.exception()
        self.exits.append(type(error).__name__)
        self.world.trace.note(self.world.loop.time(), f"exit {error!r}")
        if error is not None and not isinstance(error, StorageLost):
            raise error

    def _wander(self) -> None:
        for symbol in self.symbols:
            step = Decimal(repr(round(1 + self._chance.gauss(0, 0.005), 6)))
            if self._has_backstops and self._chance.random() < PLUNGES:
                step = PLUNGE
            self.world.move(symbol, self.world.price(symbol) * step)

    def _storage_delay_s(self) -> float:
        if self.world.loop.time() < self.slow_disk_until_s:
            return self._disk.uniform(0, 0.8)
        return 0.0 if self._disk.random() < 0.7 else self._disk.uniform(0, 0.004)

    # ------------------------------------------------------------ the person

    def _speak(self, chance: Random) -> None:
        symbol = chance.choice(self.symbols)
        below = self._at(symbol, round(1 - chance.uniform(0.002, 0.02), 4))
        above = self._at(symbol, round(1 + chance.uniform(0.002, 0.02), 4))
        share = chance.choice(("10%", "20%", "50%", "all"))
        trail = f"{chance.uniform(0.2, 2):.2f}%"
        number = chance.randint(1, max(1, len(self.facts.trackers)))
        then = chance.choice(("then cooldown", "then swing 6%")) if self._goes_round else ""
        few, many = self._worth(symbol, 150), self._worth(symbol, 200)
        rounds = (
            *(f"/track {symbol} trail {trail} {share} {then}",) * 2,
            f"/track {symbol} stop {below} {share} then cooldown",
            f"/track {symbol} sell above {above} trail {trail} {share} stop {below} {then}",
            *(f"/track {symbol} buy below {below} trail {trail} {many} {then}",) * 2,
            f"/track {symbol} buy stop {above} {few} then cooldown",
        )
        texts = (
            *(self._at_limits(symbol, above, chance) if self._sells_at_limits else ()),
            *(self._guarded(symbol, below, trail, share) if self._has_backstops else ()),
            *(rounds if self._goes_round else ()),
            *(f"/track {symbol} stop {below} {share}",) * 4,
            *(f"/track {symbol} trail {trail} {share}",) * 4,
            f"/track {symbol} stop {below} trail {trail} {share}",
            f"/track {symbol} sell above {above} trail {trail} {share}",
            f"/track {symbol} buy below {below} trail {trail} {many}",
            f"/track {symbol} buy stop {above} {few}",
            *(f"/buy {symbol} {self._worth(symbol, chance.randint(20, 300))}",) * 2,
            *(f"/sell {symbol} {share}",) * 2,
            f"/close {symbol}",
            f"/tracker {number} cancel",
            f"/tracker {number} pause",
            f"/tracker {number} resume",
            *("/status", "/trackers", "/positions", "/ack", "/pause", "/resume", "/resume"),
            *("/halt", "/reduce", "/closeall", "/panic"),
        )
        self.world.telephone.say(chance.choice(texts))

    def _guarded(self, symbol: str, below: str, trail: str, share: str) -> tuple[str, ...]:
        # Further than where any of these stops sells at the latest, and nearer than a plunge.
        lower = self._at(symbol, BACKSTOP)
        return (
            *(f"/track {symbol} stop {below} {share} backstop {lower}",) * 20,
            *(f"/track {symbol} trail {trail} {share} backstop {lower}",) * 10,
        )

    def _at_limits(self, symbol: str, above: str, chance: Random) -> tuple[str, ...]:
        # Of all that the account holds: mostly more than is managed, so that coins come under care.
        share = Decimal(repr(round(chance.uniform(0.1, 0.9), 2)))
        some = (self.world.held(base_and_quote(symbol)[0]) * share).quantize(Decimal("0.0001"))
        return (
            *(f"/sell {symbol} {some} limit {above}",) * 14,
            *(f"/sell {symbol} {some}",) * 4,
            *(f"/abort {symbol}",) * 12,
        )

    def _at(self, symbol: str, factor: float) -> str:
        tick = self.world.exchange.venue.exchange.instruments[symbol].price_tick
        return f"{(self.world.price(symbol) * Decimal(repr(factor))).quantize(tick):f}"

    def _worth(self, symbol: str, dollars: int) -> str:
        quote = base_and_quote(symbol)[1]
        return f"{dollars} USDT" if quote == "USDT" else f"{dollars / 60_000:.5f} {quote}"

    def _tap(self, chance: Random) -> None:
        for message in self.world.telephone.messages()[-6:]:
            is_question = any(b.text.endswith("Confirm") for row in message.keyboard for b in row)
            if is_question and (message.message_id not in self._asked or chance.random() < 0.1):
                self._asked.add(message.message_id)
                self.world.telephone.press(message, "Confirm")

    async def foreign_order(self, chance: Random, side: str) -> None:
        """Trade by hand past the agent."""
        symbol = chance.choice(self.symbols)
        base = base_and_quote(symbol)[0]
        free = self.world.exchange.venue.exchange.account.free(base)
        quantity = (free * Decimal(repr(round(chance.uniform(0.01, 0.4), 2)))).quantize(
            Decimal("0.0001")
        )
        body = {"symbol": symbol, "side": side, "quantity": str(quantity)}
        try:
            await self.control.foreign_order(body)
        except ApiError:
            # Too little to sell, or nobody there to sell to.
            return
        self.world.network.weather.count("foreign")

    # ------------------------------------------------------------ faults that end

    def for_a_while(self, seconds: float, name: str, value: object) -> None:
        """Set one field of the weather and take it back later."""
        weather = self.world.network.weather
        usual = type(weather)()
        setattr(weather, name, value)
        ends_s = self.world.loop.time() + seconds

        def end() -> None:
            setattr(self.world.network.weather, name, getattr(usual, name))

        self._ends.append((ends_s, end))

    def _end_everything(self) -> None:
        self._ends = []
        self._fill_books()

    def _fill_books(self) -> None:
        self.thin_until_s = 0.0
        from trading.sim.liquidity import QUOTE_DEPTH

        exchange = self.world.exchange
        for symbol in self.symbols:
            exchange.venue.world.markets[symbol].liquidity.set_depth(Decimal(QUOTE_DEPTH))
            exchange.venue.world.reshape(symbol, exchange.venue.now_ms())


@contextlib.contextmanager
def _logged(world: World) -> Iterator[None]:
    handler = _Asides(world)
    root = logging.getLogger()
    before = root.handlers[:]
    root.handlers = [handler]
    try:
        yield
    finally:
        root.handlers = before


class _Asides(logging.Handler):
    """What the agent logs, between the lines of the trace."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.WARNING)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        shown = getattr(record, "error", "") or getattr(record, "reason", "")
        told = f"log {record.getMessage()} {shown}"
        if record.exc_info is not None:
            told += "\n" + "".join(traceback.format_exception(*record.exc_info))
            if isinstance(record.exc_info[1], NotImplementedError):
                # The loop of this world lacks what the agent calls: no fault that a story has.
                self._world.loop.worlds_failures.append(record.exc_info[1])
        self._world.trace.aside(self._world.loop.time(), told)


def play_seed(seed: int) -> Story:
    """Play one seed to its end; raises what went wrong, with the last lines of its trace."""
    told: list[Story] = []
    has_cross = Chances(seed).of("crosses").random() < _CROSSES

    async def script(world: World) -> None:
        told.append(Story(world))
        with _logged(world):
            await told[0].run()

    try:
        play(seed, script, _MARKETS_WITH_CROSS if has_cross else MARKETS)
    except BaseException as error:
        error.add_note(f"seed {seed}: python -m tests.simulation {seed}")
        if told:
            error.add_note("\n".join(list(told[0].world.trace.lines)[-40:]))
        raise
    return told[0]
