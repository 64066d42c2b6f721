"""Faces with the geometry of the cartoons and with light, texture, background and noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from otbench_datasets.faces.base import (
    BACKGROUNDS,
    HAIRS,
    SKINS,
    Drawer,
    DrawnFaces,
    Faces,
    draw,
    palette,
)
from otbench_datasets.faces.factors import Factors, draw_factors
from otbench_datasets.faces.geometry import CENTRE, HALF_HEIGHT, Material

BLUR, NOISE = 0.7, 0.03
"""Standard deviations of the lens blur, in pixels of a 32x32 image, and of the sensor noise."""

AMBIENT = 0.4
"""Fraction of ambient light."""


def random_field(n: int, size: int, length: float, generator: torch.Generator) -> Tensor:
    """Draw smooth Gaussian fields of mean 0 and variance 1.

    Parameters
    ----------
    n, size : int
    length : float
        Standard deviation of the Gaussian that smooths white noise, as a fraction of the side.
    generator : torch.Generator

    Returns
    -------
    Tensor, shape (n, size, size)
        The fields are periodic.
    """
    white = torch.randn(n, size, size, generator=generator)
    f = torch.fft.fftfreq(size) * size
    f_half = torch.fft.rfftfreq(size) * size
    gain = torch.exp(-2 * (math.pi * length) ** 2 * (f[:, None] ** 2 + f_half**2))
    smooth = torch.fft.irfft2(torch.fft.rfft2(white) * gain, s=(size, size))
    full = torch.exp(-4 * (math.pi * length) ** 2 * (f[:, None] ** 2 + f**2))
    return smooth / full.mean().sqrt()


def lambert(factors: Factors, size: int, light: Tensor) -> Tensor:
    """Return the brightness of an ellipsoid head, (n, size, size), in [`AMBIENT`, 1].

    The head has the outline of the face, and its depth equals its half-width. A point outside the
    head has the brightness of the outline in the same direction.

    Parameters
    ----------
    factors : Factors
    size : int
    light : Tensor, shape (n, 3)
        Unit vectors towards the light: right, down, towards the viewer.
    """
    axis = (torch.arange(size) + 0.5) / size
    width = factors.face_width.view(-1, 1, 1)
    u, v = (axis.view(1, 1, -1) - 0.5) / width, (axis.view(1, -1, 1) - CENTRE) / HALF_HEIGHT
    radius = (u**2 + v**2).sqrt().clamp(min=1)
    u, v = u / radius, v / radius
    # The gradient of the ellipsoid's equation is normal to it.
    across, down, towards = (
        u / width,
        v / HALF_HEIGHT,
        (1 - u**2 - v**2).clamp(min=0).sqrt() / width,
    )
    length = (across**2 + down**2 + towards**2).sqrt()
    right, below, front = (light[:, i].view(-1, 1, 1) for i in range(3))
    cosine = (across * right + down * below + towards * front) / length
    return AMBIENT + (1 - AMBIENT) * cosine.clamp(min=0)


def draw_light(n: int, generator: torch.Generator) -> Tensor:
    """Draw unit vectors towards the light, from any side and 25 to 60 degrees off the viewer."""
    turn = 2 * math.pi * torch.rand(n, generator=generator)
    tilt = torch.deg2rad(25 + 35 * torch.rand(n, generator=generator))
    # Light from below is rare.
    down = -(turn.sin() * tilt.sin()).abs() * torch.where(turn.cos() > 0.9, -1.0, 1.0)
    return torch.stack([turn.cos() * tilt.sin(), down, tilt.cos()], 1)


def between(colours: Tensor, level: Tensor, generator: torch.Generator) -> Tensor:
    """Return random colours, (n, 3), between those of the given levels and the rest of a palette.

    Each colour is moved up to halfway towards another colour of the palette, and its brightness is
    then changed by up to 8 %.
    """
    n = len(level)
    other = colours[torch.randint(len(colours), (n,), generator=generator)]
    part = 0.5 * torch.rand(n, 1, generator=generator)
    bright = 0.92 + 0.16 * torch.rand(n, 1, generator=generator)
    return ((colours[level] * (1 - part) + other * part) * bright).clamp(0, 1)


def blurred(images: Tensor, sigma: float) -> Tensor:
    """Smooth images (n, c, h, w) with a Gaussian of ``sigma`` pixels; edges are repeated."""
    reach = math.ceil(3 * sigma)
    taps = torch.exp(-(torch.arange(-reach, reach + 1.0) ** 2) / (2 * sigma**2))
    taps = taps / taps.sum()
    flat = images.flatten(0, 1).unsqueeze(1)
    flat = torch.nn.functional.pad(flat, (reach,) * 4, mode="replicate")
    rows = sum(t * flat[:, :, i : i + images.shape[2]] for i, t in enumerate(taps))
    both = sum(t * rows[..., i : i + images.shape[3]] for i, t in enumerate(taps))
    return both.squeeze(1).unflatten(0, images.shape[:2])


def shaded_faces(n: int, size: int, seed: int) -> Faces:
    """Draw n shaded faces.

    Parameters
    ----------
    n : int
    size : int
        Pixels along a side.
    seed : int
        Seed of factors, colours, light and noise. A seed other than that of cartoon faces makes an
        unpaired set.
    """
    generator = torch.Generator().manual_seed(seed)
    factors = draw_factors(n, generator)
    skin = between(SKINS, factors.skin, generator)
    hair = between(HAIRS, factors.hair_colour, generator)
    light = draw_light(n, generator)

    def paint(rows: slice, shares: Tensor) -> Tensor:
        some = factors.part(rows), shares, skin[rows], hair[rows], light[rows]
        return _photograph(*some, generator)

    return draw(factors, size, skin, hair, paint)


def _photograph(
    factors: Factors,
    shares: Tensor,
    skin: Tensor,
    hair: Tensor,
    light: Tensor,
    generator: torch.Generator,
) -> Tensor:
    n, _, size, _ = shares.shape
    lit = lambert(factors, size, light)
    colours = palette(factors, skin, hair)
    backdrop = shares[:, Material.BACKGROUND]
    shares = shares.clone()
    shares[:, Material.BACKGROUND] = 0
    strands = 1 + 0.16 * random_field(n, size, 0.018, generator)
    shares[:, [Material.HAIR, Material.BROW]] *= strands.unsqueeze(1)
    picture = torch.einsum("nmhw,nmc->nchw", shares, colours) * (1.12 * lit).unsqueeze(1)
    fields = torch.stack([random_field(n, size, 0.12, generator) for _ in range(3)], 1)
    base = 0.75 * BACKGROUNDS[factors.background].view(n, 3, 1, 1)
    picture += backdrop.unsqueeze(1) * (base + 0.07 * fields)
    picture = blurred(picture, BLUR * size / 32)
    picture += NOISE * torch.randn(picture.shape, generator=generator)
    return picture


@dataclass
class ShadedFaces(DrawnFaces):
    """Faces in the style of photographs, with the geometry of `CartoonFaces`.

    They have a Lambert-shaded ellipsoid head under random light, textured hair, colours of skin and
    hair that vary continuously between those of the cartoons, a Gaussian random field as
    background, blur and sensor noise.
    """

    title: ClassVar[str] = "Shaded faces with light, texture and noise, drawn from exact factors"
    name: ClassVar[str] = "shaded-faces"
    drawer: ClassVar[Drawer] = staticmethod(shaded_faces)
