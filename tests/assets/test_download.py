from __future__ import annotations

import pytest

from otbench.assets.download import download, part_for
from otbench.assets.files import SourceFailed

LIMIT = 10**6


@pytest.fixture
def url(mirror, content):
    mirror.held["toy.bin"] = content
    return f"{mirror.address}toy.bin"


def test_a_whole_file(mirror, url, content, tmp_path):
    download(url, tmp_path / "part", LIMIT)
    assert (tmp_path / "part").read_bytes() == content
    assert mirror.asked == [("/toy.bin", None)]


def test_goes_on_from_what_is_there(mirror, url, content, tmp_path):
    part = tmp_path / "part"
    part.write_bytes(content[:1000])
    download(url, part, LIMIT)
    assert part.read_bytes() == content
    assert mirror.asked == [("/toy.bin", "bytes=1000-")]


def test_a_connection_that_breaks_is_resumed(mirror, url, content, tmp_path, capsys):
    mirror.break_after = [5000, 7000]
    download(url, tmp_path / "part", LIMIT)
    assert (tmp_path / "part").read_bytes() == content
    assert [wish for _, wish in mirror.asked] == [None, "bytes=5000-", "bytes=12000-"]
    assert "resuming" in capsys.readouterr().err


def test_gives_up_after_three_breaks_and_keeps_the_part(mirror, url, content, tmp_path):
    mirror.break_after = [10, 10, 10]
    with pytest.raises(SourceFailed):
        download(url, tmp_path / "part", LIMIT)
    assert (tmp_path / "part").read_bytes() == content[:30]


def test_a_server_without_ranges_starts_over(mirror, url, content, tmp_path):
    mirror.ranges = False
    (tmp_path / "part").write_bytes(b"x" * 1000)
    download(url, tmp_path / "part", LIMIT)
    assert (tmp_path / "part").read_bytes() == content


def test_a_whole_part_is_not_fetched_again(mirror, url, content, tmp_path):
    (tmp_path / "part").write_bytes(content)
    download(url, tmp_path / "part", LIMIT)
    assert (tmp_path / "part").read_bytes() == content
    assert len(mirror.asked) == 1


def test_a_part_longer_than_the_file_is_dropped(mirror, url, content, tmp_path):
    (tmp_path / "part").write_bytes(content + b"more")
    download(url, tmp_path / "part", LIMIT)
    assert (tmp_path / "part").read_bytes() == content


def test_refuses_more_than_the_limit(url, tmp_path):
    with pytest.raises(SourceFailed, match="larger than the 1,000 bytes"):
        download(url, tmp_path / "part", 1000)
    assert not (tmp_path / "part").exists()


def test_says_what_the_server_answered(mirror, tmp_path):
    with pytest.raises(SourceFailed, match="404"):
        download(f"{mirror.address}nowhere", tmp_path / "part", LIMIT)


def test_says_that_nothing_listens(tmp_path):
    with pytest.raises(SourceFailed, match="ConnectionError"):
        download("http://127.0.0.1:9/toy.bin", tmp_path / "part", LIMIT)


def test_a_server_that_drips_is_left_for_another(mirror, url, content, tmp_path, monkeypatch):
    monkeypatch.setattr("otbench.assets.download.WINDOW", 0.2)
    mirror.drip = 0.02
    with pytest.raises(SourceFailed, match=r"given up at 0\.\d kB/s"):
        download(url, tmp_path / "part", LIMIT)
    came = (tmp_path / "part").read_bytes()
    assert 0 < len(came) < 100
    assert content.startswith(came)
    assert len(mirror.asked) == 1
    mirror.drip = 0.0
    download(url, tmp_path / "part", LIMIT)
    assert (tmp_path / "part").read_bytes() == content
    assert mirror.asked[1] == ("/toy.bin", f"bytes={len(came)}-")


def test_parts_of_two_addresses_do_not_meet(tmp_path):
    one, other = (part_for(f"http://{host}/a/toy.gz", tmp_path) for host in ("x", "y"))
    assert one != other
    assert one.suffix == ".gz"
