"""Whom a start tells that cannot read its database."""

import asyncio
from pathlib import Path

from bot.owners_chat import OwnersChat
from trading.domain.chat import Person, Role


def _person(user_id: int, role: Role) -> Person:
    return Person(user_id, user_id * 10, "someone", role)


async def _written() -> None:
    await asyncio.get_running_loop().shutdown_default_executor()


async def test_the_owners_chat_is_known_to_the_next_process(tmp_path: Path) -> None:
    assert OwnersChat(tmp_path).kept() is None
    OwnersChat(tmp_path).keep([_person(1, Role.VIEWER), _person(2, Role.OWNER)])
    await _written()
    assert OwnersChat(tmp_path).kept() == 20


async def test_the_last_owner_stays_and_a_new_one_takes_the_place(tmp_path: Path) -> None:
    chat = OwnersChat(tmp_path)
    chat.keep([_person(1, Role.OWNER)])
    chat.keep([])
    chat.keep([_person(3, Role.OWNER)])
    await _written()
    assert OwnersChat(tmp_path).kept() == 30


async def test_a_disk_that_takes_nothing_and_a_file_that_is_torn_end_no_start(
    tmp_path: Path,
) -> None:
    chat = OwnersChat(tmp_path / "gone")
    chat.keep([_person(1, Role.OWNER)])
    await _written()
    (tmp_path / "owner.json").write_text("{")
    assert OwnersChat(tmp_path).kept() is None
