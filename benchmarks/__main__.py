"""All benchmarks, one after the other, as one table: `python -m benchmarks [--quick]`.

The exit code is 1 when a benchmark did not do its work. A goal that is missed is shown, and no
failure: figures move with the machine.
"""

import sys
from collections.abc import Callable

from benchmarks import (
    bench_archive,
    bench_journal,
    bench_pictures,
    bench_quotes,
    bench_recovery,
    bench_scan,
    bench_scanner,
    bench_start,
    bench_stop_latency,
    bench_stop_scanning,
    bench_trackers,
)
from benchmarks.table import NotDone, Row, table

BENCHMARKS: dict[str, Callable[[bool], list[Row]]] = {
    "V4": bench_quotes.rows,
    "V4b": bench_trackers.rows,
    "V7": bench_start.rows,
    "V8": bench_stop_latency.rows,
    "V8e": bench_stop_scanning.rows,
    "V9": bench_scan.rows,
    "V9b": bench_scanner.rows,
    "V10": bench_archive.rows,
    "V11": bench_journal.rows,
    "S10": bench_pictures.rows,
    "G4": bench_recovery.unknown_rows,
    "G5": bench_recovery.gap_rows,
}


def main(is_quick: bool) -> int:
    """Run all, print the table, and name what did not do its work."""
    rows: list[Row] = []
    broken: list[str] = []
    for identity, bench in BENCHMARKS.items():
        print(f"{identity} ...", file=sys.stderr, flush=True)
        try:
            rows += bench(is_quick)
        except NotDone as error:
            rows.append(Row(identity, "did not do its work", "none", "a figure", False))
            broken.append(f"{identity}: {error}")
    print(table(rows))
    print(*broken, sep="\n", file=sys.stderr)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main("--quick" in sys.argv[1:]))
