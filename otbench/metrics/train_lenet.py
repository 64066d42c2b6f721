"""Train the classifier behind ``fid[lenet]``: ``python -m otbench.metrics.train_lenet``.

It is trained on MNIST's training split only; the accuracy on the test split is written to the
metadata of the weights. On one CPU thread training takes about two minutes. The same library
versions, machine and number of threads give the same bytes.
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
"""Number of epochs, batch size, peak learning rate, seed, and largest shift in pixels."""


def read_idx(folder: Path, part: str) -> Split:
    """Read one split of MNIST from its IDX files, padded with black to 32x32.

    Parameters
    ----------
    folder : Path
        Contains ``train-images-idx3-ubyte`` and the other three files, uncompressed.
    part : {"train", "t10k"}
    """
    pixels = np.fromfile(folder / f"{part}-images-idx3-ubyte", np.uint8, offset=16)
    labels = np.fromfile(folder / f"{part}-labels-idx1-ubyte", np.uint8, offset=8)
    images = torch.from_numpy(pixels.reshape(-1, 1, 28, 28)).float() / 255
    margin = (SIDE - 28) // 2
    return Split(functional.pad(images, (margin,) * 4), torch.from_numpy(labels).long())


def shifted(x: Tensor, generator: torch.Generator) -> Tensor:
    """Shift a batch by a random number of pixels, which is the same for all its images."""
    rows, columns = torch.randint(-SHIFT, SHIFT + 1, (2,), generator=generator).tolist()
    return x.roll((rows, columns), (2, 3))


def accuracy(network: LeNet, split: Split) -> float:
    """Return the fraction of images whose class is predicted correctly."""
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
    """Train the network, evaluate it and write the weights."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--idx", type=Path, help="a folder with MNIST's four IDX files")
    parser.add_argument(
        "--to", type=Path, default=WEIGHTS, help="file to which the weights are written"
    )
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
