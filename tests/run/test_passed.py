"""A dry pass that went well is not computed again while nothing that it depends on has changed."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from otbench.conformance import tiny_images
from otbench.run import preflight
from otbench.run.passed import place_of, remember
from otbench.run.request import Plan, Request, Sweep


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[dict[str, list[str]]]:
    """Return what has gone through a real dry pass, with an empty cache folder."""
    monkeypatch.setenv("OTBENCH_HOME", str(tmp_path / "home"))
    seen: list[dict[str, list[str]]] = []
    really = preflight.dry_pass

    def counted(wanted, data, plan, make_metrics, trail):
        seen.append(wanted)
        return really(wanted, data, plan, make_metrics, trail)

    monkeypatch.setattr(preflight, "dry_pass", counted)
    return seen


def plan(*metrics: str) -> Plan:
    sweep = Sweep(["crossfade"], ["digits"], [0], metrics={"reconstruction": list(metrics)})
    return preflight.make_plan(Request([sweep], [], "smoke", device="cpu"))


def test_the_same_pass_is_computed_once(passes: list[dict[str, list[str]]]) -> None:
    first, second = plan("mse"), plan("mse")
    assert passes == [{"reconstruction": ["mse"]}]
    assert first == second
    plan("mse", "psnr")
    assert len(passes) == 2


def test_a_pass_with_a_failure_is_computed_again(
    passes: list[dict[str, list[str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*args: object) -> None:
        raise RuntimeError("no value today")

    with monkeypatch.context() as patch:
        patch.setattr("otbench.metrics.pixel.MSE.compute", broken)
        assert "no value today" in plan("mse").unavailable["mse"]
    assert plan("mse").unavailable == {}
    assert len(passes) == 2


def test_without_a_folder_to_write_to_it_is_computed_each_time(
    passes: list[dict[str, list[str]]], tmp_path: Path
) -> None:
    (tmp_path / "home").mkdir(exist_ok=True)
    (tmp_path / "home" / "dry-passes").write_text("not a folder")
    plan("mse")
    plan("mse")
    assert len(passes) == 2


def test_whatever_decides_a_pass_is_in_its_name(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("OTBENCH_HOME", str(tmp_path))
    data = tiny_images((32, 16, 16))
    scores = {"reconstruction/mse": "a"}
    places = [
        place_of(scores, [], data, "code", "cpu"),
        place_of({"reconstruction/mse": "b"}, [], data, "code", "cpu"),
        place_of(scores, ["fid"], data, "code", "cpu"),
        place_of(scores, [], dataclasses.replace(data, variant="other"), "code", "cpu"),
        place_of(scores, [], data, "other code", "cpu"),
        place_of(scores, [], data, "code", "cuda"),
    ]
    assert len(set(places)) == len(places)
    remember(places[0])
    assert [place.exists() for place in places] == [True] + [False] * 5
