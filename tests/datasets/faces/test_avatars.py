"""Avatars: exact labels and colours, a cache that cannot harm, and the pair that ends in them."""

from __future__ import annotations

import dataclasses
import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import PIL.Image
import pytest
import torch

from otbench.errors import UsageError
from otbench.interface import ImageDataset
from otbench_datasets.faces import avatars
from otbench_datasets.faces.avatar_styles import STYLES, avatar_options
from otbench_datasets.faces.avatars import (
    Avatars,
    draw_avatars,
    file_of,
    load_style,
    missing_extra,
    rendered,
)
from otbench_datasets.faces.base import BACKGROUNDS, HAIRS, SHIRTS, SKINS
from otbench_datasets.faces.factors import EYES, draw_factors
from otbench_datasets.faces.shaded_faces import shaded_faces
from otbench_datasets.image_pairs.shaded_to_avatars import ShadedToAvatars

needs_extra = pytest.mark.skipif(missing_extra() is not None, reason="needs the extra avatars")

FEW = {"train": 4, "validation": 2, "test": 2}

# What stands in the pictures, from each style's own names, in the order of the labels.
HAIR = {
    "toon-head": [("sideComed", 0), ("sideComed", 100), ("spiky", 0), ("bun", 0)],
    "personas": ["shortCombover", "long", "curly", "straightBun"],
    "pixel-art": ["short16", "long12", "long15", "long05"],
}
MOUTH = {
    "toon-head": ["laugh", "sad", "agape"],
    "personas": ["bigSmile", "lips", "surprise"],
    "pixel-art": ["happy09", "sad05", "happy01"],
}
TRAIT = {
    "toon-head": lambda o: o["eyesVariant"] == "bow",
    "personas": lambda o: o["eyesVariant"] == "glasses",
    "pixel-art": lambda o: o["glassesProbability"] == 100,
}


def mode_of(style: str, options: dict) -> int:
    """Number hair, mouth and trait of what DiceBear is asked for."""
    hair = options["hairVariant"]
    if style == "toon-head":
        hair = hair, options["rearHairProbability"]
    kinds = HAIR[style].index(hair), MOUTH[style].index(options["mouthVariant"])
    return 6 * kinds[0] + 2 * kinds[1] + int(TRAIT[style](options))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("home")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OTBENCH_HOME", str(folder))
        yield folder


@pytest.fixture
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OTBENCH_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="module", params=list(STYLES))
def loaded(request: pytest.FixtureRequest, home: Path) -> SimpleNamespace:
    """Return 240 avatars of a style, with everything that is known of them."""
    drawn = Avatars(style=request.param, labels="mode", train=200, validation=20, test=20)
    factors, options = drawn.drawn()
    data = drawn.load()
    return SimpleNamespace(
        style=request.param,
        factors=factors,
        options=options,
        data=data,
        images=torch.cat([part.images for part in (data.train, data.validation, data.test)]),
        labels=torch.cat([part.labels for part in (data.train, data.validation, data.test)]),
    )


def images_of(data: ImageDataset) -> torch.Tensor:
    return torch.cat([part.images for part in (data.train, data.validation, data.test)])


# ----------------------------------------------------------------------------------------- drawing
@needs_extra
def test_images_are_split_and_labelled_by_what_is_drawn(loaded):
    data = loaded.data
    assert [len(part) for part in (data.train, data.validation, data.test)] == [200, 20, 20]
    assert (data.image_shape, data.classes) == ((3, 32, 32), 24)
    assert loaded.images.dtype == torch.float32
    assert float(loaded.images.min()) >= 0
    assert float(loaded.images.max()) <= 1
    modes = [mode_of(loaded.style, options) for options in loaded.options]
    assert loaded.labels.tolist() == modes
    assert len(set(modes)) == 24


