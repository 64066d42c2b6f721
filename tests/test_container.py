"""The Dockerfile: built and run by an engine, or its steps tried one by one without one.

Without an engine each step runs in a root folder of its own (``unshare`` and ``chroot``), which
holds the system's programs, the Python of the tests with its packages, and what the steps
themselves put there. ``pip`` installs the suite alone, from the copied files: the packages it needs
are there.
"""

from __future__ import annotations

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from otbench.home import home

pytestmark = pytest.mark.slow

HERE = Path(__file__).parents[1]
COMMAND = ["run", "--methods", "ae,crossfade", "--preset", "smoke"]
SECONDS = 1800

ETC = ("ld.so.cache", "resolv.conf", "nsswitch.conf", "ssl/certs/ca-certificates.crt")
"""What programs look up in /etc; users are the steps' own."""

LIVE = ("/dev", "/proc", "/sys")
"""Mounted as they are; all else cannot be written to."""

PIP = """#!/bin/sh
# Only the suite, from the files of the working directory.
case "$*" in *"-c constraints.txt"*".[all]"*) ;; *) echo "pip $*"; exit 9;; esac
test -f constraints.txt || exit 8
exec {python} -m pip install --quiet --no-deps --no-build-isolation --no-index \\
    --no-warn-script-location --target /site .
"""


def instructions(text: str) -> list[tuple[str, str]]:
    """Split a Dockerfile into names and arguments."""
    joined = re.sub(r"\\\n\s*", " ", re.sub(r"^\s*#.*\n", "", text, flags=re.M))
    return [tuple(line.split(None, 1)) for line in joined.splitlines() if line.strip()]  # type: ignore[misc]


def engine() -> str | None:
    """Return an engine that answers."""
    for name in ("docker", "podman"):
        if shutil.which(name):
            asked = [name, "info"]
            if subprocess.run(asked, capture_output=True, timeout=60).returncode == 0:
                return name
    return None


def copied(root: Path) -> None:
    """Copy what an engine would be given, by ``.dockerignore``."""
    patterns = (HERE / ".dockerignore").read_text().split()

    def ignored(folder: str, names: list[str]) -> list[str]:
        inside = Path(folder).relative_to(HERE)
        return [name for name in names if any(fits(inside / name, p) for p in patterns)]

    def fits(path: Path, pattern: str) -> bool:
        anywhere = pattern.startswith("**/")
        return fnmatch.fnmatch(path.name if anywhere else str(path), pattern.removeprefix("**/"))

    shutil.copytree(HERE, root, ignore=ignored, dirs_exist_ok=True)


