"""Sanitisation of text from plugins, files and exceptions, for display and storage."""

from __future__ import annotations

import re
import unicodedata

LONGEST = 500
"""Largest number of characters of a reason."""

ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[@-Z\\-_])")
"""Terminal control sequences."""

FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Characters with which a formula in a spreadsheet starts."""


def clean(text: str, longest: int = LONGEST) -> str:
    """Return the text as one line of printable characters, truncated to a length.

    Escape sequences and control characters are removed; lone surrogates become the replacement
    character.
    """
    plain = ESCAPE.sub("", text).encode("utf-8", "replace").decode("utf-8")
    # Line breaks and tabs are control characters too.
    plain = re.sub(r"\s", " ", plain)
    plain = "".join(c for c in plain if unicodedata.category(c) not in ("Cc", "Cf", "Co", "Cn"))
    # Removed characters may leave adjacent spaces.
    plain = " ".join(plain.split())
    return plain if len(plain) <= longest else plain[: longest - 1].rstrip() + "…"


def no_formula(text: str) -> str:
    """Return the text, quoted if a spreadsheet would take it for a formula."""
    return f"'{text}" if text.startswith(FORMULA) else text
