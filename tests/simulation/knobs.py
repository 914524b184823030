"""Every fault that a seed can turn on: one function each, acting once when it is called."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from random import Random
from typing import TYPE_CHECKING

from bot.localchat.faults import REQUEST_KINDS
from tests.simulation.machine import CrashPlan
from tests.simulation.network import Weather
from tests.simulation.telephone import Line

if TYPE_CHECKING:
    from tests.simulation.story import Story

Knob = Callable[["Story", Random], Awaitable[None]]
_ORDER = "/api/v3/order"
_CODES = (-1000, -1001, -1006, -1007, -1008)


def _fault(story: "Story", kind: str, times: int, **args: object) -> None:
    story.world.exchange.faults.add(kind, times, args)


async def lost_answer(story: "Story", chance: Random) -> None:
    """X01, X03b: the connection is cut instead of an answer, the order taken or not."""
    _fault(story, "drop_response", chance.randint(1, 3), accept=chance.random() < 0.7)


async def lost_anything(story: "Story", chance: Random) -> None:
    """X01, X32: any answer may be lost for some seconds."""
    story.for_a_while(chance.uniform(1, 10), "lost_answers", chance.uniform(0.1, 0.6))


async def server_error(story: "Story", chance: Random) -> None:
    """X03, X03b: a 5xx page, the order taken or not."""
    status = chance.choice((500, 502, 503, 504))
    _fault(story, "status", chance.randint(1, 2), status=status, accept=chance.random() < 0.5)


async def odd_code(story: "Story", chance: Random) -> None:
    """X04, X05, X06: a code that says nothing, the order taken or not."""
    code = chance.choice(_CODES)
    _fault(story, "error_code", chance.randint(1, 2), code=code, accept=chance.random() < 0.5)


async def garbage(story: "Story", chance: Random) -> None:
    """X25: an answer that cannot be read, of an order or of anything."""
    kind = chance.choice(("truncated", "html200", "empty_object"))
    path = chance.choice((_ORDER, _ORDER, "*"))
    _fault(story, kind, chance.randint(1, 3), path=path, method="*")


async def slow_order(story: "Story", chance: Random) -> None:
    """X08, X08b, X29: an order's request or answer takes seconds, past its deadline too."""
    when = chance.choice(("before", "after"))
    _fault(story, "delay", 1, seconds=chance.choice((0.5, 2.0, 4.0, 16.0)), when=when)


async def query_lag(story: "Story", chance: Random) -> None:
    """X07: queries miss the next order for a while."""
    _fault(story, "query_lag", 1, seconds=chance.uniform(0.2, 15))


async def late_match(story: "Story", chance: Random) -> None:
    """X05, X08: the engine takes the order seconds later, the answer being -1007 or not."""
    answer = chance.choice(("accept", "timeout"))
    _fault(story, "late_match", 1, seconds=chance.uniform(0.5, 8), answer=answer)


async def refused(story: "Story", chance: Random) -> None:
    """X02, P10: nobody listens."""
    story.for_a_while(chance.uniform(0.5, 20), "is_refusing", True)


async def black_hole(story: "Story", chance: Random) -> None:
    """X29, W03: nothing comes back."""
    story.for_a_while(chance.uniform(1, 25), "is_black_hole", True)


async def slow_network(story: "Story", chance: Random) -> None:
    """X29, X37: some messages take seconds."""
    story.for_a_while(chance.uniform(5, 30), "slow", chance.uniform(0.05, 0.4))


async def rate_limited(story: "Story", chance: Random) -> None:
    """X12: a 429 with the seconds to wait."""
    _fault(story, "status", 1, status=429, retry_after=chance.randint(1, 10), path="*", method="*")


async def banned(story: "Story", chance: Random) -> None:
    """X13: a ban."""
    exchange = story.world.exchange
    exchange.limits.ban(chance.uniform(2, 20), exchange.venue.now_ms())
    story.world.network.weather.count("banned")


async def disconnected(story: "Story", chance: Random) -> None:
    """W01: a stream is closed or cut."""
    await story.control.add_fault(
        {
            "kind": "disconnect",
            "args": {
                "scope": chance.choice(("market", "user", "all")),
                "abort": chance.random() < 0.5,
            },
        }
    )


async def stalled(story: "Story", chance: Random) -> None:
    """W03, W04: a stream is up and silent, or repeats itself."""
    await story.control.add_fault(
        {
            "kind": "stall_stream",
            "args": {
                "scope": chance.choice(("market", "user", "all")),
                "seconds": chance.uniform(1, 20),
                "frozen_event_time": chance.random() < 0.3,
            },
        }
    )


async def terminated(story: "Story", _chance: Random) -> None:
    """W06: the user stream ends alone."""
    await story.control.add_fault({"kind": "terminate_stream"})


async def reports_doubled(story: "Story", chance: Random) -> None:
    """W08, X36: reports of the user stream come twice."""
    story.for_a_while(chance.uniform(5, 30), "user_duplicates", chance.uniform(0.2, 0.9))


async def reports_shuffled(story: "Story", chance: Random) -> None:
    """W08, W09: reports overtake each other."""
    story.for_a_while(chance.uniform(5, 30), "user_reordered", chance.uniform(0.2, 0.9))


async def reports_lost(story: "Story", chance: Random) -> None:
    """W06: reports never come."""
    story.for_a_while(chance.uniform(5, 30), "user_dropped", chance.uniform(0.2, 1.0))


