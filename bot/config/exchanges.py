"""Which exchanges the client library streams, told by its files: importing it takes a second."""

from functools import cache
from importlib.util import find_spec
from pathlib import Path


@cache
def streaming() -> tuple[str, ...]:
    """Return the library's names of all exchanges that it streams, in order."""
    library = find_spec("ccxt")
    folders = library.submodule_search_locations if library is not None else None
    found = (path.stem for folder in folders or () for path in Path(folder, "pro").glob("[!_]*.py"))
    return tuple(sorted(found))
