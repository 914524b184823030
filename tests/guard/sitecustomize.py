"""Python imports this in every process that a test starts: they keep to loopback as well."""

import importlib.util
from pathlib import Path

_path = Path(__file__).resolve().parent.parent / "loopback.py"
_spec = importlib.util.spec_from_file_location("loopback_of_the_tests", _path)
if _spec is None or _spec.loader is None:
    raise ImportError(f"the guard of the tests should be at {_path}")
_loopback = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_loopback)
# Kept by its name until the process ends: the guard goes with the last one that holds it.
_guard = _loopback.only()
_guard.__enter__()
