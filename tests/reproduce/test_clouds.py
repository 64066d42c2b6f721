"""The picture of stochastic maps: what a gallery keeps of them, and what is drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from otbench.interface import FitContext, MeasurePair, MethodCard, StochasticMap
from otbench.interface.scoring import ScoreContext
from otbench.report.pictures import pyplot
from otbench.reproduce.clouds import Panel, draw_clouds
from otbench.scoring.gallery import ARROWS, CLOUD, write_clouds
from otbench_datasets.point_pairs.mixture_1d import LineMixture
from otbench_datasets.point_pairs.plane import Plane


class Halving(StochasticMap):
    card = MethodCard("halving", "none")

    def fit(self, data: MeasurePair, ctx: FitContext) -> None: ...

    def save(self, folder: Path) -> None: ...

    @classmethod
    def load(cls, folder: Path, device: str | torch.device = "cpu") -> Halving:
        return cls()

    def push(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        assert generator is not None
        return self.conditional(x, 1, generator)[:, 0]

    def conditional(self, x: Tensor, n: int, generator: torch.Generator) -> Tensor:
        return 0.5 * x.unsqueeze(1) + torch.randn(1, n, x.shape[1], generator=generator)

    def potential_losses(self) -> Tensor:
        return torch.linspace(1, 0, 500)


@pytest.fixture(params=[1, 2])
def gallery(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    data = LineMixture(3) if request.param == 1 else Plane("white-moons").load()
    file = tmp_path / "gallery.npz"
    write_clouds(file, Halving(), data, ScoreContext(torch.device("cpu"), 0, data))
    return file


def test_a_gallery_keeps_mean_images_and_losses(gallery: Path) -> None:
    with np.load(gallery) as arrays:
        assert {"source", "target", "pushed", "barycentric", "potential_losses"} <= set(arrays)
        assert len(arrays["pushed"]) == CLOUD
        assert len(arrays["barycentric"]) == ARROWS
        gap = arrays["barycentric"] - 0.5 * arrays["source"][:ARROWS]
        # one mean of 256 draws of unit variance for all points
        assert np.ptp(gap, axis=0).max() < 1e-5
        assert np.abs(gap).max() < 5 / 16
        assert len(arrays["potential_losses"]) == 500


def test_panels_arrows_and_losses_are_drawn(gallery: Path, tmp_path: Path) -> None:
    plain = tmp_path / "plain.npz"
    with np.load(gallery) as arrays:
        np.savez(plain, **{name: arrays[name] for name in ("source", "target", "pushed")})
    rows = [[Panel("a", gallery, "w2 1"), Panel("b", plain, "")], [Panel("c", plain, "")]]
    figure = draw_clouds(rows)
    shown = [axis for axis in figure.axes if axis.get_visible()]
    titles = [axis.get_title(loc="left") for axis in shown]
    assert titles[:3] == ["a", "b", "c"]
    assert "loss" in titles[3]
    assert [len(line.get_xdata()) for line in shown[3].get_lines()] == [2, 500]
    # source points to their means: 64 arrows in the first panel alone
    arrows = [c for axis in shown[:3] for c in axis.collections if hasattr(c, "U")]
    assert [len(quiver.U) for quiver in arrows] == [ARROWS]
    figure.savefig(tmp_path / "picture.png")
    pyplot().close(figure)
    assert draw_clouds([]) is None
