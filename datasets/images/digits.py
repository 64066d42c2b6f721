"""The 1,797 digits that come with scikit-learn, which need no download."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F

from otbench.interface import Dataset, ImageDataset
from otbench_datasets.splits import stratified, tensor_digest


def _table() -> Path:
    """Find scikit-learn's file without importing scikit-learn, which takes seconds.

    Each row has 64 pixels and the digit.
    """
    spec = importlib.util.find_spec("sklearn")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "datasets" / "data" / "digits.csv.gz"


@dataclass
class Digits(Dataset):
    """Optical digits (Alpaydin, Kaynak 1998), 8x8 with 17 levels, resized to 32x32; ten classes.

    Images are resized bilinearly (aligned at pixel centres, with edges repeated) and split by
    `otbench_datasets.splits.stratified`, which ignores the writers.
    """

    title: ClassVar[str] = "scikit-learn's 1,797 digits, resized to 32x32"

    def load(self) -> ImageDataset:
        """Read the images; see `otbench.interface.Dataset.load`."""
        table = torch.from_numpy(np.loadtxt(_table(), delimiter=",", dtype=np.float32))
        small = table[:, :-1].div(16).view(-1, 1, 8, 8)
        images = F.interpolate(small, size=32, mode="bilinear", align_corners=False).clamp(0, 1)
        labels = table[:, -1].long()
        digest = tensor_digest(images, labels)
        splits = stratified(images, labels)
        return ImageDataset("digits", "full", *splits, sha256=digest, classes=10)
