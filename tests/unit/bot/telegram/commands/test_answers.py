"""What is answered to a wrong line: what was wrong with it, and the very line to send instead."""

import asyncio
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.bot.telegram.commands.talk import (
    OWNER,
    TRADER,
    VIEWER,
    Easel,
    Talk,
    crashed,
)
from tests.unit.bot.telegram.commands.test_pictures import recorded
from tests.unit.bot.telegram.commands.test_scanning import report_of
from trading.desk import Proposal
from trading.domain.commands import Command
from trading.domain.errors import AuthLost, Unreachable
from trading.domain.events import ConfirmationAsked, PersonChanged


@pytest.fixture
async def talk() -> Talk:
    talk = Talk()
    await talk.ask("/watch BTC/USDT ETH/USDT 15m 1h")
    return talk


SAID: dict[str, tuple[tuple[str, str, str], ...]] = {
    # What was typed, what is said of it, what to send instead.
    "watch": (
        ("BTC/USDT 60", "'60' is neither a symbol nor a candle", "BTC/USDT threshold 60"),
        ("BTC/USDT 600", "follows the word threshold", "BTC/USDT threshold 60"),
        ("BTC/USDT auto", "'auto' is neither", "BTC/USDT threshold auto"),
        ("BTC/USDT treshold 60", "'treshold' is not understood", "BTC/USDT threshold 60"),
        ("BTC/USDT 15m from", "or auto, was nothing", "BTC/USDT 15m from 60"),
        ("BTC/USDT threshold 60%", "was '60%'", "BTC/USDT threshold 60"),
        ("BTC/USDT threshold off", "no threshold is off", "/alerts rises off"),
        ("BTC/USDT 4 h", "one word such as 4h, was '4 h'", "BTC/USDT 4h"),
        ("BTC/USDT,ETH/USDT 1h", "separated by spaces", "BTC/USDT ETH/USDT 1h"),
        ("15m 4h", "the symbol is missing", "BTC/USDT 15m 4h"),
        ("0", "between 1 and 1000, was '0'", "/watch 1"),
    ),
    "monitoring": (
        ("BTC/USDT", "the number of a page or nothing, was 'BTC/USDT'", "/monitoring"),
        ("0", "the page should be between 1 and 1000, was '0'", "/monitoring 1"),
        ("9" * 30, "the page should be between 1 and 1000", "/monitoring 1"),
    ),
    "drop": (
        ("eth", "'eth' is not on your list", "/drop ETH/USDT"),
        ("BTC/USDT 4h", "not watched, BTC/USDT is over 15m 1h", "/drop BTC/USDT"),
        ("BTC/USDT ADA/USDC", "'ADA/USDC' is not on your list", "/drop BTC/USDT ETH/USDT"),
        ("BTC/USDT database", "no candles of BTC/USDT are kept here", "/data"),
        ("everything", "'everything' is not understood", "/drop all"),
        ("BTC/USDT all", "all stands alone", "/drop all"),
        ("BTC/USDT threshold 60", "not dropped but changed", "/threshold 60"),
    ),
    "scan": (
        ("BTC/USDT 60", "neither a symbol nor a candle length", "/scan BTC/USDT"),
        ("picture BTC/USDT 1h", "picture comes last", "/scan BTC/USDT 1h picture"),
        ("ETH/USDT threshold 60", "for /watch and /threshold", "/scan ETH/USDT"),
    ),
    "rank": (
        ("BTC/USDT hist", "history or picture follows", "/rank BTC/USDT history"),
        ("BTC/USDT yesterday", "was 'yesterday'", "/rank BTC/USDT 1h"),
        ("4h BTC/USDT", "the symbol comes first", "/rank BTC/USDT 4h"),
        ("picture", "the symbol is missing", "/rank BTC/USDT picture"),
        ("BTC/USDT picture 30", "back from 1h to 400d, was '30'", "/rank BTC/USDT picture 30d"),
    ),
    "post": (("xml", "csv or json, was 'xml'", "/post csv"),),
    "threshold": (
        ("60 BTC/USDT", "the threshold comes last", "/threshold BTC/USDT 60"),
        ("BTC/USDT 60 70", "one threshold can be said at a time", "/threshold BTC/USDT 70"),
        ("60%", "was '60%'", "/threshold 60"),
        ("aut", "was 'aut'", "/threshold auto"),
        ("ETH/USDT -5", "was '-5'", "/threshold ETH/USDT 70"),
        ("BTC/USTD", "'BTC/USTD' is not on your list", "/threshold BTC/USDT"),
        ("off", "no threshold is off", "/alerts rises off"),
        ("undo", "no change of thresholds to undo", "/threshold"),
    ),
    "chart": (
        ("1h", "the symbol is missing", "/chart BTC/USDT 1h"),
        ("1h ETH/USDT", "the symbol comes first", "/chart ETH/USDT 1h"),
        ("BTC/USDT 1h 4h", "not understood: '4h'", "/chart BTC/USDT 1h"),
    ),
    "summary": (("7d", "of the last 24 hours and takes no words, was '7d'", "/summary"),),
    "digest": (
        ("daily", "like 09:00, was nothing", "/digest daily 09:00"),
        ("daily 7", "like 09:00, was '7'", "/digest daily 07:00"),
        ("daily 9pm", "was '9pm'", "/digest daily 21:00"),
        ("daily 25:00", "was '25:00'", "/digest daily 09:00"),
        ("daily 09:00 berlin", "was 'berlin'", "/digest daily 09:00 Europe/Berlin"),
        ("daily 09:00 europe/berlin", "time zone", "/digest daily 09:00 Europe/Berlin"),
        ("daily 09:00 UTC now", "not understood: 'now'", "/digest daily 09:00"),
        ("08:30", "daily 09:00 or every 4h", "/digest daily 08:30"),
        ("12h", "daily 09:00 or every 4h", "/digest every 12h"),
        ("weekly", "daily 09:00 or every 4h", "/digest every 7d"),
        ("evry 4h", "was 'evry 4h'", "/digest every 4h"),
        ("every 6", "every 15m to 7d, or off, was '6'", "/digest every 6h"),
        ("every day", "was 'day'", "/digest every 1d"),
        ("every 5m", "was '5m'", "/digest every 4h"),
        ("bogus", "was 'bogus'", "/digest daily 09:00"),
    ),
    "mute": (
        ("4", "was '4'", "/mute 4h"),
        ("5 min", "was '5 min'", "/mute 5m"),
        ("4hours", "was '4hours'", "/mute 4h"),
        ("31d", "at most 30d, or off, was '31d'", "/mute 4h"),
        ("of", "was 'of'", "/mute off"),
        ("until 18:00", "was 'until 18:00'", "/mute 4h"),
        ("Bob 4h", "named by number, was 'Bob'", "/mute 8 4h"),
        ("8 forever", "was 'forever'", "/mute 8 4h"),
        ("99 30m", "nobody here has the number 99", "/mute 8 30m"),
    ),
    "quiet": (
        ("22:00 07:00", "was '22:00 07:00'", "/quiet 22:00-07:00"),
        ("22:30 – 6:45", "was '22:30 – 6:45'", "/quiet 22:30-06:45"),
        ("10pm-7am", "was '10pm-7am'", "/quiet 22:00-07:00"),
        ("22:00 to 07:00", "was '22:00 to 07:00'", "/quiet 22:00-07:00"),
        ("22:00", "was '22:00'", "/quiet 23:00-07:00"),
        ("22:00-22:00", "end at another time than they begin", "/quiet 23:00-07:00"),
        ("25:00-07:00", "was '25:00-07:00'", "/quiet 23:00-07:00"),
        ("٢٢:٠٠-٠٧:٠٠", "quiet hours should be like", "/quiet 23:00-07:00"),
        ("13pm-7am", "was '13pm-7am'", "/quiet 23:00-07:00"),
        ("of", "was 'of'", "/quiet off"),
        ("22:00-07:00 berlin", "was 'berlin'", "/quiet 22:00-07:00 Europe/Berlin"),
    ),
    "alerts": (
        ("rise off", "was 'rise'", "/alerts rises off"),
        ("sound 5", "was 'sound'", "/alerts sounds 5"),
        ("5", "was '5'", "/alerts sounds 5"),
        ("off", "was 'off'", "/alerts rises off"),
        ("all silent", "was 'all'", "/alerts rises silent"),
        ("fills quiet", "was 'quiet'", "/alerts fills silent"),
        ("fills", "on, silent or off, now on", "/alerts fills silent"),
        ("pinned", "on or off, was nothing", "/alerts pinned on"),
        ("crashes off now", "not understood: 'now'", "/alerts crashes off"),
    ),
    "users": (
        ("bob", "named by number, was 'bob'", "/users 8"),
        ("99", "nobody here has the number 99", "/users 8"),
    ),
    "invite": (
        ("owner", "there is one owner", "/invite trader"),
        ("admin", "as viewer or trader, was 'admin'", "/invite viewer"),
        ("trader now", "not understood: 'now'", "/invite trader"),
    ),
    "join": (("abcde-fghij-klmno", "you are in already, as owner", "/help"),),
    "role": (
        ("9 admin", "viewer or none, was 'admin'", "/role 9 viewer"),
        ("8 trade", "was 'trade'", "/role 8 trader"),
        ("8 owner", "there is one owner", "/users"),
        ("8 viewer", "Bob (8) is viewer already", "/users 8"),
        ("trader 8", "the number comes first", "/role 8 trader"),
        ("Cy viewer", "named by number, was 'Cy'", "/role 9 viewer"),
        ("8 none now", "not understood: 'now'", "/role 8 none"),
        ("nobody", "was 'nobody'", "/role 9 viewer"),
    ),
    "revoke": (
        ("8 9", "one by one, was '8 9'", "/revoke 8"),
        ("@cy", "named by number, was '@cy'", "/revoke 9"),
    ),
    "data": (
        ("BTC/USDT", "the number of a page or nothing, was 'BTC/USDT'", "/data"),
        ("download BTC/USDT", "on the machine: umbra data download", "/data"),
        ("-1", "was '-1'", "/data"),
    ),
}
ROWS = [(f"/{name} {row[0]}", *row[1:]) for name, rows in SAID.items() for row in rows]


