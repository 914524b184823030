"""`check_all`: every invariant of the fault catalogue that a simulated world can see, by its id.

Checked after each step: I-01 I-02 I-03 I-06 I-07 I-08 I-13 I-20 I-21 I-22 I-24, KEEP and ONE,
I-27: whoever takes coins takes what nobody owns, and no stop sells beyond its own slice, and CARE:
what came under care only to be sold leaves it with the end of its sale, and nothing else does.
Checked as a request leaves: I-04 I-05 I-09 I-10 (order size) I-11 I-12, Z-03.
Checked when the agent starts on what a crash left: I-30 and I-33 (the start's own verification).
Checked once faults have ended and the world has settled: I-08 (against the exchange), I-06 and EQ,
I-23 I-27 I-28 I-35 I-36, L-01 L-02 L-03 L-04 L-05, and I-30 I-33 on the whole journal.

Not checked here, and why: I-10's counts per minute and day (the person of this world stays below
them); I-25 (needs the notion of a standing alert per position that the cards have); I-26 (told in
words, by the tests of the chat); I-31 and I-32 (what the crashes of the seeds exercise, not a state
that one can look at); I-34 (its own test); I-37 (golden files); L-06 (no mode of this world halts
by itself); Z-01 Z-02 Z-04 Z-05 (the chat's own tests enumerate them).
"""

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import TYPE_CHECKING

from sqlalchemy import create_engine

from bot.telegram import sorts
from storage import integrity, snapshots
from tests.simulation.facts import adopted
from tests.simulation.system import compiled_once
from trading.domain.errors import UmbraError
from trading.domain.instrument import base_and_quote
from trading.domain.order import AttemptState, Purpose, Side
from trading.domain.tracker import TrackerChange, TrackerState
from trading.execution.identity import is_ours

if TYPE_CHECKING:
    from tests.simulation.story import Story
    from trading.domain.tracker import Tracker
    from trading.sim.binance.rest import Request
    from trading.sim.orders import PlacedOrder

ZERO = Decimal(0)
ORDER_PATH = "/api/v3/order"


class Broken(AssertionError):
    """An invariant does not hold; `name` is its id in the catalogue."""

    def __init__(self, name: str, what: str) -> None:
        super().__init__(f"{name}: {what}")
        self.name = name


def check_all(story: "Story") -> None:
    """Raise Broken for the first invariant that does not hold now."""
    for name, what in story.facts.breaches:
        raise Broken(name, what)
    for name, check in ALWAYS.items():
        for what in check(story):
            raise Broken(name, what)


def check_settled(story: "Story") -> None:
    """Raise Broken for the first thing that has not come to rest with all faults gone."""
    check_all(story)
    for name, check in SETTLED.items():
        for what in check(story):
            raise Broken(name, what)


# ---------------------------------------------------------------- after each step


def _ours(story: "Story") -> list["PlacedOrder"]:
    prefix = story.order_prefix
    found = story.world.orders()
    return [each for each in found if is_ours(each.ticket.client_order_id, prefix)]


def _sold_net(story: "Story", symbol: str, *, with_open: bool) -> Decimal:
    total = ZERO
    for order in _ours(story):
        if order.ticket.symbol != symbol:
            continue
        if order.ticket.side is Side.SELL:
            total += order.quantity if with_open and order.is_open else order.executed
        else:
            base = symbol.partition("/")[0]
            fees = sum((x.fee.amount for x in order.executions if x.fee.asset == base), ZERO)
            total -= order.executed - fees
    return total


def no_oversell(story: "Story") -> Iterator[str]:
    """I-01, I-02: what we sold or offer never exceeds what was put under management."""
    for symbol in story.symbols:
        sold = _sold_net(story, symbol, with_open=True)
        managed = story.facts.adopted.get(symbol, ZERO)
        if sold > managed:
            # A sale for which the disk has no room is decided in the reserve.
            reserved = story.facts.reserved(story.world.machine.disk.database)
            managed += sum((adopted(event, symbol) for event in reserved), ZERO)
        if sold > managed:
            yield f"{sold} of {symbol} sold or offered, {managed} were ever under management"


