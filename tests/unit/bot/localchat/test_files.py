"""Files are kept, measured and bounded."""

import pytest

from bot.localchat import files
from bot.localchat.errors import BotApiError
from bot.localchat.files import FileStore, Upload, picture_size, safe_name

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 8 + (800).to_bytes(4, "big") + (500).to_bytes(4, "big")
JPEG = (
    b"\xff\xd8\xff\xe0\x00\x04ab\xff\xc0\x00\x11\x08"
    + (500).to_bytes(2, "big")
    + (800).to_bytes(2, "big")
    + b"\x03" * 10
)
GIF = b"GIF89a" + (800).to_bytes(2, "little") + (500).to_bytes(2, "little")
WEBP = (
    b"RIFF\0\0\0\0WEBPVP8X" + b"\0" * 8 + (799).to_bytes(3, "little") + (499).to_bytes(3, "little")
)


@pytest.mark.parametrize("content", [PNG, JPEG, GIF, WEBP])
def test_pictures_are_measured(content: bytes) -> None:
    assert picture_size(content) == (800, 500)


@pytest.mark.parametrize("content", [b"", b"text", PNG[:20], b"\xff\xd8", b"\xff\xd8\xff\xe0\0\0"])
def test_other_bytes_have_no_size(content: bytes) -> None:
    assert picture_size(content) is None


def test_file_is_found_by_id_and_by_path() -> None:
    store = FileStore()
    kept = store.add(Upload("chart.PNG", "image/png", PNG), "photo")
    again = store.add(Upload("chart.PNG", "image/png", PNG), "photo")
    assert store.by_id(kept.file_id) == kept == store.by_path("photos/file_1.png")
    assert kept.file_id != again.file_id
    assert kept.unique_id == again.unique_id


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "file must be non-empty"),
        (b"no picture", "IMAGE_PROCESS_FAILED"),
        (PNG[:16] + (9000).to_bytes(4, "big") + (2000).to_bytes(4, "big"), "INVALID_DIMENSIONS"),
        (PNG[:16] + (2100).to_bytes(4, "big") + (100).to_bytes(4, "big"), "INVALID_DIMENSIONS"),
        (PNG + b"\0" * files.PHOTO_BYTES_MAX, "file is too big"),
    ],
)
def test_wrong_photos_are_refused(content: bytes, reason: str) -> None:
    with pytest.raises(BotApiError, match=reason):
        FileStore().add(Upload("a.png", "image/png", content), "photo")


def test_oldest_files_give_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "STORE_BYTES_MAX", 10)
    store = FileStore()
    first = store.add(Upload("a", "text/plain", b"123456"), "document")
    second = store.add(Upload("b", "text/plain", b"123456"), "document")
    assert store.by_id(first.file_id) is None
    assert store.by_path(first.path) is None
    assert store.by_id(second.file_id) == second


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("../../etc/passwd", "passwd"),
        ("C:\\a b.csv", "a_b.csv"),
        ("", "file"),
        ("..", "file"),
        ('x"\r\ny.txt', "x_y.txt"),
    ],
)
def test_names_are_made_safe(name: str, expected: str) -> None:
    assert safe_name(name) == expected
