"""Everything that the author of a plugin needs.

Images are float32 tensors of shape ``(n, c, h, w)`` with values in [0, 1]; codes are float32
tensors of shape ``(n, d)``.
"""

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
from otbench.interface.parameters import parameter
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
    "Split",
    "StochasticMap",
    "Task",
    "TransportMap",
    "Undefined",
    "Value",
    "parameter",
]