class Root:
    """A root folder in which the steps of a Dockerfile are run."""

    def __init__(self, root: Path) -> None:
        self.root, self.user, self.directory = root, "0", "/"
        self.variables = {
            "PATH": "/shim:/site/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "PYTHONPATH": "/site",
            "HOME": "/",
            "LANG": "C.UTF-8",
        }
        self.mounts = {"/usr", *LIVE, sys.prefix, sys.base_prefix}
        for name in ("bin", "sbin", "lib", "lib64"):
            if Path("/", name).is_symlink():
                (root / name).symlink_to(os.readlink(f"/{name}"))
            elif Path("/", name).is_dir():
                self.mounts.add(f"/{name}")
        (root / "tmp").mkdir()
        (root / "tmp").chmod(0o1777)
        self.write("etc/passwd", "root:x:0:0::/:/bin/sh\n")
        self.write("etc/group", "root:x:0:\n")
        for name in ETC:
            if Path("/etc", name).exists():
                self.write(f"etc/{name}", Path("/etc", name).read_bytes())
        self.write("shim/pip", PIP.format(python=sys.executable))
        (root / "shim/pip").chmod(0o755)
        self.write("shim/python", f'#!/bin/sh\nexec {sys.executable} "$@"\n')
        (root / "shim/python").chmod(0o755)

    def write(self, name: str, content: str | bytes) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    def run(self, command: list[str], network: bool = True, **more: str) -> str:
        """Run a command as the user and in the folder of the steps so far."""
        lines = ["set -e"]
        for mount in sorted(self.mounts):
            place = self.root / mount.lstrip("/")
            place.mkdir(parents=True, exist_ok=True)
            target = shlex.quote(str(place))
            lines.append(f"mount --rbind {shlex.quote(mount)} {target}")
            if mount not in LIVE:
                lines.append(f"mount -o remount,bind,ro {target}")
        ids = ["--clear-groups", f"--reuid={self.user}", f"--regid={self.user}"]
        variables = [f"{name}={value}" for name, value in (self.variables | more).items()]
        inner = f"cd {shlex.quote(self.directory)} && exec {shlex.join(command)}"
        within = ["setpriv", *ids, "env", "-i", *variables, "sh", "-c", inner]
        lines.append(f"exec {shlex.join(['chroot', str(self.root), *within])}")
        apart = ["unshare", "--mount", "--propagation", "private"]
        apart += [*([] if network else ["--net"]), "sh", "-c", "\n".join(lines)]
        ended = subprocess.run(apart, capture_output=True, text=True, timeout=SECONDS)
        assert ended.returncode == 0, f"{shlex.join(command)}\n{ended.stdout}\n{ended.stderr}"
        return ended.stdout

    def follow(self, name: str, argument: str) -> None:
        """Follow one instruction."""
        match name:
            case "ARG":
                key, _, value = argument.partition("=")
                self.variables[key] = value.strip('"')
            case "ENV":
                self.variables |= dict(part.split("=", 1) for part in shlex.split(argument))
            case "WORKDIR":
                self.directory = argument
                (self.root / argument.lstrip("/")).mkdir(parents=True, exist_ok=True)
            case "COPY":
                assert argument == ". ."
                copied(self.root / self.directory.lstrip("/"))
            case "RUN":
                self.run(["sh", "-c", argument])
            case "USER":
                users = (line.split(":") for line in (self.root / "etc/passwd").read_text().split())
                self.user = next(fields[2] for fields in users if fields[0] == argument)
                self.variables["HOME"] = f"/home/{argument}"
            case "FROM" | "ENTRYPOINT" | "CMD":
                pass
            case _:
                raise AssertionError(f"{name} is not known here")


@pytest.fixture
def root() -> Iterator[Path]:
    # Not below pytest's own folder, which no other user may enter.
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    yield path
    # Each step mounts in a namespace of its own; should that ever fail, nothing may be removed.
    assert str(path) not in Path("/proc/self/mountinfo").read_text()
    shutil.rmtree(path)


def test_the_steps_of_the_dockerfile(root: Path) -> None:
    if engine() is not None:
        pytest.skip("an engine builds it")
    if os.geteuid() != 0 or not all(map(shutil.which, ("unshare", "chroot", "setpriv", "mount"))):
        pytest.skip("needs an engine, or root and unshare")
    steps = instructions((HERE / "Dockerfile").read_text())
    made = Root(root)
    held = home() / "assets"
    if held.is_dir():
        # What was fetched before is given as a user's own folder.
        made.mounts.add(str(held))
        made.variables["OTBENCH_DATA_DIR"] = str(held)
    for name, argument in steps:
        made.follow(name, argument)
    assert made.user == "1000"
    del made.variables["OTBENCH_DATA_DIR"]
    made.mounts.discard(str(held))
    (entry,) = (json.loads(argument) for name, argument in steps if name == "ENTRYPOINT")
    said = made.run([*entry, *COMMAND], network=False)
    assert "mse ↓" in said
    records = list((root / "work/results").glob("cells/*/*/record.json"))
    assert {json.loads(file.read_text())["status"] for file in records} == {"ok"}
    assert len(records) == 2
    assert {file.stat().st_uid for file in records} == {1000}
    # The suite that ran is the one that was copied, and nothing but the results was written.
    assert made.run(["python", "-c", "import otbench; print(otbench.__file__)"]).startswith(
        "/site/"
    )
    assert "2 of 2 cells reused" in made.run([*entry, *COMMAND], network=False)


def test_an_engine_builds_and_runs_it(tmp_path: Path) -> None:
    name = engine()
    if name is None:
        pytest.skip("no engine that answers")
    image = [name, "build", "--tag", "otbench-test", str(HERE)]
    subprocess.run(image, check=True, timeout=SECONDS)
    tmp_path.chmod(0o777)
    command = [name, "run", "--rm", "--network", "none", "--volume", f"{tmp_path}:/work/results"]
    subprocess.run([*command, "otbench-test", *COMMAND], check=True, timeout=SECONDS)
    records = list(tmp_path.glob("cells/*/*/record.json"))
    assert {json.loads(file.read_text())["status"] for file in records} == {"ok"}
