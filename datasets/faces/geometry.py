"""The geometry of the drawn faces, shared by cartoon and shaded faces.

In the unit square, x points right and y points down. A face is a stack of ellipses and boxes of one
material each; a few factors determine which ones it contains and where.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum

import torch
from torch import Tensor

from otbench_datasets.faces.factors import Factors

Number = Tensor | float

CENTRE, HALF_HEIGHT = 0.535, 0.275
"""Vertical centre of the head."""

CHUNK = 64
"""Number of faces drawn together; more would not fit the processor's cache."""


class Material(IntEnum):
    """Materials that a sample of the picture can show, in arbitrary order."""

    BACKGROUND = 0
    SHIRT = 1
    NECK = 2
    HAIR = 3
    SKIN = 4
    BLUSH = 5
    NOSE = 6
    WHITE = 7
    DARK = 8
    BROW = 9
    LIPS = 10
    TEETH = 11
    FRAME = 12


FACE = (Material.SKIN, Material.BLUSH)
"""Materials that count as the face's skin."""


def coverage(factors: Factors, size: int) -> Tensor:
    """Draw faces as the fractions of each pixel that the materials cover.

    Parameters
    ----------
    factors : Factors
        Factors of n faces.
    size : int
        Pixels along a side.

    Returns
    -------
    Tensor, shape (n, 13, size, size)
        float32; materials in the order of `Material`, with sum 1. Fractions are counted over 4x4
        samples per pixel for sizes up to 48, and over 3x3 above.
    """
    samples = 4 if size <= 48 else 3
    parts = []
    for start in range(0, len(factors), CHUNK):
        part = factors.part(slice(start, start + CHUNK))
        ids = torch.zeros(len(part), size * samples, size * samples, dtype=torch.uint8)
        sheet = _Sheet(part, ids)
        sheet.draw()
        parts.append(_shares(sheet, size, samples))
    return torch.cat(parts)


