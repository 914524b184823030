"""Z-01: whatever form a command has, somebody who may only look changes nothing by it."""

import pytest

from bot.telegram import confirm
from bot.telegram.commands.people import FORMS
from bot.telegram.commands.registry import COMMANDS
from bot.telegram.commands.watching import DROP_ALL
from tests.security.front import OWNER, Front
from trading.domain.chat import Person, Role
from trading.domain.events import (
    ConfirmationAsked,
    InvitationMade,
    MessageQueued,
    PersonChanged,
)

pytestmark = pytest.mark.uncounted

BOB = 8
# Forms that cards send and the help does not name.
_TAPPED = ("/tracker 3 exit", "/tracker 3 stop 59990", "/tracker 3 tighten", "/halt everything")
LINES = [
    *(line for entry in COMMANDS for line in (entry.example, *FORMS.get(entry.name, ()))),
    *_TAPPED,
]


async def armed(front: Front, trackers: int) -> None:
    for number in range(trackers):
        await front.say(f"/track BTC/USDT stop {57000 + number} all")
        await front.tap(f"{confirm.CONFIRM}{front.question()}")
        front.later(minutes=1)


@pytest.mark.parametrize("line", dict.fromkeys(LINES))
async def test_no_form_of_any_command_lets_a_viewer_act(line: str) -> None:
    front = Front()
    front.roster.put(Person(BOB, BOB, "Bob", Role.VIEWER))
    await armed(front, trackers=3)
    executed = list(front.desk.executed)
    asked_before = len(front.store.of(ConfirmationAsked))
    await front.say(line, BOB)
    front.later(minutes=1)
    await front.tap(f"+{line}", BOB, BOB)
    assert front.desk.executed == executed
    assert len(executed) == 3
    asked = front.store.of(ConfirmationAsked)[asked_before:]
    assert {one.confirmation.action for one in asked} <= {DROP_ALL}
    assert {one.person.user_id for one in front.store.of(PersonChanged)} <= {BOB}
    assert front.store.of(InvitationMade) == []


async def test_a_viewer_who_would_move_a_stop_is_told_that_nothing_changed() -> None:
    front = Front()
    front.roster.put(Person(BOB, BOB, "Bob", Role.VIEWER))
    await armed(front, trackers=1)
    assert (
        "a viewer looks and changes nothing"
        in (await front.say("/tracker 1 stop 59990", BOB)).lower()
    )


async def test_a_trader_still_moves_a_stop() -> None:
    front = Front()
    front.roster.put(Person(BOB, BOB, "Bob", Role.TRADER))
    await armed(front, trackers=1)
    assert "changed" in await front.say("/tracker 1 stop 59000", BOB)
    assert len(front.desk.executed) == 2


async def test_a_viewer_sees_the_card_of_a_tracker_without_what_would_change_it() -> None:
    front = Front()
    front.roster.put(Person(BOB, BOB, "Bob", Role.VIEWER))
    await armed(front, trackers=1)
    for user_id, labels in ((OWNER, {"⏸ Pause", "🔧 Change", "🗑 End it"}), (BOB, set[str]())):
        await front.say("/tracker 1", user_id)
        message = front.store.of(MessageQueued)[-1].message
        shown = {button.label for row in message.buttons for button in row}
        assert shown == labels | {"🔄 Refresh", "📈 Chart", "❓ Why"}
