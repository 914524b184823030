"""How much the agent keeps in memory: the length of everything that it can reach, by its place."""

from collections import OrderedDict, deque
from collections.abc import Iterator, Mapping
from typing import Any

_CONTAINERS = (dict, list, set, frozenset, tuple, deque, OrderedDict)
# Its own packages; the simulated exchange behind the wires is no part of it.
_OURS = ("bot.", "trading.", "storage.")
_NOT_OURS = ("trading.sim", "bot.localchat")


def sizes(root: object) -> dict[str, int]:
    """Return place → length of every container that `root` reaches through our own objects.

    Containers at one place (the sets in a dict of sets, say) are added up.
    """
    found: dict[str, int] = {}
    seen: set[int] = set()
    # The shortest way gives a place its name.
    waiting: deque[tuple[str, object]] = deque([(type(root).__name__, root)])
    while waiting:
        place, value = waiting.popleft()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, deque) and value.maxlen is not None:
            # Bounded by itself.
            continue
        if isinstance(value, _CONTAINERS):
            found[place] = found.get(place, 0) + len(value)
            waiting += [(f"{place}[]", each) for each in _inside(value)]
        elif _is_ours(value):
            waiting += [(f"{place}.{name}", each) for name, each in _attributes(value)]
    return found


def grown(
    before: Mapping[str, int], after: Mapping[str, int], more_max: int, caches: Mapping[str, int]
) -> dict[str, str]:
    """Return the places that hold more than they may, with the lengths before and after.

    That is `more_max` more than before, or for a cache, by the last name of its place, its bound.
    """
    found = {}
    for place, length in sorted(after.items()):
        name, *inside = place.rpartition(".")[2].split("[]")
        bound = caches.get(name)
        # What lies in a cache is a few values each.
        most = before.get(place, 0) + more_max if bound is None else bound * 4 ** len(inside)
        if length > most:
            found[place] = f"{before.get(place, 0)} → {length}"
    return found


def _inside(value: Any) -> Iterator[object]:
    if isinstance(value, dict):
        yield from value.keys()
        yield from value.values()
    else:
        yield from value


def _is_ours(value: object) -> bool:
    module = f"{type(value).__module__}."
    return module.startswith(_OURS) and not module.startswith(_NOT_OURS)


def _attributes(value: object) -> Iterator[tuple[str, object]]:
    yield from getattr(value, "__dict__", {}).items()
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(value, name):
                yield name, getattr(value, name)
