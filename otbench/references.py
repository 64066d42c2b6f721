"""The entries of ``references.bib``, and the citations of them in texts.

A text cites a work by authors and year, such as ``Amos 2023`` or ``Korotin et al. 2021``. The key
is the name of the first author and the year, such as ``amos2023``.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from importlib.resources import files

NAME = r"[A-Z][^\W\d_]+(?:-[A-Z][^\W\d_]+)?"
CITATION = re.compile(
    rf"(?<![\w-])({NAME})(?:, {NAME})*(?: (?:&|and) {NAME}| et al\.)?"
    r" \(?((?:19|20)\d\d[a-z]?)(?![\d.]\d)"
)


def cited(text: str) -> list[str]:
    """Return the keys of the works that a text cites, each once, in order of appearance."""
    plain = re.sub(r"\s+", " ", text)
    return list(dict.fromkeys(_key(*match.groups()) for match in CITATION.finditer(plain)))


def _key(author: str, year: str) -> str:
    ascii_name = unicodedata.normalize("NFKD", author).encode("ascii", "ignore").decode()
    return re.sub(r"\W", "", ascii_name).lower() + year


@cache
def entries() -> dict[str, str]:
    """Return the BibTeX entries by key."""
    text = (files("otbench") / "references.bib").read_text(encoding="utf-8")
    parts = re.split(r"^(?=@)", text, flags=re.MULTILINE)[1:]
    return {part[part.index("{") + 1 : part.index(",")]: part.strip() for part in parts}
