"""A batched sparse Cholesky solver in Numba: systems side by side in the vector lanes.

The systems of one grid share their pattern, so `LANES` of them go through one factorisation
together, each number a vector. Columns are eliminated `PANEL` at a time, and each sweep over the
front updates two columns at once: eight multiply-adds for six loads and two stores.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from numba import njit
from torch import Tensor

from otbench.ot.elimination import PANEL, elimination
from otbench.ot.grid import Mobilities
from otbench.ot.lanes import (
    LANES,
    add,
    add_product,
    divide,
    inverse_root,
    load,
    multiply,
    store,
    subtract,
    subtract_product,
)

compiled = njit(nogil=True, cache=True, boundscheck=False, error_model="numpy")


@compiled
def _gather(values, group, out, start):  # type: ignore[no-untyped-def]
    """Lay the systems of one group side by side; a last incomplete group repeats its last one."""
    count = values.shape[1]
    for lane in range(LANES):
        system = min(group * LANES + lane, values.shape[0] - 1)
        for k in range(count):
            out[(start + k) * LANES + lane] = values[system, k]


@compiled
def _scatter(lanes, group, out):  # type: ignore[no-untyped-def]
    """Put the solutions of one group back, each to its system."""
    for lane in range(min(LANES, out.shape[0] - group * LANES)):
        for k in range(out.shape[1]):
            out[group * LANES + lane, k] = lanes[k * LANES + lane]


@compiled
def _assemble(faces, diagonal, right, plan, factor, y):  # type: ignore[no-untyped-def]
    """Eliminate the removed cells and write the matrix and right-hand side of the kept ones."""
    cell_faces, kept, removed, neighbours, neighbour_faces, pairs, _, offset = plan
    for cell in range(len(cell_faces)):
        value = load(diagonal, cell)
        for k in range(4):
            value = add(value, load(faces, cell_faces[cell, k]))
        store(diagonal, cell, value)
    factor[:] = 0.0
    for p in range(len(kept)):
        store(factor, offset[p] + p, load(diagonal, kept[p]))
        store(y, p, load(right, kept[p]))
    for k in range(len(pairs)):
        entry = offset[pairs[k, 1]] + pairs[k, 0]
        store(factor, entry, subtract(load(factor, entry), load(faces, pairs[k, 2])))
    for r in range(len(removed)):
        value = load(right, removed[r])
        pivot = load(diagonal, removed[r])
        for i in range(4):
            p = neighbours[r, i]
            if p < 0:
                continue
            part = divide(load(faces, neighbour_faces[r, i]), pivot)
            store(y, p, add_product(load(y, p), part, value))
            for j in range(4):
                q = neighbours[r, j]
                if 0 <= q <= p:
                    entry = offset[q] + p
                    u = load(faces, neighbour_faces[r, j])
                    store(factor, entry, subtract_product(load(factor, entry), part, u))


@compiled
def _factorise(factor, offset, reach, y):  # type: ignore[no-untyped-def]
    """Overwrite the matrix by its Cholesky factor (inverse diagonal) and y by the forward solve."""
    n = len(offset)
    for panel in range(len(reach)):
        start, end, last = panel * PANEL, min((panel + 1) * PANEL, n), reach[panel]
        for q in range(start, end):
            column = offset[q]
            inverse = inverse_root(load(factor, column + q))
            store(factor, column + q, inverse)
            found = multiply(load(y, q), inverse)
            store(y, q, found)
            for r in range(q + 1, last + 1):
                value = multiply(load(factor, column + r), inverse)
                store(factor, column + r, value)
                store(y, r, subtract_product(load(y, r), value, found))
            for c in range(q + 1, end):
                other, scale = offset[c], load(factor, column + c)
                for r in range(c, last + 1):
                    value = load(factor, other + r)
                    value = subtract_product(value, load(factor, column + r), scale)
                    store(factor, other + r, value)
        if end - start < PANEL:
            continue  # the last panel: nothing lies behind it
        a, b, c, d = offset[start], offset[start + 1], offset[start + 2], offset[start + 3]
        for column in range(end, last, 2):
            a0, a1 = load(factor, a + column), load(factor, a + column + 1)
            b0, b1 = load(factor, b + column), load(factor, b + column + 1)
            c0, c1 = load(factor, c + column), load(factor, c + column + 1)
            d0, d1 = load(factor, d + column), load(factor, d + column + 1)
            first, second = offset[column], offset[column + 1]
            value = subtract_product(load(factor, first + column), a0, a0)
            value = subtract_product(value, b0, b0)
            value = subtract_product(value, c0, c0)
            store(factor, first + column, subtract_product(value, d0, d0))
            for r in range(column + 1, last + 1):
                ar, br = load(factor, a + r), load(factor, b + r)
                cr, dr = load(factor, c + r), load(factor, d + r)
                one, two = load(factor, first + r), load(factor, second + r)
                one, two = subtract_product(one, ar, a0), subtract_product(two, ar, a1)
                one, two = subtract_product(one, br, b0), subtract_product(two, br, b1)
                one, two = subtract_product(one, cr, c0), subtract_product(two, cr, c1)
                one, two = subtract_product(one, dr, d0), subtract_product(two, dr, d1)
                store(factor, first + r, one)
                store(factor, second + r, two)
        if (last - end) % 2 == 0 and last >= end:  # a column without a partner is left
            entry = offset[last] + last
            value = load(factor, entry)
            for q in range(start, end):
                part = load(factor, offset[q] + last)
                value = subtract_product(value, part, part)
            store(factor, entry, value)


@compiled
def _substitute(factor, offset, reach, y):  # type: ignore[no-untyped-def]
    """Overwrite y by the solution, from the last position to the first."""
    n = len(offset)
    for panel in range(len(reach) - 1, -1, -1):
        start, end, last = panel * PANEL, min((panel + 1) * PANEL, n), reach[panel]
        if end - start == PANEL:
            a, b, c, d = offset[start], offset[start + 1], offset[start + 2], offset[start + 3]
            ya, yb, yc, yd = (
                load(y, start),
                load(y, start + 1),
                load(y, start + 2),
                load(y, start + 3),
            )
            for r in range(end, last + 1):
                known = load(y, r)
                ya = subtract_product(ya, load(factor, a + r), known)
                yb = subtract_product(yb, load(factor, b + r), known)
                yc = subtract_product(yc, load(factor, c + r), known)
                yd = subtract_product(yd, load(factor, d + r), known)
            store(y, start, ya)
            store(y, start + 1, yb)
            store(y, start + 2, yc)
            store(y, start + 3, yd)
        for q in range(end - 1, start - 1, -1):
            value = load(y, q)
            for r in range(q + 1, end):
                value = subtract_product(value, load(factor, offset[q] + r), load(y, r))
            store(y, q, multiply(value, load(factor, offset[q] + q)))


@compiled
def _expand(faces, diagonal, right, plan, y, solution):  # type: ignore[no-untyped-def]
    """Write the solution in all cells, from that in the kept ones."""
    _, kept, removed, neighbours, neighbour_faces, _, _, _ = plan
    for p in range(len(kept)):
        store(solution, kept[p], load(y, p))
    for r in range(len(removed)):
        value = load(right, removed[r])
        for i in range(4):
            p = neighbours[r, i]
            if p >= 0:
                value = add_product(value, load(faces, neighbour_faces[r, i]), load(y, p))
        store(solution, removed[r], divide(value, load(diagonal, removed[r])))


@compiled
def _solve_groups(first, last, vertical, horizontal, cells, b, plan, size, out):  # type: ignore[no-untyped-def]
    """Solve the groups of systems from first to last (exclusive)."""
    count = cells.shape[1]
    faces = np.empty((vertical.shape[1] + horizontal.shape[1]) * LANES)
    diagonal, right, solution = (
        np.empty(count * LANES),
        np.empty(count * LANES),
        np.empty(count * LANES),
    )
    y = np.empty(len(plan[1]) * LANES)
    factor = np.empty(size * LANES)
    for group in range(first, last):
        _gather(vertical, group, faces, 0)
        _gather(horizontal, group, faces, vertical.shape[1])
        _gather(cells, group, diagonal, 0)
        _gather(b, group, right, 0)
        _assemble(faces, diagonal, right, plan, factor, y)
        _factorise(factor, plan[7], plan[6], y)
        _substitute(factor, plan[7], plan[6], y)
        _expand(faces, diagonal, right, plan, y, solution)
        _scatter(solution, group, out)


def solve_lanes(system: Mobilities, b: Tensor) -> Tensor:
    """Solve a batch of systems on the CPU; takes, returns and raises what `solve_batch` does.

    As many threads run as torch may use (``torch.set_num_threads``).
    """
    n, height, width = b.shape
    plan = elimination(height, width, system.periodic)
    tables = (
        plan.cell_faces,
        plan.kept,
        plan.removed,
        plan.neighbours,
        plan.neighbour_faces,
        plan.pairs,
        plan.reach,
        plan.offset,
    )
    arrays = [
        x.reshape(n, -1).contiguous().numpy()
        for x in (system.vertical, system.horizontal, system.cells, b)
    ]
    out = np.empty((n, height * width))
    groups = -(-n // LANES)
    threads = min(torch.get_num_threads(), groups)
    cuts = [groups * k // threads for k in range(threads + 1)]

    def run(k: int) -> None:
        _solve_groups(cuts[k], cuts[k + 1], *arrays, tables, plan.size, out)

    if threads == 1:
        run(0)
    else:
        with ThreadPoolExecutor(threads) as pool:
            list(pool.map(run, range(threads)))
    wrong = ~np.isfinite(out).all(1)
    if wrong.any():
        raise ValueError(f"system {int(wrong.argmax())} is not positive definite")
    return torch.from_numpy(out).view(b.shape)
