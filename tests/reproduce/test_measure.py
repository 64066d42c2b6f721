from __future__ import annotations

from itertools import count
from pathlib import Path

import numpy as np
import pytest

from otbench.reproduce.declaration import Quantity, parse_paper
from otbench.reproduce.index import write_index
from otbench.reproduce.measure import Measured, _add, measured
from otbench.reproduce.report import last_verdicts, present
from otbench.reproduce.verdict import judge
from otbench.results.cell import write_json
from otbench.run.runner import Outcome

TEXT = """
paper = "Somebody 2020"
[fig1]
title = "A figure"
note = "drawn anew"
methods = { ours = "path-energy", baseline = "ae" }
runs = [
  { name = "digits", dataset = "mnist", x = 10.0 },
  { name = "more", dataset = "mnist", x = 100.0 },
]
quantities = { accuracy = "classification/probe-acc", seconds = "cell/fit_seconds" }
picture = { kind = "dots", quantities = ["accuracy"] }
[[fig1.claims]]
says = "ours is classified better"
check = "digits.accuracy.ours > digits.accuracy.baseline"
[[fig1.claims]]
says = "ours is quicker"
check = "digits.seconds.ours < digits.seconds.baseline"
[[fig1.claims]]
says = "more is better"
check = "more.accuracy.ours > 0"
"""


NUMBERS = count()


class FakeCell:
    dataset, parameters = "mnist[binarize=true]", {"balanced": False, "boundary": "noflux"}

    def __init__(self, method, seed):
        self.method, self.seed = method, seed
        self.key = f"cell {next(NUMBERS)}"


class FakeJob:
    """A cell that has run: what it left is all that counts."""

    def __init__(self, folder, method, seed, value, seconds):
        self.cell, self.folder = FakeCell(method, seed), folder
        row = {"task": "classification", "text": "probe-acc", "metric": "probe_acc[logistic]"}
        row |= {"direction": "higher", "value": value, "stderr": 0.01, "reason": None}
        self.content = {"rows": [row], "fit_seconds": seconds, "reason": None, "status": "ok"}


@pytest.fixture
def one():
    return parse_paper("somebody2020", TEXT)["somebody2020/fig1"]


@pytest.fixture
def outcome(tmp_path):
    def jobs(method, values, seconds):
        return [FakeJob(tmp_path, method, seed, v, seconds) for seed, v in enumerate(values)]

    asked = {
        5: jobs("path-energy[alpha=2]", [0.90, 0.92, 0.97], 3.0),
        6: jobs("ae", [0.91, 0.90, 0.92], 4.0),
    }
    rejected = [{"sweep": 7, "reason": "importing it ends the process"}]
    jobs = [*asked[5], *asked[6]]
    return Outcome(jobs, asked, 0, rejected, {job.cell.key: job.content for job in jobs})


def find(numbers, *address):
    return next(number for number in numbers if number.address == address)


def test_numbers_are_collected_by_seed_with_what_the_paper_prints(one, outcome):
    numbers = measured(one, outcome, 5)
    ours = find(numbers, "digits", "accuracy", "ours")
    assert ours.values == {0: 0.90, 1: 0.92, 2: 0.97}
    assert ours.mean == pytest.approx(0.93)
    assert ours.std == pytest.approx(np.std([0.90, 0.92, 0.97], ddof=1))
    assert (ours.metric, ours.direction) == ("probe_acc[logistic]", "higher")
    assert (ours.published, ours.source) == (0.97, "Feng & Strohmer 2024, Table 1")
    assert find(numbers, "digits", "seconds", "baseline").values == {0: 4.0, 1: 4.0, 2: 4.0}


def test_a_missing_number_has_a_reason(one, outcome):
    numbers = measured(one, outcome, 5)
    assert find(numbers, "more", "accuracy", "ours").reason == "importing it ends the process"
    assert find(numbers, "more", "accuracy", "baseline").reason == "it was not measured"


