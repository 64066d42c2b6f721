"""Methods whose results would be wrong or lost without a word, if nobody looked."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from otbench.interface import Autoencoder, MethodCard, parameter


@dataclass
class Pixels(Autoencoder):
    """Codes are pixels, shifted by a number that is learned: the seed."""

    shift: float = parameter(0.0, "added to the codes")
    card = MethodCard("Pixels", "nobody")

    def fit(self, data, ctx):
        self.side_ = data.image_shape[-1]
        self.seed_ = ctx.seed
        ctx.progress(ctx.budget.steps - 1, loss=1.0)

    def encode(self, x):
        return x.flatten(1) + self.shift

    def decode(self, z):
        return (z - self.shift).unflatten(1, (1, self.side_, self.side_)).clamp(0, 1)


class ChangesItsInput(Pixels):
    """Scores itself on images that it made easy."""

    def encode(self, x):
        return x.mul_(4).round_().div_(4).flatten(1)


class ChangesItsData(Pixels):
    """Makes the test images easy while it trains."""

    def fit(self, data, ctx):
        super().fit(data, ctx)
        data.test.images.mul_(0)


class ForgetsItself(Pixels):
    """Works until it is saved."""

    def fit(self, data, ctx):
        super().fit(data, ctx)
        self.good = True

    def decode(self, z):
        if hasattr(self, "good"):
            return super().decode(z)
        return torch.zeros_like(super().decode(z))


class SaysNothing(Pixels):
    """Ends well, with no record."""

    def fit(self, data, ctx):
        if (Path(os.environ["MOOD"]) / "silent").exists():
            os._exit(0)
        super().fit(data, ctx)


class Moody(Pixels):
    """Trains, sleeps or breaks, as the day goes."""

    def fit(self, data, ctx):
        if (Path(os.environ["MOOD"]) / "sleepy").exists():
            time.sleep(600)
        super().fit(data, ctx)

    @classmethod
    def load(cls, folder, device="cpu"):
        if (Path(os.environ["MOOD"]) / "forgetful").exists():
            (Path(os.environ["MOOD"]) / "forgetful").unlink()
            raise RuntimeError("what was this again?")
        return super().load(folder, device)


class LeavesSomethingRunning(Pixels):
    """Starts a process that goes on, and reads what nobody writes."""

    def fit(self, data, ctx):
        subprocess.Popen(["sleep", "987"])
        assert sys.stdin.read() == ""
        super().fit(data, ctx)
