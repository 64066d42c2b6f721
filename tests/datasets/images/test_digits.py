"""The digits are scikit-learn's."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_digits

from otbench_datasets.images.digits import _table


def test_the_file_holds_what_scikit_learn_loads() -> None:
    table = torch.from_numpy(np.loadtxt(_table(), delimiter=",", dtype=np.float32))
    held = load_digits()
    assert torch.equal(table[:, :-1].view(-1, 8, 8), torch.from_numpy(held.images).float())
    assert torch.equal(table[:, -1].long(), torch.from_numpy(held.target))
