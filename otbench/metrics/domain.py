"""A small classifier of the two sides of an image pair, whose features several metrics use.

Inception was trained on neither digits nor cartoons, so a network is trained for each pair and
shared by all methods. It is trained on both training splits to classify the side and, if there are
labels, the mode. The features are the 64 outputs of the layer before the heads. Training has a
fixed seed and does not count as time of a method; the result is stored in the cache folder.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn import functional

from otbench.assets.kept import read_or_made, write_whole
from otbench.home import home
from otbench.interface.data import ImagePair, Split
from otbench.interface.scoring import ScoreContext
from otbench.interface.training import Budget, FitContext
from otbench.metrics.base import check_images
from otbench.nn.backbone import SLOPE, initialise
from otbench.nn.training import Optimiser

log = logging.getLogger(__name__)

VERSION = 2
"""Version of network and training, part of the file's name; raise it when either changes."""

STEPS, BATCH, RATE, SEED = 400, 128, 4e-3, 0
"""Number of updates, batch size (half from each side), peak learning rate and seed. Training takes
12 s at 32x32 on one thread."""

HELD_OUT = 1000
"""Largest number of test images of either side for accuracies, a stratified sample."""

GRID = 4
"""Side of the last feature map."""


class DomainNet(nn.Module):
    """Strided 3x3 convolutions down to a grid of at most 4x4, and two linear layers.

    Parameters
    ----------
    image_shape : tuple of int
        Channels, height, width; any size.
    classes : int
        Number of modes to classify, 0 for none.
    """

    dimension = 64
    """Number of features: outputs of the layer before the heads, before the ReLU."""

    def __init__(self, image_shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        channels, height, width = image_shape
        sides = [(height, width)]
        while max(sides[-1]) > GRID:
            sides.append(((sides[-1][0] + 1) // 2, (sides[-1][1] + 1) // 2))
        layers: list[nn.Module] = []
        # Large feature maps have few channels, so all layers cost about the same at any size.
        for level in reversed(range(len(sides) - 1)):
            wider = max(8, self.dimension >> max(0, level - 1))
            layers += [nn.Conv2d(channels, wider, 3, stride=2, padding=1), nn.LeakyReLU(SLOPE)]
            channels = wider
        last = channels * sides[-1][0] * sides[-1][1]
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(last, self.dimension))
        self.heads = nn.Linear(self.dimension, 1 + classes)

    def features(self, x: Tensor) -> Tensor:
        """Map images (n, c, h, w) in [0, 1] to features (n, 64)."""
        result: Tensor = self.body(x)
        return result

    def logits(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Map features (n, 64) to logits of the target, (n,), and of the modes, (n, m)."""
        logits = self.heads(torch.relu(features))
        return logits[:, 0], logits[:, 1:]


@dataclass(frozen=True)
class DomainClassifier:
    """A trained network and its accuracy on held-out images.

    Attributes
    ----------
    network : DomainNet
        Frozen.
    domain_accuracy : float
        Fraction of test images, half of them from each side, whose side is predicted correctly.
    mode_accuracy : float or None
        Fraction of the target's test images whose mode is predicted correctly; None without labels.
    """

    network: DomainNet
    domain_accuracy: float
    mode_accuracy: float | None

    def modes(self, features: Tensor) -> Tensor:
        """Return the most likely mode of each image from its features (n, 64), int64 (n,)."""
        return self.network.logits(features)[1].argmax(1)

    def of_target(self, features: Tensor) -> Tensor:
        """Classify images as the target's or not from their features (n, 64), bool (n,)."""
        return self.network.logits(features)[0] > 0


def mode_count(pair: ImagePair) -> int | None:
    """Return the number of modes in the labels of a pair; None unless all splits have labels."""
    sides = pair.source_images, pair.target_images
    splits = [split for side in sides for split in (side.train, side.test)]
    return None if any(split.labels is None for split in splits) else pair.classes


def train(pair: ImagePair, device: torch.device) -> DomainClassifier:
    """Train on both training splits, with a fixed seed, and evaluate on both test splits.

    The loss is the sum of the cross-entropies of side and mode. The result does not depend on
    torch's global random state or on the caller's gradient mode.
    """
    classes = mode_count(pair) or 0
    source, target = pair.source_images.train, pair.target_images.train
    check_images(source=source.images, target=target.images)
    ctx = FitContext(Budget(STEPS, BATCH // 2), SEED)
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        network = DomainNet(pair.image_shape, classes)
        initialise(network, ctx.generator("init"))
        network.to(device)
        optimiser = Optimiser(network.parameters(), ctx.budget, RATE)
        batches = [
            ctx.stream(torch.arange(len(side)), axis)
            for side, axis in ((source, "source"), (target, "target"))
        ]
        is_target = torch.arange(2, device=device).repeat_interleave(BATCH // 2).float()
        for step, rows, columns in zip(ctx.steps(), *batches, strict=False):
            images = torch.cat([source.images[rows], target.images[columns]]).to(device)
            side, modes = network.logits(network.features(images))
            loss = functional.binary_cross_entropy_with_logits(side, is_target)
            if classes:
                labels = torch.cat([_labels(source, rows), _labels(target, columns)])
                loss = loss + functional.cross_entropy(modes, labels.to(device))
            optimiser.step(loss)
            ctx.progress(step, loss=loss)
    network.requires_grad_(False).eval()
    found = _measured(network, pair, device)
    log.info("domain classifier: %.1f s, %s", ctx.seconds, _accuracies(found))
    return found


def _labels(split: Split, rows: Tensor) -> Tensor:
    assert split.labels is not None
    return split.labels[rows]


def _measured(network: DomainNet, pair: ImagePair, device: torch.device) -> DomainClassifier:
    shares, right = [], None
    with torch.no_grad():
        for expected, side in enumerate((pair.source_images, pair.target_images)):
            seen = side.test.sample(HELD_OUT)
            parts = [network.features(part.to(device)) for part in seen.images.split(BATCH)]
            domain, modes = network.logits(torch.cat(parts))
            shares.append(float(((domain > 0) == bool(expected)).double().mean()))
    if modes.shape[1]:
        assert seen.labels is not None
        right = float((modes.argmax(1) == seen.labels.to(device)).double().mean())
    return DomainClassifier(network, sum(shares) / 2, right)


def _accuracies(found: DomainClassifier) -> dict[str, str]:
    shares = {"domain": found.domain_accuracy, "mode": found.mode_accuracy}
    return {name: repr(share) for name, share in shares.items() if share is not None}


def file_of(pair: ImagePair) -> Path:
    """Return the file of a pair's classifier, named by version and the data's digest."""
    return home() / "features" / f"domain-v{VERSION}-{pair.sha256[:32]}.safetensors"


def stored_or_trained(pair: ImagePair, device: torch.device) -> DomainClassifier:
    """Read the classifier of a pair, or train and store it; see `read_or_made`."""
    return read_or_made(
        file_of(pair),
        "the domain classifier",
        lambda path: _read(path, pair, device),
        lambda: train(pair, device),
        lambda path, found: write_whole(path, found.network.state_dict(), _accuracies(found)),
    )


def _read(path: Path, pair: ImagePair, device: torch.device) -> DomainClassifier:
    with safe_open(path, "pt", device=str(device)) as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        shares = {name: float(share) for name, share in (file.metadata() or {}).items()}
    with torch.random.fork_rng(devices=[]):
        network = DomainNet(pair.image_shape, mode_count(pair) or 0)
    network.load_state_dict(state)
    network.requires_grad_(False).eval().to(device)
    return DomainClassifier(network, shares["domain"], shares.get("mode"))


def classifier(ctx: ScoreContext) -> DomainClassifier:
    """Return the classifier of the cell's pair, read or trained once per cell."""
    pair: ImagePair = ctx.data
    return ctx.once("domain-classifier", lambda: stored_or_trained(pair, ctx.device), of=pair)


def domain_features(images: Tensor, ctx: ScoreContext) -> Tensor:
    """Return the features (n, 64) of images in [0, 1], computed once per cell and stack.

    Raises
    ------
    ValueError
        If the images lie outside [0, 1].
    """
    check_images(images=images)
    network = classifier(ctx).network
    return ctx.once("domain-features", lambda: ctx.batched(network.features, images), of=images)
