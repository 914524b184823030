"""How much of what decides about money its own tests reach: `python -m tests.mutants.reached`.

Every module that mutants are made of is run by the tests that answer for it, and by no other; a
line or a branch that none of them reaches makes the exit code 1.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.mutants.known import TARGETS

_COVERAGE = str(Path(sys.executable).parent / "coverage")


def main() -> int:
    """Run the tests, and print statements, branches and what was missed of each module."""
    tests = dict.fromkeys(test for target in TARGETS for test in target.tests)
    paths = ",".join(target.path for target in TARGETS)
    with tempfile.TemporaryDirectory(prefix="reached-") as folder:
        environment = os.environ | {"COVERAGE_FILE": str(Path(folder) / "data")}
        for command in (
            ("run", "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests),
            ("combine", "-q"),
            ("report", "--no-skip-covered", f"--include={paths}", "--fail-under=100"),
        ):
            ended = subprocess.run([_COVERAGE, *command], env=environment, check=False)
            if ended.returncode:
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
