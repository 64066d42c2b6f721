"""The 1,797 digits that come with scikit-learn: nothing to download."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F

from otbench.interface import Dataset, ImageDataset
from otbench_datasets.splits import stratified, tensor_digest


@dataclass
class Digits(Dataset):
    """Optical digits (Alpaydin, Kaynak 1998), 8x8 with 17 levels, resized to 32x32, ten classes.

    Resized bilinearly (pixel centres, edges repeated); split by
    `otbench_datasets.splits.stratified`, without regard to the writers.
    """

    title: ClassVar[str] = "scikit-learn's 1,797 digits, resized to 32x32"

    def load(self) -> ImageDataset:
        """Read the images; see `otbench.interface.Dataset.load`."""
        from sklearn.datasets import load_digits

        held = load_digits()
        small = torch.from_numpy(held.images).float().div(16).unsqueeze(1)
        images = F.interpolate(small, size=32, mode="bilinear", align_corners=False).clamp(0, 1)
        labels = torch.from_numpy(held.target).long()
        digest = tensor_digest(images, labels)
        splits = stratified(images, labels)
        return ImageDataset("digits", "full", *splits, sha256=digest, classes=10)
