"""Any text is a claim or a sentence about what is wrong with it, and so is any declaration."""

from __future__ import annotations

import datetime
import json
import tomllib
from importlib.resources import files
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otbench.errors import UsageError
from otbench.reproduce import declaration
from otbench.reproduce.declaration import Claim, parse_paper, select
from otbench.reproduce.expression import Expression
from otbench.reproduce.index import write_index
from otbench.reproduce.measure import Measured
from otbench.reproduce.report import last_verdicts
from otbench.reproduce.verdict import judge
from tests.fuzzing import QUICKLY, edited, ours_or_nothing, spoilt

PARTS = [
    *("a.b.c", "a.b.d", "a.b", "0", "1", "1e308", "1e400", "9" * 400, "9" * 5000, "0x1", "1is"),
    *("<", "<=", ">", "==", "<>", "+", "-", "*", "/", "**", "%", " and ", " or ", "not ", " if "),
    *("(", ")", "[", "]", "{", "}", "min(", "max(", "abs(", "open(", ",", "'", "\\", "\0", "\n"),
    *("True", "None", "lambda: 1", "f''", "…", "a.b.c < 1", "1 / (a.b.c - a.b.c)", "\ud800"),
    *("1j", " else ", "#", ":=", "await "),
]
texts = st.one_of(
    st.lists(st.sampled_from(PARTS), max_size=10).map("".join),
    st.builds("a.b.c < {}".format, st.lists(st.sampled_from(PARTS), max_size=5).map("".join)),
    st.text(max_size=20),
)
numbers = st.sampled_from([0.0, 1.0, -1.0, 1e308, -1e308, 5e-324, float("inf"), float("nan")])


def numbers_of(claim: Expression, data: st.DataObject) -> list[Measured]:
    found = []
    for run, quantity, method in claim.addresses:
        values = data.draw(st.lists(numbers, max_size=6))
        made = Measured(run, quantity, method, "m", values=dict(enumerate(values)))
        made.reference = data.draw(st.booleans())
        found.append(made)
    return found


@QUICKLY
@given(texts, st.data())
def test_any_text_is_a_claim_that_can_be_judged_or_a_sentence(
    text: str, data: st.DataObject
) -> None:
    with ours_or_nothing():
        claim = Expression.parse(text)
        assert claim.comparisons
        verdict = judge(Claim("so", claim), numbers_of(claim, data))
        assert verdict.status
        assert verdict.detail


@pytest.mark.parametrize("value", [0.0, 1e308, -1e308, 5e-324, float("inf"), float("nan")])
@pytest.mark.parametrize("seeds", [1, 6])
@pytest.mark.parametrize("reference", [False, True])
def test_any_number_gets_a_verdict(value: float, seeds: int, reference: bool) -> None:
    claim = Expression.parse("a.b.c * a.b.c / (a.b.c - a.b.d) < max(a.b.d / a.b.c, 1e308 * 10)")
    values = dict.fromkeys(range(seeds), value)
    made = [Measured(*address, "m", values=values) for address in claim.addresses]
    for one in made:
        one.reference = reference
    assert judge(Claim("so", claim), made).status == "not measured"


@pytest.mark.parametrize(
    "text",
    [
        *("(" * 50_000 + "a.b.c" + ")" * 50_000 + " < 1", "-" * 50_000 + "a.b.c < 1"),
        *("not " * 50_000 + "a.b.c < 1", "a.b.c < 1" + " + 1" * 50_000, "a.b.c < " + "9" * 10_000),
        *("min(" * 5_000 + "a.b.c" + ")" * 5_000 + " < 1", "a.b.c" + ".d" * 50_000 + " < 1"),
        *("a.b.c < 1" + " and a.b.c < 1" * 20_000, "a.b.c" + " < 1" * 20_000),
        *("-" * 1900 + "a.b.c < 1", "abs(1, 2) < 1", "min(1) < 1", "max() < 1"),
        *("1 / 0 < a.b.c", "a.b.c / (a.b.c - a.b.c) < 1", "a.b.c < 1e400"),
    ],
    ids=lambda text: text[:9],
)
def test_a_monstrous_claim_is_a_sentence(text: str) -> None:
    with pytest.raises(UsageError, match="claim") as caught:
        Expression.parse(text)
    assert len(str(caught.value)) < 1000


PAPER = files("otbench.reproduce").joinpath("papers/feng2024.toml").read_text("utf-8")
TREE = tomllib.loads(PAPER)
TREE = {name: TREE[name] for name in list(TREE)[:3]}
ONE = PAPER[: PAPER.index("\n[", len(PAPER) // 8)]


@QUICKLY
@given(data=st.data())
def test_an_edited_declaration_is_one_or_a_sentence(data: st.DataObject) -> None:
    odd = data.draw(
        st.sampled_from([None, datetime.date(2026, 1, 1), datetime.time(1), float("nan")])
    )
    tree: Any = data.draw(edited(TREE | ({"paper": odd} if odd is not None else {})))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            declaration.tomllib, "loads", lambda text: tree if isinstance(tree, dict) else {}
        )
        with ours_or_nothing():
            for one in parse_paper("mine", "").values():
                assert one.at("quick").id == one.id
                assert all(isinstance(name, str) for name in (one.title, one.paper, one.note))
                assert all(isinstance(run.steps, int | None) for run in one.runs)


@QUICKLY
@given(spoilt(ONE.encode()))
def test_a_spoilt_declaration_is_one_or_a_sentence(content: bytes) -> None:
    with ours_or_nothing():
        parse_paper("mine", content.decode("utf-8", "replace"))


@pytest.mark.parametrize("text", ["x = " + "[" * 100_000, "x = " + "{a=" * 50_000, "[a" * 50_000])
def test_a_monstrous_declaration_is_a_sentence(text: str) -> None:
    with pytest.raises(UsageError, match="mine"):
        parse_paper("mine", text)


KEPT = {
    "id": "feng2024/fig2",
    "title": "t",
    "paper": "p",
    "preset": "quick",
    "verdicts": [{"says": "so", "check": "a.b.c < 1", "status": "holds", "detail": "d"}],
    "methods": {"ours": "path-energy"},
    "note": "",
    "files": ["feng2024-fig2.png"],
}


@QUICKLY
@given(data=st.data())
def test_a_spoilt_page_of_the_index_is_left_out(
    data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("results") / "reproduce"
    folder.mkdir()
    (folder / "well.json").write_text(json.dumps(KEPT | {"id": "amos2023/table1"}))
    (folder / "feng2024-fig2.json").write_text(json.dumps(data.draw(edited(KEPT))))
    with ours_or_nothing():
        assert "## amos2023/table1" in write_index(folder).read_text("utf-8")
        for one in select(["feng2024/fig2"], "quick"):
            assert isinstance(last_verdicts(one, folder.parent), str)
