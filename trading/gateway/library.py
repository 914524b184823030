"""The client library with one exchange at a time: all of them take 55 MB and half a second more.

Its packages import every exchange that they know. Here these are passed by, and each is read when
it is first named, as if it had been there from the beginning.
"""

import importlib
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any

STREAMING = "ccxt.pro"
REQUESTING = "ccxt.async_support"
_PACKAGES = ("ccxt", REQUESTING, STREAMING)
_turn = Lock()


def library(package: str) -> Any:
    """Return a package of the library; the first import takes a while: call it in a thread."""
    with _turn:
        if package not in sys.modules:
            passing_by = _PassingBy()
            sys.meta_path.insert(0, passing_by)
            try:
                importlib.import_module(package)
            finally:
                sys.meta_path.remove(passing_by)
                passing_by.forget()
    return sys.modules[package]


class _PassingBy:
    """Finds a stand-in for each exchange; everything else is found as usual."""

    def __init__(self) -> None:
        self._passed: list[str] = []

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, _target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Answer as a finder of the import system does."""
        package, _, last = name.rpartition(".")
        # What is a file of its own in these packages is an exchange.
        is_file = any(Path(folder, f"{last}.py").exists() for folder in path or ())
        if package not in _PACKAGES or not is_file:
            return None
        self._passed.append(name)
        return ModuleSpec(name, self)  # type: ignore[arg-type]

    def create_module(self, _spec: ModuleSpec) -> None:
        """Leave it to the import system to make a plain module."""

    def exec_module(self, module: ModuleType) -> None:
        """Give the module what its package takes out of it."""
        setattr(module, module.__name__.rpartition(".")[2], None)

    def forget(self) -> None:
        """Take every stand-in away; from now on what is named is read."""
        for name in self._passed:
            package, _, last = name.rpartition(".")
            del sys.modules[name]
            if package in sys.modules:
                vars(sys.modules[package]).pop(last, None)
        for package in _PACKAGES:
            if package in sys.modules:
                sys.modules[package].__class__ = _Package


class _Package(ModuleType):
    """A package in which an exchange's name stands for its class, as the library has it."""

    def __getattr__(self, name: str) -> Any:
        if name not in vars(self).get("exchanges", ()):
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        importlib.import_module(f"{self.__name__}.{name}")
        return vars(self)[name]

    def __setattr__(self, name: str, value: Any) -> None:
        # An import puts the module of that name into its package.
        is_exchange = isinstance(value, ModuleType) and name in vars(self).get("exchanges", ())
        super().__setattr__(name, getattr(value, name) if is_exchange else value)
