"""Accuracy of a linear classifier on frozen codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from otbench.interface.artefacts import Predictions
from otbench.interface.metric import Direction, Metric, Value
from otbench.interface.scoring import ScoreContext


@dataclass(frozen=True)
class ProbeAccuracy(Metric):
    """Share of test images that a classifier trained on frozen codes classifies correctly.

    Parameters
    ----------
    classifier : {"logistic"}
        One linear layer and softmax, trained to convergence; see ``otbench.tasks.classification``.
        ACAI's classifier, in contrast, is trained together with the encoder.
    """

    classifier: Literal["logistic"] = "logistic"

    tasks: ClassVar[tuple[str, ...]] = ("classification",)
    direction: ClassVar[Direction] = "higher"
    range: ClassVar[str] = "[0, 1], share of the test images"
    title: ClassVar[str] = "Accuracy of a linear classifier on codes"

    @property
    def id(self) -> str:
        """Name with the classifier."""
        return f"probe_acc[{self.classifier}]"

    def compute(self, artefact: Predictions, ctx: ScoreContext) -> Value:
        """Average over test images; the standard error is over them."""
        return Value.of(artefact.predicted == artefact.labels)


@dataclass(frozen=True)
class CodeDimension(Metric):
    """Dimension of a code, which is needed to interpret an accuracy.

    Its n is the number of training codes of the classifier.
    """

    tasks: ClassVar[tuple[str, ...]] = ("classification",)
    direction: ClassVar[Direction] = "neutral"
    range: ClassVar[str] = "[1, inf), numbers"
    title: ClassVar[str] = "Dimension of the code"

    @property
    def id(self) -> str:
        """Name."""
        return "code_dim"

    def compute(self, artefact: Predictions, ctx: ScoreContext) -> Value:
        """Return the dimension."""
        return Value(float(artefact.dimension), None, artefact.train_size)
