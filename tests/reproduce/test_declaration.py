from __future__ import annotations

import pytest

from otbench.errors import UsageError
from otbench.plugins.parameters import instantiate
from otbench.plugins.registry import Registry
from otbench.plugins.selection import parse
from otbench.reproduce.declaration import parse_paper, reproductions, select
from otbench.reproduce.measure import OF_CELL, asked_by, sweeps_of
from otbench.results.tables import Printed, published, published_number
from otbench.scoring.score import MetricFactory

TEXT = """
paper = "Somebody 2020"
[fig1]
title = "A figure"
methods = { ours = "path-energy[balanced=true]", baseline = "ae" }
runs = [
  { name = "disc", dataset = "disc-split", seeds = 3 },
  { name = "short", dataset = "disc-split", methods = ["ours"], steps = 200, paper.steps = 7 },
]
quantities = { w2 = "geodesic/geodesic-w2[mean]", seconds = "cell/fit_seconds" }
claims = [{ says = "ours is nearer", check = "disc.w2.ours < disc.w2.baseline" }]
picture = { kind = "paths", quantities = ["w2"] }
"""


@pytest.fixture
def one():
    return parse_paper("somebody2020", TEXT)["somebody2020/fig1"]


def test_a_declaration_is_read(one):
    assert (one.paper, one.title) == ("Somebody 2020", "A figure")
    assert [run.methods for run in one.runs] == [("ours", "baseline"), ("ours",)]
    assert [(q.name, q.task, q.metric) for q in one.quantities] == [
        ("w2", "geodesic", "geodesic-w2[mean]"),
        ("seconds", OF_CELL, "fit_seconds"),
    ]


def test_one_sweep_for_each_method_of_each_run(one):
    made = sweeps_of(one, "quick", None)
    assert [(run.name, method) for run, method in asked_by(one)] == [
        ("disc", "ours"),
        ("disc", "baseline"),
        ("short", "ours"),
    ]
    assert [sweep.methods for sweep in made] == [
        ["path-energy[balanced=true]"],
        ["ae"],
        ["path-energy[balanced=true]"],
    ]
    assert [sweep.steps for sweep in made] == [None, None, 200]
    assert [len(sweep.seeds) for sweep in made] == [3, 3, 1]
    assert made[0].metrics == {"geodesic": ["geodesic-w2[mean]"]}


def test_presets_scale_steps_and_seeds(one):
    assert [sweep.steps for sweep in sweeps_of(one, "standard", None)] == [None, None, 1000]
    assert [len(sweep.seeds) for sweep in sweeps_of(one, "standard", None)] == [5, 5, 5]
    assert [len(sweep.seeds) for sweep in sweeps_of(one, "smoke", None)] == [1, 1, 1]
    assert sweeps_of(one, "paper", None)[-1].steps == 7
    assert [sweep.seeds for sweep in sweeps_of(one, "paper", 2)] == [[0, 1]] * 3


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("disc.w2.ours <", "disk.w2.ours <", "unknown run 'disk'"),
        ("disc.w2.ours <", "disc.w3.ours <", "unknown quantity 'w3'"),
        ("disc.w2.baseline", "short.w2.baseline", "unknown method 'baseline'"),
        ('methods = ["ours"]', 'methods = ["our"]', "did you mean ours"),
        ('kind = "paths"', 'kind = "path"', "did you mean paths"),
        ('quantities = ["w2"]', 'quantities = ["w22"]', "did you mean w2"),
        ('title = "A figure"', "", "title"),
        ("steps = 200", "step = 200", "step"),
        ("[fig1]", "[fig1", "somebody2020"),
        ("disc.w2.ours <", "disc.w2.ours ==", "compar"),
    ],
)
def test_a_malformed_declaration_is_named(old, new, message):
    assert old in TEXT
    with pytest.raises(UsageError, match=message):
        parse_paper("somebody2020", TEXT.replace(old, new))


def test_selecting():
    assert [one.id for one in select(["feng2024/fig2"], "quick")] == ["feng2024/fig2"]
    everything = list(reproductions().values())
    assert select(["all"], "paper") == everything
    assert select(["feng2024"], "quick") == [
        one for one in everything if one.id.startswith("feng2024/")
    ]
    with pytest.raises(UsageError, match="did you mean feng2024/fig2"):
        select(["feng2024/fig22"], "quick")


