"""From images to batches: what is read, cut, turned, in which order, and in which threads."""

import gc
import itertools
import math
import threading
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from minialex import datasets
from minialex.datasets import ColourNoise, DataError, ImageSet, Preparation, Statistics, batches
from minialex.datasets.feed.batches import CHUNK
from minialex.datasets.sets.folder import folder_source

pytestmark = pytest.mark.ch10

ROWS = COLUMNS = 7
SIZE = 5  # of a crop: 3 x 3 places, and mirrored or not
LOADER = "minialex-loader"


def chart(n=40):
    """Images that say where each pixel came from: (16 * row + column, number of the image)."""
    images = np.zeros((n, ROWS, COLUMNS, 2), np.uint8)
    images[..., 0] = np.add.outer(16 * np.arange(ROWS), np.arange(COLUMNS))
    images[..., 1] = np.arange(n)[:, None, None]
    return ImageSet.of_arrays("chart", images, np.arange(n), [str(i) for i in range(n)])


def epoch(data=None, batch=16, mean=None, scale=1.0, size=SIZE, noise=None, **options):
    data = chart() if data is None else data
    mean = np.zeros(data.shape, np.float32) if mean is None else mean
    return batches(data, Preparation(size, mean, scale, noise), batch, **options)


def all_of(feed):
    """Images and labels of all batches, one after the other."""
    images, labels = zip(*feed, strict=True)
    return np.concatenate(images), np.concatenate(labels)


def colours():
    """Noise for the two channels of a chart."""
    return ColourNoise(Statistics(np.zeros((ROWS, COLUMNS, 2)), np.array([[90.0, 5], [5, 40]])))


def bits(feed):
    return [(images.tobytes(), labels.tobytes()) for images, labels in feed]


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


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("options", [
    {"seed": 3, "epoch": 2}, {"seed": 3, "noise": colours()}, {}, {"ten_views": True}], ids=str)
def test_same_bits_twice_whatever_the_number_of_threads(options, threads):
    """Batches of 19 images leave a thread less to do than the others."""
    assert bits(epoch(batch=19, threads=threads, **options)) == bits(epoch(batch=19, **options))


def test_order_crops_and_mirrors_differ_between_epochs_and_seeds():
    feeds = [all_of(epoch(seed=seed, epoch=number)) for seed in (0, 1) for number in (1, 2)]
    for (a, a_labels), (b, b_labels) in itertools.combinations(feeds, 2):
        assert (a_labels != b_labels).any()
        differ = [(x != y).any() for x, y in zip(places(a), places(b), strict=True)]
        assert differ == [True, True, True], "top, left, mirrored"


def test_no_two_draws_share_their_random_numbers(monkeypatch):
    """Neither those of two batches, nor the order of an epoch and one of its batches."""
    states = []

    def watched(seed, real=np.random.default_rng):
        rng = real(seed)
        states.append(rng.bit_generator.state["state"]["state"])
        return rng

    monkeypatch.setattr(np.random, "default_rng", watched)
    for number in 0, 1, 2:
        all_of(epoch(seed=1, epoch=number))
    assert len(states) == len(set(states)) == 3 * (1 + 3)


def test_noise_differs_between_images_batches_epochs_and_seeds():
    """Of a black image nothing but the noise is left."""
    black = ImageSet.of_arrays("black", np.zeros((40, ROWS, COLUMNS, 2), np.uint8), np.arange(40),
                               [""])
    feeds = [all_of(epoch(black, noise=colours(), seed=seed, epoch=number))[0]
             for seed in (0, 1) for number in (1, 2)]
    assert np.ptp(feeds, axis=(2, 3)).max() == 0
    assert len(np.unique(feeds)) == 4 * 40 * 2
    assert all_of(epoch(black, noise=colours()))[0].max() == 0, "evaluation"


def test_noise_changes_neither_order_nor_places():
    """A run that switches it off late sees what it would have seen."""
    plain, labels = all_of(epoch(seed=1))
    noisy, same = all_of(epoch(seed=1, noise=colours()))
    np.testing.assert_array_equal(same, labels)
    moved = 1.1 * noisy - plain
    assert np.ptp(moved, axis=(1, 2)).max() < 1e-3 < np.ptp(moved)


