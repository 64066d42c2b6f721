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

from otbench.errors import ModelError, describe
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
    """Description of a method; ``otbench show METHOD`` prints it.

    Attributes
    ----------
    title : str
        One line.
    source : str
        Paper and, where used, the release that was read.
    equations : tuple of str
        The losses as they are computed here, each with its number in the paper.
    deviations : tuple of str
        Where this implementation departs from paper or release, and why.
    paper : PaperSettings or None
        The authors' settings; None where there is no such training.
    relative_cost : float
        Training time relative to the plain autoencoder's, roughly; the longest cells start first.
    reference : bool
        Whether the method learns nothing and stands in tables as a reference, apart from methods
        that are ranked.
    """

    title: str
    source: str
    equations: tuple[str, ...] = ()
    deviations: tuple[str, ...] = ()
    paper: PaperSettings | None = None
    relative_cost: float = 1.0
    reference: bool = False


class Method(Parametrised):
    """A method under test: a dataclass whose fields are its parameters, plain values only.

    Subclasses are decorated with ``@dataclass``. What ``fit`` learns is kept in attributes whose
    names end in an underscore: tensors, dictionaries of tensors, plain values, and torch modules,
    which ``build`` makes. All of these are saved and loaded; a method that keeps something else
    there gives its own ``state`` and ``restore``.
    """

    card: ClassVar[MethodCard]
    runs_on: ClassVar[type]
    """`ImageDataset` or `MeasurePair`; set by the base classes below."""

    def skip(self, data: Any) -> str | None:
        """Return why this method cannot run on the data, or None where it can."""
        return None

    def paper_settings(self, data: Any) -> PaperSettings | None:
        """Return the authors' settings for such data; the card's, unless a method overrides it."""
        return self.card.paper

    @abstractmethod
    def fit(self, data: Any, ctx: FitContext) -> None:
        """Learn from the data within the budget of the context.

        An `Interpolator` is given an `ImageDataset` and learns from its training split, a
        `TransportMap` a `MeasurePair`.
        """

    def build(self) -> None:
        """Make the torch modules that ``fit`` trains, from parameters and plain values.

        A loaded model's weights are read into them.
        """
        return None

    def state(self) -> dict[str, Any]:
        """Return what ``fit`` learned: tensors and plain values by name.

        Tensors of a module or dictionary ``net_``, or of an object whose ``arrays()`` returns
        NumPy arrays by name, are called ``net_.weight`` and so on. Such an object comes back as the
        dictionary of its tensors: ``restore`` has to make it anew.

        Raises
        ------
        TypeError
            If an attribute is neither.
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
                    "give it state and restore of its own"
                )
        return found

    def restore(self, state: dict[str, Any]) -> None:
        """Restore what ``state`` returned; its tensors lie on the device to run on.

        Raises
        ------
        RuntimeError
            If the tensors of a module do not fit it.
        ValueError
            If a name is not that of something that ``fit`` learns.
        """
        for name in state:
            if not name.partition(".")[0].endswith("_"):
                raise ValueError(f"{name} is nothing that {type(self).__name__} keeps")
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
        write_model(folder, type(self).__name__, self.parameters(), self.state())

    @classmethod
    def load(cls, folder: Path, device: str | torch.device = "cpu") -> Self:
        """Read back what ``save`` wrote.

        Raises
        ------
        ModelError
            If the folder does not hold a model of this method, or a damaged one.
        """
        parameters, state = read_model(folder, cls.__name__, device)
        try:
            method = cls(**parameters)
            method.restore(state)
        # What is missing or of another form shows itself in many kinds of errors.
        except Exception as error:
            raise ModelError(
                f"{folder} holds no model of {cls.__name__}: {describe(error)}"
            ) from error
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
        """Draw n images for each code (m, d), shape (m, n, c, h, w), from a random decoder.

        None where decoding is deterministic, as it is by default. `decode` is deterministic in
        either case.
        """
        return None

    def code_path(self, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
        """Return the straight line between the codes of images (n, c, h, w), shape (n, k, d)."""
        z0, z1 = self.encode(x0), self.encode(x1)
        time = t.to(z0).view(1, -1, 1)
        return (1 - time) * z0.unsqueeze(1) + time * z1.unsqueeze(1)

    def interpolate(self, x0: Tensor, x1: Tensor, t: Tensor) -> Tensor:
        """Decode the straight line between the two codes."""
        path = self.code_path(x0, x1, t)
        return self.decode(path.flatten(0, 1)).unflatten(0, path.shape[:2])

    def barycenter(self, x: Tensor, weights: Tensor) -> Tensor:
        """Decode the weighted mean of the codes."""
        return self.decode(weights.to(x) @ self.encode(x))


class TransportMap(Method):
    """A map that carries a source distribution to a target."""

    runs_on: ClassVar[type] = MeasurePair

    @abstractmethod
    def push(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Carry source points to the target, (n, d) to (n, d)."""

    def pull(self, y: Tensor) -> Tensor:
        """Carry target points back to the source, (n, d) to (n, d)."""
        raise NotImplementedError(f"{type(self).__name__} has no inverse map")

    def dual_value(self, x: Tensor, y: Tensor) -> float:
        """Estimate half the squared 2-Wasserstein distance by the dual, from samples of the two."""
        raise NotImplementedError(f"{type(self).__name__} has no dual potentials")

    def potential_value(self, x: Tensor) -> Tensor:
        """Evaluate the potential f whose gradient ``push`` is, (n, d) to (n,); for pictures."""
        raise NotImplementedError(f"{type(self).__name__} has no potential")


class StochasticMap(TransportMap):
    """A map that carries a point to a law: ``push`` draws from it."""

    @abstractmethod
    def conditional(self, x: Tensor, n: int, generator: torch.Generator) -> Tensor:
        """Draw n times where each point goes, (m, d) to (m, n, d).

        Where noise drives the map, all points share the n draws of it, so that differences between
        points are not the noise's.
        """

    def barycentric(self, x: Tensor, n: int, generator: torch.Generator) -> Tensor:
        """Return the mean of where each point goes, (m, d) to (m, d), by n draws if need be."""
        return self.conditional(x, n, generator).mean(dim=1)

    def cost_gamma(self) -> float | None:
        """Return gamma of the weak quadratic cost it minimises; None where it is another cost."""
        return None

    def potential_losses(self) -> Tensor | None:
        """Return the potential's loss of every step of training, (steps,); None without one."""
        return None