@pytest.mark.parametrize(("line", "said", "instead"), ROWS)
async def test_a_wrong_line_is_answered_with_the_one_to_send(
    talk: Talk, line: str, said: str, instead: str
) -> None:
    talk.clock.time = talk.clock.time.replace(second=0)
    before = talk.store.of(PersonChanged)
    command = line.partition(" ")[0]
    whole = instead if instead.startswith("/") else f"{command} {instead}"
    answer = await talk.ask(line)
    assert said.lower() in answer.text.lower()
    assert answer.text.endswith(f"Try: {whole}")
    assert talk.store.of(PersonChanged) == before


def test_every_command_of_the_scanner_and_of_people_has_its_rows() -> None:
    named = "watch monitoring drop scan rank post threshold chart summary digest mute quiet alerts"
    assert set(SAID) == {*named.split(), "users", "invite", "join", "role", "revoke", "data"}


@pytest.mark.parametrize("error", [AuthLost("key refused"), Unreachable("no answer")])
async def test_a_wrong_line_is_explained_while_the_exchange_answers_nothing(
    talk: Talk, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    async def propose(command: Command, by: int) -> Proposal:
        raise error

    monkeypatch.setattr(talk.desk, "propose", propose)
    answer = await talk.ask("/track BTC/USDT stop x all")
    assert "Stop should be a plain number" in answer.text
    assert answer.text.endswith("Try: /track BTC/USDT stop 58000 all")


NONSENSE = ["0", "-1", "1.5", "1e3", "NaN", "9" * 30, "٦", "🎉", "ВТС/USDT", "<b>x</b>", "x" * 300]


@pytest.mark.parametrize("name", SAID)
@pytest.mark.parametrize("word", NONSENSE)
async def test_nonsense_is_refused_in_a_sentence_with_a_line_that_works(
    talk: Talk, name: str, word: str
) -> None:
    before = talk.store.of(PersonChanged)
    answer = await talk.ask(f"/{name} {word}")
    assert answer.title.startswith("✋"), answer.text
    assert "Try: /" in answer.text
    assert talk.store.of(PersonChanged) == before
    assert talk.store.of(ConfirmationAsked) == []


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("/wacth BTC/USDT 1h", "/watch BTC/USDT 1h"),
        ("/scann", "/scan"),
        ("/tresholds", "/threshold"),
        ("/Sumary", "/summary"),
    ],
)
async def test_a_command_that_is_misspelled_comes_with_the_one_that_was_meant(
    talk: Talk, line: str, meant: str
) -> None:
    answer = await talk.ask(line)
    assert "there is no command" in answer.text.lower()
    assert meant in answer.text
    assert answer.buttons[meant.split(maxsplit=1)[0]] == f"+{meant}"


