"""The conformance suite: checks that every method must pass.

``otbench check METHOD`` runs the checks. Tests of a plugin can call `check_method` and assert that
no result has a problem.
"""

from __future__ import annotations

import math
import random
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from otbench.errors import describe
from otbench.interface.data import ImageDataset, ImagePair, MeasurePair, Split
from otbench.interface.method import Autoencoder, Interpolator, Method, MethodCard, TransportMap
from otbench.interface.parameters import declared
from otbench.interface.saving import is_plain
from otbench.interface.training import Budget, FitContext
from otbench.plugins.parameters import instantiate
from otbench.plugins.registry import Plugin
from otbench.plugins.selection import Spec

STEPS = 6


@dataclass(frozen=True)
class CheckResult:
    """The result of a check; ``problem`` is None if the check passed."""

    name: str
    problem: str | None


class _Problem(Exception):
    """A check failed; the message names the cause."""


def tiny_images(sizes: tuple[int, int, int] = (128, 32, 32)) -> ImageDataset:
    """Return 32x32 gray images of blobs at random positions, for short trainings.

    The class of an image is the half of it in which its blob lies.

    Parameters
    ----------
    sizes : tuple of int
        Number of images in the train, validation and test split.
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


class TinyPair(MeasurePair):
    """A pair of N(0, I) in the plane and another Gaussian, with the optimal map between them."""

    name, variant, sha256, dimension = "gaussians", "tiny", "0" * 64, 2
    matrix = torch.tensor([[1.5, 0.6], [0.6, 0.5]])
    shift = torch.tensor([1.0, -0.5])

    def source(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n points of the source, shape (n, 2)."""
        return torch.randn(n, 2, generator=generator)

    def target(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n points of the target, shape (n, 2)."""
        return self.true_map(self.source(n, generator))

    def true_map(self, x: Tensor) -> Tensor:
        """Apply the optimal map, which is affine with a symmetric matrix, to source points."""
        return x @ self.matrix.to(x) + self.shift.to(x)

    def squared_w2(self) -> float:
        """Return |shift|^2 + |matrix - I|^2."""
        return float(self.shift.square().sum() + (self.matrix - torch.eye(2)).square().sum())


def tiny_image_pair() -> ImagePair:
    """Return a pair of gray 16x16 image sets: bright blobs on black and dark blobs on white."""
    whole = tiny_images()

    def side(name: str, dark: bool) -> ImageDataset:
        def half(split: Split) -> Split:
            small = torch.nn.functional.avg_pool2d(split.images, 2)
            return Split(1 - small.flip(0) if dark else small)

        train, validation, test = (half(s) for s in (whole.train, whole.validation, whole.test))
        return ImageDataset(name, "tiny", train, validation, test, sha256=str(int(dark)) * 64)

    return ImagePair("blobs-to-holes", "tiny", side("blobs", False), side("holes", True))


def check_method(plugin: Plugin, spec: Spec) -> Iterator[CheckResult]:
    """Run all checks on a method, and yield one result each.

    Checks that depend on a failed check are omitted.

    Parameters
    ----------
    plugin : Plugin
    spec : Spec
        Name of the method, with the parameters to use.
    """
    suite = _Suite(plugin, spec)
    for check in suite.checks():
        name = check.__name__.replace("_", " ")
        try:
            check()
        except _Problem as problem:
            yield CheckResult(name, str(problem))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - third-party code
            yield CheckResult(name, describe(error))
        else:
            yield CheckResult(name, None)
            continue
        if check in (suite.imports, suite.declares_plain_parameters, suite.fits):
            return


class _Suite:
    """The common checks of all methods, and those of one kind."""

    reseeded = 20_240_817

    def __init__(self, plugin: Plugin, spec: Spec) -> None:
        self.plugin, self.spec = plugin, spec
        self.cls: Any = None
        self.kind: _Kind
        self.method: Any = None
        self.reports: list[dict[str, float]] = []

    def checks(self) -> Iterator[Callable[[], None]]:
        """Yield the checks in order; all others require that ``imports`` has passed."""
        yield self.imports
        yield self.declares_plain_parameters
        yield self.has_a_card
        yield self.answers_skip
        yield self.fits
        yield self.reports_progress
        for check in self.kind.checks:
            yield _bound(check, self.method)
        yield self.is_deterministic
        yield self.saves_and_loads

    def _make(self) -> Method:
        method: Method = instantiate(self.cls, self.spec)
        return method

    def _fitted(self) -> Method:
        method = self._make()
        ctx = FitContext(
            Budget(STEPS, 16), on_progress=lambda *report: self.reports.append(report[-1])
        )
        method.fit(self.kind.data, ctx)
        return method

    def imports(self) -> None:
        self.cls = self.plugin.load()
        kinds = {Interpolator: _Images, TransportMap: _Maps}
        made = [
            kind
            for base, kind in kinds.items()
            if isinstance(self.cls, type) and issubclass(self.cls, base)
        ]
        if made == [_Maps] and issubclass(self.cls.runs_on, ImagePair):
            made = [_ImageMaps]
        if not made:
            raise _Problem(
                f"{self.plugin.value} is not a subclass of Interpolator, Autoencoder or "
                "TransportMap"
            )
        self.kind = made[0]()

    def declares_plain_parameters(self) -> None:
        for name in declared(self.cls):
            value = getattr(self._make(), name)
            if not is_plain(value):
                raise _Problem(f"parameter '{name}' = {value!r} is not a plain value")

    def has_a_card(self) -> None:
        card = getattr(self.cls, "card", None)
        if not isinstance(card, MethodCard) or not (card.title and card.source):
            raise _Problem("add card = MethodCard(title=..., source=...) to the class")

    def answers_skip(self) -> None:
        reason = self._make().skip(self.kind.data)
        if reason is not None and not isinstance(reason, str):
            raise _Problem(f"skip returned {reason!r}; return a reason or None")
        if reason:
            raise _Problem(f"skip refuses {self.kind.described}, which all checks use: {reason}")

    def fits(self) -> None:
        self.method = self._fitted()

    def reports_progress(self) -> None:
        learns = any(
            name.endswith("_") and name != "shape_" and value is not None
            for name, value in vars(self.method).items()
        )
        if learns and not self.reports:
            raise _Problem("call ctx.progress(step, name=loss) in fit")

    def is_deterministic(self) -> None:
        # The global seeds change, because only the context's generators may be used.
        random.seed(self.reseeded)
        np.random.seed(self.reseeded)
        torch.manual_seed(self.reseeded)
        again, before = (self.kind.drawn(m) for m in (self._fitted(), self.method))
        gap = float((again - before).abs().max())
        if gap > 1e-5:
            raise _Problem(
                f"two trainings with one seed differ by {gap:.2g} in their {self.kind.results}; "
                "draw random numbers only from ctx.generator(axis)"
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
        if not torch.allclose(self.kind.drawn(loaded), self.kind.drawn(self.method), atol=1e-6):
            raise _Problem(f"the loaded method gives other {self.kind.results} than the saved one")


def _bound(check: Callable[[Any], None], method: Method) -> Callable[[], None]:
    def run() -> None:
        with torch.no_grad():
            check(method)

    run.__name__ = check.__name__
    return run


class _Kind(ABC):
    """The checks for one kind of method, and the data that they use.

    Attributes
    ----------
    data : Data
    described, results : str
        Names of the data, and of a method's outputs for them, in messages.
    checks : tuple of callable
        Functions of a trained method.
    """

    data: Any
    described: str
    results: str
    checks: tuple[Callable[[Any], None], ...]

    @abstractmethod
    def drawn(self, method: Any) -> Tensor:
        """Return the output of a trained method for some points of the data."""


class _Images(_Kind):
    described, results = "gray 32x32 images", "paths"

    def __init__(self) -> None:
        self.data = tiny_images()
        self.checks = (self.interpolates, self.encodes_and_decodes)

    def drawn(self, method: Any) -> Tensor:
        x = self.data.test.images[:4]
        with torch.no_grad():
            paths: Tensor = method.interpolate(x[:2], x[2:], torch.linspace(0, 1, 5))
        return paths

    def interpolates(self, method: Any) -> None:
        _check_images("interpolate", self.drawn(method), (2, 5, 1, 32, 32))

    def encodes_and_decodes(self, method: Any) -> None:
        if not isinstance(method, Autoencoder):
            return
        z = method.encode(self.data.test.images[:3])
        if z.ndim != 2:
            raise _Problem(f"encode returned shape {tuple(z.shape)}, wanted (3, d)")
        _check_tensor("encode", z, (3, z.shape[1]))
        _check_images("decode", method.decode(z), (3, 1, 32, 32))


class _Maps(_Kind):
    described, results = "a pair of Gaussians in the plane", "points"

    def __init__(self, data: MeasurePair | None = None, points: int = 64) -> None:
        self.data = data or TinyPair()
        self.checks = (
            self.pushes,
            self.pulls,
            self.values_the_dual,
            self.values_the_potential,
        )
        generator = torch.Generator().manual_seed(0)
        self.x = self.data.source(points, generator)
        self.y = self.data.target(points, generator)

    def drawn(self, method: Any) -> Tensor:
        with torch.no_grad():
            points: Tensor = method.push(self.x, torch.Generator().manual_seed(0))
        return points

    def pushes(self, method: Any) -> None:
        before = self.x.clone()
        _check_tensor("push", self.drawn(method), tuple(self.x.shape))
        if not torch.equal(self.x, before):
            raise _Problem("push changed the points that it was given")

    def pulls(self, method: Any) -> None:
        if type(method).pull is not TransportMap.pull:
            _check_tensor("pull", method.pull(self.y), tuple(self.y.shape))

    def values_the_dual(self, method: Any) -> None:
        if type(method).dual_value is not TransportMap.dual_value:
            value = method.dual_value(self.x, self.y)
            if not (isinstance(value, float) and math.isfinite(value)):
                raise _Problem(f"dual_value returned {value!r}, wanted a finite float")

    def values_the_potential(self, method: Any) -> None:
        if type(method).potential_value is not TransportMap.potential_value:
            _check_tensor("potential_value", method.potential_value(self.x), (len(self.x),))


class _ImageMaps(_Maps):
    described = "a pair of sets of gray 16x16 images"

    def __init__(self) -> None:
        super().__init__(tiny_image_pair(), 8)


def _check_tensor(what: str, values: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(values.shape) != shape or values.dtype != torch.float32:
        got = f"{tuple(values.shape)} {values.dtype}"
        raise _Problem(f"{what} returned {got}, wanted {shape} float32")
    if not torch.isfinite(values).all():
        raise _Problem(f"{what} returned values that are not finite")


def _check_images(what: str, images: Tensor, shape: tuple[int, ...]) -> None:
    _check_tensor(what, images, shape)
    low, high = float(images.min()), float(images.max())
    if low < -1e-4 or high > 1 + 1e-4:
        raise _Problem(f"{what} returned values in [{low:.3g}, {high:.3g}], wanted [0, 1]")
