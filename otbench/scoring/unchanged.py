"""Detection of methods that modify the data they were given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

from otbench.interface.scoring import ScoreContext

WIDTH = 1021
"""Length of a row of the second sum; it is prime, so that rows of images do not align with it."""


class ChangedData(RuntimeError):
    """A method modified a tensor of the suite in place."""


class Unchanged:
    """Checksums of the data of a cell, and of cached values that were computed from them.

    Parameters
    ----------
    data : ImageDataset or MeasurePair
    ctx : ScoreContext
        The values in its cache are checked, too: test images and points on the device.
    """

    def __init__(self, data: Any, ctx: ScoreContext) -> None:
        self._data, self._ctx = data, ctx
        self._known: dict[int, tuple[str, Tensor, tuple[int, int]]] = {}
        self._look()

    def check(self, where: str) -> None:
        """Compare all tensors with their checksums, and add new tensors.

        Raises
        ------
        ChangedData
            If the values of a tensor have changed; the message names it and the call.
        """
        for name, tensor, before in self._known.values():
            if _checksum(tensor) != before:
                raise ChangedData(
                    f"{where}: the method changed {name} in place; it must work on a copy "
                    "(x = x.clone())"
                )
        self._look()

    def _look(self) -> None:
        """Add the checksums of new tensors."""
        found = [*_tensors("data", self._data)]
        for key, value in self._ctx.kept():
            found += _tensors(key, value)
        for name, tensor in found:
            if id(tensor) not in self._known:
                self._known[id(tensor)] = (name, tensor, _checksum(tensor))


def _tensors(name: str, value: Any) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        if value.numel():
            yield name, value
    elif is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            yield from _tensors(f"{name}.{field.name}", getattr(value, field.name))
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _tensors(f"{name}[{key}]", part)
    elif isinstance(value, tuple | list):
        for number, part in enumerate(value):
            yield from _tensors(f"{name}[{number}]", part)
    elif hasattr(value, "source_images"):
        yield from _tensors(f"{name}.source_images", value.source_images)
        yield from _tensors(f"{name}.target_images", value.target_images)


def _checksum(tensor: Tensor) -> tuple[int, int]:
    """Return two sums over the bits: a plain one, and one weighted by position."""
    flat = tensor.detach().contiguous().view(torch.uint8).view(-1)
    whole = len(flat) // 4 * 4
    words = flat[:whole].view(torch.int32)
    rest = int(flat[whole:].long().sum())
    rows = words[: len(words) // WIDTH * WIDTH].view(-1, WIDTH)
    columns = rows.sum(0, dtype=torch.long)
    weights = torch.arange(1, WIDTH + 1, device=tensor.device)
    tail = int(words[rows.numel() :].sum(dtype=torch.long)) + rest
    return int(columns.sum()) + tail, int((columns * weights).sum()) + tail
