"""Declarations of reproductions: one TOML file per paper, with one table per figure or table."""

from __future__ import annotations

import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

from otbench.errors import UsageError, unknown_name
from otbench.reproduce.expression import Expression

PICTURES = (
    *("paths", "images", "barycenters", "curves", "dots"),
    *("transport", "clouds", "grid", "levels", "flows", "curve", "collapse"),
)
"""Kinds of pictures. Those in the second line show maps: ``curve`` is the error over the seconds of
training, and ``collapse`` is the coverage of the target over the updates."""


@dataclass(frozen=True)
class Run:
    """Some methods on one data set.

    Attributes
    ----------
    name : str
    dataset : str
        Selection as text.
    methods : tuple of str
        Names in ``methods`` of the reproduction.
    steps : int or None
        Number of updates at preset ``quick``, scaled for other presets; None for the number of the
        preset.
    seeds : int or None
        Smallest number of seeds, except at preset ``smoke``.
    paper : dict
        Values that replace ``dataset`` or ``steps`` at preset ``paper``.
    x : float or None
        Position on the horizontal axis of curves.
    only : str or None
        The only preset at which it is run; None for all presets.
    """

    name: str
    dataset: str
    methods: tuple[str, ...]
    steps: int | None = None
    seeds: int | None = None
    paper: Mapping[str, Any] | None = None
    x: float | None = None
    only: str | None = None


@dataclass(frozen=True)
class Quantity:
    """A number that is measured in every run: a metric of a task, as text.

    ``task`` is ``cell`` for columns of the cell itself, such as ``fit_seconds``, and for
    ``cell/diverged``, whose mean over seeds is the share of seeds that diverged.
    """

    name: str
    task: str
    metric: str


@dataclass(frozen=True)
class Claim:
    """A claim of the paper, and the expression that decides whether it holds.

    Attributes
    ----------
    says : str
    check : Expression
    shown : str
        Reason why the claim is shown but not judged: the method was trained on the number, or its
        settings were chosen by it. Empty for a claim that is judged.
    """

    says: str
    check: Expression
    shown: str = ""


@dataclass(frozen=True)
class Picture:
    """A picture: its kind, the runs to draw (all if empty), and the quantities to show."""

    kind: str
    runs: tuple[str, ...] = ()
    quantities: tuple[str, ...] = ()
    pairs: tuple[int, ...] = (0,)
    x_label: str = ""


@dataclass(frozen=True)
class Reproduction:
    """One figure or table of a paper.

    Attributes
    ----------
    id : str
        ``paper/part``.
    paper, title : str
    methods : dict of str to str
        Selections by short name.
    runs : tuple of Run
    quantities : tuple of Quantity
    claims : tuple of Claim
    picture : Picture
    note : str
        Differences from the paper.
    """

    id: str
    paper: str
    title: str
    methods: Mapping[str, str]
    runs: tuple[Run, ...]
    quantities: tuple[Quantity, ...]
    claims: tuple[Claim, ...]
    picture: Picture
    note: str = ""

    def at(self, preset: str) -> Reproduction:
        """Return the reproduction without the runs, and claims on runs, of other presets."""
        runs = tuple(run for run in self.runs if run.only in (None, preset))
        names = {run.name for run in runs}
        claims = tuple(
            claim for claim in self.claims if all(a[0] in names for a in claim.check.addresses)
        )
        return replace(self, runs=runs, claims=claims)


@cache
def reproductions() -> dict[str, Reproduction]:
    """Read all declarations of the suite, in the order of papers and parts.

    Raises
    ------
    UsageError
        If a declaration is malformed; the message names it.
    """
    found: dict[str, Reproduction] = {}
    folder = files("otbench.reproduce") / "papers"
    for file in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".toml"):
            found |= parse_paper(file.name.removesuffix(".toml"), file.read_text("utf-8"))
    return found


def select(names: list[str], preset: str) -> list[Reproduction]:
    """Choose reproductions by id, by paper, or ``all``, for a given preset.

    Raises
    ------
    UsageError
        If a name matches nothing.
    """
    known = reproductions()
    chosen: dict[str, Reproduction] = {}
    for name in names:
        fitting = {
            id_: r
            for id_, r in known.items()
            if name in ("all", id_) or id_.startswith(name.rstrip("/") + "/")
        }
        if not fitting:
            raise UsageError(unknown_name("reproduction", name, known))
        chosen |= fitting
    return [reproduction.at(preset) for reproduction in chosen.values()]


def parse_paper(paper: str, text: str) -> dict[str, Reproduction]:
    """Parse the declarations of one paper.

    Parameters
    ----------
    paper : str
        First part of the ids.
    text : str
        TOML: the key ``paper``, then one table per figure with ``title``, ``methods``, ``runs``,
        ``quantities``, ``claims``, ``picture`` and optionally ``note``.
    """
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"reproductions of {paper}: {error}") from error
    source = content.pop("paper")
    parsed = {}
    for part, table in content.items():
        try:
            parsed[f"{paper}/{part}"] = _reproduction(f"{paper}/{part}", source, table)
        except (KeyError, TypeError) as error:
            raise UsageError(f"reproduction {paper}/{part}: {error!r}") from error
    return parsed


def _reproduction(id_: str, paper: str, table: dict[str, Any]) -> Reproduction:
    methods = table["methods"]
    runs = tuple(
        Run(**run | {"methods": tuple(run.get("methods", methods))}) for run in table["runs"]
    )
    quantities = tuple(
        Quantity(name, *text.split("/", 1)) for name, text in table["quantities"].items()
    )
    claims = tuple(
        Claim(c["says"], Expression.parse(c["check"]), c.get("shown", "")) for c in table["claims"]
    )
    picture = Picture(**{k: _tuple(v) for k, v in table["picture"].items()})
    made = Reproduction(
        id_,
        paper,
        table["title"],
        methods,
        runs,
        quantities,
        claims,
        picture,
        table.get("note", ""),
    )
    _check(made)
    return made


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _check(made: Reproduction) -> None:
    def known(kind: str, name: str, names: Collection[str]) -> None:
        if name not in names:
            raise UsageError(f"reproduction {made.id}: {unknown_name(kind, name, names)}")

    runs = {run.name: run for run in made.runs}
    quantities = {quantity.name for quantity in made.quantities}
    known("picture", made.picture.kind, PICTURES)
    for run in made.runs:
        for method in run.methods:
            known("method", method, made.methods)
    for name in made.picture.runs:
        known("run", name, runs)
    for name in made.picture.quantities:
        known("quantity", name, quantities)
    for claim in made.claims:
        for name, quantity, method in claim.check.addresses:
            known("run", name, runs)
            known("quantity", quantity, quantities)
            known("method", method, runs[name].methods)