def managed_was_there(story: "Story") -> Iterator[str]:
    """I-01: over all markets of an asset no more is managed than the account holds.

    What we sold counts until it is booked, and what others took of it, who need not have told yet.
    """
    for asset, managed in _managed(story).items():
        most = story.world.held(asset) + _unbooked(story, asset) + _taken(story, asset)
        if managed > most:
            yield f"{managed} {asset} managed, {story.world.held(asset)} held, {most} explained"


def managed_is_there(story: "Story") -> Iterator[str]:
    """I-01, M09: at rest that is so whatever others took, up to the step of an order."""
    for asset, managed in _managed(story).items():
        step = Decimal("0.0001")
        if managed > story.world.held(asset) + step:
            yield f"{managed} {asset} managed, {story.world.held(asset)} held"


def _managed(story: "Story") -> dict[str, Decimal]:
    total: dict[str, Decimal] = {}
    for symbol, managed in story.facts.managed.items():
        base = base_and_quote(symbol)[0]
        total[base] = total.get(base, ZERO) + managed
    return total


def _unbooked(story: "Story", asset: str) -> Decimal:
    booked: dict[str, Decimal] = {}
    for fill in story.facts.fills.values():
        booked[fill.client_order_id] = booked.get(fill.client_order_id, ZERO) + fill.quantity
    return sum(
        (
            order.executed - booked.get(order.ticket.client_order_id, ZERO)
            for order in _ours(story)
            if order.ticket.side is Side.SELL and base_and_quote(order.ticket.symbol)[0] == asset
        ),
        ZERO,
    )


def _taken(story: "Story", asset: str) -> Decimal:
    ours = {order.ticket.client_order_id for order in _ours(story)}
    return sum(
        (
            _paid(order, asset)
            for order in story.world.orders()
            if order.ticket.client_order_id not in ours
        ),
        ZERO,
    )


def _paid(order: "PlacedOrder", asset: str) -> Decimal:
    base, quote = base_and_quote(order.ticket.symbol)
    if order.ticket.side is Side.SELL:
        return order.executed if asset == base else ZERO
    return order.notional if asset == quote else ZERO


def one_attempt(story: "Story") -> Iterator[str]:
    """I-03: at most one live attempt per intent, in the journal."""
    live: dict[str, str] = {}
    for name, attempt in story.facts.attempts.items():
        if attempt.state.is_terminal:
            continue
        if attempt.intent_id in live:
            yield f"{attempt.intent_id} has {live[attempt.intent_id]} and {name} at once"
        live[attempt.intent_id] = name


def once(story: "Story") -> Iterator[str]:
    """ONE: on the exchange an intent has one open order, and never more than it wanted."""
    by_intent: dict[str, list[PlacedOrder]] = {}
    for order in _ours(story):
        attempt = story.facts.attempts.get(order.ticket.client_order_id)
        if attempt is not None:
            by_intent.setdefault(attempt.intent_id, []).append(order)
    for intent_id, orders in by_intent.items():
        intent = story.facts.intents.get(intent_id)
        if sum(1 for order in orders if order.is_open) > 1:
            yield f"{intent_id} has two open orders"
        if intent is None:
            continue
        if intent.quote_budget is not None:
            spent = sum((order.notional for order in orders), ZERO)
            if spent > intent.quote_budget * Decimal("1.001"):
                yield f"{intent_id} spent {spent} of {intent.quote_budget}"
        else:
            done = sum((order.executed for order in orders), ZERO)
            # An order may fill whole while it is cancelled because a closing let a part of it go.
            if done > intent.quantity + intent.released:
                yield f"{intent_id} did {done} of {intent.quantity}"


def own_slices(story: "Story") -> Iterator[str]:
    """I-27: what a stop and its backstop have sold together is never more than its own slice."""
    done: dict[tuple[int, int], Decimal] = {}
    for order in _ours(story):
        attempt = story.facts.attempts.get(order.ticket.client_order_id)
        intent = story.facts.intents.get(attempt.intent_id) if attempt is not None else None
        if intent is None or intent.tracker_id is None or intent.side is not Side.SELL:
            continue
        arming = (intent.tracker_id, intent.arm_seq)
        done[arming] = done.get(arming, ZERO) + order.executed
    for arming, sold in done.items():
        owned = story.facts.slices.get(arming, ZERO)
        if sold > owned:
            yield f"#{arming[0]} sold {sold}, its slice was {owned}"


