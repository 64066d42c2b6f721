"""Whatever ends the checks before a run, or never ends them, is named with what it was at."""

from __future__ import annotations

import os
import sys
import textwrap
import time
import warnings
from pathlib import Path

import pytest

from otbench.errors import DataError, OTBenchError
from otbench.plugins import forking
from otbench.plugins.child import environment
from otbench.plugins.files import find_plugins
from otbench.run import checks
from otbench.run.candidates import _end_of_a_copy
from otbench.run.checks import preflight
from otbench.run.request import Plan, Request, Sweep
from otbench.run.trail import ASK, FETCH, IMPORT, LOAD, MAKE, RUN, Stage, Trail, standing

FAULTS = {
    "exits": ("os._exit(3)", "ended the process (exit code 3)"),
    "exits well": ("os._exit(0)", "ended the process (exit code 0)"),
    "segfaults": ("ctypes.string_at(0)", "ended the process (SIGSEGV)"),
    "is killed": ("os.kill(os.getpid(), 9)", "ended the process (SIGKILL)"),
    "hangs": ("time.sleep(600)", "did not end within 0.3 s"),
}
STAGES = [
    Stage(IMPORT, "method", "mine"),
    Stage(MAKE, "method", "mine[size=1]"),
    Stage(ASK, "method", "mine[size=1]"),
    Stage(IMPORT, "data set", "mine"),
    Stage(LOAD, "data set", "mine"),
    Stage(MAKE, "task", "mine"),
    Stage(FETCH, "metric", "mine"),
    Stage(RUN, "metric", "mine[k=3]"),
]

PLAYED = """
import ctypes, json, os, sys, time
from pathlib import Path
from otbench.run.request import PLAN, REQUEST, TRAIL
from otbench.run.trail import Stage, Trail
folder = Path(sys.argv[1])
request = json.loads((folder / REQUEST).read_text())
trail, stage = Trail(folder / TRAIL), Stage(*json.loads(sys.argv[2]))
with trail.stage("importing it", "method", "innocent"):
    print("garbage \\0 {", flush=True)
if str(stage) not in request["avoid"]:
    with trail.stage(stage.doing, stage.kind, stage.name):
        with trail.stage("making it", "metric", "innocent"):
            pass
        FAULT
(folder / "temporary").write_text(json.dumps({"warnings": [json.dumps(request["avoid"])]}))
os.replace(folder / "temporary", folder / PLAN)
time.sleep(600)
"""
"""Checks of our own, which import next to nothing; at the end a thread of somebody's lives on."""


