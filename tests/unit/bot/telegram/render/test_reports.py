"""What stands under a chart, so that the picture is optional."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from bot.charts.drawing import level_marks
from bot.telegram import grammar
from bot.telegram.outbox import strip_markup
from bot.telegram.render import reports
from tests.fakes.desk import INSTRUMENTS, START, FakeDesk
from tests.fakes.memory_store import SettableClock
from trading.domain import events
from trading.domain.order import Fill, Intent, IntentState, Purpose, Side
from trading.domain.time import Timeframe


async def test_a_caption_names_the_hard_stop_of_a_take_profit() -> None:
    desk = FakeDesk(SettableClock(START))
    said = "/track BTC/USDT sell above 61000 trail 1% 0.1 stop 58000"
    await desk.execute(grammar.parse(said, INSTRUMENTS.__getitem__), 7, "1")
    chart = await desk.chart("BTC/USDT", Timeframe("1h"), 40)
    [tracker] = chart.trackers
    chart = replace(chart, trackers=[replace(tracker, hard_stop_price=Decimal(58000))])
    caption = " ".join(strip_markup(reports.chart_caption(chart, INSTRUMENTS["BTC/USDT"])).split())
    assert "hard stop at 58,000.00" in caption


async def test_a_caption_says_where_the_picture_leaves_levels_out() -> None:
    desk = FakeDesk(SettableClock(START))
    said = "/track BTC/USDT stop 58000 0.1"
    await desk.execute(grammar.parse(said, INSTRUMENTS.__getitem__), 7, "1")
    chart = await desk.chart("BTC/USDT", Timeframe("1h"), 40)
    [tracker] = chart.trackers
    marks = len(level_marks(tracker, chart))
    for count in (12 // marks, 12 // marks + 1):
        several = [replace(tracker, tracker_id=number) for number in range(1, count + 1)]
        told = reports.chart_caption(
            replace(chart, trackers=several), INSTRUMENTS["BTC/USDT"]
        ).split()
        is_more = count * marks > 12
        assert ("Drawn: the 12 levels nearest to the price" in " ".join(told)) is is_more


async def test_a_caption_counts_the_fills_and_names_the_last() -> None:
    desk = FakeDesk(SettableClock(START))
    chart = await desk.chart("BTC/USDT", Timeframe("1h"), 40)
    bought = Fill(
        "BTC/USDT", "1", "c", Side.BUY, Decimal("0.2"), Decimal(58000), Decimal(0), "", START
    )
    later = START + timedelta(minutes=5)
    sold = replace(bought, side=Side.SELL, quantity=Decimal("0.1"), price=Decimal(61000), at=later)
    caption = reports.chart_caption(replace(chart, fills=(sold, bought)), INSTRUMENTS["BTC/USDT"])
    assert "2 fills, the last sold 0.1 at 61,000.00" in " ".join(strip_markup(caption).split())
    none = reports.chart_caption(replace(chart, fills=()), INSTRUMENTS["BTC/USDT"])
    assert "fill" not in none


async def test_a_caption_has_the_number_of_every_level_that_the_picture_shows() -> None:
    desk = FakeDesk(SettableClock(START))
    points = "2026-11-01T00:00 50000 2026-11-18T00:00 51000"
    lines = f"/track BTC/USDT lines {points} / {points.replace(' 5', ' 7')} trail 1.5% 0.1"
    for number, line in enumerate((lines, "/track BTC/USDT stop 58000 0.1")):
        await desk.execute(grammar.parse(line, INSTRUMENTS.__getitem__), 7, str(number))
    chart = await desk.chart("BTC/USDT", Timeframe("1h"), 40)
    of_lines, stop = chart.trackers
    trailing = replace(stop, record_price=Decimal(61234), hard_stop_price=Decimal(50000))
    chart = replace(chart, trackers=(of_lines, trailing), now=START)
    caption = reports.chart_caption(chart, INSTRUMENTS["BTC/USDT"])
    text = " ".join(strip_markup(caption).split())
    # A thousand in the 17 days between the points of each line, the last of them days ago.
    assert "#1 lines trail 1.5% record 60,000.00, support 51,147.06, resistance 71,147.06" in text
    assert "at 58,000.00 hard stop 50,000.00, record 61,234.00" in text


async def test_a_chart_of_a_halt_says_that_its_stops_are_held_and_what_is_left() -> None:
    desk = FakeDesk(SettableClock(START))
    line = "/track BTC/USDT stop 58000 0.1"
    await desk.execute(grammar.parse(line, INSTRUMENTS.__getitem__), 7, "1")
    chart = await desk.chart("BTC/USDT", Timeframe("1h"), 40)
    held = replace(chart, are_stops_held=True, backstops={1: Decimal(50_000)}, now=START)
    caption = strip_markup(reports.chart_caption(held, INSTRUMENTS["BTC/USDT"]))
    assert "⚠️ UNPROTECTED: stops are held" in caption
    text = " ".join(caption.split())
    assert "#1 HELD: stop 58000 at 58,000.00 only backstop 50,000.00 sells" in text
    [mark] = level_marks(held.trackers[0], held)
    assert (mark.label, mark.is_dashed) == ("#1 stop held", True)
    blind = replace(held, are_stops_held=False, is_blind=True)
    text = " ".join(strip_markup(reports.chart_caption(blind, INSTRUMENTS["BTC/USDT"])).split())
    assert "⚠️ CANNOT SELL NOW" in text
    assert "#1 BLIND: stop 58000 at 58,000.00 only backstop 50,000.00 sells" in text
    assert [mark.label for mark in level_marks(blind.trackers[0], blind)] == ["#1 stop blind"]
    live = strip_markup(reports.chart_caption(chart, INSTRUMENTS["BTC/USDT"]))
    assert "backstop" not in live
    assert "HELD" not in live


async def test_a_paused_stop_is_called_so_in_the_caption_and_drawn_as_none_that_acts() -> None:
    desk = FakeDesk(SettableClock(START))
    line = "/track BTC/USDT stop 58000 0.1"
    await desk.execute(grammar.parse(line, INSTRUMENTS.__getitem__), 7, "1")
    chart = await desk.chart("BTC/USDT", Timeframe("1h"), 40)
    paused = replace(chart.trackers[0], is_paused=True, hard_stop_price=Decimal(50000))
    chart = replace(chart, trackers=(paused,), now=START)
    text = " ".join(strip_markup(reports.chart_caption(chart, INSTRUMENTS["BTC/USDT"])).split())
    assert "#1 PAUSED: stop 58000 at 58,000.00 hard stop 50,000.00" in text
    live = level_marks(replace(paused, is_paused=False), chart)
    marks = level_marks(paused, chart)
    assert [mark.label for mark in marks] == ["#1 stop paused", "#1 hard paused"]
    assert all(mark.is_dashed for mark in marks)
    assert {mark.meaning for mark in marks}.isdisjoint(mark.meaning for mark in live)


def test_the_audit_calls_a_backstop_no_sale_that_begins() -> None:
    resting = Intent(
        "u:backstop:2", "ETH/USDT", Side.SELL, Purpose.BACKSTOP, Decimal(2700), START, Decimal(2)
    )
    off = replace(resting, state=IntentState.ABORTED)
    sold = replace(resting, state=IntentState.DONE, filled_quantity=Decimal(2))
    told = [
        reports.audit_words(event, {})
        for event in (
            events.IntentOpened(resting, START),
            events.IntentClosed(off, START),
            events.IntentClosed(sold, START),
        )
    ]
    assert told == [
        "backstop ETH/USDT is placed",
        "backstop ETH/USDT: taken off",
        "backstop ETH/USDT: has sold",
    ]
