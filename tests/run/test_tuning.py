"""Tuning on validation data: what is proposed, logged, resumed, chosen and refused."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from torch import Tensor

from otbench.cli.main import main
from otbench.conformance import TinyPair, tiny_images
from otbench.errors import UsageError
from otbench.interface import (
    Autoencoder,
    Diverged,
    FitContext,
    ImageDataset,
    MethodCard,
    Search,
    Split,
    parameter,
)
from otbench.interface.parameters import search_space
from otbench.plugins.registry import Registry
from otbench.presets import Sizes, get_preset
from otbench.run.tuning import (
    FIRST_SEED,
    Objective,
    Setting,
    best_of,
    read_log,
    tune,
    validation_of,
)

DIMMED = """
from dataclasses import dataclass
import torch
from otbench.interface import Autoencoder, MethodCard, Search, parameter

@dataclass
class Dimmed(Autoencoder):
    factor: float = parameter(0.5, "brightness", low=0, search=Search(0.1, 1.0, log=True))
    offset: int = parameter(0, "no effect", search=Search(choices=(0, 1)))
    card = MethodCard("Dimmed images", "nobody")

    def fit(self, data, ctx):
        self.shape_ = tuple(data.image_shape)
        ctx.progress(ctx.budget.steps - 1, loss=1.0)

    def encode(self, x):
        return x.flatten(1)

    def decode(self, z):
        return self.factor * z.unflatten(1, tuple(self.shape_))
