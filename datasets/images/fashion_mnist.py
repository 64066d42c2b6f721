"""Fashion-MNIST: pieces of clothing, in the file format and size of MNIST."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from otbench.assets import store
from otbench.interface import ImageDataset
from otbench_datasets.images.idx import IDXDataset, read_full


@dataclass
class FashionMNIST(IDXDataset):
    """Fashion-MNIST (Xiao, Rasul, Vollgraf 2017), 28x28 padded with zeros to 32x32; ten classes.

    There are 55,000 training images, 5,000 validation images (the last of the original 60,000
    training images) and 10,000 test images.
    """

    title: ClassVar[str] = "Fashion-MNIST, 70,000 pieces of clothing, 32x32"
    assets: ClassVar[tuple[str, ...]] = ("fashion-mnist",)

    def load(self) -> ImageDataset:
        """Read the images; see `otbench.interface.Dataset.load`."""
        splits = read_full(store.require("fashion-mnist"), self.binarize)
        return self.assembled("fashion-mnist", "full", splits, store.digest("fashion-mnist"))
