"""Running the command in process, far from any real cache."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from otbench.cli.main import main


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    code: int
    out: str
    err: str


Command = Callable[..., Finished]


@pytest.fixture
def otbench(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Command:
    """Return a function that runs the command with the arguments it is given."""

    def run(*arguments: str | Path) -> Finished:
        monkeypatch.setenv("OTBENCH_OFFLINE", "1")
        try:
            code = main([str(argument) for argument in arguments])
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capfd.readouterr()
        return Finished(code, out, err)

    return run
