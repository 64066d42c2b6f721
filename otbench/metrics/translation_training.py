"""Collapse of a map of images, and its time; see `otbench.metrics.collapse`."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar, Literal

from otbench.interface.artefacts import Translated
from otbench.interface.metric import Degenerate, Direction, Undefined, Value
from otbench.interface.scoring import ScoreContext
from otbench.metrics.collapse import collapse_in, narrow
from otbench.metrics.modes import Modes
from otbench.metrics.translation import PairwiseRatio, TranslationMetric


@dataclass(frozen=True)
class Collapsed(TranslationMetric):
    """Whether the map collapsed while it trained, or is collapsed at its end: 1 or 0.

    A map is judged by `otbench.metrics.collapse.collapse_in` at the checkpoints of its training, on
    256 test images of each side. At its end it is also judged on all scored images by the signs
    that need no history: the pairwise ratio and, with labels, the modes reached. A method that was
    not evaluated during training is judged only at its end.

    Parameters
    ----------
    of : {"fired", "step"}
        Whether it collapsed, or the number of updates after which the collapse was detected.
    """

    of: Literal["fired", "step"] = "fired"

    blind_to: ClassVar[tuple[Degenerate, ...]] = (
        "blurred",
        "cross-faded",
        "copied",
        "shuffled",
        "one bad of eight",
    )
    range: ClassVar[str] = "fired: 0 or 1; step: [1, inf), updates"
    title: ClassVar[str] = "Collapse of the map"

    @property
    def direction(self) -> Direction:  # type: ignore[override]
        """``lower`` for fired, ``neutral`` for step."""
        return "lower" if self.of == "fired" else "neutral"

    @property
    def id(self) -> str:
        """Name, with ``step`` if the value is the update of the collapse."""
        return "collapse" if self.of == "fired" else "collapse[step]"

    def measure(self, artefact: Translated, ctx: ScoreContext) -> Value:
        """Judge the map; n is the number of evaluations, including the final one."""
        seen, evaluations = collapse_in(ctx.curve), len(ctx.curve) + 1
        final = None if seen else narrow(_at_the_end(artefact, ctx))
        if self.of == "fired":
            return Value(float(bool(seen or final)), None, evaluations)
        if seen:
            return Value(float(seen.step), None, evaluations)
        if final is None:
            raise Undefined("it did not collapse")
        if not ctx.curve:
            raise Undefined(f"collapsed at its end ({final}), but was not evaluated before")
        return Value(float(ctx.curve[-1]["step"]), None, evaluations)


def _at_the_end(artefact: Translated, ctx: ScoreContext) -> dict[str, float]:
    found = {"pairwise": PairwiseRatio().measure(artefact, ctx).value}
    # Without modes to count, only the distances are judged.
    with suppress(Undefined):
        found["modes"] = Modes().measure(artefact, ctx).value
    return found
