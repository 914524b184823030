"""Which files of a folder are to be imported, and where else candles seem to lie."""

from collections.abc import Sequence
from pathlib import Path

from storage.archive.foreign import SUFFIXES, is_named_like_candles
from trading.domain.errors import Refused


def candle_files(path: Path) -> Sequence[Path]:
    """Return the file, or all files of the folder that may hold candles, in order; or refuse."""
    if not path.is_dir():
        if not path.exists():
            raise Refused(f"there is no file {path}")
        return [path]
    files = sorted(file for file in path.iterdir() if file.suffix in SUFFIXES)
    if not files:
        raise no_candles_in(path)
    return files


def no_candles_in(folder: Path) -> Refused:
    """Return the refusal of a folder without candles, which names those below it with some."""
    below = sorted(one for one in folder.iterdir() if one.is_dir())
    counts = {one: sum(map(is_named_like_candles, one.iterdir())) for one in below}
    held = {one: count for one, count in counts.items() if count}
    if not held:
        return Refused(f"{folder} holds no candles in files that end in {' or '.join(SUFFIXES)}")
    named = ", ".join(f"{one.name} ({count})" for one, count in held.items())
    return Refused(
        f"{folder} itself holds no candles; files named like candles lie below it, in {named}: "
        "name the folder to import",
        example=f"umbra data import {max(held, key=lambda one: held[one])}",
    )
