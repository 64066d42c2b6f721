"""Methods that go wrong in every way a stranger's method can, and one that does not."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from otbench.interface import Autoencoder, Interpolator, MethodCard, parameter


@dataclass
class Good(Interpolator):
    """Holds the first image all the way, then jumps."""

    jump: float = parameter(0.5, "time of the jump")
    card = MethodCard("Jump", "nobody")

    def fit(self, data, ctx):
        ctx.progress(ctx.budget.steps - 1, loss=1.0)

    def interpolate(self, x0, x1, t):
        late = (t > self.jump).view(1, -1, 1, 1, 1)
        return torch.where(late, x1.unsqueeze(1), x0.unsqueeze(1))

    def save(self, folder):
        (Path(folder) / "model.json").write_text(json.dumps(self.parameters()))

    @classmethod
    def load(cls, folder, device="cpu"):
        return cls(**json.loads((Path(folder) / "model.json").read_text()))


class FailsInFit(Good):
    def fit(self, data, ctx):
        raise RuntimeError("no luck today")


class BecomesNan(Good):
    def fit(self, data, ctx):
        ctx.progress(ctx.budget.steps - 1, loss=float("nan"))


@dataclass
class Fades(Autoencoder):
    """Draws one grey where the seed is even, and its input where it is odd."""

    card = MethodCard("Grey", "nobody")

    def fit(self, data, ctx):
        self.shape_, self.grey_ = tuple(data.image_shape), ctx.seed % 2 == 0
        ctx.progress(ctx.budget.steps - 1, loss=1.0)

    def encode(self, x):
        return x.flatten(1)

    def decode(self, z):
        images = z.unflatten(1, tuple(self.shape_))
        return torch.full_like(images, 0.5) if self.grey_ else images


@dataclass
class GreyReference(Fades):
    card = MethodCard("Grey on purpose", "nobody", reference=True)


class WrongShape(Good):
    def interpolate(self, x0, x1, t):
        return super().interpolate(x0, x1, t)[:, :, :, 1:]


class OutOfRange(Good):
    def interpolate(self, x0, x1, t):
        return 255 * super().interpolate(x0, x1, t)


class WantsMemory(Good):
    def fit(self, data, ctx):
        raise MemoryError


class TakesMemory(Good):
    def fit(self, data, ctx):
        self.held = bytearray(2 << 30)
        time.sleep(600)


class IsKilled(Good):
    def fit(self, data, ctx):
        os.kill(os.getpid(), signal.SIGKILL)


class Hangs(Good):
    def fit(self, data, ctx):
        time.sleep(600)
