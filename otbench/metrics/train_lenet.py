"""Train the classifier behind ``fid[lenet]``: ``python -m otbench.metrics.train_lenet``.

Only MNIST's training split is learnt from; the accuracy on its test split is written into the
metadata of the weights. On one CPU thread it takes about two minutes; the same library versions,
machine and number of threads give the same bytes.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from otbench.interface.data import Split
from otbench.interface.training import Budget, FitContext
from otbench.metrics.lenet import SIDE, WEIGHTS, LeNet
from otbench.nn.backbone import initialise
from otbench.nn.training import Optimiser
from otbench.plugins.registry import Registry

EPOCHS, BATCH, RATE, SEED, SHIFT = 5, 128, 2e-3, 0, 2
"""Passes over the training split, images in a batch, peak rate, seed, largest shift in pixels."""


def read_idx(folder: Path, part: str) -> Split:
    """Read one split of MNIST from its IDX files, padded with black to 32x32.

    Parameters
    ----------
    folder : Path
        Holds ``train-images-idx3-ubyte`` and its three sisters, uncompressed.
    part : {"train", "t10k"}
    """
    pixels = np.fromfile(folder / f"{part}-images-idx3-ubyte", np.uint8, offset=16)
    labels = np.fromfile(folder / f"{part}-labels-idx1-ubyte", np.uint8, offset=8)
    images = torch.from_numpy(pixels.reshape(-1, 1, 28, 28)).float() / 255
    margin = (SIDE - 28) // 2
    return Split(functional.pad(images, (margin,) * 4), torch.from_numpy(labels).long())


def shifted(x: Tensor, generator: torch.Generator) -> Tensor:
    """Move a batch by a random number of pixels, the same for all its images."""
    rows, columns = torch.randint(-SHIFT, SHIFT + 1, (2,), generator=generator).tolist()
    return x.roll((rows, columns), (2, 3))


def accuracy(network: LeNet, split: Split) -> float:
    """Return the share of images whose class is predicted rightly."""
    assert split.labels is not None
    with torch.no_grad():
        predicted = torch.cat([network(x).argmax(1) for x in split.images.split(1000)])
    return float((predicted == split.labels).double().mean())


def train(split: Split, epochs: int = EPOCHS) -> LeNet:
    """Train on a labelled split by cross-entropy, from a fixed seed, on the CPU."""
    assert split.labels is not None
    steps = epochs * (len(split) // BATCH)
    ctx = FitContext(Budget(steps, BATCH), SEED)
    network = LeNet()
    initialise(network, ctx.generator("init"))
    optimiser = Optimiser(network.parameters(), ctx.budget, RATE)
    shifts = ctx.generator("shifts")
    order = ctx.stream(torch.arange(len(split)))
    for step, batch in zip(ctx.steps(), order, strict=False):
        x, y = shifted(split.images[batch], shifts), split.labels[batch]
        loss = functional.cross_entropy(network(x), y)
        optimiser.step(loss)
        ctx.progress(step, cross_entropy=loss)
    return network.requires_grad_(False).eval()


def main() -> None:
    """Train, measure, write the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--idx", type=Path, help="a folder with MNIST's four IDX files")
    parser.add_argument("--to", type=Path, default=WEIGHTS, help="where the weights go")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.use_deterministic_algorithms(True)
    if arguments.idx:
        learn, test = (read_idx(arguments.idx, part) for part in ("train", "t10k"))
    else:
        data = Registry("datasets").get("mnist").load()().load()
        learn, test = data.train, data.test
    network = train(learn)
    score = accuracy(network, test)
    metadata = {
        "test_accuracy": f"{score:.4f}",
        "images": str(len(learn)),
        "epochs": str(EPOCHS),
        "seed": str(SEED),
    }
    save_file(network.state_dict(), arguments.to, metadata)
    logging.info("test accuracy %.4f, weights in %s", score, arguments.to)


if __name__ == "__main__":
    main()
