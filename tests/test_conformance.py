"""Every method that comes with otbench passes the checks that strangers' methods are put to."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from otbench.conformance import TinyPair, check_method
from otbench.interface import TransportMap
from otbench.plugins.registry import OWN_DISTRIBUTION, Plugin, Registry
from otbench.plugins.selection import Spec

REGISTRY = Registry("methods")
OWN = [name for name in REGISTRY.names() if REGISTRY.get(name).distribution == OWN_DISTRIBUTION]


@pytest.mark.usefixtures("compile_quickly")
@pytest.mark.parametrize("name", OWN)
def test_method_conforms(name: str) -> None:
    results = list(check_method(REGISTRY.get(name), Spec(name)))
    assert len(results) == (12 if issubclass(REGISTRY.get(name).load(), TransportMap) else 10)
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
        "from otbench_methods.interpolators.crossfade import Crossfade\n"
        "@dataclass\n"
        "class Restless(Crossfade):\n"
        "    def fit(self, data, ctx):\n"
        "        self.bend_ = float(torch.rand(1))\n"
        "        ctx.progress(ctx.budget.steps - 1, loss=0.0)\n"
        "    def interpolate(self, x0, x1, t):\n"
        "        return super().interpolate(x0, x1, t ** (1 + self.bend_))\n"
    )
    # An earlier check may have left the global generator at the very seed that this one sets.
    torch.manual_seed(1)
    problems = {r.name: r.problem for r in check_method(plugin, Spec("restless")) if r.problem}
    assert "ctx.generator" in problems["is deterministic"]


PUSH = "    def push(self, x, generator=None):\n"


def problems_of(tmp_path: Path, body: str) -> dict[str, str]:
    """Check a map to the target's mean, some of whose methods the body replaces."""
    plugin = Plugin("methods", "bent", "Bent", "file", "", str(tmp_path / "bent.py"))
    (tmp_path / "bent.py").write_text(
        "import torch\n"
        "from dataclasses import dataclass\n"
        "from otbench_methods.sampled_maps.linear import Constant\n"
        "@dataclass\n"
        "class Bent(Constant):\n" + body
    )
    # An earlier check may have left the global generator at the very seed that this one sets.
    torch.manual_seed(1)
    return {r.name: r.problem for r in check_method(plugin, Spec("bent")) if r.problem}


@pytest.mark.parametrize(
    ("body", "check", "message"),
    [
        (
            PUSH + "        return x.double()\n",
            "pushes",
            "float64",
        ),
        (PUSH + "        return x[:5]\n", "pushes", "(5, 2)"),
        (
            PUSH + "        return x.add_(1)\n",
            "pushes",
            "changed the points",
        ),
        ("    def pull(self, y):\n        return y / 0\n", "pulls", "not finite"),
        ("    def dual_value(self, x, y):\n        return None\n", "values the dual", "None"),
        (
            "    def potential_value(self, x):\n        return x\n",
            "values the potential",
            "(64, 2)",
        ),
        (
            PUSH + "        return x + torch.rand(1)\n",
            "is deterministic",
            "in their points",
        ),
        (
            "    fits = [0]\n"
            "    def fit(self, data, ctx):\n"
            "        super().fit(data, ctx)\n"
            "        self.fits[0] += 1\n"
            "        self.turn = self.fits[0] % 2\n"
            "    def push(self, x, generator=None):\n"
            "        y = super().push(x)\n"
            "        return torch.nextafter(y, y + 1) if self.turn else y\n",
            "is deterministic",
            "in their points",
        ),
        (
            "    def fit(self, data, ctx):\n"
            "        super().fit(data, ctx)\n"
            "        self.unused_ = torch.rand(2)\n",
            "is deterministic",
            "in their unused_",
        ),
        (
            "    def restore(self, state):\n"
            "        super().restore(state)\n"
            "        self.new_ = 1.0\n",
            "saves and loads",
            "in the names of their state",
        ),
        (
            "    loads = [0]\n"
            "    def restore(self, state):\n"
            "        super().restore(state)\n"
            "        self.loads[0] += 1\n"
            "        self.state_['target'] += (self.loads[0] == 2) * 1e-6\n",
            "saves and loads",
            "in their points",
        ),
        ("    def skip(self, data):\n        return 'no planes'\n", "answers skip", "in the plane"),
    ],
)
def test_what_is_wrong_with_a_map_is_named(
    tmp_path: Path, body: str, check: str, message: str
) -> None:
    assert message in problems_of(tmp_path, body)[check]


def test_a_map_without_fault_has_no_problem(tmp_path: Path) -> None:
    assert problems_of(tmp_path, "    pass\n") == {}


def test_the_tiny_pair_is_what_it_says() -> None:
    """The known map carries the source's law to the target's, at the distance it claims."""
    pair = TinyPair()
    x = pair.source(200_000, torch.Generator().manual_seed(1))
    y = pair.true_map(x)
    assert (y - x).square().sum(dim=1).mean().item() == pytest.approx(pair.squared_w2(), rel=0.02)
    drawn = pair.target(200_000, torch.Generator().manual_seed(2))
    torch.testing.assert_close(torch.cov(drawn.T), pair.matrix @ pair.matrix, atol=0.03, rtol=0)
    assert torch.linalg.eigvalsh(pair.matrix).min() > 0
