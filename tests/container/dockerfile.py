"""Reads the Dockerfile and replays its steps in a folder, without a container engine.

Every stage works in the same folder, so that absolute paths inside what it installs stay true;
what a finished stage left is set aside, and the next one gets only what it copies from there.
"""

import json
import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

IGNORED = frozenset({"VOLUME", "STOPSIGNAL", "EXPOSE", "LABEL"})
# What reaches an index or a proxy on this machine has to reach it for another user as well.
PASSED_ON = ("PIP_", "UV_", "SSL_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
STEP_DEADLINE_S = 240
# A number without a name, as in the image; it becomes the image's user without a process between.
OTHER_USER = "10001:10001"
BECOME_OTHER_USER = (
    *("--reuid=10001", "--regid=10001", "--clear-groups"),
    *("--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"),
)


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction: its word in capitals, and the rest of its line."""

    word: str
    rest: str


@dataclass(slots=True)
class Image:
    """What the last stage left: a folder, an environment, and the commands to start and check."""

    root: Path
    run_as: tuple[str, ...]
    folder: str = "/"
    environment: dict[str, str] = field(default_factory=dict)
    command: list[str] = field(default_factory=list)
    health_command: list[str] = field(default_factory=list)
    user: str = "root"

    def inside(self, path: str) -> Path:
        """Where a path of the image lies in the replay."""
        return self.root / (Path(self.folder) / path).relative_to("/")

    def complete(self, extra: Mapping[str, str]) -> dict[str, str]:
        """The image's environment, on top of the little that reaches an index from here."""
        passed_on = {
            name: value for name, value in os.environ.items() if name.upper().startswith(PASSED_ON)
        }
        home = {"HOME": str(self.root / "home"), "PATH": "/usr/local/bin:/usr/bin:/bin"}
        return {**passed_on, **home, **self.environment, **extra}

    def start(self, command: list[str], extra: Mapping[str, str], log: Path) -> subprocess.Popen:
        """Start a command in the image's folder, as its user."""
        with log.open("ab") as output:
            return subprocess.Popen(
                [*self.run_as, *command],
                cwd=self.inside("."),
                env=self.complete(extra),
                stdout=output,
                stderr=output,
            )


def parse(text: str) -> list[Step]:
    """The steps of a Dockerfile, with lines joined and comments left out."""
    kept = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = "\n".join(kept).replace("\\\n", " ")
    steps = []
    for line in filter(str.strip, joined.splitlines()):
        word, _, rest = line.strip().partition(" ")
        steps.append(Step(word.upper(), rest.strip()))
    return steps


def replay(steps: list[Step], context: Path, root: Path, run_as: tuple[str, ...]) -> Image:
    """Do every step below the root folder; the answer is the last stage."""
    image = Image(root, run_as)
    for step in steps:
        if step.word == "FROM":
            _finish_stage(root)
            image = Image(root, run_as)
            (root / ".stage").write_text(step.rest.partition(" AS ")[2] or "last")
        elif step.word == "COPY":
            _copy(image, step.rest, context)
        elif step.word in _SETTINGS:
            _SETTINGS[step.word](image, step.rest)
        elif step.word not in IGNORED:
            raise ValueError(f"a step should be one that the replay knows, was {step.word}")
    return image


def _finish_stage(root: Path) -> None:
    name = root / ".stage"
    if name.exists():
        aside = root / ".finished" / name.read_text()
        aside.mkdir(parents=True)
        for left in root.iterdir():
            if left.name not in {".stage", ".finished", "home"}:
                left.rename(aside / left.name)


def _set_folder(image: Image, rest: str) -> None:
    image.folder = rest
    image.inside(".").mkdir(parents=True)
    _give(image.inside("."), image.run_as)


def _set_environment(image: Image, rest: str) -> None:
    for pair in shlex.split(rest):
        name, _, value = pair.partition("=")
        before = image.complete({})
        value = value.replace(f"${name}", before.get(name, ""))
        # The image's own folder is the only absolute path that the replay moves.
        moved = value.replace(image.folder, str(image.inside(".")))
        image.environment[name] = moved


def _copy(image: Image, rest: str, context: Path) -> None:
    words = shlex.split(rest)
    options = dict(word[2:].split("=", 1) for word in words if word.startswith("--"))
    *sources, target = (word for word in words if not word.startswith("--"))
    for source in sources:
        if "from" in options:
            origin = image.root / ".finished" / options["from"] / source.lstrip("/")
        else:
            origin = context / source
        # Like the engine: a folder's contents go into the target, a file goes into `target/`.
        goal = image.inside(target)
        if origin.is_dir():
            ignore = (
                shutil.ignore_patterns("__pycache__", "*.pyc") if "from" not in options else None
            )
            shutil.copytree(origin, goal, symlinks=True, ignore=ignore, dirs_exist_ok=True)
        else:
            goal = goal / origin.name if target.endswith("/") else goal
            goal.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(origin, goal)
        # The build stage runs as the other user here; in the last one only what is given is its.
        if "from" not in options or "chown" in options:
            _give(image.inside(target), image.run_as)


def _give(path: Path, run_as: tuple[str, ...]) -> None:
    if run_as:
        subprocess.run(["chown", "-R", OTHER_USER, path], check=True)


def _run(image: Image, command: str) -> None:
    done = subprocess.run(
        [*image.run_as, "/bin/sh", "-c", command],
        cwd=image.inside("."),
        env=image.complete({}),
        capture_output=True,
        text=True,
        timeout=STEP_DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, f"RUN {command}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"


def _set_user(image: Image, rest: str) -> None:
    image.user = rest


def _set_health_command(image: Image, rest: str) -> None:
    image.health_command = json.loads(rest.partition("CMD ")[2])


def _set_command(image: Image, rest: str) -> None:
    image.command = json.loads(rest)


_SETTINGS: dict[str, Callable[[Image, str], None]] = {
    "CMD": _set_command,
    "ENV": _set_environment,
    "HEALTHCHECK": _set_health_command,
    "RUN": _run,
    "USER": _set_user,
    "WORKDIR": _set_folder,
}
