"""Bad input, command by command: the value and the rule are named, and nothing changes."""

import pytest

from tests.catalogue import fired
from tests.e2e.world import World

pytestmark = pytest.mark.e2e

# What is typed, and what the answer must hold (any case, line breaks aside).
NONSENSE = [
    ("/track BTC/USDT trail 250% all", "trail should be between 0.01% and 50%, was 250%"),
    ("/track BTC/USDT stop -1 all", "-1"),
    ("/track BTC/USDT stop 1e9 all", "1e9"),
    ("/track BTC/USDT stop NaN all", "nan"),
    ("/track BTC/USDT stop ٥٨٠٠٠ all", "٥٨٠٠٠"),
    ("/track BTC/USDT stop 58000 150%", "150%"),
    ("/track BTC/USDT stop 58000 7", "0.5"),
    ("/track BTC/USDT stop 70000 all", "60"),
    ("/track BTC/USDT buy stop 50000 100 USDT", "60"),
    ("/track BTC/USDT buy below 55000 trail 1% 900000 USDT", "900000"),
    ("/track BTC/USDT", "which rule"),
    ("/track BTCUSD stop 58000 all", "BTCUSD"),
    ("/track BTC/USTD stop 58000 all", "BTC/USDT"),
    ("/track ВТС/USDT stop 58000 all", "ВТС"),  # Cyrillic letters that look like BTC
    ("/track BTC/USDT stop 58000 all confirm 0 ticks", "between 1 and 1000, was 0"),
    ("/track BTC/USDT lines 2026-13-01T00:00 1 2 3 / 4 5 6 7 trail 1% all", "2026-13-01T00:00"),
    ("/track BTC/USDT stop 58000 all frobnicate", "frobnicate"),
    ("/tracker 999", "#999"),
    ("/buy BTC/USDT 1 USDT", "5"),
    ("/buy BTC/USDT 999999999 USDT", "999999999"),
    ("/buy BTC/USDT 30000 USDT", "30000 USDT is more than"),
    ("/sell BTC/USDT 0x10", "0x10"),
    ("/sell BTC/USDT 4 USDT", "/sell BTC/USDT 10 USDT"),
    ("/track BTC/USDT stop 50000 0.1 ETH", "/track BTC/USDT stop 50000 10 USDT"),
    ("/track BTC/USDT stop 50000 0.000000001", "0.000000001 BTC, worth 0.00006 USDT"),
    ("/sell DOGE/USDT all", "DOGE"),
    ("/close", "no managed position"),
    ("/closeall", "nothing is managed"),
    ("/chart BTC/USDT 7q", "7q"),
    ("/digest daily 25:99", "25:99"),
    ("/digest every 1m", "every 15m to 7d, or off, was '1m'"),
    ("/abort 5", "#5"),
    ("/watch BTC/USTD 1h", "BTC/USDT"),
    ("/watch ВТС/USDT", "ВТС"),  # Cyrillic again
    ("/watch BTC", "Which pair of BTC"),
    ("/watch BTC/USDT 7m", "was '7m'"),
    ("/watch BTC/USDT threshold 101", "between 1 and 100, or auto, was '101'"),
    ("/drop BTC/USDT", "watch nothing"),
    ("/threshold 0", "watch nothing"),
    ("/alerts critical off", "always ring"),
    ("/alerts sounds 61", "between 0 and 60"),
    ("/monitoring 0", "between 1 and"),
    ("/scan", "watch nothing"),
    ("/rank BTC/USDT yesterday", "'yesterday'"),
    ("/post xml", "'xml'"),
    ("/data all", "'all'"),
    ("/users 5", "number 5"),
    ("/revoke 5", "number 5"),
    ("/mute 5 4h", "number 5"),
    ("/invite king", "'king'"),
    ("/join abcde-fghij-klmno", "in already"),
    ("/export everything.exe", "exe"),
    ("/frobnicate", "/help"),
    ("what is this?", "/help"),
]


@pytest.mark.fault("I01", "SAID")
@pytest.mark.fault("I02", "SAID")
@pytest.mark.fault("I03")
@pytest.mark.fault("I07", "SAID")
async def test_nonsense_is_answered_with_the_value_and_the_rule(world: World) -> None:
    wrong, refused = [], 0
    for text, expected in NONSENSE:
        answer = await world.ask(text)
        said = " ".join(answer["text"].split())
        refused += expected.lower() in said.lower()
        if expected.lower() not in said.lower() or "Confirm" in str(answer["buttons"]):
            wrong.append(f"{text!r} should tell {expected!r}: {said!r} {answer['buttons']}")
    assert not wrong, "\n".join(wrong)
    fired(refused)
    assert await world.orders() == []
    assert "No tracker" in (await world.answer("/trackers", "(?i)track"))["text"]
    assert "No open position" in (await world.answer("/status", "Equity"))["text"]


@pytest.mark.fault("T12", "NOACT SAID")
async def test_strangers_get_silence_and_the_owner_one_notice(world: World) -> None:
    stranger = 666
    for text in ("/start", "/status", "/panic", "hello", "/join nonsense"):
        await world.say(text, user_id=stranger)
    notice = await world.until_message("stranger")
    assert str(stranger) in notice["text"]
    # The owner's answer comes after all of the stranger's updates were handled.
    await world.answer("/status", "Equity")
    heard = await world.messages(chat_id=stranger)
    assert {message["from"] for message in heard} == {"user"}
    assert await world.count("(?i)stranger") == 1
    fired(len(heard), words=notice["text"])
