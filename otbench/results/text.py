"""Text from plugins, files and exceptions, made fit to be shown and stored."""

from __future__ import annotations

import re
import unicodedata

LONGEST = 500
"""Characters of a reason that are kept."""

ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
"""Control sequences of terminals."""

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the start of a formula."""


def clean(text: str, longest: int = LONGEST) -> str:
    """Return the text in one line of printable characters, cut to a length.

    Escape sequences and control characters go, lone surrogates become the replacement character.
    """
    plain = ESCAPE.sub("", text).encode("utf-8", "replace").decode("utf-8")
    plain = re.sub(r"\s+", " ", plain)
    plain = "".join(c for c in plain if unicodedata.category(c) not in ("Cc", "Cf", "Co", "Cn"))
    # What is gone may have stood between two spaces.
    plain = " ".join(plain.split())
    return plain if len(plain) <= longest else plain[: longest - 1].rstrip() + "…"


def no_formula(text: str) -> str:
    """Return the text so that a spreadsheet shows it and computes nothing."""
    return f"'{text}" if text.startswith(FORMULA) else text
