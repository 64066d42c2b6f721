from __future__ import annotations

from typing import Any

import pytest

from otbench.errors import DataError
from otbench.interface.data import ImageDataset
from otbench.interface.method import Method
from otbench.presets import MAP_BATCH, get_preset
from otbench.scoring.excerpt import IMAGES
from otbench.scoring.kinds import KINDS, kind_of, mismatch
from otbench_datasets.images.digits import Digits
from otbench_datasets.point_pairs.plane import Plane
from otbench_datasets.scenes.gaussian_corner import GaussianCorner
from otbench_methods.autoencoders.ae import AE
from otbench_methods.sampled_maps.linear import Linear

CASES = {
    "a scene of a few images": GaussianCorner,
    "a set of images": Digits,
    "a pair of distributions": Plane,
}


@pytest.mark.parametrize("name", CASES)
def test_every_data_set_has_its_kind(name: str) -> None:
    assert kind_of(CASES[name]().load()).name == name


def test_what_is_of_no_kind_is_refused() -> None:
    with pytest.raises(DataError, match="returned list; it must return ImageDataset or"):
        kind_of([])  # type: ignore[arg-type]


def test_budgets() -> None:
    preset = get_preset("quick")
    wanted = {
        "a scene of a few images": preset.scene_steps,
        "a set of images": preset.steps,
        "a pair of distributions": preset.map_steps,
    }
    for name, cls in CASES.items():
        data = cls().load()
        steps, batch = kind_of(data).budget(preset, data)
        assert steps == wanted[name]
        assert batch <= (MAP_BATCH if name == "a pair of distributions" else preset.batch_size)


def test_a_method_that_needs_another_kind_is_told() -> None:
    digits, plane = Digits().load(), Plane().load()
    assert mismatch(AE, digits) is None
    assert mismatch(AE, plane) == "needs a set of images; plane is a pair of distributions"
    assert mismatch(Linear, digits) == "needs a pair of distributions; digits is a set of images"

    class Bare(Method):
        def fit(self, data: Any, ctx: Any) -> None: ...

    assert "neither an Interpolator nor a TransportMap" in str(mismatch(Bare, digits))


def test_the_excerpt_holds_a_few_of_every_class() -> None:
    data = Digits().load()
    assert isinstance(data, ImageDataset)
    few = kind_of(data).excerpt(data)
    assert len(few.test) == IMAGES
    assert few.test.labels.unique().tolist() == list(range(10))


def test_special_kinds_come_before_general_ones() -> None:
    for i, kind in enumerate(KINDS):
        assert not any(issubclass(later.cls, kind.cls) for later in KINDS[i + 1 :] if i > 0)
