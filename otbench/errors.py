"""The errors a user may see, each with the exit code it ends in."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from otbench.extras import install_hint


class OTBenchError(Exception):
    """An error whose message is meant for the user: printed without a traceback."""

    exit_code = 1


class UsageError(OTBenchError):
    """The command or its parameters are wrong; nothing was started."""

    exit_code = 2


class ParameterError(UsageError, ValueError):
    """A parameter of a method, data set or metric has a value that is not allowed."""


class DataError(OTBenchError):
    """A file is missing, broken, or not to be had from any source."""

    exit_code = 3


class ModelError(DataError, ValueError):
    """A folder holds no model that can be loaded."""


class DataWarning(UserWarning):
    """The data in use are not those that were asked for."""


def unknown_name(what: str, name: str, known: Iterable[str]) -> str:
    """Say that a name is unknown, with the nearest known ones."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"
    return f"unknown {what} '{name}'; {hint}"


def describe(error: BaseException) -> str:
    """Put an error into one line.

    The suite's own errors by their message, a missing optional module by the command that installs
    it, others with their type.
    """
    if isinstance(error, OTBenchError):
        return str(error)
    if hint := install_hint(error):
        return hint
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
