"""Every work that the code names is in references.bib, and the other way round."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from otbench.plugins.registry import Registry
from otbench.references import cited, entries

ROOT = Path(__file__).parent.parent
FILES = [
    file
    for folder in ("otbench", "methods", "datasets")
    for pattern in ("*.py", "*.toml", "*.csv")
    for file in sorted((ROOT / folder).rglob(pattern))
]


def text_of(file: Path) -> str:
    """Read a file, with strings that go on in the next line put together."""
    return re.sub(r'"\s*\n\s*[rf]?"', "", file.read_text(encoding="utf-8"))


def test_every_citation_has_its_entry_and_every_entry_is_cited() -> None:
    found = {key: file for file in FILES for key in cited(text_of(file))}
    assert {key: file for key, file in found.items() if key not in entries()} == {}
    assert set(entries()) - set(found) == set()


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("Amos 2023, appendix B", ["amos2023"]),
        ("after Feng & Strohmer (2024) and Korotin et al. 2021", ["feng2024", "korotin2021"]),
        ("Papadakis, Peyré & Oudet 2014", ["papadakis2014"]),
        ("Lozano-Pérez & Wesley 1979", ["lozanoperez1979"]),
        ("LeCun et al. 1998b, section 4.4", ["lecun1998b"]),
        ("arXiv 2210.12153, torch 2019", []),
    ],
)
def test_citations_are_found(text: str, keys: list[str]) -> None:
    assert cited(text) == keys


def test_every_entry_is_whole() -> None:
    for key, entry in entries().items():
        assert entry.count("{") == entry.count("}"), key
        for field in ("title", "author", "year"):
            assert re.search(rf"^  {field} = \{{.+\}},$", entry, flags=re.MULTILINE), (key, field)
        assert f"year = {{{key.strip('abcdefghijklmnopqrstuvwxyz')}}}" in entry, key


@pytest.mark.parametrize("name", sorted(set(Registry("methods").names()) - {"crossfade"}))
def test_every_method_says_what_to_cite(name: str) -> None:
    cls = Registry("methods").get(name).load()
    assert set(cited(cls.card.source)) & set(entries()), cls.card.source
