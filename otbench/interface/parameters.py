"""How methods and data sets declare their parameters."""

from __future__ import annotations

from dataclasses import field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass


def parameter(default: Any, doc: str, origin: str = "chosen here", **kwargs: Any) -> Any:
    """Declare a parameter of a method or dataset: a dataclass field with its meaning and origin.

    Parameters
    ----------
    default : int, float, str, bool, or tuple of those
    doc : str
        What it does, with unit and range; shown by ``otbench show``.
    origin : str
        Where the default comes from: a paper's section, released code, or a sweep.
    """
    return field(default=default, metadata={"doc": doc, "origin": origin}, **kwargs)
