"""The order in which the cells of a grid are eliminated, and the storage of their factors.

Alternate diagonal ordering (Price & Coats 1974, "D4"): every second cell of the chequerboard is
eliminated at once, which costs almost nothing because no two of them touch. The other half is
eliminated diagonal by diagonal, so that the front of the factorisation grows and shrinks with the
diagonals. An n x n grid then takes n^4 / 8 multiply-adds, whereas banded elimination row by row
takes n^4 / 2. A torus has no such diagonals: its rows are folded, and all cells are kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

PANEL = 4
"""Number of columns that are eliminated in one sweep over the front."""

Index = NDArray[np.int64]


@dataclass(frozen=True)
class Elimination:
    """Tables for the kernel. Faces are numbered row by row, vertical ones first.

    Attributes
    ----------
    cell_faces : ndarray, shape (cells, 4)
        The faces of each cell.
    face_cells : ndarray, shape (faces, 2)
        The cells above (left of) and below (right of) each face, -1 beyond an outer rim.
    kept : ndarray, shape (k,)
        Cells that are left after the chequerboard step, in order.
    removed : ndarray, shape (r,)
        Cells that the chequerboard step eliminates.
    neighbours, neighbour_faces : ndarray, shape (r, 4)
        Positions in ``kept`` of the neighbours of each removed cell, -1 where there is none, and
        the faces towards them.
    pairs : ndarray, shape (p, 3)
        Pairs of kept cells that touch: later position, earlier position, face.
    reach : ndarray, shape (panels,)
        Last position that the columns of each panel reach.
    offset : ndarray, shape (k,)
        Index at which each column would hold position 0: entry (row, column) lies at offset + row.
    size : int
        Number of entries of all columns.
    """

    cell_faces: Index
    face_cells: Index
    kept: Index
    removed: Index
    neighbours: Index
    neighbour_faces: Index
    pairs: Index
    reach: Index
    offset: Index
    size: int


@lru_cache(maxsize=32)
def elimination(height: int, width: int, periodic: bool) -> Elimination:
    """Plan the elimination for a grid of h x w cells."""
    rows, columns = (x.ravel() for x in np.indices((height, width)))
    verticals = (height + 1) * width
    above = rows * width + columns
    left = verticals + rows * (width + 1) + columns
    cell_faces = np.stack([above, above + width, left, left + 1], 1)
    face_cells = np.full((verticals + height * (width + 1), 2), -1)
    for side, before in ((0, False), (1, True), (2, False), (3, True)):
        face_cells[cell_faces[:, side], 0 if before else 1] = np.arange(height * width)
    if periodic:  # faces 0 and h of a column, and 0 and w of a row, coincide
        rims = [
            (np.arange(width), np.arange(width) + height * width),
            (left[columns == 0], left[columns == 0] + width),
        ]
        for first, last in rims:
            face_cells[first, 0] = face_cells[last, 0]
            face_cells[last, 1] = face_cells[first, 1]
    steps = np.array([[-1, 0], [1, 0], [0, -1], [0, 1]])
    around = np.stack([rows, columns], 1)[:, None] + steps
    if periodic:
        inside = np.ones(around.shape[:2], bool)
        inside[:, :2] &= height > 1
        inside[:, 2:] &= width > 1
        around %= [height, width]
        folded = np.where(2 * rows < height, 2 * rows, 2 * (height - 1 - rows) + 1)
        kept, removed = np.lexsort((columns, folded)), np.empty(0, np.int64)
    else:
        inside = ((around >= 0) & (around < [height, width])).all(2)
        diagonal = rows + columns
        order = np.lexsort((rows, diagonal))
        kept, removed = order[diagonal[order] % 2 == 0], order[diagonal[order] % 2 == 1]
    position = np.full(height * width, -1)
    position[kept] = np.arange(len(kept))
    number = np.where(inside, around[..., 0] * width + around[..., 1], 0)
    towards = np.where(inside, position[number], -1)
    neighbours, neighbour_faces = towards[removed], cell_faces[removed]
    own = np.broadcast_to(position[kept][:, None], towards[kept].shape)
    direct = (towards[kept] >= 0) & (towards[kept] < own)
    pairs = np.stack([own[direct], towards[kept][direct], cell_faces[kept][direct]], 1)

    farthest = np.arange(len(kept))
    np.maximum.at(farthest, pairs[:, 1], pairs[:, 0])
    last = neighbours.max(1, initial=-1)
    for k in range(4):
        there = neighbours[:, k] >= 0
        np.maximum.at(farthest, neighbours[there, k], last[there])
    farthest = np.maximum.accumulate(farthest)
    ends = np.minimum(np.arange(PANEL - 1, len(kept) + PANEL - 1, PANEL), len(kept) - 1)
    reach = farthest[ends]
    lengths = np.repeat(reach, PANEL)[: len(kept)] - np.arange(len(kept)) + 1
    starts = np.cumsum(lengths) - lengths
    return Elimination(
        cell_faces,
        face_cells,
        kept,
        removed,
        neighbours,
        neighbour_faces,
        pairs.astype(np.int64),
        reach,
        starts - np.arange(len(kept)),
        int(lengths.sum()),
    )
