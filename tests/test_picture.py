"""One picture: whatever its kind, an upright square of RGB comes out, or one line that says why."""

import io
import os
import struct
import threading
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from unittest.mock import Mock

import numpy as np
import pytest
from PIL import Image, ImageOps
from PIL.PngImagePlugin import PngInfo

from minialex.datasets import DataError, read_image
from minialex.datasets.formats.picture import PictureError, as_jpeg, to_square

pytestmark = pytest.mark.ch10


def ramp(width=60, height=60):
    """Grey, from dark on the left to bright on the right."""
    return np.tile(np.linspace(10, 240, width), (height, 1)).astype(np.uint8)


def grey(path, **options):
    Image.fromarray(ramp()).save(path, **options)


def colour(path, **options):
    Image.fromarray(ramp()).convert("RGB").save(path, **options)


def sixteen_bits(path):
    Image.fromarray(ramp().astype(np.uint16) * 257).save(path)


def thirty_two_bits(path):
    Image.fromarray(ramp().astype(np.int32) * 257).save(path)


def opaque(path):
    Image.fromarray(ramp()).convert("RGBA").save(path)


def palette(path):
    Image.fromarray(ramp()).convert("P").save(path)


def cmyk(path):
    Image.fromarray(ramp()).convert("RGB").convert("CMYK").save(path, quality=95)


def rotated(path):
    """Lies on its side, as cameras store it, and says so."""
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn by 90 degrees clockwise to show it
    Image.fromarray(ramp()).rotate(90).save(path, exif=exif, quality=95)


def animated(path):
    frames = [Image.fromarray(255 - ramp()) for _ in range(2)]
    Image.fromarray(ramp()).save(path, save_all=True, append_images=frames)


KINDS = [
    ("a.jpg", grey), ("a.jpeg", grey), ("a.bmp", grey), ("a.webp", grey), ("A.PNG", grey),
    ("a.gif", grey), ("a.tiff", grey), ("a.jp2", colour), ("a.ppm", colour),
    ("progressive.jpg", lambda path: colour(path, progressive=True, quality=95)),
    ("16.png", sixteen_bits), ("16.tiff", sixteen_bits), ("32.tiff", thirty_two_bits),
    ("opaque.png", opaque), ("opaque.webp", opaque), ("palette.png", palette),
    ("cmyk.jpg", cmyk), ("cmyk.tiff", lambda path: Image.fromarray(ramp()).convert("CMYK").save(
        path)), ("rotated.jpg", rotated), ("animated.gif", animated), ("animated.webp", animated),
    ("really a png.jpg", lambda path: grey(path, format="PNG")),
    ("no suffix", lambda path: grey(path, format="JPEG", quality=95)),
    ("Ünï \n cödé 'x'.png", grey),
]


@pytest.mark.parametrize(("name", "save"), KINDS, ids=[name for name, _ in KINDS])
@pytest.mark.parametrize("side", [48, 60, 100])
def test_every_kind_of_picture_becomes_the_same_rgb(tmp_path, name, save, side):
    save(tmp_path / name)
    image = read_image(tmp_path / name, side)
    assert image.shape == (side, side, 3) and image.dtype == np.uint8
    expected = np.interp(np.arange(side) + 0.5, (np.arange(60) + 0.5) * side / 60, ramp()[0])
    np.testing.assert_allclose(image.mean(axis=(0, 2)), expected, atol=6)
    assert np.ptp(image, axis=(0, 2)).max() < 25, "columns of one grey"


def test_sixteen_bits_are_scaled_and_not_cut_off(tmp_path):
    Image.fromarray(np.full((8, 8), 0x80FF, np.uint16)).save(tmp_path / "a.png")
    assert (read_image(tmp_path / "a.png", 8) == 0x80).all()


