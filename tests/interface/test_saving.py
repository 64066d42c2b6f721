"""What a method keeps is what comes back, and what cannot be read is named."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from otbench.interface import FitContext, MeasurePair, MethodCard, TransportMap, parameter
from otbench.interface.saving import SETTINGS, WEIGHTS


@dataclass
class Everything(TransportMap):
    """Keeps one thing of each kind that is saved."""

    sizes: tuple[int, ...] = parameter((3, 4), "sizes")
    lr: float = parameter(0.5, "a rate")

    card: ClassVar[MethodCard] = MethodCard("everything", "none")

    def build(self) -> None:
        self.net_ = nn.Conv2d(2, self.width_, 3)

    def fit(self, data: MeasurePair | None, ctx: FitContext | None) -> None:
        self.width_, self.shape_, self.name_, self.none_ = 3, (1, 2, 3), "a", None
        self.build()
        self.net_.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.tensor_ = torch.arange(4.0)
        self.group_ = {"a": torch.ones(2), "b": torch.zeros((), dtype=torch.int64)}
        self.scratch = object()

    def push(self, x: Tensor, generator: torch.Generator | None = None) -> Tensor:
        return x


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    method = Everything(sizes=(5,), lr=0.25)
    method.fit(None, None)
    method.save(tmp_path / "new" / "folder")
    return tmp_path / "new" / "folder"


def test_all_comes_back(saved: Path) -> None:
    first = Everything(sizes=(5,), lr=0.25)
    with torch.random.fork_rng():
        first.fit(None, None)
    again = Everything.load(saved)
    assert again.parameters() == first.parameters()
    assert isinstance(again.sizes, tuple)
    assert (again.width_, again.shape_, again.name_, again.none_) == (3, (1, 2, 3), "a", None)
    assert torch.equal(again.tensor_, first.tensor_)
    assert again.group_.keys() == first.group_.keys()
    assert again.group_["b"].dtype == torch.int64
    assert not again.net_.training
    assert not any(weight.requires_grad for weight in again.net_.parameters())
    assert again.state().keys() == first.state().keys()


def test_weights_come_back_to_the_bit(tmp_path: Path) -> None:
    method = Everything()
    method.fit(None, None)
    method.save(tmp_path)
    again = Everything.load(tmp_path)
    assert torch.equal(again.net_.weight, method.net_.weight)


@pytest.mark.parametrize(
    ("spoil", "named"),
    [
        (lambda folder: (folder / WEIGHTS).unlink(), WEIGHTS),
        (lambda folder: (folder / WEIGHTS).write_bytes(b"junk"), WEIGHTS),
        (lambda folder: (folder / SETTINGS).unlink(), SETTINGS),
        (lambda folder: (folder / SETTINGS).write_text("{"), SETTINGS),
        (lambda folder: (folder / SETTINGS).write_text("[1]"), SETTINGS),
        (lambda folder: (folder / SETTINGS).write_text('{"parameters": 3, "state": 4}'), SETTINGS),
    ],
)
def test_what_cannot_be_read_is_named(
    saved: Path, spoil: Callable[[Path], Any], named: str
) -> None:
    spoil(saved)
    with pytest.raises(ValueError, match=named):
        Everything.load(saved)


def test_what_cannot_be_saved_is_named() -> None:
    method = Everything()
    method.fit(None, None)
    method.other_ = object()  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="object in other_"):
        method.state()
