"""/drop SYMBOL [1h] database: asked with what goes, the owner's alone, never under a watcher."""

from collections.abc import Sequence

import pytest

from bot.telegram.holdings import Removable
from tests.unit.bot.telegram.commands.talk import OWNER, VIEWER, Talk
from trading.domain.errors import NotInTime, Refused

BTC = "BTC/USDT"
MINUTES = Removable("binance", BTC, "1m", 525_600)
HOURS = Removable("binance", BTC, "1h", 8_760)


class Shelf:
    """Candles that can be taken out."""

    def __init__(self, *series: Removable) -> None:
        self.series = list(series)
        self.is_stuck = False

    async def found(self, symbol: str, timeframes: Sequence[str] = ()) -> Sequence[Removable]:
        found = [one for one in self.series if one.symbol == symbol.upper()]
        if not found:
            raise Refused(f"the archive holds no {symbol}")
        return [one for one in found if not timeframes or one.timeframe in timeframes]

    async def remove(self, series: Sequence[Removable]) -> None:
        if self.is_stuck:
            raise NotInTime("the archive is being written by pid 1")
        self.series = [one for one in self.series if one not in series]


@pytest.fixture
def talk() -> Talk:
    talk = Talk()
    talk.services.remover = Shelf(MINUTES, HOURS)
    return talk


def left(talk: Talk) -> list[Removable]:
    assert isinstance(talk.services.remover, Shelf)
    return talk.services.remover.series


async def test_candles_are_deleted_after_a_question_that_counts_them(talk: Talk) -> None:
    asked = await talk.ask(f"/drop {BTC} database")
    assert asked.title == "🗑 Delete the history of BTC/USDT?"
    assert "1m: 525,600 candles • 1h: 8,760 candles" in asked.text
    assert "In all 534,360 candles of binance, for good." in asked.text
    assert left(talk) == [MINUTES, HOURS], "not before the tap"
    done = await talk.press(asked.buttons["Confirm"])
    assert done.title == "🗑 BTC/USDT: 534,360 candles"
    assert left(talk) == []
    again = await talk.press(asked.buttons["Confirm"])
    assert again.messages == ()


async def test_one_candle_length_can_be_deleted(talk: Talk) -> None:
    asked = await talk.ask(f"/drop {BTC} 1m database")
    assert "1h" not in asked.text
    await talk.press(asked.buttons["Confirm"])
    assert left(talk) == [HOURS]


async def test_the_audit_says_what_a_question_would_have_deleted(talk: Talk) -> None:
    await talk.press((await talk.ask(f"/drop {BTC} 1m database")).buttons["Cancel"])
    assert f"cancelled a question: /drop {BTC} 1m database" in (await talk.ask("/audit 60")).text


async def test_a_cancelled_question_deletes_nothing(talk: Talk) -> None:
    asked = await talk.ask(f"/drop {BTC} database")
    await talk.press(asked.buttons["Cancel"])
    assert left(talk) == [MINUTES, HOURS]


async def test_only_the_owner_deletes(talk: Talk) -> None:
    refused = await talk.ask(f"/drop {BTC} database", by=VIEWER)
    assert "Only the owner deletes candles" in refused.text
    asked = await talk.ask(f"/drop {BTC} database")
    await talk.press(asked.buttons["Confirm"], by=VIEWER)
    assert left(talk) == [MINUTES, HOURS]


@pytest.mark.parametrize(
    ("by", "said"), [(OWNER, "You watch BTC/USDT"), (VIEWER, "Bob (8) watches BTC/USDT")]
)
async def test_what_somebody_watches_is_not_deleted(by: int, said: str, talk: Talk) -> None:
    await talk.ask(f"/watch {BTC} 1h", by=by)
    refused = await talk.ask(f"/drop {BTC} database")
    assert said in refused.text
    other = await talk.ask(f"/drop {BTC} 1m database")
    assert "Confirm" in other.buttons, "minutes are watched by nobody"


async def test_what_somebody_began_to_watch_before_the_tap_is_not_deleted(talk: Talk) -> None:
    asked = await talk.ask(f"/drop {BTC} database")
    await talk.ask(f"/watch {BTC} 1h", by=VIEWER)
    refused = await talk.press(asked.buttons["Confirm"])
    assert "watches BTC/USDT" in refused.text
    assert left(talk) == [MINUTES, HOURS]


@pytest.mark.parametrize("words", ["database", f"{BTC} ETH/USDT database", "DOGE/USDT database"])
async def test_a_line_without_one_known_symbol_deletes_nothing(words: str, talk: Talk) -> None:
    refused = await talk.ask(f"/drop {words}")
    assert "Confirm" not in refused.buttons
    assert left(talk) == [MINUTES, HOURS]


async def test_an_archive_that_is_busy_is_told_and_nothing_is_deleted(talk: Talk) -> None:
    asked = await talk.ask(f"/drop {BTC} database")
    assert isinstance(talk.services.remover, Shelf)
    talk.services.remover.is_stuck = True
    told = await talk.press(asked.buttons["Confirm"])
    assert "Not now" in told.title
    talk.services.remover.is_stuck = False
    await talk.press(asked.buttons["Confirm"])
    assert left(talk) == [], "the question stands until it was answered"
