"""The context of scoring: device, randomness, sizes, and a cache shared within a cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor

Result = TypeVar("Result")

TOLERANCE = 1e-4
"""Distance outside [0, 1] at which a pixel is still accepted, to allow for rounding."""


@dataclass
class ScoreContext:
    """Device, randomness, sizes, and a cache shared by the metrics of one cell.

    Attributes
    ----------
    device : torch.device
    seed : int
    data : ImageDataset or MeasurePair
        The data that the method was trained on.
    sample : int or None
        Largest number of images to score (a stratified sample of the test split); None for all.
    pairs : int
        Number of pairs of test images to interpolate between.
    frames : int
        Number of frames of a path, including both ends.
    midpoints : int
        Number of further pairs, for which only the middle frame is drawn, for distances between
        sets.
    train_sample : int or None
        Number of training images on which the probe and K-means are fitted (a stratified sample);
        None for all.
    batch_size : int
        Number of images that pass through a network at once.
    curve : list of dict
        Evaluations of the method during training, if there are any; see `otbench.scoring.curve`.
    """

    device: torch.device
    seed: int
    data: Any
    sample: int | None = None
    pairs: int = 256
    frames: int = 11
    midpoints: int = 1000
    train_sample: int | None = 5_000
    batch_size: int = 256
    curve: list[dict[str, Any]] = field(default_factory=list)
    _memory: dict[tuple[str, int], tuple[Any, Any]] = field(default_factory=dict, repr=False)

    def once(self, key: str, compute: Callable[[], Result], of: object = None) -> Result:
        """Compute a value on first use, and cache it for the other metrics.

        Parameters
        ----------
        key : str
        compute : callable
        of : object, optional
            The object that the value is computed from; each object has its own values. The object
            is kept alive, so that no other object can have the same identity.
        """
        entry = (key, id(of))
        if entry not in self._memory:
            self._memory[entry] = (of, compute())
        result: Result = self._memory[entry][1]
        return result

    def kept(self) -> list[tuple[str, Any]]:
        """Return the keys and values of all that has been computed so far."""
        return [(key, value) for (key, _), (_, value) in self._memory.items()]

    def batched(self, function: Callable[..., Tensor], *inputs: Tensor) -> Tensor:
        """Apply a function to batches on the device, without gradients, and join the results.

        Parameters
        ----------
        function : callable
            Takes as many tensors as there are inputs, all of the same length, and returns a tensor
            of that length.
        *inputs : Tensor, shape (n, ...)
        """
        with torch.no_grad():
            parts = [
                function(*(part.to(self.device) for part in batch))
                for batch in zip(*(x.split(self.batch_size) for x in inputs), strict=True)
            ]
        return torch.cat(parts)


def check_input(images: Tensor, image_shape: Sequence[int], call: str) -> None:
    """Reject images for which a model was not trained.

    Parameters
    ----------
    images : Tensor, shape (n, c, h, w)
    image_shape : sequence of int
        Channels, height and width of the training images.
    call : str
        The name of the call, for the message.

    Raises
    ------
    ValueError
        If the images have another shape or type, or values outside [0, 1].
    """
    wanted = f"wanted (n, {', '.join(map(str, image_shape))}), as in training"
    if tuple(images.shape[1:]) != tuple(image_shape):
        raise ValueError(f"{call} got images of shape {tuple(images.shape)}, {wanted}")
    if images.dtype != torch.float32:
        raise ValueError(f"{call} got images of {images.dtype}, wanted torch.float32 in [0, 1]")
    fault = image_fault(images) if len(images) else None
    if fault:
        raise ValueError(f"{call} got a stack of images that {fault}")


def image_fault(images: Tensor) -> str | None:
    """Return what is wrong with the values of images, which should lie in [0, 1], or None."""
    if not images.numel():
        return "holds no image"
    low, high = (float(value) for value in torch.aminmax(images.detach()))
    if low >= -TOLERANCE and high <= 1 + TOLERANCE:
        return None
    bad = int((~torch.isfinite(images)).sum())
    if bad:
        return f"has {bad} values that are not finite"
    hint = ""
    if -1 - TOLERANCE <= low < 0 and high <= 1 + TOLERANCE:
        hint = "; rescale images on [-1, 1] with (x + 1) / 2"
    return f"has values from {low:.4g} to {high:.4g}, wanted [0, 1]{hint}"
