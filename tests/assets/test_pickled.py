from __future__ import annotations

import io
import os
import pickle

import numpy as np
import pytest

from otbench.assets.files import SourceFailed
from otbench.assets.pickled import load_arrays


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_reads_a_tree_of_arrays():
    tree = {"a": {"b": np.arange(6, dtype=np.float32).reshape(2, 3)}, "c": np.ones(2, np.float32)}
    leaves = load_arrays(io.BytesIO(pickle.dumps(tree)))
    assert sorted(leaves) == ["a/b", "c"]
    np.testing.assert_array_equal(leaves["a/b"], tree["a"]["b"])


def test_reads_arrays_pickled_by_old_numpy():
    # NumPy 1 named the module `numpy.core`; protocol 3 spells it out.
    text = pickle.dumps({"x": np.ones(3, np.float32)}, protocol=3)
    old = text.replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert old != text
    np.testing.assert_array_equal(load_arrays(io.BytesIO(old))["x"], np.ones(3))


def test_a_malicious_pickle_is_refused_before_it_acts(tmp_path):
    evil = {"x": Malicious(str(tmp_path / "made"))}
    pickle.loads(pickle.dumps(evil))
    (tmp_path / "made").rmdir()
    with pytest.raises(SourceFailed, match=r"asks for posix.mkdir"):
        load_arrays(io.BytesIO(pickle.dumps(evil)))
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("name", ["builtins.eval", "numpy.load", "numpy.core.multiarray.scalar"])
def test_other_names_are_refused(name):
    module, _, attribute = name.rpartition(".")
    text = b"c" + module.encode() + b"\n" + attribute.encode() + b"\n."
    with pytest.raises(SourceFailed, match="refused"):
        load_arrays(io.BytesIO(text))


@pytest.mark.parametrize("tree", [{"x": [1.0]}, {"x": np.array([{}], object)}, "text"])
def test_anything_but_float_arrays_is_refused(tree):
    with pytest.raises(SourceFailed, match="no array of floats"):
        load_arrays(io.BytesIO(pickle.dumps(tree)))


def test_a_cut_pickle_is_refused():
    text = pickle.dumps({"x": np.ones(100, np.float32)})
    with pytest.raises(SourceFailed, match="refused"):
        load_arrays(io.BytesIO(text[:-50]))