def fills_are_the_exchanges(story: "Story") -> Iterator[str]:
    """I-06: booked fills of an order never exceed what the exchange executed, nor its own count."""
    booked: dict[str, Decimal] = {}
    for fill in story.facts.fills.values():
        booked[fill.client_order_id] = booked.get(fill.client_order_id, ZERO) + fill.quantity
    executed = {order.ticket.client_order_id: order.executed for order in story.world.orders()}
    for name, quantity in booked.items():
        if quantity > executed.get(name, ZERO):
            yield f"{name}: {quantity} booked, {executed.get(name, ZERO)} executed"
    for name, attempt in story.facts.attempts.items():
        if attempt.filled_quantity > executed.get(name, ZERO):
            yield f"{name}: {attempt.filled_quantity} believed, {executed.get(name, ZERO)} executed"


def no_debt(story: "Story") -> Iterator[str]:
    """I-13: nothing of the account is negative."""
    account = story.world.exchange.venue.exchange.account
    for asset in account.assets:
        if account.free(asset) < 0 or account.locked(asset) < 0:
            yield f"{asset}: {account.free(asset)} free, {account.locked(asset)} locked"


def tracker_paths(story: "Story") -> Iterator[str]:
    """I-20, I-21, I-22, I-24: along the changes since the last step."""
    for event in story.fresh_changes():
        before, after = story.last_tracker.get(event.tracker.tracker_id), event.tracker
        story.last_tracker[after.tracker_id] = after
        if event.change is TrackerChange.TRIGGERED:
            yield from _phantom(event)
        if before is None or after.side is not Side.SELL:
            continue
        is_same = before.arm_seq == after.arm_seq
        if before.state.is_acting and after.state.is_waiting and is_same:
            yield f"I-20: #{after.tracker_id} went from {before.state} back to {after.state}"
        if is_same and after.state.is_waiting and before.state.is_waiting:
            yield from _moved_back(event.change, before, after)


def _phantom(event: object) -> Iterator[str]:
    tracker, evidence = event.tracker, event.evidence  # type: ignore[attr-defined]
    if evidence is None:
        yield f"I-22: #{tracker.tracker_id} fired without evidence"
        return
    beyond = (evidence.price - evidence.level) * tracker.side.sign
    if beyond < 0:
        yield f"I-22: #{tracker.tracker_id} fired at {evidence.price}, level {evidence.level}"


def _moved_back(change: TrackerChange, before: object, after: object) -> Iterator[str]:
    if change in {TrackerChange.EDITED, TrackerChange.RESUMED, TrackerChange.REARMED}:
        return
    for name in ("record_price", "stop_price"):
        old, new = getattr(before, name), getattr(after, name)
        if old is not None and new is not None and new < old:
            yield f"I-24: #{after.tracker_id} {name} fell from {old} to {new}"  # type: ignore[attr-defined]


def started_whole(story: "Story") -> Iterator[str]:
    """I-30, I-33: a start finds projections and journal in agreement."""
    store = story.world.machine.store
    for finding in store.findings if store is not None else ():
        if "differed" in finding or "damaged" in finding:
            yield finding


ALWAYS: dict[str, Callable[["Story"], Iterator[str]]] = {
    "I-01": no_oversell,
    "I-01 of assets": managed_was_there,
    "I-03": one_attempt,
    "ONE": once,
    "I-27": own_slices,
    "I-06": fills_are_the_exchanges,
    "I-13": no_debt,
    "I-20": tracker_paths,
    "I-30": started_whole,
}


# ---------------------------------------------------------------- as a request leaves


def check_request(story: "Story", request: "Request") -> None:
    """Raise Broken when a request should never have left."""
    if "withdraw" in request.path or "transfer" in request.path:
        raise Broken("Z-03", f"{request.method} {request.path}")
    if (request.method, request.path) != ("POST", ORDER_PATH):
        return
    story.read()
    params = request.params
    name = params["newClientOrderId"]
    if name in story.sent:
        raise Broken("I-04", f"{name} was sent twice")
    story.sent.add(name)
    if not _is_durable(story, name):
        raise Broken("I-05", f"{name} left before it was durable")
    _check_form(story, params)
    attempt = story.facts.attempts.get(name)
    if attempt is not None:
        _check_purpose(story, attempt.intent_id, name)


