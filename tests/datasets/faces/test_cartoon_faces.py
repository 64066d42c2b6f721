"""Drawn faces: factors that show, drawing without bias, colours that survive where they should."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch

from otbench.errors import UsageError
from otbench_datasets.faces import geometry as face_geometry
from otbench_datasets.faces.base import BACKGROUNDS, HAIRS, SKINS
from otbench_datasets.faces.cartoon_faces import CartoonFaces, cartoon_faces
from otbench_datasets.faces.factors import EYE_SPACINGS, FACE_WIDTHS, LEVELS, draw_factors
from otbench_datasets.faces.geometry import Material, coverage
from otbench_datasets.faces.shaded_faces import (
    NOISE,
    ShadedFaces,
    blurred,
    draw_light,
    lambert,
    random_field,
    shaded_faces,
)

DRAWERS = [cartoon_faces, shaded_faces]


def factors(n=1, **chosen):
    """Return faces that are alike but for the factors chosen."""
    plain = draw_factors(n, torch.Generator().manual_seed(0))
    fixed = {
        f.name: torch.zeros_like(getattr(plain, f.name)) for f in dataclasses.fields(plain)
    } | {"face_width": torch.full((n,), 0.23), "eye_spacing": torch.full((n,), 0.1)}
    return dataclasses.replace(plain, **fixed | chosen)


# ---------------------------------------------------------------------------------------- factors
def test_factors_are_uniform_and_independent():
    drawn = draw_factors(20_000, torch.Generator().manual_seed(3))
    for name, levels in LEVELS.items():
        counts = torch.bincount(getattr(drawn, name), minlength=levels)
        assert len(counts) == levels
        assert counts / 20_000 == pytest.approx([1 / levels] * levels, abs=0.015)
    for name, (low, high) in (("face_width", FACE_WIDTHS), ("eye_spacing", EYE_SPACINGS)):
        values = getattr(drawn, name)
        assert low <= values.min() < low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) < values.max() <= high
    table = torch.stack([getattr(drawn, f.name).float() for f in dataclasses.fields(drawn)])
    off = torch.corrcoef(table) - torch.eye(len(table))
    assert off.abs().max() < 0.03


def test_modes_are_hair_mouth_and_glasses():
    drawn = draw_factors(5000, torch.Generator().manual_seed(1))
    pairs = {
        *zip(
            drawn.modes("glasses").tolist(),
            *(getattr(drawn, f).tolist() for f in ("hair_style", "mouth", "glasses")),
            strict=True,
        )
    }
    assert len(pairs) == 24
    assert {mode for mode, *_ in pairs} == set(range(24))


@pytest.mark.parametrize("drawer", DRAWERS)
def test_the_first_faces_of_a_seed_are_the_first_of_any_number(drawer):
    few, many = drawer(5, 32, 7).factors, drawer(9, 32, 7).factors
    for f in dataclasses.fields(few):
        assert torch.equal(getattr(few, f.name), getattr(many, f.name)[:5])


# ---------------------------------------------------------------------------------------- geometry
@pytest.mark.parametrize("size", [16, 32, 64])
def test_the_shares_of_a_pixel_sum_to_one(size):
    drawn = draw_factors(face_geometry.CHUNK + 6, torch.Generator().manual_seed(2))
    shares = coverage(drawn, size)
    assert shares.shape == (len(drawn), len(Material), size, size)
    torch.testing.assert_close(shares.sum(1), torch.ones(len(drawn), size, size))
    # What a chunk holds makes no difference to a face.
    alone = coverage(drawn.part(slice(-1, None)), size)
    assert torch.equal(alone[0], shares[-1])


def test_an_ellipse_covers_its_area():
    """The round mouth: pi a b of the unit square, and its centre of mass in the middle."""
    shares = coverage(factors(mouth=torch.tensor([2])), 32)[0, Material.LIPS]
    assert float(shares.mean()) == pytest.approx(math.pi * 0.045 * 0.05, rel=0.05)
    axis = (torch.arange(32) + 0.5) / 32
    mass = shares.sum()
    assert float((shares.sum(0) * axis).sum() / mass) == pytest.approx(0.5, abs=1e-3)
    assert float((shares.sum(1) * axis).sum() / mass) == pytest.approx(0.718, abs=3e-3)


def test_the_drawing_at_64_is_that_at_32_seen_more_closely():
    drawn = draw_factors(40, torch.Generator().manual_seed(4))
    fine, coarse = coverage(drawn, 64), coverage(drawn, 32)
    halved = torch.nn.functional.avg_pool2d(fine, 2)
    assert float((halved - coarse).abs().mean()) < 2e-3
    assert float((halved - coarse).abs().max()) < 0.35


def test_continuous_factors_move_what_they_name():
    wide, narrow = FACE_WIDTHS[::-1]
    far, near = EYE_SPACINGS[::-1]
    shares = coverage(
        factors(
            3,
            face_width=torch.tensor([wide, narrow, wide]),
            eye_spacing=torch.tensor([far, far, near]),
        ),
        64,
    )
    skin = shares[:, Material.SKIN].sum((1, 2))
    assert skin[0] > 1.1 * skin[1]
    axis = (torch.arange(64) + 0.5) / 64
    white = shares[:, Material.WHITE, :, 32:].sum(1)
    centre = (white * axis[32:]).sum(1) / white.sum(1)
    assert float(centre[0] - centre[2]) == pytest.approx(far - near, abs=2e-3)


@pytest.mark.parametrize(
    ("name", "material"),
    [("hair_style", Material.HAIR), ("eyes", Material.DARK), ("mouth", Material.LIPS)],
)
def test_every_level_of_a_shape_looks_its_own_way(name, material):
    levels = LEVELS[name]
    shares = coverage(factors(levels, **{name: torch.arange(levels)}), 32)[:, material]
    gaps = torch.cdist(shares.flatten(1), shares.flatten(1))
    assert float(gaps[~torch.eye(levels, dtype=torch.bool)].min()) > 0.5


def test_glasses_are_there_or_not():
    shares = coverage(factors(2, glasses=torch.tensor([0, 1])), 32)[:, Material.FRAME]
    assert shares[0].max() == 0
    assert shares[1].sum() > 20


# ----------------------------------------------------------------------------------------- cartoon
def test_a_cartoon_is_flat_in_the_colours_of_its_factors():
    faces = cartoon_faces(200, 32, 0)
    corner = faces.images[:, :, 0, 0]
    torch.testing.assert_close(corner, BACKGROUNDS[faces.factors.background])
    torch.testing.assert_close(faces.skin, SKINS[faces.factors.skin])
    torch.testing.assert_close(faces.hair, HAIRS[faces.factors.hair_colour])
    whole = coverage(faces.factors, 32)[:, Material.SKIN] == 1
    assert bool((whole.sum((1, 2)) > 20).all())
    skin = faces.skin.view(-1, 3, 1, 1).expand_as(faces.images)
    wanted = torch.where(whole.unsqueeze(1), skin, faces.images)
    torch.testing.assert_close(faces.images, wanted)


def test_edges_are_antialiased():
    """A straight edge between two colours leaves values between them, none beyond."""
    image = cartoon_faces(1, 32, 0).images[0]
    colours = {tuple(round(float(v), 3) for v in pixel) for pixel in image.flatten(1).T}
    assert len(colours) > 60


# ------------------------------------------------------------------------------------------ shaded
def test_the_two_drawers_share_their_geometry():
    """Skin lies where the cartoon of the same factors has it."""
    faces = shaded_faces(8, 32, 5)
    shares = coverage(faces.factors, 32)
    torch.testing.assert_close(faces.face, shares[:, [Material.SKIN, Material.BLUSH]].sum(1))


def test_light_is_lamberts_on_an_ellipsoid():
    """A sphere of known normals; the brightest point looks at the lamp."""
    one = factors(1, face_width=torch.tensor([face_geometry.HALF_HEIGHT]))
    light = torch.tensor([[0.6, 0.0, 0.8]])
    lit = lambert(one, 64, light)[0]
    row = round(face_geometry.CENTRE * 64 - 0.5)
    axis = (torch.arange(64) + 0.5) / 64
    u = (axis - 0.5) / face_geometry.HALF_HEIGHT
    v = (axis[row] - face_geometry.CENTRE) / face_geometry.HALF_HEIGHT
    inside = u**2 + v**2 < 0.99
    towards = (1 - u**2 - v**2).clamp(min=0).sqrt()
    wanted = 0.4 + 0.6 * (0.6 * u + 0.8 * towards).clamp(min=0)
    torch.testing.assert_close(lit[row][inside], wanted[inside], atol=1e-4, rtol=1e-4)
    assert float(u[lit[row].argmax()]) == pytest.approx(0.6, abs=0.06)


def test_light_comes_from_the_front():
    light = draw_light(4000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(light.norm(dim=1), torch.ones(4000))
    tilt = torch.rad2deg(light[:, 2].acos())
    assert 25 - 1e-2 <= float(tilt.min()) < 26
    assert 59 < float(tilt.max()) <= 60 + 1e-2


def test_random_fields_have_unit_variance_and_the_length_asked_for():
    field = random_field(400, 32, 0.1, torch.Generator().manual_seed(0))
    assert float(field.mean()) == pytest.approx(0, abs=0.05)
    assert float(field.var()) == pytest.approx(1, abs=0.05)
    # Smoothed white noise correlates as a Gaussian of sqrt(2) times the length.
    shift = 4
    correlation = float((field * field.roll(shift, 2)).mean() / field.square().mean())
    assert correlation == pytest.approx(math.exp(-((shift / 32 / 0.1) ** 2) / 4), abs=0.03)


def test_blur_is_scipys():
    from scipy.ndimage import gaussian_filter

    image = torch.rand(2, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    wanted = gaussian_filter(image.double().numpy(), (0, 0, 0.7, 0.7), mode="nearest", truncate=4)
    np.testing.assert_allclose(blurred(image, 0.7).numpy(), wanted, atol=2e-3)


def test_shading_keeps_the_colour_of_the_skin_readable():
    """The mean colour within the mask tells the skin: R^2 of a linear fit over many faces."""
    faces = shaded_faces(600, 32, 1)
    weight = faces.face / faces.face.sum((1, 2), keepdim=True)
    seen = torch.einsum("nchw,nhw->nc", faces.images, weight).double()
    design = torch.cat([seen, torch.ones(600, 1)], 1).numpy()
    target = faces.skin.double().numpy()
    fit = design @ np.linalg.lstsq(design, target, rcond=None)[0]
    unexplained = ((target - fit) ** 2).sum() / ((target - target.mean(0)) ** 2).sum()
    assert 1 - unexplained > 0.8
    # Colours fill the space between those of the cartoons.
    assert len(torch.unique(faces.skin, dim=0)) == 600


def test_the_sensor_is_noisy():
    """A flat part of the picture, far from edges: what is left of a smooth fit is the noise."""
    images = shaded_faces(300, 32, 2).images[:, :, 1:4, 1:4]
    rough = images[:, :, 1, 1] - (images[:, :, 1, 0] + images[:, :, 1, 2]) / 2
    assert float(rough.std()) == pytest.approx(NOISE * 1.5**0.5, rel=0.25)


# ---------------------------------------------------------------------------------------- data sets
@pytest.mark.parametrize("cls", [CartoonFaces, ShadedFaces])
def test_the_data_sets(cls):
    small = cls(train=30, validation=20, test=10)
    data = small.load()
    assert (len(data.train), len(data.validation), len(data.test)) == (30, 20, 10)
    assert data.image_shape == (3, 32, 32)
    images = torch.cat([part.images for part in (data.train, data.validation, data.test)])
    assert images.dtype == torch.float32
    assert images.min() >= 0
    assert images.max() <= 1
    assert data.classes == 4
    assert len(torch.unique(images, dim=0)) == 60, "no face is drawn twice"
    again, other = small.load(), cls(train=30, validation=20, test=10, seed=1).load()
    assert torch.equal(again.train.images, data.train.images)
    assert again.sha256 == data.sha256 != other.sha256
    assert other.variant != data.variant
    modes = cls(train=30, validation=20, test=10, labels="mode", size=64).load()
    assert (modes.classes, modes.image_shape) == (24, (3, 64, 64))
    assert modes.train.labels.max() > 3
    assert modes.variant == "64-labelsmode-train30-validation20-test10"


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"size": 48}, "size must be one of 16, 32, 64"),
        ({"labels": "eyes"}, "labels must be one of hair, mode"),
        ({"test": 0}, "test must be at least 1"),
    ],
)
def test_what_cannot_be_drawn_is_refused(parameters, message):
    with pytest.raises(UsageError, match=message):
        CartoonFaces(**parameters)
