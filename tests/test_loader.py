"""From pictures to batches: what is read, cut, turned, and in which order."""

import itertools
import threading

import numpy as np
import pytest
from PIL import Image

from minialex.datasets import DataError, ImageSet, Preparation, batches, image_folder, read_image

pytestmark = pytest.mark.ch10

ROWS = COLUMNS = 7
SIZE = 5  # of a crop: 3 x 3 places, and mirrored or not
READ_AHEAD = "minialex-loader"


def chart(n=40):
    """Images that say where each pixel came from: (16 * row + column, number of the image)."""
    images = np.zeros((n, ROWS, COLUMNS, 2), np.uint8)
    images[..., 0] = np.add.outer(16 * np.arange(ROWS), np.arange(COLUMNS))
    images[..., 1] = np.arange(n)[:, None, None]
    return ImageSet.of_arrays("chart", images, np.arange(n), [str(i) for i in range(n)])


def epoch(data=None, batch=16, mean=None, scale=1.0, size=SIZE, **options):
    data = data or chart()
    mean = np.zeros(data.shape, np.float32) if mean is None else mean
    return batches(data, Preparation(size, mean, scale), batch, **options)


def all_of(feed):
    """Images and labels of all batches, one after the other."""
    images, labels = zip(*feed, strict=True)
    return np.concatenate(images), np.concatenate(labels)


def places(images):
    """Of each crop: top row, left column, and whether it is mirrored."""
    first, second = images[:, 0, 0, 0].astype(int), images[:, 0, 1, 0].astype(int)
    mirrored = second < first
    return first // 16, first % 16 - mirrored * (SIZE - 1), mirrored


# Batches


def test_sizes_and_types():
    feed = list(epoch(seed=1))
    assert [len(images) for images, _ in feed] == [16, 16, 8]
    for images, labels in feed:
        assert images.shape[1:] == (SIZE, SIZE, 2) and images.dtype == np.float32
        assert labels.shape == images.shape[:1] and labels.dtype == np.int64


@pytest.mark.parametrize("seed", [None, 0, 3])
def test_every_image_comes_once_with_its_label(seed):
    images, labels = all_of(epoch(seed=seed))
    assert sorted(labels) == list(range(40))
    np.testing.assert_array_equal(images[:, 0, 0, 1], labels)
    assert (list(labels) == sorted(labels)) == (seed is None)


def test_one_seed_and_epoch_give_the_same_bits_twice():
    for one, same in zip(epoch(seed=3, epoch=2), epoch(seed=3, epoch=2), strict=True):
        assert one.images.tobytes() == same.images.tobytes()
        assert one.labels.tobytes() == same.labels.tobytes()


def test_order_crops_and_mirrors_differ_between_epochs_and_seeds():
    feeds = [all_of(epoch(seed=seed, epoch=number)) for seed in (0, 1) for number in (1, 2)]
    for (a, a_labels), (b, b_labels) in itertools.combinations(feeds, 2):
        assert (a_labels != b_labels).any()
        differ = [(x != y).any() for x, y in zip(places(a), places(b), strict=True)]
        assert differ == [True, True, True], "top, left, mirrored"


def test_batches_of_an_epoch_differ_in_their_places():
    first, second, _ = epoch(seed=1)
    assert (places(first.images)[0] != places(second.images)[0]).any()


@pytest.mark.parametrize("first", range(4))
@pytest.mark.parametrize("seed", [None, 3])
def test_first_goes_on_exactly(seed, first):
    rest = list(epoch(seed=seed, epoch=4, first=first))
    expected = list(epoch(seed=seed, epoch=4))[first:]
    assert len(rest) == 3 - first
    for a, b in zip(rest, expected, strict=True):
        np.testing.assert_array_equal(a.images, b.images)
        np.testing.assert_array_equal(a.labels, b.labels)


def test_crops_lie_within_the_image_and_reach_every_corner():
    """Nine places, mirrored or not: each about as often as the others."""
    images, _ = all_of(epoch(chart(1800), batch=200, seed=1))
    kinds, counts = np.unique(np.stack(places(images)), axis=1, return_counts=True)
    assert kinds.T.tolist() == [list(kind) for kind in itertools.product(*map(range, (3, 3, 2)))]
    assert counts.min() > 60 and counts.max() < 140  # 100 expected, deviation 10


