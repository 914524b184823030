"""A pytest plugin, `-p tests.counting`: which lines and branches of the product tests reach.

Each process that runs tests leaves what it reached in `.counted/`, or in the folder that
`COUNTED_IN` names; the process that only hands tests to others reaches nothing.
"""

import json
import os
from pathlib import Path
from typing import Any

import pytest
import slipcover

REPOSITORY = Path(__file__).resolve().parent.parent
FOLDER = REPOSITORY / ".counted"
_PACKAGES = ["bot", "trading", "storage"]
# What migrates is run by Alembic, which loads it by its path and not as a module of the product.
_OMITTED = ["storage/migrations/*"]
_NO_CODE = ["if TYPE_CHECKING:", r"\.\.\.$", "@overload"]
_COUNTER = pytest.StashKey[slipcover.Slipcover]()


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Begin before anything of the product is imported: what is imported earlier is not counted."""
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    if not is_worker and getattr(early_config.known_args_namespace, "numprocesses", None):
        return
    counter = slipcover.Slipcover(
        branch=True, source=_PACKAGES, omit=_OMITTED, exclude_also=_NO_CODE
    )
    matcher = slipcover.FileMatcher(sources=_PACKAGES, omit=_OMITTED)
    slipcover.ImportManager(counter, matcher).__enter__()
    early_config.stash[_COUNTER] = counter


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Leave what this process reached."""
    counter = session.config.stash.get(_COUNTER, None)
    if counter is not None:
        folder = Path(os.environ.get("COUNTED_IN", FOLDER))
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{os.getpid()}.json").write_text(json.dumps(counter.get_coverage()))


def reached(folder: Path = FOLDER) -> dict[str, Any]:
    """What all processes together reached, as SlipCover tells it: `files` with their summaries.

    Raises FileNotFoundError where nothing was counted.
    """
    parts = [json.loads(part.read_text()) for part in sorted(folder.glob("*.json"))]
    if not parts:
        raise FileNotFoundError(f"nothing was counted in {folder}")
    whole = parts[0]
    for part in parts:
        slipcover.merge_coverage(whole, part)
    return whole
