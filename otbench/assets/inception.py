"""The Inception network of the Fréchet distance: from TorchScript to pytorch-fid's state dict."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from otbench.assets.convert import write_safetensors

# The names of the layers in the TensorFlow graph and in pytorch-fid's network.
_STEM = {
    "conv": "Conv2d_1a_3x3",
    "conv_1": "Conv2d_2a_3x3",
    "conv_2": "Conv2d_2b_3x3",
    "conv_3": "Conv2d_3b_1x1",
    "conv_4": "Conv2d_4a_3x3",
}
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
_MIXED = {
    "Mixed_5b": _BRANCHES_35,
    "Mixed_5c": _BRANCHES_35,
    "Mixed_5d": _BRANCHES_35,
    "Mixed_6a": _BRANCHES_35_TO_17,
    "Mixed_6b": _BRANCHES_17,
    "Mixed_6c": _BRANCHES_17,
    "Mixed_6d": _BRANCHES_17,
    "Mixed_6e": _BRANCHES_17,
    "Mixed_7a": _BRANCHES_17_TO_8,
    "Mixed_7b": _BRANCHES_8,
    "Mixed_7c": _BRANCHES_8,
}


def layer_names() -> dict[str, str]:
    """Return the 94 convolutions of Inception, from names in the graph to names in pytorch-fid."""
    names = dict(_STEM)
    for i, (block, branches) in enumerate(_MIXED.items()):
        prefix = f"mixed_{i}" if i else "mixed"
        names |= {f"{prefix}.{g}": f"{block}.{ours}" for g, ours in branches.items()}
    return names


def convert(source: Path, target: Path) -> None:
    """Convert the TorchScript Inception to the state of pytorch-fid's ``fid_inception_v3``.

    The classifier (``fc``) is left out because no feature needs it. The script stores a
    convolution, a shift, a mean and a variance for each layer (the gain is 1 and is not stored).
    The epsilon of the normalisation is 0.001 in both.
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
