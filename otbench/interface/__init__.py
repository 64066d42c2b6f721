"""The public interface for authors of plugins.

Images are float32 tensors of shape ``(n, c, h, w)`` with values in [0, 1]; codes are float32
tensors of shape ``(n, d)``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from otbench.interface.data import (
        CircularFamily,
        Data,
        Dataset,
        ImageDataset,
        ImagePair,
        JaxSampler,
        MeasurePair,
        Scene,
        Split,
    )
    from otbench.interface.method import (
        Autoencoder,
        Interpolator,
        Method,
        MethodCard,
        PaperSettings,
        StochasticMap,
        TransportMap,
    )
    from otbench.interface.metric import Metric, Undefined, Value
    from otbench.interface.parameters import Search, parameter
    from otbench.interface.scoring import ScoreContext
    from otbench.interface.task import BadOutput, Task
    from otbench.interface.training import Budget, Diverged, FitContext

__all__ = [
    "Autoencoder",
    "BadOutput",
    "Budget",
    "CircularFamily",
    "Data",
    "Dataset",
    "Diverged",
    "FitContext",
    "ImageDataset",
    "ImagePair",
    "Interpolator",
    "JaxSampler",
    "MeasurePair",
    "Method",
    "MethodCard",
    "Metric",
    "PaperSettings",
    "Scene",
    "ScoreContext",
    "Search",
    "Split",
    "StochasticMap",
    "Task",
    "TransportMap",
    "Undefined",
    "Value",
    "parameter",
]

_PLACES = {
    "CircularFamily": "data",
    "Data": "data",
    "Dataset": "data",
    "ImageDataset": "data",
    "ImagePair": "data",
    "JaxSampler": "data",
    "MeasurePair": "data",
    "Scene": "data",
    "Split": "data",
    "Autoencoder": "method",
    "Interpolator": "method",
    "Method": "method",
    "MethodCard": "method",
    "PaperSettings": "method",
    "StochasticMap": "method",
    "TransportMap": "method",
    "Metric": "metric",
    "Undefined": "metric",
    "Value": "metric",
    "Search": "parameters",
    "parameter": "parameters",
    "ScoreContext": "scoring",
    "BadOutput": "task",
    "Task": "task",
    "Budget": "training",
    "Diverged": "training",
    "FitContext": "training",
}
"""The module of this package that defines each name."""


def __getattr__(name: str) -> Any:
    """Import the module that defines a name on first access.

    Parameters and their constraints can thus be read without torch.
    """
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
