"""Every method that comes with otbench passes the checks that strangers' methods are put to."""

from __future__ import annotations

import pytest

from otbench.conformance import check_method
from otbench.registry import OWN_DISTRIBUTION, Registry
from otbench.selection import Spec

REGISTRY = Registry("methods")
OWN = [name for name in REGISTRY.names() if REGISTRY.get(name).distribution == OWN_DISTRIBUTION]


@pytest.mark.parametrize("name", OWN)
def test_method_conforms(name: str) -> None:
    results = list(check_method(REGISTRY.get(name), Spec(name)))
    assert len(results) == 11
    assert [r for r in results if r.problem] == []


@pytest.mark.parametrize("name", OWN)
def test_the_papers_settings_are_parameters_of_the_method(name: str) -> None:
    cls = REGISTRY.get(name).load()
    if cls.card.paper is not None:
        method = cls(**cls.card.paper.parameters)
        assert method.parameters() == cls().parameters() | cls.card.paper.parameters
