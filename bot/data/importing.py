"""Which files of a folder are to be imported: its own, or those of the folders below it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from storage.archive.foreign import SUFFIXES, is_named_like_candles
from trading.domain.errors import Refused

# Candles lie in a folder of the data, or one deeper; a whole disk is not searched.
_DEPTH_MAX = 3


@dataclass(frozen=True, slots=True)
class Chosen:
    """The files to read, in order; `folders` are those below the one that was named, if any."""

    files: Sequence[Path]
    folders: Sequence[Path] = ()


def candle_files(path: Path, *, are_below_taken: bool) -> Chosen:
    """Return the file, or all files that may hold candles of the folder or those below it.

    Below it is looked where the folder itself holds no file that is named like candles. Refused
    where there is none.
    """
    if not path.is_dir():
        if not path.exists():
            raise Refused(f"there is no file {path}")
        return Chosen([path])
    own = _candidates(path)
    if not any(map(is_named_like_candles, own)):
        below = sorted(_folders_below(path, _DEPTH_MAX))
        if below and are_below_taken:
            return Chosen([file for folder in below for file in _candidates(folder)], below)
        if below and not own:
            raise Refused(
                f"{path} itself holds no candles; files named like candles lie below it, in "
                f"{named(path, below)}: name the folder to import",
                example=f"umbra data import {below[0]}",
            )
    if not own:
        raise no_candles_in(path)
    return Chosen(own)


def no_candles_in(folder: Path) -> Refused:
    """Return the refusal of a folder without candles."""
    return Refused(f"{folder} holds no candles in files that end in {' or '.join(SUFFIXES)}")


def named(path: Path, folders: Sequence[Path]) -> str:
    """Name folders below another, each with how many files of it are named like candles."""
    counts = {one: sum(map(is_named_like_candles, one.iterdir())) for one in folders}
    return ", ".join(f"{one.relative_to(path)} ({count})" for one, count in counts.items())


def _candidates(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.suffix in SUFFIXES)


def _folders_below(folder: Path, depth: int) -> Iterator[Path]:
    for one in folder.iterdir():
        if one.name.startswith(".") or one.is_symlink() or not one.is_dir():
            continue
        if any(map(is_named_like_candles, one.iterdir())):
            yield one
        if depth > 1:
            yield from _folders_below(one, depth - 1)
