"""docs/architecture.md shows the tree as it is: every room is named, and no other."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = (REPOSITORY / "docs" / "architecture.md").read_text()
TREE = PAGE.split("## The tree, as it is")[1].split("```")[1]
# Modules that share a line with their package: the wire of the simulation, the chat's handlers.
UNNAMED_INSIDE = (
    "binance",
    "localchat",
    "commands",
    "render",
    "migrations",
)


def _rooms() -> set[str]:
    rooms = set()
    for package in ("bot", "trading", "storage"):
        for path in (REPOSITORY / package).rglob("*.py"):
            inside = path.relative_to(REPOSITORY).parts[:-1]
            shared = next((part for part in inside[1:] if part in UNNAMED_INSIDE), None)
            if shared is not None:
                rooms.add(shared)
            elif path.stem != "__init__":
                rooms.add(path.stem)
            elif len(inside) > 1:
                rooms.add(inside[-1])
    return rooms


def test_every_room_stands_on_the_page() -> None:
    named = set(re.findall(r"[a-z_]+", TREE))
    missing = {room for room in _rooms() if room not in named and room.strip("_") not in named}
    assert missing == set()


def test_every_module_path_on_the_page_exists() -> None:
    for name in re.findall(
        r"`((?:bot|trading|storage|market|trackers|execution|gateway|risk)\.[a-z_.]+)`", PAGE
    ):
        parts = name.split(".")
        roots = [REPOSITORY, REPOSITORY / "trading"]
        found = any(
            root.joinpath(*parts).with_suffix(".py").exists() or root.joinpath(*parts).is_dir()
            for root in roots
        )
        assert found, name
