"""The compiled inner loops: a sparse Cholesky solver with systems side by side in vector lanes.

The systems of one grid share their pattern, so `LANES` of them go through one factorisation
together and every number is a vector. Columns are eliminated `PANEL` at a time, and each sweep over
the front updates two columns at once: eight multiply-adds for six loads and two stores.
"""

# Numba compiles these functions and infers their types itself.
# mypy: ignore-errors

from __future__ import annotations

import numpy as np

from otbench.ot.dynamic.compiled import compiled
from otbench.ot.dynamic.elimination import PANEL
from otbench.ot.dynamic.lanes import (
    LANES,
    add,
    add_product,
    divide,
    inverse_root,
    load,
    multiply,
    spread,
    store,
    subtract,
    subtract_product,
)


@compiled
def _gather(frames, steps, group, left, right):
    """Arrange the frames before and after the steps of one group, one step in each lane.

    An incomplete last group repeats its last step.
    """
    cells = frames.shape[1]
    count = frames.shape[0] // (steps + 1) * steps
    for lane in range(LANES):
        step = min(group * LANES + lane, count - 1)
        frame = step + step // steps  # a path has one more frame than steps
        for k in range(cells):
            left[k * LANES + lane] = frames[frame, k]
            right[k * LANES + lane] = frames[frame + 1, k]


@compiled
def _scatter(lanes, group, out):
    """Copy the results of one group back to their steps."""
    for lane in range(min(LANES, out.shape[0] - group * LANES)):
        for k in range(out.shape[1]):
            out[group * LANES + lane, k] = lanes[k * LANES + lane]


@compiled
def _centre(values, regions):
    """Subtract the mean over each closed region; see ``batched.py``."""
    for k in range(len(regions)):
        count = regions[k, 0]
        total = spread(0.0)
        for c in range(1, count + 1):
            total = add(total, load(values, regions[k, c]))
        mean = multiply(total, spread(1.0 / count))
        for c in range(1, count + 1):
            cell = regions[k, c]
            store(values, cell, subtract(load(values, cell), mean))


@compiled
def _prepare(left, right, plan, scene, faces, diagonal, change):
    """Fill in the system of a step: mobilities of the faces, diagonal, right-hand side.

    ``left`` is overwritten by the density between the frames.
    """
    cell_faces, face_cells = plan[0], plan[1]
    half_open, free, regions, mid, price = scene
    half = spread(0.5)
    for c in range(len(free)):
        before, after = load(left, c), load(right, c)
        store(change, c, multiply(subtract(before, after), spread(free[c])))
        if mid:
            store(left, c, multiply(add(before, after), half))
    for f in range(len(half_open)):
        value = spread(0.0)
        for side in range(2):
            if face_cells[f, side] >= 0:
                value = add(value, load(left, face_cells[f, side]))
        store(faces, f, multiply(value, spread(half_open[f])))
    for c in range(len(free)):
        value = multiply(load(left, c), spread(price))
        if free[c] == 0.0:
            value = spread(1.0)
        for k in range(4):
            value = add(value, load(faces, cell_faces[c, k]))
        store(diagonal, c, value)
    _centre(change, regions)
    for k in range(len(regions)):
        last = regions[k, regions[k, 0]]
        store(diagonal, last, add(load(diagonal, last), load(left, last)))


@compiled
def _derive(y, plan, scene, faces, by_density):
    """Write dJ/dr, where r is the density between the frames; ``faces`` is overwritten."""
    cell_faces, face_cells = plan[0], plan[1]
    half_open, free, _, _, price = scene
    for f in range(len(half_open)):
        difference = spread(0.0)
        if face_cells[f, 0] >= 0:
            difference = load(y, face_cells[f, 0])
        if face_cells[f, 1] >= 0:
            difference = subtract(difference, load(y, face_cells[f, 1]))
        store(faces, f, multiply(multiply(difference, difference), spread(half_open[f])))
    for c in range(len(free)):
        value = load(y, c)
        value = multiply(multiply(value, value), spread(-price * free[c]))
        for k in range(4):
            value = subtract(value, load(faces, cell_faces[c, k]))
        store(by_density, c, value)


@compiled
def _assemble(faces, diagonal, right, plan, factor, y):
    """Eliminate the removed cells and write the matrix and right-hand side of the kept ones."""
    _, _, kept, removed, neighbours, neighbour_faces, pairs, _, offset = plan
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
def _factorise(factor, offset, reach, y):
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
            continue  # the last panel: no columns follow it
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
def _substitute(factor, offset, reach, y):
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
def _expand(faces, diagonal, right, plan, y, solution):
    """Compute the solution in all cells from that in the kept cells."""
    _, _, kept, removed, neighbours, neighbour_faces, _, _, _ = plan
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
def solve_groups(first, last, frames, steps, plan, size, scene, potentials, by_density, energies):
    """Solve the groups of steps from first to last (exclusive)."""
    cells = frames.shape[1]
    faces = np.empty(len(scene[0]) * LANES)
    left, right, y = np.empty(cells * LANES), np.empty(cells * LANES), np.empty(cells * LANES)
    diagonal, change = np.empty(cells * LANES), np.empty(cells * LANES)
    kept = np.empty(len(plan[2]) * LANES)
    factor = np.empty(size * LANES)
    energy = np.empty(LANES)
    for group in range(first, last):
        _gather(frames, steps, group, left, right)
        _prepare(left, right, plan, scene, faces, diagonal, change)
        _assemble(faces, diagonal, change, plan, factor, kept)
        _factorise(factor, plan[8], plan[7], kept)
        _substitute(factor, plan[8], plan[7], kept)
        _expand(faces, diagonal, change, plan, kept, y)
        _centre(y, scene[2])
        total = spread(0.0)
        for c in range(cells):
            total = add_product(total, load(change, c), load(y, c))
        store(energy, 0, total)
        for lane in range(min(LANES, len(energies) - group * LANES)):
            energies[group * LANES + lane] = energy[lane]
        _scatter(y, group, potentials)
        if len(by_density):
            _derive(y, plan, scene, faces, left)
            _scatter(left, group, by_density)


@compiled
def combine(potentials, by_density, steps, mid, out):
    """Sum the gradients of the steps before and after each frame."""
    share = 0.5 if mid else 1.0
    for frame in range(len(out)):
        path, t = frame // (steps + 1), frame % (steps + 1)
        after = path * steps + t
        for c in range(out.shape[1]):
            value = 0.0
            if t < steps:
                value += 2 * potentials[after, c] + share * by_density[after, c]
            if t > 0:
                value -= 2 * potentials[after - 1, c]
                if mid:
                    value += share * by_density[after - 1, c]
            out[frame, c] = value
