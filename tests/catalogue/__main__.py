"""`make faults`: run what has no result on the present sources, print the table, judge it."""

import argparse
import contextlib
import io
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Mapping

import pytest

from tests.catalogue import evidence, results
from tests.catalogue.faults import FAULTS
from tests.catalogue.gaps import GAPS
from tests.catalogue.judge import Claims, Row, Verdict, judge

_TEXT_WIDTH = 58


class Collector:
    """Hears which tests are marked, and which of them want the machine for themselves."""

    def __init__(self) -> None:
        self.claims: dict[str, dict[str, tuple[str, ...]]] = {}
        self.alone: set[str] = set()
        self.processes: set[str] = set()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Keep every marked test."""
        for item in session.items:
            self.claims[item.nodeid] = evidence.claims_of(item)
            if item.get_closest_marker("alone"):
                self.alone.add(item.nodeid)
            elif item.get_closest_marker("e2e"):
                self.processes.add(item.nodeid)


def collect() -> Collector:
    """Find every marked test without running one."""
    found = Collector()
    with contextlib.redirect_stdout(io.StringIO()) as said:
        code = pytest.main(["--collect-only", "-qq", "-m", "fault"], plugins=[found])
    if code not in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
        raise SystemExit(f"the tests cannot be collected:\n{said.getvalue()}")
    return found


def run(found: Collector, wanted: set[str]) -> None:
    """Run tests as `make test` does: side by side where they allow it."""
    for names, workers in (
        (wanted - found.alone - found.processes, "2"),
        (wanted & found.processes, "4"),
        (wanted & found.alone, "0"),
    ):
        if not names:
            continue
        with tempfile.NamedTemporaryFile("w", suffix=".tests") as listed:
            listed.write("\n".join(sorted(names)))
            listed.flush()
            command = [sys.executable, "-m", "pytest", "-q", "-n", workers, f"@{listed.name}"]
            subprocess.run(command, check=False, cwd=results.REPOSITORY)


def lines(rows: Iterable[Row], *, with_tests: bool) -> Iterable[str]:
    """Say each row in a line, and what is wrong or owed under it."""
    yield f"{'id':<5}{'fault':<{_TEXT_WIDTH}}{'fired in':<22}{'tests':>5}{'fired':>6}  outcome"
    for row in rows:
        words = " ".join(word if word in row.proven else f"({word})" for word in row.fault.words)
        kinds = " ".join(row.kinds) + ("" if row.is_as_planned else f" (not {row.fault.layer})")
        yield (
            f"{row.fault.fault_id:<5}{row.fault.text:<{_TEXT_WIDTH}.{_TEXT_WIDTH - 1}}"
            f"{kinds:<22}{len(row.tests):>5}{len(row.evidence):>6}"
            f"  {row.verdict:<8} {words}"
        )
        if row.gap:
            yield f"     owed: {row.gap}"
        if with_tests:
            yield from (f"     {name}: {seen}" for name, seen in row.evidence.items())
        yield from (f"     !! {problem}" for problem in row.problems)


def summary(rows: list[Row], claims: Claims) -> str:
    """Return the figures under the table."""
    counts = Counter(row.verdict for row in rows)
    said = ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict)
    fired = sum(len(row.evidence) for row in rows)
    less = sum(not row.is_as_planned for row in rows if row.evidence)
    return (
        f"{len(rows)} faults: {said}; {len(claims)} marked tests, {fired} times a fault fired; "
        f"{less} rows in tests of a kind below the one that the catalogue names"
    )


def main() -> int:
    """Print the table; 1 when a row needs attention."""
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--tests", action="store_true", help="name every test with its evidence")
    parser.add_argument("--noted", action="store_true", help="run nothing, take any noted result")
    options = parser.parse_args()
    found = collect()
    state = results.state_of_sources()
    if not options.noted:
        run(found, found.claims.keys() - _of_state(results.read(), state).keys())
    noted = results.read()
    rows = judge(FAULTS, found.claims, noted if options.noted else _of_state(noted, state), GAPS)
    for line in lines(rows, with_tests=options.tests):
        print(line)  # noqa: T201 # a table on the terminal is what this is for
    print(summary(rows, found.claims))  # noqa: T201
    return 1 if any(row.verdict is Verdict.FAILED for row in rows) else 0


def _of_state(noted: Mapping[str, results.Result], state: str) -> dict[str, results.Result]:
    return {name: result for name, result in noted.items() if result.state == state}


if __name__ == "__main__":
    sys.exit(main())
