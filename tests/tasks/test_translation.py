"""The task of image translation: what it carries, ranges, pictures, who may run on what."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from otbench.conformance import TinyPair, tiny_image_pair, tiny_images
from otbench.interface import (
    FitContext,
    ImagePair,
    MeasurePair,
    MethodCard,
    StochasticMap,
    TransportMap,
)
from otbench.interface.scoring import ScoreContext
from otbench.interface.task import BadOutput
from otbench.presets import get_preset
from otbench.report.pictures import stored, translation_sheet
from otbench.run.request import Plan, Request, Sweep
from otbench.run.scorers import Scorers
from otbench.run.trail import Trail
from otbench.scoring.gallery import TRANSLATIONS, write_translations
from otbench.scoring.kinds import kind_of, mismatch
from otbench.tasks.translation import DRAWS, Translation, as_images
from otbench.tasks.transport import Transportation
from otbench.tasks.weak_transport import WeakTransportation
from otbench_methods.neural_maps.not_unet import NOTUNet

PAIR = tiny_image_pair()
CTX = ScoreContext(torch.device("cpu"), 0, PAIR, sample=20)


@dataclass
class Scaled(TransportMap):
    """From [0, 1] to 1 - factor x + offset."""

    factor: float = 1.0
    offset: float = 0.0

    card = MethodCard("scaled", "none")

    def fit(self, data: MeasurePair, ctx: FitContext) -> None: ...

    def save(self, folder: Path) -> None: ...

    @classmethod
    def load(cls, folder: Path, device: str | torch.device = "cpu") -> Scaled:
        return cls()

    def push(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return 1 - self.factor * x + self.offset


@dataclass
class Random(Scaled, StochasticMap):
    """One of two brightnesses, by noise."""

    def conditional(self, x: Tensor, n: int, generator: torch.Generator) -> Tensor:
        level = torch.rand(n, generator=generator).view(1, n, 1)
        return level.expand(len(x), n, x.shape[1]).contiguous()


def test_held_out_images_are_carried() -> None:
    made = Translation().run(Scaled(), PAIR, CTX)
    assert torch.equal(made.source, PAIR.source_images.test.sample(20).images)
    assert torch.equal(made.generated, 1 - made.source)
    reached = PAIR.target_images.test.sample(20)
    assert torch.equal(made.real, reached.images)
    assert torch.equal(made.again, PAIR.target_images.validation.sample(20).images)
    assert (made.labels is None) == (reached.labels is None)
    assert not made.paired
    assert made.samples is None
    assert made.excess == 0


def test_a_stochastic_map_is_drawn_from() -> None:
    made = Translation().run(Random(), PAIR, CTX)
    assert made.samples is not None
    assert made.samples.shape == (20, DRAWS, 1, 16, 16)
    assert float(made.samples.var(dim=1).min()) > 0
    again = Translation().run(Random(), PAIR, CTX)
    assert again.samples is not None
    assert torch.equal(made.samples, again.samples)


def test_a_little_beyond_the_range_is_cut_and_told() -> None:
    made = Translation().run(Scaled(offset=0.05), PAIR, CTX)
    assert float(made.generated.max()) == 1
    beyond = (1.05 - made.source - 1).clamp(min=0).double().mean()
    assert made.excess == pytest.approx(float(beyond), rel=1e-3)


def test_images_on_another_range_are_refused() -> None:
    with pytest.raises(BadOutput, match=r"Scaled\.push .* wanted \[0, 1\]; rescale images on"):
        Translation().run(Scaled(factor=2.0), PAIR, CTX)
    with pytest.raises(BadOutput, match=r"to 255, wanted \[0, 1\]$"):
        as_images(torch.full((2, 256), 255.0), PAIR, "it")


def test_who_runs_on_what(tmp_path: Path) -> None:
    images, points = tiny_images(), TinyPair()
    assert Translation().lacks(PAIR) is None
    assert "not a pair of image sets" in str(Translation().lacks(points))
    for task in (Transportation(), WeakTransportation()):
        assert "translation" in str(task.lacks(PAIR))
        assert task.lacks(points) is None
    assert mismatch(NOTUNet, PAIR) is None
    for other, kind in ((points, "a pair of distributions"), (images, "a set of images")):
        reason = f"needs a pair of image sets; {other.name} is {kind}"
        assert mismatch(NOTUNet, other) == reason
    preset = get_preset("quick")
    assert kind_of(PAIR).budget(preset, PAIR) == (1500, 64)
    sweep = Sweep(["not-unet"], ["coloured-digits"], [0])
    scorers = Scorers(Request([sweep], [], "quick"), Plan(), Trail(tmp_path / "trail"))
    assert list(scorers.wanted(preset, sweep, [], PAIR)) == ["translation"]


def test_pictures_show_source_translations_and_target(tmp_path: Path) -> None:
    files = {}
    for name, method in (("scaled", Scaled()), ("random", Random())):
        files[name] = tmp_path / f"{name}.npz"
        write_translations(files[name], method, PAIR, CTX)
    images, translated = (stored(files["scaled"], n) for n in ("images", "translated"))
    assert images is not None
    assert translated is not None
    assert translated.shape == (TRANSLATIONS, 1, 16, 16)
    assert np.abs(translated.astype(int) + images.astype(int) - 255).max() <= 1
    draws = stored(files["random"], "draws")
    assert draws is not None
    assert draws.shape == (4, TRANSLATIONS, 1, 16, 16)
    sheet = translation_sheet(files, tmp_path / "sheet.png")
    assert sheet is not None
    assert sheet.stat().st_size > 5000
    assert translation_sheet({}, tmp_path / "none.png") is None


def test_a_pair_needs_one_shape_of_images() -> None:
    from otbench.errors import DataError

    with pytest.raises(DataError, match="1x32x32 and 1x16x16"):
        ImagePair("p", "v", tiny_images(), PAIR.target_images)
