"""Errors for users, each with its exit code."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from otbench.extras import install_hint


class OTBenchError(Exception):
    """An error whose message is printed for the user, without a traceback."""

    exit_code = 1


class UsageError(OTBenchError):
    """The command or its parameters are invalid; nothing was started."""

    exit_code = 2


class ParameterError(UsageError, ValueError):
    """A parameter of a method, data set or metric has a value that is not allowed."""


class DataError(OTBenchError):
    """A file is missing or broken, or no source provides it."""

    exit_code = 3


class DataWarning(UserWarning):
    """The data in use differ from the requested data."""


def unknown_name(what: str, name: str, known: Iterable[str]) -> str:
    """Return a message that a name is unknown, with similar known names."""
    known = list(known)
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"
    return f"unknown {what} '{name}'; {hint}"


def describe(error: BaseException) -> str:
    """Describe an error in one line.

    The suite's own errors give their message, and a missing optional module gives the command that
    installs it. Other errors give their type and the first line of their message.
    """
    if isinstance(error, OTBenchError):
        return str(error)
    if hint := install_hint(error):
        return hint
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
