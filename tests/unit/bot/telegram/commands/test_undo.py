"""What was changed comes back with one tap, where anything can."""

import pytest

from bot.telegram import confirm
from tests.unit.bot.telegram.commands.talk import TRADER, VIEWER, Talk, interest
from trading.domain.chat import Role
from trading.domain.watching import AlertType, Loudness


@pytest.fixture
async def talk() -> Talk:
    talk = Talk()
    await talk.ask("/watch BTC/USDT ETH/USDT 15m 1h")
    return talk


async def test_thresholds_are_as_before_with_one_tap_and_a_second_goes_no_further(
    talk: Talk,
) -> None:
    await talk.ask("/threshold BTC/USDT auto")
    changed = await talk.ask("/threshold 80")
    assert {one.threshold for one in talk.person().wishes.interests} == {80}
    talk.restarted()
    await talk.press(changed.buttons["↩️ Undo"])
    assert [one.threshold for one in talk.person().wishes.interests] == [None, 50]
    again = await talk.press(changed.buttons["↩️ Undo"])
    assert "no change of thresholds to undo" in again.text
    assert [one.threshold for one in talk.person().wishes.interests] == [None, 50]


async def test_an_undo_of_thresholds_leaves_what_was_changed_since(talk: Talk) -> None:
    changed = await talk.ask("/threshold 80")
    await talk.ask("/watch ETH/USDT threshold 30")
    await talk.press(changed.buttons["↩️ Undo"])
    assert [one.threshold for one in talk.person().wishes.interests] == [80, 80]


async def test_a_threshold_that_changes_nothing_offers_no_undo(talk: Talk) -> None:
    assert "↩️ Undo" not in (await talk.ask("/threshold 50")).buttons


async def test_what_watching_again_has_changed_is_as_before_with_one_tap(talk: Talk) -> None:
    assert "↩️ Undo" not in (await talk.ask("/watch ADA/USDC 1h")).buttons
    await talk.ask("/watch BTC/USDT 15m 4h threshold auto")
    changed = await talk.ask("/watch BTC/USDT 1d threshold 70")
    await talk.press(changed.buttons["↩️ Undo"])
    assert talk.person().wishes.interest("BTC/USDT") == interest(
        "BTC/USDT", "15m", "4h", threshold=None
    )
    assert "↩️ Undo" not in (await talk.ask("/watch BTC/USDT 15m 4h")).buttons


async def test_quiet_hours_are_as_before_with_one_tap(talk: Talk) -> None:
    await talk.ask("/quiet 22:00-07:00 Europe/Berlin")
    assert talk.person().timezone == "Europe/Berlin"
    changed = await talk.ask("/quiet 21:00-06:00")
    assert "Silent 21:00-06:00 Europe/Berlin" in changed.text
    await talk.press(changed.buttons["↩️ Back to 22:00-07:00"])
    assert talk.person().quiet_hours == "22:00-07:00"
    ended = await talk.ask("/quiet off")
    await talk.press(ended.buttons["↩️ Back to 22:00-07:00"])
    assert talk.person().quiet_hours == "22:00-07:00"
    await talk.ask("/quiet off")
    assert "were off already" in (await talk.ask("/quiet off")).text
    first = await talk.ask("/quiet 22:00-07:00")
    await talk.press(first.buttons["↩️ No quiet hours"])
    assert talk.person().quiet_hours is None


async def test_silence_ends_with_one_tap(talk: Talk) -> None:
    assert "You are not muted" in (await talk.ask("/mute")).title
    muted = await talk.ask("/mute 2d")
    assert "Silent until" in (await talk.ask("/mute")).title
    await talk.press(muted.buttons["↩️ Unmute"])
    assert talk.person().muted_until is None
    assert "You were not muted" in (await talk.ask("/mute off")).text
    other = await talk.ask(f"/mute {VIEWER} 4h")
    await talk.press(other.buttons["🔔 Unmute"])
    assert talk.person(VIEWER).silenced_until is None


async def test_digest_and_reports_are_as_before_with_a_tap_each(talk: Talk) -> None:
    await talk.ask("/digest daily 07:30 Europe/Berlin")
    first = await talk.ask("/digest every 90m")
    await talk.press(first.buttons["↩️ Undo"])
    assert talk.person().wishes.report_every_min is None
    await talk.ask("/digest every 90m")
    ended = await talk.ask("/digest off")
    await talk.press(ended.buttons["↩️ Back to daily 07:30"])
    await talk.press(ended.buttons["↩️ Back to every 90m"])
    person = talk.person()
    assert (person.digest_at, person.timezone) == ("07:30", "Europe/Berlin")
    assert person.wishes.report_every_min == 90


async def test_somebody_revoked_by_mistake_comes_back_as_they_were_after_one_question(
    talk: Talk,
) -> None:
    asked = await talk.ask(f"/revoke {TRADER}")
    revoked = await talk.press(asked.buttons["Confirm"])
    assert "as trader again" in revoked.text
    asked = await talk.press(revoked.buttons["↩️ Undo"])
    assert asked.title == f"👥 {TRADER} as trader?"
    done = await talk.press(f"{confirm.CONFIRM}{talk.question()}")
    assert talk.person(TRADER).role is Role.TRADER
    asked = await talk.press(done.buttons["↩️ Undo"])
    await talk.press(asked.buttons["Confirm"])
    assert not talk.person(TRADER).is_active


async def test_a_new_role_is_the_old_one_again_after_one_question(talk: Talk) -> None:
    await talk.ask(f"/role {VIEWER} trader")
    done = await talk.press(f"{confirm.CONFIRM}{talk.question()}")
    asked = await talk.press(done.buttons["↩️ Undo"])
    assert asked.title == f"👥 {VIEWER} as viewer?"


async def test_what_rings_is_turned_back_by_the_same_buttons(talk: Talk) -> None:
    shown = await talk.ask("/alerts fills off")
    await talk.press(shown.buttons["🚫 Fills"])
    assert talk.person().wishes.loud(AlertType.FILLS) is Loudness.ON
