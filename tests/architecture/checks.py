"""Reads source files without running them, and says which rule of the architecture one breaks."""

import ast
import contextlib
import gc
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.architecture import rules

PACKAGES = ("bot", "trading", "storage")


@dataclass(frozen=True, slots=True)
class Import:
    """One imported name, absolute and dotted, as written in a module."""

    name: str
    line: int
    is_lazy: bool


@dataclass(frozen=True, slots=True)
class Module:
    """One source file: its dotted name and its syntax tree."""

    name: str
    path: Path
    tree: ast.Module

    def at(self, line: int) -> str:
        """Where a finding is, in the form an editor follows."""
        return f"{self.path}:{line}"


def read_modules(root: Path, packages: Iterable[str] = PACKAGES) -> list[Module]:
    """Every module of the packages that exist below the root."""
    with _no_search_for_garbage():
        return [
            _read(root, path)
            for package in packages
            for path in sorted((root / package).rglob("*.py"))
        ]


@contextlib.contextmanager
def _no_search_for_garbage() -> Iterator[None]:
    """Of millions of new nodes none is garbage: searches would take three times the reading."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
        # They stay, so no later search looks through them either.
        gc.freeze()
    finally:
        if was_enabled:
            gc.enable()


@cache
def _read(root: Path, path: Path) -> Module:
    parts = path.relative_to(root).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return Module(name, path, ast.parse(path.read_text(encoding="utf-8")))


@cache
def imports(module: Module) -> tuple[Import, ...]:
    """All imports of a module, those inside functions too."""
    return tuple(_imports(module, module.tree, is_lazy=False))


def _imports(module: Module, outer: ast.AST, *, is_lazy: bool) -> Iterator[Import]:
    for node in ast.iter_child_nodes(outer):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(alias.name, node.lineno, is_lazy)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                raise ValueError(f"{module.at(node.lineno)} should import absolutely")
            for alias in node.names:
                yield Import(f"{node.module}.{alias.name}", node.lineno, is_lazy)
        elif isinstance(node, ast.stmt | ast.ExceptHandler | ast.match_case):
            is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            yield from _imports(module, node, is_lazy=is_lazy or is_function)


def is_within(name: str, package: str) -> bool:
    """Whether a dotted name is a package or lies in it."""
    return name == package or name.startswith(f"{package}.")


def is_within_any(name: str, packages: Iterable[str]) -> bool:
    """Whether a dotted name lies in one of the packages."""
    return any(is_within(name, package) for package in packages)


def row_for(name: str, table: Mapping[str, object]) -> str | None:
    """The longest row of a table that covers a module."""
    return max((row for row in table if is_within(name, row)), key=len, default=None)


def is_composition_root(name: str) -> bool:
    """The modules that may name everything."""
    return is_within_any(name, rules.COMPOSITION_ROOT) or name.endswith("__main__")


def own_room(name: str) -> str:
    """The package that a module shares with its neighbours: `trading.market`, `storage`."""
    parts = name.split(".")
    return parts[0] if parts[0] == "storage" else ".".join(parts[:2])


def wrong_directions(modules: Iterable[Module]) -> list[str]:
    """First-party imports that no row of the table permits."""
    findings = []
    for module in modules:
        if module.name in PACKAGES or is_composition_root(module.name):
            continue
        row = row_for(module.name, rules.DIRECTIONS)
        if row is None:
            findings.append(f"{module.path} has no row in tests/architecture/rules.py: DIRECTIONS")
            continue
        permitted = (*rules.DIRECTIONS[row], own_room(module.name))
        findings += [
            f"{module.at(found.line)} {module.name} should not import {found.name}; "
            f"the row {row} permits {', '.join(permitted)}"
            for found in imports(module)
            if is_within_any(found.name, PACKAGES)
            and found.name not in PACKAGES
            and (not is_within_any(found.name, permitted) or _is_exception(module, found))
        ]
    return findings


def _is_exception(module: Module, found: Import) -> bool:
    """What a row permits by its package's name and takes back."""
    if is_within_any(module.name, rules.PURE_ONLY):
        return is_within_any(found.name, rules.SHELL_MODULES)
    exporter, only = rules.ONE_NAME_ONLY.get(own_room(module.name), ("", ""))
    return is_within(found.name, exporter) and not found.name.endswith(f".{only}")


