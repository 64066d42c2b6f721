"""A few images or points through every task and metric before anything trains."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import asdict

import torch

from otbench.interface.data import Data
from otbench.interface.scoring import ScoreContext
from otbench.presets import Sizes
from otbench.run.request import Plan
from otbench.run.trail import RUN, Trail
from otbench.scoring.excerpt import IMAGES
from otbench.scoring.kinds import kind_of
from otbench.scoring.score import MetricFactory, score

FRAMES = 4


def dry_pass(
    wanted: dict[str, list[str]],
    data: Data,
    plan: Plan,
    make_metrics: MetricFactory,
    trail: Trail | None = None,
) -> bool:
    """Pass a few images or points through each metric once; return whether all went well.

    Parameters
    ----------
    wanted : dict of str to list of str
        For each task the metrics, as text.
    data : Data
    plan : Plan
        Gets what cannot be scored, with a warning each.
    make_metrics : MetricFactory
    trail : Trail, optional
        Where to write what is at work.
    """
    kind, written = kind_of(data), trail or Trail()
    few, method = kind.excerpt(data), kind.stand_in()
    sizes = Sizes(IMAGES, IMAGES, pairs=2, midpoints=IMAGES, frames=FRAMES)
    ctx = ScoreContext(torch.device(plan.tried_on), 0, few, **asdict(sizes))
    well = True

    def around(whose: str, name: str) -> AbstractContextManager[None]:
        return written.stage(RUN, whose, name)

    for row in score(
        method, few, ctx, wanted, plan.unavailable, make_metrics=make_metrics, around=around
    ):
        if row["status"] == "failed":
            well = False
            plan.unavailable[row["text"]] = f"failed before training: {row['reason']}"
            plan.warnings.append(f"{row['metric']} will not be scored: {row['reason']}")
    return well
