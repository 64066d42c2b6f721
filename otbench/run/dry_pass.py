"""A few images or points through every task and metric before anything trains."""

from __future__ import annotations

from dataclasses import asdict
from itertools import chain

import torch

from otbench.errors import DataError
from otbench.interface.data import Data
from otbench.interface.metric import Metric
from otbench.interface.scoring import ScoreContext
from otbench.presets import Sizes
from otbench.run.request import Plan
from otbench.scoring.excerpt import IMAGES
from otbench.scoring.kinds import kind_of
from otbench.scoring.score import MetricFactory, score

FRAMES = 4


def require_assets(wanted: dict[str, list[str]], plan: Plan, make_metrics: MetricFactory) -> None:
    """Fetch the files that metrics need; a metric whose files cannot be had is unavailable."""
    for text, metric in make_metrics(chain(*wanted.values())).items():
        if text in plan.unavailable:
            continue
        for asset in metric.assets if isinstance(metric, Metric) else ():
            try:
                _require(asset)
            except DataError as error:
                plan.unavailable[text] = str(error).splitlines()[0]
                plan.warnings.append(f"{text} will not be scored: {error}")


def dry_pass(
    wanted: dict[str, list[str]], data: Data, plan: Plan, make_metrics: MetricFactory
) -> bool:
    """Pass a few images or points through each metric once; return whether all went well."""
    kind = kind_of(data)
    few, method = kind.excerpt(data), kind.stand_in()
    sizes = Sizes(IMAGES, IMAGES, pairs=2, midpoints=IMAGES, frames=FRAMES)
    ctx = ScoreContext(torch.device(plan.tried_on), 0, few, **asdict(sizes))
    well = True
    for row in score(method, few, ctx, wanted, plan.unavailable, make_metrics=make_metrics):
        if row["status"] == "failed":
            well = False
            plan.unavailable[row["text"]] = f"failed before training: {row['reason']}"
            plan.warnings.append(f"{row['metric']} will not be scored: {row['reason']}")
    return well


def _require(asset: str) -> None:
    from otbench.assets.store import require

    require(asset)
