"""Copies of a loaded process behave as processes of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from otbench.plugins import forking
from otbench.plugins.child import computing
from otbench.plugins.forking import SERVER_ENDED, Process, fork, started

pytestmark = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="processes are copied on Linux only"
)


def execute(code: str, **settings) -> Process:
    """Run a line of Python in a copy, by a module that executes its argument."""
    env = settings.pop("env", None) or computing(1)
    process = fork("timeit", "-n1", "-r1", code, env=env, **settings)
    assert process is not None
    return process


def test_it_has_the_arguments_the_folder_and_the_environment_that_were_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    out, err = tmp_path / "out", tmp_path / "err"
    code = "import os, sys; print(os.getcwd(), os.environ['MINE'], sys.stdin.read()); 1 / 0"
    env = computing(1) | {"MINE": "yes"}
    process = execute(code, env=env, stdout=str(out), stderr=str(err))
    assert process.wait(60) == 1
    assert process.poll() == 1
    assert out.read_text().split("\n")[0] == f"{tmp_path} yes "
    assert "ZeroDivisionError" in out.read_text() + err.read_text()
    assert "MINE" not in os.environ


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("pass", 0),
        ("import os; os._exit(9)", 9),
        ("import os; os.kill(os.getpid(), 9)", -signal.SIGKILL),
        ("import ctypes; ctypes.string_at(0)", -signal.SIGSEGV),
    ],
)
def test_exit_codes_are_those_of_a_process(code: str, expected: int) -> None:
    assert execute(code).wait(60) == expected


def test_a_module_that_ends_by_an_exception_has_its_code(tmp_path: Path) -> None:
    err = tmp_path / "err"
    process = fork("json.tool", "--unknown", env=computing(1), stderr=str(err))
    assert process is not None
    assert process.wait(60) == 2
    assert "usage:" in err.read_text()


def test_copies_draw_different_numbers_and_share_nothing(tmp_path: Path) -> None:
    out = tmp_path / "out"
    code = (
        "import os, random, numpy, torch; assert 'SEEN' not in os.environ; "
        "os.environ['SEEN'] = ''; "
        "print(numpy.random.rand(), random.random(), torch.rand(1).item())"
    )
    for _ in range(2):
        assert execute(code, stdout=str(out)).wait(60) == 0
    first, second = (line.split() for line in out.read_text().splitlines() if line.startswith("0."))
    assert first[0] != second[0]
    assert first[1] != second[1]
    # As in new processes, which start from torch's one seed.
    assert first[2] == second[2]


def test_it_is_killed_with_its_group_and_waiting_has_an_end() -> None:
    with started(
        "timeit", "-n1", "-r1", "import time; time.sleep(60)", env=computing(1)
    ) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.05)
        assert os.getsid(process.pid) == process.pid
    assert process.poll() == -signal.SIGKILL


def test_a_copy_that_kills_what_it_was_copied_from_is_no_end_of_the_next() -> None:
    # A thread of its own has a process of its own, which other tests do not use.
    codes: list[int] = []

    def work() -> None:
        codes.append(
            execute("import os; os.kill(os.getppid(), 9); os.kill(os.getpid(), 9)").wait(60)
        )
        codes.append(execute("pass").wait(60))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert codes == [SERVER_ENDED, 0]


def test_copies_with_the_same_variables_of_libraries_have_one_parent() -> None:
    assert fork("timeit", env=computing(2)) is None, "its libraries have threads"
    one = computing(1)
    mine = one | {"MINE": "yes"}
    processes = [execute("import time; time.sleep(60)", env=env) for env in (one, mine)]
    parents = [psutil.Process(process.pid).ppid() for process in processes]
    for process in processes:
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait(60) == -signal.SIGKILL
    assert parents[0] == parents[1]
    assert forking._key(mine) == forking._key(one)
    assert forking._key(mine | {"NUMBA_OPT": "2"}) != forking._key(mine)


def test_elsewhere_a_process_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert fork("timeit", env=computing(1)) is None
    ends = ("timeit", "-n1", "-r1", "import os; os._exit(4)")
    with started(*ends, env=computing(1)) as process:
        assert isinstance(process, subprocess.Popen)
        assert process.wait(60) == 4
