"""A damaged model is never loaded, and an edited one is a model or an error with a sentence."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file

from otbench.conformance import TinyPair
from otbench.errors import ModelError
from otbench.interface import FitContext, saving
from otbench.interface.saving import SETTINGS, WEIGHTS
from otbench.interface.training import Budget
from otbench.plugins.registry import Registry
from tests.fuzzing import QUICKLY, edited, ours_or_nothing, spoilt

LINEAR = Registry("methods").get("linear").load()


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    method = LINEAR()
    method.fit(TinyPair(), FitContext(Budget(2, 16)))
    method.save(folder)
    return folder


@QUICKLY
@given(data=st.data())
def test_a_spoilt_file_is_noticed(
    data: st.DataObject, saved: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("spoilt") / "model"
    shutil.copytree(saved, folder)
    file = folder / data.draw(st.sampled_from([SETTINGS, WEIGHTS]))
    before = file.read_bytes()
    file.write_bytes(data.draw(spoilt(before)))
    x = torch.ones(3, 2)
    with ours_or_nothing():
        # The same content, such as another space between two words of JSON.
        assert torch.equal(LINEAR.load(folder).push(x), LINEAR.load(saved).push(x))


@QUICKLY
@given(data=st.data())
def test_an_edited_model_with_the_right_digest_is_one_or_a_sentence(
    data: st.DataObject, saved: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("edited")
    content: Any = data.draw(edited(json.loads((saved / SETTINGS).read_text())))
    weights = saving.load_file(saved / WEIGHTS)
    for name in list(weights):
        weights[data.draw(st.sampled_from([name, "push", "x_", "_.", ""]))] = data.draw(
            st.sampled_from(
                [weights[name], torch.zeros(0), torch.zeros(2, 3, dtype=torch.int8), torch.ones(())]
            )
        )
    save_file({n: w.clone() for n, w in weights.items()}, folder / WEIGHTS)
    if isinstance(content, dict) and content.pop("sha256", None):
        content["sha256"] = saving._digest(content, folder / WEIGHTS)
    (folder / SETTINGS).write_text(json.dumps(content))
    with ours_or_nothing():
        assert callable(LINEAR.load(folder).push)


def test_what_is_no_file_is_named(saved: Path, tmp_path: Path) -> None:
    for name in (SETTINGS, WEIGHTS):
        folder = tmp_path / f"of {name}"
        shutil.copytree(saved, folder)
        (folder / name).unlink()
        os.mkfifo(folder / name)
        with pytest.raises(ModelError, match=name):
            LINEAR.load(folder)
    folder = tmp_path / "giant"
    shutil.copytree(saved, folder)
    with (folder / SETTINGS).open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(ModelError, match="larger than"):
        LINEAR.load(folder)


def test_a_model_of_another_method_is_no_model(saved: Path) -> None:
    with pytest.raises(ModelError, match="holds a model of 'Linear', not of Discrete"):
        Registry("methods").get("discrete").load().load(saved)
