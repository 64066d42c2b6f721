"""The contract of methods.

Images are float32 tensors of shape ``(n, c, h, w)`` with values in [0, 1]; codes are float32
tensors of shape ``(n, d)``.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from otbench.interface.data import ImageDataset, MeasurePair
from otbench.interface.parameters import Parametrised
from otbench.interface.saving import is_plain, read_model, write_model
from otbench.interface.training import FitContext


@dataclass(frozen=True)
class PaperSettings:
    """The authors' own settings, used by the preset ``paper`` (track ``native``).

    Attributes
    ----------
    parameters : dict
        Overrides of the method's parameters.
    steps : int
        Updates of the model.
    batch_size : int
    """

    parameters: dict[str, Any]
    steps: int
    batch_size: int


@dataclass(frozen=True)
class MethodCard:
    """Description of a method, printed by ``otbench show METHOD``.

    Attributes
    ----------
    title : str
        One line.
    source : str
        Paper and, if one was consulted, the authors' release.
    equations : tuple of str
        The losses as implemented, each with its equation number in the paper.
    deviations : tuple of str
        Differences from the paper or the release, each with its reason.
    paper : PaperSettings or None
        The authors' settings; None if the paper has no such training.
    relative_cost : float
        Approximate training time relative to the plain autoencoder; the longest cells start first.
    reference : bool
        Whether the method is a reference: it learns nothing, and tables list it apart from the
        ranked methods.
    """

    title: str
    source: str
    equations: tuple[str, ...] = ()
    deviations: tuple[str, ...] = ()
    paper: PaperSettings | None = None
    relative_cost: float = 1.0
    reference: bool = False


class Method(Parametrised):
    """Base class of methods: a dataclass whose fields are its parameters, plain values only.

    Subclasses are decorated with ``@dataclass``. What ``fit`` learns is kept in attributes whose
    names end in an underscore: tensors, dictionaries of tensors, plain values, and torch modules,
    which ``build`` creates. All of these are saved and loaded. A method that keeps anything else
    there must override ``state`` and ``restore``.
    """

    card: ClassVar[MethodCard]
    runs_on: ClassVar[type]
    """`ImageDataset` or `MeasurePair`; set by the base classes below."""

    def skip(self, data: Any) -> str | None:
        """Return the reason why this method cannot run on the data, or None if it can."""
        return None

    def paper_settings(self, data: Any) -> PaperSettings | None:
        """Return the authors' settings for data like these; by default, those of the card."""
        return self.card.paper

    @abstractmethod
    def fit(self, data: Any, ctx: FitContext) -> None:
        """Learn from the data within the budget of the context.

        An `Interpolator` receives an `ImageDataset` and learns from its training split; a
        `TransportMap` receives a `MeasurePair`.
        """

    def build(self) -> None:
        """Create the torch modules that ``fit`` trains, from parameters and plain values.

        When a model is loaded, its weights are copied into these modules.
        """
        return None

    def state(self) -> dict[str, Any]:
        """Return what ``fit`` learned: tensors and plain values by name.

        Tensors of a module or dictionary ``net_``, or of an object whose ``arrays()`` returns
        NumPy arrays by name, are called ``net_.weight`` and so on. Such an object is restored as
        the dictionary of its tensors, from which ``restore`` has to recreate it.

        Raises
        ------
        TypeError
            If an attribute is of any other type.
        """
        found: dict[str, Any] = {}
        for name, value in vars(self).items():
            if not name.endswith("_"):
                continue
            parts = _parts(value)
            if parts is not None:
                found |= {f"{name}.{key}": part for key, part in parts.items()}
            elif isinstance(value, Tensor) or is_plain(value):
                found[name] = value
            else:
                raise TypeError(
                    f"{type(self).__name__} keeps a {type(value).__name__} in {name}: "
                    "override state and restore"
                )
        return found

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what ``state`` returned; its tensors are on the device to run on.

        Raises
        ------
        RuntimeError
            If the tensors of a module do not fit it.
        """
        for name, value in state.items():
            if not isinstance(value, Tensor):
                setattr(self, name, value)
        self.build()
        groups: dict[str, dict[str, Tensor]] = {}
        for name, value in state.items():
            if isinstance(value, Tensor):
                group, dot, key = name.partition(".")
                if dot:
                    groups.setdefault(group, {})[key] = value
                else:
                    setattr(self, name, value)
        for group, tensors in groups.items():
            module = getattr(self, group, None)
            if isinstance(module, nn.Module):
                module.load_state_dict(tensors)
                module.to(next(iter(tensors.values())).device).requires_grad_(False).eval()
            else:
                setattr(self, group, tensors)

    def save(self, folder: Path) -> None:
        """Write parameters and state: safetensors and JSON, never pickle."""
        write_model(folder, self.parameters(), self.state())

    @classmethod
    def load(cls, folder: Path, device: str | torch.device = "cpu") -> Self:
        """Read back what ``save`` wrote.

        Raises
        ------
        ValueError
            If the folder does not hold a model of this method.
        """
        parameters, state = read_model(folder, device)
        method = cls(**parameters)
        method.restore(state)
        return method


def _parts(value: Any) -> dict[str, Tensor] | None:
    """Return the tensors of a value by name; None for other values."""
    if isinstance(value, nn.Module):
        return value.state_dict()
    if hasattr(value, "arrays"):
        return {name: torch.from_numpy(array) for name, array in value.arrays().items()}
    return value if isinstance(value, dict) else None


class Interpolator(Method):
    """A method that draws a path between two images."""

    runs_on: ClassVar[type] = ImageDataset

    @abstractmethod
    def interpolate(self, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
        """Draw the path from x0 to x1.

        Parameters
        ----------
        x0, x1 : Tensor, shape (n, c, h, w)
            End points, in [0, 1].
        t : Tensor, shape (k,)
            Times in [0, 1]; 0 is x0.

        Returns
        -------
        Tensor, shape (n, k, c, h, w)
            Frames, in [0, 1].
        """

    def barycenter(self, x: Tensor, weights: Tensor) -> Tensor:
        """Average the images x, shape (m, c, h, w), by each row of weights, shape (k, m)."""
        raise NotImplementedError(f"{type(self).__name__} draws no barycentres")


class Autoencoder(Interpolator):
    """A method with a code: interpolation and barycentres follow from encode and decode."""

    @abstractmethod
    def encode(self, x: Tensor) -> Tensor:
        """Map images (n, c, h, w) in [0, 1] to codes (n, d)."""

    @abstractmethod
    def decode(self, z: Tensor) -> Tensor:
        """Map codes (n, d) to images (n, c, h, w) in [0, 1]."""

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """Draw n images from the model, shape (n, c, h, w)."""
        raise NotImplementedError(f"{type(self).__name__} has no prior to sample from")

    def decode_samples(self, z: Tensor, n: int, generator: torch.Generator) -> Tensor | None:
        """Draw n images for each code (m, d) from a random decoder, shape (m, n, c, h, w).

        The default is None: decoding is deterministic. `decode` is deterministic in either case.
        """
        return None

    def code_path(self, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
        """Return the line segments between the codes of images (n, c, h, w), shape (n, k, d)."""
        z0, z1 = self.encode(x0), self.encode(x1)
        time = t.to(z0).view(1, -1, 1)
        return (1 - time) * z0.unsqueeze(1) + time * z1.unsqueeze(1)

    def interpolate(self, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
        """Decode the line segment between the two codes."""
        path = self.code_path(x0, x1, t)
        return self.decode(path.flatten(0, 1)).unflatten(0, path.shape[:2])

    def barycenter(self, x: Tensor, weights: Tensor) -> Tensor:
        """Decode the weighted mean of the codes."""
        return self.decode(weights.to(x) @ self.encode(x))


class TransportMap(Method):
    """A map that transports a source distribution to a target."""

    runs_on: ClassVar[type] = MeasurePair

    @abstractmethod
    def push(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Map source points to the target, (n, d) to (n, d)."""

    def pull(self, y: Tensor) -> Tensor:
        """Map target points back to the source, (n, d) to (n, d)."""
        raise NotImplementedError(f"{type(self).__name__} has no inverse map")

    def dual_value(self, x: Tensor, y: Tensor) -> float:
        """Estimate half the squared 2-Wasserstein distance by the dual, from samples x and y."""
        raise NotImplementedError(f"{type(self).__name__} has no dual potentials")

    def potential_value(self, x: Tensor) -> Tensor:
        """Evaluate the potential whose gradient is ``push``, (n, d) to (n,); for pictures."""
        raise NotImplementedError(f"{type(self).__name__} has no potential")


class StochasticMap(TransportMap):
    """A map from points to distributions, from which ``push`` draws."""

    @abstractmethod
    def conditional(self, x: Tensor, n: int, generator: torch.Generator) -> Tensor:
        """Draw n images of each point, (m, d) to (m, n, d).

        If the map takes noise as input, all points share the same n draws of it, so that
        differences between points are not due to the noise.
        """

    def barycentric(self, x: Tensor, n: int, generator: torch.Generator) -> Tensor:
        """Return the mean image of each point, (m, d) to (m, d), from n draws if necessary."""
        return self.conditional(x, n, generator).mean(dim=1)

    def cost_gamma(self) -> float | None:
        """Return gamma of the weak quadratic cost that it minimises; None for another cost."""
        return None

    def potential_losses(self) -> Tensor | None:
        """Return the potential's loss at every training step, (steps,); None without potential."""
        return None
