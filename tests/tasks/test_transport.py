"""The task of maps: its points, its timing, faults with their names, the dry pass, pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from otbench.errors import DataError
from otbench.interface import FitContext, MeasurePair, MethodCard, TransportMap
from otbench.interface.scoring import ScoreContext
from otbench.interface.task import BadOutput
from otbench.report.maps import map_sheet
from otbench.run.dry_pass import dry_pass
from otbench.run.request import Plan
from otbench.scoring.gallery import CLOUD, write_clouds
from otbench.scoring.score import MetricFactory, score
from otbench.tasks.transport import BATCH, POINTS, Transportation, check_pair
from otbench.tasks.weak_transport import WeakTransportation
from otbench_datasets.point_pairs.gaussian_pair import GaussianPair
from otbench_datasets.point_pairs.plane import Plane


@dataclass
class Forward(TransportMap):
    """Doubles; no inverse, no dual."""

    card = MethodCard("forward", "none")

    def fit(self, data: MeasurePair, ctx: FitContext) -> None: ...

    def save(self, folder: Path) -> None: ...

    @classmethod
    def load(cls, folder: Path, device: str | torch.device = "cpu") -> Forward:
        return cls()

    def push(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        assert not torch.is_grad_enabled()
        return 2 * x


@dataclass
class Both(Forward):
    def pull(self, y: Tensor) -> Tensor:
        return y / 2

    def dual_value(self, x: Tensor, y: Tensor) -> float:
        return 1.5


@dataclass
class Noisy(Forward):
    def push(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return x + torch.randn(x.shape, generator=generator)


def pair(dimension: int = 3) -> MeasurePair:
    data = GaussianPair(dimension).load()
    assert isinstance(data, MeasurePair)
    return data


def context(data: MeasurePair, sample: int | None = 100, seed: int = 0) -> ScoreContext:
    return ScoreContext(torch.device("cpu"), seed, data, sample=sample)


def test_what_the_method_does_is_handed_over() -> None:
    data = pair()
    done = Transportation().run(Both(), data, context(data))
    assert torch.equal(done.pushed, 2 * done.source)
    assert torch.equal(done.pulled, done.images / 2)  # type: ignore[operator, arg-type]
    assert torch.equal(done.images, data.true_map(done.source))  # type: ignore[arg-type]
    assert done.dual == 1.5
    assert done.push_seconds > 0
    for points in (done.source, done.target, done.again):
        assert points.shape == (100, 3)
    assert not torch.equal(done.target, done.again)


def test_only_what_the_method_offers_is_asked_for() -> None:
    done = Transportation().run(Forward(), pair(), context(pair()))
    assert done.pulled is None
    assert done.dual is None
    plane = Plane().load()
    assert isinstance(plane, MeasurePair)
    unknown = Transportation().run(Both(), plane, context(plane))
    assert unknown.images is None
    assert torch.equal(unknown.pulled, unknown.target / 2)  # type: ignore[arg-type]
    assert unknown.arrivals is unknown.target
    bare = Transportation().run(Forward(), plane, context(plane))
    assert bare.pulled is None
    assert bare.returned is None


def test_inverses_cost_little_where_no_map_is_known() -> None:
    asked: list[tuple[str, int]] = []

    class Counting(Both):
        def push(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
            asked.append(("push", len(x)))
            return super().push(x, generator)

        def pull(self, y: Tensor) -> Tensor:
            asked.append(("pull", len(y)))
            return super().pull(y)

    for data, pulls in ((pair(2), POINTS), (Plane().load(), BATCH)):
        assert isinstance(data, MeasurePair)
        asked.clear()
        done = Transportation().run(Counting(), data, context(data, None))
        assert sum(n for name, n in asked if name == "pull") == pulls
        # once to warm up, the source, and what comes back
        assert sum(n for name, n in asked if name == "push") == POINTS + 2 * BATCH
        assert torch.equal(done.returned, done.arrivals[:BATCH])  # type: ignore[arg-type]


def test_all_methods_and_seeds_see_the_same_points() -> None:
    runs = [
        Transportation().run(method, pair(), context(pair(), None, seed))
        for method, seed in ((Forward(), 0), (Both(), 1))
    ]
    assert len(runs[0].source) == len(runs[0].pushed) == POINTS == 2**14
    for name in ("source", "target", "again"):
        assert torch.equal(getattr(runs[0], name), getattr(runs[1], name))


def test_a_stochastic_map_draws_from_the_protocol_s_generator() -> None:
    first, second = (Transportation().run(Noisy(), pair(), context(pair())) for _ in range(2))
    assert torch.equal(first.pushed, second.pushed)
    assert float((first.pushed - first.source).std()) == pytest.approx(1, rel=0.2)


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (lambda x: x.double(), r"Bad.push returned torch.float64, wanted torch.float32"),
        (lambda x: x[:, :2], r"Bad.push returned shape \(100, 2\), wanted \(100, 3\)"),
        (lambda x: x[:50], r"shape \(50, 3\)"),
        (lambda x: x.numpy(), r"Bad.push returned a ndarray, wanted a tensor"),
        (lambda x: x / (x[:, :1] != x[3, 0]), r"returned 1 of 100 points that are not finite"),
    ],
)
def test_bad_output_is_named(output: Any, message: str) -> None:
    class Bad(Forward):
        def push(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
            result: Tensor = output(x)
            return result

    with pytest.raises(BadOutput, match=message):
        Transportation().run(Bad(), pair(), context(pair()))
    rows = list(score(Bad(), pair(), context(pair()), {"transport": ["uvp", "push-rate"]}))
    assert [row["status"] for row in rows] == ["failed", "failed"]
    assert "BadOutput" in rows[0]["reason"]


def test_a_bad_inverse_concerns_the_inverse_only() -> None:
    class Lost(Both):
        def pull(self, y: Tensor) -> Tensor:
            return y * float("nan")

        def dual_value(self, x: Tensor, y: Tensor) -> float:
            return "much"  # type: ignore[return-value]

    texts = ["uvp", "uvp[inverse]", "cosine[inverse]", "w2-gap"]
    rows = {
        row["text"]: row for row in score(Lost(), pair(), context(pair()), {"transport": texts})
    }
    assert rows["uvp"]["status"] == "ok"
    for text in ("uvp[inverse]", "cosine[inverse]"):
        assert rows[text]["status"] == "failed"
        assert "Lost.pull returned 100 of 100 points that are not finite" in rows[text]["reason"]
    assert "Lost.dual_value returned a str, wanted a float" in rows["w2-gap"]["reason"]


def test_a_method_of_images_is_told_what_is_missing() -> None:
    reason = Transportation().missing(object(), pair())  # type: ignore[arg-type]
    assert reason == "needs push: object is not a TransportMap"
    assert Transportation().missing(Forward(), pair()) is None


def test_bad_points_of_a_data_set_are_named() -> None:
    class Broken(type(pair())):  # type: ignore[misc]
        def target(self, n: int, generator: torch.Generator) -> Tensor:
            return torch.full((n, 3), float("nan"))

    data = pair()
    data.__class__ = Broken
    with pytest.raises(DataError, match="gaussian: the data set's target returned 100 of 100"):
        Transportation().run(Forward(), data, context(data))
    with pytest.raises(DataError, match="target returned 64 of 64 points that are not finite"):
        check_pair(data)


def test_a_pair_is_checked_before_anything_trains() -> None:
    check_pair(pair())
    check_pair(Plane().load())  # type: ignore[arg-type]

    class Skewed(type(pair())):  # type: ignore[misc]
        def true_map(self, x: Tensor) -> Tensor:
            return x[:, :2]

    data = pair()
    data.__class__ = Skewed
    with pytest.raises(DataError, match=r"true_map returned shape \(64, 2\), wanted \(64, 3\)"):
        check_pair(data)


@pytest.mark.parametrize("name", ["gaussian", "plane"])
def test_the_dry_pass_goes_through_every_metric(name: str) -> None:
    data = pair() if name == "gaussian" else Plane().load()
    answer = Plan()
    answer.device = "cpu"
    tasks = (Transportation(), WeakTransportation())
    metrics = {task.name: list(task.metrics_for(data, full=True)) for task in tasks}
    assert bool(metrics["weak-transport"]) == (name == "gaussian")
    assert ("sinkhorn-cost" in metrics["transport"]) == (name == "plane")
    dry_pass(metrics, data, answer, MetricFactory())
    assert answer.unavailable == {}
    assert answer.warnings == []


def test_every_metric_of_the_presets_has_a_value() -> None:
    wanted = {"transport": list(Transportation.default_metrics)}
    ctx = context(pair())
    ctx.curve = [{"step": 1, "seconds": 0.5, "uvp": 0.9}]
    rows = list(score(Both(), pair(), ctx, wanted))
    assert {row["status"] for row in rows} == {"ok"}
    assert len({row["metric"] for row in rows}) == len(rows)


def test_clouds_are_written_and_drawn(tmp_path: Path) -> None:
    galleries = {}
    for dimension in (1, 5):
        file = tmp_path / f"{dimension}.npz"
        data = pair(dimension)
        write_clouds(file, Forward(), data, context(data))
        with np.load(file) as arrays:
            assert set(arrays) == {"source", "target", "pushed"}
            for cloud in arrays.values():
                assert cloud.shape == (CLOUD, min(dimension, 2))
                assert cloud.dtype == np.float32
            np.testing.assert_array_equal(arrays["pushed"], 2 * arrays["source"])
        galleries[f"forward in {dimension}"] = file
        sheet = map_sheet("transport", {f"forward[{dimension}]": file}, tmp_path / "sheet.png")
        assert sheet is not None
        assert sheet.stat().st_size > 10_000
        assert map_sheet("grid", {"forward": file}, tmp_path / "none.png") is None
    assert map_sheet("transport", {}, tmp_path / "none.png") is None
    assert not (tmp_path / "none.png").exists()
