"""What an outbox message becomes on its way to the Bot API."""

from pathlib import Path
from typing import Any, cast

from telegram import Bot, InputFile, InputMediaPhoto

from bot.telegram.sending import Sender
from tests.fakes.desk import START
from trading.domain.chat import OutboxMessage


class Edits:
    """A bot that keeps what it is to show instead."""

    def __init__(self) -> None:
        self.media: list[Any] = []

    async def edit_message_media(self, media: Any, *_where: object, **_how: object) -> None:
        self.media.append(media)


async def test_a_picture_that_is_edited_keeps_its_name_and_what_it_is(tmp_path: Path) -> None:
    path = tmp_path / "chart-7.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n")
    bot = Edits()
    message = OutboxMessage("k", 7, "text", START, picture=str(path))
    await Sender(cast(Bot, bot)).edit(message, 3)
    [media] = bot.media
    assert isinstance(media, InputMediaPhoto)
    assert isinstance(media.media, InputFile)
    assert (media.media.filename, media.media.mimetype) == ("chart-7.png", "image/png")