def test_what_is_written(one, outcome, tmp_path, capsys):
    result = present(one, outcome, 5, tmp_path, "quick")
    result.print()
    shown = capsys.readouterr().out
    assert "probe_acc[logistic]" in shown
    assert "0.9300 ±0.0896" in shown
    assert "paper 0.9700" in shown
    assert "TOO FEW SEEDS" in shown
    assert "note: drawn anew" in shown
    assert [path.suffix for path in result.written] == [".png", ".csv", ".json"]
    assert all(path.stat().st_size > 0 for path in result.written)
    assert last_verdicts(one, tmp_path) == "quick: 2 too few seeds, 1 not measured"
    assert last_verdicts(one, tmp_path / "elsewhere") == ""


@pytest.mark.parametrize(
    ("kind", "quantities"), [("curves", '["accuracy"]'), ("paths", '["accuracy"]')]
)
def test_pictures_of_each_kind(outcome, tmp_path, kind, quantities):
    text = TEXT.replace('kind = "dots"', f'kind = "{kind}"')
    one = parse_paper("somebody2020", text)["somebody2020/fig1"]
    frames = np.zeros((2, 5, 3, 32, 32), np.uint8)
    np.savez(tmp_path / "gallery.npz", paths=frames)
    result = present(one, outcome, 5, tmp_path, "quick")
    assert result.written[0].name == "somebody2020-fig1.png"
    assert result.written[0].stat().st_size > 1000


def test_reconstructions_stand_below_their_images(outcome, tmp_path):
    text = TEXT.replace('kind = "dots"', 'kind = "images"')
    one = parse_paper("somebody2020", text)["somebody2020/fig1"]
    without = present(one, outcome, 5, tmp_path, "quick")
    assert [path.suffix for path in without.written] == [".csv", ".json"]
    stack = np.zeros((8, 3, 32, 32), np.uint8)
    np.savez(tmp_path / "gallery.npz", images=stack, reconstructions=stack)
    from PIL import Image

    with Image.open(present(one, outcome, 5, tmp_path, "quick").written[0]) as both:
        height = both.height
    np.savez(tmp_path / "gallery.npz", reconstructions=stack)
    with Image.open(present(one, outcome, 5, tmp_path, "quick").written[0]) as bare:
        assert height > bare.height + 100, "the data have a row of their own"


def test_barycentres_are_drawn_where_there_are_some(outcome, tmp_path):
    text = TEXT.replace('kind = "dots"', 'kind = "barycenters"')
    one = parse_paper("somebody2020", text)["somebody2020/fig1"]
    without = present(one, outcome, 5, tmp_path, "quick")
    assert [path.suffix for path in without.written] == [".csv", ".json"]
    np.savez(tmp_path / "gallery.npz", barycenters=np.zeros((36, 1, 32, 32), np.uint8))
    assert present(one, outcome, 5, tmp_path, "quick").written[0].suffix == ".png"


def test_a_broken_verdict_file_is_passed_over(one, tmp_path):
    path = Path(tmp_path, "reproduce", "somebody2020-fig1.json")
    path.parent.mkdir()
    path.write_text("{")
    assert last_verdicts(one, tmp_path) == ""
    write_json(path, {"preset": "quick", "verdicts": []})
    assert last_verdicts(one, tmp_path) == "quick: "


def test_the_index_gathers_all_reproductions(outcome, tmp_path):
    for part in ("fig10", "fig9"):
        made = parse_paper("somebody2020", TEXT.replace("fig1", part))
        present(made[f"somebody2020/{part}"], outcome, 5, tmp_path, "quick")
    page = write_index(tmp_path / "reproduce").read_text()
    assert page.index("## somebody2020/fig9") < page.index("## somebody2020/fig10")
    assert "4 too few seeds, 2 not measured" in page
    assert "| ours is quicker | **too few seeds** |" in page
    assert "![somebody2020/fig9](somebody2020-fig9.png)" in page