def _is_durable(story: "Story", name: str) -> bool:
    path = story.world.machine.disk.database
    if story.facts.knows(path, "AttemptPrepared", name):
        return True
    reserve = path.with_name(f"{path.name}.reserve")
    return reserve.exists() and name.encode() in reserve.read_bytes()


def _check_form(story: "Story", params: dict[str, str]) -> None:
    market = story.world.exchange.venue.market_named(params["symbol"])
    rules = market.instrument
    quantity = Decimal(params.get("quantity", "0"))
    if quantity % rules.quantity_step:
        raise Broken("I-09", f"quantity {quantity} is off the grid {rules.quantity_step}")
    price = Decimal(params.get("price", "0"))
    if price % rules.price_tick:
        raise Broken("I-09", f"price {price} is off the grid {rules.price_tick}")
    most = story.world.machine.settings.order_notional_max
    if params["side"] == "BUY" and quantity * price > most:
        raise Broken("I-10", f"{quantity * price} is above {most}")


def _check_purpose(story: "Story", intent_id: str, name: str) -> None:
    intent = story.facts.intents.get(intent_id)
    if intent is None:
        raise Broken("I-05", f"{name} left without its decision")
    if intent.purpose is Purpose.ENTRY and not story.facts.mode.takes_entries:
        raise Broken("I-11", f"{name} adds risk while {story.facts.mode}")
    for order in _ours(story):
        other = order.ticket.client_order_id
        known = story.facts.attempts.get(other)
        if order.is_open and known is not None and known.intent_id == intent_id:
            raise Broken("I-12", f"{name} left while {other} may still fill")


# ---------------------------------------------------------------- at rest


def verdicts_were_right(story: "Story") -> Iterator[str]:
    """I-08: what was called rejected or absent did not execute."""
    executed = {order.ticket.client_order_id: order.executed for order in _ours(story)}
    wrong = {AttemptState.REJECTED, AttemptState.ABSENT}
    for name, attempt in story.facts.attempts.items():
        if attempt.state in wrong and executed.get(name):
            yield f"{name} is {attempt.state} and executed {executed[name]}"


def equal(story: "Story") -> Iterator[str]:
    """EQ: every execution of ours is booked, every order of ours has its attempt."""
    for order in _ours(story):
        name = order.ticket.client_order_id
        attempt = story.facts.attempts.get(name)
        if attempt is None:
            yield f"{name} is on the exchange and not in the journal"
            continue
        fills = [f for f in story.facts.fills.values() if f.client_order_id == name]
        booked = sum((fill.quantity for fill in fills), ZERO)
        if booked != order.executed or attempt.filled_quantity != order.executed:
            yield f"{name}: {order.executed} executed, {booked} booked, {attempt.filled_quantity}"
    for asset, balance in story.balances().items():
        if balance != story.world.held(asset):
            yield f"{asset}: {balance} believed, {story.world.held(asset)} held"


def nothing_open(story: "Story") -> Iterator[str]:
    """L-01, L-02: no attempt is without an end; an open intent is blocked and told."""
    for name, attempt in story.facts.attempts.items():
        if not attempt.state.is_terminal and not story.is_resting(name):
            yield f"{name} is still {attempt.state}"
    for tracker in story.facts.trackers.values():
        if tracker.state in {TrackerState.TRIGGERED, TrackerState.EXITING}:
            yield f"#{tracker.tracker_id} is still {tracker.state}"


def as_remembered(story: "Story") -> Iterator[str]:
    """I-28: memory and journal agree on every tracker, and one that acts has something at work."""
    agent, known = story.world.agent, story.facts.trackers
    live = {tracker.tracker_id: tracker for tracker in agent.trackers.all()}
    for number, tracker in known.items():
        seen = live.pop(number, None)
        if seen is None and not tracker.state.is_terminal:
            yield f"#{number} is {tracker.state} in the journal and nowhere in memory"
        elif seen is not None and _standing(seen) != _standing(tracker):
            yield f"#{number} is {_standing(seen)}, in the journal {_standing(tracker)}"
    for number in live:
        yield f"#{number} is in memory and not in the journal"
    working = {intent.tracker_id for intent in agent.execution.intents}
    for tracker in agent.trackers.acting():
        if tracker.state is not TrackerState.BLOCKED and tracker.tracker_id not in working:
            yield f"#{tracker.tracker_id} is shown as {tracker.state}, nothing is at work for it"