def test_a_crop_is_one_piece_and_a_mirror_image_turns_left_to_right():
    images, labels = all_of(epoch(seed=2))
    whole = chart().read(labels)
    assert 0 < places(images)[2].sum() < 40
    for crop, image, top, left, mirrored in zip(images, whole, *places(images), strict=True):
        expected = image[top : top + SIZE, left : left + SIZE]
        np.testing.assert_array_equal(crop, expected[:, ::-1] if mirrored else expected)


def test_without_a_seed_the_central_crops_come_in_order():
    images, labels = all_of(epoch())
    np.testing.assert_array_equal(images, chart().read(labels)[:, 1:6, 1:6])


def test_central_crop_when_the_room_is_odd():
    """As in 2012, the smaller half is cut off above and on the left."""
    images, _ = all_of(epoch(size=4))
    assert images[0, 0, 0, 0] == 16 * 1 + 1


def test_crop_as_large_as_the_image():
    images, labels = all_of(epoch(size=7, seed=1))
    whole = chart().read(labels)
    turned = np.where(places(images)[2][:, None, None, None], whole[:, :, ::-1], whole)
    assert images.shape == whole.shape and (images == turned).any(axis=(1, 2, 3)).all()


def test_crop_larger_than_the_image():
    with pytest.raises(ValueError, match=r"batches: crops of 8 pixels do not fit into images of "
                                         r"7x7; use smaller crops or larger images"):
        next(epoch(size=8))


def test_mean_comes_off_with_its_central_crop_wherever_the_image_was_cut():
    mean = np.random.default_rng(0).uniform(0, 255, (ROWS, COLUMNS, 2)).astype(np.float32)
    plain, _ = all_of(epoch(seed=1))
    less, _ = all_of(epoch(seed=1, mean=mean))
    np.testing.assert_array_equal(less, plain - mean[1:6, 1:6])
    scaled, _ = all_of(epoch(seed=1, mean=mean, scale=1 / 64))
    np.testing.assert_allclose(scaled, less / 64, rtol=1e-6)
    assert scaled.dtype == np.float32


def loaders():
    return [t for t in threading.enumerate() if t.name.startswith(READ_AHEAD) and t.is_alive()]


@pytest.mark.parametrize("bad", [0, 1, 2])
def test_error_in_reading_reaches_the_caller_at_its_batch(bad):
    good = chart()

    def read(indices):
        if indices[0] == 16 * bad:
            raise DataError("broken.jpg: not a readable picture")
        return good.read(indices)

    data = ImageSet("bad", good.labels, good.classes, good.shape, read)
    feed = epoch(data)
    assert [len(next(feed).images) for _ in range(bad)] == bad * [16]
    with pytest.raises(DataError, match=r"broken\.jpg: not a readable picture"):
        next(feed)
    assert not loaders()


def test_one_batch_is_read_ahead_and_no_more():
    good, read = chart(160), []
    data = ImageSet("watched", good.labels, good.classes, good.shape,
                    lambda indices: (read.append(indices[0]), good.read(indices))[1])
    feed = epoch(data)
    assert not read, "nothing is read before it is asked for"
    for number in range(4):
        next(feed)
        assert len(read) <= number + 2
    feed.close()
    assert len(read) <= 5 and not loaders()


# Sets


def test_set_of_arrays(rng):
    images, labels = rng.integers(0, 256, (9, 6, 5, 3)).astype(np.uint8), np.arange(9) % 2
    data = ImageSet.of_arrays("nine", images, labels, ["even", "odd"])
    assert (len(data), data.name, data.shape) == (9, "nine", (6, 5, 3))
    np.testing.assert_array_equal(data.read(np.array([4, 4, 0])), images[[4, 4, 0]])


@pytest.mark.parametrize("n", [1, 7, 300, 700])
def test_mean_image(rng, n):
    """Of bright images: their sum is far too large for their own type."""
    images = rng.integers(200, 256, (n, 3, 4, 2)).astype(np.uint8)
    mean = ImageSet.of_arrays("", images, np.zeros(n, np.int64), [""]).mean_image()
    assert mean.dtype == np.float32
    np.testing.assert_allclose(mean, images.mean(axis=0), rtol=1e-6)