TRANSPARENT = {
    "rgba.png": Image.new("RGBA", (9, 9), (200, 0, 0, 0)),
    "rgba.webp": Image.new("RGBA", (9, 9), (200, 0, 0, 0)),
    "la.png": Image.new("LA", (9, 9), (0, 0)),
}


@pytest.mark.parametrize("name", TRANSPARENT)
def test_what_is_transparent_becomes_white(tmp_path, name):
    TRANSPARENT[name].save(tmp_path / name)
    assert (read_image(tmp_path / name, 9) == 255).all()


@pytest.mark.parametrize(("mode", "colour", "black"), [
    ("P", 1, 0), ("RGB", (9, 8, 7), (0, 0, 0)), ("L", 9, 0)])
def test_a_colour_that_stands_for_transparency_becomes_white(tmp_path, mode, colour, black):
    picture = Image.new(mode, (9, 9), colour)
    if mode == "P":
        picture.putpalette([0, 0, 0, 200, 10, 10])
    picture.paste(black, (0, 0, 9, 3))
    picture.save(tmp_path / "a.png", transparency=colour)
    image = read_image(tmp_path / "a.png", 9)
    assert (image[4:] == 255).all() and (image[:2] == 0).all()


def test_half_transparent_is_mixed_with_white(tmp_path):
    Image.new("RGBA", (9, 9), (0, 100, 200, 128)).save(tmp_path / "a.png")
    np.testing.assert_allclose(read_image(tmp_path / "a.png", 9)[4, 4], (127, 177, 227), atol=1)


def test_inverted_cmyk_of_adobe_is_not_a_negative(tmp_path):
    """Programs of Adobe store CMYK inverted, with a note of theirs; Pillow writes it so, too."""
    Image.new("CMYK", (16, 16), (0, 255, 255, 0)).save(tmp_path / "red.jpg", quality=95)
    assert b"Adobe" in (tmp_path / "red.jpg").read_bytes()
    red, green, blue = read_image(tmp_path / "red.jpg", 16)[8, 8].astype(int)
    assert red > 200 and green < 50 and blue < 50


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_rotation_of_a_camera_is_undone(tmp_path, orientation):
    """White in the upper left corner of what the camera saw; 5 to 8 lie on their side."""
    turns = [None, None, "FLIP_LEFT_RIGHT", "ROTATE_180", "FLIP_TOP_BOTTOM", "TRANSPOSE",
             "ROTATE_90", "TRANSVERSE", "ROTATE_270"]
    picture = Image.new("RGB", (48, 64))
    picture.paste((255, 255, 255), (0, 0, 24, 32))
    if turns[orientation]:
        picture = picture.transpose(Image.Transpose[turns[orientation]])
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(tmp_path / "a.jpg", exif=exif, quality=95)
    image = read_image(tmp_path / "a.jpg", 48)
    assert image[:20, :20].min() > 200 and image[30:].max() < 50 and image[:, 30:].max() < 50


# Orientation 6, and a unit of length, of which this camera says "x" where a number should be.
ODD_EXIF = b"Exif\0\0" + struct.pack("<2sHIHHHIHHHHI4sI", b"II", 42, 8, 2, 0x0112, 3, 1, 6, 0,
                                      0x0128, 2, 2, b"x", 0)


def in_a_comment():
    """As ImageMagick puts EXIF into a PNG."""
    comment = PngInfo()
    comment.add_text("Raw profile type exif", f"\nexif\n{len(ODD_EXIF):8}\n{ODD_EXIF.hex()}\n")
    return comment


