"""Presets: named budgets of training and sizes of scoring."""

from __future__ import annotations

from dataclasses import dataclass, field

from otbench.errors import UsageError, unknown_name

MAP_BATCH = 1024
"""Number of points in one update of a map (Amos 2023, appendix B)."""

FEW_BATCHES = 10
"""Smallest number of batches in a training split for which epochs are a meaningful budget."""


@dataclass(frozen=True)
class Sizes:
    """Numbers of images, pairs and frames that are scored.

    Attributes
    ----------
    sample : int or None
        Largest number of test images, a stratified sample; None for all.
    train_sample : int or None
        Number of training images on whose codes the classifier and K-means are fitted; None for
        all.
    pairs : int
        Number of pairs of test images to interpolate between.
    midpoints : int
        Number of paths whose middle frames enter the Fréchet distance of interpolation.
    frames : int
        Number of frames of a path, including both ends.
    """

    sample: int | None = None
    train_sample: int | None = None
    pairs: int = 256
    midpoints: int = 1000
    frames: int = 11


@dataclass(frozen=True)
class Preset:
    """The budget of training, the number of seeds, and the sizes of scoring.

    Attributes
    ----------
    scene_steps : int
        Number of updates of the model for a scene or a very small training split.
    map_steps : int
        Number of updates of a map between two distributions, each of `MAP_BATCH` points.
    translation_steps : int
        Number of updates of a map between two collections of images, each of ``batch_size``.
    steps : int or None
        Number of updates of the model; None if ``epochs`` determines it.
    epochs : float or None
        Number of passes over the training split.
    batch_size, seeds : int
    track : str
        ``matched``: one backbone and one budget for all methods. ``native``: the published settings
        of each method, if it has any.
    full : bool
        Whether the full metrics of the tasks are also scored.
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
        """Return the number of updates and the batch size for a training split of this size.

        The budget is ``scene_steps`` for a scene, or for a training split of fewer than
        `FEW_BATCHES` batches. If a batch is larger than such a split, every update uses all images.
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
            "a test that everything runs; its numbers are meaningless",
            scene_steps=8,
            map_steps=20,
            translation_steps=5,
            steps=8,
            sizes=Sizes(sample=256, train_sample=256, pairs=8, midpoints=128),
            full=False,
        ),
        Preset(
            "quick",
            "the default: 500 updates; all methods on MNIST take under 10 minutes on two cores",
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
            "each paper's own settings, if it has any; five seeds; intended for a GPU",
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
    """Return the preset with a given name.

    Raises
    ------
    UsageError
        If the name is unknown.
    """
    if name not in PRESETS:
        raise UsageError(unknown_name("preset", name, PRESETS))
    return PRESETS[name]
