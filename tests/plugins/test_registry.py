"""Entry points: lazy, with provenance; collisions reported; a broken plugin breaks only itself."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from types import SimpleNamespace

import pytest

from otbench.errors import UsageError
from otbench.plugins import registry
from otbench.plugins.registry import Plugin, Registry


class FakePoint(EntryPoint):
    """An entry point of a made-up distribution."""

    @property
    def dist(self):  # type: ignore[override]
        return vars(self)["_dist"]


def point(name: str, value: str, distribution: str) -> EntryPoint:
    made = FakePoint(name, value, "otbench.methods")
    vars(made)["_dist"] = SimpleNamespace(
        read_text=lambda name: f"Name: {distribution}\nVersion: 1.2\n\nLong words."
    )
    return made


@pytest.fixture
def points(monkeypatch: pytest.MonkeyPatch) -> list[EntryPoint]:
    listed: list[EntryPoint] = []
    monkeypatch.setattr(registry, "entry_points", lambda group: listed)
    return listed


def test_a_name_is_listed_without_importing_it(points: list[EntryPoint]) -> None:
    points.append(point("broken", "no_such_module:Thing", "stranger"))
    found = Registry("methods")
    assert found.names() == ["broken"]
    assert found.get("broken").distribution == "stranger"
    assert found.get("broken").version == "1.2"
    with pytest.raises(ModuleNotFoundError):
        found.get("broken").load()


def test_otbench_wins_a_collision_and_it_is_reported(points: list[EntryPoint]) -> None:
    points += [point("ae", "theirs:AE", "a-stranger"), point("ae", "ours:AE", "otbench-suite")]
    found = Registry("methods")
    assert found.get("ae").value == "ours:AE"
    assert found.problems == [
        "method 'ae' of a-stranger 1.2 is ignored: otbench-suite 1.2 has registered that name"
    ]


def test_one_registration_seen_twice_is_no_collision(points: list[EntryPoint]) -> None:
    points += [point("ae", "ours:AE", "otbench-suite")] * 2
    assert Registry("methods").problems == []


def test_an_unknown_name_gets_a_suggestion(points: list[EntryPoint]) -> None:
    points.append(point("path-energy", "ours:P", "otbench-suite"))
    with pytest.raises(UsageError, match="did you mean path-energy"):
        Registry("methods").get("path-enery")


def test_a_file_cannot_take_a_registered_name(points: list[EntryPoint]) -> None:
    points.append(point("ae", "ours:AE", "otbench-suite"))
    found = Registry("methods", [Plugin("methods", "ae", "AE", "file", "", "mine.py")])
    assert found.get("ae").file is None
    assert "mine.py" in found.problems[0]


def test_everything_that_pyproject_registers_can_be_imported() -> None:
    for kind in registry.KINDS:
        found = Registry(kind)
        own = [found.get(name) for name in found.names()]
        for plugin in own:
            if plugin.distribution == registry.OWN_DISTRIBUTION:
                assert isinstance(plugin.load(), type)