@pytest.mark.parametrize("exif", [b"MX\0*\0\0\0\b", b"II*\0\b", b"Exif\0\0", b"\0" * 40], ids=str)
@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.jpg"])
def test_exif_that_is_none_is_forgiven(tmp_path, name, exif):
    """The pixels are whole; damaged ones are still refused."""
    colour = (200, 10, 10)
    Image.new("RGB", (64, 48), colour).save(tmp_path / name, exif=exif)
    square, _ = to_square((tmp_path / name).read_bytes(), 32)
    assert np.abs(np.asarray(square).astype(int) - colour).max() < 8
    content = (tmp_path / name).read_bytes()
    with pytest.raises(PictureError):
        to_square(content[: len(content) // 2], 32)


@pytest.mark.parametrize(("name", "options"), [
    ("a.jpg", {"exif": ODD_EXIF, "quality": 95}), ("a.png", {"exif": ODD_EXIF}),
    ("a.webp", {"exif": ODD_EXIF}), ("comment.png", {"pnginfo": in_a_comment()})],
    ids=["jpg", "png", "webp", "comment"])
def test_a_camera_that_writes_odd_exif_is_forgiven(tmp_path, name, options):
    """Only how it was held is of interest; the rest cannot always be written anew."""
    Image.fromarray(ramp()).convert("RGB").rotate(90).save(tmp_path / name, **options)
    with Image.open(tmp_path / name) as opened:
        assert opened.getexif()[0x0112] == 6
        with pytest.raises((TypeError, struct.error)):
            opened.getexif().tobytes()
    np.testing.assert_allclose(read_image(tmp_path / name, 60)[30, :, 0], ramp()[0], atol=6)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 2), (1, 500), (500, 1), (4000, 3)])
def test_tiny_and_extreme_pictures(tmp_path, width, height):
    Image.new("RGB", (width, height), (10, 200, 30)).save(tmp_path / "a.png")
    image = read_image(tmp_path / "a.png", 32)
    assert image.shape == (32, 32, 3) and (image == (10, 200, 30)).all()


@pytest.mark.parametrize("suffix", ["jpg", "png"])
@pytest.mark.parametrize("portrait", [False, True])
def test_shorter_side_becomes_256_and_the_central_square_is_kept(tmp_path, suffix, portrait):
    """1200 x 600 in six stripes: 300 pixels go on both sides, half a stripe more than one."""
    stripes = np.repeat(np.arange(6, dtype=np.uint8) * 50, 200)
    picture = np.tile(stripes, (600, 1))
    Image.fromarray(picture.T if portrait else picture).save(tmp_path / f"a.{suffix}")
    image = read_image(tmp_path / f"a.{suffix}")
    assert image.shape == (256, 256, 3)
    profile = image.mean(axis=(1, 2) if portrait else (0, 2))
    expected = stripes[300:900][np.round((np.arange(256) + 0.5) * 600 / 256).astype(int)]
    inner = np.abs(np.diff(expected.astype(int), prepend=expected[0], append=expected[-1]))
    away = np.convolve(inner, np.ones(9), "same")[:256] == 0  # not within 4 pixels of an edge
    assert away.sum() > 200
    np.testing.assert_allclose(profile[away], expected[away], atol=3)


def test_a_large_picture_is_held_only_once(monkeypatch):
    """A copy of 13,000 x 13,000 pixels takes as much memory again."""
    file = io.BytesIO()
    Image.new("RGB", (300, 300)).save(file, "PNG")
    copied, copy, convert = [], Image.Image.copy, Image.Image.convert
    monkeypatch.setattr(Image.Image, "copy", lambda image: copied.append(1) or copy(image))
    monkeypatch.setattr(Image.Image, "convert",
                        lambda image, *mode: copied.append(1) or convert(image, *mode))
    to_square(file.getvalue(), 16)
    assert not copied
    Image.new("L", (3, 3)).convert("RGB").copy()
    assert len(copied) >= 2, "would have been seen"


def test_large_photograph_looks_as_if_no_shortcut_was_taken(tmp_path):
    """The decoder of JPEG leaves out detail that a square of this size cannot show."""
    rng = np.random.default_rng(0)
    rough = Image.fromarray(rng.integers(0, 256, (150, 150, 3)).astype(np.uint8))
    large = rough.resize((1600, 1600), Image.Resampling.BICUBIC)
    large.save(tmp_path / "a.jpg", quality=95)
    plain = np.asarray(large.resize((150, 150), Image.Resampling.BICUBIC)).astype(int)
    assert np.abs(read_image(tmp_path / "a.jpg", 150) - plain).mean() < 2


