"""A few images or points through every task and metric before anything trains."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from itertools import chain

import torch
from torch import Tensor

from otbench.errors import DataError
from otbench.interface.data import Data, ImageDataset, MeasurePair, Split
from otbench.interface.method import Autoencoder, Method, MethodCard, TransportMap
from otbench.interface.metric import Metric
from otbench.interface.scoring import ScoreContext
from otbench.interface.training import FitContext
from otbench.plugins.registry import Registry
from otbench.presets import Sizes
from otbench.run.request import Plan
from otbench.scoring.score import make_metrics, score

DRY_IMAGES, DRY_FRAMES = 64, 4


@dataclass
class _Pixels(Autoencoder):
    """The identity, for the dry pass: pixels are the code."""

    card = MethodCard("pixels", "none")

    def fit(self, data: ImageDataset, ctx: FitContext) -> None: ...

    def encode(self, x: Tensor) -> Tensor:
        self.shape_ = x.shape[1:]
        return x.flatten(1)

    def decode(self, z: Tensor) -> Tensor:
        return z.unflatten(1, self.shape_).clamp(0, 1)


@dataclass
class _Still(TransportMap):
    """The map that moves nothing, for the dry pass."""

    card = MethodCard("still", "none")

    def fit(self, data: MeasurePair, ctx: FitContext) -> None: ...

    def push(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return x

    def pull(self, y: Tensor) -> Tensor:
        return y

    def dual_value(self, x: Tensor, y: Tensor) -> float:
        return 0.0


def dry_pass(wanted: dict[str, list[str]], data: Data, answer: Plan) -> None:
    """Pass a few images or points through each metric once."""
    for text, metric in make_metrics(chain(*wanted.values()), Registry("metrics")).items():
        if text in answer.unavailable:
            continue
        for asset in metric.assets if isinstance(metric, Metric) else ():
            try:
                _require(asset)
            except DataError as error:
                answer.unavailable[text] = str(error).splitlines()[0]
                answer.warnings.append(f"{text} will not be scored: {error}")
    few = _few(data) if isinstance(data, ImageDataset) else data
    method: Method = _Pixels() if isinstance(data, ImageDataset) else _Still()
    sizes = Sizes(DRY_IMAGES, DRY_IMAGES, pairs=2, midpoints=DRY_IMAGES, frames=DRY_FRAMES)
    ctx = ScoreContext(torch.device(answer.device), 0, few, **asdict(sizes))
    for row in score(method, few, ctx, wanted, answer.unavailable):
        if row["status"] == "failed":
            answer.unavailable[row["text"]] = f"failed before training: {row['reason']}"
            answer.warnings.append(f"{row['metric']} will not be scored: {row['reason']}")


def _require(asset: str) -> None:
    from otbench.assets.store import require

    require(asset)


def _few(data: ImageDataset) -> ImageDataset:
    """Return the same data set with a few images of each split, classes evenly among them."""

    def cut(split: Split) -> Split:
        if split.labels is None:
            return Split(split.images[:DRY_IMAGES])
        order = torch.argsort(split.labels, stable=True)
        chosen = order[torch.linspace(0, len(order) - 1, min(DRY_IMAGES, len(order))).long()]
        return Split(split.images[chosen], split.labels[chosen])

    train, validation, test = (cut(split) for split in (data.train, data.validation, data.test))
    pairs = None if data.scene is None else data.pairs
    return replace(data, train=train, validation=validation, test=test, pairs=pairs)