def test_batches_of_an_epoch_differ_in_their_places():
    first, second, _ = epoch(seed=1)
    assert (places(first.images)[0] != places(second.images)[0]).any()


def test_ten_views_of_an_image_stand_in_a_row_before_one_label():
    feed = list(epoch(batch=16, ten_views=True))
    assert [len(images) for images, _ in feed] == [160, 160, 80]
    assert [len(labels) for _, labels in feed] == [16, 16, 8]
    images, labels = all_of(feed)
    np.testing.assert_array_equal(images[:, 0, 0, 1], np.repeat(labels, 10))
    top, left, mirrored = (found.reshape(40, 10) for found in places(images))
    assert (top == 2 * [0, 0, 2, 2, 1]).all() and (left == 2 * [0, 2, 0, 2, 1]).all()
    assert (mirrored == np.repeat([False, True], 5)).all()


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


def test_batch_larger_than_the_set():
    (images, labels), = epoch(batch=1000, seed=1, threads=2)
    assert len(images) == 40 and sorted(labels) == list(range(40))


@pytest.mark.parametrize(("options", "message"), [
    ({"batch": 0}, "batches: batch is 0; it must be a whole number, at least 1"),
    ({"batch": -2}, "batches: batch is -2; it must be a whole number, at least 1"),
    ({"threads": 0}, "batches: threads is 0; it must be a whole number, at least 1"),
    ({"seed": -1}, "batches: seed is -1; it must be a whole number, at least 0"),
    ({"epoch": -1}, "batches: epoch is -1; it must be a whole number, at least 0"),
    ({"first": 4}, "batches: first is 4, but 40 images in batches of 16 make 3; give 0 to 3"),
    ({"first": -1}, "batches: first is -1; it must be a whole number, at least 0"),
    ({"batch": "16"}, "batches: batch is '16'; it must be a whole number"),
    ({"batch": 2.0}, "batches: batch is 2.0; it must be a whole number"),
    ({"threads": None}, "batches: threads is None; it must be a whole number"),
    ({"threads": math.nan}, "batches: threads is nan; it must be a whole number"),
    ({"epoch": math.nan}, "batches: epoch is nan; it must be a whole number"),
    ({"seed": "1"}, "batches: seed is '1'; it must be a whole number"),
    ({"first": [0]}, "batches: first is [0]; it must be a whole number"),
    ({"ten_views": True, "seed": 0}, "batches: ten_views and seed=0 exclude each other: a seed "
                                     "asks for one random view of each image; leave one "),
    ({"data": chart(0)}, "batches: chart holds no images; give at least one"),
], ids=["no batch", "negative", "no threads", "seed", "epoch", "first", "negative first",
        "text", "real", "nothing", "no number of threads", "no number", "text as seed", "list",
        "ten views", "empty"])
def test_batches_that_cannot_be_are_refused_at_once(options, message):
    """When they are asked for, not only when the first one is taken."""
    with pytest.raises(ValueError) as caught:
        epoch(**options)
    assert message in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("seed", [None, 1])
def test_crop_larger_than_the_image(seed):
    with pytest.raises(ValueError, match="crops of 8 pixels do not fit into images of 7x7"):
        next(epoch(size=8, seed=seed))
    assert not loaders()


def test_mean_comes_off_with_its_central_crop_wherever_the_image_was_cut():
    mean = np.random.default_rng(0).uniform(0, 255, (ROWS, COLUMNS, 2)).astype(np.float32)
    plain, _ = all_of(epoch(seed=1))
    less, _ = all_of(epoch(seed=1, mean=mean))
    np.testing.assert_array_equal(less, plain - mean[1:6, 1:6])
    scaled, _ = all_of(epoch(seed=1, mean=mean, scale=1 / 64))
    np.testing.assert_allclose(scaled, less / 64, rtol=1e-6)
    assert scaled.dtype == np.float32


# Threads


def loaders():
    return [t for t in threading.enumerate() if t.name.startswith(LOADER) and t.is_alive()]


