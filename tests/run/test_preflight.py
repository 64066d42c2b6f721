"""Default metrics come from the tasks, a stranger's included."""

from __future__ import annotations

from importlib.metadata import EntryPoint, entry_points
from typing import ClassVar

import pytest

from otbench.plugins import registry
from otbench.run.preflight import make_plan
from otbench.run.request import Plan, Request, Sweep
from otbench.tasks.reconstruction import Reconstruction


class Again(Reconstruction):
    """Reconstruct once more, under another name."""

    name: ClassVar[str] = "again"
    order: ClassVar[int] = 1000
    default_metrics: ClassVar[tuple[str, ...]] = ("mse", "psnr")
    full_metrics: ClassVar[tuple[str, ...]] = ()


class Broken(Again):
    """Cannot even be made."""

    def __init__(self) -> None:
        raise RuntimeError("no such file")


def planned(dataset: str, tasks: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Plan:
    def listed(group: str) -> list[EntryPoint]:
        own = list(entry_points(group=group))
        if group != "otbench.tasks":
            return own
        return own + [EntryPoint(name, f"{__name__}:{cls}", group) for name, cls in tasks.items()]

    monkeypatch.setattr(registry, "entry_points", listed)
    request = Request([Sweep(["linear", "crossfade"], [dataset], [0])], [], "smoke", device="cpu")
    return make_plan(request)


def test_a_strangers_task_brings_its_default_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned("digits", {"again": "Again"}, monkeypatch)
    assert list(plan.metrics["digits"])[-1] == "again"
    assert plan.metrics["digits"]["again"] == ["mse", "psnr"]
    # The dry pass scores every metric once, and names those that fail.
    assert not {"mse", "psnr"} & set(plan.unavailable)


def test_a_strangers_task_is_left_out_on_other_data(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned("plane", {"again": "Again"}, monkeypatch)
    assert "again" not in plan.metrics["plane"]


def test_a_broken_task_is_told_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned("digits", {"broken": "Broken"}, monkeypatch)
    assert list(plan.metrics["digits"]) == [
        "reconstruction",
        "interpolation",
        "classification",
        "clustering",
    ]
    assert any("task broken is left out: " in text for text in plan.warnings)


@pytest.mark.parametrize(
    ("method", "label", "alpha"),
    [
        ("path-energy", "path-energy", 0.5),
        ("path-energy[alpha=1]", "path-energy[alpha=1]", 1.0),
        ("path-energy[alpha=2]", "path-energy[alpha=2]", 2.0),
    ],
)
def test_papers_settings_replace_no_value_that_was_given(
    method: str, label: str, alpha: float
) -> None:
    sweep = Sweep([method], ["digits"], [0], metrics={"reconstruction": ["mse"]})
    plan = make_plan(Request([sweep], [], "paper", device="cpu"))
    (cell,) = (entry["cell"] for entry in plan.cells)
    assert cell["method"] == label
    assert cell["parameters"]["alpha"] == alpha
    assert cell["track"] == "native"