@pytest.mark.parametrize("one", reproductions().values(), ids=lambda one: one.id)
def test_what_is_declared_exists(one):
    for text in one.methods.values():
        (spec,) = parse([text])
        Registry("methods").get(spec.name)
    for run in one.runs:
        for dataset in (run.dataset, (run.paper or {}).get("dataset", run.dataset)):
            (spec,) = parse([dataset])
            Registry("datasets").get(spec.name)
    for quantity in one.quantities:
        if quantity.task != OF_CELL:
            made = MetricFactory()([quantity.metric])[quantity.metric]
            assert not isinstance(made, str), made
            assert quantity.task in made.tasks


def test_published_numbers_name_their_source():
    assert published()["source"].notna().all()
    assert not published().duplicated(["dataset", "method", "task", "metric"]).any()


def test_published_numbers_are_of_methods_and_parameters_that_exist():
    for method, unless in set(published()[["method", "unless"]].fillna("").itertuples(index=False)):
        for text in (method, f"{method.partition('[')[0]}[{unless}]" if unless else method):
            (spec,) = parse([text])
            made = instantiate(Registry("methods").get(spec.name).load(), spec)
            assert {name for name, _ in spec.parameters} <= made.parameters().keys()


def printed(dataset: str, method: str, task: str, metric: str) -> Printed | None:
    (spec,) = parse([method])
    made = instantiate(Registry("methods").get(spec.name).load(), spec)
    return published_number(dataset, method, made.parameters(), task, metric)


@pytest.mark.parametrize(
    ("dataset", "method", "value"),
    [
        ("celeba[size=32]", "not-ae[latent=4]", 0.14),
        ("celeba[path=/data/celeba,size=32]", "not-ae[latent=4]", 0.14),
        ("celeba[size=32]", "not-ae[potential=false,latent=4]", 0.23),
        ("celeba[size=32]", "not-ae[cost=l1,latent=4]", 0.22),
        ("celeba[size=32]", "not-ae[cost=l1,potential=false,latent=4]", 0.21),
        # How it was trained does not matter, what was trained does.
        ("celeba[size=32]", "not-ae[latent=4,squash=false,lr=0.0001]", 0.14),
        ("celeba[size=32]", "not-ae", None),  # a code of 256 numbers
        ("celeba", "not-ae[latent=4]", None),  # 64x64: a code of 256 numbers, too
        ("celeba[size=32]", "not-ae[latent=4,freeze_potential=true]", None),
        ("celeba[size=32]", "not-ae[latent=4,gamma=0.5]", None),
        ("celeba[size=32]", "not-ae[latent=4,cost=perceptual]", None),
        ("celeba[size=32]", "ae", None),
        ("cartoon-faces", "not-ae[latent=4]", None),
    ],
)
def test_numbers_on_celeba_are_for_the_code_and_potential_of_the_slides(dataset, method, value):
    found = printed(dataset, method, "reconstruction", "lpips[alex]")
    assert (found.value if found else None) == value


@pytest.mark.parametrize(
    ("dataset", "method", "value"),
    [
        ("mnist[binarize=true]", "path-energy", 0.97),
        ("mnist[binarize=true]", "path-energy[alpha=2]", 0.97),
        ("mnist[binarize=true]", "path-energy[alpha=0]", None),  # no regulariser: the autoencoder
        ("mnist[binarize=true]", "path-energy[balanced=true]", None),
        ("mnist[binarize=true]", "ae", 0.94),
        ("mnist[binarize=true]", "acai[lam=0]", None),
        ("mnist", "path-energy", None),
        ("mnist", "ae", None),
    ],
)
def test_numbers_on_binarised_digits_are_for_binarised_digits(dataset, method, value):
    found = printed(dataset, method, "classification", "probe_acc[logistic]")
    assert (found.value if found else None) == value


def test_tables_with_a_spread_and_with_numbers_that_are_only_large():
    row = "w2-amortized[potential={},amortization={},conjugate={}]"
    uvp = ("transport", "uvp[forward]")
    fine = printed("w2-hd[dim=16]", row.format("mlp", "regression", "lbfgs"), *uvp)
    assert (fine.value, fine.spread) == (0.77, 0.10)
    large = printed("w2-hd", row.format("mlp", "objective", "none"), *uvp)
    assert large.value == float("inf")
    assert large.spread is None
    # as tables print it, without what is the default
    assert printed("w2-hd[dim=16]", "w2-amortized", *uvp) == fine
    assert printed("w2-hd[dim=16]", "w2-amortized[potential=quadratic]", *uvp) is None


def test_runs_of_another_preset_are_left_out():
    (quick,) = select(["amos2023/hd-mlp"], "quick")
    (paper,) = select(["amos2023/hd-mlp"], "paper")
    assert "n64" in {run.name for run in paper.runs} - {run.name for run in quick.runs}
