"""Presets: how long to train and how much to score, under one name."""

from __future__ import annotations

from dataclasses import dataclass, field

from otbench.errors import UsageError, unknown_name

MAP_BATCH = 1024
"""Points in one update of a map (Amos 2023, appendix B)."""

FEW_BATCHES = 10
"""Passes over a training split with fewer batches than this say little about the work done."""


@dataclass(frozen=True)
class Sizes:
    """How much is scored.

    Attributes
    ----------
    sample : int or None
        Test images at most, a stratified sample; None for all.
    train_sample : int or None
        Training images whose codes the classifier and K-means are fitted on; None for all.
    pairs : int
        Pairs of test images to interpolate between.
    midpoints : int
        Paths whose middle frames the Fréchet distance of interpolation looks at.
    frames : int
        Frames of a path, both ends included.
    """

    sample: int | None = None
    train_sample: int | None = None
    pairs: int = 256
    midpoints: int = 1000
    frames: int = 11


@dataclass(frozen=True)
class Preset:
    """How long to train, with how many seeds, and how much to score.

    Attributes
    ----------
    scene_steps : int
        Updates of the model where a few images are all there is to learn.
    map_steps : int
        Updates of a map between two distributions, each of `MAP_BATCH` points.
    translation_steps : int
        Updates of a map between two collections of images, each of ``batch_size``.
    steps : int or None
        Updates of the model; None where ``epochs`` counts instead.
    epochs : float or None
        Passes over the training split.
    batch_size, seeds : int
    track : str
        ``matched``: one backbone, one budget. ``native``: each method's own published settings,
        where it has any.
    full : bool
        Whether the tasks' full metrics are scored too.
    """

    name: str
    doc: str
    scene_steps: int
    map_steps: int
    translation_steps: int
    steps: int | None = None
    epochs: float | None = None
    batch_size: int = 64
    seeds: int = 1
    track: str = "matched"
    sizes: Sizes = field(default_factory=Sizes)
    full: bool = True

    def budget_for(self, training_images: int, scene: bool) -> tuple[int, int]:
        """Return the budget in updates, and the images in one, for a training split of this size.

        A scene, or a training split of fewer than `FEW_BATCHES` batches, takes ``scene_steps``; one
        of fewer images than a batch is seen whole in every update.
        """
        if scene or training_images < FEW_BATCHES * self.batch_size:
            return self.scene_steps, min(self.batch_size, training_images)
        if self.steps is not None:
            return self.steps, self.batch_size
        assert self.epochs is not None
        return max(1, round(self.epochs * training_images / self.batch_size)), self.batch_size


PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            "smoke",
            "does everything run? Numbers mean nothing.",
            scene_steps=8,
            map_steps=20,
            translation_steps=5,
            steps=8,
            sizes=Sizes(sample=256, train_sample=256, pairs=8, midpoints=128),
            full=False,
        ),
        Preset(
            "quick",
            "the default: 500 updates, all methods on MNIST in under 10 minutes on two cores",
            scene_steps=1000,
            map_steps=5000,
            translation_steps=1500,
            steps=500,
            sizes=Sizes(train_sample=10_000),
            full=False,
        ),
        Preset(
            "standard",
            "10 epochs, three seeds, Inception scores",
            scene_steps=5000,
            map_steps=30_000,
            translation_steps=6000,
            epochs=10,
            seeds=3,
        ),
        Preset(
            "paper",
            "each paper's own settings where it has any, five seeds; a GPU's work",
            scene_steps=20_000,
            map_steps=250_001,
            translation_steps=100_001,
            epochs=100,
            seeds=5,
            track="native",
            sizes=Sizes(pairs=500, midpoints=10_000),
        ),
    )
}
DEFAULT = "quick"


def get_preset(name: str) -> Preset:
    """Look a preset up by name.

    Raises
    ------
    UsageError
        If there is none of that name.
    """
    if name not in PRESETS:
        raise UsageError(unknown_name("preset", name, PRESETS))
    return PRESETS[name]
