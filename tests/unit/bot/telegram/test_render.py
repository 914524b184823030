"""Cards fit a phone: narrow, escaped, within Telegram's limits whatever the state."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.control import wording
from bot.telegram import grammar, keyboards
from bot.telegram.alert import AlertFacts
from bot.telegram.alerts import alert_for
from bot.telegram.app import banner_of
from bot.telegram.commands import people
from bot.telegram.commands.registry import COMMANDS, MENU
from bot.telegram.outbox import strip_markup
from bot.telegram.render import reports, status, trackers, trading
from bot.telegram.render.text import (
    CAPTION_LENGTH_MAX,
    TEXT_LENGTH_MAX,
    WIDTH,
    Card,
    Code,
    age,
    card_text,
    columns,
    money,
    percent,
    price,
    signed,
    wrap,
)
from tests.catalogue import fired
from tests.fakes.desk import INSTRUMENTS, START, FakeDesk, find
from tests.fakes.memory_store import SettableClock
from tests.unit.trading.trackers.make import armed
from trading.desk import CloseLine, CloseProposal, PlainProposal, Proposal
from trading.domain import commands, events
from trading.domain.chat import ConfirmationAnswer, Person, Role, Severity
from trading.domain.errors import Refused
from trading.domain.money import plain
from trading.domain.order import (
    Attempt,
    AttemptState,
    Intent,
    IntentState,
    OrderReport,
    OrderRequest,
    OrderStatus,
    OrderType,
    Purpose,
    Side,
)
from trading.domain.position import Balance, Movement, RoundTrip, TradingMode
from trading.domain.time import Timeframe
from trading.domain.tracker import TrackerChange, TrackerKind, TrackerState
from trading.overview import JobView
from trading.ports.storage import Recorded


def _assert_fits(card: Card, length_max: int = 4096) -> list[str]:
    text = strip_markup(card.text)
    lines = text.splitlines()
    too_wide = [line for line in lines if columns(line) > WIDTH]
    assert too_wide == []
    # Telegram counts UTF-16 units; a banner comes on top.
    assert len(text.encode("utf-16-le")) // 2 + 40 <= length_max
    for row in card.buttons:
        for button in row:
            assert len(button.data.encode()) <= 64
    return lines


async def _busy_desk() -> FakeDesk:
    desk = FakeDesk(SettableClock(START))
    for line in (
        "/track BTC/USDT stop 58000 all",
        "/track BTC/USDT stop 57000 trail 2% 0.25 confirm close 15m max 1% slippage 0.5%",
        "/track BTC/USDT sell above 65000 trail 2% all stop 50000 then swing 4% backstop 40000",
        "/track ETH/USDT buy below 2500 trail 1% 500 USDT then cooldown price bid",
        "/track BTC/USDT buy stop 66000 500 USDT backstop 5%",
        (
            "/track ADA/USDC lines 2026-11-01T00:00 0.41 2026-11-18T00:00 0.44 / "
            "2026-11-01T00:00 0.52 2026-11-18T00:00 0.50 trail 1.5% 100 stop 4%"
        ),
    ):
        await desk.execute(grammar.parse(line, find), 7, line)
    return desk


async def _all_cards() -> list[Card]:
    desk = await _busy_desk()
    desk.held["ETH/USDT"] = Decimal(2)
    desk.unmanaged["BTC/USDT"] = Decimal("0.1")
    desk.conditions.append(
        events.ConditionChanged("x", None, True, Severity.WARN, "the stream is down <&>", START)
    )
    desk.raise_alert("a", "Unprotected for a while. Look at it")
    trip = RoundTrip(
        "BTC/USDT",
        "i",
        Decimal("0.5"),
        Decimal(50000),
        Decimal(57990),
        Decimal(-12),
        Decimal(29),
        START,
        START,
    )
    desk.round_trips = [trip] * 20
    chart = await desk.chart("BTC/USDT", Timeframe("1h"), 40)
    views = desk.trackers()
    return [
        status.status_card(desk.status()),
        status.positions_card(desk.positions()),
        status.positions_card([]),
        status.balance_card(desk.account()),
        status.orders_card(desk.open_orders()),
        status.orders_card([]),
        status.history_card(desk.round_trips, 1, 20),
        status.history_card([], 1, 20),
        trackers.trackers_card(views),
        trackers.trackers_card([]),
        *(trackers.tracker_card(view) for view in views),
        *(trackers.tracker_card(view, headline="Watching BTC/USDT") for view in views),
        *(trackers.why_card(view) for view in views),
        reports.summary_card(await desk.summary(START)),
        Card(reports.chart_caption(chart, INSTRUMENTS["BTC/USDT"])),
        reports.health_card(desk.health()),
        reports.jobs_card(desk.jobs(), START),
        reports.audit_card([], START),
        people.help_card(COMMANDS, Role.OWNER),
        *(people.command_help_card(entry) for entry in COMMANDS),
    ]


async def test_every_card_fits_the_phone() -> None:
    for card in await _all_cards():
        _assert_fits(card)


async def test_a_caption_fits_under_a_picture_with_many_trackers() -> None:
    desk = FakeDesk(SettableClock(START))
    for number in range(60):
        command = grammar.parse(f"/track BTC/USDT stop {40000 + number} 0.001", find)
        await desk.execute(command, 7, str(number))
    chart = await desk.chart("BTC/USDT", Timeframe("1h"), 40)
    caption = Card(reports.chart_caption(chart, INSTRUMENTS["BTC/USDT"]))
    lines = _assert_fits(caption, 1024)
    assert lines[-1].startswith("… and ")


async def test_lists_and_captions_leave_the_points_of_lines_to_the_chart() -> None:
    desk = FakeDesk(SettableClock(START))
    points = "2026-11-01T00:00 50000 2026-11-18T00:00 51000"
    line = f"/track BTC/USDT lines {points} / {points.replace(' 5', ' 7')} trail 1.5% 0.1"
    await desk.execute(grammar.parse(line, find), 7, "1")
    chart = await desk.chart("BTC/USDT", Timeframe("1h"), 40)
    caption = Card(reports.chart_caption(chart, INSTRUMENTS["BTC/USDT"]))
    for card in (caption, trackers.trackers_card(desk.trackers())):
        text = " ".join(_assert_fits(card))
        assert "lines trail 1.5%" in text
        assert "2026-11" not in text


@pytest.mark.parametrize(
    ("line", "fee"),
    [("/buy ETH/BTC 0.1 BTC", "Fee about 2.00 ETH"), ("/sell BTC/USDT 0.1", "Fee about 0.10 USDT")],
)
async def test_an_order_names_the_fee_in_the_coin_that_it_is_taken_of(line: str, fee: str) -> None:
    # The fake's fee is 0.1 of the quote; an ETH costs 0.05 BTC.
    desk = FakeDesk(SettableClock(START))
    proposal = await desk.propose(grammar.parse(line, find), 7)
    assert fee in " ".join(strip_markup(trading.question_text(proposal, 300)).split())


async def test_long_lists_are_paged_and_every_page_fits() -> None:
    desk = FakeDesk(SettableClock(START))
    for number in range(100):
        command = grammar.parse(f"/track BTC/USDT stop {40000 + number} 0.001", find)
        await desk.execute(command, 7, str(number))
    shown = set()
    for page in range(1, 14):
        card = trackers.trackers_card(desk.trackers(), page)
        _assert_fits(card)
        shown |= {
            button.data for row in card.buttons for button in row if "/tracker " in button.data
        }
    assert len(shown) == 100


async def test_the_first_line_answers_am_i_protected() -> None:
    desk = FakeDesk(SettableClock(START))
    first = strip_markup(status.status_card(desk.status()).text).splitlines()[0]
    assert first == "🔴 NOT PROTECTED: 1 of 1 position"
    await desk.execute(grammar.parse("/track BTC/USDT stop 58000 all", find), 7, "x")
    first = strip_markup(status.status_card(desk.status()).text).splitlines()[0]
    assert first == "🟢 Protected: 1 of 1 position"
    desk.state = TradingMode.HALTED_EVERYTHING
    first = strip_markup(status.status_card(desk.status()).text).splitlines()[0]
    assert first == "🔴 UNPROTECTED: everything halted"
    desk.held.clear()
    assert "No open position" in status.status_card(desk.status()).text


@pytest.mark.parametrize("is_ready", [True, False])
def test_a_status_says_why_nothing_new_is_bought_and_what_to_remove(is_ready: bool) -> None:
    path = "/home/umbra/data/HALT"
    halted = events.TradingModeChanged(
        TradingMode.HALTED, f"Halted by the file {path}. To go on: rm {path}", "0", START
    )
    seen = replace(FakeDesk(SettableClock(START)).status(), trading_mode=halted, is_ready=is_ready)
    lines = _assert_fits(status.status_card(seen))
    assert f"Halted by the file {path}. To go on: rm {path}" in " ".join(lines)
    typed = replace(seen, trading_mode=replace(halted, reason="halt", by="7"))
    assert "Asked for with /halt." in " ".join(_assert_fits(status.status_card(typed)))
    ended = replace(seen, trading_mode=replace(halted, mode=TradingMode.ACTIVE))
    assert path not in " ".join(_assert_fits(status.status_card(ended)))


async def test_protection_and_worst_case_stand_on_each_position() -> None:
    desk = FakeDesk(SettableClock(START))
    text = strip_markup(status.positions_card(desk.positions()).text)
    assert "⚠️ NOT PROTECTED if it falls" in text
    await desk.execute(grammar.parse("/track BTC/USDT stop 58000 all", find), 7, "x")
    text = strip_markup(status.positions_card(desk.positions()).text)
    assert "🛡 protected at 58,000" in text
    assert "worst case -1,000.00 USDT" in text
    half = replace(desk.live[1], quantity=Decimal("0.2"))
    desk.live[1] = half
    text = strip_markup(status.positions_card(desk.positions()).text)
    assert "⚠️ only 0.2 protected" in text


async def test_a_take_profit_before_its_touch_says_not_protected() -> None:
    desk = FakeDesk(SettableClock(START))
    command = grammar.parse("/track BTC/USDT sell above 65000 trail 2% all", find)
    proposal = await desk.propose(command, 7)
    text = strip_markup(trading.question_text(proposal, 300))
    assert "⚠️ NOT PROTECTED if it falls" in text
    assert "Answer within 5 min." in text


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("/track BTC/USDT sell above 65000 trail 2% all", "65,000.00"),
        ("/track BTC/USDT buy below 55000 trail 2% 500 USDT", "55,000.00"),
    ],
)
async def test_a_level_that_only_begins_the_trail_is_called_a_touch(line: str, level: str) -> None:
    desk = FakeDesk(SettableClock(START))
    question = trading.question_text(await desk.propose(grammar.parse(line, find), 7), 300)
    await desk.execute(grammar.parse(line, find), 7, "x")
    view = desk.tracker(1)
    for text in (question, trackers.tracker_card(view).text):
        assert f"Touch at {level}" in text
        assert "Fires at" not in text
    listed = trackers.trackers_card([view]).text
    assert f"touch at {level}" in listed
    assert "fires at" not in listed
    assert "from then on it trails" in trackers.why_card(view).text


async def test_a_swing_says_what_it_does_now_on_its_card_and_in_the_list() -> None:
    desk = FakeDesk(SettableClock(START))
    line = "/track BTC/USDT sell above 60500 trail 1% all then swing 4%"
    await desk.execute(grammar.parse(line, find), 7, "x")
    half = replace(desk.live[1], last_fill_price=Decimal(60786), quote=Decimal("6082.43"))
    bought = replace(half, side=Side.BUY, level_price=Decimal("59873.25"))
    for tracker, rule in (
        (bought, "buy below 59873.25 trail 1%"),
        (replace(half, level_price=Decimal(62000)), "sell above 62000 trail 1%"),
    ):
        desk.live[1] = tracker
        view = desk.tracker(1)
        card = " ".join(strip_markup(trackers.tracker_card(view).text).split())
        assert f"swing: {rule}" in card
        assert "take profit" not in card
        listed = " ".join(strip_markup(trackers.trackers_card([view]).text).split())
        assert rule in listed
        assert "60500" not in listed


@pytest.mark.parametrize(
    ("state", "is_paused", "labels"),
    [
        (TrackerState.TRAILING, False, {"⏸ Pause", "🔧 Change", "🔄 Refresh", "🗑 End it"}),
        (TrackerState.TRAILING, True, {"▶️ Resume"}),
        (TrackerState.BLOCKED, False, {"⚡ Exit now", "✖️ Abort"}),
        (TrackerState.EXITING, False, {"🔄 Refresh", "❓ Why"}),
    ],
)
async def test_a_card_offers_what_its_state_allows(
    state: TrackerState, is_paused: bool, labels: set[str]
) -> None:
    desk = FakeDesk(SettableClock(START))
    await desk.execute(grammar.parse("/track BTC/USDT stop 58000 all", find), 7, "x")
    desk.live[1] = replace(desk.live[1], state=state, is_paused=is_paused)
    card = trackers.tracker_card(desk.tracker(1))
    shown = {button.label for row in card.buttons for button in row}
    assert labels <= shown


async def test_loosening_shows_old_and_new_worst_case() -> None:
    desk = FakeDesk(SettableClock(START))
    await desk.execute(grammar.parse("/track BTC/USDT stop 58000 all", find), 7, "x")
    for line in ("/tracker 1 level 50000", "/tracker 1 pause", "/tracker 1 cancel"):
        proposal = await desk.propose(grammar.parse(line, find), 7)
        text = " ".join(strip_markup(trading.question_text(proposal, 300)).split())
        assert text.startswith("❔ Loosen #1 BTC/USDT?")
        assert "worst -1,000.00 USDT" in text
        assert "worst -2,000.00 USDT" in text


def test_the_menu_has_at_most_sixteen_commands_with_short_names() -> None:
    assert 0 < len(MENU) <= 16
    assert all(columns(entry.about) <= WIDTH for entry in COMMANDS)
    assert len({entry.name for entry in COMMANDS}) == len(COMMANDS)


@pytest.mark.fault("I04", "SAID")
def test_a_refusal_shows_what_to_copy_escaped() -> None:
    card = trading.refused_card(Refused("trail was <b>250%</b>", example="/track A & B"))
    assert "&lt;b&gt;250%&lt;/b&gt;" in card.text
    assert "<code>/track A &amp; B</code>" in card.text
    fired(card.text.count("&lt;") + card.text.count("&amp;"))


def test_a_button_never_carries_too_much() -> None:
    with pytest.raises(ValueError, match="64 bytes"):
        keyboards.does("x", "/" + "y" * 64)
    assert keyboards.fits("/" + "y" * 62)
    assert not keyboards.fits("/" + "y" * 63)


def test_a_pager_has_only_the_ways_that_exist() -> None:
    assert keyboards.pager("/x", 1, 1) == ()
    assert [button.data for button in keyboards.pager("/x", 2, 3)[0]] == ["=/x 1", "=/x 3"]


@given(st.text(max_size=200))
def test_no_line_is_wider_than_the_phone_and_nothing_is_lost(text: str) -> None:
    for line in wrap(text):
        assert columns(line) <= WIDTH
    assert "".join(wrap(text)).replace(" ", "") == text.replace(" ", "")


def test_an_indentation_is_kept_by_the_lines_that_follow() -> None:
    assert wrap("  one two three", 9) == ["  one two", "  three"]


@given(st.text(max_size=80), st.lists(st.text(max_size=120), max_size=80))
def test_a_card_is_short_enough_and_well_formed_whatever_it_says(
    title: str, lines: list[str]
) -> None:
    html = card_text(title, *lines, Code(title))
    assert len(html) <= TEXT_LENGTH_MAX + 700
    tags = html.replace("<b>", "").replace("</b>", "").replace("<code>", "").replace("</code>", "")
    assert "<" not in tags
    assert ">" not in tags


@pytest.mark.parametrize(
    ("shown", "text"),
    [
        (price(Decimal("57990.123"), INSTRUMENTS["BTC/USDT"]), "57,990.12"),
        (price(Decimal("0.45678"), INSTRUMENTS["ADA/USDC"]), "0.4568"),
        (price(Decimal("0.000012345678")), "0.0000123457"),
        (price(Decimal("1234567.891")), "1,234,567.89"),
        (price(None), "?"),
        (money(Decimal("1234.5")), "1,234.50"),
        (money(Decimal("0.0123456789")), "0.0123"),
        (money(Decimal("0.0997735")), "0.0998"),
        (money(Decimal(0)), "0.00"),
        (price(Decimal("59376.5")), "59,376.50"),
        (price(Decimal(58000)), "58,000"),
        (percent(Decimal("-0.00001")), "-0.001%"),
        (percent(Decimal(0)), "0%"),
        (signed(Decimal(-12)), "-12.00"),
        (signed(Decimal(12)), "+12.00"),
        (signed(None), "?"),
        (percent(Decimal("0.0123")), "+1.23%"),
        (percent(-0.5), "-50%"),
        (percent(None), "?"),
        (age(0.44), "0.4 s"),
        (age(59.6), "60 s"),
        (age(300), "5 min"),
        (age(3 * 3600 + 1300), "3 h 21 min"),
        (age(60 * 3600), "2 d 12 h"),
        (age(None), "never"),
        (plain(Decimal("0.50")), "0.5"),
    ],
)
def test_numbers_read_as_people_write_them(shown: str, text: str) -> None:
    assert shown == text


def test_a_stop_that_moved_many_times_in_a_row_is_one_line_of_the_audit() -> None:
    def row(number: int, change: TrackerChange, stop: int) -> Recorded:
        moved = replace(
            armed(TrackerKind.TRAIL, 60000, number, trail="0.05"), stop_price=Decimal(stop)
        )
        return Recorded(1, events.TrackerChanged(moved, change, START))

    moves = [row(1, TrackerChange.MOVED, 58000 + stop) for stop in (300, 200, 100)]
    others = [row(2, TrackerChange.MOVED, 1), row(1, TrackerChange.ARMED, 57000)]
    kept = reports.without_repeated_moves([*moves, *others, *moves])
    assert kept == [moves[0], *others, moves[0]]
    told = reports.audit_card(kept[:1], START).text
    assert "moved its stop to 58,300" in " ".join(told.split())
    # Where it came from is told as far as the list goes back, and never of another tracker's.
    told = reports.audit_card([moves[0], *others], START).text
    assert "moved its stop from 57,000 to 58,300" in " ".join(told.split())


def test_jobs_are_told_by_what_they_are_for_and_in_hours() -> None:
    jobs = [
        JobView("tracker_sweep", "every 1 s", None, "", None),
        JobView("key_permissions", "every 360 min", None, "", None),
        JobView("daily_risk_reset", "daily 00:00 UTC", None, "", None),
    ]
    told = reports.jobs_card(jobs, START).text
    for words in ("look at every tracker", "every 6 h", "daily 00:00\n"):
        assert words in told
    assert "_" not in told


def test_a_holding_with_a_small_open_rest_is_called_partly_protected() -> None:
    desk = FakeDesk(SettableClock(START))
    state = desk.status()
    [view] = state.positions
    rest = replace(view, protected_quantity=view.position.quantity * Decimal("0.9"))
    told = status.status_card(replace(state, positions=(rest,))).text
    assert "1 of 1 only PARTLY PROTECTED" in told


def test_a_viewer_is_not_offered_what_is_refused_to_viewers() -> None:
    state = FakeDesk(SettableClock(START)).status()
    offered = {
        may_act: {
            button.label
            for row in status.status_card(state, may_act=may_act).buttons
            for button in row
        }
        for may_act in (True, False)
    }
    assert offered[True] - offered[False] == {"🎯 Track"}


@pytest.mark.parametrize("empty", [status.positions_card, trackers.trackers_card])
def test_who_may_only_look_is_not_told_to_start_a_tracker(empty: Callable[..., Card]) -> None:
    assert "/track" in empty([]).text
    looking = empty([], may_act=False)
    assert looking.text == empty([]).text.splitlines()[0]
    assert not looking.buttons


def test_what_a_paused_tracker_would_do_is_not_called_what_it_does() -> None:
    desk = FakeDesk(SettableClock(START))
    desk.live[1] = replace(armed(TrackerKind.STOP, 60000, level=58000), is_paused=True)
    card = trackers.tracker_card(desk.tracker(1))
    listed = trackers.trackers_card(desk.trackers())
    for text in (card.text, listed.text):
        told = " ".join(text.split())
        assert "PAUSED, would fire at 58,000.00" in told
        assert "Fires at" not in told


def test_every_audited_fact_has_words() -> None:
    mode = events.TradingModeChanged(TradingMode.HALTED, "loss", "risk", START)
    denied = events.AccessDenied(6, 6, "message", True, START)
    heartbeat = events.Heartbeat(START + timedelta(seconds=1))
    words = [reports.audit_words(event, {}) for event in (mode, denied, heartbeat)]
    assert words == ["risk: now HALTED: loss", "stranger 6 was ignored (message)", "heartbeat"]


def test_the_audit_is_written_in_the_words_of_a_person() -> None:
    rows = (
        events.CommandExecuted("c", 7, "ArmTracker", START),
        events.ConfirmationAnswered("n", ConfirmationAnswer.CONFIRMED, 7, START),
        events.ProcessStarted("1.0", "paper", None, START),
        events.ProcessStopped("", START),
        events.TradingModeChanged(TradingMode.HALTED, "panic", "8", START),
        events.AlertAcknowledged("a", 7, START),
    )
    assert [reports.audit_words(event, {7: "Ada"}) for event in rows] == [
        "Ada set up a tracker",
        "Ada confirmed a question",
        "Umbra 1.0 started, paper",
        "Umbra stopped",
        "person 8: now HALTED: panic",
        "Ada has seen an alert",
    ]


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("watches ADA/USDT", "Ada: watches ADA/USDT"),
        ("named in the settings", "Ada: named in the settings"),
        ("", "Ada is viewer"),
    ],
)
def test_the_audit_tells_what_a_person_changed_without_their_role(reason: str, words: str) -> None:
    person = Person(7, 7, "Ada", Role.VIEWER)
    assert reports.audit_words(events.PersonChanged(person, reason, START), {7: "Ada"}) == words


@pytest.mark.parametrize(
    ("quantity", "value", "words"),
    [
        ("50", "148000", "50 ETH came in, worth 148,000.00 USDT: no trade"),
        ("-0.5", "-1480.5", "0.5 ETH went out, worth 1,480.50 USDT: no trade"),
        ("-0.5", "0", "0.5 ETH went out: no trade"),
    ],
)
def test_what_came_and_went_without_a_trade_has_words(
    quantity: str, value: str, words: str
) -> None:
    movement = Movement("ETH", Decimal(quantity), START)
    moved = events.FundsMoved(movement, Decimal(value), START)
    assert reports.audit_words(moved, {}, currency="USDT") == words


@pytest.mark.parametrize(
    ("moved", "told"),
    [
        ("0", ["Equity +5.00 USDT (+0.01%)"]),
        ("148000", ["Equity -147,995.00 USDT (-78.72%)", "Moved in 148,000.00 USDT, no profit"]),
        ("-39000", ["Equity +39,005.00 USDT (+3900.5%)", "Moved out 39,000.00 USDT, no loss"]),
        ("-40000", ["Equity +40,005.00 USDT", "Moved out 40,000.00 USDT, no loss"]),
    ],
)
async def test_a_summary_tells_profit_apart_from_what_came_and_went(
    moved: str, told: list[str]
) -> None:
    view = await FakeDesk(SettableClock(START)).summary(START)
    lines = _assert_fits(reports.summary_card(replace(view, moved=Decimal(moved))))
    text = " ".join(lines)
    assert " ".join(told) in text
    assert ("Moved" in text) is (len(told) > 1)


async def test_a_summary_says_first_what_nothing_protects_and_counts_who_is_paused() -> None:
    desk = FakeDesk(SettableClock(START))
    await desk.execute(grammar.parse("/track BTC/USDT stop 58000 all", find), 7, "arm")
    lines = _assert_fits(reports.summary_card(await desk.summary(START)))
    assert lines[0].startswith("🟢 Summary: 40,005.00 USDT")
    assert "Trackers 1 watching" in lines
    [tracker] = desk.live.values()
    desk.live[1] = replace(tracker, is_paused=True, stop_price=None)
    lines = _assert_fits(reports.summary_card(await desk.summary(START)))
    assert lines[:2] == ["🔴 NOT PROTECTED: 1 of 1 position", "Summary: 40,005.00 USDT"]
    assert "Trackers 1 watching, 1 PAUSED" in lines
    desk.state = TradingMode.HALTED_EVERYTHING
    lines = _assert_fits(reports.summary_card(await desk.summary(START)))
    assert lines[0] == "🔴 UNPROTECTED: everything halted"


async def test_each_stop_of_a_position_is_shown_with_what_it_sells() -> None:
    desk = FakeDesk(SettableClock(START))
    for line in ("/track BTC/USDT stop 58000 0.1", "/track BTC/USDT stop 50000 0.4"):
        await desk.execute(grammar.parse(line, find), 7, line)
    lines = _assert_fits(status.positions_card(desk.positions()))
    assert lines[0] == "💼 1 position, protected"
    assert lines[2:5] == ["🛡 protected, lowest at 50,000", "  0.1 at 58,000", "  0.4 at 50,000"]
    assert wording.holdings(desk.positions()) == (
        "Holds 0.5 BTC (BTC/USDT), stops: 0.1 at 58000, 0.4 at 50000",
    )
    del desk.live[2]
    assert "⚠️ only 0.1 protected" in status.positions_card(desk.positions()).text
    assert wording.holdings(desk.positions()) == (
        "Holds 0.5 BTC (BTC/USDT), ONLY 0.1 PROTECTED: 0.1 at 58000",
    )


async def test_of_many_stops_the_lowest_stays_in_sight() -> None:
    desk = FakeDesk(SettableClock(START))
    for number in range(10):
        line = f"/track BTC/USDT stop {40000 + number} 0.05"
        await desk.execute(grammar.parse(line, find), 7, line)
    lines = _assert_fits(status.positions_card(desk.positions()))
    assert "🛡 protected, lowest at 40,000" in lines
    assert "  6 more between" in lines
    assert "  0.05 at 40,000" in lines


def test_health_does_not_call_a_stalled_stream_healthy() -> None:
    health = replace(FakeDesk(SettableClock(START)).health(), stream="down")
    lines = _assert_fits(reports.health_card(health))
    assert lines[0] == "🟠 Live prices are interrupted"
    assert "Prices over REST, 0.4 s old" in lines


async def test_a_status_without_eyes_calls_nothing_protected() -> None:
    desk = FakeDesk(SettableClock(START))
    await desk.execute(grammar.parse("/track BTC/USDT stop 58000 all", find), 7, "a")
    seen = desk.status()
    assert _assert_fits(status.status_card(seen))[0] == "🟢 Protected: 1 of 1 position"
    blind = replace(
        seen,
        positions=tuple(replace(view, is_blind=True) for view in seen.positions),
        stream="lost",
        data_age_s=37.0,
        unresolved=1,
    )
    lines = _assert_fits(status.status_card(blind))
    assert lines[0] == "🔴 NOT PROTECTED: 1 of 1 position"
    assert "⚠️ CANNOT SELL NOW: stop 58,000" in lines
    assert "Prices 37 s old · not coming in" in lines
    assert "❓ 1 order of unknown outcome" in lines
    assert not [line for line in lines if "🛡" in line]
    told = wording.holdings(blind.positions)
    assert told == ("Holds 0.5 BTC (BTC/USDT), CANNOT SELL NOW: 0.5 at 58000",)


def test_a_status_says_when_no_tracker_waits_for_prices() -> None:
    seen = replace(FakeDesk(SettableClock(START)).status(), data_age_s=None, stream="live")
    assert "No tracker needs prices · live" in _assert_fits(status.status_card(seen))


def test_a_status_does_not_call_live_prices_interrupted_that_are_live_again() -> None:
    down = events.ConditionChanged(
        "stream_down", None, True, Severity.WARN, "they are interrupted", START
    )
    seen = replace(FakeDesk(SettableClock(START)).status(), conditions=(down,), data_age_s=1.0)
    back = _assert_fits(status.status_card(replace(seen, stream="live")))
    assert "Prices 1.0 s old · live again" in back
    assert not [line for line in back if "are interrupted" in line]
    lines = _assert_fits(status.status_card(replace(seen, stream="down")))
    assert "Prices 1.0 s old · over REST" in lines
    assert "⚠️ they are interrupted" in lines


def test_a_start_without_an_exchange_says_that_nothing_is_watched() -> None:
    starting = replace(FakeDesk(SettableClock(START)).status(), is_ready=False)
    lines = _assert_fits(status.status_card(starting))
    assert lines[0] == "🔴 NOTHING is watched yet"
    assert "⚠️ The exchange has not answered" in lines
    assert not [line for line in lines if "Equity" in line or "position" in line]


async def test_a_tracker_at_work_says_what_it_does_and_not_where_it_would_fire() -> None:
    desk = FakeDesk(SettableClock(START))
    await desk.execute(grammar.parse("/track BTC/USDT stop 58000 all", find), 7, "a")
    (seen,) = desk.trackers()
    selling = replace(seen, tracker=replace(seen.tracker, state=TrackerState.EXITING))
    lines = _assert_fits(trackers.trackers_card([selling]))
    assert "  selling …" in lines
    assert not [line for line in lines if "fires at" in line or "NOT PROTECTED" in line]
    lines = _assert_fits(trackers.tracker_card(selling))
    assert "It has fired: selling …" in lines
    blocked = replace(seen, tracker=replace(seen.tracker, state=TrackerState.BLOCKED))
    assert "  cannot sell yet" in _assert_fits(trackers.trackers_card([blocked]))


def test_health_names_what_is_wrong_before_anything_else() -> None:
    health = replace(
        FakeDesk(SettableClock(START)).health(),
        troubles=("the exchange cannot be reached", "1 order is of unknown outcome"),
        remarks=("this machine's clock is 3 s behind",),
        stream="lost",
        clock_offset_ms=None,
    )
    lines = _assert_fits(reports.health_card(health))
    assert lines[:3] == [
        "🔴 Not healthy",
        "⚠️ The exchange cannot be reached",
        "⚠️ 1 order is of unknown outcome",
    ]
    assert "Prices not coming in, 0.4 s old" in lines
    assert "Clock: not compared now" in lines


def test_what_umbra_copes_with_is_no_illness() -> None:
    health = replace(FakeDesk(SettableClock(START)).health(), remarks=("a slow clock",))
    lines = _assert_fits(reports.health_card(health))
    assert lines[:2] == ["🟠 At work, but not all is well", "⚠️ A slow clock"]


def test_the_banner_of_paper_mode_fits_the_phone() -> None:
    assert columns(banner_of(FakeDesk(SettableClock(START), mode="paper"))) <= WIDTH


def _close_lines(text: str) -> Iterator[str]:
    return (line for line in strip_markup(text).splitlines() if line.startswith("•"))


def test_status_names_what_no_price_values() -> None:
    held = tuple(Balance(f"COIN{number}", Decimal(5), Decimal(0)) for number in range(5))
    desk = FakeDesk(SettableClock(START))
    lines = _assert_fits(status.status_card(replace(desk.status(), uncounted=held)))
    text = " ".join(lines)
    assert "Not counted: 5 COIN0, 5 COIN1, 5 COIN2, 2 more, no price" in text
    assert "Not counted" not in status.status_card(desk.status()).text


async def test_closing_everything_lists_what_goes_and_what_stays() -> None:
    desk = FakeDesk(SettableClock(START))
    desk.unmanaged["ETH/USDT"] = Decimal(2)
    text = trading.question_text(await desk.propose(commands.CloseAll(), 7), 300)
    assert list(_close_lines(text)) == ["• 0.5 BTC = 60,000.00 USDT", "• 2 ETH = ?"]
    assert "<code>/panic everything</code>" in text
    desk.unmanaged.clear()
    alone = trading.question_text(await desk.propose(commands.CloseAll(), 7), 300)
    assert "/panic everything" not in alone
    assert CAPTION_LENGTH_MAX < 1024


async def test_a_panic_with_everything_lists_what_else_it_sells_and_cancels() -> None:
    desk = FakeDesk(SettableClock(START))
    desk.unmanaged["ETH/USDT"] = Decimal(2)
    order = OrderReport(
        "web-1", "9", "ETH/USDT", Side.BUY, OrderStatus.NEW, Decimal(3), Decimal(0), None, (), START
    )
    said = {}
    for command in (commands.Panic(), commands.Panic(everything=True)):
        proposal = await desk.propose(command, 7)
        assert isinstance(proposal.facts, CloseProposal)
        facts = replace(
            proposal.facts,
            foreign_orders=(order,),
            unsellable=(("XRP", Decimal(5)),) if command.everything else (),
        )
        card = Card(trading.question_text(replace(proposal, facts=facts), 300))
        said[command.everything] = _assert_fits(card)
    assert said[False][:6] == [
        "🚨 PANIC: sell 1 position, halt?",
        "• 0.5 BTC = 60,000.00 USDT",
        "Stays (not managed):",
        "• 2 ETH = ?",
        "Stays (orders not ours):",
        "• buy 3 ETH/USDT",
    ]
    assert " ".join(said[False][6:8]) == "The button Everything sells and cancels that too."
    assert said[True][:8] == [
        "🚨 PANIC: sell all 2 coins, halt?",
        "• 0.5 BTC = 60,000.00 USDT",
        "Sold too (not managed):",
        "• 2 ETH = ?",
        "Cancelled (orders not ours):",
        "• buy 3 ETH/USDT",
        "Stays (no market or no price):",
        "• 5 XRP",
    ]


async def test_a_panic_says_what_its_sales_bring_in_that_is_not_sold_on() -> None:
    proposal = await FakeDesk(SettableClock(START)).propose(commands.Panic(everything=True), 7)
    sold = CloseLine("ETH/BTC", "ETH", Decimal(3), Decimal("0.15"))
    unmanaged = CloseLine("ADA/USDT", "ADA", Decimal(5), Decimal("4.5"))
    facts = CloseProposal((sold,), (), (), (unmanaged,), currency="USDT")
    card = Card(trading.question_text(replace(proposal, facts=facts), 300))
    assert _assert_fits(card)[1:6] == [
        "• 3 ETH = 0.15 BTC",
        "Comes in, is not sold on:",
        "• 0.15 BTC",
        "Sold too (not managed):",
        "• 5 ADA = 4.50 USDT",
    ]


async def test_a_sale_of_all_says_what_each_tracker_that_ends_with_it_owned() -> None:
    proposal = await FakeDesk(SettableClock(START)).propose(commands.CloseAll(), 7)
    sold = CloseLine("BTC/USDT", "BTC", Decimal("0.5"), Decimal(30_000))
    stop = replace(armed(TrackerKind.STOP, 60000, level=58000), quantity=Decimal("0.3"))
    many = [replace(stop, tracker_id=number) for number in range(1, 31)]
    facts = CloseProposal((sold,), (many[0], many[1]), (), ())
    lines = _assert_fits(Card(trading.question_text(replace(proposal, facts=facts), 300)))
    assert lines[1:5] == [
        "• 0.5 BTC = 30,000.00 USDT",
        "Trackers that end:",
        "• #1 0.3 BTC",
        "• #2 0.3 BTC",
    ]
    facts = replace(facts, trackers_cancelled=tuple(many))
    lines = _assert_fits(Card(trading.question_text(replace(proposal, facts=facts), 300)))
    assert "and 5 more trackers" in lines


def test_the_question_of_a_milder_halt_says_that_stops_sell() -> None:
    halt = commands.SetTradingMode(TradingMode.HALTED)
    proposal = Proposal(halt, PlainProposal("Nothing new at all."), needs_confirmation=True)
    lines = _assert_fits(Card(trading.question_text(proposal, 300)))
    assert lines[:2] == ["❔ Stay halted, let stops sell?", "Nothing new at all."]


def test_a_backstop_at_work_shows_where_it_fires() -> None:
    request = OrderRequest(
        "c1",
        "BTC/USDT",
        Side.SELL,
        OrderType.STOP_LOSS,
        Decimal("0.5"),
        stop_price=Decimal(50000),
    )
    intent = Intent(
        "b1",
        "BTC/USDT",
        Side.SELL,
        Purpose.BACKSTOP,
        Decimal(50000),
        START,
        quantity=Decimal("0.5"),
        tracker_id=1,
        stop_price=Decimal(50000),
    )
    attempt = Attempt("b1", 1, request, AttemptState.OPEN, START)
    text = " ".join(_assert_fits(status.orders_card([(intent, attempt)])))
    assert "from 50,000 on: backstop" in text
    waiting = replace(intent, purpose=Purpose.PROTECT, stop_price=None)
    bought = replace(waiting, quantity=Decimal(0), quote_budget=Decimal(600), side=Side.BUY)
    text = " ".join(_assert_fits(status.orders_card([(waiting, None), (bought, None)])))
    assert "sell 0.5 BTC waits: no order of it is on the exchange" in " ".join(text.split())
    assert "buy BTC for 600.00 USDT" in text
    begun = replace(waiting, filled_quantity=Decimal("0.2"), filled_notional=Decimal(9800))
    text = " ".join(" ".join(_assert_fits(status.orders_card([(begun, None)]))).split())
    assert "sell 0.5 BTC 0.2 filled waits: no order of it is on the exchange" in text
    for trips in ([], FakeDesk(SettableClock(START)).round_trips):
        card = status.history_card(trips, 1, 20, [begun, bought, waiting])
        text = " ".join(_assert_fits(card))
        assert text.count("by now") == 1
        assert "Sold 0.2 BTC for 9,800.00 USDT by now; the rest: /orders" in text
    closed = replace(intent, state=IntentState.EXPIRED, reason="MAX_NUM_ALGO_ORDERS")
    refused = alert_for(events.IntentClosed(closed, START), AlertFacts(INSTRUMENTS.get))
    assert refused is not None
    assert "NO backstop" in refused.card.text
    withdrawn = replace(intent, state=IntentState.ABORTED)
    assert alert_for(events.IntentClosed(withdrawn, START), AlertFacts(INSTRUMENTS.get)) is None
    fill = replace(intent, filled_quantity=Decimal("0.5"), filled_notional=Decimal(24500))
    sold = alert_for(
        events.IntentClosed(replace(fill, state=IntentState.DONE), START),
        AlertFacts(INSTRUMENTS.get),
    )
    assert sold is not None
    assert "Sold 0.5 BTC" in sold.card.text
    assert "backstop" in sold.card.text


def test_a_refused_word_is_offered_corrected_as_a_whole_line_and_as_buttons() -> None:
    error = Refused("7m is none", "5m", wrong="7m", near=("5m", "15m"))
    card = trading.refused_card(error, "/chart BTC/USDT 7m")
    assert "/chart BTC/USDT 5m" in card.text
    assert [[each.label for each in row] for row in card.buttons] == [["5m", "15m"]]
    assert [each.data for row in card.buttons for each in row] == [
        "+/chart BTC/USDT 5m",
        "+/chart BTC/USDT 15m",
    ]


@pytest.mark.parametrize("said", ["", "7m", "/chart BTC/USDT 17m"])
def test_a_line_without_the_wrong_word_is_not_rewritten(said: str) -> None:
    error = Refused("7m is none", "/chart BTC/USDT 1h", wrong="7m", near=("5m",))
    card = trading.refused_card(error, said)
    assert "/chart BTC/USDT 1h" in card.text
    assert card.buttons == ()


def test_a_line_too_long_for_a_button_is_still_the_example() -> None:
    line = "/track BTC/USTD lines 2026-11-01T00:00 50000 2026-11-18T00:00 60000"
    error = Refused("not traded", "BTC/USDT", wrong="BTC/USTD", near=("BTC/USDT",))
    card = trading.refused_card(error, line)
    assert line.replace("USTD", "USDT") in " ".join(card.text.split())
    assert card.buttons == ()


async def test_a_turn_of_nothing_has_no_sign() -> None:
    view = (await _busy_desk()).trackers()[0]
    assert view.signature is not None
    card = trackers.tracker_card(replace(view, signature=replace(view.signature, reversal=-0.001)))
    assert "turn 0.00" in " ".join(_assert_fits(card))


async def test_a_buy_that_waits_to_buy_again_does_not_say_that_nothing_is_held() -> None:
    desk = await _busy_desk()
    [view] = [one for one in desk.trackers() if one.tracker.symbol == "ETH/USDT"]
    assert "No position yet" in " ".join(_assert_fits(trackers.tracker_card(view)))
    again = replace(view.tracker, last_fill_price=Decimal(2490), arm_seq=2)
    told = " ".join(_assert_fits(trackers.tracker_card(replace(view, tracker=again))))
    assert "No position" not in told
    assert "what it bought needs a stop of its own" in told


def test_a_position_says_what_its_backstops_bound_while_umbra_is_down() -> None:
    desk = FakeDesk(SettableClock(START))
    view = replace(desk._position("BTC/USDT"), worst_case_down=Decimal(-5000))
    assert "If Umbra is down: worst -5,000.00 USDT before fees" in status.position_lines(view)


def test_a_position_that_only_its_backstop_protects_says_so_on_every_card() -> None:
    desk = FakeDesk(SettableClock(START))
    alone = replace(
        desk._position("BTC/USDT"),
        protected_quantity=Decimal("0.5"),
        stops=(),
        backstops=((Decimal(50_000), Decimal("0.5")),),
        worst_case=Decimal(-5000),
        worst_case_down=Decimal(-5000),
    )
    held = replace(alone, is_held=True)
    bare = replace(held, backstops=(), protected_quantity=Decimal(0), worst_case=None)
    for view, said in (
        (alone, ["⚠️ only backstop 50,000 sells"]),
        (held, ["⚠️ UNPROTECTED: stops are held", "⚠️ only backstop 50,000 sells"]),
        (bare, ["⚠️ UNPROTECTED: stops are held"]),
    ):
        lines = status.position_lines(view)
        assert [line for line in lines if "⚠️" in str(line)] == said
        assert not [line for line in lines if "🛡" in str(line)]
        assert all(len(str(line)) <= 34 for line in said)
    assert "worst case -5,000.00 USDT before fees" in status.position_lines(held)
    assert "If Umbra is down" not in " ".join(map(str, status.position_lines(held)))
    seen = replace(desk.status(), positions=(alone,))
    assert _assert_fits(status.status_card(seen))[0] == "🟢 Backstop only: 1 of 1 position"
    assert _assert_fits(status.positions_card([alone]))[0] == "💼 1 position, only backstops sell"
    assert wording.holdings([held, bare]) == (
        "Holds 0.5 BTC (BTC/USDT), UNPROTECTED: stops are held; only backstops sell: 0.5 at 50000",
        "Holds 0.5 BTC (BTC/USDT), UNPROTECTED: stops are held",
    )


def test_a_backstop_beside_live_stops_is_called_one() -> None:
    view = replace(
        FakeDesk(SettableClock(START))._position("BTC/USDT"),
        protected_quantity=Decimal("0.5"),
        stops=((Decimal(58_000), Decimal("0.3")),),
        backstops=((Decimal(50_000), Decimal("0.2")),),
    )
    assert status.position_lines(view)[1:4] == [
        "🛡 protected, lowest at 50,000",
        "  0.3 at 58,000",
        "  0.2 at 50,000, backstop",
    ]
    seen = replace(FakeDesk(SettableClock(START)).status(), positions=(view,))
    assert _assert_fits(status.status_card(seen))[0] == "🟢 Protected: 1 of 1 position"


async def test_crumbs_beside_what_is_managed_are_not_worth_a_line() -> None:
    desk = await _busy_desk()
    desk.unmanaged["BTC/USDT"] = Decimal("0.0000002")
    assert "never sold" not in status.positions_card(desk.positions()).text
    desk.unmanaged["BTC/USDT"] = Decimal("0.1")
    text = " ".join(status.positions_card(desk.positions()).text.split())
    assert "0.1 more is not managed: never sold" in text