@pytest.fixture
def attempts(monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """Return the requests that the checks were started with."""
    seen: list[Request] = []
    really = checks._attempt

    def counted(request, say):
        seen.append(request)
        return really(request, say)

    monkeypatch.setattr(checks, "_attempt", counted)
    return seen


def play(code: str, stage: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the checks be something else."""
    command = [sys.executable, "-P", "-c", code]
    monkeypatch.setattr(forking, "fork", lambda *arguments, **settings: None)
    monkeypatch.setattr(forking, "python", lambda module, folder: [*command, folder, stage])


def a_request(*methods: str, **content) -> Request:
    sweep = Sweep(list(methods), ["digits"], [0], metrics=content.pop("wanted", None))
    return Request([sweep], [], "smoke", device="cpu", **content)


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("stage", STAGES, ids=str)
def test_the_culprit_is_named_with_its_stage(
    stage: Stage, fault: str, monkeypatch: pytest.MonkeyPatch, attempts: list[Request]
) -> None:
    code, how = FAULTS[fault]
    played = PLAYED.replace("FAULT", code)
    named = f'["{stage.doing}", "{stage.kind}", "{stage.name}"]'
    play(played, named, monkeypatch)
    request = a_request("mine", check_seconds=0.3 if fault == "hangs" else None)
    if stage.kind == "data set":
        with pytest.raises(DataError) as caught:
            preflight(request)
        assert str(caught.value) == f"{stage} {how}"
        assert len(attempts) == 1
    else:
        preflight(request)
        assert request.avoid == {str(stage): f"{stage.doing} {how}"}
        assert len(attempts) == 2


def test_nobody_is_blamed_where_no_plugin_was_at_work(monkeypatch: pytest.MonkeyPatch) -> None:
    played = PLAYED.replace("if str(stage)", "os._exit(4)\nif str(stage)")
    play(played, "[1,2,3]", monkeypatch)
    request = a_request("mine")
    with pytest.raises(OTBenchError, match=r"after method innocent: importing it, .*exit code 4"):
        preflight(request)
    assert request.avoid == {}


def test_what_takes_long_is_said_and_a_download_that_moves_is_no_hang(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    moving = "for _ in range(8):\n            time.sleep(0.1)\n            trail.moves()"
    quiet = "time.sleep(0.3)"
    monkeypatch.setattr(checks, "SAID_AFTER", 0.2)
    said: list[str] = []
    for code in (moving, quiet):
        played = PLAYED.replace("FAULT", code)
        named = f'["{LOAD}", "data set", "mine"]'
        play(played, named, monkeypatch)
        preflight(a_request("mine", check_seconds=0.6), said.append)
        if code is moving:
            assert said == []
    assert said == ["data set mine: loading it takes long; the limit is 0.6 s"]


def test_a_trail_with_a_half_written_line(tmp_path: Path) -> None:
    trail = Trail(tmp_path / "trail")
    with trail.stage(IMPORT, "method", "a"):
        pass
    with pytest.raises(RuntimeError), trail.stage(MAKE, "method", "a"):
        raise RuntimeError
    with (tmp_path / "trail").open("a") as file:
        file.write('{"begun": ["import')
    found = standing(tmp_path / "trail")
    assert found.stage is None
    assert found.passed == (Stage(IMPORT, "method", "a"), Stage(MAKE, "method", "a"))


STRANGERS = """
import ctypes
import os
import time
from dataclasses import dataclass

from otbench.metrics.pixel import MSE
from otbench_methods.interpolators.crossfade import Crossfade


@dataclass
class Fine(Crossfade):
    pass


@dataclass
class ExitsWhenMade(Crossfade):
    def __post_init__(self):
        os._exit(0)


@dataclass
class RaisesWhenMade(Crossfade):
    def __post_init__(self):
        raise RuntimeError("no such device")


@dataclass
class QuitsWhenAsked(Crossfade):
    def parameters(self):
        raise SystemExit("enough")


@dataclass(frozen=True)
class Segfaults(MSE):
    def compute(self, artefact, ctx):
        ctypes.string_at(0)
"""
MODULES = {
    "kp_exits": "import os; os._exit(3)",
    "kp_killed": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "kp_prints": "import atexit, sys\nfrom kp_strangers import Fine\n"
    "print('garbage \\0 {' * 1000)\natexit.register(print, 'and more')\nsys.stdout.close()",
    "kp_strangers": STRANGERS,
}
ENTRY_POINTS = """
[otbench.methods]
kp-exits = kp_exits:Fine
kp-killed = kp_killed:Fine
kp-prints = kp_prints:Fine
kp-exits-when-made = kp_strangers:ExitsWhenMade
kp-raises-when-made = kp_strangers:RaisesWhenMade
kp-quits-when-asked = kp_strangers:QuitsWhenAsked
[otbench.metrics]
kp-segfaults = kp_strangers:Segfaults
"""


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Install a stranger's distribution for child processes; return the names of its methods."""
    folder = tmp_path / "site"
    metadata = folder / "kp_strangers-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: kp-strangers\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    for name, text in MODULES.items():
        (folder / f"{name}.py").write_text(text)
    before = environment().get("PYTHONPATH", "")
    monkeypatch.setenv("PYTHONPATH", f"{folder}:{before}".rstrip(":"))
    monkeypatch.setenv("OTBENCH_HOME", str(tmp_path / "home"))
    return [line.split()[0] for line in ENTRY_POINTS.splitlines() if ":" in line][:-1]


def test_several_culprits_cost_few_starts_and_nothing_else_is_lost(
    installed: list[str], attempts: list[Request]
) -> None:
    wanted = {"reconstruction": ["mse", "kp-segfaults"]}
    plan: Plan = preflight(a_request(*installed, "crossfade", wanted=wanted))
    assert [entry["cell"]["method"] for entry in plan.cells] == ["kp-prints", "crossfade"]
    assert {row["method"]: (row["status"], row["reason"]) for row in plan.rejected} == {
        "kp-exits": ("not_installed", "importing it ended the process (exit code 3)"),
        "kp-killed": ("not_installed", "importing it ended the process (SIGKILL)"),
        "kp-exits-when-made": ("failed", "making it ended the process (exit code 0)"),
        "kp-raises-when-made": ("failed", "making it: RuntimeError: no such device"),
        "kp-quits-when-asked": ("failed", "asking for its settings: SystemExit: enough"),
    }
    reason = "trying it on a few items ended the process (SIGSEGV)"
    assert plan.unavailable == {"kp-segfaults": reason}
    # The first method, the metric, and the rest.
    assert len(attempts) == 3


def test_a_copy_that_hangs_is_given_up() -> None:
    with warnings.catch_warnings():
        # The process of the tests has threads, and the copy does nothing but sleep.
        warnings.simplefilter("ignore")
        assert _end_of_a_copy(lambda: time.sleep(600), 0.2) == "did not end within 0.18 s"
        assert _end_of_a_copy(lambda: os._exit(0), 20) == "ended the process (exit code 0)"
        assert _end_of_a_copy(lambda: 1 / 0, 20) is None


DYING_FILES = {
    "exits": ("import os; os._exit(3)", "importing it ended the process (exit code 3)"),
    "raises": ("raise RuntimeError('not today')", "RuntimeError: not today"),
    "quits": ("import sys; sys.exit('no')", "SystemExit: no"),
}


@pytest.mark.parametrize("name", DYING_FILES)
def test_a_file_that_cannot_be_imported_is_a_method_with_its_reason(
    name: str, tmp_path: Path
) -> None:
    code, problem = DYING_FILES[name]
    (tmp_path / "my_method.py").write_text(code)
    found = find_plugins(str(tmp_path / "my_method.py"))
    assert found.problem == problem
    assert [plugin.name for plugin in found.plugins] == ["my-method"]


def test_a_file_may_print_what_it_likes(tmp_path: Path) -> None:
    text = """
        import atexit, sys
        from otbench_methods.interpolators.crossfade import Crossfade
        class Loud(Crossfade):
            pass
        print("[{}]")
        atexit.register(sys.stdout.write, "\\udcff" * 3)
    """
    (tmp_path / "loud.py").write_text(textwrap.dedent(text))
    found = find_plugins(str(tmp_path / "loud.py"))
    assert (found.problem, [plugin.name for plugin in found.plugins]) == (None, ["loud"])


def test_a_file_that_hangs_is_given_up(tmp_path: Path) -> None:
    (tmp_path / "slow.py").write_text("import time; time.sleep(600)")
    assert find_plugins(str(tmp_path / "slow.py"), 0.2).problem == (
        "importing it did not end within 0.2 s"
    )
