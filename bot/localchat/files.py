"""The files of the chat, in memory: what was uploaded, and how large a picture is."""

from __future__ import annotations

import base64
import hashlib
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Final

from bot.localchat.errors import BotApiError, bad_request
from bot.localchat.facts import StoredFile

STORE_BYTES_MAX: Final = 256 * 1024 * 1024
PHOTO_BYTES_MAX: Final = 10 * 1024 * 1024
FILE_BYTES_MAX: Final = 50 * 1024 * 1024
# Telegram's rule for photos: width and height together, and how far they may differ.
PHOTO_SIDES_SUM_MAX: Final = 10_000
PHOTO_RATIO_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class Upload:
    """A file as it came in a multipart body."""

    name: str
    mime: str
    content: bytes


@dataclass(slots=True)
class FileStore:
    """Keeps uploads up to `STORE_BYTES_MAX` in all; the oldest give way."""

    _files: dict[str, StoredFile] = field(default_factory=dict)
    _paths: dict[str, StoredFile] = field(default_factory=dict)
    _bytes: int = 0
    _count: int = 0

    def add(self, upload: Upload, kind: str) -> StoredFile:
        """Keep an upload, or refuse it with the words of the Bot API."""
        bytes_max = PHOTO_BYTES_MAX if kind == "photo" else FILE_BYTES_MAX
        if not upload.content:
            raise bad_request("file must be non-empty")
        if len(upload.content) > bytes_max:
            raise BotApiError("Request Entity Too Large: file is too big", 413)
        self._count += 1
        digest = hashlib.sha256(upload.content).digest()
        name = safe_name(upload.name)
        stored = StoredFile(
            file_id=_identifier(digest + self._count.to_bytes(4, "big")),
            unique_id=_identifier(digest[:12]),
            path=f"{kind}s/file_{self._count}{_suffix(name)}",
            name=name,
            mime=upload.mime,
            content=upload.content,
        )
        stored = _measured(stored, is_photo=kind == "photo")
        self._files[stored.file_id] = self._paths[stored.path] = stored
        self._bytes += len(stored.content)
        self._make_room()
        return stored

    def by_id(self, file_id: str) -> StoredFile | None:
        """The file of this id, if it is still kept."""
        return self._files.get(file_id)

    def by_path(self, path: str) -> StoredFile | None:
        """The file that getFile gave this path to."""
        return self._paths.get(path)

    def _make_room(self) -> None:
        while self._bytes > STORE_BYTES_MAX and len(self._files) > 1:
            oldest = self._files.pop(next(iter(self._files)))
            self._paths.pop(oldest.path, None)
            self._bytes -= len(oldest.content)


def picture_size(content: bytes) -> tuple[int, int] | None:
    """Width and height of a PNG, JPEG, GIF or WebP (extended form) picture, else None."""
    if content.startswith(b"\x89PNG\r\n\x1a\n") and len(content) >= 24:
        width, height = struct.unpack(">II", content[16:24])
        return width, height
    if content[:6] in {b"GIF87a", b"GIF89a"} and len(content) >= 10:
        width, height = struct.unpack("<HH", content[6:10])
        return width, height
    if content[:4] == b"RIFF" and content[8:16] == b"WEBPVP8X" and len(content) >= 30:
        return (
            int.from_bytes(content[24:27], "little") + 1,
            int.from_bytes(content[27:30], "little") + 1,
        )
    if content.startswith(b"\xff\xd8"):
        return next(_jpeg_sizes(content), None)
    return None


def safe_name(name: str) -> str:
    """A file name without folders, control characters or anything odd in a URL."""
    last = re.split(r"[\\/]", name)[-1]
    return re.sub(r"[^\w.\-]+", "_", last).lstrip(".")[-80:] or "file"


def _jpeg_sizes(content: bytes) -> Iterator[tuple[int, int]]:
    position = 2
    while position + 9 <= len(content):
        marker, length = content[position : position + 2], content[position + 2 : position + 4]
        # Start-of-frame markers carry the size; C4, C8 and CC are something else.
        if marker[0] == 0xFF and 0xC0 <= marker[1] <= 0xCF and marker[1] not in {0xC4, 0xC8, 0xCC}:
            height, width = struct.unpack(">HH", content[position + 5 : position + 9])
            yield width, height
        position += 2 + max(2, int.from_bytes(length, "big"))


def _measured(stored: StoredFile, *, is_photo: bool) -> StoredFile:
    size = picture_size(stored.content)
    if size is None:
        if is_photo:
            raise bad_request("IMAGE_PROCESS_FAILED")
        return stored
    width, height = size
    is_odd = min(size) < 1 or max(size) > PHOTO_RATIO_MAX * min(size)
    if is_photo and (is_odd or width + height > PHOTO_SIDES_SUM_MAX):
        raise bad_request("PHOTO_INVALID_DIMENSIONS")
    return replace(stored, width=width, height=height)


def _identifier(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _suffix(name: str) -> str:
    _, dot, suffix = name.rpartition(".")
    return f".{suffix.lower()}" if dot and suffix.isalnum() else ""
