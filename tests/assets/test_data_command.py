from __future__ import annotations

import argparse
import json
import subprocess
import sys

import pytest

from otbench.assets import store
from otbench.assets.sources import Mirror
from otbench.cli import data
from otbench.errors import DataError, UsageError


def otbench(*words):
    parser = argparse.ArgumentParser()
    data.add_parser(parser.add_subparsers(dest="command", required=True))
    return data.run(parser.parse_args(["data", *words]))


@pytest.fixture
def asset(register, mirror, toy, content):
    mirror.held["toy.bin"] = content
    return register([toy], [Mirror(mirror.address)])


def test_fetch_verify_path(asset, capsys, home):
    assert otbench("path", "toy") == 3
    assert otbench("fetch", "toy") == 0
    assert otbench("verify", "toy") == 0
    capsys.readouterr()
    assert otbench("path", "toy") == 0
    assert capsys.readouterr().out == f"{home / 'assets' / 'toy'}\n"


def test_json(asset, capsys):
    otbench("fetch", "toy", "--json")
    row = {"asset": "toy", "path": str(store.path("toy")), "sha256": asset.digest, "state": "ok"}
    assert json.loads(capsys.readouterr().out) == [row]
    otbench("verify", "toy", "--json")
    assert json.loads(capsys.readouterr().out)[0]["state"] == "ok"


def test_verify_of_a_broken_file_ends_in_3(asset, capsys):
    otbench("fetch", "toy")
    (store.path("toy") / "toy.bin").write_bytes(b"broken")
    assert otbench("verify") == 3
    said = capsys.readouterr()
    assert "broken   toy" in said.out
    assert "otbench data fetch toy" in said.err


def test_verify_without_names_passes_over_what_was_never_fetched(asset, capsys):
    assert otbench("verify") == 0
    assert capsys.readouterr().out == ""


def test_offline_ends_in_3(asset, mirror):
    with pytest.raises(DataError) as caught:
        otbench("fetch", "toy", "--offline")
    assert caught.value.exit_code == 3
    assert mirror.asked == []


def test_the_default_is_what_the_default_run_needs(home, monkeypatch):
    wanted = []
    monkeypatch.setattr(store, "fetch", lambda names, offline: wanted.extend(names) or {})
    otbench("fetch")
    assert wanted == ["mnist", "lpips-alex"]
    otbench("fetch", "all")
    assert {"inception-fid", "fashion-mnist", "mnist-5k"} <= set(wanted)


def test_an_unknown_name_ends_in_2(home):
    with pytest.raises(UsageError, match="did you mean lpips-alex") as caught:
        otbench("fetch", "lpips-alx")
    assert caught.value.exit_code == 2


def test_the_command_and_the_store_are_light():
    script = (
        "import sys, otbench.cli.data, otbench.assets.store\n"
        "print(*{'torch', 'jax', 'pandas', 'sklearn', 'requests', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )
    assert done.stdout.strip() == ""
