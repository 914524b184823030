"""The help names what can be typed, a form to copy for each."""

from bot.telegram.commands.people import TRACKER_FORMS, command_help_card
from bot.telegram.commands.registry import BY_NAME


def test_the_help_of_a_tracker_shows_every_change_of_a_live_one() -> None:
    text = command_help_card(BY_NAME["tracker"]).text
    assert all(f"<code>{form}</code>" in text for form in TRACKER_FORMS)
    for words in ("then once", "then cooldown", "then swing", "stop off", "backstop off", "price"):
        assert f"/tracker 3 {words}" in text
