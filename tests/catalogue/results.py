"""How marked tests ended, noted beside the checkout for the state of the sources they ran on."""

import fcntl
import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

REPOSITORY = Path(__file__).resolve().parents[2]
FILE_NAME = ".faults.json"
_SOURCES = ("bot", "trading", "storage", "tests", "requirements", "pyproject.toml")


@dataclass(frozen=True, slots=True)
class Result:
    """The end of one test: pytest's outcome, the evidence per fault, and the sources' state."""

    outcome: str
    evidence: Mapping[str, str]
    state: str = ""

    @property
    def is_proof(self) -> bool:
        """A test proves something only by passing; a skipped one says nothing."""
        return self.outcome == "passed"


def state_of_sources(*names: str) -> str:
    """Name the present state of what a result depends on: everything, unless named."""
    digest = hashlib.sha256()
    for name in names or _SOURCES:
        root = REPOSITORY / name
        for path in sorted(root.rglob("*.py") if root.is_dir() else [root]):
            digest.update(str(path.relative_to(REPOSITORY)).encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def add(folder: Path, state: str, found: Mapping[str, Result]) -> None:
    """Put the results of one run beside those of others, over older ones of the same tests."""
    if not found:
        return
    with _locked(folder) as file:
        noted = _parse(file.read())
        noted.update({name: {**asdict(result), "state": state} for name, result in found.items()})
        file.seek(0)
        file.truncate()
        json.dump(noted, file, indent=1, sort_keys=True)


def read(folder: Path = REPOSITORY) -> dict[str, Result]:
    """Return the newest result of every test that was ever noted."""
    with _locked(folder) as file:
        return {name: Result(**entry) for name, entry in _parse(file.read()).items()}


@contextmanager
def _locked(folder: Path) -> Iterator[IO[str]]:
    with (folder / FILE_NAME).open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        yield file


def _parse(text: str) -> dict[str, dict[str, object]]:
    return json.loads(text) if text else {}
