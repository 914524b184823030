"""Small files of the data directory, replaced as a whole: a death leaves the old or the new one."""

from pathlib import Path


def replace_text(path: Path, text: str) -> None:
    """Write a file beside it, and put that in its place; raises OSError."""
    scratch = path.with_suffix(".tmp")
    scratch.write_text(text)
    scratch.replace(path)
