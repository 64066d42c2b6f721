"""Dynamic transport against closed forms, exact plans and the path-energy engine."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from otbench.ot.discrete.displacement import displacement_path, exact_plan
from otbench.ot.dynamic.path_energy import path_energy
from otbench.ot.dynamic.proximal import dynamic_transport
from otbench.ot.dynamic.proximal_algorithms import kinetic_prox

ALGORITHMS = ["dr", "admm", "pd"]


def blob(row: float, column: float, shape: tuple[int, int] = (20, 18), size: float = 2.0):
    rows, columns = (torch.arange(n, dtype=torch.float64) for n in shape)
    image = torch.exp(-((rows[:, None] - row) ** 2 + (columns - column) ** 2) / (2 * size**2))
    image[image < 0.1] = 0
    return (image / image.sum()).unsqueeze(0)


def centroid(frames):
    grid = torch.stack(torch.meshgrid(*map(torch.arange, frames.shape[-2:]), indexing="ij"))
    return torch.einsum("...hw,dhw->...d", frames, grid.double()) / frames.sum((-2, -1))[..., None]


def measured(frames, **options):
    """Energy that the engine measures along frames, with a small floor; end mass kept."""
    frames = frames + 1e-6 * frames.mean()
    if "tau" not in options:
        free = ~options["obstacles"] if "obstacles" in options else 1.0
        frames = frames / (frames * free).sum((-2, -1), keepdim=True)
    return path_energy(frames, normalize=True, **options)


@pytest.mark.parametrize("step", [1e-2, 0.3, 10.0])
def test_prox_is_the_greatest_root(step):
    generator = torch.Generator().manual_seed(0)
    momentum, density = torch.randn(2, 500, generator=generator, dtype=torch.float64)
    spread = 10 ** (4 * torch.rand(2, 500, generator=generator, dtype=torch.float64) - 3)
    momentum, density = momentum * spread[0], density * spread[1]
    moved, carried = kinetic_prox(momentum, density, torch.tensor(step, dtype=torch.float64))
    for m, r, *found in torch.stack([momentum, density, moved, carried], 1).tolist():
        roots = np.roots(
            [1, 4 * step - r, 4 * step**2 - 4 * step * r, -step * (m * m + 4 * step * r)]
        )
        best = max(max(roots.real[np.abs(roots.imag) < 1e-7 * max(1, abs(r))]), 0.0)
        scale = max(abs(m), abs(r), step)
        assert found[1] == pytest.approx(best, abs=1e-7 * scale)
        assert found[0] == pytest.approx(m * found[1] / (found[1] + 2 * step), abs=1e-12)


def test_prox_minimises():
    generator = torch.Generator().manual_seed(1)
    m, r = torch.randn(2, 300, generator=generator, dtype=torch.float64)

    def value(a, b):
        return 0.2 * a**2 / b + ((a - m) ** 2 + (b - r) ** 2) / 2

    moved, carried = kinetic_prox(m, r, torch.tensor(0.2, dtype=torch.float64))
    kept = carried > 0
    best = torch.where(kept, value(moved, carried), (m**2 + r**2) / 2)
    for a, b in ((1e-3, 1e-3), (-1e-3, 1e-3), (1e-3, 0.1), (0.0, 1e-2)):
        assert bool((value(moved + a, carried + b) >= best).all())


@pytest.fixture(scope="module")
def translations():
    start, end = blob(5, 5), blob(13, 11)
    return {
        name: dynamic_transport(start, end, intervals=10, algorithm=name, tolerance=3e-5)
        for name in ALGORITHMS
    }


@pytest.mark.parametrize("name", ALGORITHMS)
def test_translation(translations, name):
    found = translations[name]
    assert float(found.energy) == pytest.approx(8**2 + 6**2, rel=0.015)
    torch.testing.assert_close(
        centroid(found.frames[0, 5]), torch.tensor([9.0, 8.0]).double(), rtol=0, atol=0.05
    )
    torch.testing.assert_close(found.frames[:, 0], blob(5, 5))
    torch.testing.assert_close(found.frames[:, -1], blob(13, 11))
    total = found.frames.sum((2, 3))
    torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=2e-3)
    assert float(found.continuity) < 1e-10
    assert len(found.objective) == len(found.residual) <= 500
    assert float(found.residual[-1]) < float(found.residual[0]) / 50


def test_algorithms_agree(translations):
    energies = torch.stack([found.energy for found in translations.values()])
    assert float(energies.max() / energies.min()) < 1.005


@pytest.mark.parametrize("name", ALGORITHMS)
def test_energy_is_the_engine_s_along_the_frames(translations, name):
    found = translations[name]
    assert float(measured(found.frames)) == pytest.approx(float(found.energy), rel=0.01)


def test_no_path_is_cheaper(translations):
    best = float(measured(translations["admm"].frames))
    start, end = (x[0].numpy() for x in (blob(5, 5), blob(13, 11)))
    exact = torch.as_tensor(displacement_path(start, end, np.linspace(0, 1, 11)))
    assert float(measured(exact)) > best * 0.999
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(exact.shape, generator=generator, dtype=torch.float64)
    for bend in (0.01, 0.1):
        frames = translations["admm"].frames[0].clone()
        frames[1:-1] *= 1 + bend * noise[1:-1]
        assert float(measured(frames)) > best


def test_continuity_holds_for_the_returned_flow(translations):
    found = translations["pd"]
    change = found.frames.diff(dim=1) + found.vertical.diff(dim=2) + found.horizontal.diff(dim=3)
    # The frames alone are clipped at 0.
    assert float(change.abs().sum((2, 3)).max()) < 5e-3
    assert float(found.vertical[:, :, [0, -1]].abs().max()) == 0
    assert found.source is None


def test_energy_tends_to_the_exact_plan_s_cost():
    start = blob(8, 8)
    end = (blob(4, 4, size=1.5) + 2 * blob(14, 12)) / 3
    cost = exact_plan(start[0].numpy(), end[0].numpy()).cost
    found = dynamic_transport(start, end, intervals=20)
    assert float(found.energy) == pytest.approx(cost, rel=0.04)


def test_pairs_are_solved_as_alone():
    pairs = (
        torch.cat([blob(5, 5), blob(8, 9), 3 * blob(6, 6)]),
        torch.cat([blob(9, 9), blob(8, 5), 3 * blob(12, 6)]),
    )
    options = {"intervals": 6, "iterations": 60, "tolerance": 0.0}
    together = dynamic_transport(*pairs, **options)
    for k in range(3):
        alone = dynamic_transport(*(x[k : k + 1] for x in pairs), **options)
        torch.testing.assert_close(together.frames[k], alone.frames[0])
        torch.testing.assert_close(together.energy[k], alone.energy[0])


@pytest.mark.parametrize("name", ALGORITHMS)
def test_pure_growth_goes_with_the_root(name):
    """Uniform mass 1 to 4: nothing moves; the Fisher-Rao geodesic, energy tau 4 (2 - 1)^2."""
    start, tau, steps = torch.ones(1, 4, 5), 2.0, 10
    found = dynamic_transport(
        start, 4 * start, intervals=steps, tau=tau, algorithm=name, iterations=1000, tolerance=1e-6
    )
    time = torch.linspace(0, 1, steps + 1, dtype=torch.float64)
    expected = ((1 - time) + 2 * time).square()
    torch.testing.assert_close(found.frames[0, :, 2, 2], expected, rtol=0, atol=0.01)
    mass = found.frames.sum((2, 3)).mean()
    assert float(found.energy * mass) == pytest.approx(4 * tau * 20, rel=0.01)
    assert found.source.sum().item() == pytest.approx(60, rel=1e-3)
    assert float(measured(found.frames, tau=tau)) == pytest.approx(float(found.energy), rel=1e-3)


def test_a_low_price_makes_mass_where_a_high_one_moves_it():
    start, end = blob(6, 6), blob(12, 10)
    cheap, dear = (dynamic_transport(start, end, intervals=10, tau=tau) for tau in (1.0, 1e5))
    middle = centroid(dear.frames[0, 5])
    torch.testing.assert_close(middle, torch.tensor([9.0, 8.0]).double(), rtol=0, atol=0.1)
    assert float(dear.energy) == pytest.approx(52, rel=0.03)
    assert float(cheap.energy) < 10
    assert float(cheap.frames[0, 5, 9, 8]) < float(dear.frames[0, 5, 9, 8]) / 2
    for found, tau in ((cheap, 1.0), (dear, 1e5)):
        expected = float(measured(found.frames, tau=tau))
        assert float(found.energy) == pytest.approx(expected, rel=0.02)


WALL = torch.zeros(20, 18, dtype=torch.bool)
WALL[:14, 8:10] = True


@pytest.mark.parametrize("name", ALGORITHMS)
def test_mass_goes_around_walls(name):
    start, end = blob(4, 3, size=1.2), blob(4, 14, size=1.2)
    start, end = (x.masked_fill(WALL, 0) for x in (start, end))
    start, end = start / start.sum(), end / end.sum()
    found = dynamic_transport(
        start, end, intervals=20, algorithm=name, obstacles=WALL, iterations=400
    )
    assert float((found.frames * WALL).sum((2, 3)).max()) < 0.01
    # Around the foot of the wall, from the nearest point of one blob to that of the other.
    nearest = [
        min(((p - torch.tensor([13.5, edge])).norm()) for p in (x[0] > 0).nonzero().double())
        for x, edge in ((start, 7.5), (end, 9.5))
    ]
    bound = float(sum(nearest) + 2) ** 2
    assert float(found.energy) > bound
    assert float(found.energy) < 1.6 * (2 * np.hypot(9.5, 4.5) + 2) ** 2
    assert float(measured(found.frames, obstacles=WALL)) == pytest.approx(
        float(found.energy), rel=0.06
    )


SEALED = torch.zeros(20, 18, dtype=torch.bool)
SEALED[:, 9] = True


@pytest.mark.parametrize(
    ("start", "end", "options", "message"),
    [
        (torch.ones(4, 4), torch.ones(4, 4), {}, r"\(n, h, w\)"),
        (torch.ones(1, 4, 4), torch.ones(1, 4, 5), {}, "of one shape"),
        (torch.zeros(1, 4, 4), torch.ones(1, 4, 4), {}, "first image of pair 0 is empty"),
        (torch.ones(1, 4, 4), -torch.ones(1, 4, 4), {}, "second image holds values"),
        (torch.full((1, 4, 4), torch.nan), torch.ones(1, 4, 4), {}, "first image holds values"),
        (torch.ones(1, 4, 4), 2 * torch.ones(1, 4, 4), {}, "pair 0 has 16 and 32"),
        (blob(5, 4), blob(5, 13), {"obstacles": SEALED}, "seal off a region"),
        (blob(5, 4), blob(5, 4), {"obstacles": ~SEALED}, "empty outside the obstacles"),
        (blob(5, 4), blob(5, 9), {"intervals": 0}, "intervals must be at least 1"),
        (blob(5, 4), blob(5, 9), {"iterations": 0}, "iterations must be at least 1"),
        (blob(5, 4), blob(5, 9), {"algorithm": "fb"}, "dr, admm or pd"),
        (blob(5, 4), blob(5, 9), {"step": 0.0}, "step must be positive"),
        (blob(5, 4), blob(5, 9), {"tau": -1.0}, "tau must be positive"),
        (blob(5, 4), blob(5, 9), {"relaxation": 2.0}, "relaxation"),
        (blob(5, 4), blob(5, 9), {"tolerance": -1.0}, "tolerance"),
    ],
)
def test_bad_input_is_named(start, end, options, message):
    with pytest.raises(ValueError, match=message):
        dynamic_transport(start, end, **options)


def test_walls_may_seal_off_what_no_mass_needs():
    found = dynamic_transport(blob(5, 4), blob(7, 4), intervals=4, iterations=50, obstacles=SEALED)
    assert float(found.frames[..., 9:].sum()) < 1e-3


def test_steps_know_how_far_mass_goes():
    from otbench.ot.dynamic.grid import Grid
    from otbench.ot.dynamic.proximal import squared_distance

    point = torch.zeros(2, 2, 20, 18, dtype=torch.float64)
    point[0, 0, 4, 3] = point[0, 1, 4, 14] = 1
    point[1, :, 10, 10] = 1
    straight = squared_distance(point, Grid(20, 18))
    assert straight.tolist() == [11**2, 1]
    around = squared_distance(point[:1], Grid(20, 18, obstacles=WALL))
    expected = np.hypot(4.5, 9.5) + 2 + np.hypot(4.5, 9.5)
    assert float(around) == pytest.approx(expected**2)
