"""The kinds of data that the suite knows, and how it treats each of them.

Every question of the form "which kind of data is this?" is answered here. A new kind is one more
entry of `KINDS`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from otbench.errors import DataError
from otbench.interface.data import Data, ImageDataset, ImagePair, MeasurePair
from otbench.interface.method import Method
from otbench.interface.scoring import ScoreContext
from otbench.presets import MAP_BATCH, Preset
from otbench.scoring import gallery
from otbench.scoring.curve import Curve, ImageCurve, Points, map_curve
from otbench.scoring.excerpt import IdentityCodes, IdentityMap, excerpt
from otbench.scoring.lost import Lost, Rows, of_images, of_map, of_translation
from otbench.tasks.transport import check_pair


@dataclass(frozen=True)
class Kind:
    """What the suite does with data of one kind.

    Attributes
    ----------
    name : str
        Name for messages, with its article.
    cls : type
        The class of the data.
    budget : callable
        Maps preset and data to the number of updates of a training and the batch size.
    stand_in : type
        A method that learns nothing, with which metrics are tested before any training.
    write_gallery : callable
        Writes the pictures of one cell; called with path, method, data, context.
    when : callable
        Predicate that decides whether data of the class are of this kind.
    check : callable
        Raises a `DataError` for data on which no method can run.
    excerpt : callable
        Returns the data on which metrics are tested before any training.
    curve : callable
        Returns the `Curve` that evaluates a method during training, or None; called with data,
        context, updates and the points so far.
    lost : callable
        Returns what became of a training that led to no model that works, or None; called with
        method, data, context, and the rows of scores.
    paper_budget : bool
        Whether a paper's own budget may replace that of the preset.
    """

    name: str
    cls: type
    budget: Callable[[Preset, Any], tuple[int, int]]
    stand_in: Callable[[], Method]
    write_gallery: Callable[[Any, Any, Any, ScoreContext], None]
    when: Callable[[Any], bool] = lambda data: True
    check: Callable[[Any], None] = lambda data: None
    excerpt: Callable[[Any], Any] = lambda data: data
    curve: Callable[[Any, ScoreContext, int, Points], Curve | None] = lambda *_: None
    lost: Callable[[Method, Any, ScoreContext, Rows], Lost | None] = lambda *_: None
    paper_budget: bool = True


KINDS = (
    Kind(
        "a scene of a few images",
        ImageDataset,
        when=lambda data: data.scene is not None,
        budget=lambda preset, data: preset.budget_for(len(data.train), scene=True),
        excerpt=excerpt,
        stand_in=IdentityCodes,
        write_gallery=gallery.write_images,
        lost=of_images,
        paper_budget=False,
    ),
    Kind(
        "a set of images",
        ImageDataset,
        budget=lambda preset, data: preset.budget_for(len(data.train), scene=False),
        excerpt=excerpt,
        stand_in=IdentityCodes,
        write_gallery=gallery.write_images,
        lost=of_images,
    ),
    Kind(
        "a pair of image sets",
        ImagePair,
        budget=lambda preset, data: (preset.translation_steps, preset.batch_size),
        check=check_pair,
        stand_in=IdentityMap,
        curve=ImageCurve,
        write_gallery=gallery.write_translations,
        lost=of_translation,
    ),
    Kind(
        "a pair of distributions",
        MeasurePair,
        budget=lambda preset, data: (preset.map_steps, MAP_BATCH),
        check=check_pair,
        stand_in=IdentityMap,
        curve=map_curve,
        write_gallery=gallery.write_clouds,
        lost=of_map,
    ),
)
"""The first match is the kind of the data, so more special kinds come first."""


def kind_of(data: Data) -> Kind:
    """Return the kind of the data.

    Raises
    ------
    DataError
        If the data are of no kind.
    """
    for kind in KINDS:
        if isinstance(data, kind.cls) and kind.when(data):
            return kind
    known = " or ".join(sorted({kind.cls.__name__ for kind in KINDS}))
    raise DataError(f"load() returned {type(data).__name__}; it must return {known}")


def mismatch(method: type[Method], data: Data) -> str | None:
    """Return why a method cannot run on data of this kind, or None."""
    wanted = getattr(method, "runs_on", None)
    if wanted is None:
        return "is neither an Interpolator nor a TransportMap, so its kind of data is unknown"
    if isinstance(data, wanted):
        return None
    names = [kind.name for kind in reversed(KINDS) if issubclass(kind.cls, wanted)]
    return f"needs {(names or [wanted.__name__])[0]}; {data.name} is {kind_of(data).name}"