def _standing(tracker: "Tracker") -> tuple[object, ...]:
    return (tracker.state, tracker.side, tracker.arm_seq, tracker.quantity, tracker.quote)


def slices_fit(story: "Story") -> Iterator[str]:
    """I-27: at rest the trackers of a symbol own no more than is managed of it."""
    agent = story.world.agent
    for symbol in story.symbols:
        selling = [t for t in agent.trackers.of(symbol) if t.side is Side.SELL]
        owned = sum((t.quantity for t in selling if t.state.is_waiting), ZERO)
        managed = agent.state.book.snapshot().managed(symbol)
        if owned > managed:
            yield f"{owned} of {symbol} owned by trackers, {managed} managed"
        if managed != story.facts.managed.get(symbol, ZERO):
            yield f"{managed} of {symbol} managed, {story.facts.managed.get(symbol)} in the journal"


def none_missed(story: "Story") -> Iterator[str]:
    """I-23: nobody waits beyond a stop that the market has crossed for long."""
    for tracker in story.facts.trackers.values():
        waits = tracker.state is TrackerState.TRAILING and not tracker.is_paused
        if not waits or tracker.side is not Side.SELL or tracker.stop_price is None:
            continue
        price = story.world.price(tracker.symbol)
        if price < tracker.stop_price:
            yield f"#{tracker.tracker_id} waits at {tracker.stop_price}, the price is {price}"


def all_told(story: "Story") -> Iterator[str]:
    """I-35, L-03: each change has its message, which no longer waits and stands in the chat."""
    for sort in (sorts.TRIGGERED, sorts.BLOCKED, sorts.DONE):
        told, happened = story.facts.told[sort], story.facts.newsworthy[sort]
        if told != happened:
            yield f"{told} of {happened} changes of sort {sort} were told"
    for key in story.facts.queued:
        if key not in story.facts.delivered:
            yield f"{key} was never delivered"
    known = story.world.telephone.conversation.messages
    for key, event in story.facts.delivered.items():
        if event.message_id is not None and event.message_id not in known:
            yield f"{key} is said to be message {event.message_id}, which is not in the chat"


def all_answered(story: "Story") -> Iterator[str]:
    """I-36: every update is ours, and has its one end."""
    for update_id in story.world.telephone.pushed:
        if update_id not in story.facts.received:
            yield f"update {update_id} was lost"
    for update_id in story.facts.received:
        if update_id not in story.facts.handled:
            yield f"update {update_id} has no end"


def fresh(story: "Story") -> Iterator[str]:
    """L-04: what is watched is fresh."""
    agent = story.world.agent
    for symbol in sorted(agent.trackers.symbols()):
        if agent.prices.is_stale(symbol):
            yield f"{symbol} is stale"
    if agent.account_stream != "live":
        yield f"the account's stream is {agent.account_stream}"


def no_leak(story: "Story") -> Iterator[str]:
    """L-05: no more tasks than a running agent needs."""
    count = len(story.agent_tasks())
    if count > 80:
        yield f"{count} tasks are alive"


def replays(story: "Story") -> Iterator[str]:
    """I-30, I-33: the whole chain verifies, and makes the projections that are stored."""
    path = story.world.machine.disk.database
    engine = compiled_once("replays", create_engine(f"sqlite:///{path}"))
    try:
        with engine.connect() as connection, connection.begin():
            integrity.verify_chain(connection)
            if not snapshots.check(connection):
                yield "the projections differ from what the journal makes"
    except UmbraError as error:
        yield str(error)
    finally:
        engine.dispose()


SETTLED: dict[str, Callable[["Story"], Iterator[str]]] = {
    "I-08": verdicts_were_right,
    "EQ": equal,
    "I-01 of assets": managed_is_there,
    "L-01": nothing_open,
    "I-23": none_missed,
    "I-27": slices_fit,
    "I-28": as_remembered,
    "I-35": all_told,
    "I-36": all_answered,
    "L-04": fresh,
    "L-05": no_leak,
    "I-33": replays,
}
