"""The image of the Dockerfile, replayed once for all tests of this folder."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.container import dockerfile

REPOSITORY = Path(__file__).resolve().parent.parent.parent


def _run_as() -> tuple[str, ...]:
    """How to become somebody who is not root; nothing to do where we are nobody special."""
    if os.geteuid() != 0:
        return ()
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("root cannot become another user: install the package util-linux")
    return (setpriv, *dockerfile.BECOME_OTHER_USER)


@pytest.fixture(scope="session")
def image() -> Iterator[dockerfile.Image]:
    """The last stage of the Dockerfile, below a fresh folder that another user may enter."""
    run_as = _run_as()
    root = Path(tempfile.mkdtemp(prefix="umbra-image-"))
    try:
        root.chmod(0o755)
        home = root / "home"
        home.mkdir(mode=0o777)
        home.chmod(0o777)
        probe = "import ensurepip, sys; sys.exit(sys.version_info < (3, 11))"
        python = [*run_as, "/usr/bin/env", "PATH=/usr/local/bin:/usr/bin:/bin", "python3"]
        if subprocess.run([*python, "-c", probe], cwd="/", check=False).returncode != 0:
            pytest.skip("no python3 >= 3.11 with venv for all users: install python3-venv")
        steps = dockerfile.parse((REPOSITORY / "Dockerfile").read_text())
        yield dockerfile.replay(steps, REPOSITORY, root, run_as)
    finally:
        shutil.rmtree(root, ignore_errors=True)