async def test_nobody_is_led_to_a_command_that_is_not_for_them(talk: Talk) -> None:
    assert "/revoke" in (await talk.ask("/revok")).text
    assert "/revoke" not in (await talk.ask("/revok", VIEWER)).text.replace("/revok Try", "")


@pytest.mark.parametrize(("line", "said", "instead"), ROWS)
async def test_what_is_shown_to_send_instead_works(
    line: str, said: str, instead: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    talk = await ready(tmp_path_factory)
    command = line.partition(" ")[0]
    answer = await talk.ask(instead if instead.startswith("/") else f"{command} {instead}")
    assert not answer.title.startswith(("✋", "⏳", "💥")), (line, said, answer.text)


async def ready(folders: pytest.TempPathFactory) -> Talk:
    """A chat whose scanner has scored, judged and recorded."""
    talk = Talk()
    talk.services.data_dir = folders.mktemp("data")
    talk.services.charts = Easel()
    talk.scanner.scores["BTC/USDT"] = crashed(talk)
    talk.scanner.reports["BTC/USDT"] = report_of(5)
    talk.scanner.lines["BTC/USDT"] = recorded(talk, [60_000], [0.2])
    await talk.ask("/watch BTC/USDT ETH/USDT 15m 1h")
    return talk


_WORDS = """
    BTC/USDT eth-usdt btc XYZ BTC/USDT, 1h 7m 1M 4 60 0 -1 1e3 auto off on all undo threshold from
    picture history 30d 9999d csv json daily every 09:00 9pm 4h 22:00-07:00 22:00 Europe/Berlin
    berlin 8 9 7 99 viewer trader owner none Bob @cy withdraw silent rises sounds pinned critical
    ٦ 🎉 <b> ² // = +/users 1_0
""".split()  # noqa: SIM905 - as somebody would type them


@given(
    name=st.sampled_from(sorted(SAID)),
    words=st.lists(st.sampled_from([*_WORDS, "x" * 120, "9" * 40]), max_size=4),
    by=st.sampled_from((OWNER, VIEWER, TRADER)),
)
@settings(max_examples=100, deadline=None)
def test_no_words_make_a_command_fail_inside(name: str, words: list[str], by: int) -> None:
    async def story() -> None:
        with tempfile.TemporaryDirectory() as folder:
            talk = Talk()
            talk.services.data_dir, talk.services.charts = Path(folder), Easel()
            talk.scanner.scores["BTC/USDT"] = crashed(talk)
            await talk.ask("/watch BTC/USDT ETH/USDT 15m 1h", by)
            answer = await talk.ask(" ".join((f"/{name}", *words)), by)
            assert answer.messages
            assert not answer.title.startswith("💥")
            assert not answer.title.startswith("✋") or "Try:" in answer.text

    asyncio.run(story())


# ---------------------------------------------------------------- buttons


@pytest.mark.parametrize(
    ("command", "labels"),
    [
        ("/watch", {"✖️ BTC/USDT", "🔎 Scan now"}),
        ("/monitoring", {"👁 My list"}),
        ("/drop", {"✖️ BTC/USDT"}),
        ("/scan", {"📊 BTC/USDT", "🗺 Heat map"}),
        ("/rank", {"📊 BTC/USDT", "📊 ETH/USDT"}),
        ("/rank BTC/USDT", {"📈 Chart", "📜 Its past"}),
        ("/post", {"🗂 As JSON", "🔎 Scan now"}),
        ("/threshold", {"60", "auto"}),
        ("/threshold BTC/USDT", {"60", "auto"}),
        ("/chart", {"BTC/USDT", "ETH/USDT"}),
        ("/summary", {"📜 History", "🗞 Digest"}),
        ("/digest", {"Daily 07:00", "Daily off", "Every 4h", "Reports off"}),
        ("/mute", {"🔕 4h", "🔕 1d"}),
        ("/quiet", {"22:00-07:00", "🔔 Off"}),
        ("/alerts", {"🔔 Rises", "📌 Pinned card", "6/h"}),
        ("/users", {"👤 Bob", "🎟 Invite"}),
        ("/invite", {"👁 A viewer", "🎚 A trader"}),
        ("/role", {"🎚 Bob (8)", "🎟 Invite"}),
        ("/role 8", {"🎚 Make trader", "🚪 Revoke"}),
        ("/revoke", {"🚪 Bob (8)"}),
    ],
)
async def test_each_command_can_be_tapped_as_well_as_typed(
    talk: Talk, command: str, labels: set[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    talk.services.data_dir = tmp_path_factory.mktemp("data")
    talk.services.charts = Easel()
    talk.scanner.scores["BTC/USDT"] = crashed(talk)
    answer = await talk.ask(command)
    shown = {label.removeprefix("• ") for label in answer.buttons}
    assert labels <= shown
    for data in answer.buttons.values():
        assert not (await talk.press(data)).title.startswith("✋ This")


@pytest.mark.parametrize(("line", "seen"), [("/trackers", "trackers"), ("/positions", "positions")])
async def test_where_nothing_is_watched_a_viewer_is_not_told_to_start(
    talk: Talk, monkeypatch: pytest.MonkeyPatch, line: str, seen: str
) -> None:
    monkeypatch.setattr(talk.services.desk, seen, list)
    assert "/track" in (await talk.ask(line, TRADER)).text
    answer = await talk.ask(line, VIEWER)
    assert answer.title.endswith(("No tracker is watching", "No managed position"))
    assert "/track" not in answer.text
    assert not answer.buttons
