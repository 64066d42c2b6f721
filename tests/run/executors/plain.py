"""Methods and data for executors: nothing is learned, and what happens is decided by parameters."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil
import torch

from otbench.conformance import tiny_images
from otbench.interface import Autoencoder, Dataset, MethodCard, parameter


@dataclass
class Plain(Autoencoder):
    """Codes are pixels, dimmed by a number that is drawn."""

    seconds: float = parameter(0.0, "that the training takes")
    card = MethodCard("Plain", "nobody")

    def fit(self, data, ctx):
        time.sleep(self.seconds)
        self.side_ = data.image_shape[-1]
        self.dimmed_ = 0.1 * torch.rand((), generator=ctx.generator("dim")).item()

    def encode(self, x):
        return x.flatten(1)

    def decode(self, z):
        return (1 - self.dimmed_) * z.unflatten(1, (1, self.side_, self.side_)).clamp(0, 1)


@dataclass
class DrawsGlobally(Plain):
    """Draws from NumPy's global state, which it should not."""

    def fit(self, data, ctx):
        super().fit(data, ctx)
        self.dimmed_ = 0.1 * float(np.random.random())


@dataclass
class HangsOnce(Plain):
    """Hangs while a file is missing that it makes at the first time."""

    def fit(self, data, ctx):
        super().fit(data, ctx)
        marker = Path(os.environ["MOOD"]) / f"hung-{ctx.seed}"
        if not marker.exists():
            marker.touch()
            time.sleep(600)


@dataclass
class Hangs(Plain):
    """Never ends."""

    def fit(self, data, ctx):
        time.sleep(600)


@dataclass
class Dies(Plain):
    """Ends its process."""

    def fit(self, data, ctx):
        os.kill(os.getpid(), signal.SIGSEGV)


@dataclass
class KillsItsParent(Plain):
    """Takes with it what runs it."""

    def fit(self, data, ctx):
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(600)


@dataclass
class KillsItsGrandparent(Plain):
    """Takes with it the worker of Dask that asked for it."""

    def fit(self, data, ctx):
        os.kill(psutil.Process(os.getppid()).ppid(), signal.SIGKILL)
        time.sleep(600)


@dataclass
class Skips(Plain):
    """Has nothing to do."""

    def skip(self, data):
        return "nothing to do"


@dataclass
class Few(Dataset):
    """A few images."""

    def load(self):
        return tiny_images((32, 16, 16))
