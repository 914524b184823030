"""What stands under a chart, so that the picture is optional."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from bot.telegram.outbox import strip_markup
from bot.telegram.render import reports
from tests.fakes.desk import INSTRUMENTS, START, FakeDesk
from tests.fakes.memory_store import SettableClock
from trading.domain.order import Fill, Side
from trading.domain.time import Timeframe


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