def imports_of_bot(modules: Iterable[Module]) -> list[str]:
    """Imports of `bot` from elsewhere, and of `storage` from trading."""
    return [
        f"{module.at(found.line)} {module.name} should not import {found.name}"
        for module in modules
        for found in imports(module)
        if (is_within(found.name, "bot") and not is_within(module.name, "bot"))
        or (is_within(found.name, "storage") and is_within(module.name, "trading"))
    ]


def strange_libraries(modules: Iterable[Module]) -> list[str]:
    """Third-party imports by a package that the library is not reserved for."""
    findings = []
    for module in modules:
        if is_composition_root(module.name):
            continue
        for found in imports(module):
            library = found.name.split(".")[0]
            if library in PACKAGES or library in sys.stdlib_module_names:
                continue
            owners = rules.LIBRARIES.get(library, ())
            lazy_owners = rules.LAZY_LIBRARIES.get(library, ())
            if not is_within_any(module.name, owners):
                known = ", ".join(owners) or "the composition root"
                findings.append(
                    f"{module.at(found.line)} {module.name} should not know {library}; only {known}"
                )
            elif is_within_any(module.name, lazy_owners) and not found.is_lazy:
                findings.append(
                    f"{module.at(found.line)} {module.name} should import {library} lazily"
                )
    return findings


def environment_reads(modules: Iterable[Module]) -> list[str]:
    """Places that read the environment outside the one module that may."""
    return [
        f"{module.at(node.lineno)} only {rules.ENVIRONMENT_READERS[0]} reads the environment"
        for module in modules
        if not is_within_any(module.name, rules.ENVIRONMENT_READERS)
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute)
        and node.attr in {"environ", "environb", "getenv"}
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
    ]


def async_outside_shells(modules: Iterable[Module]) -> list[str]:
    """Modules with coroutines, awaits or asyncio where the core should be synchronous."""
    findings = []
    for module in modules:
        if is_within_any(module.name, rules.ASYNC_SHELLS):
            continue
        waiting = (ast.AsyncFunctionDef, ast.AsyncFor, ast.AsyncWith, ast.Await)
        lines = [node.lineno for node in ast.walk(module.tree) if isinstance(node, waiting)]
        lines += [found.line for found in imports(module) if is_within(found.name, "asyncio")]
        if lines:
            findings.append(f"{module.at(min(lines))} {module.name} waits; only the shells may")
    return findings


def import_cycles(modules: Iterable[Module]) -> list[str]:
    """Modules that, directly or by others, import themselves; imports in functions count too."""
    by_name = {module.name: module for module in modules}
    graph = {
        name: {target for found in imports(module) if (target := _target(found.name, by_name))}
        - {name}
        for name, module in by_name.items()
    }
    findings = []
    while graph:
        leaves = [name for name, targets in graph.items() if not targets & graph.keys()]
        for name in leaves:
            del graph[name]
        if not leaves:
            findings.append(_shortest_cycle(graph))
            # One cycle is enough to act on; others often share its edges.
            break
    return findings


def _target(name: str, by_name: Mapping[str, Module]) -> str | None:
    if name in by_name:
        return name
    # `from module import name`: the name is no module, so its module is meant.
    parent = name.rpartition(".")[0]
    return parent if parent in by_name else None


def _shortest_cycle(graph: Mapping[str, set[str]]) -> str:
    cycles = []
    for start in sorted(graph):
        paths, seen = [[start]], {start}
        for path in paths:
            for target in sorted(graph[path[-1]] & graph.keys()):
                if target == start:
                    cycles.append([*path, start])
                elif target not in seen:
                    seen.add(target)
                    paths.append([*path, target])
    return " -> ".join(min(cycles, key=len))


