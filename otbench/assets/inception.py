"""The Inception network of the Fréchet distance: from TorchScript to pytorch-fid's state dict."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from otbench.assets.convert import write_safetensors

# The layers' names in the TensorFlow graph, and theirs in pytorch-fid's network.
_STEM = {"conv": "0.0", "conv_1": "0.1", "conv_2": "0.2", "conv_3": "1.0", "conv_4": "1.1"}
_BRANCHES_35 = {
    "conv": "branch1x1",
    "tower.conv": "branch5x5_1",
    "tower.conv_1": "branch5x5_2",
    "tower_1.conv": "branch3x3dbl_1",
    "tower_1.conv_1": "branch3x3dbl_2",
    "tower_1.conv_2": "branch3x3dbl_3",
    "tower_2.conv": "branch_pool",
}
_BRANCHES_35_TO_17 = {
    "conv": "branch3x3",
    "tower.conv": "branch3x3dbl_1",
    "tower.conv_1": "branch3x3dbl_2",
    "tower.conv_2": "branch3x3dbl_3",
}
_BRANCHES_17 = {
    "conv": "branch1x1",
    "tower.conv": "branch7x7_1",
    "tower.conv_1": "branch7x7_2",
    "tower.conv_2": "branch7x7_3",
    "tower_1.conv": "branch7x7dbl_1",
    "tower_1.conv_1": "branch7x7dbl_2",
    "tower_1.conv_2": "branch7x7dbl_3",
    "tower_1.conv_3": "branch7x7dbl_4",
    "tower_1.conv_4": "branch7x7dbl_5",
    "tower_2.conv": "branch_pool",
}
_BRANCHES_17_TO_8 = {
    "tower.conv": "branch3x3_1",
    "tower.conv_1": "branch3x3_2",
    "tower_1.conv": "branch7x7x3_1",
    "tower_1.conv_1": "branch7x7x3_2",
    "tower_1.conv_2": "branch7x7x3_3",
    "tower_1.conv_3": "branch7x7x3_4",
}
_BRANCHES_8 = {
    "conv": "branch1x1",
    "tower_conv": "branch3x3_1",
    "tower_mixed_conv": "branch3x3_2a",
    "tower_mixed_conv_1": "branch3x3_2b",
    "tower_1_conv": "branch3x3dbl_1",
    "tower_1_conv_1": "branch3x3dbl_2",
    "tower_1_mixed_conv": "branch3x3dbl_3a",
    "tower_1_mixed_conv_1": "branch3x3dbl_3b",
    "tower_2_conv": "branch_pool",
}
# Block by block, in the order of the graph's names: mixed, mixed_1, ..., mixed_10.
_MIXED = (
    *((f"2.{i}", _BRANCHES_35) for i in range(3)),
    ("2.3", _BRANCHES_35_TO_17),
    *((f"2.{i}", _BRANCHES_17) for i in range(4, 8)),
    ("3.0", _BRANCHES_17_TO_8),
    ("3.1", _BRANCHES_8),
    ("3.2", _BRANCHES_8),
)


def layer_names() -> dict[str, str]:
    """Return the 94 convolutions of Inception: name in the graph to name in pytorch-fid."""
    names = {graph: f"blocks.{ours}" for graph, ours in _STEM.items()}
    for i, (block, branches) in enumerate(_MIXED):
        prefix = f"mixed_{i}" if i else "mixed"
        names |= {f"{prefix}.{g}": f"blocks.{block}.{ours}" for g, ours in branches.items()}
    return names


def convert(source: Path, target: Path) -> None:
    """Convert the TorchScript Inception to the state dict of ``pytorch_fid``'s ``InceptionV3``.

    All four output blocks, FID variant. The script keeps a convolution, a shift, a mean and a
    variance for each layer (no gain: it is 1), with the normalisation's epsilon 0.001 in both.
    """
    import warnings

    import torch

    with warnings.catch_warnings():
        # TorchScript is deprecated; the carrier holds nothing else.
        warnings.simplefilter("ignore")
        script = torch.jit.load(str(source), map_location="cpu")
    state = {k.removeprefix("net.layers."): v.numpy() for k, v in script.state_dict().items()}
    tensors: dict[str, np.ndarray] = {}
    for graph, ours in layer_names().items():
        tensors[f"{ours}.conv.weight"] = state[f"{graph}.weight"]
        tensors[f"{ours}.bn.weight"] = np.ones_like(state[f"{graph}.beta"])
        tensors[f"{ours}.bn.bias"] = state[f"{graph}.beta"]
        tensors[f"{ours}.bn.running_mean"] = state[f"{graph}.mean"]
        tensors[f"{ours}.bn.running_var"] = state[f"{graph}.var"]
        tensors[f"{ours}.bn.num_batches_tracked"] = np.array(0, np.int64)
    write_safetensors(tensors, target)
