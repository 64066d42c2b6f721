"""Any file of settings is keys with plain values, or a sentence about what is wrong with it."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from otbench.cli.execution import seconds, size
from otbench.cli.main import main
from otbench.errors import UsageError
from otbench.run.config import PLAIN, read_config
from tests.fuzzing import QUICKLY, ours_or_nothing, spoilt

CONFIG = b"methods: [ae, crossfade]\ndataset: digits\njobs: 2\nquiet: true\ntimeout: 2h\n"
LAUGHS = b"a0: &a0 [lol, lol]\n" + b"".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n".encode() for i in range(1, 30)
)
"""Lists of references to lists of references, 9^30 words when written out."""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("config") / "run.yml"


@QUICKLY
@given(content=spoilt(CONFIG))
@example(content=LAUGHS)
@example(content=b"x: " + b"[" * 60_000)
@example(content=b"x: 2026-13-45")
@example(content=b"x: 2026-11-27")
@example(content=b"&a [*a]")
@example(content=b"x: &a [*a]")
@example(content=b"? {a: 1}\n: 2")
@example(content=b"x: !!python/object/apply:os.system [true]")
@example(content=b"x: !!binary abc")
@example(content=b"x: 0x" + b"f" * 60_000)
@example(content=b"x: " + b"9" * 60_000)
@example(content=b"x: 190:20:30:40:50")
@example(content=b"\xff\xfe")
@example(content=b"#" * (1 << 17))
def test_any_file_of_settings(content: bytes, file: Path) -> None:
    file.write_bytes(content)
    with ours_or_nothing():
        for key, value in read_config("--config", file).items():
            assert isinstance(key, str)
            assert isinstance(value, (*PLAIN, list))


def test_the_command_names_flag_and_file(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_bytes(LAUGHS)
    assert main(["run", "--config", str(file)]) == 2
    assert f"--config {file}: 'a1' must hold" in capsys.readouterr().err
    assert main(["run", "--executor", "local", "--executor-config", str(file)]) == 2
    assert f"--executor-config {file}: 'a1' must hold" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        *(("512M", 512 << 20), ("8G", 8 << 30), ("1.5 GiB", 3 << 29), ("100kb", 100 << 10)),
        *(("2T", 2 << 40), (None, None)),
    ],
)
def test_sizes(text: str | None, wanted: int | None) -> None:
    assert size("--max-memory", text) == wanted


@pytest.mark.parametrize(
    "text", ["", "8", "G", "-1G", "0G", "0.0000001K", "1e3G", "٣G", "inf", "9" * 400 + "G", "1 PB"]
)
def test_what_is_no_size_or_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"--max-memory .*such as 512M or 8G"):
        size("--max-memory", text)
    with pytest.raises(UsageError, match="--timeout"):
        seconds("--timeout", text if text != "8" else "8d")


@QUICKLY
@given(st.text(max_size=12))
def test_any_text_is_a_size_or_refused(text: str) -> None:
    with ours_or_nothing():
        assert size("--max-memory", text) > 0
