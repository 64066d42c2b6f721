"""A second training of the same shape compiles nothing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from jax import monitoring

from otbench.interface import Budget, FitContext, MeasurePair, Method
from otbench_datasets.point_pairs.gaussian_pair import GaussianPair
from otbench_datasets.point_pairs.mixture_1d import Mixture1D
from otbench_datasets.point_pairs.plane import Plane
from otbench_methods.neural_maps.enot import ENOT
from otbench_methods.neural_maps.not_map import NOT
from otbench_methods.neural_maps.w2_amortized import W2Amortized

pytestmark = pytest.mark.usefixtures("compile_quickly")

COMPILED = "/jax/core/compile/backend_compile_duration"


@contextmanager
def compilations() -> Iterator[list[str]]:
    seen: list[str] = []

    def listen(event: str, seconds: float, **content: Any) -> None:
        if event == COMPILED:
            seen.append(event)

    monitoring.register_event_duration_secs_listener(listen)
    try:
        yield seen
    finally:
        monitoring.unregister_event_duration_listener(listen)


def trained(method: Method, data: MeasurePair, seed: int) -> None:
    ctx = FitContext(Budget(steps=3, batch_size=8), seed=seed)
    method.fit(data, ctx)
    points = data.source(20, ctx.generator("points"))
    method.push(points)  # type: ignore[attr-defined]
    if not isinstance(method, NOT):
        method.pull(points)  # type: ignore[attr-defined]


METHODS = {
    "enot": (ENOT, {"hidden": (8, 8)}),
    "regression": (W2Amortized, {"hidden": (8, 8), "conjugate": "lbfgs"}),
    "bures": (W2Amortized, {"potential": "icnn", "start": "bures", "hidden": (8, 8)}),
    "pretrained": (W2Amortized, {"potential": "icnn", "hidden": (8, 8), "pretraining": 3}),
    "not": (NOT, {"hidden": (8, 8), "inner_steps": 2}),
}
DATA = {"gaussian": GaussianPair, "plane": Plane, "mixture": Mixture1D}


@pytest.mark.parametrize(
    ("name", "data"),
    [*((name, "plane") for name in METHODS), ("enot", "gaussian"), ("enot", "mixture")],
)
def test_another_seed_compiles_nothing(name: str, data: str) -> None:
    cls, parameters = METHODS[name]
    trained(cls(**parameters), DATA[data]().load(), 0)
    with compilations() as seen:
        trained(cls(**parameters), DATA[data]().load(), 1)
    assert not seen


def test_what_is_new_is_counted() -> None:
    trained(ENOT(hidden=(8, 8)), Plane().load(), 0)
    with compilations() as seen:
        trained(ENOT(hidden=(8, 9)), Plane().load(), 0)
    assert seen