def test_mean_image_of_some_is_spread_over_all():
    images = np.arange(100, dtype=np.uint8).reshape(100, 1, 1, 1)
    data = ImageSet.of_arrays("", images, np.zeros(100, np.int64), [""])
    assert data.mean_image(most=5).item() == pytest.approx(np.mean([0, 24, 49, 74, 99]))


# Pictures


def ramp(width=60, height=60):
    """Grey, from dark on the left to bright on the right."""
    return np.tile(np.linspace(10, 240, width), (height, 1)).astype(np.uint8)


def grey(path, **options):
    Image.fromarray(ramp()).save(path, **options)


def sixteen_bits(path):
    Image.fromarray(ramp().astype(np.uint16) * 257).save(path)


def alpha(path):
    Image.fromarray(ramp()).convert("RGBA").save(path)


def palette(path):
    Image.fromarray(ramp()).convert("P").save(path)


def transparent_palette(path):
    Image.fromarray(ramp()).convert("P").save(path, transparency=bytes(range(256)))


def cmyk(path):
    Image.fromarray(ramp()).convert("RGB").convert("CMYK").save(path, quality=95)


def rotated(path):
    """Lies on its side, as cameras store it, and says so."""
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn by 90 degrees clockwise to show it
    Image.fromarray(ramp()).rotate(90).save(path, exif=exif, quality=95)


@pytest.mark.parametrize(("name", "save"), [
    ("a.jpg", grey), ("a.jpeg", grey), ("a.bmp", grey), ("a.webp", grey), ("A.PNG", grey),
    ("16.png", sixteen_bits), ("alpha.png", alpha), ("palette.png", palette),
    ("transparent.png", transparent_palette), ("cmyk.jpg", cmyk), ("rotated.jpg", rotated),
])
@pytest.mark.parametrize("side", [48, 60, 100])
def test_every_kind_of_picture_becomes_the_same_rgb(tmp_path, name, save, side):
    save(tmp_path / name)
    image = read_image(tmp_path / name, side)
    assert image.shape == (side, side, 3) and image.dtype == np.uint8
    expected = np.interp(np.arange(side) + 0.5, (np.arange(60) + 0.5) * side / 60, ramp()[0])
    np.testing.assert_allclose(image.mean(axis=(0, 2)), expected, atol=6)
    assert np.ptp(image, axis=(0, 2)).max() < 25, "columns of one grey"


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 2), (1, 500), (500, 1)])
def test_tiny_picture(tmp_path, width, height):
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


def truncated(path):
    grey(path)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


