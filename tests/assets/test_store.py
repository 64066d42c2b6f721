from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from otbench.assets import files, store
from otbench.assets.sources import Installed, Mirror
from otbench.errors import DataError, UsageError


@pytest.fixture
def asset(register, mirror, toy, packed):
    mirror.held["toy.bin.gz"] = packed
    return register([toy], [Mirror(mirror.address, ".gz")])


def test_fetches_once_and_leaves_nothing_behind(asset, mirror, content, home):
    folder = store.require("toy")
    assert (folder / "toy.bin").read_bytes() == content
    assert store.require("toy") == folder == store.path("toy")
    assert len(mirror.asked) == 1
    assert not list((home / "partial").iterdir())
    assert not list((home / "scratch").iterdir())


def test_a_wrong_digest_moves_on_to_the_next_source(register, mirror, toy, packed, content, capsys):
    mirror.held["bad/toy.bin"] = content[:-1] + b"!"
    mirror.held["good/toy.bin.gz"] = packed
    register([toy], [Mirror(f"{mirror.address}bad/"), Mirror(f"{mirror.address}good/", ".gz")])
    assert (store.require("toy") / "toy.bin").read_bytes() == content
    said = capsys.readouterr().err
    assert f"{mirror.address}bad/: in-use-toy.bin has the wrong sha256" in said


def test_a_page_in_place_of_the_file_moves_on(register, mirror, toy, packed, content):
    mirror.held["portal/toy.bin.gz"] = b"<html>please log in</html>"
    mirror.held["cut/toy.bin.gz"] = packed[:-20]
    mirror.held["good/toy.bin.gz"] = packed
    register([toy], [Mirror(f"{mirror.address}{w}/", ".gz") for w in ("portal", "cut", "good")])
    assert (store.require("toy") / "toy.bin").read_bytes() == content


def test_a_spoilt_part_is_fetched_anew(asset, mirror, content, home):
    from otbench.assets.download import part_for

    part = part_for(f"{mirror.address}toy.bin.gz", home / "partial")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"x" * 20)
    assert (store.require("toy") / "toy.bin").read_bytes() == content
    assert [wish for _, wish in mirror.asked] == ["bytes=20-", None]


def test_sources_share_the_work(register, mirror, toy, content):
    other = files.File("other.bin", toy.sha256, toy.size)
    mirror.held["a/toy.bin"] = mirror.held["b/other.bin"] = content
    register([toy, other], [Mirror(f"{mirror.address}{w}/") for w in "ab"])
    folder = store.require("toy")
    assert (folder / "other.bin").read_bytes() == (folder / "toy.bin").read_bytes() == content
    assert [path for path, _ in mirror.asked] == ["/a/toy.bin", "/a/other.bin", "/b/other.bin"]


@pytest.mark.parametrize("damage", ["truncated", "changed", "removed"])
def test_a_broken_file_is_thrown_away_and_fetched_again(asset, mirror, content, damage, capsys):
    place = store.require("toy") / "toy.bin"
    if damage == "removed":
        place.unlink()
    else:
        place.write_bytes(content[:-7] if damage == "truncated" else b"!" + content[1:])
        os.utime(place, ns=(0, 0))
    assert (store.require("toy") / "toy.bin").read_bytes() == content
    assert len(mirror.asked) == 2
    assert ("thrown away" in capsys.readouterr().err) == (damage != "removed")


def test_an_unchanged_file_is_read_whole_only_once(asset, monkeypatch):
    store.require("toy")
    monkeypatch.setattr(files, "sha256_of", lambda path: pytest.fail("read again"))
    store.require("toy")


def test_verify_reads_everything(asset, mirror, content):
    place = store.require("toy") / "toy.bin"
    assert [s.state for s in store.verify(["toy"])] == ["ok"]
    times = place.stat().st_atime_ns, place.stat().st_mtime_ns
    place.write_bytes(b"!" + content[1:])
    os.utime(place, ns=times)
    broken = store.verify(["toy"])[0]
    assert broken.state == "broken"
    assert "wrong sha256" in broken.reason
    assert [s.state for s in store.verify(["toy"])] == ["missing"]
    assert (store.require("toy") / "toy.bin").read_bytes() == content


