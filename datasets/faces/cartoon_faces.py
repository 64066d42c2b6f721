"""Cartoon faces in flat colours, drawn from exact factors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from otbench_datasets.faces.base import HAIRS, SKINS, Drawer, DrawnFaces, Faces, draw, palette
from otbench_datasets.faces.factors import draw_factors


def cartoon_faces(n: int, size: int, seed: int) -> Faces:
    """Draw n cartoon faces.

    Parameters
    ----------
    n : int
    size : int
        Pixels along a side.
    seed : int
        Seed of the factors.
    """
    factors = draw_factors(n, torch.Generator().manual_seed(seed))
    skin, hair = SKINS[factors.skin], HAIRS[factors.hair_colour]
    colours = palette(factors, skin, hair)

    def paint(rows: slice, shares: Tensor) -> Tensor:
        return torch.einsum("nmhw,nmc->nchw", shares, colours[rows])

    return draw(factors, size, skin, hair, paint)


@dataclass
class CartoonFaces(DrawnFaces):
    """Flat-coloured faces, a free substitute for the photographs used in papers.

    Each image is determined by nine independent factors (`otbench_datasets.faces.factors.Factors`).
    The discrete ones, with their numbers of levels, are background 4, skin 5, hair style 4, hair
    colour 5, eyes 3, mouth 3 and glasses 2; the continuous ones are the width of the face and the
    distance of the eyes.
    """

    title: ClassVar[str] = "Cartoon faces in flat colours, drawn from exact factors"
    name: ClassVar[str] = "cartoon-faces"
    drawer: ClassVar[Drawer] = staticmethod(cartoon_faces)