@needs_extra
def test_labels_can_be_read_off_the_images(loaded):
    """Linear classifiers of hair, mouth and trait, on images that they have not seen."""
    from sklearn.linear_model import RidgeClassifier

    x = loaded.images.flatten(1).double().numpy()
    for divisor, count in ((6, 4), (2, 3), (1, 2)):
        kinds = (loaded.labels // divisor % count).numpy()
        right = RidgeClassifier(1.0).fit(x[:200], kinds[:200]).score(x[200:], kinds[200:])
        assert right >= 0.9


@needs_extra
def test_backgrounds_and_skins_have_the_colours_of_their_factors(loaded):
    corners = loaded.images[:, :, 0, [0, -1]]
    wanted = BACKGROUNDS[loaded.factors.background].unsqueeze(2)
    torch.testing.assert_close(corners, wanted.expand_as(corners))
    skin = SKINS[loaded.factors.skin]
    if loaded.style == "toon-head":
        same = ((loaded.images - skin.view(-1, 3, 1, 1)).abs() < 1e-3).all(1).sum((1, 2))
        assert int(same.min()) > 20
    # The other two lay something translucent on their faces.
    seen = loaded.images[:, :, 12:22, 11:21].flatten(2).median(2).values
    assert float(torch.corrcoef(torch.stack([seen.sum(1), skin.sum(1)]))[0, 1]) > 0.9


@needs_extra
def test_attributes_are_independent_and_all_levels_come(loaded):
    names = sorted({name for options in loaded.options for name in options})
    columns = {name: [options.get(name, 0) for options in loaded.options] for name in names}
    levels = {name: sorted(set(column), key=str) for name, column in columns.items()}
    assert len(levels["skinColor"]) == len(SKINS)
    assert len(levels["hairColor"]) == len(HAIRS)
    assert len(levels[STYLES[loaded.style].shirt]) == len(SHIRTS)
    varied = {
        name: np.array([levels[name].index(value) for value in column])
        for name, column in columns.items()
        if len(levels[name]) > 1 and not name.startswith("rear")
    }
    table = np.corrcoef(list(varied.values())) - np.eye(len(varied))
    # Four standard deviations of a correlation of 240 pairs.
    assert np.abs(table).max() < 4 / 240**0.5


@needs_extra
def test_edges_are_antialiased_without_bias(loaded):
    """Against a drawing at eight times 128 pixels, reduced by another library."""
    import resvg_py
    from dicebear import Avatar

    style = load_style(loaded.style)
    for image, options in zip(loaded.images[:2], loaded.options, strict=False):
        svg = Avatar(style, options).to_string()
        png = resvg_py.svg_to_bytes(svg_string=svg, width=1024, height=1024)
        large = PIL.Image.open(io.BytesIO(png))
        assert large.getchannel("A").getextrema() == (255, 255)
        small = np.asarray(large.convert("RGB").resize((32, 32), PIL.Image.Resampling.BOX)) / 255
        gap = np.abs(image.permute(1, 2, 0).numpy() - small)
        assert gap.mean() < 0.004
        assert gap.max() < 0.1


@needs_extra
@pytest.mark.parametrize("style", STYLES)
def test_every_labelled_level_looks_its_own_way_and_dicebears_seed_has_no_say(style):
    from dicebear import Avatar

    plain = draw_factors(8, torch.Generator().manual_seed(0))
    zero = {f.name: torch.zeros_like(getattr(plain, f.name)) for f in dataclasses.fields(plain)}
    levels = {
        "hair_style": torch.tensor([0, 1, 2, 3, 0, 0, 0, 0]),
        "mouth": torch.tensor([0, 0, 0, 0, 1, 2, 0, 0]),
        STYLES[style].trait.replace("smiling", "eyes"): torch.tensor([0, 0, 0, 0, 0, 0, 1, 0]),
    }
    if "eyes" in levels:
        levels["eyes"] *= 2
    factors = dataclasses.replace(plain, **zero | levels)
    # The last is the first again; what is free is made alike.
    options = list(avatar_options(STYLES[style], factors, torch.Generator().manual_seed(0)))
    free = {name for ways in STYLES[style].free for way in ways for name in way}
    alike = {name: options[0][name] for name in (*free, STYLES[style].shirt)}
    options = [one | alike for one in options]
    images = draw_avatars(style, options, 32).float().flatten(1) / 255
    assert torch.equal(images[0], images[-1])
    gaps = torch.cdist(images[:-1], images[:-1])
    assert float(gaps[~torch.eye(7, dtype=torch.bool)].min()) > 0.5
    drawing = load_style(style)
    for one in options[:3]:
        # The seed names the drawing's parts, too: two texts may differ where two pictures do not.
        first, second = (Avatar(drawing, one | {"seed": s}).to_string() for s in ("a", "other"))
        assert torch.equal(rendered(first), rendered(second))


@needs_extra
@pytest.mark.parametrize("size", [16, 64])
def test_other_sizes_are_the_same_drawing(home, size):
    drawn = [Avatars(size=s, **FEW).load() for s in (size, 32)]
    small, large = sorted(map(images_of, drawn), key=lambda images: images.shape[-1])
    halved = torch.nn.functional.avg_pool2d(large, 2)
    # Up to rounding to 8 bits, twice.
    assert float((small - halved).abs().max()) < 1.01 / 255


@needs_extra
def test_the_seed_fixes_everything(home):
    first, again = (Avatars(**FEW).load() for _ in range(2))
    others = [Avatars(**FEW | new).load() for new in ({"seed": 1}, {"style": "pixel-art"})]
    assert first.sha256 == again.sha256
    assert torch.equal(images_of(first), images_of(again))
    assert len({data.sha256 for data in (first, *others)}) == 3
    assert [data.variant for data in (first, *others)] == [
        "32-train4-validation2-test2",
        "32-train4-validation2-test2-seed1",
        "32-train4-validation2-test2-stylepixel-art",
    ]
    assert first.classes == 4
    hair = Avatars(**FEW).drawn()[0].hair_style
    assert torch.equal(torch.cat([first.train.labels, first.validation.labels]), hair[:6])


@needs_extra
def test_styles_are_credited_as_their_own_files_say():
    text = " ".join((Avatars.__doc__ or "").split())
    for name in STYLES:
        meta = load_style(name).meta()
        assert meta.license().name() in text
        assert (
            f"{meta.source().name().removesuffix(' by Draftbit')} by {meta.creator().name()}"
            in text
        )
        assert name in text


# ------------------------------------------------------------------------------------------- cache
@needs_extra
def test_avatars_are_drawn_once(own_home, monkeypatch):
    drawn = Avatars(**FEW).load()
    file = file_of("toon-head", Avatars(**FEW).drawn()[1], 32)
    assert file.parent == own_home / "avatars"
    assert {f.suffix for f in file.parent.iterdir()} - {".lock"} == {".safetensors"}
    monkeypatch.setattr(avatars, "draw_avatars", None)
    assert torch.equal(images_of(Avatars(**FEW).load()), images_of(drawn))


@needs_extra
@pytest.mark.parametrize("content", [b"no safetensors", "other"])
def test_a_broken_file_is_drawn_anew(own_home, content):
    options = Avatars(**FEW).drawn()[1]
    file = file_of("toon-head", options, 32)
    if content == "other":
        Avatars(size=16, **FEW).load()
        file_of("toon-head", options, 16).rename(file)
    else:
        file.parent.mkdir()
        file.write_bytes(content)
    whole = images_of(Avatars(**FEW).load())
    assert whole.shape == (8, 3, 32, 32)
    assert torch.equal((whole * 255).round().byte(), draw_avatars("toon-head", options, 32))
    assert file.stat().st_size > 8 * 3 * 32 * 32


@needs_extra
def test_where_nothing_can_be_written_they_are_drawn_each_time(own_home):
    (own_home / "avatars").write_text("no folder")
    with pytest.warns(UserWarning, match="the set of avatars is not kept"):
        assert len(Avatars(**FEW).load().train) == 4


def test_files_are_named_by_all_that_makes_the_pixels(monkeypatch, own_home):
    versions = dict.fromkeys(avatars.PACKAGES, "1")
    monkeypatch.setattr(avatars.importlib.metadata, "version", versions.__getitem__)
    options = Avatars(**FEW).drawn()[1]
    names = {file_of("toon-head", options, 32), file_of("toon-head", options, 32)}
    assert len(names) == 1
    names |= {file_of("personas", options, 32), file_of("toon-head", options, 16)}
    names.add(file_of("toon-head", options[::-1], 32))
    for package in versions:
        with monkeypatch.context() as patch:
            patch.setitem(versions, package, "2")
            names.add(file_of("toon-head", options, 32))
    monkeypatch.setattr(avatars, "VERSION", 1000)
    names.add(file_of("toon-head", options, 32))
    assert len(names) == 8


# --------------------------------------------------------------------------------- what is refused
@pytest.mark.parametrize("dataset", [Avatars, ShadedToAvatars])
@pytest.mark.parametrize("missing", [["dicebear"], ["dicebear_styles", "resvg_py"]])
def test_without_the_extra_the_message_says_how_to_get_it(dataset, missing, monkeypatch, own_home):
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UsageError, match=r"pip install 'otbench-suite\[avatars\]'$") as caught:
        dataset(**FEW).load()
    assert all(name in str(caught.value) for name in missing)
    assert caught.value.exit_code == 2


