"""Clothing dataset (small): photographs of clothes as people wear and sell them, ten classes.

A balanced subset of 200 training and 50 test photographs comes with minialex; it is described in
data/clothing-mini/README.md. It is "clothing-mini"; all 3,781 are "clothing".
"""

from dataclasses import replace

from .facts import Download, PublicSet

__all__ = ["CLOTHING", "CLOTHING_MINI"]

_COMMIT = "11961516512414bf9f6c150a832cfd21b54a6b54"
CLOTHING = PublicSet(
    name="clothing", images={"train": 3_068, "val": 341, "test": 372}, classes=10, pixels="400+",
    licence="CC0 1.0",
    citation="A. Grigorev, Clothing dataset (small), 2020, "
             "https://github.com/alexeygrigorev/clothing-dataset-small",
    home="https://github.com/alexeygrigorev/clothing-dataset-small",
    root=f"clothing-dataset-small-{_COMMIT}", holds=("train", "val", "test"),
    rename=(("validation", "val"),),
    # GitHub packs an archive anew when somebody asks for it, and does not promise the same bytes
    # each time: so there is no size and no checksum of the archive, but one of its photographs.
    downloads=(Download(
        f"clothing-dataset-small-{_COMMIT}.zip",
        (f"https://github.com/alexeygrigorev/clothing-dataset-small/archive/{_COMMIT}.zip",
         f"https://codeload.github.com/alexeygrigorev/clothing-dataset-small/zip/{_COMMIT}"),
        None, None),),
    content="0b4157964e4493d5fab1d9303900a530c91ef144631c30b06efc0ef62b5fe8e5")

# A prepared set: see shards/write.py.
CLOTHING_MINI = replace(
    CLOTHING, name="clothing-mini", images={"train": 200, "test": 50}, pixels="256",
    holds=("train-00000.zip", "test-00000.zip", "manifest.csv"),
    embedded=True, downloads=(), root="", rename=(), content=None)
