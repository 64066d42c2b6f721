"""The errors a user may see, each with the exit code it ends in."""

from __future__ import annotations


class OTBenchError(Exception):
    """An error whose message is meant for the user: printed without a traceback."""

    exit_code = 1


class UsageError(OTBenchError):
    """The command or its parameters are wrong; nothing was started."""

    exit_code = 2


class DataError(OTBenchError):
    """A file is missing, broken, or not to be had from any source."""

    exit_code = 3


class DataWarning(UserWarning):
    """The data in use are not those that were asked for."""
