"""A log keeps its ends and its bound; the memory of a cell is that of all its processes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import psutil
import pytest

from otbench.results.job import Job
from otbench.run.executors import bounds
from otbench.run.executors.bounds import HEAD, LOG_BYTES, TAIL, Log, Memory
from otbench.run.executors.process import CellProcess
from tests.results.small import make_cell, make_job


def test_a_log_keeps_its_beginning_and_its_end_and_says_what_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "cell.log").write_text("of an earlier run")
    log = Log(tmp_path / "cell.log")
    # As a child process has it.
    theirs = os.dup(log.file.fileno())
    lines, written = 0, 0
    while written < 5 * LOG_BYTES:
        text = "".join(f"line {lines + i}\n" for i in range(20_000)).encode()
        lines += 20_000
        written += os.write(theirs, text)
        log.bound()
        assert (tmp_path / "cell.log").stat().st_size < LOG_BYTES + len(text)
    os.write(theirs, b"the end\n")
    log.close()
    os.close(theirs)
    text = (tmp_path / "cell.log").read_text()
    assert text.startswith("line 0\nline 1\n")
    assert text.endswith(f"line {lines - 1}\nthe end\n")
    (note,) = re.findall(r"\n\[otbench: ([\d,]+) bytes were removed here\]\n", text)
    kept = re.sub(r"\n\[otbench: .*\]\n", "", text)
    assert len(kept) + int(note.replace(",", "")) == written + len("the end\n")
    assert all(re.fullmatch(r"line \d+|the end", line) for line in kept.splitlines())
    assert len(kept) > HEAD + TAIL - 100


def test_a_log_of_one_line_has_its_bound_too(tmp_path: Path) -> None:
    log = Log(tmp_path / "cell.log")
    os.write(log.file.fileno(), b"x" * (LOG_BYTES + 1))
    log.close()
    log.close()
    assert (tmp_path / "cell.log").stat().st_size < HEAD + TAIL + 100


TAKES = 150
TAKING = f"""
import os, sys, time
if os.fork() == 0:
    os.setsid()
held = bytearray({TAKES} << 20)
os.write(1, b"ready\\n")
time.sleep(60)
"""
"""Twice so much, once in a session of its own."""


@pytest.fixture
def taking() -> Iterator[int]:
    process = subprocess.Popen(
        [sys.executable, "-c", TAKING], stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(2)] == [b"ready\n"] * 2
    children = psutil.Process(process.pid).children()
    yield process.pid
    for one in [*children, psutil.Process(process.pid)]:
        one.kill()
    process.wait()
    process.stdout.close()


def test_memory_is_that_of_all_processes(taking: int, monkeypatch: pytest.MonkeyPatch) -> None:
    assert 2 * TAKES << 20 < Memory(taking, None).used() < 2 * (TAKES + 40) << 20
    assert Memory(taking, None).excess() is None
    assert Memory(taking, 3 * TAKES << 20).excess() is None
    watched = Memory(taking, int(1.5 * TAKES) << 20)
    assert re.fullmatch(
        r"used 3\d\dM of memory; --max-memory allows 225M", str(watched.excess())
    ), watched.used()
    assert watched.excess() is None
    monkeypatch.setattr(time, "monotonic", lambda: watched._next + bounds.LOOK_SECONDS)
    assert watched.excess() is not None


def test_a_process_that_has_ended_uses_nothing() -> None:
    process = subprocess.Popen([sys.executable, "-c", ""], start_new_session=True)
    process.wait()
    assert Memory(process.pid, 1).excess() is None


FLOODS = """
import os, sys, time
for i in range(2000):
    print(f"{i} " + "flood " * 1000, flush=True)
held = bytearray(150 << 20)
time.sleep(60)
"""


def test_a_cell_over_its_bounds_ends_with_a_record_and_a_short_log(tmp_path: Path) -> None:
    job = make_job(tmp_path, make_cell(), max_memory=100 << 20)
    job.folder.mkdir(parents=True)

    def launch(job: Job, log: IO[bytes]) -> tuple[subprocess.Popen[bytes], None]:
        command = [sys.executable, "-c", FLOODS]
        return subprocess.Popen(command, stdout=log, start_new_session=True), None

    cell = CellProcess.start(job, launch)
    while (record := cell.end(timeout=30)) is None:
        time.sleep(0.01)
    assert record["status"] == "oom"
    assert re.fullmatch(r"used 1\d\dM of memory; --max-memory allows 100M", record["reason"])
    assert job.record() == record
    log = (job.folder / "cell.log").read_text()
    assert len(log) < LOG_BYTES
    assert log.startswith("0 flood")
    assert log.rstrip().splitlines()[-1].startswith("1999 flood")
    assert cell.process.poll() == -9