def test_offline_names_the_file_and_where_to_put_it(asset, mirror, toy, home, monkeypatch):
    monkeypatch.setenv("OTBENCH_OFFLINE", "1")
    with pytest.raises(DataError) as caught:
        store.require("toy")
    text = str(caught.value)
    for part in ("toy.bin", toy.sha256, str(home / "manual" / "toy"), "OTBENCH_DATA_DIR"):
        assert part in text
    assert f"{mirror.address}: not tried, offline" in text
    assert caught.value.exit_code == 3
    assert mirror.asked == []


def test_nothing_reachable_tells_each_reason(register, mirror, toy):
    register([toy], [Mirror(mirror.address), Mirror("http://127.0.0.1:9/")])
    with pytest.raises(DataError, match=r"404[\s\S]*127\.0\.0\.1:9"):
        store.require("toy")


def test_all_are_tried_before_one_failure_is_raised(register, mirror, toy, content):
    mirror.held["toy.bin"] = content
    register([toy], [], name="nowhere")
    register([toy], [Mirror(mirror.address)], name="somewhere")
    with pytest.raises(DataError, match="nowhere is to be had from no source"):
        store.fetch(["nowhere", "somewhere"])
    assert (store.path("somewhere") / "toy.bin").exists()


@pytest.mark.parametrize("place", ["manual/toy/toy.bin", "manual/toy.bin.gz", "own/toy/toy.bin.gz"])
def test_the_users_folder_comes_first(asset, mirror, content, packed, home, monkeypatch, place):
    monkeypatch.setenv("OTBENCH_DATA_DIR", str(home / "own"))
    (home / place).parent.mkdir(parents=True)
    (home / place).write_bytes(packed if place.endswith(".gz") else content)
    assert (store.require("toy") / "toy.bin").read_bytes() == content
    assert (home / place).exists()
    assert mirror.asked == []


def test_a_wrong_file_of_the_user_is_named_and_passed_over(asset, content, home, capsys):
    wrong = home / "manual" / "toy" / "toy.bin"
    wrong.parent.mkdir(parents=True)
    wrong.write_bytes(content[:-1])
    assert (store.require("toy") / "toy.bin").read_bytes() == content
    assert str(wrong) in capsys.readouterr().err
    assert wrong.exists()


def test_an_installed_package_is_found_without_import(register, toy):
    missing = Installed("no_such_package", "x", {"toy.bin": ""})
    without = Installed("mlxtend", "data/nothing.gz", {"toy.bin": ""})
    register([toy], [missing, without])
    with pytest.raises(DataError, match=r"not installed[\s\S]*holds no data/nothing.gz"):
        store.require("toy")


def test_an_unknown_name_gets_the_nearest(home):
    with pytest.raises(UsageError, match="did you mean fashion-mnist"):
        store.require("fashon-mnist")


def test_a_cache_that_cannot_be_written(register, toy, home):
    register([toy], [])
    home.write_text("a file where the folder should be")
    with pytest.raises(DataError, match="OTBENCH_HOME"):
        store.require("toy")


def test_the_digest_needs_no_file_and_no_order(register, toy):
    other = files.File("other.bin", "0" * 64, 1)
    one = register([toy, other], []).digest
    assert register([other, toy], []).digest == one == store.digest("toy")
    assert register([toy], []).digest != one


def test_two_processes_fetch_one_asset_once(mirror, toy, content, packed, home):
    mirror.held["toy.bin.gz"] = packed
    mirror.delay = 0.5
    script = textwrap.dedent(f"""
        from otbench.assets import catalogue, store
        from otbench.assets.files import File
        from otbench.assets.sources import Mirror
        file = File("toy.bin", "{toy.sha256}", {toy.size})
        catalogue.CATALOGUE["toy"] = catalogue._asset(
            "toy", "", [file], [Mirror("{mirror.address}", ".gz")])
        print(store.require("toy"))
    """)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for _ in range(2)
    ]
    answers = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], answers
    folders = {Path(out.strip()) for out, _ in answers}
    assert len(folders) == 1
    assert (folders.pop() / "toy.bin").read_bytes() == content
    assert len(mirror.asked) == 1


def test_what_a_killed_process_left_is_cleared_away(asset, home, content):
    left = home / "scratch" / "toy" / "in-use-toy.bin"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"half")
    assert (store.require("toy") / "toy.bin").read_bytes() == content
    assert not left.exists()
