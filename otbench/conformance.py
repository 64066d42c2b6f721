"""What every method must hold to, as checks that name what is wrong.

``otbench check METHOD`` runs them; a plugin's own tests can call `check_method` and assert that no
result has a problem.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from otbench.interface import (
    Autoencoder,
    Budget,
    FitContext,
    ImageDataset,
    Interpolator,
    Method,
    MethodCard,
    Split,
)
from otbench.parameters import declared, instantiate
from otbench.registry import Plugin
from otbench.scoring import describe
from otbench.selection import Spec

STEPS = 6
PLAIN = (bool, int, float, str, type(None))


@dataclass(frozen=True)
class CheckResult:
    """A check with what it found: ``problem`` is None where all is well."""

    name: str
    problem: str | None


class _Problem(Exception):
    """What a check found wrong."""


def tiny_images(sizes: tuple[int, int, int] = (128, 32, 32)) -> ImageDataset:
    """Return 32x32 gray images of blobs at random places: enough to train a little.

    Parameters
    ----------
    sizes : tuple of int
        Images in the train, validation and test split. The two classes are the halves that the
        blobs lie in.
    """
    generator = torch.Generator().manual_seed(0)

    def split(n: int) -> Split:
        centre = torch.rand(n, 2, 1, 1, generator=generator) * 0.6 + 0.2
        axis = torch.linspace(0, 1, 32)
        rows = (axis.view(1, -1, 1) - centre[:, 0]) ** 2
        columns = (axis.view(1, 1, -1) - centre[:, 1]) ** 2
        images = torch.exp(-(rows + columns) / (2 * 0.1**2)).unsqueeze(1)
        return Split(images, (centre[:, 0, 0, 0] > 0.5).long())

    train, validation, test = (split(n) for n in sizes)
    return ImageDataset("blobs", "tiny", train, validation, test, sha256="0" * 64, classes=2)


def check_method(plugin: Plugin, spec: Spec) -> Iterator[CheckResult]:
    """Run all checks on a method, one result each; checks that build on a failed one are left out.

    Parameters
    ----------
    plugin : Plugin
    spec : Spec
        Its name with the parameters to check it with.
    """
    suite = _Suite(plugin, spec, tiny_images())
    for check in (
        suite.imports,
        suite.declares_plain_parameters,
        suite.has_a_card,
        suite.answers_skip,
        suite.fits,
        suite.reports_progress,
        suite.interpolates,
        suite.encodes_and_decodes,
        suite.is_deterministic,
        suite.saves_and_loads,
    ):
        name = check.__name__.replace("_", " ")
        try:
            check()
        except _Problem as problem:
            yield CheckResult(name, str(problem))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a stranger's code
            yield CheckResult(name, describe(error))
        else:
            yield CheckResult(name, None)
            continue
        if check in (suite.imports, suite.declares_plain_parameters, suite.fits):
            return


class _Suite:
    reseeded = 20_240_817

    def __init__(self, plugin: Plugin, spec: Spec, data: ImageDataset) -> None:
        self.plugin, self.spec, self.data = plugin, spec, data
        self.cls: Any = None
        self.method: Any = None
        self.reports: list[dict[str, float]] = []

    def _make(self) -> Method:
        method: Method = instantiate(self.cls, self.spec)
        return method

    def _fitted(self) -> Method:
        method = self._make()
        ctx = FitContext(
            Budget(STEPS, 16), on_progress=lambda *report: self.reports.append(report[-1])
        )
        method.fit(self.data, ctx)
        return method

    def imports(self) -> None:
        self.cls = self.plugin.load()
        if not (isinstance(self.cls, type) and issubclass(self.cls, Interpolator)):
            raise _Problem(f"{self.plugin.value} is not a subclass of Interpolator or Autoencoder")

    def declares_plain_parameters(self) -> None:
        for name in declared(self.cls):
            value = getattr(self._make(), name)
            items = value if isinstance(value, tuple) else (value,)
            if not all(isinstance(item, PLAIN) for item in items):
                raise _Problem(f"parameter '{name}' = {value!r} is no plain value")

    def has_a_card(self) -> None:
        card = getattr(self.cls, "card", None)
        if not isinstance(card, MethodCard) or not (card.title and card.source):
            raise _Problem("give it card = MethodCard(title=..., source=...)")

    def answers_skip(self) -> None:
        reason = self._make().skip(self.data)
        if reason is not None and not isinstance(reason, str):
            raise _Problem(f"skip returned {reason!r}; return a reason or None")
        if reason:
            raise _Problem(f"it skips gray 32x32 images, which all checks use: {reason}")

    def fits(self) -> None:
        self.method = self._fitted()

    def reports_progress(self) -> None:
        learns = any(name.endswith("_") and name != "shape_" for name in vars(self.method))
        if learns and not self.reports:
            raise _Problem("call ctx.progress(step, name=loss) in fit")

    def _paths(self, method: Any) -> Tensor:
        x = self.data.test.images[:4]
        with torch.no_grad():
            paths: Tensor = method.interpolate(x[:2], x[2:], torch.linspace(0, 1, 5))
        return paths

    def interpolates(self) -> None:
        _check_images("interpolate", self._paths(self.method), (2, 5, 1, 32, 32))

    def encodes_and_decodes(self) -> None:
        if not isinstance(self.method, Autoencoder):
            return
        x = self.data.test.images[:3]
        with torch.no_grad():
            z = self.method.encode(x)
            if z.ndim != 2 or len(z) != 3 or z.dtype != torch.float32:
                raise _Problem(f"encode returned {tuple(z.shape)} {z.dtype}, wanted (3, d) float32")
            if not torch.isfinite(z).all():
                raise _Problem("encode returned values that are not finite")
            _check_images("decode", self.method.decode(z), (3, 1, 32, 32))

    def is_deterministic(self) -> None:
        # Other global seeds than the first training had: only the context's may count.
        random.seed(self.reseeded)
        np.random.seed(self.reseeded)
        torch.manual_seed(self.reseeded)
        gap = float((self._paths(self._fitted()) - self._paths(self.method)).abs().max())
        if gap > 1e-5:
            raise _Problem(
                f"two trainings with one seed differ by {gap:.2g} in their paths; draw from "
                "ctx.generator(axis) alone"
            )

    def saves_and_loads(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            self.method.save(Path(folder))
            pickled = [
                f.name for f in Path(folder).rglob("*") if f.suffix in (".pkl", ".pt", ".pth")
            ]
            if pickled:
                raise _Problem(f"save wrote {', '.join(pickled)}; write safetensors and JSON")
            loaded = self.cls.load(Path(folder), device="cpu")
        if not torch.allclose(self._paths(loaded), self._paths(self.method), atol=1e-6):
            raise _Problem("the loaded method draws other paths than the saved one")


def _check_images(what: str, images: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(images.shape) != shape or images.dtype != torch.float32:
        got = f"{tuple(images.shape)} {images.dtype}"
        raise _Problem(f"{what} returned {got}, wanted {shape} float32")
    if not torch.isfinite(images).all():
        raise _Problem(f"{what} returned values that are not finite")
    low, high = float(images.min()), float(images.max())
    if low < -1e-4 or high > 1 + 1e-4:
        raise _Problem(f"{what} returned values in [{low:.3g}, {high:.3g}], wanted [0, 1]")
