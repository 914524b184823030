"""Mutants of a module: one small change of its source each, found in its syntax tree."""

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

_SWAPS = {
    "<": ("<=", ">="),
    "<=": ("<", ">"),
    ">": (">=", "<="),
    ">=": (">", "<"),
    "==": ("!=",),
    "!=": ("==",),
    "is": ("is not",),
    "is not": ("is",),
    "in": ("not in",),
    "not in": ("in",),
}
_SIGNS = {"+": "-", "-": "+", "*": "/", "/": "*", "//": "*"}
_EXTREMES = {"max": "min", "min": "max", "any": "all", "all": "any"}
_PLAIN = (ast.Name, ast.Attribute, ast.Call)
_ENDS = (ast.Return, ast.Raise, ast.Continue, ast.Break)
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change: the bytes from `start` to `end` of a file become `text`."""

    path: str
    scope: str
    line: int
    kind: str
    start: int
    end: int
    text: bytes
    old: str
    new: str
    # Tells equal changes of one function apart, and stays when lines elsewhere come and go.
    ordinal: int = 0

    @property
    def name(self) -> str:
        """What identifies it while its function stays as it is."""
        return f"{self.path}|{self.scope}|{self.kind}|{self.old}|{self.new}|{self.ordinal}"

    def applied(self, source: bytes) -> bytes:
        """The mutated source."""
        return source[: self.start] + self.text + source[self.end :]


def mutants(path: str, source: bytes) -> list[Mutant]:
    """Every mutant of a module that still compiles, in the order of its lines."""
    tree = ast.parse(source)
    found, seen, counts = [], set(), Counter[str]()
    for scope, node, parent in _nodes(tree):
        for kind, start, end, text in _Maker(source, scope).changes(node, parent):
            mutated = source[:start] + text + source[end:]
            if mutated in seen or not _compiles(mutated, tree):
                continue
            seen.add(mutated)
            around = parent if isinstance(node, ast.Constant) and _is_small(parent) else node
            old, new = _shown(source, around, start, end, text)
            place = f"{scope}|{kind}|{old}|{new}"
            line = source.count(b"\n", 0, start) + 1
            found.append(Mutant(path, scope, line, kind, start, end, text, old, new, counts[place]))
            counts[place] += 1
    return sorted(found, key=lambda mutant: (mutant.start, mutant.end, mutant.text))


def _nodes(tree: ast.Module) -> Iterator[tuple[str, ast.AST, ast.AST]]:
    """Every node that is computed when the module is used, with its function and its parent."""
    todo: list[tuple[str, ast.AST, ast.AST]] = [("", tree, tree)]
    while todo:
        scope, node, parent = todo.pop()
        # Positions inside f-strings are not those of the file, and a text decides nothing.
        if isinstance(node, ast.JoinedStr | ast.Import | ast.ImportFrom):
            continue
        yield scope, node, parent
        inner = scope
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = f"{scope}.{node.name}".lstrip(".")
        for field, value in ast.iter_fields(node):
            if field in {"annotation", "returns", "decorator_list", "bases"}:
                continue
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    todo.append((inner, child, node))  # noqa: PERF401 - a comprehension hides it


def _compiles(mutated: bytes, original: ast.Module) -> bool:
    try:
        return ast.dump(ast.parse(mutated)) != ast.dump(original)
    except SyntaxError:
        return False


def _is_small(node: ast.AST) -> bool:
    return isinstance(node, ast.expr | ast.keyword | ast.AnnAssign | ast.Return) and (
        node.lineno == node.end_lineno
    )


def _shown(source: bytes, node: ast.AST, start: int, end: int, text: bytes) -> tuple[str, str]:
    first, last = _span(source, node)
    first, last = min(first, start), max(last, end)
    old = source[first:last]
    new = source[first:start] + text + source[end:last]
    return " ".join(old.decode().split()), " ".join(new.decode().split())


def _offset(source: bytes, line: int, column: int) -> int:
    start = 0
    for _ in range(line - 1):
        start = source.index(b"\n", start) + 1
    return start + column


def _span(source: bytes, node: ast.AST | None) -> tuple[int, int]:
    if not isinstance(node, ast.expr | ast.stmt | ast.keyword | ast.arg):
        return len(source), 0
    return (
        _offset(source, node.lineno, node.col_offset),
        _offset(source, node.end_lineno or node.lineno, node.end_col_offset or 0),
    )


Change = tuple[str, int, int, bytes]


class _Maker:
    """The changes that one node offers."""

    def __init__(self, source: bytes, scope: str) -> None:
        self._source = source
        self._scope = scope

    def changes(self, node: ast.AST, parent: ast.AST) -> Iterator[Change]:
        """Every kind of change; most nodes offer none."""
        match node:
            case ast.Compare():
                yield from self._compared(node)
            case ast.BoolOp():
                yield from self._joined(node)
            case ast.BinOp():
                yield from self._signed(node.left, node.right)
            case ast.UnaryOp():
                yield from self._bare(node)
            case ast.Constant():
                yield from self._constant(node, parent)
            case ast.Call(func=ast.Name(id=name)) if name in _EXTREMES:
                start, end = _span(self._source, node.func)
                yield "extreme", start, end, _EXTREMES[name].encode()
            case ast.Dict() | ast.Set() | ast.Tuple():
                yield from self._shortened(node, parent)
            case ast.stmt():
                yield from self._statement(node)
        for test in _tests(node):
            start, end = _span(self._source, test)
            yield "condition", start, end, b"not (" + self._source[start:end] + b")"

    def _between(self, left: ast.AST, right: ast.AST, pattern: str) -> tuple[int, int, str] | None:
        first, last = _span(self._source, left)[1], _span(self._source, right)[0]
        found = re.search(pattern.encode(), self._source[first:last])
        if found is None:
            return None
        return first + found.start(), first + found.end(), found.group().decode()

    def _compared(self, node: ast.Compare) -> Iterator[Change]:
        operators = r"not\s+in\b|is\s+not\b|<=|>=|==|!=|<|>|\bin\b|\bis\b"
        for left, right in pairwise([node.left, *node.comparators]):
            if found := self._between(left, right, operators):
                start, end, operator = found
                for other in _SWAPS[" ".join(operator.split())]:
                    yield "comparison", start, end, other.encode()

    def _joined(self, node: ast.BoolOp) -> Iterator[Change]:
        other = b"or" if isinstance(node.op, ast.And) else b"and"
        for left, right in pairwise(node.values):
            if found := self._between(left, right, r"\band\b|\bor\b"):
                yield "and/or", found[0], found[1], other

    def _signed(self, left: ast.AST, right: ast.AST) -> Iterator[Change]:
        found = self._between(left, right, r"//|[+\-*/]")
        if found is not None:
            yield "sign", found[0], found[1], _SIGNS[found[2]].encode()

    def _bare(self, node: ast.UnaryOp) -> Iterator[Change]:
        is_number = isinstance(node.operand, ast.Constant)
        if isinstance(node.op, ast.Not) or (isinstance(node.op, ast.USub) and not is_number):
            kind = "not" if isinstance(node.op, ast.Not) else "sign"
            yield kind, _span(self._source, node)[0], _span(self._source, node.operand)[0], b""

    def _constant(self, node: ast.Constant, parent: ast.AST) -> Iterator[Change]:
        start, end = _span(self._source, node)
        value = node.value
        if isinstance(value, bool):
            yield "boolean", start, end, str(not value).encode()
        elif isinstance(value, int | float):
            for other in (value + 1, value - 1):
                yield "constant", start, end, f"{other}".encode()
        elif isinstance(value, str) and _is_decimal(parent) and _NUMBER.fullmatch(value):
            whole, point, rest = value.partition(".")
            for other in (int(whole) + 1, int(whole) - 1):
                yield "constant", start, end, f'"{other}{point}{rest}"'.encode()

    def _shortened(self, node: ast.Dict | ast.Set | ast.Tuple, parent: ast.AST) -> Iterator[Change]:
        """The same table without one of its entries."""
        if isinstance(node, ast.Tuple) and (
            self._scope or isinstance(parent, ast.Dict | ast.DictComp)
        ):
            return
        firsts = node.keys if isinstance(node, ast.Dict) else node.elts
        lasts = node.values if isinstance(node, ast.Dict) else node.elts
        if len(firsts) < 2:
            return
        if isinstance(node, ast.Tuple) and len(firsts) == 2:
            for kept in firsts:
                start, end = _span(self._source, kept)
                whole = (_span(self._source, firsts[0])[0], _span(self._source, firsts[1])[1])
                yield "entry", *whole, self._source[start:end] + b","
            return
        ends = [_span(self._source, last)[1] for last in lasts]
        starts = [
            self._source.rindex(b"**", 0, _span(self._source, last)[0])
            if first is None
            else _span(self._source, first)[0]
            for first, last in zip(firsts, lasts, strict=True)
        ]
        for place, start in enumerate(starts[:-1]):
            yield "entry", start, starts[place + 1], b""
        yield "entry", ends[-2], ends[-1], b""

    def _statement(self, node: ast.stmt) -> Iterator[Change]:
        start, end = _span(self._source, node)
        match node:
            case ast.Return(value=ast.expr() as value) if not isinstance(value, ast.Constant):
                yield "return", start, end, b"return None"
            case ast.AugAssign():
                if found := self._between(node.target, node.value, r"[+\-]="):
                    yield "sign", found[0], found[1], b"-=" if found[2] == "+=" else b"+="
        if self._scope and _is_removable(node):
            yield "statement", start, end, b"pass"


def _tests(node: ast.AST) -> Iterable[ast.expr]:
    tests: list[ast.expr] = []
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        tests = [node.test]
    elif isinstance(node, ast.comprehension):
        tests = node.ifs
    return [test for test in tests if isinstance(test, _PLAIN)]


def _is_decimal(node: ast.AST) -> bool:
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and (node.func.id == "Decimal")
    )


def _is_removable(node: ast.stmt) -> bool:
    match node:
        case ast.Expr(value=ast.Constant()):
            return False
        case ast.Expr() | ast.AugAssign() | ast.Raise() | ast.Continue() | ast.Break():
            return True
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
            return True
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            # A name that is made of itself is also there without it.
            return any(isinstance(part, ast.Name) and part.id == name for part in ast.walk(value))
        case ast.If(orelse=[]):
            return isinstance(node.body[-1], _ENDS)
        case _:
            return False
