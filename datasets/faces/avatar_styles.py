"""Translation of a face's factors to the options of DiceBear's styles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from otbench_datasets.faces.base import BACKGROUNDS, HAIRS, SHIRTS, SKINS
from otbench_datasets.faces.factors import Factors

Options = dict[str, str | float]
"""DiceBear's options by name: the variant of a component, its probability in percent, a colour, and
a scale or a shift in percent."""


@dataclass(frozen=True)
class AvatarStyle:
    """A style's options for each level of the factors.

    Attributes
    ----------
    trait : {"glasses", "smiling"}
        The trait that distinguishes modes in addition to hair and mouth.
    shirt : str
        Name of the option for the colour of the clothes.
    fixed : Options
        Options shared by all faces. Together with the others they leave nothing to DiceBear's own
        random choice.
    hair, eyes, mouth : tuple of Options
        Options for each of `HAIR_STYLES`, `EYES` and `MOUTHS` of `otbench_datasets.faces.factors`.
    glasses : tuple of Options
        Options without and with glasses; they override the options of the eyes.
    free : tuple of tuple of Options
        Unlabelled attributes, each with equally likely options.
    """

    trait: str
    shirt: str
    fixed: Options
    hair: tuple[Options, ...]
    eyes: tuple[Options, ...]
    mouth: tuple[Options, ...]
    glasses: tuple[Options, Options]
    free: tuple[tuple[Options, ...], ...]


def _variants(component: str, *names: str) -> tuple[Options, ...]:
    return tuple({f"{component}Variant": name} for name in names)


STYLES = {
    # Spiky hair is its closest match for curls, and it has no glasses. "smile" is a closed mouth
    # that looks like "sad" at 32 pixels, so "laugh" is used for a smile.
    "toon-head": AvatarStyle(
        trait="smiling",
        shirt="clothesColor",
        fixed={
            # Faces are as large as the suite's own, because a mouth is only a few pixels at 16x16.
            **{"scale": 1.12, "translateY": 2},
            **{"hairProbability": 100, "beardProbability": 0, "rearHairVariant": "longStraight"},
        },
        hair=(
            {"hairVariant": "sideComed", "rearHairProbability": 0},
            {"hairVariant": "sideComed", "rearHairProbability": 100},
            {"hairVariant": "spiky", "rearHairProbability": 0},
            {"hairVariant": "bun", "rearHairProbability": 0},
        ),
        eyes=_variants("eyes", "wide", "happy", "bow"),
        mouth=_variants("mouth", "laugh", "sad", "agape"),
        glasses=({}, {}),
        free=(
            _variants("eyebrows", "angry", "happy", "neutral", "raised", "sad"),
            _variants("clothes", "dress", "openJacket", "shirt", "tShirt", "turtleNeck"),
        ),
    ),
    # In this style glasses are a variant of the eyes.
    "personas": AvatarStyle(
        trait="glasses",
        shirt="clothingColor",
        fixed={"facialHairProbability": 0},
        hair=_variants("hair", "shortCombover", "long", "curly", "straightBun"),
        eyes=_variants("eyes", "open", "sleep", "happy"),
        mouth=_variants("mouth", "bigSmile", "lips", "surprise"),
        glasses=({}, {"eyesVariant": "glasses"}),
        free=(
            _variants("nose", "mediumRound", "smallRound", "wrinkles"),
            _variants("clothes", "checkered", "rounded", "squared"),
        ),
    ),
    "pixel-art": AvatarStyle(
        trait="glasses",
        shirt="clothingColor",
        fixed={
            **dict.fromkeys(("accessoriesProbability", "beardProbability", "hatProbability"), 0),
            "eyesColor": "#241c1f",
            "mouthColor": "#a3243b",
            "glassesColor": "#22223b",
            "glassesVariant": "light03",
        },
        hair=_variants("hair", "short16", "long12", "long15", "long05"),
        eyes=_variants("eyes", "variant01", "variant03", "variant12"),
        mouth=_variants("mouth", "happy09", "sad05", "happy01"),
        glasses=({"glassesProbability": 0}, {"glassesProbability": 100}),
        free=(_variants("clothes", "variant03", "variant06", "variant12", "variant13"),),
    ),
}


def colour_codes(colours: Tensor) -> list[str]:
    """Return colours (n, 3), RGB in [0, 1], as ``#rrggbb``."""
    return ["#{:02x}{:02x}{:02x}".format(*row) for row in (255 * colours).round().int().tolist()]


def avatar_options(
    style: AvatarStyle, factors: Factors, generator: torch.Generator
) -> Iterator[Options]:
    """Yield the options of each face; options that the factors leave open are drawn.

    Skin, hair and background use the palettes of the suite's own faces. The colour of the clothes
    and the style's free attributes are independent of everything else.

    Parameters
    ----------
    style : AvatarStyle
    factors : Factors
    generator : torch.Generator
    """
    shirts = tuple({style.shirt: code} for code in colour_codes(SHIRTS))
    free = (*style.free, shirts)
    told = {
        **{name: getattr(style, name) for name in ("eyes", "mouth", "glasses")},
        "hair_style": style.hair,
        "skin": tuple({"skinColor": code} for code in colour_codes(SKINS)),
        "hair_colour": tuple({"hairColor": code} for code in colour_codes(HAIRS)),
        "background": tuple({"backgroundColor": code} for code in colour_codes(BACKGROUNDS)),
    }
    n = len(factors)
    levels = [getattr(factors, name) for name in told]
    levels += [torch.randint(len(ways), (n,), generator=generator) for ways in free]
    ways = (*told.values(), *free)
    for row in torch.stack(levels, 1).tolist():
        options = dict(style.fixed)
        for way, level in zip(ways, row, strict=True):
            options |= way[level]
        yield options