def _shares(sheet: _Sheet, size: int, samples: int) -> Tensor:
    shares = torch.zeros(len(sheet.ids), len(Material), size, size)
    for material, (top, bottom) in sheet.reach.items():
        rows = slice(top // samples, -(-bottom // samples))
        ids = sheet.ids[:, rows.start * samples : rows.stop * samples]
        # NumPy compares bytes many times faster than PyTorch.
        same = torch.from_numpy(ids.numpy() == int(material))
        here = same.view(torch.uint8).unflatten(1, (-1, samples))
        across = sum(here[:, :, i] for i in range(samples))
        shares[:, material, rows] = sum(across[..., i::samples] for i in range(samples))
    return shares.div_(samples**2)


class _Window:
    """A part of a sheet; shapes are masks (n, rows, columns) that are filled with materials."""

    def __init__(self, sheet: _Sheet, left: float, top: float, right: float, bottom: float) -> None:
        fine = sheet.ids.shape[-1]
        columns = slice(max(0, int(left * fine)), min(fine, int(right * fine) + 1))
        rows = slice(max(0, int(top * fine)), min(fine, int(bottom * fine) + 1))
        axis = (torch.arange(fine, dtype=torch.float32) + 0.5) / fine
        self.sheet, self.ids, self.rows = sheet, sheet.ids[:, rows, columns], rows
        self.x, self.y = axis[columns].view(1, 1, -1), axis[rows].view(1, -1, 1)

    def ellipse(self, x: Number, y: Number, rx: Number, ry: Number) -> Tensor:
        """Return the mask of an upright ellipse centred at (x, y)."""
        across = ((self.x - _wide(x)) / _wide(rx)) ** 2
        down = ((self.y - _wide(y)) / _wide(ry)) ** 2
        return across <= 1 - down

    def box(self, left: Number, top: Number, right: Number, bottom: Number) -> Tensor:
        """Return the mask of a rectangle."""
        across = (self.x >= _wide(left)) & (self.x <= _wide(right))
        return across & (self.y >= _wide(top)) & (self.y <= _wide(bottom))

    def lay(self, material: Material, mask: Tensor) -> None:
        """Paint a mask with a material."""
        # Equivalent to masked_fill_, which is slower because it works byte by byte.
        here = mask.view(torch.uint8)
        self.ids.bitwise_and_(here - 1).bitwise_or_(here * int(material))
        top, bottom = self.sheet.reach.get(material, (self.rows.start, self.rows.stop))
        reach = min(top, self.rows.start), max(bottom, self.rows.stop)
        self.sheet.reach[material] = reach


def _wide(value: Number) -> Number:
    return value.view(-1, 1, 1) if isinstance(value, Tensor) else value


class _Sheet:
    """The supersampled picture of some faces.

    Attributes
    ----------
    ids : Tensor, shape (n, fine, fine), uint8
        The material of each sample.
    reach : dict
        First row of samples in which a material may occur, and the row after the last one.
    """

    def __init__(self, factors: Factors, ids: Tensor) -> None:
        self.factors, self.ids = factors, ids
        self.reach = {Material.BACKGROUND: (0, ids.shape[-1])}

    def window(self, left: float, top: float, right: float, bottom: float) -> _Window:
        return _Window(self, left, top, right, bottom)

    @contextmanager
    def only(self, factor: str, level: int) -> Iterator[_Sheet]:
        """Draw only on the faces whose factor has the given level."""
        rows = (getattr(self.factors, factor) == level).nonzero().flatten()
        sheet = _Sheet(self.factors.part(rows), self.ids[rows])
        sheet.reach = self.reach
        yield sheet
        self.ids[rows] = sheet.ids

    def draw(self) -> None:
        """Draw all parts, from back to front."""
        for style, behind in enumerate((None, _long_behind, _curls_behind, _bun_behind)):
            if behind is not None:
                with self.only("hair_style", style) as some:
                    behind(some)
        _body(self)
        _head(self)
        for style, fringe in enumerate((_short, _parted, _curly_fringe, _tied_back)):
            with self.only("hair_style", style) as some:
                fringe(some)
        for kind, eye in enumerate((_open_eye, _dot, _smiling_eye)):
            with self.only("eyes", kind) as some:
                at = some.window(0.3, 0.4, 0.7, 0.66)
                for side in (-1, 1):
                    x = 0.5 + side * some.factors.eye_spacing
                    eye(at, x)
                    at.lay(Material.BROW, at.box(x - 0.05, 0.44, x + 0.05, 0.462))
        for kind, mouth in enumerate((_grin, _closed, _round)):
            with self.only("mouth", kind) as some:
                mouth(some.window(0.34, 0.64, 0.66, 0.8))
        with self.only("glasses", 1) as some:
            _glasses(some)


def _long_behind(sheet: _Sheet) -> None:
    half = sheet.factors.face_width + 0.095
    at = sheet.window(0.08, 0.1, 0.92, 0.92)
    fall = at.ellipse(0.5, 0.49, half, 0.33) | at.box(0.5 - half, 0.49, 0.5 + half, 0.87)
    at.lay(Material.HAIR, fall)


def _curls_behind(sheet: _Sheet) -> None:
    width = sheet.factors.face_width
    at = sheet.window(0.05, 0.05, 0.95, 0.7)
    curls = at.ellipse(0.5, 0.39, width + 0.125, 0.29)
    for side in (-1, 1):
        for out, y, r in ((0.075, 0.33, 0.085), (0.085, 0.47, 0.085), (0.035, 0.2, 0.08)):
            curls |= at.ellipse(0.5 + side * (width + out), y, r, r)
    at.lay(Material.HAIR, curls)


def _bun_behind(sheet: _Sheet) -> None:
    at = sheet.window(0.35, 0.02, 0.65, 0.3)
    at.lay(Material.HAIR, at.ellipse(0.5, 0.165, 0.125, 0.115))


def _body(sheet: _Sheet) -> None:
    at = sheet.window(0.0, 0.64, 1.0, 1.0)
    at.lay(Material.SHIRT, at.ellipse(0.5, 1.06, 0.43, 0.2))
    at.lay(Material.NECK, at.box(0.41, 0.66, 0.59, 0.875) | at.ellipse(0.5, 0.875, 0.09, 0.05))


def _head(sheet: _Sheet) -> None:
    width = sheet.factors.face_width
    at = sheet.window(0.15, 0.24, 0.85, 0.83)
    shape = at.ellipse(0.5, CENTRE, width, HALF_HEIGHT)
    for side in (-1, 1):
        shape |= at.ellipse(0.5 + side * width, 0.56, 0.05, 0.065)
    at.lay(Material.SKIN, shape)
    at = sheet.window(0.2, 0.56, 0.8, 0.7)
    for side in (-1, 1):
        at.lay(Material.BLUSH, at.ellipse(0.5 + 0.62 * side * width, 0.645, 0.05, 0.038))
    at.lay(Material.NOSE, at.ellipse(0.5, 0.61, 0.024, 0.034))


def _fringe(sheet: _Sheet, x: float, y: float, rx: Number, ry: float, lowest: float) -> None:
    """Draw a cap of hair on the head, down to a height, that leaves an ellipse free."""
    at = sheet.window(0.12, 0.18, 0.88, 0.6)
    cap = at.ellipse(0.5, 0.5, sheet.factors.face_width + 0.035, 0.295)
    at.lay(Material.HAIR, cap & ~at.ellipse(x, y, rx, ry) & (at.y < lowest))


def _short(sheet: _Sheet) -> None:
    _fringe(sheet, 0.59, 0.655, sheet.factors.face_width + 0.07, 0.295, 0.54)


def _parted(sheet: _Sheet) -> None:
    _fringe(sheet, 0.5, 0.64, 0.86 * sheet.factors.face_width, 0.3, 0.585)


def _curly_fringe(sheet: _Sheet) -> None:
    _fringe(sheet, 0.5, 0.635, sheet.factors.face_width + 0.03, 0.28, 0.47)


def _tied_back(sheet: _Sheet) -> None:
    _fringe(sheet, 0.5, 0.635, sheet.factors.face_width + 0.03, 0.28, 0.5)


def _open_eye(at: _Window, x: Tensor) -> None:
    at.lay(Material.WHITE, at.ellipse(x, 0.535, 0.056, 0.054))
    at.lay(Material.DARK, at.ellipse(x, 0.54, 0.031, 0.036))


def _dot(at: _Window, x: Tensor) -> None:
    at.lay(Material.DARK, at.ellipse(x, 0.54, 0.036, 0.042))


def _smiling_eye(at: _Window, x: Tensor) -> None:
    arc = at.ellipse(x, 0.555, 0.056, 0.05) & ~at.ellipse(x, 0.575, 0.042, 0.042)
    at.lay(Material.DARK, arc & (at.y < 0.565))


def _grin(at: _Window) -> None:
    grin = at.ellipse(0.5, 0.69, 0.092, 0.072) & (at.y >= 0.69)
    at.lay(Material.LIPS, grin)
    at.lay(Material.TEETH, grin & at.box(0.425, 0.69, 0.575, 0.713))


def _closed(at: _Window) -> None:
    at.lay(Material.LIPS, at.box(0.435, 0.703, 0.565, 0.73))


def _round(at: _Window) -> None:
    at.lay(Material.LIPS, at.ellipse(0.5, 0.718, 0.045, 0.05))


def _glasses(sheet: _Sheet) -> None:
    spacing, width = sheet.factors.eye_spacing, sheet.factors.face_width
    at = sheet.window(0.2, 0.42, 0.8, 0.66)
    outer = spacing - 0.008
    frame = at.box(0.48, 0.522, 0.52, 0.545)
    for side in (-1, 1):
        x = 0.5 + side * spacing
        frame = frame | (
            at.ellipse(x, 0.54, outer, 0.098) & ~at.ellipse(x, 0.54, outer - 0.024, 0.074)
        )
    arm = spacing + outer - 0.01
    frame |= at.box(0.5 - width, 0.522, 0.5 - arm, 0.545)
    frame |= at.box(0.5 + arm, 0.522, 0.5 + width, 0.545)
    at.lay(Material.FRAME, frame)