@pytest.mark.parametrize("kind", ["transport", "grid", "levels", "flows", "curve"])
def test_pictures_of_maps(outcome, tmp_path, kind):
    text = TEXT.replace('kind = "dots"', f'kind = "{kind}"')
    one = parse_paper("somebody2020", text)["somebody2020/fig1"]
    without = present(one, outcome, 5, tmp_path, "quick")
    assert [path.suffix for path in without.written] == [".csv", ".json"]
    axis = np.linspace(-1, 1, 9, dtype=np.float32)
    grid = np.stack(np.meshgrid(axis, axis), 2)
    cloud = grid.reshape(-1, 2)
    arrays = {"source": cloud, "target": cloud + 1, "pushed": 2 * cloud, "grid": grid}
    arrays |= {"warped": 2 * grid, "potential": (grid**2).sum(2)}
    np.savez(tmp_path / "gallery.npz", **arrays)
    for job in outcome.jobs:
        job.content["curve"] = [{"seconds": s, "uvp": 50 / s} for s in (1.0, 10.0)]
    picture = present(one, outcome, 5, tmp_path, "quick").written[0]
    assert picture.suffix == ".png"
    assert picture.stat().st_size > 5000


def test_a_cell_that_failed_has_diverged_and_claims_can_say_so(tmp_path):
    text = """
paper = "Somebody 2020"
[fig1]
title = "A figure"
methods = { shaky = "w2-amortized", steady = "enot", late = "linear" }
runs = [{ name = "pair", dataset = "gaussian" }]
quantities = { off = "cell/diverged" }
picture = { kind = "dots", quantities = ["off"] }
[[fig1.claims]]
says = "one does not train, the other does"
check = "pair.off.shaky > 0.5 and pair.off.steady <= 0"
"""
    one = parse_paper("somebody2020", text)["somebody2020/fig1"]

    def job(seed, status, uvp=None):
        made = FakeJob(tmp_path, "w2-amortized", seed, 0.0, 1.0)
        row = {"task": "transport", "metric": "uvp[forward]", "status": "ok", "value": uvp}
        cell = dict.fromkeys(
            (
                "track",
                "dataset",
                "variant",
                "preset",
                "code_sha256",
                "data_sha256",
                "steps",
                "device",
                "threads",
            ),
            "",
        )
        cell |= {"code_sha256": "", "data_sha256": ""}
        plugin = {"file": None, "distribution": "d", "version": "1"}
        made.content = {
            "key": "k", "group": "g", "reference": False, "provenance": {},
            "status": status, "reason": status,
            "cell": cell | {"method": "m", "seed": seed, "parameters": {}, "plugin": plugin},
            "rows": [] if uvp is None else [row],
        }  # fmt: skip
        made.content |= dict.fromkeys(
            ("fit_seconds", "score_seconds", "peak_rss_mb", "started_at"), None
        )
        return made

    asked = {
        0: [job(0, "failed"), job(1, "ok", 300.0)],
        1: [job(0, "ok", 2.0), job(1, "ok", 3.0)],
        2: [job(0, "timeout")],
    }
    found = {job.cell.key: job.content for jobs in asked.values() for job in jobs}
    numbers = measured(one, Outcome([], asked, 0, found=found), 0)
    assert find(numbers, "pair", "off", "shaky").values == {0: 1.0, 1: 1.0}
    assert find(numbers, "pair", "off", "steady").values == {0: 0.0, 1: 0.0}
    assert find(numbers, "pair", "off", "late").reason == "timeout"
    verdict = judge(one.claims[0], numbers)
    assert verdict.status == "too few seeds"
    assert "true for the mean of 2 seeds" in verdict.detail


def test_what_a_lost_training_scored_is_no_value(tmp_path):
    """The metric that says whether a map collapsed is of use where one did."""
    record = {
        "status": "collapsed", "reason": "two images", "reference": False,
        "rows": [
            {"task": "t", "text": text, "metric": text, "value": 1.0, "direction": "lower"}
            for text in ("fid[lenet]", "collapse")
        ],
    }  # fmt: skip
    job = FakeJob(tmp_path, "not-unet", 3, 0.0, 1.0)
    distance, collapse = (Measured("r", name, "m", name) for name in ("fid[lenet]", "collapse"))
    for one in (distance, collapse):
        _add(one, Quantity(one.quantity, "t", one.metric), job, record)
    assert (distance.values, distance.void) == ({}, {3: "collapsed: two images"})
    assert (collapse.values, collapse.void) == ({3: 1.0}, {})
