"""How much of what decides about money its own tests reach: `python -m tests.mutants.reached`.

Every module that mutants are made of is run by the tests that answer for it, and by no other; a
line or a branch that none of them reaches makes the exit code 1.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import slipcover

from tests import counting
from tests.mutants.known import TARGETS


def main() -> int:
    """Run the tests, and print lines, branches and what was missed of each module."""
    tests = dict.fromkeys(test for target in TARGETS for test in target.tests)
    command = (sys.executable, "-m", "pytest", "-q", "-p", "tests.counting")
    with tempfile.TemporaryDirectory(prefix="reached-") as folder:
        environment = os.environ | {"COUNTED_IN": folder}
        ended = subprocess.run(
            [*command, "-p", "no:cacheprovider", *tests], env=environment, check=False
        )
        if ended.returncode:
            return 1
        whole = counting.reached(Path(folder))
    paths = {target.path for target in TARGETS}
    files = {path: told for path, told in whole["files"].items() if path in paths}
    slipcover.print_coverage(whole | {"files": files})
    missed = any(told["missing_lines"] or told["missing_branches"] for told in files.values())
    return int(missed or files.keys() != paths)


if __name__ == "__main__":
    sys.exit(main())