def test_nothing_of_the_extra_is_imported_before_it_is_needed():
    code = (
        "import sys; "
        "from otbench_datasets.image_pairs.shaded_to_avatars import ShadedToAvatars as S; "
        "S().target(size=32).drawn(); "
        "print([n for n in ('dicebear', 'dicebear_styles', 'resvg_py') if sys.modules.get(n)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("dataset", [Avatars, ShadedToAvatars])
@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"size": 48}, "size must be one of 16, 32, 64, got 48"),
        ({"style": "avataaars"}, "style must be one of toon-head, personas, pixel-art, got 'ava"),
        ({"train": 0}, "train must be at least 1"),
    ],
)
def test_what_cannot_be_drawn_is_refused(dataset, parameters, message):
    with pytest.raises(UsageError, match=f"{dataset.name}:? {message}"):
        dataset(**parameters)


# -------------------------------------------------------------------------------------------- pair
def test_traits_make_modes_of_their_own():
    drawn = draw_factors(3000, torch.Generator().manual_seed(1))
    closed = drawn.eyes == 2
    assert EYES[2] == "smiling"
    assert torch.equal(drawn.smiling.bool(), closed)
    for trait, there in (("glasses", drawn.glasses.bool()), ("smiling", closed)):
        modes = drawn.modes(trait)
        assert sorted(modes.unique().tolist()) == list(range(24))
        assert torch.equal(modes % 2 == 1, there)
        assert torch.equal(modes // 6, drawn.hair_style)
        assert torch.equal(modes // 2 % 3, drawn.mouth)


@needs_extra
@pytest.mark.parametrize(("style", "size"), [("toon-head", 16), ("personas", 32)])
def test_a_pair_has_the_same_kinds_on_both_sides(home, style, size):
    pair = ShadedToAvatars(size=size, style=style, seed=3, **FEW).load()
    assert (pair.image_shape, pair.classes) == ((3, size, size), 24)
    target = Avatars(size=size, style=style, seed=7, labels="mode", **FEW).load()
    assert pair.target_images.sha256 == target.sha256
    source = shaded_faces(8, size, 6)
    assert torch.equal(images_of(pair.source_images), source.images)
    trait = "smiling" if style == "toon-head" else "glasses"
    labels = [part.labels for part in (pair.source_images.train, pair.source_images.test)]
    modes = source.factors.modes(trait)
    assert torch.equal(torch.cat(labels), torch.cat([modes[:4], modes[-2:]]))
    assert torch.equal(pair.colour_masks, source.face[-2:])
    tail = "" if style == "toon-head" else f"-style{style}"
    assert pair.variant == f"{size}-train4-validation2-test2-seed3{tail}"


def test_sizes_by_default():
    for cls in (Avatars, ShadedToAvatars):
        plain = cls()
        assert (plain.size, plain.style) == (32, "toon-head")
        assert (plain.train, plain.validation, plain.test) == (5_000, 1_000, 1_000)
