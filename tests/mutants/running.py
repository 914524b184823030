"""Runs the tests of a mutated module, in a copy of the tree and with a limit of time."""

import ast
import hashlib
import importlib.util
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from enum import Enum
from functools import cache
from pathlib import Path

from tests.mutants.known import Target
from tests.mutants.making import Mutant

# A mutant may loop for ever; one that only makes failing examples small takes a few seconds.
LIMIT_S = 60.0
_MARKS = "not (postgres or slow)"


class Fate(Enum):
    """What tests made of a mutant; one that never ends was noticed too."""

    KILLED = "killed"
    ENDLESS = "endless"
    SURVIVED = "survived"


class NotGreenError(Exception):
    """The tests fail, or find nothing to do, where nothing was changed."""


def copy_checkout(checkout: Path, folder: Path) -> None:
    """Copy what git knows or would take in, as it is on disk."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=checkout,
        capture_output=True,
        check=True,
    )
    for name in listed.stdout.decode().split("\0"):
        if name and (checkout / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(checkout / name, folder / name)


def check_green(folder: Path, target: Target) -> float:
    """Return the seconds that the tests take on the original; raises NotGreenError."""
    began = time.perf_counter()
    code, told = _tested(folder, target.tests, LIMIT_S * 2, may_write=True)
    if code != 0:
        raise NotGreenError(f"the tests of {target.path} do not pass unmutated:\n{told}")
    return time.perf_counter() - began


def fate_of(folder: Path, mutant: Mutant, tests: Sequence[str], limit_s: float = LIMIT_S) -> Fate:
    """Try one mutant in a copy of the tree, and leave the copy as it was."""
    path = folder / mutant.path
    original = path.read_bytes()
    # Compiled code is recognised by size and second, which a mutant may share with the original.
    Path(importlib.util.cache_from_source(str(path))).unlink(missing_ok=True)
    path.write_bytes(mutant.applied(original))
    try:
        code, _ = _tested(folder, tests, limit_s, may_write=False)
    finally:
        path.write_bytes(original)
    if code is None:
        return Fate.ENDLESS
    return Fate.SURVIVED if code == 0 else Fate.KILLED


def _tested(
    folder: Path, tests: Sequence[str], limit_s: float, *, may_write: bool
) -> tuple[int | None, str]:
    environment = {
        **os.environ,
        "PYTHONHASHSEED": "0",
        # The copy, and not the checkout that an editable installation points to.
        "PYTHONPATH": os.pathsep.join([str(folder), *_own_paths()]),
        "PYTHONDONTWRITEBYTECODE": "" if may_write else "1",
    }
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-m", _MARKS]
    with subprocess.Popen(
        [*command, *tests],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            told, _ = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            return None, f"no end within {limit_s:g} s"
        return process.returncode, told


def _own_paths() -> list[str]:
    paths = os.environ.get("PYTHONPATH", "")
    return paths.split(os.pathsep) if paths else []


def state_of(folder: Path, target: Target) -> str:
    """Name the state of what decides a fate: the module, its tests, and what they import."""
    digest = hashlib.sha256()
    for name in sorted(_reached(folder, [target.path, *target.tests, *_settings(folder, target)])):
        digest.update(f"{name}\0".encode())
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()


def key_of(state: str, mutant: Mutant) -> str:
    """The name of one result in the log."""
    return hashlib.sha256(f"{state}|{mutant.name}".encode()).hexdigest()[:16]


def _settings(folder: Path, target: Target) -> Iterable[str]:
    for test in target.tests:
        for parent in Path(test).parents:
            if (folder / parent / "conftest.py").is_file():
                yield (parent / "conftest.py").as_posix()


def _reached(folder: Path, roots: Iterable[str]) -> set[str]:
    todo, found = list(roots), set[str]()
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += _imported(folder, name)
    return found


@cache
def _imported(folder: Path, name: str) -> tuple[str, ...]:
    modules: list[str] = []
    for node in ast.walk(ast.parse((folder / name).read_bytes())):
        if isinstance(node, ast.Import):
            modules += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            modules += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    paths = (module.replace(".", "/") for module in modules)
    files = (file for path in paths for file in (f"{path}.py", f"{path}/__init__.py"))
    return tuple(file for file in files if (folder / file).is_file())
