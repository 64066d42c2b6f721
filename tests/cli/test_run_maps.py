"""``otbench run`` on pairs: errors over seconds, and pairs that are not what they should be."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from otbench import load_results
from otbench.results.cell import read_json
from tests.cli.conftest import Command

PLUGIN = Path(__file__).parent / "measure_pairs.py"
STEPS = 500


def records(out: Path) -> dict[str, dict[str, Any]]:
    found = [read_json(file) for file in out.glob("cells/*/*/record.json")]
    return {record["cell"]["method"]: record for record in found}


def test_a_training_that_is_followed_has_a_curve_that_stays(
    otbench: Command, tmp_path: Path
) -> None:
    out = tmp_path / "results"
    methods = ("follower", "follower[lost=true]")
    command = (
        "run", "--plugin", PLUGIN, "--dataset", "doubled-pair", "--methods", *methods,
        "--preset", "smoke", "--steps", str(STEPS), "--out", out,
    )  # fmt: skip
    first = otbench(*command)
    assert first.code == 1
    cells = records(out)
    curve = cells["follower"]["curve"]
    assert curve[0]["step"] == 1
    assert curve[-1]["step"] == STEPS
    assert curve[-1]["uvp"] == pytest.approx(0, abs=1e-6)
    assert all(a["seconds"] <= b["seconds"] for a, b in itertools.pairwise(curve))
    assert all(a["uvp"] > b["uvp"] for a, b in itertools.pairwise(curve))
    assert curve[-1]["seconds"] == pytest.approx(cells["follower"]["fit_seconds"], abs=2e-3)
    # what was seen before the end in an error is kept
    assert len(cells["follower[lost=true]"]["curve"]) >= len(curve) - 1
    board = pd.read_csv(out / "leaderboard-doubled-pair-smoke.csv").set_index("method")
    assert board.loc["follower[lost=true]", ["diverged", "status"]].tolist() == [1, "failed"]
    assert board.loc["follower", "diverged"] == 0
    for kind in ("curve", "transport"):
        assert (out / f"{kind}-doubled-pair.png").stat().st_size > 5000
    assert not (out / "grid-doubled-pair.png").exists()
    assert "follower[lost=true]: diverged in 100% of its seeds" in first.out

    more = otbench(
        *command[:6], "follower", "--preset", "smoke", "--steps", str(STEPS), "--out", out,
        "--metrics", "time-to-uvp[percent=10]", "--rescore",
    )  # fmt: skip
    assert more.code == 0, more.err
    again = records(out)["follower"]
    assert again["curve"] == curve
    assert again["fit_seconds"] == cells["follower"]["fit_seconds"]
    results = load_results(out)
    row = results[
        (results["method"] == "follower") & results["metric"].eq("time_to_uvp[percent=10]")
    ]
    wanted = next(point["seconds"] for point in curve if point["uvp"] <= 10)
    assert row["value"].tolist() == [wanted]


def checkpoints(folder: Path, dimension: int, negative: bool) -> None:
    """Write two potentials of dimension 8, one of them perhaps not what it should be."""
    generator = torch.Generator().manual_seed(0)
    for k, size in ((1, 8), (2, dimension)):
        state = {
            "quadratic_layers.0.quadratic_decomposed": torch.randn(size, 1, 5, generator=generator),
            "quadratic_layers.0.weight": torch.randn(5, size, generator=generator),
            "quadratic_layers.0.bias": torch.zeros(5),
            "final_layer.weight": torch.ones(1, 5) * (-1.0 if negative and k == 2 else 1.0),
        }
        torch.save(state, folder / f"8_v{k}.pt")


LOPSIDED = "lopsided: the data set's target returned shape (64, 3), wanted (64, 2)"
OTHERS = {
    "undefined-pair": "undefined: the data set's source returned",
    "shape": "8_v2.pt: quadratic_layers.0.quadratic_decomposed has shape (4, 1, 5), in 8 dim",
    "convex": "8_v2.pt: final_layer.weight holds negative weights (least -1)",
    "digest": "2_v1.pt is not the release's file: its sha256 is",
}


@pytest.mark.parametrize(
    ("dataset", "message"),
    [
        ("lopsided-pair", LOPSIDED),
        # Each is tested below the command, too, where it costs no process.
        *(pytest.param(*case, marks=pytest.mark.slow) for case in OTHERS.items()),
    ],
)
def test_a_pair_that_is_not_what_it_should_be_ends_the_run(
    otbench: Command, tmp_path: Path, dataset: str, message: str
) -> None:
    if dataset in ("shape", "convex", "digest"):
        checkpoints(tmp_path, 4 if dataset == "shape" else 8, dataset == "convex")
        if dataset == "digest":
            for k in (1, 2):
                (tmp_path / f"8_v{k}.pt").rename(tmp_path / f"2_v{k}.pt")
        dataset = f"w2-hd[dim={2 if dataset == 'digest' else 8},folder={tmp_path}]"
    finished = otbench(
        "run", "--plugin", PLUGIN, "--dataset", dataset, "--methods", "linear",
        "--preset", "smoke", "--out", tmp_path / "results",
    )  # fmt: skip
    assert finished.code == 3
    assert message in finished.err.replace("\n", " ")
    assert "Traceback" not in finished.err
    assert not list((tmp_path / "results").glob("cells/*/*/record.json"))
