"""The help can be believed: what it shows can be sent as it is."""

import re

import pytest

from bot.telegram.commands.people import FORMS, THEMES
from bot.telegram.commands.registry import BY_NAME, COMMANDS, MENU
from tests.unit.bot.telegram.commands.talk import Easel, Talk, crashed
from tests.unit.bot.telegram.commands.test_pictures import recorded
from tests.unit.bot.telegram.commands.test_scanning import report_of
from trading.domain.chat import Person, Role

SCORING = ("watch", "drop", "threshold", "scan", "rank", "post", "monitoring", "alerts", "data")
PEOPLE = ("digest", "quiet", "mute", "users", "invite", "role", "revoke")
LINES = [
    line
    for name in (*SCORING, *PEOPLE)
    for line in dict.fromkeys((BY_NAME[name].example, *FORMS.get(name, ())))
]


@pytest.mark.parametrize("line", LINES)
async def test_every_form_in_the_help_works(
    line: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    talk = Talk()
    talk.services.data_dir = tmp_path_factory.mktemp("data")
    talk.roster.put(Person(123456789, 123456789, "Dee", Role.TRADER))
    talk.scanner.scores["BTC/USDT"] = crashed(talk)
    talk.scanner.reports["BTC/USDT"] = report_of(5)
    talk.scanner.lines["BTC/USDT"] = recorded(talk, [60_000], [0.2])
    talk.services.charts = Easel()
    await talk.ask("/watch BTC/USDT ETH/USDT 15m 1h")
    if line == "/invite withdraw":
        await talk.ask("/invite viewer")
    answer = await talk.ask(line)
    assert not answer.title.startswith(("✋", "⏳", "💥")), answer.text


async def test_the_help_of_a_command_shows_its_forms() -> None:
    talk = Talk()
    for name in (*SCORING, *PEOPLE):
        shown = (await talk.ask(f"/help {name}")).text
        assert all(line in shown for line in (BY_NAME[name].example, *FORMS.get(name, ())))


def test_every_command_belongs_to_one_theme_that_is_no_command() -> None:
    named = [name for names in THEMES.values() for name in names]
    assert sorted(named) == sorted(BY_NAME)
    assert not set(THEMES) & set(BY_NAME)


async def test_the_help_is_read_theme_by_theme_with_a_tap() -> None:
    talk = Talk()
    whole = await talk.ask("/help")
    assert "— MARKET —" in whole.text
    market = await talk.press(whole.buttons["Market"])
    assert "/watch BTC/USDT 1h 4h" in market.text
    assert "/users" not in market.text
    viewer = await talk.ask("/help", 8)
    assert "Trading" not in viewer.buttons
    assert "— TRADING —" not in viewer.text
    assert "/help watch" in (await talk.ask("/help wacth")).text


async def test_the_help_of_each_role_names_what_it_may_use_and_nothing_else() -> None:
    talk = Talk()
    for user_id, hidden in ((7, set[str]()), (8, {"/invite", "/revoke", "/panic", "/data"})):
        shown = (await talk.ask("/help", user_id)).text
        assert "more lines" not in shown
        for name in ("/watch", "/scan", "/alerts"):
            assert name in shown
        assert not any(name in shown for name in hidden)


async def test_who_may_only_look_is_not_shown_at_the_start_how_to_act() -> None:
    talk = Talk()
    assert "🎯 Track" in (await talk.ask("/start", 9)).buttons
    viewer = await talk.ask("/start", 8)
    assert "🎯 Track" not in viewer.buttons
    assert "/watch BTC/USDT" in viewer.text


async def test_no_help_shows_somebody_what_would_be_refused() -> None:
    talk = Talk()
    assert "/tracker 3 stop 59000" in (await talk.ask("/help tracker", 9)).text
    viewer = await talk.ask("/help tracker", 8)
    # Looking is all that is left of it.
    assert re.findall(r"/tracker 3 (\w+)", viewer.text) == ["why", "chart"]
    assert "/tracker 3 stop" not in (await talk.ask("/help", 8)).text
    assert "/panic is not for a viewer" in (await talk.ask("/help panic", 8)).text


def test_what_is_watched_stands_in_the_menu() -> None:
    names = {entry.name for entry in MENU}
    assert {"watch", "scan"} <= names
    assert len(MENU) <= 16
    assert len({entry.about for entry in COMMANDS}) == len(COMMANDS)
