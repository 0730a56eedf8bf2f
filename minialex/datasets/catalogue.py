"""The public data sets that minialex knows: where each has its home, and what it must be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from .errors import DataError

__all__ = ["CATALOGUE", "Download", "PublicSet", "look_up"]


@dataclass(frozen=True)
class Download:
    """One file to fetch.

    addresses: the same bytes at each, best first; none where everybody must ask for themselves;
    size: in bytes, checksum: "sha256:..." or "md5:..."; None where no value is published.
    """

    name: str
    addresses: tuple[str, ...]
    size: int | None
    checksum: str | None


@dataclass(frozen=True)
class PublicSet:
    """A data set with a home on the web.

    images: how many in each split; pixels: their size, or that of the shorter side with a "+";
    folder: where it lies in the data folder; holds: what is in there when the set is complete;
    root: the folder inside the archive that becomes `folder`; empty: the files stay as they come;
    rename: folders of the archive and what they are called here;
    content: digest of the unpacked files (see `content_digest`), where the archive itself has none.
    """

    name: str
    images: Mapping[str, int]
    classes: int
    pixels: str
    licence: str
    citation: str
    home: str
    folder: str
    holds: tuple[str, ...]
    downloads: tuple[Download, ...]
    root: str = ""
    rename: tuple[tuple[str, str], ...] = ()
    content: str | None = None

    @property
    def size(self) -> int | None:
        """Bytes to fetch, where they are known."""
        sizes = [download.size for download in self.downloads]
        return None if None in sizes else sum(size or 0 for size in sizes)


def look_up(name: str) -> PublicSet:
    """The set of this name. Raises DataError if there is none."""
    if name not in CATALOGUE:
        raise DataError(f"data set {name!r} came; need one of {', '.join(CATALOGUE)}; "
                        "correct the name")
    return CATALOGUE[name]


def _idx_files(addresses: tuple[str, ...],
               facts: Mapping[str, tuple[int, str]]) -> tuple[Download, ...]:
    return tuple(Download(name, tuple(address + name for address in addresses), size,
                          f"sha256:{checksum}") for name, (size, checksum) in facts.items())


_FASHION_MNIST = PublicSet(
    name="fashion-mnist", images={"train": 60_000, "test": 10_000}, classes=10, pixels="28x28",
    licence="MIT",
    citation="H. Xiao, K. Rasul, R. Vollgraf, Fashion-MNIST: a Novel Image Dataset for "
             "Benchmarking Machine Learning Algorithms, arXiv:1708.07747, 2017",
    home="https://github.com/zalandoresearch/fashion-mnist",
    folder="fashion-mnist-full",  # data/fashion-mnist holds the embedded subset
    holds=("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz",
           "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"),
    downloads=_idx_files(
        ("https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/"
         "b2617bb6d3ffa2e429640350f613e3291e10b141/data/fashion/",
         "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"),
        {"train-images-idx3-ubyte.gz":
             (26_421_880, "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84"),
         "train-labels-idx1-ubyte.gz":
             (29_515, "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845"),
         "t10k-images-idx3-ubyte.gz":
             (4_422_102, "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073"),
         "t10k-labels-idx1-ubyte.gz":
             (5_148, "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5")}))

_MNIST = PublicSet(
    name="mnist", images={"train": 60_000, "test": 10_000}, classes=10, pixels="28x28",
    licence="CC BY-SA 3.0",
    citation="Y. LeCun, C. Cortes, C. J. C. Burges, The MNIST database of handwritten digits, 1998",
    home="http://yann.lecun.com/exdb/mnist/",
    folder="mnist", holds=_FASHION_MNIST.holds,
    downloads=_idx_files(
        ("https://ossci-datasets.s3.amazonaws.com/mnist/",
         "https://storage.googleapis.com/cvdf-datasets/mnist/"),
        {"train-images-idx3-ubyte.gz":
             (9_912_422, "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609"),
         "train-labels-idx1-ubyte.gz":
             (28_881, "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c"),
         "t10k-images-idx3-ubyte.gz":
             (1_648_877, "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6"),
         "t10k-labels-idx1-ubyte.gz":
             (4_542, "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6")}))

_CIFAR10 = PublicSet(
    name="cifar10", images={"train": 50_000, "test": 10_000}, classes=10, pixels="32x32",
    licence="not stated",
    citation="A. Krizhevsky, Learning Multiple Layers of Features from Tiny Images, technical "
             "report, University of Toronto, 2009",
    home="https://www.cs.toronto.edu/~kriz/cifar.html",
    folder="cifar10", root="cifar-10-batches-bin",
    holds=("data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin",
           "data_batch_5.bin", "test_batch.bin"),
    downloads=(Download(
        "cifar-10-binary.tar.gz",
        ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
         "https://cave.cs.toronto.edu/kriz/cifar-10-binary.tar.gz"),
        170_052_171, "sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"),))

_COMMIT = "11961516512414bf9f6c150a832cfd21b54a6b54"
_CLOTHING = PublicSet(
    name="clothing", images={"train": 3_068, "val": 341, "test": 372}, classes=10, pixels="400+",
    licence="CC0 1.0",
    citation="A. Grigorev, Clothing dataset (small), 2020, "
             "https://github.com/alexeygrigorev/clothing-dataset-small",
    home="https://github.com/alexeygrigorev/clothing-dataset-small",
    folder="clothing", root=f"clothing-dataset-small-{_COMMIT}", holds=("train", "val", "test"),
    rename=(("validation", "val"),),
    # GitHub packs an archive anew when somebody asks for it, and does not promise the same bytes
    # each time: so there is no size and no checksum of the archive, but one of its photographs.
    downloads=(Download(
        f"clothing-dataset-small-{_COMMIT}.zip",
        (f"https://github.com/alexeygrigorev/clothing-dataset-small/archive/{_COMMIT}.zip",
         f"https://codeload.github.com/alexeygrigorev/clothing-dataset-small/zip/{_COMMIT}"),
        None, None),),
    content="0b4157964e4493d5fab1d9303900a530c91ef144631c30b06efc0ef62b5fe8e5")

_IMAGENETTE = PublicSet(
    name="imagenette", images={"train": 9_469, "val": 3_925}, classes=10, pixels="320+",
    licence="ImageNet's",
    citation="J. Howard, Imagenette, 2019, https://github.com/fastai/imagenette; "
             "the photographs: see imagenet",
    home="https://github.com/fastai/imagenette",
    folder="imagenette", root="imagenette2-320", holds=("train", "val"),
    downloads=(Download(
        "imagenette2-320.tgz",
        ("https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-320.tgz",
         "https://fast-ai-imageclas.s3.amazonaws.com/imagenette2-320.tgz"),
        341_663_724, "sha256:569b4497c98db6dd29f335d1f109cf315fe127053cedf69010d047f0188e158c"),))

# Only for who has agreed to its terms, so there are no addresses.
_IMAGENET = PublicSet(
    name="imagenet", images={"train": 1_281_167, "val": 50_000}, classes=1_000, pixels="any",
    licence="ImageNet's",  # for research and teaching, without commercial use
    citation="O. Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, "
             "International Journal of Computer Vision 115, 2015, arXiv:1409.0575",
    home="https://image-net.org/challenges/LSVRC/2012/",
    folder="imagenet", holds=("train", "val"),
    downloads=(
        Download("ILSVRC2012_img_train.tar", (), 147_897_477_120,
                 "md5:1d675b47d978889d74fa0da5fadfb00e"),
        Download("ILSVRC2012_img_val.tar", (), 6_744_924_160,
                 "md5:29b22e2961454d5413ddabcf34fc5622"),
        # Names the classes of the validation images.
        Download("ILSVRC2012_devkit_t12.tar.gz", (), None,
                 "md5:fa75699e90414af021442c21a62c3abf")))

CATALOGUE: Mapping[str, PublicSet] = MappingProxyType({
    known.name: known
    for known in (_FASHION_MNIST, _MNIST, _CIFAR10, _CLOTHING, _IMAGENETTE, _IMAGENET)})