def watched(n, reading):
    """A chart that calls reading(indices) before it is read."""
    good = chart(n)
    return ImageSet("watched", good.labels, good.classes, good.shape,
                    lambda indices: (reading(indices), good.read(indices))[1])


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("bad", [0, 8, 16, 39])
def test_error_in_reading_reaches_the_caller_at_its_batch(bad, threads):
    def reading(indices):
        if bad in indices:
            raise DataError("broken.jpg: not a readable picture")

    feed = epoch(watched(40, reading), threads=threads)
    assert [len(next(feed).images) for _ in range(bad // 16)] == bad // 16 * [16]
    with pytest.raises(DataError, match=r"broken\.jpg: not a readable picture"):
        next(feed)
    assert not loaders()
    assert list(feed) == [], "there is nothing behind an error"


def test_of_two_errors_the_first_image_counts():
    def reading(indices):
        raise DataError(f"image {indices[0]}")

    for _ in range(10):
        with pytest.raises(DataError, match="image 0"):
            next(epoch(watched(40, reading), threads=4))


def test_one_batch_is_read_ahead_and_no_more():
    read = []
    feed = epoch(watched(160, read.extend), threads=2)
    assert not read and not loaders(), "nothing is read before it is asked for"
    for number in range(1, 5):
        next(feed)
        assert 16 * number <= len(read) <= 16 * (number + 1)
    feed.close()
    assert len(read) <= 16 * 5


def test_as_many_threads_as_asked_for_read_at_the_same_time():
    """Each waits for two others; alone it would wait in vain."""
    meeting = threading.Barrier(3, timeout=20)
    feed = epoch(watched(6 * CHUNK, lambda _: meeting.wait()), batch=3 * CHUNK, threads=3)
    assert sum(len(labels) for _, labels in feed) == 6 * CHUNK
    assert not loaders()


def test_caller_that_stops_early_waits_only_for_what_was_begun():
    """Of the second batch, one chunk is being read; the nine behind it never are."""
    begun, go_on, read = threading.Event(), threading.Event(), []

    def reading(indices):
        read.extend(indices)
        if indices[0] == 80:
            begun.set()
            go_on.wait(20)

    feed = epoch(watched(160, reading), batch=80)
    next(feed)
    assert begun.wait(20)
    threading.Timer(1, go_on.set).start()
    feed.close()
    assert not loaders() and len(read) == 80 + CHUNK


def test_caller_that_forgets_the_rest_leaves_no_thread():
    next(epoch(threads=2))
    gc.collect()
    assert not loaders()


@pytest.fixture(params=[0, 1], ids=["no thread", "one thread"])
def few_threads(request, monkeypatch):
    """A machine that starts no more than so many: a browser none, a full one perhaps a few."""
    left = iter(range(request.param))

    def start(thread, real=threading.Thread.start):
        if next(left, None) is None:
            raise RuntimeError("can't start new thread")
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)


@pytest.mark.parametrize("options", [{"seed": 3, "noise": colours()}, {"ten_views": True}], ids=str)
def test_same_bits_where_threads_cannot_be_started(few_threads, options):
    images = bits(epoch(batch=19, threads=4, **options))
    with pytest.raises(RuntimeError, match="can't start new thread"):
        threading.Thread(target=print).start()
    assert images == bits(epoch(batch=19, **options))
    assert not loaders()


def test_errors_and_memory_are_the_same_where_threads_cannot_be_started(few_threads):
    def reading(indices):
        if 30 in indices:
            raise DataError("broken.jpg: not a readable picture")

    feed = epoch(watched(40, reading), threads=3)
    assert len(next(feed).images) == 16
    with pytest.raises(DataError, match=r"broken\.jpg: not a readable picture"):
        next(feed)
    pieces = [images.base.base.obj for images, _ in epoch(chart(170), seed=1, threads=3)]
    assert len(pieces) == 11 and len(set(map(id, pieces))) <= 3


def test_each_image_is_read_once_where_threads_cannot_be_started(few_threads):
    read = []
    assert len(list(epoch(watched(160, read.extend), threads=3))) == 10
    assert sorted(read) == list(range(160))


def test_batches_that_are_kept_do_not_change():
    kept = list(epoch(seed=1, threads=2))
    assert bits(kept) == bits(epoch(seed=1))


@pytest.mark.parametrize("view", [
    lambda images: images[1, :, ::-1], lambda images: images.reshape(len(images), -1)[3:],
    lambda images: images.T[0], memoryview], ids=["slice", "reshape", "transpose", "memoryview"])
def test_nor_does_a_part_of_a_batch_that_is_kept(view):
    """Though the memory of batches that nobody uses is used again."""
    kept = []
    for images, _ in epoch(chart(160), seed=1):
        part = view(images)
        kept.append((part, np.array(part)))
    assert len(kept) == 10
    for part, copy in kept:
        np.testing.assert_array_equal(np.asarray(part), copy)


def test_three_pieces_of_memory_do_for_any_number_of_batches():
    """One is worked on, one is ready, one is being filled."""
    pieces = [images.base.base.obj for images, _ in epoch(chart(170), seed=1)]
    assert len(pieces) == 11 and len(set(map(id, pieces))) <= 3


# Sets


@pytest.mark.parametrize(("shape", "labels"), [((9, 4, 4), 9), ((9, 4, 4, 1), 8), ((0,), 0)])
def test_arrays_that_are_no_set(shape, labels):
    with pytest.raises(ValueError, match=r"of_arrays: odd has images \(.*\) and labels "
                                         r"\(.*,\); they must be \(N, H, W, C\) and \(N,\)"):
        ImageSet.of_arrays("odd", np.zeros(shape, np.uint8), np.zeros(labels, np.int64), "ab")


def test_set_of_arrays(rng):
    images, labels = rng.integers(0, 256, (9, 6, 5, 3)).astype(np.uint8), np.arange(9) % 2
    data = ImageSet.of_arrays("nine", images, labels, ["even", "odd"])
    assert (len(data), data.name, data.shape) == (9, "nine", (6, 5, 3))
    np.testing.assert_array_equal(data.read(np.array([4, 4, 0])), images[[4, 4, 0]])


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
    folder("val", "ant", 30)
    data = datasets.open(folder.path, 16).train
    assert data.classes == ["ant", "zebra"] and data.shape == (16, 16, 3)
    assert data.name == folder.path.name
    assert data.labels.tolist() == [0, 0, 0, 0, 1, 1] and data.labels.dtype == np.int64
    images = data.read(np.array([5, 0, 1]))
    assert images.dtype == np.uint8 and images.shape == (3, 16, 16, 3)
    assert images[:, 8, 8, 1].tolist() == [101, 50, 10], "0.JPG comes before 0.png"


def test_each_split_is_the_folder_of_its_name(folder):
    folder("val", "zebra", 30)
    folder("test", "zebra", 40)
    data = datasets.open(folder.path, 16)
    for images, level in (data.val, 30), (data.test, 40):
        assert images.classes == ["ant", "zebra"] and images.labels.tolist() == [1]
        assert images.read(np.array([0])).max() == level


def test_folder_is_read_as_it_would_be_prepared(folder):
    """Files inside folders, and of every kind; not the hidden ones; val by any of its names."""
    folder("train", "ant/more/deep", 60, 1)
    for number, suffix in enumerate(("gif", "tif", "jp2", "ppm")):
        folder("train", "ant", 70 + number, 1, suffix)
    (folder.path / "train" / "ant" / "._0.png").write_text("every Mac leaves such")
    folder("validation", "zebra", 30)
    (folder.path / "val").mkdir()
    files = folder_source(folder.path).splits
    data, val, *_ = datasets.open(folder.path, 16)
    assert data.labels.tolist() == [file.label for file in files["train"]] == 8 * [0] + 2 * [1]
    greys = data.read(np.arange(10))[:, 8, 8, 1].tolist()
    assert greys == [70, 72, 10, 73, 71, 11, 12, 60, 100, 101], "in the order of their names"
    assert [file.name for file in files["train"]][:5] == [
        f"train/ant/0.{suffix}" for suffix in ("gif", "jp2", "png", "ppm", "tif")]
    assert val.labels.tolist() == [1] and val.read(np.array([0])).max() == 30


def test_photographs(test_data):
    """Any copy of clothing-256: ten classes, and pictures that are neither black nor alike."""
    train, val, test, _ = datasets.open(test_data / "clothing-256")
    mean = replace(val, labels=val.labels[:20]).measure().mean
    assert 60 < mean.mean() < 220
    for data in train, val, test:
        assert len(data.classes) == 10 and data.shape == (256, 256, 3)
        assert np.bincount(data.labels, minlength=10).min() > 0
        first = next(epoch(data, batch=8, mean=mean, size=227))
        assert first.images.shape == (8, 227, 227, 3) and first.images.std() > 20