# Storing


def jpeg(size=(64, 64), mode="RGB", **options):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).resize(size).save(file, "JPEG", **options)
    return file.getvalue()


def orientation(number):
    exif = Image.Exif()
    exif[0x0112] = number
    return exif


@pytest.mark.parametrize("options", [{}, {"quality": 30}, {"comment": "by me"},
                                     {"exif": orientation(1)}], ids=str)
def test_what_is_a_plain_jpeg_of_the_right_size_is_kept(options):
    data = jpeg(**options)
    assert as_jpeg(data, 64, 95) is data


@pytest.mark.parametrize("data", [
    jpeg((64, 65)), jpeg((65, 64)), jpeg((32, 32)), jpeg(mode="L"), jpeg(mode="CMYK"),
    jpeg(exif=orientation(6)), jpeg((64, 65), comment="by me")])
def test_any_other_is_stored_as_one(data):
    made = as_jpeg(data, 64, 95)
    with Image.open(io.BytesIO(made)) as picture:
        assert (picture.format, picture.mode, picture.size) == ("JPEG", "RGB", (64, 64))
        assert not picture.getexif() and "comment" not in picture.info
        pixels = np.asarray(picture).astype(int)
    assert np.abs(pixels - np.asarray(to_square(data, 64)[0])).mean() < 4
    assert as_jpeg(made, 64, 30) is made, "preparing twice loses nothing"


def test_quality_counts_and_the_same_picture_gives_the_same_bytes():
    data = jpeg((100, 100))
    assert as_jpeg(data, 64, 95) == as_jpeg(data, 64, 95)
    assert len(as_jpeg(data, 64, 40)) < len(as_jpeg(data, 64, 95))


def test_a_plain_jpeg_that_is_damaged_is_not_kept():
    with pytest.raises(PictureError, match="truncated"):
        as_jpeg(jpeg()[:-200], 64, 95)


# Broken


