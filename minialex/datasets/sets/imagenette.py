"""Imagenette: ten classes of ImageNet that are easy to tell apart."""

from .facts import Download, PublicSet

__all__ = ["IMAGENETTE"]

IMAGENETTE = PublicSet(
    name="imagenette", images={"train": 9_469, "val": 3_925}, classes=10, pixels="320+",
    licence="ImageNet's",
    citation="J. Howard, Imagenette, 2019, https://github.com/fastai/imagenette; "
             "the photographs: see imagenet",
    home="https://github.com/fastai/imagenette",
    root="imagenette2-320", holds=("train", "val"),
    downloads=(Download(
        "imagenette2-320.tgz",
        ("https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-320.tgz",
         "https://fast-ai-imageclas.s3.amazonaws.com/imagenette2-320.tgz"),
        341_663_724, "sha256:569b4497c98db6dd29f335d1f109cf315fe127053cedf69010d047f0188e158c"),))
