"""Which facts become messages, and what they say."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest

from bot.repetition import repeats_due
from bot.telegram import standing_alarms
from bot.telegram.addressing import Addresser, is_news
from bot.telegram.alert import Alert, AlertFacts
from bot.telegram.alerts import ALERT_KINDS, alert_for
from bot.telegram.delivery import messages_for
from bot.telegram.outbox import strip_markup
from bot.telegram.render.text import columns
from bot.telegram.render.trading import order_end_card
from bot.telegram.roster import Roster
from bot.telegram.storms import alerts_for
from tests.catalogue import fired
from tests.fakes.desk import INSTRUMENTS, START, FakeDesk
from tests.fakes.memory_store import MemoryStore, SettableClock
from trading.domain import events
from trading.domain.chat import OutboxMessage, Person, Role, Severity
from trading.domain.events import Event
from trading.domain.money import ZERO
from trading.domain.order import (
    BACKSTOP_SOLD,
    Attempt,
    AttemptState,
    Fill,
    Intent,
    IntentState,
    OrderRequest,
    OrderType,
    Purpose,
    Side,
)
from trading.domain.position import RoundTrip, TradingMode
from trading.domain.tracker import (
    NOTHING_LEFT,
    Amount,
    AmountKind,
    Distance,
    Evidence,
    PriceKind,
    Then,
    ThenKind,
    Tracker,
    TrackerChange,
    TrackerKind,
    TrackerSpec,
    TrackerState,
)
from trading.domain.watching import AlertType, Loudness, Wishes
from trading.overview import EndedTrackerView
from trading.ports.storage import Recorded

ADA = Person(7, 7, "Ada", Role.OWNER)
BOB = Person(8, 8, "Bob", Role.VIEWER)
SPEC = TrackerSpec(TrackerKind.STOP, "BTC/USDT", Amount(AmountKind.ALL), level=Decimal(58000))
TRACKER = Tracker(
    3,
    SPEC,
    7,
    Side.SELL,
    TrackerState.TRIGGERED,
    START,
    quantity=Decimal("0.5"),
    stop_price=Decimal(58000),
    level_price=Decimal(58000),
)
INTENT = Intent(
    "i1",
    "BTC/USDT",
    Side.SELL,
    Purpose.PROTECT,
    Decimal(58000),
    START,
    quantity=Decimal("0.5"),
    tracker_id=3,
    state=IntentState.DONE,
    filled_quantity=Decimal("0.500"),
    filled_notional=Decimal("28995.06"),
)
FACTS = AlertFacts(INSTRUMENTS.get)


def told(event: Event, facts: AlertFacts = FACTS) -> list[str]:
    alert = alert_for(event, facts)
    assert alert is not None
    lines = strip_markup(alert.card.text).splitlines()
    assert max(map(columns, lines)) <= 34
    return lines


def changed(change: TrackerChange, **values: object) -> events.TrackerChanged:
    tracker = replace(TRACKER, **values)  # type: ignore[arg-type]
    return events.TrackerChanged(tracker, change, START)


def mode_changed(mode: TradingMode) -> events.TradingModeChanged:
    return events.TradingModeChanged(mode, "asked for", "owner", START)


def condition(name: str, symbol: str | None) -> events.ConditionChanged:
    return events.ConditionChanged(name, symbol, True, Severity.WARN, "something is wrong", START)


def test_sold_names_the_plain_quantity_first_then_price_proceeds_fee_slippage_profit() -> None:
    fills = [
        Fill(
            "BTC/USDT",
            str(n),
            "c",
            Side.SELL,
            Decimal("0.25"),
            Decimal(57990),
            Decimal("14.5"),
            "USDT",
            START,
        )
        for n in (1, 2)
    ]
    trip = RoundTrip(
        "BTC/USDT",
        "i1",
        Decimal("0.5"),
        Decimal(50000),
        Decimal(57990),
        Decimal(3995),
        Decimal(29),
        START,
        START,
    )
    facts = AlertFacts(INSTRUMENTS.get, {"i1": fills}, {"i1": trip})
    assert told(events.IntentClosed(INTENT, START), facts) == [
        "✅ Sold 0.5 BTC",
        "at 57,990.12 USDT on average",
        "proceeds 28,995.06 USDT",
        "fee 29.00 USDT",
        "slippage 0.02% worse than",
        "58,000.00",
        "P&L +3,995.00 USDT after fees",
        "tracker #3 · BTC/USDT",
    ]


def test_bought_in_part_says_what_was_not_spent_and_why() -> None:
    bought = Intent(
        "i2",
        "ADA/USDC",
        Side.BUY,
        Purpose.ENTRY,
        Decimal("0.52"),
        START,
        quote_budget=Decimal(300),
        tracker_id=1,
        state=IntentState.DONE,
        reason="ask 0.5401 is beyond the bound 0.5216",
        filled_quantity=Decimal("7.9"),
        filled_notional=Decimal("4.11"),
    )
    closed = events.IntentClosed(bought, START)
    alert = alert_for(closed, FACTS)
    assert alert is not None
    # Nobody turns it down with what went well.
    assert (alert.severity, alert.type) == (Severity.WARN, None)
    assert alert.gist == ("Bought only 7.9 ADA at 0.5203",)
    lines = told(closed)
    assert lines[0] == "⚠️ Bought only 7.9 ADA"
    words = " ".join(lines)
    assert "295.89 of 300.00 USDC not spent: ask 0.5401 is beyond the bound 0.5216" in words
    # What is left is too little for another order: then it was all.
    nearly = replace(bought, filled_notional=Decimal(299), filled_quantity=Decimal(575))
    assert told(events.IntentClosed(nearly, START))[0] == "✅ Bought 575 ADA"


def test_the_card_of_an_order_says_what_of_it_was_not_done_and_why() -> None:
    part = replace(
        INTENT,
        tracker_id=None,
        purpose=Purpose.CLOSE,
        quantity=Decimal(1),
        reason="the order ended canceled",
    )
    text = " ".join(strip_markup(order_end_card(part, INSTRUMENTS["BTC/USDT"]).text).split())
    assert text.startswith("👍 Done in part: sale of 0.5 BTC")
    assert "0.5 of 1 BTC not sold: the order ended canceled" in text


def test_bought_says_what_it_cost() -> None:
    bought = replace(INTENT, side=Side.BUY, purpose=Purpose.ENTRY, tracker_id=None)
    lines = told(events.IntentClosed(bought, START))
    assert lines[0] == "✅ Bought 0.5 BTC"
    assert lines[2] == "cost 28,995.06 USDT"


@pytest.mark.parametrize(
    ("side", "notional", "said"),
    [
        (Side.SELL, "29014.5", "slippage 0.05% better than 58,000.00"),
        (Side.SELL, "28985.5", "slippage 0.05% worse than 58,000.00"),
        (Side.BUY, "29014.5", "slippage 0.05% worse than 58,000.00"),
        (Side.BUY, "28985.5", "slippage 0.05% better than 58,000.00"),
        (Side.BUY, "29000", "slippage 0% from 58,000.00"),
        (Side.SELL, "28999.999", "slippage 0% from 58,000.00"),
    ],
)
def test_slippage_says_whether_it_was_good_or_bad(side: Side, notional: str, said: str) -> None:
    closed = replace(INTENT, side=side, filled_notional=Decimal(notional))
    assert said in " ".join(told(events.IntentClosed(closed, START)))


def test_dust_is_told_with_what_was_sold() -> None:
    dust = replace(INTENT, state=IntentState.DUST, filled_quantity=Decimal("0.49999"))
    lines = told(events.IntentClosed(dust, START))
    assert lines[0] == "✅ Sold 0.49999 BTC"
    assert "dust" in " ".join(lines)


@pytest.mark.parametrize(
    ("state", "first"),
    [
        (IntentState.EXPIRED, "⌛ Not sold: BTC/USDT expired"),
        (IntentState.CLOSED_EXTERNAL, "✖️ BTC/USDT was closed elsewhere"),
        (IntentState.ABORTED, "✖️ Given up: sell BTC/USDT"),
        (IntentState.DUST, "⚠️ Not sold: 0.5 BTC stay"),
    ],
)
def test_sold_is_never_said_of_what_was_not(state: IntentState, first: str) -> None:
    closed = replace(
        INTENT, state=state, filled_quantity=Decimal(0), reason="because", tracker_id=None
    )
    lines = told(events.IntentClosed(closed, START))
    assert lines[:2] == [first, "because"]
    stays = " ".join(lines[2:])
    if state is IntentState.EXPIRED:
        assert stays.startswith("0.5 BTC stay. A stop that gave them up")
    else:
        assert not stays


@pytest.mark.parametrize("state", [IntentState.ABORTED, IntentState.EXPIRED])
def test_what_is_not_managed_any_more_is_told_with_the_end_of_its_sale(state: IntentState) -> None:
    unsold = replace(
        INTENT,
        state=state,
        filled_quantity=Decimal("0.1"),
        tracker_id=None,
        adopted=Decimal("0.4"),
        let_go=Decimal("0.4"),
    )
    said = " ".join(told(events.IntentClosed(unsold, START)))
    assert "0.4 BTC are not managed any more, as before this sale." in said
    assert "stay" not in said
    some = replace(unsold, adopted=Decimal("0.3"), let_go=Decimal("0.3"))
    said = " ".join(told(events.IntentClosed(some, START)))
    assert "0.3 BTC are not managed any more, as before this sale." in said
    assert ("0.1 BTC stay. A stop that gave them up" in said) is (state is IntentState.EXPIRED)


def test_a_sale_in_part_says_what_is_not_managed_any_more_and_no_dust() -> None:
    part = replace(
        INTENT,
        state=IntentState.DONE,
        quantity=Decimal("0.5"),
        filled_quantity=Decimal("0.3"),
        filled_notional=Decimal(18_000),
        reason="the order ended canceled",
        tracker_id=None,
        let_go=Decimal("0.2"),
    )
    assert "0.2 BTC are not managed any more" in " ".join(told(events.IntentClosed(part, START)))
    dust = replace(part, let_go=Decimal("0.000001"))
    assert "managed" not in " ".join(told(events.IntentClosed(dust, START)))


def test_what_a_gap_made_too_small_to_sell_is_told_as_unprotected() -> None:
    left = replace(
        INTENT, state=IntentState.DUST, filled_quantity=Decimal(0), reason="", tracker_id=3
    )
    assert "#3 has ended: nothing of it protects them." in " ".join(
        told(events.IntentClosed(left, START))
    )


def test_an_exit_whose_backstop_sold_everything_is_told_by_that_sale_alone() -> None:
    exit_ = replace(
        INTENT, tracker_id=3, quantity=Decimal(0), filled_quantity=Decimal(0), reason=BACKSTOP_SOLD
    )
    backstop = replace(INTENT, intent_id="b", tracker_id=3, purpose=Purpose.BACKSTOP)
    batch = [
        Recorded(1, events.IntentClosed(backstop, START)),
        Recorded(2, events.IntentClosed(exit_, START)),
    ]
    [(_, told_)] = alerts_for(batch, FACTS)
    assert "its backstop on the exchange fired" in told_.card.text
    assert alert_for(events.IntentClosed(exit_, START), FACTS) is None


def test_what_was_filled_before_an_expiry_is_told() -> None:
    closed = replace(INTENT, state=IntentState.EXPIRED, filled_quantity=Decimal("0.1"))
    assert "sold 0.1 BTC before that" in told(events.IntentClosed(closed, START))


def test_triggered_carries_its_evidence() -> None:
    evidence = Evidence(
        Decimal("57999.99"), PriceKind.LAST, "stream", 1, START, Decimal(58000), "touch"
    )
    event = replace(changed(TrackerChange.TRIGGERED), evidence=evidence)
    assert told(event) == [
        "⚡ Triggered: BTC/USDT #3",
        "last price 57,999.99 (live)",
        "level 58,000.00 (touch)",
        "selling 0.5 BTC",
    ]
    fetched = replace(event, evidence=replace(evidence, source="rest"))
    assert told(fetched)[1] == "last price 57,999.99 (fetched)"


def test_a_stop_that_may_not_sell_tells_once_what_fired_and_why_it_does_not_sell() -> None:
    evidence = Evidence(
        Decimal("57999.99"), PriceKind.LAST, "stream", 1, START, Decimal(58000), "touch"
    )
    fired = changed(TrackerChange.TRIGGERED)
    event = replace(fired, evidence=evidence, reason="halted: UNPROTECTED")
    assert alert_for(event, FACTS) is None
    lines = told(replace(event, change=TrackerChange.BLOCKED))
    assert lines == [
        "🚨 BLOCKED: BTC/USDT #3",
        "last price 57,999.99 (live)",
        "level 58,000.00 (touch)",
        "halted: UNPROTECTED",
        "Not sold. It repeats until /ack.",
    ]


def test_touched_says_from_where_it_fires_now() -> None:
    lines = told(changed(TrackerChange.TOUCHED))
    assert lines == [
        "👀 Touched: BTC/USDT #3",
        "level 58,000.00",
        "now trails, fires at 58,000.00",
    ]


def test_touched_names_the_price_of_the_line_at_the_touch() -> None:
    evidence = Evidence(
        Decimal("60000.5"), PriceKind.DECISION, "stream", 1, START, Decimal(60000), "touch"
    )
    of_lines = replace(TRACKER, level_price=None, stop_price=Decimal("59100.49"))
    event = events.TrackerChanged(of_lines, TrackerChange.TOUCHED, START, evidence)
    assert told(event)[1:] == ["level 60,000.00", "now trails, fires at 59,100.49"]
    # A touch that is written again with another size no longer knows where it was.
    assert told(replace(event, evidence=None))[1:] == ["now trails, fires at 59,100.49"]


def test_a_purchase_that_may_not_be_made_says_with_what_it_begins_anew() -> None:
    dip = replace(SPEC, kind=TrackerKind.DIP, trail=Distance(share=Decimal("0.01")))
    values = {"spec": dip, "side": Side.BUY, "reason": "entries are refused now"}
    above = changed(TrackerChange.REBUILT, state=TrackerState.WATCHING, **values)
    assert told(replace(above, reason="entries are refused now"))[1:] == [
        "entries are refused now",
        "waits anew: buy below 58000 trail",
        "1%",
    ]
    below = changed(TrackerChange.REBUILT, state=TrackerState.TRAILING, **values)
    assert told(replace(below, reason="entries are refused now"))[2:] == [
        "buys at 58,000.00 now, lower if",
        "the price falls",
    ]


def test_blocked_is_critical_and_offers_the_ways_out() -> None:
    alert = alert_for(changed(TrackerChange.BLOCKED, reason="the market is closed"), FACTS)
    assert alert is not None
    assert alert.severity is Severity.CRIT
    assert [b.data for b in alert.card.buttons[0]] == ["+/tracker 3 exit", "+/abort 3", "+/ack"]


@pytest.mark.parametrize("verb", ["was", "may have been"])
def test_a_stop_that_was_crossed_and_is_kept_can_be_left_from_the_card_of_the_start(
    verb: str,
) -> None:
    crossed = f"#3 BTC/USDT: 58000 {verb} crossed while nobody watched, and the price is back"
    calm = "#4 ETH/USDT: would have bought while nobody watched"
    # The backstop of this one has sold its coins: there is nothing to leave.
    ended = f"{crossed.replace('#3', '#6')}; sold 0.5 BTC at 57999"
    alert = alert_for(events.RecoveryReported(200, (crossed, calm, ended), START), FACTS)
    assert alert is not None
    assert [[b.data for b in row] for row in alert.card.buttons] == [
        ["+/tracker 3 exit", "+/tracker 3"],
        ["+/status", "+/trackers"],
    ]
    missed = alert_for(events.AlertRaised("gap:1", Severity.WARN, crossed, START), FACTS)
    assert missed is not None
    assert [[b.data for b in row] for row in missed.card.buttons] == [
        ["+/tracker 3 exit", "+/tracker 3"]
    ]


async def test_the_alarm_of_a_blocked_exit_loses_its_buttons_wherever_it_was_told() -> None:
    world = _World()
    addresser = world.addresser()
    await addresser.load()
    blocked = replace(TRACKER, state=TrackerState.BLOCKED, changed_at=START)
    world.desk.live[3] = blocked
    await world.store.append(events.TrackerChanged(blocked, TrackerChange.BLOCKED, START))
    await addresser.address_new()
    world.clock.time = START + timedelta(minutes=1)
    await addresser.alarms.repeat()
    del world.desk.live[3]
    sold = replace(TRACKER, state=TrackerState.CLOSED)
    await world.store.append(events.TrackerChanged(sold, TrackerChange.CLOSED, START))
    before = len(world.texts())
    await addresser.address_new()
    queued = [one.message for one in world.store.of(events.MessageQueued)][before:]
    over = [message for message in queued if message.card and "blocked:3:1" in message.card]
    told = {m.card for m in (one.message for one in world.store.of(events.MessageQueued)[:before])}
    assert {message.card for message in over} == told
    assert len(told) == 2
    for message in over:
        assert message.is_refresh
        assert "BLOCKED here, and is not any more" in " ".join(strip_markup(message.text).split())
        assert "exit" not in str(message.buttons)


@pytest.mark.parametrize(
    "change",
    [TrackerChange.ARMED, TrackerChange.MOVED, TrackerChange.EDITED, TrackerChange.RESIZED],
)
def test_what_a_person_did_or_a_trail_does_is_not_news(change: TrackerChange) -> None:
    assert alert_for(changed(change), FACTS) is None


def test_ends_and_rests_of_a_tracker_are_told() -> None:
    assert told(changed(TrackerChange.EXPIRED))[0].startswith("⌛ Expired")
    external = changed(TrackerChange.CLOSED, state=TrackerState.CLOSED_EXTERNAL)
    assert told(external)[0] == "✖️ Closed elsewhere: BTC/USDT #3"
    assert told(changed(TrackerChange.RESTED))[0] == "💤 Resting: BTC/USDT #3"
    assert told(changed(TrackerChange.REARMED))[0].startswith("🔁 Watching again")
    spent = changed(TrackerChange.CLOSED, state=TrackerState.CLOSED, reason=NOTHING_LEFT)
    assert told(spent)[0] == "🏁 Not again: BTC/USDT #3"
    assert alert_for(changed(TrackerChange.EXPIRED, intent_id="i1"), FACTS) is None


@pytest.mark.parametrize(
    ("kind", "side", "rule"),
    [
        (TrackerKind.TAKE_PROFIT, Side.BUY, "buy below 59873.25 trail 1%"),
        (TrackerKind.TAKE_PROFIT, Side.SELL, "sell above 59873.25 trail 1%"),
        (TrackerKind.TRAIL, Side.BUY, "buy below 59873.25 trail 1%"),
        (TrackerKind.LINES, Side.BUY, "buy below the support and 59873.25 trail 1%"),
        (TrackerKind.LINES, Side.SELL, "sell above the resistance and 59873.25 trail 1%"),
    ],
)
def test_a_swing_that_watches_again_tells_its_other_side(
    kind: TrackerKind, side: Side, rule: str
) -> None:
    spec = replace(
        SPEC,
        kind=kind,
        level=Decimal(60500),
        trail=Distance(share=Decimal("0.01")),
        then=Then(ThenKind.SWING),
    )
    level = Decimal("59873.25")
    event = changed(
        TrackerChange.REARMED,
        spec=spec,
        side=side,
        level_price=level,
        last_fill_price=Decimal(60786),
    )
    assert " ".join(told(event)[1:]) == rule


def test_modes_conditions_alerts_recovery_and_stop_are_told() -> None:
    halted = events.TradingModeChanged(TradingMode.HALTED, "daily loss", "risk", START)
    assert told(halted)[:2] == ["🔴 HALTED: nothing new at all", "daily loss"]
    assert told(replace(halted, reason="panic"))[1] == "Asked for with /panic."
    stale = events.ConditionChanged("stale", None, True, Severity.WARN, "prices stand still", START)
    assert told(stale) == ["⚠️ Prices stand still"]
    of_one = replace(stale, symbol="BTC/USDT")
    assert told(of_one) == ["⚠️ BTC/USDT: prices stand still"]
    assert told(replace(of_one, text="no price of BTC/USDT")) == ["⚠️ No price of BTC/USDT"]
    ended = replace(stale, is_active=False, text="prices move again")
    assert told(ended) == ["🟢 Restored: prices move again"]
    late = events.AlertRaised("a1", Severity.CRIT, "Found late. It was filled.", START, 3)
    assert told(late) == ["🚨 Found late.", "It was filled."]
    recovered = events.RecoveryReported(200, ("2 positions matched", "1 tracker"), START)
    assert told(recovered) == [
        "🔄 Back, blind for 3 min at most",
        "2 positions matched",
        "1 tracker",
    ]
    assert told(events.ProcessStopped("SIGTERM", START))[0] == "⏹ Umbra is stopping"


def test_an_end_that_leaves_a_sale_undone_says_so_first_and_loudly() -> None:
    undone = "#1 BTC/USDT HAS FIRED and 0.5 BTC is NOT SOLD"
    stopped = events.ProcessStopped("asked to stop", START, (undone,))
    alert = alert_for(stopped, FACTS)
    assert alert is not None
    assert alert.severity is Severity.CRIT
    assert " ".join(told(stopped)) == (
        f"⏹ Umbra is stopping 🚨 {undone}. Umbra goes on with it at its next start. "
        "Private stops are NOT watched while I am down. asked to stop"
    )
    assert alert.gist == (f"{START:%H:%M:%S} UTC: {undone}; asked to stop",)


def test_a_stranger_is_told_to_the_owner_only_and_quietly() -> None:
    denied = events.AccessDenied(666, 666, "message", True, START)
    alert = alert_for(denied, FACTS)
    assert alert is not None
    messages = messages_for(5, alert, [ADA, BOB], "", START)
    assert [(one.chat_id, one.is_silent) for one in messages] == [(7, True)]
    assert alert_for(replace(denied, tell_owner=False), FACTS) is None


def test_everybody_active_hears_of_a_sale_once_under_their_own_key() -> None:
    alert = alert_for(events.IntentClosed(INTENT, START), FACTS)
    assert alert is not None
    gone = replace(BOB, user_id=9, is_active=False)
    messages = messages_for(5, alert, [ADA, BOB, gone], "SIM", START)
    assert [one.message_key for one in messages] == ["alert:5:7", "alert:5:8"]
    assert messages[0].text.endswith("\nSIM")


def test_a_sale_is_silent_or_untold_as_each_person_wishes() -> None:
    alert = alert_for(events.IntentClosed(INTENT, START), FACTS)
    assert alert is not None
    silent = replace(ADA, wishes=Wishes(loudness=((AlertType.FILLS, Loudness.SILENT),)))
    deaf = replace(BOB, wishes=Wishes(loudness=((AlertType.FILLS, Loudness.OFF),)))

    messages = messages_for(5, alert, [silent, deaf], "", START)

    assert [(one.chat_id, one.is_silent) for one in messages] == [(ADA.chat_id, True)]


def test_no_wish_turns_off_what_has_no_type() -> None:
    alert = alert_for(events.ProcessStopped("SIGTERM", START), FACTS)
    assert alert is not None
    deaf = replace(ADA, wishes=Wishes(loudness=tuple((each, Loudness.OFF) for each in AlertType)))

    (message,) = messages_for(5, alert, [deaf], "", START)

    assert not message.is_silent


@pytest.mark.parametrize("mode", [TradingMode.HALTED, TradingMode.HALTED_EVERYTHING])
def test_a_halt_that_somebody_asked_for_rings_for_all_others_even_at_night(
    mode: TradingMode,
) -> None:
    halted = events.TradingModeChanged(mode, "halt", str(ADA.user_id), START)
    alert = alert_for(halted, FACTS)
    assert alert is not None
    asleep = [replace(each, quiet_hours="00:00-23:59") for each in (ADA, BOB)]

    asker, other = messages_for(5, alert, asleep, "", START)

    assert (asker.is_silent, asker.severity) == (True, Severity.WARN)
    assert (other.is_silent, other.severity) == (False, Severity.CRIT)
    # One look is enough: nobody has to acknowledge what a person has done on purpose.
    assert "/ack" not in str(alert.card.buttons)


@pytest.mark.parametrize("by", ["risk", "0"])
def test_a_halt_that_nobody_in_the_chat_asked_for_is_critical_to_everybody(by: str) -> None:
    alert = alert_for(events.TradingModeChanged(TradingMode.HALTED, "halt", by, START), FACTS)
    assert alert is not None
    messages = messages_for(5, alert, [ADA, BOB], "", START)
    assert [(one.severity, one.is_silent) for one in messages] == [(Severity.CRIT, False)] * 2
    assert "/ack" in str(alert.card.buttons)


@pytest.mark.parametrize("mode", [TradingMode.REDUCING, TradingMode.HALTED])
async def test_a_halt_during_a_start_does_not_say_that_stops_sell(mode: TradingMode) -> None:
    said = []
    for is_ready in (False, True):
        world = _World()
        status = replace(world.desk.status(), is_ready=is_ready)
        world.desk.status = lambda status=status: status  # type: ignore[method-assign]
        await world.store.append(mode_changed(mode))
        await world.addresser().address_new()
        [queued, *_] = world.store.of(events.MessageQueued)
        said.append(" ".join(strip_markup(queued.message.text).split()))
    early, late = said
    assert "Umbra is still starting: NO STOP IS WATCHED yet." in early
    assert "sell" not in early
    assert "Private stops still sell." in late


@pytest.mark.fault("M10", "TELL")
def test_a_storm_of_triggers_and_sales_is_one_message_each() -> None:
    batch = [
        Recorded(
            seq, replace(changed(TrackerChange.TRIGGERED), tracker=replace(TRACKER, tracker_id=seq))
        )
        for seq in range(1, 21)
    ]
    batch += [Recorded(seq, events.IntentClosed(INTENT, START)) for seq in range(21, 41)]
    alerts = alerts_for(batch, FACTS)
    titles = [strip_markup(alert.card.text).splitlines()[0] for _, alert in alerts]
    assert titles == ["⚡ 20 trackers triggered", "✅ 20 orders are done"]
    assert "Sold 0.5 BTC at 57,990.12" in strip_markup(alerts[1][1].card.text)
    fired(len(batch) - len(titles), words=", ".join(titles))


def test_few_triggers_have_a_message_each() -> None:
    batch = [Recorded(seq, changed(TrackerChange.TRIGGERED)) for seq in range(1, 4)]
    assert [seq for seq, _ in alerts_for(batch, FACTS)] == [1, 2, 3]


def test_repeats_come_after_1_5_15_minutes_and_then_each_15() -> None:
    minutes = [0, 1, 4, 5, 14, 15, 29, 30, 45]
    due = [repeats_due(timedelta(minutes=minute)) for minute in minutes]
    assert due == [0, 1, 1, 2, 2, 3, 3, 4, 5]


# ---------------------------------------------------------------- addressing


class _World:
    def __init__(self) -> None:
        self.clock = SettableClock(START)
        self.store = MemoryStore(self.clock)
        self.desk = FakeDesk(self.clock, self.store)

    def addresser(self) -> Addresser:
        roster = Roster({7: ADA})
        return Addresser(
            self.store, self.store, self.desk, roster, self.clock, lambda: "", lambda: None
        )

    def texts(self) -> list[str]:
        return [strip_markup(one.message.text) for one in self.store.of(events.MessageQueued)]


async def test_each_event_is_addressed_once_also_by_two_addressers_and_after_a_restart() -> None:
    world = _World()
    first, second = world.addresser(), world.addresser()
    await world.store.append(events.IntentClosed(INTENT, START))
    await first.address_new()
    await second.address_new()
    await world.addresser().address_new()
    assert len(world.texts()) == 1


async def test_addressing_is_one_append_with_its_mark() -> None:
    world = _World()
    await world.store.append(events.IntentClosed(INTENT, START))
    await world.addresser().address_new()
    kinds = [type(event).__name__ for event in world.store.appends[-1]]
    assert kinds == ["MessageQueued", "EventsAddressed"]
    assert "EventsAddressed" not in ALERT_KINDS
    assert "MessageQueued" not in ALERT_KINDS


async def _card_of(world: _World, text: str) -> None:
    card = OutboxMessage("reply:1:0", 7, text, START, card="tracker:3")
    await world.store.append(events.MessageQueued(card))


async def test_the_card_of_a_tracker_follows_it_until_it_says_how_it_ended() -> None:
    world = _World()
    await _card_of(world, "protected")
    addresser = world.addresser()
    world.desk.live[3] = replace(TRACKER, state=TrackerState.EXITING)
    await world.store.append(changed(TrackerChange.EXITING, state=TrackerState.EXITING))
    await addresser.address_new()
    del world.desk.live[3]
    ended = replace(TRACKER, state=TrackerState.CLOSED)
    world.desk.ended[3] = EndedTrackerView(ended, INSTRUMENTS["BTC/USDT"], INTENT)
    await world.store.append(changed(TrackerChange.CLOSED, state=TrackerState.CLOSED))
    await addresser.address_new()
    edits = [one.message for one in world.store.of(events.MessageQueued)][1:]
    assert [(one.card, one.edits, one.is_refresh) for one in edits] == [
        ("tracker:3", True, True)
    ] * 2
    assert "at work" in edits[0].text
    last = strip_markup(edits[1].text)
    assert "closed" in last
    assert "done: 0.5 BTC" in last
    assert "57,990.12" in last
    assert "protected" not in last


async def test_every_message_that_shows_a_tracker_says_how_it_stands_not_the_newest_alone() -> None:
    world = _World()
    addresser = world.addresser()
    await _card_of(world, "protected")
    await world.store.append(events.MessageDelivered("reply:1:0", 41, "", START))
    again = OutboxMessage("reply:2:0", 7, "protected", START, card="tracker:3")
    await world.store.append(events.MessageQueued(again))
    await world.store.append(events.MessageDelivered("reply:2:0", 44, "", START))
    world.desk.live[3] = replace(TRACKER, state=TrackerState.EXITING)
    await world.store.append(changed(TrackerChange.EXITING, state=TrackerState.EXITING))
    await addresser.address_new()
    edits = [one.message for one in world.store.of(events.MessageQueued)][2:]
    # The newest is found when it is edited: by then there may be one that is newer still.
    assert [one.target for one in edits] == [None, 41]
    assert all("protected" not in strip_markup(one.text) for one in edits)
    assert len({one.message_key for one in edits}) == 2


@pytest.mark.parametrize(
    ("event", "refreshed"),
    [
        (mode_changed(TradingMode.HALTED_EVERYTHING), [3]),
        (condition("exchange_down", None), [3]),
        (condition("stale_data", "BTC/USDT"), [3]),
        (condition("stale_data", "ETH/USDT"), []),
        (condition("telegram_lost", None), []),
    ],
)
async def test_the_card_of_a_stop_that_is_held_or_blind_does_not_go_on_saying_protected(
    event: events.Event, refreshed: list[int]
) -> None:
    world = _World()
    await _card_of(world, "protected")
    buying = replace(TRACKER, tracker_id=5, side=Side.BUY)
    world.desk.live |= {3: replace(TRACKER, state=TrackerState.TRAILING), 5: buying}
    # Nobody has asked for its card.
    world.desk.live[4] = replace(TRACKER, tracker_id=4, state=TrackerState.TRAILING)
    await world.store.append(event)
    await world.addresser().address_new()
    edits = [one.message for one in world.store.of(events.MessageQueued)]
    assert [one.card for one in edits if one.is_refresh] == [f"tracker:{n}" for n in refreshed]


async def test_the_card_of_a_stop_says_protected_again_and_is_left_alone_by_a_pause() -> None:
    world = _World()
    await _card_of(world, "protected")
    addresser = world.addresser()
    world.desk.live[3] = replace(TRACKER, state=TrackerState.TRAILING)
    held = (TradingMode.HALTED_EVERYTHING, TradingMode.ACTIVE, TradingMode.REDUCING)
    counts = []
    for mode in held:
        await world.store.append(mode_changed(mode))
        await addresser.address_new()
        queued = world.store.of(events.MessageQueued)
        counts.append(sum(one.message.is_refresh for one in queued))
    assert counts == [1, 2, 2]


async def test_the_card_of_a_tracker_says_at_once_that_its_backstop_rests_or_has_left() -> None:
    world = _World()
    await _card_of(world, "Backstop 50000 is not on the exchange yet")
    addresser = world.addresser()
    world.desk.live[3] = replace(TRACKER, state=TrackerState.WATCHING)
    intent = replace(INTENT, intent_id="b1", purpose=Purpose.BACKSTOP, state=IntentState.OPEN)
    number = Decimal("0.5")
    request = OrderRequest("b1-1", "BTC/USDT", Side.SELL, OrderType.STOP_LOSS, number)
    attempt = Attempt("b1", 1, request, AttemptState.OPEN, START)
    world.desk.open_orders = lambda: [(intent, attempt)]  # type: ignore[method-assign]
    rests = events.AttemptChanged(attempt, "", START)
    assert is_news(rests)
    await world.store.append(rests)
    await addresser.address_new()
    world.desk.open_orders = list  # type: ignore[method-assign]
    ended = replace(intent, state=IntentState.ABORTED, filled_quantity=ZERO)
    await world.store.append(events.IntentClosed(ended, START))
    await addresser.address_new()
    edits = [one.message for one in world.store.of(events.MessageQueued)][1:]
    assert [(one.card, one.is_refresh) for one in edits] == [("tracker:3", True)] * 2
    # What other orders do is on no card of a tracker.
    market = replace(attempt, request=replace(request, order_type=OrderType.MARKET))
    assert not is_news(events.AttemptChanged(market, "", START))


async def test_a_tracker_whose_card_hangs_nowhere_is_not_written_about() -> None:
    world = _World()
    ended = replace(TRACKER, state=TrackerState.CANCELLED)
    world.desk.ended[3] = EndedTrackerView(ended, INSTRUMENTS["BTC/USDT"], None)
    await world.store.append(changed(TrackerChange.CANCELLED, state=TrackerState.CANCELLED))
    await world.addresser().address_new()
    assert world.texts() == []


async def test_what_is_not_news_writes_nothing() -> None:
    world = _World()
    await world.store.append(changed(TrackerChange.EDITED), changed(TrackerChange.MOVED))
    addresser = world.addresser()
    # A trail that only moved is not even read: there may be hundreds in a second.
    assert await addresser.address_new() == 1
    assert world.texts() == []
    assert world.store.of(events.EventsAddressed) == []


async def test_the_journal_is_read_only_where_something_was_written() -> None:
    world = _World()
    reads: list[int] = []
    read = world.store.events

    async def counted(after_seq: int = 0, *rest: Any) -> Sequence[Recorded]:
        reads.append(after_seq)
        return await read(after_seq, *rest)

    world.store.events = counted  # type: ignore[method-assign]
    addresser = world.addresser()
    await world.store.append(*(changed(TrackerChange.MOVED) for _ in range(3)))
    await addresser.address_new()
    assert await addresser.address_new() == 0
    assert reads == [0]
    await world.store.append(changed(TrackerChange.EDITED))
    assert await addresser.address_new() == 1
    # What was no news is behind it.
    assert reads[1] == 3


async def test_a_critical_alert_repeats_until_it_is_acknowledged() -> None:
    world = _World()
    addresser = world.addresser()
    await world.store.append(world.desk.raise_alert("a1", "Unprotected"))
    await addresser.address_new()
    await addresser.alarms.repeat()
    assert len(world.texts()) == 1
    for minute in range(1, 6):
        world.clock.time = START + timedelta(minutes=minute)
        await addresser.alarms.repeat()
    assert len(world.texts()) == 3
    assert "Still so after 5 min" in world.texts()[-1]
    await world.store.append(events.AlertAcknowledged("a1", 7, world.clock.now()))
    await addresser.address_new()
    world.clock.time = START + timedelta(minutes=60)
    await addresser.alarms.repeat()
    assert len(world.texts()) == 3


async def test_a_restart_neither_starts_the_count_of_an_alarm_again_nor_repeats_itself() -> None:
    world = _World()
    await world.store.append(world.desk.raise_alert("a1", "Unprotected"))
    world.clock.time = START + timedelta(minutes=5)
    await world.addresser().alarms.repeat()
    [said] = world.texts()
    assert said.endswith("🔁 Still so after 5 min")
    await world.addresser().alarms.repeat()
    assert world.texts() == [said]
    world.clock.time = START + timedelta(minutes=15)
    await world.addresser().alarms.repeat()
    assert "Still so after 15 min" in world.texts()[-1]


async def test_a_standing_alarm_is_drawn_once_and_again_when_it_or_its_market_changes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = _World()
    addresser = world.addresser()
    drawn: list[Event] = []

    def counted(event: Event, facts: AlertFacts) -> Alert | None:
        drawn.append(event)
        return alert_for(event, facts)

    monkeypatch.setattr(standing_alarms, "alert_for", counted)
    world.desk.live[3] = replace(TRACKER, state=TrackerState.BLOCKED)
    first = addresser.alarms.standing()
    assert len(first) == 1
    assert addresser.alarms.standing() == first
    assert len(drawn) == 1
    world.desk.live[3] = replace(world.desk.live[3], changed_at=START + timedelta(minutes=1))
    assert addresser.alarms.standing() != first
    assert len(drawn) == 2
    monkeypatch.setattr(world.desk, "instrument", lambda _: INSTRUMENTS["ETH/USDT"])
    addresser.alarms.standing()
    addresser.alarms.standing()
    assert len(drawn) == 3


async def test_a_stop_that_is_held_repeats_each_minute_with_its_buttons() -> None:
    world = _World()
    addresser = world.addresser()
    world.desk.state = TradingMode.HALTED_EVERYTHING
    world.desk.live[3] = replace(TRACKER, state=TrackerState.BLOCKED)
    for minute in range(5):
        world.clock.time = START + timedelta(minutes=minute)
        await addresser.alarms.repeat()
    assert len(world.texts()) == 4
    [*_, last] = world.store.of(events.MessageQueued)
    assert "Exit now" in str(last.message.buttons)
    world.desk.state = TradingMode.ACTIVE
    # What the release has just set going may be over in a moment.
    await addresser.alarms.repeat()
    assert len(world.texts()) == 4
    world.clock.time = START + timedelta(minutes=5)
    await addresser.alarms.repeat()
    assert len(world.texts()) == 5
    world.desk.state = TradingMode.HALTED_EVERYTHING
    await world.store.append(events.AlertAcknowledged("blocked:3:1", 7, world.clock.now()))
    await addresser.address_new()
    world.clock.time = START + timedelta(minutes=6)
    await addresser.alarms.repeat()
    assert len(world.texts()) == 5


@pytest.mark.parametrize("held_min", [1, 3, 5, 8])
async def test_what_a_halt_held_is_told_to_the_end_and_not_as_standing_once_it_sells(
    held_min: int,
) -> None:
    world = _World()
    addresser = world.addresser()
    blocked = changed(TrackerChange.BLOCKED, state=TrackerState.BLOCKED, changed_at=START)
    world.desk.live[3] = blocked.tracker
    world.desk.state = TradingMode.HALTED_EVERYTHING
    await world.store.append(blocked)
    for minute in range(held_min + 1):
        world.clock.time = START + timedelta(minutes=minute, seconds=6)
        await addresser.address_new()
        await addresser.alarms.repeat()
    assert len(world.texts()) == 1 + held_min
    world.desk.state = TradingMode.ACTIVE
    before = len(world.texts())
    await addresser.alarms.repeat()
    assert len(world.texts()) == before
    del world.desk.live[3]
    done = replace(INTENT, tracker_id=3)
    await world.store.append(
        events.IntentClosed(done, world.clock.now()),
        changed(TrackerChange.CLOSED, state=TrackerState.CLOSED),
    )
    await addresser.address_new()
    told = [one.message for one in world.store.of(events.MessageQueued)][before:]
    assert strip_markup(told[0].text).startswith("✅ Sold")
    # Each alarm, wherever it was told again, loses its buttons, once.
    assert [one.is_refresh for one in told[1:]] == [True] * (1 + held_min)
    assert len({one.card for one in told[1:]}) == 1 + held_min
    await addresser.alarms.repeat()
    assert len(world.texts()) == before + len(told)


async def test_a_halt_that_came_by_itself_repeats_until_somebody_has_seen_it() -> None:
    world = _World()
    world.desk.state, world.desk.mode_by = TradingMode.HALTED, "0"
    addresser = world.addresser()
    world.clock.time = START + timedelta(minutes=1)
    await addresser.alarms.repeat()
    [said] = world.texts()
    assert "HALTED" in said
    assert "Still so after 1 min" in said
    [key] = addresser.alarms.own_ids()
    await world.store.append(events.AlertAcknowledged(key, 7, world.clock.now()))
    await addresser.address_new()
    assert addresser.alarms.standing() == {}


async def test_a_halt_that_is_over_or_was_asked_for_in_the_chat_does_not_stand() -> None:
    world = _World()
    addresser = world.addresser()
    world.desk.state = TradingMode.HALTED_EVERYTHING
    assert addresser.alarms.standing() == {}
    world.desk.mode_by = "risk"
    assert len(addresser.alarms.standing()) == 1
    world.desk.state = TradingMode.ACTIVE
    assert addresser.alarms.standing() == {}


async def test_a_blocked_exit_and_a_critical_condition_stand_until_acknowledged() -> None:
    world = _World()
    addresser = world.addresser()
    world.desk.live[3] = replace(TRACKER, state=TrackerState.BLOCKED)
    world.desk.conditions.append(
        events.ConditionChanged("auth_lost", None, True, Severity.CRIT, "key refused", START)
    )
    standing = set(addresser.alarms.own_ids())
    assert standing == {"blocked:3:1", "condition:auth_lost::20261120T120000"}
    for key in standing:
        await world.store.append(events.AlertAcknowledged(key, 7, START))
    fresh = world.addresser()
    await fresh.load()
    assert fresh.alarms.standing() == {}


async def test_an_alert_that_the_agent_keeps_is_not_counted_as_one_of_the_chat_too() -> None:
    world = _World()
    world.desk.raise_alert("blocked:install-1:command:c1:ETH/USDT:1", "sale of 2 is blocked")
    addresser = world.addresser()
    assert len(addresser.alarms.standing()) == 1
    assert addresser.alarms.own_ids() == ()