BROKEN = {
    "truncated.jpg": truncated,
    "truncated.png": truncated,
    "zero.jpg": lambda path: path.write_bytes(b""),
    "text.jpg": lambda path: path.write_text("<html>404 not found</html>"),
    "folder.jpg": lambda path: path.mkdir(),
    "missing.jpg": lambda path: None,
    "signature.png": lambda path: path.write_bytes(b"\x89PNG\r\n\x1a\n"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_picture_is_named(tmp_path, name):
    BROKEN[name](tmp_path / name)
    with pytest.raises(DataError, match=rf"\A\S*{name}: not a readable picture \(.*; repair"):
        read_image(tmp_path / name)


def test_pictures_with_random_damage_are_read_or_refused(tmp_path, rng):
    """Whatever Pillow thinks of them: never another kind of error."""
    whole, refused = {}, 0
    for suffix in "jpg", "png", "bmp", "webp":
        grey(tmp_path / f"whole.{suffix}")
        whole[suffix] = (tmp_path / f"whole.{suffix}").read_bytes()
    for suffix, data in whole.items():
        path = tmp_path / f"damaged.{suffix}"
        for _ in range(40):
            damaged = np.frombuffer(data, np.uint8).copy()
            damaged[rng.integers(0, min(len(data), 200), 4)] = rng.integers(0, 256, 4)
            path.write_bytes(damaged[: rng.integers(len(data) // 2, len(data))].tobytes())
            try:
                assert read_image(path, 16).shape == (16, 16, 3)
            except DataError as error:
                refused += str(error).startswith(f"{path}: not a readable picture")
    assert refused > 80


# Folders


@pytest.fixture
def folder(tmp_path):
    """Two classes of one grey each; makes more with `folder(split, name, level, count)`."""
    def add(split, name, level, count=1, suffix="png"):
        place = tmp_path / split / name
        place.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            Image.new("RGB", (20, 30), (level + number,) * 3).save(place / f"{number}.{suffix}")

    add("train", "zebra", 100, 2)
    add("train", "ant", 10, 3)
    add.path = tmp_path
    return add


def test_folder_is_read_by_class_in_sorted_order(folder):
    folder("train", "ant", 50, 1, "JPG")
    (folder.path / "train" / "ant" / "notes.txt").write_text("no picture")
    (folder.path / "train" / "README").write_text("no class")
    (folder.path / "train" / ".cache").mkdir()
    data = image_folder(folder.path, side=16)
    assert data.classes == ["ant", "zebra"] and data.shape == (16, 16, 3)
    assert data.name == folder.path.name
    assert data.labels.tolist() == [0, 0, 0, 0, 1, 1] and data.labels.dtype == np.int64
    images = data.read(np.array([5, 0, 1]))
    assert images.dtype == np.uint8 and images.shape == (3, 16, 16, 3)
    assert images[:, 8, 8, 1].tolist() == [101, 50, 10], "0.JPG comes before 0.png"


@pytest.mark.parametrize(("present", "level"), [
    (["val"], 30), (["test"], 40), (["val", "test"], 40)])
def test_val_stands_in_for_test(folder, present, level):
    for split in present:
        folder(split, "zebra", {"val": 30, "test": 40}[split])
    data = image_folder(folder.path, "test", 16)
    assert data.classes == ["ant", "zebra"] and data.labels.tolist() == [1]
    assert data.read(np.array([0])).max() == level


@pytest.mark.parametrize(("prepare", "split", "message"), [
    (lambda path: (path / "train").rename(path / "images"), "train", "there is no folder train; "
     "pictures must lie in "),
    (lambda path: (path / "train").rename(path / "test"), "test", "there is no folder train; "),
    (lambda path: None, "test", "there is no folder test or val; pictures must lie in "),
    (lambda path: (path / "test").mkdir(), "test", "test: no pictures; they must lie in "),
    (lambda path: (path / "test" / "yak").mkdir(parents=True), "test", "test: no pictures"),
    (lambda path: None, "val", "split 'val' came; need 'train' or 'test'"),
], ids=["no train", "test only", "no test", "no classes", "no pictures", "split"])
def test_folder_that_lacks_something(folder, prepare, split, message):
    prepare(folder.path)
    with pytest.raises(DataError) as caught:
        image_folder(folder.path, split)
    assert message in str(caught.value) and "\n" not in str(caught.value)


def test_empty_train_folder(tmp_path):
    (tmp_path / "train").mkdir()
    with pytest.raises(DataError, match=r"train: no pictures; they must lie in .*train/CLASS/ and"):
        image_folder(tmp_path)


def test_broken_picture_in_a_folder_is_named_when_it_is_read(folder):
    (folder.path / "train" / "ant" / "1.png").write_text("broken")
    data = image_folder(folder.path, side=16)
    assert data.read(np.array([0, 2])).shape == (2, 16, 16, 3)
    with pytest.raises(DataError, match=r"train/ant/1\.png: not a readable picture"):
        all_of(epoch(data, size=16))


def test_photographs(test_data):
    """Any copy of clothing-256: ten classes, and pictures that are neither black nor alike."""
    for split in "train", "test":
        data = image_folder(test_data / "clothing-256", split)
        assert len(data.classes) == 10 and data.shape == (256, 256, 3)
        assert np.bincount(data.labels, minlength=10).min() > 0
        mean = data.mean_image(most=16)
        assert 60 < mean.mean() < 220
        first = next(epoch(data, batch=8, mean=mean, size=227))
        assert first.images.shape == (8, 227, 227, 3) and first.images.std() > 20
