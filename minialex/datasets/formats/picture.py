"""One picture, of whatever kind, as a square of RGB pixels."""

from __future__ import annotations

import os
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ... import checks
from ...files import is_no_file
from ..errors import DataError

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["MOST_BYTES", "MOST_PIXELS", "SUFFIXES", "PictureError", "as_jpeg", "read_image",
           "to_square"]

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".gif", ".tif", ".tiff", ".jp2", ".ppm",
            ".pgm", ".jfif")
# The content decides, not the name. Left out are formats for which Pillow starts other programs.
FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
ORIENTATION = 0x0112  # in EXIF: how a camera was held; 1 is upright
# Up to 24 bytes a pixel are needed while a picture is decoded, turned and whitened: 1.5 GiB for the
# largest. Large ones are therefore decoded one at a time, whatever the number of threads; but not
# JPEGs, of which the decoder keeps only the detail that is wanted.
MOST_PIXELS, LARGE = 2**26, 2**24  # 8192 x 8192, 4096 x 4096
MOST_BYTES = 2**28  # of a file: as much as the largest picture without any compression

_ONE_LARGE = threading.Lock()
_FILTERS = threading.Lock()  # of warnings: they are the whole process's


class PictureError(DataError):
    """Why a picture cannot be used; which file it is must be added."""


def read_image(path: str | os.PathLike[str], side: int = 256,
               squeeze: bool = False) -> NDArray[np.uint8]:
    """Shorter side to `side`, then the central square: uint8 (side, side, 3).  Paper: section 2.

    squeeze: the whole picture, squeezed into the square, as for Caffe's networks.
    Raises DataError, naming the file, if it is no picture, damaged, or larger than any photograph.
    """
    path = checks.path("read_image", "path", path)
    try:
        if is_no_file(path):
            raise PictureError("it is no file")
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_size > MOST_BYTES:
                raise PictureError(f"more than {MOST_BYTES:,} bytes")
            return np.asarray(to_square(file.read(MOST_BYTES + 1), side, squeeze)[0])
    except OSError as error:
        reason = error.strerror
    except PictureError as error:
        reason = str(error)
    raise DataError(f"{path}: not a readable picture ({reason}); repair or remove it")


def as_jpeg(data: bytes, side: int, quality: int) -> bytes:
    """The same square as a JPEG file; if `data` is just that already, it is returned as it is.

    quality: 1 to 100. Colour is stored at half the resolution (4:2:0), as in most photographs.
    Raises PictureError if `data` is no picture or damaged.
    """
    picture, finished = to_square(data, side)
    if finished:
        return data
    picture.info.clear()  # a comment would be stored again
    file = BytesIO()
    picture.save(file, "JPEG", quality=quality, subsampling="4:2:0")
    return file.getvalue()


def to_square(data: bytes, side: int, squeeze: bool = False) -> tuple[Image.Image, bool]:
    """The content of a picture file -> its central square in RGB, and whether it was finished.

    It was finished if it is an upright RGB JPEG of side x side. Transparent pixels become white. Of
    16 bits a channel, the upper 8 are kept. A camera's rotation is undone. Of an animation, the
    first frame is taken. A JPEG in CMYK is read as inverted, as Adobe's programs write it.
    Raises PictureError if `data` is no picture or damaged.
    """
    from PIL import Image, ImageOps

    with _opened(data) as picture:
        finished = (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (side, side))
        # Damaged notes of a camera do not matter; damaged pixels are found when they are decoded.
        with suppress(SyntaxError, struct.error, ValueError):
            finished = picture.getexif().get(ORIENTATION, 1) == 1 and finished
        for name in ("exif", "Raw profile type exif"):  # or exif_transpose would write them again,
            picture.info.pop(name, None)  # and fail if they are damaged
        # The JPEG decoder may leave out detail, down to twice what is wanted: the filter needs it.
        picture.draft("RGB", (2 * side, 2 * side))
        ImageOps.exif_transpose(picture, in_place=True)
        fitted = Image.Image.resize if squeeze else ImageOps.fit
        square = fitted(_to_rgb(picture), (side, side), Image.Resampling.BICUBIC)
    return square, finished


@contextmanager
def _opened(data: bytes) -> Iterator[Image.Image]:
    """The picture in these bytes, not yet decoded; whatever is wrong with it is a PictureError."""
    from PIL import Image, UnidentifiedImageError

    if not data:
        raise PictureError("empty file")
    if len(data) > MOST_BYTES:
        raise PictureError(f"more than {MOST_BYTES:,} bytes")
    too_large = f"more than {MOST_PIXELS:,} pixels"
    try:
        with _FILTERS, warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            picture = Image.open(BytesIO(data), formats=FORMATS)
        pixels = picture.width * picture.height
        alone = pixels > LARGE and picture.format != "JPEG"
        with picture, _ONE_LARGE if alone else nullcontext():
            if pixels > MOST_PIXELS:
                raise PictureError(too_large)
            yield picture
        return
    except PictureError:
        raise
    except UnidentifiedImageError:
        reason = "no picture, or of an unknown format"
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        reason = too_large
    except MemoryError:
        reason = "not enough memory for it"
    except Exception as error:  # of a damaged picture Pillow lets errors of every kind through
        reason = " ".join(str(error).split()) or type(error).__name__
    raise PictureError(reason)


def _to_rgb(picture: Image.Image) -> Image.Image:
    from PIL import Image

    if picture.mode == "F":
        raise PictureError("pixels are floating-point numbers of unknown range")
    if picture.mode.startswith("I"):  # 16 bits a pixel: Pillow would cut off, not scale
        levels = np.asarray(picture)
        if levels.min() < 0 or levels.max() >= 2**16:
            raise PictureError("pixels are 32-bit numbers of unknown range")
        picture = Image.fromarray((levels >> 8).astype(np.uint8))
    if "A" in picture.getbands() or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture)
    return picture if picture.mode == "RGB" else picture.convert("RGB")  # which would be a copy
