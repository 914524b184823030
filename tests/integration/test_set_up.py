"""Set-up on strangers' machines: it finds an interpreter, or names the package that is missing.

The interpreters here are shell scripts that write down what they were asked to do.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent.parent
NEEDED = ("sh", "cat", "cksum", "dirname", "sed", "mkdir", "cp", "chmod")
PYTHON = """#!/bin/sh
echo "$0 $*" >> "$CALLS"
case "$*" in
    *'%d.%d'*) echo 3.12 ;;
    *sys.version_info*) exit {is_too_old} ;;
    *sys.executable*) echo "$0" ;;
    *'import ensurepip'*) exit {lacks_venv} ;;
    *'-m venv'*) mkdir -p .venv/bin; cp "$0" .venv/bin/python; cp "$0" .venv/bin/umbra
        cp "$UV" .venv/bin/uv ;;
esac
"""
UV = """#!/bin/sh
echo "uv $*" >> "$CALLS"
exit {exit_code}
"""


class Machine:
    """A stranger's machine: a checkout, a PATH of its own, and the calls that were made."""

    def __init__(self, root: Path) -> None:
        self.checkout, self.bin, self.calls_path = root / "umbra", root / "bin", root / "calls"
        for folder in ("scripts", "requirements"):
            shutil.copytree(REPOSITORY / folder, self.checkout / folder)
        shutil.copy(REPOSITORY / "pyproject.toml", self.checkout)
        self.bin.mkdir()
        for name in NEEDED:
            (self.bin / name).symlink_to(str(shutil.which(name)))
        self.uv_path = root / "uv"
        self.has_uv_that_exits_with(0)

    def has_python(self, name: str, *, is_too_old: bool = False, lacks_venv: bool = False) -> None:
        path = self.bin / name
        path.write_text(PYTHON.format(is_too_old=int(is_too_old), lacks_venv=int(lacks_venv)))
        path.chmod(0o755)

    def has_uv_that_exits_with(self, exit_code: int) -> None:
        self.uv_path.write_text(UV.format(exit_code=exit_code))
        self.uv_path.chmod(0o755)

    def set_up(self, kind: str = "dev") -> "subprocess.CompletedProcess[str]":
        self.calls_path.write_text("")
        environment = {
            "PATH": str(self.bin),
            "CALLS": str(self.calls_path),
            "UV": str(self.uv_path),
            "HOME": os.environ.get("HOME", "/"),
        }
        script = self.checkout / "scripts" / "set-up"
        return subprocess.run(
            [script, kind], env=environment, capture_output=True, text=True, check=False
        )

    def installs(self) -> list[str]:
        """The calls that install something, in order."""
        return [call for call in self.calls_path.read_text().splitlines() if " install " in call]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_without_any_python_the_packages_to_install_are_named(machine: Machine) -> None:
    done = machine.set_up()
    assert done.returncode == 1
    assert "Python 3.11 or newer" in done.stderr
    assert "python3 and python3-venv" in done.stderr


def test_with_only_an_old_python_the_packages_to_install_are_named(machine: Machine) -> None:
    machine.has_python("python3", is_too_old=True)
    done = machine.set_up()
    assert done.returncode == 1
    assert "python3.11-venv" in done.stderr


def test_without_venv_its_package_is_named(machine: Machine) -> None:
    machine.has_python("python3", lacks_venv=True)
    done = machine.set_up()
    assert done.returncode == 1
    assert "Install the package python3-venv (or python3.12-venv)" in done.stderr


def test_a_newer_python_beside_an_old_python3_is_used(machine: Machine) -> None:
    machine.has_python("python3", is_too_old=True)
    machine.has_python("python3.12")
    done = machine.set_up()
    assert done.returncode == 0, done.stderr
    assert "making .venv with" in done.stdout
    assert done.stdout.split("making .venv with ")[1].startswith(str(machine.bin / "python3.12"))


def test_everything_is_installed_by_hash_but_for_the_project_itself(machine: Machine) -> None:
    machine.has_python("python3")
    assert machine.set_up("dev").returncode == 0
    tools, locked, project = machine.installs()
    assert "--require-hashes -r requirements/build.txt" in tools
    assert "--require-hashes -r requirements/dev.txt" in locked
    assert "--no-deps --no-build-isolation --editable ." in project


def test_a_second_time_nothing_is_done_until_a_lock_changes(machine: Machine) -> None:
    machine.has_python("python3")
    machine.set_up()
    machine.set_up()
    assert machine.installs() == []
    with (machine.checkout / "requirements" / "dev.txt").open("a") as lock:
        lock.write("another==1\n")
    machine.set_up()
    assert len(machine.installs()) == 3


def test_an_environment_for_development_is_enough_for_use_but_not_the_other_way(
    machine: Machine,
) -> None:
    machine.has_python("python3")
    machine.set_up("runtime")
    assert any("requirements/runtime.txt" in call for call in machine.installs())
    machine.set_up("dev")
    assert any("requirements/dev.txt" in call for call in machine.installs())
    (machine.checkout / ".venv" / ".runtime").unlink()
    machine.set_up("runtime")
    assert machine.installs() == []


def test_pip_stands_in_where_uv_reaches_no_index(machine: Machine) -> None:
    machine.has_python("python3")
    machine.has_uv_that_exits_with(1)
    done = machine.set_up()
    assert done.returncode == 0
    assert "trying the same with pip" in done.stderr
    by_pip = [call for call in machine.installs() if "-m pip install" in call]
    assert any("--require-hashes -r requirements/dev.txt" in call for call in by_pip)


def test_a_checkout_that_was_moved_gets_a_new_environment(machine: Machine) -> None:
    machine.has_python("python3")
    machine.set_up()
    machine.checkout = machine.checkout.rename(machine.checkout.with_name("moved"))
    assert "making .venv" in machine.set_up().stdout