async def thin_book(story: "Story", chance: Random) -> None:
    """X20, M01, M04: hardly anybody buys; orders end half filled."""
    symbol = chance.choice(story.symbols)
    depth = chance.choice(("0", "200", "2000", "9000"))
    await story.control.shape_book({"symbol": symbol, "quote_depth": depth, "side": "bid"})
    story.thin_until_s = story.world.loop.time() + chance.uniform(1, 20)
    story.world.network.weather.count("thin_book")


async def gap(story: "Story", chance: Random) -> None:
    """M01, M03, W14: the price jumps."""
    symbol = chance.choice(story.symbols)
    factor = Decimal(repr(round(1 + chance.choice((-1, 1)) * chance.uniform(0.02, 0.3), 4)))
    story.world.move(symbol, story.world.price(symbol) * factor)


async def bad_tick(story: "Story", chance: Random) -> None:
    """W13: a print that nobody else knows."""
    symbol = chance.choice(story.symbols)
    price = story.world.price(symbol) * Decimal(chance.choice(("0.01", "0.5", "3")))
    await story.control.print_trade({"symbol": symbol, "price": f"{price:.2f}"})


async def sold_elsewhere(story: "Story", chance: Random) -> None:
    """X16, W11, M09: the person sells by hand."""
    await story.foreign_order(chance, "SELL")


async def bought_elsewhere(story: "Story", chance: Random) -> None:
    """W11, M09: the person buys by hand."""
    await story.foreign_order(chance, "BUY")


async def deposited(story: "Story", chance: Random) -> None:
    """M09: coins come from elsewhere."""
    await story.control.transfer({"asset": chance.choice(("BTC", "USDT")), "delta": "0.01"})
    story.world.network.weather.count("deposited")


async def chat_faulty(story: "Story", chance: Random) -> None:
    """T01, T02, T06, T18, T20, T24: one of the chat's own faults."""
    kinds = sorted(REQUEST_KINDS - {"unauthorized"})
    kind = chance.choice(kinds)
    args: dict[str, object] = {}
    if kind == "error":
        code = chance.choice((429, 429, 500, 502))
        args = (
            {"code": code, "retry_after": chance.randint(1, 15)} if code == 429 else {"code": 500}
        )
    if kind == "delay":
        args = {"ms": chance.randint(200, 25_000)}
    if kind == "down":
        args = {"ms": chance.randint(500, 30_000)}
    telephone = story.world.telephone
    telephone.plan.add(kind, chance.randint(1, 4), args, telephone.conversation.clock.monotonic())


async def chat_lost(story: "Story", chance: Random) -> None:
    """T01, P10: the chat cannot be reached."""
    line = story.world.telephone.line
    line.is_refusing, line.is_black_hole = chance.choice(((True, False), (False, True)))
    story.chat_back_s = story.world.loop.time() + chance.uniform(1, 40)


async def updates_doubled(story: "Story", chance: Random) -> None:
    """T06: updates are delivered again."""
    updates = story.world.telephone.conversation.updates
    updates.deliver_next_twice(chance.randint(1, 3))
    story.doubled += updates.deliver_last_again(chance.randint(1, 3))
    story.world.telephone.bell_of_updates.ring()


async def power_cut(story: "Story", chance: Random) -> None:
    """P01, S15: the machine dies at a commit, in the middle of one, or at an await."""
    moment = chance.choice(("before", "torn", "torn", "after", "await"))
    count = chance.randint(1, 400) if moment == "await" else chance.randint(1, 6)
    story.world.machine.plan = CrashPlan(moment, count)


async def orderly_stop(story: "Story", _chance: Random) -> None:
    """P02: the agent is asked to stop."""
    if story.world.machine.is_running:
        story.world.network.weather.count("stopped")
        story.world.machine.stop()


async def disk_full(story: "Story", chance: Random) -> None:
    """S01, S02, S03: the database takes nothing for a while."""
    story.world.machine.full_until_s = story.world.loop.time() + chance.uniform(0.5, 15)


async def slow_disk(story: "Story", chance: Random) -> None:
    """S07: a commit or a read takes long."""
    story.slow_disk_until_s = story.world.loop.time() + chance.uniform(2, 20)


async def clock_step(story: "Story", chance: Random) -> None:
    """C01, C03: the wall clock is set."""
    steps = (-3600.0, -7.0, -1.5, 0.8, 2.0, 7.0, 3600.0)
    story.world.machine.clock.offset_s += chance.choice(steps)
    story.world.network.weather.count("clock_step")


KNOBS: tuple[Knob, ...] = (
    *(lost_answer, lost_anything, server_error, odd_code, garbage, slow_order, query_lag),
    *(late_match, refused, black_hole, slow_network, rate_limited, banned, disconnected),
    *(stalled, terminated, reports_doubled, reports_shuffled, reports_lost, thin_book, gap),
    *(bad_tick, sold_elsewhere, bought_elsewhere, deposited, chat_faulty, chat_lost),
    *(updates_doubled, power_cut, power_cut, orderly_stop, disk_full, slow_disk, clock_step),
)


def clear(story: "Story") -> None:
    """End every fault."""
    world = story.world
    fired = world.network.weather.fired
    world.network.weather = Weather(fired=fired)
    world.telephone.line = Line(fired=world.telephone.line.fired)
    world.telephone.plan.clear()
    world.exchange.faults.clear()
    world.exchange.limits.banned_until_ms = 0
    world.exchange.market_streams.muted_until_s = 0.0
    world.exchange.user_stream.muted_until_s = 0.0
    world.machine.plan = None
    world.machine.full_until_s = 0.0
    story.slow_disk_until_s = 0.0
