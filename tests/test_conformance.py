"""Every method that comes with otbench passes the checks that strangers' methods are put to."""

from __future__ import annotations

from pathlib import Path

import pytest

from otbench.conformance import check_method
from otbench.registry import OWN_DISTRIBUTION, Plugin, Registry
from otbench.selection import Spec

REGISTRY = Registry("methods")
OWN = [name for name in REGISTRY.names() if REGISTRY.get(name).distribution == OWN_DISTRIBUTION]


@pytest.mark.parametrize("name", OWN)
def test_method_conforms(name: str) -> None:
    results = list(check_method(REGISTRY.get(name), Spec(name)))
    assert len(results) == 10
    assert [r for r in results if r.problem] == []


@pytest.mark.parametrize("name", OWN)
def test_the_papers_settings_are_parameters_of_the_method(name: str) -> None:
    cls = REGISTRY.get(name).load()
    if cls.card.paper is not None:
        method = cls(**cls.card.paper.parameters)
        assert method.parameters() == cls().parameters() | cls.card.paper.parameters


def test_a_method_that_draws_from_the_global_generator_is_told_so(tmp_path: Path) -> None:
    plugin = Plugin("methods", "restless", "Restless", "file", "", str(tmp_path / "restless.py"))
    (tmp_path / "restless.py").write_text(
        "import torch\n"
        "from dataclasses import dataclass\n"
        "from otbench_methods.crossfade import Crossfade\n"
        "@dataclass\n"
        "class Restless(Crossfade):\n"
        "    def fit(self, data, ctx):\n"
        "        self.bend_ = float(torch.rand(1))\n"
        "        ctx.progress(ctx.budget.steps - 1, loss=0.0)\n"
        "    def interpolate(self, x0, x1, t):\n"
        "        return super().interpolate(x0, x1, t ** (1 + self.bend_))\n"
    )
    problems = {r.name: r.problem for r in check_method(plugin, Spec("restless")) if r.problem}
    assert "ctx.generator" in problems["is deterministic"]