def long_functions(modules: Iterable[Module]) -> list[str]:
    """Functions that do not fit on a screen."""
    return [
        f"{module.at(node.lineno)} {node.name} should have at most {rules.FUNCTION_LINES_MAX} "
        f"lines, has {lines}"
        for module in modules
        for node in ast.walk(module.tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > rules.FUNCTION_LINES_MAX
    ]


def modules_without_purpose(modules: Iterable[Module]) -> list[str]:
    """Modules that do not open with a sentence saying what they are for."""
    return [
        f"{module.path} should open with a sentence that says what it is for"
        for module in modules
        if module.tree.body and not re.search(r"[.:!?](\s|$)", ast.get_docstring(module.tree) or "")
    ]


def folders_without_init(modules: Iterable[Module]) -> list[str]:
    """Folders of modules that are no package, so coverage and packaging would pass them by."""
    folders = {module.path.parent for module in modules}
    return [
        f"{folder} should hold an __init__.py that says what the package is for"
        for folder in sorted(folders)
        if not (folder / "__init__.py").exists()
    ]


def empty_names(modules: Iterable[Module]) -> list[str]:
    """Modules named for nothing in particular."""
    return [
        f"{module.path} should be named for the noun it holds"
        for module in modules
        if rules.EMPTY_NOUNS & set(module.name.rpartition(".")[2].split("_"))
    ]


_QUEUES = {"Queue": 0, "PriorityQueue": 0, "LifoQueue": 0, "SimpleQueue": None, "deque": 1}


def unbounded_queues(modules: Iterable[Module]) -> list[str]:
    """Every queue without a size of its own: `module.attribute`, but for those that are listed."""
    return sorted(
        name
        for module in modules
        for name in _queues_without_size(module)
        if name not in rules.BOUNDED_ELSEWHERE
    )


def bounds_of_nothing(modules: Iterable[Module]) -> list[str]:
    """Listed bounds of queues that are no more, or that have a size of their own by now."""
    found = (name for module in modules for name in _queues_without_size(module))
    return sorted(set(rules.BOUNDED_ELSEWHERE) - set(found))


@cache
def _queues_without_size(module: Module) -> tuple[str, ...]:
    return tuple(_queues_in(module))


def _queues_in(module: Module) -> Iterator[str]:
    for node in ast.walk(module.tree):
        for value in (node.value,) if isinstance(node, ast.Assign | ast.AnnAssign) else ():
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if value is not None and _makes_unbounded_queue(value):
                yield f"{module.name}.{_last_name(targets[0])}"
        if isinstance(node, ast.Call) and _called(node) == "heappush":
            yield f"{module.name}.{_last_name(node.args[0])}"


def _makes_unbounded_queue(value: ast.expr) -> bool:
    for node in ast.walk(value):
        if isinstance(node, ast.Call):
            if _called(node) in _QUEUES and not _has_size(node):
                return True
            # A factory that is handed over makes it without a size.
            for keyword in node.keywords:
                if keyword.arg == "default_factory" and _last_name(keyword.value) in _QUEUES:
                    return True
    return False


def _has_size(call: ast.Call) -> bool:
    place = _QUEUES[_called(call)]
    given = place is not None and len(call.args) > place
    return given or any(keyword.arg in {"maxsize", "maxlen"} for keyword in call.keywords)


def _called(call: ast.Call) -> str:
    function = call.func.value if isinstance(call.func, ast.Subscript) else call.func
    return _last_name(function)


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def mode_questions(modules: Iterable[Module]) -> list[str]:
    """Decisions below the composition root that ask which world they run in."""
    return [
        f"{module.at(node.lineno)} should not ask for the mode: pass what differs to a constructor"
        for module in modules
        if not is_within(module.name, "bot")
        for branch in ast.walk(module.tree)
        if isinstance(branch, ast.If | ast.IfExp | ast.While)
        for node in ast.walk(branch.test)
        if (isinstance(node, ast.Name) and node.id in rules.MODE_QUESTIONS)
        or (isinstance(node, ast.Attribute) and node.attr in rules.MODE_QUESTIONS)
    ]


# Brackets keep this file from finding itself.
FOREIGN_WORDS = re.compile(
    r"pypi[.]org|python[h]osted|registry[.]npm|deb[.]debian|security[.]debian|[/]work[/]|[/]root[/]"
    r"|[/]farm[/]|[/]opt[/]pypi|co-author[e]d-by|sub[a]gent|--index-ur[l]\b|--extra-index-ur[l]\b",
    re.IGNORECASE,
)


def foreign_words(paths: Iterable[Path]) -> list[str]:
    """Lines of text files that name an index address or the machine they were written on."""
    findings = []
    for path in paths:
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture
        findings += [
            f"{path}:{number} should not contain {match.group()!r}"
            for number, line in enumerate(text.splitlines(), start=1)
            if (match := FOREIGN_WORDS.search(line))
        ]
    return findings
