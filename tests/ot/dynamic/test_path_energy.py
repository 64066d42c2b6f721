"""The path energy against golden values, dense algebra, finite differences and closed forms."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from otbench.ot.dynamic import path_energy as module
from otbench.ot.dynamic import terms
from otbench.ot.dynamic.path_energy import image_energy, path_energy, path_flow, to_density
from otbench.ot.dynamic.solvers import solve_block_tridiagonal

WALL = torch.zeros(4, 5, dtype=torch.bool)
WALL[0:3, 2] = True

OPTIONS = [
    {"boundary": b, "averaging": a, "tau": tau, "obstacles": wall}
    for b, a, tau, wall in itertools.product(
        ("noflux", "open", "periodic"), ("mid", "left"), (None, 3.0), (None, WALL)
    )
]


def name(options: dict) -> str:
    parts = options["boundary"], options["averaging"], options["tau"]
    return "-".join(map(str, parts)) + ("-wall" if options["obstacles"] is not None else "")


def equal_masses(frames: Tensor, obstacles: Tensor | None) -> Tensor:
    """Scale frames to mass 10 off the obstacles, smoothly, so that balanced transport exists."""
    free = torch.ones(frames.shape[-2:]) if obstacles is None else (~obstacles).double()
    return 10 * frames / (frames * free).sum((-2, -1), keepdim=True)


def dense_energy(
    frames: Tensor, boundary: str, averaging: str, tau: float | None, obstacles: Tensor | None
) -> float:
    """Sum b^T (D U D^T + r / tau)^+ b with a dense pseudo-inverse, face by face."""
    _, height, width = frames.shape
    wall = torch.zeros(height, width, dtype=torch.bool) if obstacles is None else obstacles
    cells = [(i, j) for i in range(height) for j in range(width) if not wall[i, j]]
    number = {cell: k for k, cell in enumerate(cells)}
    total = 0.0
    for before, after in itertools.pairwise(frames):
        density = before if averaging == "left" else (before + after) / 2
        matrix = torch.zeros(len(cells), len(cells), dtype=torch.float64)
        for (i, j), k in number.items():
            if tau is not None:
                matrix[k, k] += density[i, j] / tau
            for di, dj in ((0, 1), (1, 0), (0, -1), (-1, 0)):
                a, b = i + di, j + dj
                outside = not (0 <= a < height and 0 <= b < width)
                if boundary == "periodic":
                    a, b, outside = a % height, b % width, False
                if outside:
                    matrix[k, k] += density[i, j] / 2 if boundary == "open" else 0
                elif (a, b) in number:
                    u = (density[i, j] + density[a, b]) / 2
                    matrix[k, k] += u
                    matrix[k, number[a, b]] -= u
        right = torch.stack([before[c] - after[c] for c in cells])
        total += float(right @ torch.linalg.pinv(matrix, rtol=1e-12, hermitian=True) @ right)
    return total


@pytest.mark.parametrize("options", OPTIONS, ids=name)
def test_equals_dense_algebra(options, positive_frames):
    for shape in ((4, 4, 5), (3, 6, 3), (2, 2, 2), (3, 1, 4)):
        wall = options["obstacles"] if shape[1:] == (4, 5) else None
        frames = equal_masses(positive_frames(*shape), wall)
        chosen = options | {"obstacles": wall}
        expected = dense_energy(frames, **chosen)
        assert float(path_energy(frames, **chosen)) == pytest.approx(expected, rel=1e-8)


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("options", OPTIONS, ids=name)
def test_gradient_equals_finite_differences(options, normalize, positive_frames):
    start = positive_frames(1 + normalize, 3, 4, 5, equal_mass=False).requires_grad_()

    def energy(frames: Tensor) -> Tensor:
        if options["tau"] is None:
            frames = equal_masses(frames, options["obstacles"])
        return path_energy(frames, normalize=normalize, **options)

    # the whole Jacobian of J; a random projection of it is enough for the normalisation
    assert torch.autograd.gradcheck(energy, start, rtol=1e-5, atol=1e-6, fast_mode=normalize)


def test_gradient_in_each_frame_on_its_own(positive_frames):
    # a step on one pixel breaks the balance by less than the tolerance, and is projected out
    square = positive_frames(1, 4, 4, 4).requires_grad_()
    for averaging in ("mid", "left"):
        assert torch.autograd.gradcheck(lambda f, a=averaging: path_energy(f, averaging=a), square)


@pytest.mark.parametrize(
    ("options", "golden"),
    [
        ({}, 246.68915),
        ({"averaging": "left"}, 259.2263),
        ({"boundary": "open"}, 103.6214),
    ],
)
def test_stored_run_of_the_release(stored_run, options, golden):
    assert float(path_energy(stored_run, **options)) == pytest.approx(golden, rel=1e-5)


def blobs(steps: int, floor: float, shape: str) -> Tensor:
    """Move a blob of mass 100 over 13 x 13 pixels: a Gaussian, one cut at a fifth, or a disc."""
    centre = 9 + 13 * torch.linspace(0, 1, steps + 1, dtype=torch.float64).view(-1, 1, 1)
    axis = torch.arange(32, dtype=torch.float64)
    squared = (axis.view(-1, 1) - centre) ** 2 + (axis - centre) ** 2
    blob = (squared <= 16).double() if shape == "disc" else torch.exp(-squared / (2 * 2.5**2))
    if shape == "cut":
        blob[blob < 0.2] = 0
    background = blob < floor
    scale = (100 - floor * background.sum((1, 2))) / (blob * ~background).sum((1, 2))
    return torch.where(background, floor, blob * scale.view(-1, 1, 1))


def fade(ends: Tensor, steps: int) -> Tensor:
    time = torch.linspace(0, 1, steps + 1, dtype=torch.float64).view(-1, 1, 1)
    return (1 - time) * ends[0] + time * ends[1]


SQUARED_DISTANCE = 2 * 13.0**2


def ratio(frames: Tensor, **options: str) -> float:
    return float(path_energy(frames, normalize=True, **options)) / SQUARED_DISTANCE


def test_translation_tends_to_squared_wasserstein_distance():
    assert [ratio(blobs(steps, 1e-5, "gaussian")) for steps in (5, 10, 30)] == pytest.approx(
        [1.04, 1.01, 1.01], abs=0.01
    )  # the reference's figures
    # a tenth of the mass is then background, which stays where it is
    assert ratio(blobs(10, 1e-2, "cut")) == pytest.approx(0.9, abs=0.05)


def test_squared_wasserstein_distance_by_linear_programming(monkeypatch):
    for library in ("JAX", "TENSORFLOW", "CUPY", "PYTORCH"):
        monkeypatch.setenv(f"POT_BACKEND_DISABLE_{library}", "1")
    import ot

    frames = blobs(20, 1e-5, "gaussian")
    ends = [frame.where(frame > 0.01, torch.zeros(())) for frame in frames[[0, -1]]]
    places = [end.nonzero().double().numpy() for end in ends]
    weights = [(end[end > 0] / end.sum()).numpy() for end in ends]
    squared = ot.emd2(*weights, ot.dist(*places))
    assert float(path_energy(frames, normalize=True)) == pytest.approx(squared, rel=0.02)


def test_left_averaging_limits_the_speed():
    fast, slow = (blobs(steps, 1e-5, "cut") for steps in (5, 30))
    assert ratio(fast, averaging="left") > 100 * ratio(fast)
    assert ratio(slow, averaging="left") < 1.1 * ratio(slow)


@pytest.mark.parametrize("shape", ["cut", "disc"])
def test_crossfade_costs_what_the_floor_lets_it(shape):
    # reference: 6.0e3 and 8.4 for a cut Gaussian, 1.07e4 and 11.9 for a disc (of another size)
    bare, floored = (fade(blobs(1, floor, shape), 10) for floor in (1e-5, 1e-2))
    assert 5e3 < ratio(bare) < 2e4
    assert 8 < ratio(floored) < 15


def test_half_of_a_fading_disc_leaks_through_an_open_rim():
    def leaked(frames: Tensor) -> float:
        flow = path_flow(frames, boundary="open")
        vertical, horizontal = flow.vertical, flow.horizontal
        rims = -vertical[:, 0], vertical[:, -1], -horizontal[..., 0], horizontal[..., -1]
        return sum(float(rim.clamp(min=0).sum()) for rim in rims)

    fading = fade(blobs(1, 1e-2, "disc"), 10)
    assert leaked(fading) == pytest.approx(49.8, abs=2)  # of 100; the reference's disc differs
    assert leaked(blobs(10, 1e-5, "disc")) == pytest.approx(0.001, abs=0.003)
    assert ratio(fading, boundary="open") == pytest.approx(0.5 * ratio(fading), rel=0.15)


@pytest.mark.parametrize("options", OPTIONS, ids=name)
def test_convex_along_segments(options, positive_frames):
    one, other = (equal_masses(positive_frames(3, 4, 5, seed=s), WALL) for s in (1, 2))
    time = torch.linspace(0, 1, 5, dtype=torch.float64).view(-1, 1, 1, 1)
    if options["tau"] is None and options["obstacles"] is None:
        one, other = equal_masses(one, None), equal_masses(other, None)
    values = path_energy((1 - time) * one + time * other, **options)
    assert bool((values[:-2] + values[2:] - 2 * values[1:-1] > 0).all())


@pytest.mark.parametrize("options", OPTIONS, ids=name)
def test_flow_moves_the_mass_and_costs_the_energy(options, positive_frames):
    frames = equal_masses(positive_frames(2, 4, 4, 5), options["obstacles"])
    flow = path_flow(frames, **options)
    outflow = (
        flow.vertical[..., 1:, :]
        - flow.vertical[..., :-1, :]
        + flow.horizontal[..., 1:]
        - flow.horizontal[..., :-1]
    )
    change = frames[:, 1:] - frames[:, :-1]
    if flow.source is not None:
        outflow = outflow - flow.source
    free = slice(None) if options["obstacles"] is None else ~WALL
    torch.testing.assert_close(
        (change + outflow)[..., free].abs().max(), torch.tensor(0.0).double()
    )
    if options["obstacles"] is not None:
        assert float(flow.vertical[..., 0:4, 2].abs().max()) == 0  # no flux into the wall
    if options["averaging"] == "mid" and options["boundary"] == "noflux":
        density = (frames[:, 1:] + frames[:, :-1]) / 2
        rows = (density[..., 1:, :] + density[..., :-1, :]) / 2
        columns = (density[..., 1:] + density[..., :-1]) / 2
        cost = (flow.vertical[..., 1:-1, :] ** 2 / rows).sum((1, 2, 3)) + (
            flow.horizontal[..., 1:-1] ** 2 / columns
        ).sum((1, 2, 3))
        if flow.source is not None:
            cost = cost + (options["tau"] * flow.source**2 / density).sum((1, 2, 3))
        torch.testing.assert_close(cost, path_energy(frames, **options))


def test_growth_costs_what_the_closed_form_says():
    # without neighbours to move to, rho(t) = ((1-t) sqrt a + t sqrt b)^2 is the optimum, and
    # costs 4 tau (sqrt b - sqrt a)^2; linear growth costs tau (b - a) log(b / a)
    time = torch.linspace(0, 1, 201, dtype=torch.float64)
    tau = 2.0
    best = ((1 - time) + 2 * time) ** 2
    linear = 1 + 3 * time
    values = path_energy(torch.stack([best, linear]).view(2, -1, 1, 1), tau=tau) * 200
    expected = torch.tensor([4 * tau, tau * 3 * torch.log(torch.tensor(4.0))])
    torch.testing.assert_close(values, expected.double(), rtol=1e-3, atol=0)


def test_great_tau_tends_to_balanced(positive_frames):
    frames = positive_frames(3, 6, 6)
    torch.testing.assert_close(path_energy(frames, tau=1e7), path_energy(frames), rtol=1e-5, atol=0)


def test_walled_region_of_its_own_is_solved_on_its_own(positive_frames):
    wall = torch.zeros(4, 7, dtype=torch.bool)
    wall[:, 3] = True
    left, right = positive_frames(3, 4, 3, seed=3), positive_frames(3, 4, 3, seed=4)
    whole = torch.cat([left, torch.zeros(3, 4, 1), right], -1)
    expected = path_energy(left) + path_energy(right)
    torch.testing.assert_close(path_energy(whole, obstacles=wall), expected)
    # on the torus the two regions meet at the rim
    meeting = float(path_energy(whole, obstacles=wall, boundary="periodic"))
    assert meeting == pytest.approx(dense_energy(whole, "periodic", "mid", None, wall), rel=1e-8)


def test_images_sum_over_colours():
    generator = torch.Generator().manual_seed(0)
    gray = torch.rand(2, 4, 1, 8, 8, generator=generator)
    for tau in (None, 5.0):
        one = image_energy(gray, tau=tau)
        torch.testing.assert_close(image_energy(gray.expand(-1, -1, 3, -1, -1), tau=tau), one)
        wide = to_density(gray[:, :, 0])
        if tau is None:
            wide = equal_masses(wide, None)
        torch.testing.assert_close(one, path_energy(wide, tau=tau, normalize=True))


def test_values_on_walls_play_no_part(positive_frames):
    frames = positive_frames(3, 4, 5)
    other = frames.where(~WALL, torch.tensor(-7.0).double())
    for normalize in (False, True):
        one, same = (
            path_energy(f, tau=2.0, obstacles=WALL, normalize=normalize) for f in (frames, other)
        )
        assert float(one) == float(same)
    with pytest.raises(ValueError, match="not finite"):
        path_energy(frames.where(~WALL, torch.nan), tau=2.0, obstacles=WALL)


def test_single_precision_is_promoted(positive_frames):
    frames = positive_frames(2, 5, 5)
    single = path_energy(frames.float(), tau=1.0)
    assert single.dtype == torch.float64
    torch.testing.assert_close(single, path_energy(frames, tau=1.0), rtol=1e-5, atol=1e-6)


def sealed() -> Tensor:
    wall = torch.zeros(5, 5, dtype=torch.bool)
    wall[1:4, 1:4] = True
    wall[2, 2] = False
    return wall


@pytest.mark.parametrize("boundary", ["noflux", "open", "periodic"])
def test_obstacle_that_seals_mass_off_is_an_error(boundary, positive_frames):
    frames = positive_frames(2, 5, 5, equal_mass=False)
    frames = frames / (frames * ~sealed()).sum((1, 2), keepdim=True)
    with pytest.raises(ValueError, match="seal off a region of 1 cells"):
        path_energy(frames, boundary=boundary, obstacles=sealed())
    assert float(path_energy(frames, boundary=boundary, obstacles=sealed(), tau=1.0)) > 0


def changed(value: float) -> Tensor:
    frames = torch.ones(2, 3, 4, 4, dtype=torch.float64)
    frames[1, 1, 2, 2] = value
    return frames


@pytest.mark.parametrize(
    ("frames", "options", "message"),
    [
        (changed(-0.5), {"tau": 1.0}, "least value is -0.5"),
        (changed(0.0), {"tau": 1.0}, "add a floor"),
        (changed(float("nan")), {"tau": 1.0}, "not finite"),
        (changed(float("inf")), {"tau": 1.0}, "not finite"),
        (changed(1.5), {}, "path 1 .* relative mismatch of 0.0309"),
        (torch.ones(0, 3, 4, 4), {}, "empty"),
        (torch.ones(2, 3, 0, 4), {}, "empty"),
        (torch.ones(1, 4, 4), {}, "two frames"),
        (torch.ones(4, 4), {}, "got \\(4, 4\\)"),
        (torch.ones(3, 4, 4, dtype=torch.int64), {}, "floating-point"),
        (torch.ones(3, 4, 4), {"boundary": "neumann"}, "boundary must be one of"),
        (torch.ones(3, 4, 4), {"averaging": "right"}, "averaging must be"),
        (torch.ones(3, 4, 4), {"tau": 0.0}, "tau must be positive"),
        (torch.ones(3, 4, 4), {"tau": float("inf")}, "tau must be positive"),
        (torch.ones(3, 4, 4), {"obstacles": torch.ones(4, 5, dtype=torch.bool)}, "shape"),
        (torch.ones(3, 4, 4), {"obstacles": torch.ones(4, 4)}, "boolean"),
        (torch.ones(3, 4, 4), {"obstacles": torch.ones(4, 4, dtype=torch.bool)}, "cover"),
    ],
)
def test_bad_input_is_named(frames, options, message):
    with pytest.raises(ValueError, match=message):
        path_energy(frames, **options)


def test_floor_must_be_positive():
    with pytest.raises(ValueError, match="floor must be positive"):
        to_density(torch.ones(2, 2), 0.0)


@pytest.mark.gpu
@pytest.mark.parametrize("options", OPTIONS, ids=name)
def test_gpu_equals_cpu(options, positive_frames):
    frames = equal_masses(positive_frames(2, 4, 4, 5), options["obstacles"])
    results = []
    for device in ("cpu", "cuda"):
        leaf = frames.detach().to(device).requires_grad_()
        energy = path_energy(leaf, **options)
        assert energy.device.type == device
        results.append((energy.detach().cpu(), torch.autograd.grad(energy.sum(), leaf)[0].cpu()))
    torch.testing.assert_close(*results, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("options", OPTIONS, ids=name)
def test_solver_of_the_gpu_on_the_cpu(options, positive_frames, monkeypatch):
    frames = equal_masses(positive_frames(2, 4, 4, 5), options["obstacles"]).requires_grad_()
    results = []
    monkeypatch.setattr(terms, "solve_batch", solve_block_tridiagonal)
    for chosen in (terms.energy_terms, terms.torch_terms):
        monkeypatch.setattr(module, "energy_terms", chosen)
        energy = path_energy(frames, **options)
        results.append((energy.detach(), torch.autograd.grad(energy.sum(), frames)[0]))
    torch.testing.assert_close(*results, rtol=1e-8, atol=1e-8)