def truncated(path):
    colour_noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3)).astype(np.uint8)
    Image.fromarray(colour_noise).save(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def pipe(path):
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no named pipes")
    os.mkfifo(path)


def bomb(path):
    """A small file that claims to hold 20,000 x 20,000 pixels."""
    grey(path)
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">II", 20_000, 20_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    path.write_bytes(data)


BROKEN = {
    "truncated.jpg": (truncated, r"image file is truncated \(.*\)"),
    "truncated.png": (truncated, "image file is truncated"),
    "zero.jpg": (lambda path: path.write_bytes(b""), "empty file"),
    "text.jpg": (lambda path: path.write_text("<html>404 not found</html>"),
                 "no picture, or of an unknown format"),
    "postscript.jpg": (lambda path: path.write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n"),
                       "no picture, or of an unknown format"),
    "folder.jpg": (lambda path: path.mkdir(), "it is no file"),
    "pipe.jpg": (pipe, "it is no file"),
    "missing.jpg": (lambda path: None, "No such file or directory"),
    "signature.png": (lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n"), "no picture, or of an"),
    "bomb.png": (bomb, r"more than 67,108,864 pixels"),
    "real numbers.tiff": (lambda path: Image.fromarray(ramp() / np.float32(255)).save(path),
                          "pixels are floating-point numbers"),
    "large numbers.tiff": (lambda path: Image.fromarray(ramp().astype(np.int32) * 2000).save(path),
                           "pixels are 32-bit numbers of unknown range"),
    "negative numbers.tiff": (lambda path: Image.fromarray(ramp().astype(np.int32) - 11).save(path),
                              "pixels are 32-bit numbers of unknown range"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_picture_is_named(tmp_path, name):
    make, reason = BROKEN[name]
    make(tmp_path / name)
    with pytest.raises(DataError, match=rf"\A.*/{name}: not a readable picture \({reason}.*\); "
                                        r"repair or remove it\Z") as caught:
        read_image(tmp_path / name)
    assert "\n" not in str(caught.value) and "0x" not in str(caught.value), "no address in memory"


def test_pictures_with_random_damage_are_read_or_refused(tmp_path, rng):
    """Whatever Pillow thinks of them: never another kind of error."""
    whole, refused = {}, 0
    for suffix in "jpg", "png", "bmp", "webp", "gif", "tiff", "jp2":
        grey(tmp_path / f"whole.{suffix}")
        whole[suffix] = (tmp_path / f"whole.{suffix}").read_bytes()
    rotated(tmp_path / "rotated.jpg")
    whole["exif.jpg"] = (tmp_path / "rotated.jpg").read_bytes()
    for suffix, data in whole.items():
        path = tmp_path / f"damaged.{suffix}"
        for _ in range(40):
            damaged = np.frombuffer(data, np.uint8).copy()
            damaged[rng.integers(0, min(len(data), 200), 4)] = rng.integers(0, 256, 4)
            path.write_bytes(damaged[: rng.integers(len(data) // 2, len(data))].tobytes())
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # Pillow's
                try:
                    assert read_image(path, 16).shape == (16, 16, 3)
                except DataError as error:
                    refused += str(error).startswith(f"{path}: not a readable picture")
    assert refused > 120


# Limits


def encoded(size, kind="WEBP", **options):
    file = io.BytesIO()
    Image.new("L", size).save(file, kind, **options)
    return file.getvalue()


def test_picture_of_too_many_pixels_is_refused_before_it_is_decoded(monkeypatch):
    """Few bytes can hold any number of equal pixels; and Pillow's own limit is no concern of us."""
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", None)
    data = encoded((8200, 8200), lossless=True)
    assert len(data) < 10_000
    for limit in Image.MAX_IMAGE_PIXELS, 10**6, 8200 * 8200 - 1:  # above: all, an error, a warning
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        filters = list(warnings.filters)
        with pytest.raises(PictureError, match=r"\Amore than 67,108,864 pixels\Z"):
            to_square(data, 8)
        assert list(warnings.filters) == filters


def test_file_of_too_many_bytes_is_not_read(tmp_path, monkeypatch):
    with open(tmp_path / "a.jpg", "wb") as file:
        file.truncate(5 * 2**30)  # a hole: it takes no room on the disk
    monkeypatch.setattr("minialex.datasets.formats.picture.to_square", None)
    with pytest.raises(DataError, match=r"/a\.jpg: not a readable picture \(more than 268,435,4"):
        read_image(tmp_path / "a.jpg")


def test_memory_that_does_not_suffice_is_the_fault_of_one_picture(monkeypatch):
    monkeypatch.setattr("PIL.ImageOps.fit", Mock(side_effect=MemoryError))
    with pytest.raises(PictureError, match="not enough memory for it"):
        to_square(encoded((9, 9)), 8)


@pytest.mark.parametrize(("kind", "at_once"), [("PNG", 1), ("JPEG", 3)])
def test_large_pictures_are_decoded_one_at_a_time(monkeypatch, kind, at_once):
    """But JPEGs, of which the decoder keeps but little, by all threads: they meet, or are alone."""
    monkeypatch.setattr("minialex.datasets.formats.picture.LARGE", 80)
    data, inside, most = encoded((9, 9), kind), [], []
    meeting = threading.Barrier(at_once, timeout=20)

    def fit(picture, size, method, fit=ImageOps.fit):
        inside.append(picture)
        meeting.wait()
        most.append(len(inside))
        meeting.wait()
        inside.pop()
        return fit(picture, size, method)

    monkeypatch.setattr("PIL.ImageOps.fit", fit)
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda _: to_square(data, 8), range(3)))
    assert most == 3 * [at_once]
