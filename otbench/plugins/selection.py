"""Parsing of selections such as ``ae,path-energy[alpha=[1,3]]``.

``ae,path-energy[alpha=[1,3],tau=10]`` selects three methods: brackets hold parameters, a list of
values is a grid, and commas outside brackets separate selections. ``folder:PATH`` and
``fid[lenet]`` give the first parameter without its name.
"""

from __future__ import annotations

import ast
import fnmatch
import itertools
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from otbench.errors import UsageError, unknown_name

FIRST = ""
"""Key of a value without a name, which belongs to the first parameter."""

LARGEST_GRID = 10_000
"""Largest number of combinations of one selection; a larger grid is probably a typing error."""

_SHAPE = re.compile(r"(?P<name>[A-Za-z][\w.-]*)(?::(?P<rest>[^\[\]]+))?(?:\[(?P<inside>.*)\])?")
_WORDS = {"true": True, "false": False, "none": None}


@dataclass(frozen=True)
class Spec:
    """A name with the parameters that the user gave for it.

    Attributes
    ----------
    name : str
    parameters : tuple of (str, value)
        In the order given; the key `FIRST` stands for the first parameter.
    """

    name: str
    parameters: tuple[tuple[str, Any], ...] = ()

    @property
    def label(self) -> str:
        """The selection as text, which parses to this specification again."""
        if not self.parameters:
            return self.name
        inside = ",".join(
            f"{key}={_text(value)}" if key else _text(value) for key, value in self.parameters
        )
        return f"{self.name}[{inside}]"


def _text(value: Any) -> str:
    if isinstance(value, str):
        plain = re.fullmatch(r"[\w./+-]+", value) and value.lower() not in _WORDS
        return value if plain and not _is_literal(value) else repr(value)
    if isinstance(value, bool) or value is None:
        return str(value).lower()
    if isinstance(value, list | tuple):
        return "(" + ",".join(_text(item) for item in value) + ",)"
    return f"{value:g}" if isinstance(value, float) and float(f"{value:g}") == value else str(value)


def _is_literal(text: str) -> bool:
    try:
        ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return False
    return True


def split_outside_brackets(text: str) -> list[str]:
    """Split at commas that are outside brackets and quotes."""
    parts, depth, quote, start, escaped = [], 0, "", 0, False
    for position, char in enumerate(text):
        if quote:
            quote = "" if char == quote and not escaped else quote
            escaped = char == "\\" and not escaped
        elif char in "'\"":
            quote = char
        elif char in "[(":
            depth += 1
        elif char in "])":
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(text[start:position])
            start = position + 1
    if depth or quote:
        raise UsageError(f"brackets or quotes do not match in '{text}'")
    parts.append(text[start:])
    return [part.strip() for part in parts if part.strip()]


def _value(text: str) -> Any:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    if text.startswith("[") and text.endswith("]"):
        return [_value(part) for part in split_outside_brackets(text[1:-1])]
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def parse_one(text: str) -> list[Spec]:
    """Parse one selection into its grid of specifications.

    Raises
    ------
    UsageError
        If the text is not ``name``, ``name:value`` or ``name[key=value,...]``, if a parameter is
        given twice, or if the grid has more than `LARGEST_GRID` combinations.
    """
    match = _SHAPE.fullmatch(text)
    if not match:
        raise UsageError(
            f"cannot read '{text}'; write name, name[parameter=value], or name[parameter=[a,b]]"
        )
    axes: dict[str, list[Any]] = {}
    if match["rest"]:
        axes[FIRST] = [match["rest"]]
    for part in split_outside_brackets(match["inside"] or ""):
        key, equals, value_text = part.partition("=")
        if not equals:
            key, value_text = FIRST, part
        key = key.strip().replace("-", "_")
        if key in axes:
            what = f"parameter '{key}'" if key else "a parameter without a name"
            raise UsageError(
                f"'{text}' gives {what} twice; a list makes a grid: {key or 'p'}=[a,b]"
            )
        value = _value(value_text.strip())
        axes[key] = value if isinstance(value, list) else [value]
    if (size := math.prod(map(len, axes.values()))) > LARGEST_GRID:
        raise UsageError(f"'{text}' is a grid of {size:,} combinations; {LARGEST_GRID:,} at most")
    return [
        Spec(match["name"], tuple(zip(axes, values, strict=True)))
        for values in itertools.product(*axes.values())
    ]


def parse(texts: Iterable[str]) -> list[Spec]:
    """Parse selections, each possibly a comma-separated list, and remove duplicates."""
    specs: dict[Spec, None] = {}
    for text in texts:
        for part in split_outside_brackets(text):
            specs.update(dict.fromkeys(parse_one(part)))
    return list(specs)


def choose(texts: Iterable[str], names: Iterable[str], what: str) -> dict[Spec, bool]:
    """Choose among known names by selections, wildcards and exclusions.

    ``all`` and wildcards such as ``w2-*`` select every name that matches. A leading minus excludes
    names, at any position in the list: ``all,-acai``, ``all,-w2-*``.

    Parameters
    ----------
    texts : iterable of str
        Selections, each possibly a comma-separated list.
    names : iterable of str
        All known names.
    what : str
        The kind of the names, such as ``method``, for messages.

    Returns
    -------
    dict of Spec to bool
        The chosen specifications in order, each with whether it was requested by its own name.

    Raises
    ------
    UsageError
        If a name is unknown, or if a wildcard or an exclusion matches no name.
    """
    names = list(names)
    chosen: dict[Spec, bool] = {}
    dropped: set[str] = set()
    for part in (part for text in texts for part in split_outside_brackets(text)):
        if part.startswith("-"):
            dropped.update(_fitting(part[1:].strip(), names, what))
        elif part == "all" or _is_wildcard(part):
            for name in _fitting(part, names, what):
                chosen.setdefault(Spec(name), False)
        else:
            for spec in parse_one(part):
                if spec.name not in names:
                    raise UsageError(unknown_name(what, spec.name, names))
                chosen[spec] = True
    return {spec: named for spec, named in chosen.items() if spec.name not in dropped}


def _is_wildcard(text: str) -> bool:
    return "[" not in text and any(char in text for char in "*?")


def _fitting(text: str, names: list[str], what: str) -> list[str]:
    """Return the names that match ``all``, a wildcard or a plain name."""
    fitting = fnmatch.filter(names, "*" if text == "all" else text) if "[" not in text else []
    if not fitting:
        raise UsageError(unknown_name(what, text, names))
    return fitting
