"""``otbench run`` on pairs of image sets: trained, watched, scored and drawn; and wrong folders."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from otbench.results.cell import read_json
from tests.cli.conftest import Command

FACES = "shaded-to-cartoon[size=16,train=200,validation=40,test=40]"
METHOD = "not-unet[batch=4,width=4,scales=1,potential_width=4,potential_widest=4,inner_steps=1]"


def test_images_are_carried_watched_scored_and_drawn(otbench: Command, tmp_path: Path) -> None:
    out = tmp_path / "results"
    command = ("run", "--methods", "identity", METHOD, "--dataset", FACES, "--preset", "smoke")
    done = otbench(*command, "--steps", "40", "--out", out)
    assert done.code == 0, done.err
    cells = {
        record["cell"]["method"].partition("[")[0]: record
        for file in out.glob("cells/*/*/record.json")
        for record in [read_json(file)]
    }
    assert set(cells) == {"identity", "not-unet"}
    assert [point["step"] for point in cells["not-unet"]["curve"]] == [10, 20, 30, 40]
    assert {"coverage", "pairwise"} <= set(cells["not-unet"]["curve"][-1])
    assert not cells["identity"]["curve"]
    (board,) = (pd.read_csv(file) for file in out.glob("leaderboard-*.csv"))
    still = board.set_index("method").loc["identity"]
    assert still["translation/domain_fd"] == pytest.approx(still["translation/domain_fd[identity]"])
    assert still["translation/domain_fd"] > 2 * still["translation/domain_fd[floor]"]
    assert still["translation/colour_r2"] == pytest.approx(1)
    assert still["translation/translation_cost[ratio,n=1000]"] == 0
    pictures = {path.name.partition("-")[0] for path in out.glob("*.png")}
    assert pictures == {"translation", "collapse"}


def test_methods_for_images_and_tasks_for_points_say_so(otbench: Command, tmp_path: Path) -> None:
    done = otbench(
        "run", "--methods", "not-unet", "ae", "--dataset", "gaussian", "--preset", "smoke",
        "--out", tmp_path,
    )  # fmt: skip
    assert done.code == 3
    assert "not-unet: skipped: needs a pair of image sets" in done.out


def test_wrong_folders_are_named(otbench: Command, tmp_path: Path) -> None:
    def run(dataset: str) -> str:
        done = otbench("run", "--methods", "identity", "--dataset", dataset, "--out", tmp_path)
        assert done.code in (2, 3)
        return done.err

    assert "name both folders" in run("celeba-cartoonset")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "contains no image" in run(f"folder-pair[source={empty},target={empty}]")
