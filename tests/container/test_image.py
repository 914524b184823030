"""The image: built from the locks alone, not root's, and with nothing in it that can be changed."""

from pathlib import Path

import pytest

from tests.container import dockerfile
from tests.container.conftest import REPOSITORY

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


def test_a_step_that_the_replay_does_not_know_is_refused(tmp_path: Path) -> None:
    steps = dockerfile.parse("FROM python\nONBUILD \\\n  RUN true\n# not this\n")
    assert [step.rest for step in steps] == ["python", "RUN true"]
    with pytest.raises(ValueError, match="was ONBUILD"):
        dockerfile.replay(steps, REPOSITORY, tmp_path, ())


def test_everything_is_installed_from_hash_locks() -> None:
    runs = [step.rest for step in dockerfile.parse((REPOSITORY / "Dockerfile").read_text())]
    installs = [part for run in runs for part in run.split("&&") if " install " in part]
    assert len(installs) == 3
    for install in installs:
        # The one without hashes installs our own wheel, and may ask nobody for anything.
        assert "--require-hashes" in install or {"--no-deps", "--offline"} <= set(install.split())


def test_the_agent_is_not_run_as_root(image: dockerfile.Image) -> None:
    assert image.user.split(":")[0] not in ("", "0", "root")


def test_the_image_holds_the_compiled_product_and_no_build_tool(image: dockerfile.Image) -> None:
    (packages,) = image.inside(".venv/lib").glob("python3.*/site-packages")
    for package in ("bot", "trading", "storage", "ccxt", "telegram"):
        assert list((packages / package).glob("__pycache__/*.pyc")), f"{package} is not compiled"
    assert not image.inside(".tools").exists()
    assert not (packages / "hatchling").exists()
    assert not (packages / "pytest").exists()


def test_data_that_is_no_python_comes_along(image: dockerfile.Image) -> None:
    (packages,) = image.inside(".venv/lib").glob("python3.*/site-packages")
    for package in ("bot", "trading", "storage"):
        ours = {
            path.relative_to(REPOSITORY)
            for path in (REPOSITORY / package).rglob("*")
            if path.is_file() and path.suffix in {".html", ".css", ".js", ".mako", ".ini", ".svg"}
        }
        assert {path for path in ours if not (packages / path).exists()} == set()