"""


@dataclass
class Dimmed(Autoencoder):
    """Draws its input darker: best at factor 1. It remembers what it was fitted with."""

    factor: float = parameter(0.5, "brightness", low=0, search=Search(0.1, 1.0, log=True))
    card = MethodCard("Dimmed images", "nobody")

    def fit(self, data: ImageDataset, ctx: FitContext) -> None:
        SEEN.append((ctx.seed, len(data.train), len(data.test)))
        self.shape_ = data.image_shape
        if self.factor > 0.98:
            raise Diverged("loss 'loss' became nan at step 3")
        ctx.progress(ctx.budget.steps - 1, loss=1.0)

    def encode(self, x: Tensor) -> Tensor:
        return x.flatten(1)

    def decode(self, z: Tensor) -> Tensor:
        return self.factor * z.unflatten(1, self.shape_)


SEEN: list[tuple[int, int, int]] = []
DATA = tiny_images((32, 24, 16))
PRESET = replace(get_preset("smoke"), sizes=Sizes(pairs=2, midpoints=16, frames=3))
SETTING = Setting(
    method="dimmed",
    dataset="blobs",
    preset="smoke",
    space=search_space(Dimmed),
    fixed={},
    defaults={"factor": 0.5},
    steps=8,
    batch_size=16,
    seeds=(FIRST_SEED, FIRST_SEED + 1),
    objective=Objective(("reconstruction/mse",), "lower"),
    code_sha256="c",
    data_sha256="d",
    device="cpu",
    threads=1,
    libraries={},
)


def make(values: dict[str, Any]) -> Dimmed:
    return Dimmed(**values)


def tuned(file: Path, trials: int, setting: Setting = SETTING) -> list[Any]:
    return tune(setting, make, validation_of(DATA), PRESET, trials, file)


def test_trials_are_scored_on_validation_images_with_seeds_of_their_own(tmp_path: Path) -> None:
    SEEN.clear()
    first, *others = tuned(tmp_path / "log.json", 3)
    assert {seed for seed, _, _ in SEEN} == {FIRST_SEED, FIRST_SEED + 1}
    assert {(train, test) for _, train, test in SEEN} == {(32, 24)}, "24 are the validation images"
    assert first.parameters == {"factor": 0.5}, "the defaults are a trial like any other"
    wanted = float(((1 - 0.5) * DATA.validation.images).square().mean())
    assert first.value == pytest.approx(wanted, rel=1e-5)
    assert all(0.1 <= trial.parameters["factor"] <= 1 for trial in others)
    assert len({trial.parameters["factor"] for trial in others}) == 2


def test_a_run_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole = tuned(tmp_path / "whole.json", 3)
    tuned(tmp_path / "parts.json", 1)
    tuned(tmp_path / "parts.json", 2)
    SEEN.clear()
    parts = tuned(tmp_path / "parts.json", 3)
    assert len(SEEN) == 2, "only the third trial was run"
    assert [trial.parameters for trial in parts] == [trial.parameters for trial in whole]
    assert [trial.values for trial in parts] == [trial.values for trial in whole]
    assert read_log(tmp_path / "parts.json", SETTING) == parts


def test_the_estimator_finds_the_better_end(tmp_path: Path) -> None:
    trials = tuned(tmp_path / "log.json", 25)
    best = best_of(trials, "lower")
    assert best is not None
    assert best.parameters["factor"] > 0.85
    later = sum(trial.parameters["factor"] for trial in trials[15:]) / 10
    assert later > 0.6, "a uniform draw on the logarithm averages .39"


def test_a_lost_trial_is_logged_and_is_never_the_best(tmp_path: Path) -> None:
    setting = replace(SETTING, defaults={"factor": 0.99})
    lost, *others = tuned(tmp_path / "log.json", 3, setting)
    assert (lost.status, lost.value) == ("diverged", None)
    assert "became nan" in lost.reason
    best = best_of([lost, *others], "lower")
    assert best in others
    assert best_of([lost], "lower") is None


def test_a_collapsed_training_is_lost(tmp_path: Path) -> None:
    setting = replace(SETTING, steps=100, defaults={"factor": 0.1})
    (trial,) = tuned(tmp_path / "log.json", 1, setting)
    assert (trial.status, trial.value) == ("collapsed", None)
    assert "of the data's variance" in trial.reason


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"steps": 9}, "steps"),
        ({"code_sha256": "other"}, "code_sha256"),
        ({"space": {"factor": Search(0.2, 1.0)}}, "space"),
        ({"objective": Objective(("reconstruction/psnr",), "higher")}, "objective"),
        ({"seeds": (FIRST_SEED,), "device": "cuda"}, "device, seeds"),
    ],
)
def test_a_log_of_another_setting_is_not_gone_on_from(
    change: dict[str, Any], named: str, tmp_path: Path
) -> None:
    file = tmp_path / "log.json"
    tuned(file, 1)
    before = file.read_bytes()
    with pytest.raises(UsageError, match=f"written with other {named}; move it away"):
        tuned(file, 2, replace(SETTING, **change))
    assert file.read_bytes() == before


def test_a_broken_log_is_named_and_kept(tmp_path: Path) -> None:
    file = tmp_path / "log.json"
    file.write_text("[]")
    with pytest.raises(UsageError, match=r"log.json is no log of a tuning"):
        tuned(file, 1)
    assert file.read_text() == "[]"


def test_data_without_validation_images_are_refused() -> None:
    empty = Split(torch.zeros(0, 1, 32, 32), torch.zeros(0, dtype=torch.long))
    with pytest.raises(UsageError, match="blobs has no validation images"):
        validation_of(replace(DATA, validation=empty))
    with pytest.raises(UsageError, match="gaussians is a pair of distributions"):
        validation_of(TinyPair())  # type: ignore[arg-type]


def test_searches_that_cannot_be() -> None:
    for content in ({}, {"low": 1.0}, {"low": 2.0, "high": 1.0}, {"choices": (1,)}):
        with pytest.raises(ValueError, match="search"):
            Search(**content)
    with pytest.raises(ValueError, match="low > 0"):
        Search(0.0, 1.0, log=True)

    @dataclass
    class Wrong(Dimmed):
        factor: float = parameter(0.5, "brightness", low=0.2, search=Search(0.1, 1.0))

    with pytest.raises(TypeError, match=r"goes too far: factor must be at least 0\.2, got 0\.1"):
        search_space(Wrong)


def test_every_declared_search_is_allowed_and_holds_its_default() -> None:
    registry = Registry("methods")
    tuned_ones = set()
    for name in registry.names():
        cls = registry.get(name).load()
        for parameter_name, search in search_space(cls).items():
            tuned_ones.add(name)
            default = cls.__dataclass_fields__[parameter_name].default
            if search.choices:
                assert default in search.choices, (name, parameter_name)
            else:
                assert search.low <= default <= search.high, (name, parameter_name)
    assert tuned_ones >= {"ae", "vae", "acai", "path-energy", "not-ae", "w2-icnn"}


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plugin = tmp_path / "dimmed.py"
    plugin.write_text(DIMMED)
    command = [
        "tune", "dimmed", "dimmed[offset=1]", "--plugin", str(plugin), "--dataset", "digits",
        "--preset", "smoke", "--objective", "reconstruction/mse", "--out", str(tmp_path / "out"),
    ]  # fmt: skip
    assert main([*command, "--trials", "3"]) == 0
    said = capsys.readouterr()
    assert "dimmed trial 0:" in said.err
    assert "(defaults:" in said.out
    folder = tmp_path / "out" / "tuning"
    chosen = pd.read_csv(folder / "chosen.csv").set_index("method")
    assert chosen["trials"].tolist() == [3, 3]
    assert (chosen["value"] <= chosen["default_value"]).all()
    assert chosen.loc["dimmed[offset=1]", "chosen"].startswith("dimmed[offset=1,factor=")
    log = json.loads((folder / "digits-smoke-dimmed.json").read_text())
    assert set(log["setting"]["space"]) == {"factor", "offset"}
    trials = pd.read_csv(folder / "digits-smoke-dimmed.csv")
    assert trials["factor"].iloc[0] == 0.5
    assert trials["value"].min() == pytest.approx(chosen.loc["dimmed", "value"])

    assert main([*command, "--trials", "3", "--json"]) == 0
    again = capsys.readouterr()
    assert "trial" not in again.err, "all three were there"
    assert len(json.loads(again.out)) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--objective", "reconstruction/psnr"], "lagutin2022/table1 judges a claim"),
        (["--objective", "classification/probe-acc"], "judges a claim by it"),
        (["--objective", "mse"], "write TASK/METRIC"),
        (["--objective", "reconstruction/mze"], "did you mean mse"),
        (["--objective", "clustering/mse"], "it is a metric of reconstruction"),
        (["--objective", "reconstruction/mse", "--direction", "higher"], "lower is better"),
        (["--objective", "reconstruction/variance-ratio"], "add --direction"),
        (["--parameters", "rate"], "unknown parameter to tune 'rate'"),
        (["--dataset", "digits", "lines"], "unrecognized"),
        (["--dataset", "digits,lines"], "one data set"),
        (["--dataset", "gaussian-corner"], "is a scene of a few images"),
        (["--trials", "0"], "--trials wants a number of at least 1"),
    ],
)
def test_what_the_command_refuses(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["tune", "ae", "--dataset", "digits", "--trials", "2", "--out", str(tmp_path / "o")]
    try:
        code = main([*command, *arguments])
    except SystemExit as end:
        code = int(end.code or 0)
    assert code == 2
    said = capsys.readouterr().err
    assert message in said
    assert not (tmp_path / "o").exists()


def test_a_method_that_declares_nothing_to_tune(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["tune", "crossfade", "--dataset", "digits", "--trials", "2"]
    assert main([*command, "--objective", "reconstruction/mse", "--out", str(tmp_path)]) == 2
    assert "crossfade declares no parameter to tune" in capsys.readouterr().err
