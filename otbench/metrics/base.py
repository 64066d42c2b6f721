"""Checks that metrics share."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from otbench.interface.scoring import image_fault


def check_images(**stacks: Tensor) -> None:
    """Check that images lie in [0, 1]; the message names the offending argument.

    Raises
    ------
    ValueError
        If a value lies outside by more than `TOLERANCE` or is not finite.
    """
    for name, images in stacks.items():
        fault = image_fault(images)
        if fault:
            raise ValueError(f"the stack of images '{name}' {fault}")


def check_paired(pairs: Any) -> None:
    """Check that images are in [0, 1], paired, and of the same shape.

    Parameters
    ----------
    pairs : otbench.interface.artefacts.ComparedImages

    Raises
    ------
    ValueError
        If they are not.
    """
    check_images(real=pairs.real, generated=pairs.generated)
    if not pairs.paired:
        raise ValueError("this metric compares image by image, and these are not paired")
    if pairs.real.shape != pairs.generated.shape:
        raise ValueError(
            f"real images {tuple(pairs.real.shape)} and generated images "
            f"{tuple(pairs.generated.shape)} differ in shape"
        )
