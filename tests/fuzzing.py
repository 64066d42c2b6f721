"""What property tests of loaders share: spoilt bytes and values, and the rule for the outcome."""

from __future__ import annotations

import copy
import os
import random
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from otbench.errors import OTBenchError

SEARCH = int(os.environ.get("FUZZ_EXAMPLES", 0))

QUICKLY = settings(
    max_examples=SEARCH or 60,
    deadline=None,
    derandomize=not SEARCH,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
"""A few examples, the same in every run; ``FUZZ_EXAMPLES=5000 pytest -k spoilt`` looks longer."""

ODD = [
    *(None, True, False, 0, -1, 1, 2**31, 2**63, 2**64, -(2**63), 10**400, 0.0, -0.0, 1e308),
    *(5e-324, float("inf"), float("-inf"), float("nan"), "", "\0", "\ud800", "\x1b[2J", "\n"),
    *("../../x", "=1+1", "a" * 1000, "٣", "[", "]", [], {}, [[]], {"": {}}),
]
"""Values that a file may hold where another is wanted."""

values = st.one_of(
    st.sampled_from(ODD),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
        ),
        max_leaves=6,
    ),
)


@contextmanager
def ours_or_nothing(*also: type[Exception]) -> Iterator[None]:
    """Let pass errors of the suite's own, which have a sentence for the user, and no others."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with suppress(OTBenchError, *also):
            yield


@st.composite
def spoilt(draw: st.DrawFn, content: bytes) -> bytes:
    """Bytes with a few of them changed, lost, doubled, moved, or cut off."""
    chance = random.Random(draw(st.integers(0, 2**32)))
    result = bytearray(content)
    for _ in range(draw(st.integers(1, 6))):
        at = chance.randrange(len(result) + 1)
        # Heads of files decide more than the rest.
        at = at % 64 if chance.random() < 0.5 else at
        length = chance.choice([1, 1, 2, 4, 8, 100])
        what = chance.randrange(7)
        if what == 0:
            result[at : at + length] = chance.randbytes(length)
        elif what == 1:
            result[at : at + length] = chance.choice([b"\0", b"\xff", b"\x7f"]) * length
        elif what == 2:
            del result[at : at + length]
        elif what == 3:
            result[at:at] = chance.randbytes(length)
        elif what == 4:
            start = chance.randrange(len(result) + 1)
            result[at:at] = result[start : start + length]
        elif what == 5 and at < len(result):
            result[at] ^= 1 << chance.randrange(8)
        else:
            del result[max(at, 1) :]
    return bytes(result)


@st.composite
def edited(draw: st.DrawFn, content: Any) -> Any:
    """A tree of lists and dictionaries with a few parts gone, renamed, or something else."""
    root = [copy.deepcopy(content)]
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(root))
        holder, key = draw(st.sampled_from(places))
        # An earlier change may have taken it away.
        if isinstance(holder, dict) and key in holder and draw(st.booleans()):
            taken = holder.pop(key)
            if draw(st.booleans()):
                holder[draw(st.sampled_from(["x", "", "steps", "\ud800"]))] = taken
        else:
            holder[key] = copy.deepcopy(draw(values))
    return root[0]


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Yield every list or dictionary with every index or key in it."""
    parts = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, part in list(parts):
        yield tree, key
        if isinstance(part, dict | list):
            yield from _places(part)
