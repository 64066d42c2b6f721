"""MNIST: handwritten digits."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import ClassVar

from otbench.assets import store
from otbench.errors import DataError, DataWarning
from otbench.interface import ImageDataset, Split
from otbench_datasets.images.idx import IDXDataset, read_full, read_pair
from otbench_datasets.splits import stratified


def read_mnist(binarize: bool = False) -> tuple[str, tuple[Split, Split, Split], str]:
    """Read MNIST, or 5,000 of its images if the full set is unavailable; see `MNIST`.

    Returns
    -------
    variant : str
        ``full`` or ``5k``.
    splits : tuple of Split
        Training, validation, test; images (n, 1, 32, 32).
    sha256 : str
    """
    try:
        folder = store.require("mnist")
    except DataError as fault:
        asset = "mnist-5k"
        whole = read_pair(store.require(asset), "", binarize)
        warnings.warn(
            f"the full MNIST is unavailable: continuing with 5,000 of its 70,000 images, variant "
            f"'5k'. Scores are not comparable with those of the full set.\n{fault}",
            DataWarning,
            stacklevel=3,
        )
        return "5k", stratified(whole.images, whole.labels), store.digest(asset)
    return "full", read_full(folder, binarize), store.digest("mnist")


@dataclass
class MNIST(IDXDataset):
    """MNIST (LeCun et al. 1998), 28x28 padded with zeros to 32x32; gray, ten classes.

    The variant ``full`` has 55,000 training images, 5,000 validation images (the last of the
    original 60,000 training images) and the 10,000 test images. If the full set is unavailable, the
    variant ``5k`` is used with a `DataWarning`: 5,000 images of the training set, 500 per class,
    split by `otbench_datasets.splits.stratified` into 3,500, 500 and 1,000. The name of a binarised
    variant ends in ``-binary``.
    """

    title: ClassVar[str] = "MNIST, 70,000 handwritten digits, 32x32"
    assets: ClassVar[tuple[str, ...]] = ("mnist",)

    def load(self) -> ImageDataset:
        """Read the images; see `otbench.interface.Dataset.load`."""
        return self.assembled("mnist", *read_mnist(self.binarize))
