"""Pairs that go wrong, and a map whose training can be followed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import torch

from otbench.conformance import TinyPair
from otbench.interface import Dataset, MeasurePair, MethodCard, TransportMap, parameter


class Lopsided(TinyPair):
    name = "lopsided"

    def target(self, n, generator):
        return torch.randn(n, 3, generator=generator)


class Undefined(TinyPair):
    name = "undefined"

    def source(self, n, generator):
        return torch.log(super().source(n, generator))


@dataclass
class LopsidedPair(Dataset):
    title = "source and target of other dimensions"

    def load(self):
        return Lopsided()


@dataclass
class UndefinedPair(Dataset):
    title = "a sampler that returns NaN"

    def load(self):
        return Undefined()


@dataclass
class Follower(TransportMap):
    """Comes nearer to the true map of `Doubled` with every step."""

    lost: bool = parameter(False, "whether it ends in an error")
    card = MethodCard("follower", "nobody")

    def fit(self, data, ctx):
        for step in ctx.steps():
            self.share_ = (step + 1) / ctx.budget.steps
            ctx.progress(step, loss=1.0)
            ctx.checkpoint(step + 1, self)
        if self.lost:
            raise RuntimeError("lost")

    def push(self, x, generator=None):
        return x + self.share_ * x

    def save(self, folder):
        content = {"parameters": self.parameters(), "share": self.share_}
        (Path(folder) / "model.json").write_text(json.dumps(content))

    @classmethod
    def load(cls, folder, device="cpu"):
        content = json.loads((Path(folder) / "model.json").read_text())
        method = cls(**content["parameters"])
        method.share_ = content["share"]
        return method


class Doubled(MeasurePair):
    name, variant, sha256, dimension = "doubled", "default", "0" * 64, 3

    def source(self, n, generator):
        return torch.randn(n, 3, generator=generator)

    def target(self, n, generator):
        return 2 * self.source(n, generator)

    def true_map(self, x):
        return 2 * x


@dataclass
class DoubledPair(Dataset):
    title = "two Gaussians in space"

    def load(self):
        return Doubled()
