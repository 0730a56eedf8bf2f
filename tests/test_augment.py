"""What happens to the pixels of an image, and what is measured for it over a whole set.

Oracles: a slow function that follows the formula pixel by pixel, np.cov, and figures of 2012.
"""

import itertools

import numpy as np
import pytest

from minialex.datasets import ColourNoise, ImageSet, Preparation, Statistics, Views

pytestmark = pytest.mark.ch10

ROWS, COLUMNS, SIZE = 9, 10, 6  # room for 4 x 5 places
DRAWS = 20_000  # a covariance estimated from them is right to 1 %


def statistics(deviations=(3.0, 8.0, 20.0)):
    """Known deviations along directions that are no axes, and a mean image without symmetry."""
    rng = np.random.default_rng(5)
    directions = np.linalg.qr(rng.standard_normal((len(deviations), len(deviations)))).Q
    mean = rng.uniform(80, 150, (ROWS, COLUMNS, len(deviations))).astype(np.float32)
    return Statistics(mean, directions * np.square(deviations) @ directions.T)


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (12, ROWS, COLUMNS, 3)).astype(np.uint8)


def preparation(noise=None, scale=1.0, **options):
    known = statistics(**options)
    return Preparation(SIZE, known.mean, scale, noise and ColourNoise(known, noise == "literal"))


# The formula


def slow(images, views, mean, scale=1.0, noise=False, *, corner_of_mean=None, mirror_mean=False,
         divide=True, always=False, late=False, wrong_image=False):
    """(crop - mean + noise) / 1.1 * scale, number by number. The options after * are mistakes."""
    room = ROWS - SIZE, COLUMNS - SIZE
    out = np.zeros((len(views.corner), SIZE, SIZE, 3))
    each = len(out) // len(images)
    for v, (top, left) in enumerate(views.corner):
        image = images[v % len(images) if wrong_image else v // each]
        for row, column, c in itertools.product(range(SIZE), range(SIZE), range(3)):
            seen = SIZE - 1 - column if views.mirrored[v] else column
            above, beside = (top, left) if corner_of_mean else (room[0] // 2, room[1] // 2)
            value = float(image[top + row, left + seen, c])
            value -= mean[above + row, beside + (seen if mirror_mean else column), c]
            value += 0 if late or not noise else views.colour[v, c]
            value /= 1.1 if divide and (noise or always) else 1.0
            value += views.colour[v, c] if late and noise else 0
            out[v, row, column, c] = value * scale
    return out


def agree(fast, expected):
    assert fast.dtype == np.float32
    np.testing.assert_allclose(fast, expected, rtol=1e-5, atol=1e-4)


MISTAKES = [{"corner_of_mean": True}, {"mirror_mean": True}, {"divide": False}, {"late": True}]


@pytest.mark.parametrize("scale", [1.0, 1 / 64])
def test_training_views_follow_the_formula(images, rng, scale):
    chosen = preparation("as run", scale)
    views = chosen.random_views(rng, len(images), images.shape[1:])
    fast = chosen.apply(images, views)
    agree(fast, slow(images, views, chosen.mean, scale, noise=True))
    for mistake in MISTAKES:
        with pytest.raises(AssertionError):
            agree(fast, slow(images, views, chosen.mean, scale, noise=True, **mistake))


def test_without_noise_nothing_is_divided(images, rng):
    chosen = preparation()
    views = chosen.random_views(rng, len(images), images.shape[1:])
    assert views.colour is None
    fast = chosen.apply(images, views)
    agree(fast, slow(images, views, chosen.mean))
    with pytest.raises(AssertionError):
        agree(fast, slow(images, views, chosen.mean, always=True))


@pytest.mark.parametrize(("kind", "mistakes"), [
    ("central_views", [{"always": True}]),
    ("ten_views", [{"always": True}, {"corner_of_mean": True}, {"wrong_image": True}])])
@pytest.mark.parametrize("noise", ["as run", "literal"])
def test_views_for_evaluation_see_no_noise_and_no_division(images, noise, kind, mistakes):
    chosen = preparation(noise, scale=0.5)
    views = getattr(chosen, kind)(len(images), images.shape[1:])
    assert views.colour is None
    fast = chosen.apply(images, views)
    agree(fast, slow(images, views, chosen.mean, 0.5))
    for mistake in mistakes:
        with pytest.raises(AssertionError):
            agree(fast, slow(images, views, chosen.mean, 0.5, **mistake))


def test_the_literal_formula_divides_nothing(images, rng):
    chosen = preparation("literal")
    views = chosen.random_views(rng, len(images), images.shape[1:])
    fast = chosen.apply(images, views)
    agree(fast, slow(images, views, chosen.mean, noise=True, divide=False))
    with pytest.raises(AssertionError):
        agree(fast, slow(images, views, chosen.mean, noise=True))


def test_all_pixels_of_an_image_move_by_one_colour_and_each_image_by_another(images, rng):
    chosen = preparation("as run")
    views = chosen.random_views(rng, len(images), images.shape[1:])
    moved = 1.1 * chosen.apply(images, views) - chosen.apply(images, views._replace(colour=None))
    np.testing.assert_allclose(moved, np.broadcast_to(views.colour[:, None, None], moved.shape),
                               atol=1e-4)
    assert len(np.unique(views.colour)) == views.colour.size == 3 * len(images)


def test_views_are_written_where_the_caller_wants_them(images, rng):
    chosen = preparation("as run")
    views = chosen.random_views(rng, len(images), images.shape[1:])
    whole = np.full((14, SIZE, SIZE, 3), np.float32(-1))
    assert chosen.apply(images, views, whole[1:13]).base is whole
    np.testing.assert_array_equal(whole[1:13], chosen.apply(images, views))
    assert (whole[[0, 13]] == -1).all()


# Colour noise


def moves_as(draws, covariance):
    """The checker: draws (n, C) around zero, with this covariance, each for itself."""
    scatter = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(draws.mean(axis=0) / scatter, 0, atol=0.05)
    np.testing.assert_allclose(np.cov(draws.T) / np.outer(scatter, scatter),
                               covariance / np.outer(scatter, scatter), atol=0.05)
    neighbours = (draws[1:] * draws[:-1]).mean(axis=0) / scatter**2
    np.testing.assert_allclose(neighbours, 0, atol=0.05)


@pytest.mark.parametrize("deviations", [(3.0, 8.0, 20.0), (6.0, 6.0, 6.0), (4.0, 30.0), (25.0,)])
def test_noise_moves_as_colours_vary(rng, deviations):
    """A tenth of the deviations: 0.01 of the covariance. The literal formula squares it."""
    known = statistics(deviations)
    covariance = known.covariance
    moves_as(ColourNoise(known).draw(rng, DRAWS), 0.01 * covariance)
    moves_as(ColourNoise(known, literal=True).draw(rng, DRAWS), 0.01 * covariance @ covariance)


def test_noise_that_is_wrong_does_not_pass(rng):
    known = statistics()
    right = 0.01 * known.covariance
    steps = rng.standard_normal((DRAWS, 3))
    moves_as(0.1 * steps * known.deviations @ known.directions.T, right)
    wrong = {
        "eigenvalue in place of its root": 0.1 * steps * known.deviations**2 @ known.directions.T,
        "tenth forgotten": steps * known.deviations @ known.directions.T,
        "directions as rows": 0.1 * steps * known.deviations @ known.directions,
        "deviations in the wrong order": 0.1 * steps * known.deviations[::-1] @ known.directions.T,
        "along the axes": 0.1 * steps * known.deviations,
        "never darker": abs(0.1 * steps * known.deviations @ known.directions.T),
        "one draw for two images":
            np.repeat(0.1 * steps * known.deviations @ known.directions.T, 2, axis=0),
    }
    for name, draws in wrong.items():
        with pytest.raises(AssertionError):
            moves_as(draws, right)
            pytest.fail(name)


def test_noise_of_2012(rng):
    """Deviations and directions that came with the code of 2014, for ImageNet."""
    deviations = np.array([19.7208, 37.0939, 121.7801])
    directions = np.array([(0.418, -0.817, 0.397), (-0.713, -0.024, 0.701),
                           (-0.564, -0.576, -0.592)]).T  # the last is grey
    known = Statistics(np.zeros((1, 1, 3)), directions * deviations**2 @ directions.T)
    as_run = ColourNoise(known).draw(rng, DRAWS).std(axis=0)
    literal = ColourNoise(known, literal=True).draw(rng, DRAWS).std(axis=0)
    np.testing.assert_allclose(as_run, [7.40, 7.20, 7.70], rtol=0.03)
    np.testing.assert_allclose(literal, [842, 855, 883], rtol=0.03)


def test_grey_images_become_brighter_or_darker(rng):
    """Also those that are stored as RGB: all their channels move together."""
    grey = rng.integers(0, 256, (30, ROWS, COLUMNS, 1)).astype(np.uint8)
    one = ImageSet.of_arrays("", grey, np.zeros(30, np.int64), [""]).measure()
    rgb = ImageSet.of_arrays("", grey.repeat(3, axis=3), np.zeros(30, np.int64), [""]).measure()
    moves_as(ColourNoise(one).draw(rng, DRAWS), np.array([[0.01 * grey.var()]]))
    draws = ColourNoise(rgb).draw(rng, DRAWS)
    np.testing.assert_allclose(draws, draws[:, :1].repeat(3, axis=1), atol=1e-3)
    np.testing.assert_allclose(draws.std(axis=0), 0.1 * grey.std(), rtol=0.05)

    chosen = Preparation(SIZE, one.mean, noise=ColourNoise(one))
    views = chosen.random_views(rng, 30, grey.shape[1:])
    assert chosen.apply(grey, views).shape == (30, SIZE, SIZE, 1)


# Views


def test_random_views_reach_every_place_alike_and_every_other_is_mirrored(rng):
    views = preparation().random_views(rng, DRAWS, (ROWS, COLUMNS, 3))
    kinds = np.column_stack([views.corner, views.mirrored])
    found, counts = np.unique(kinds, axis=0, return_counts=True)
    room = range(ROWS - SIZE + 1), range(COLUMNS - SIZE + 1)
    assert found.tolist() == [list(kind) for kind in itertools.product(*room, (0, 1))]
    np.testing.assert_allclose(counts, DRAWS / 40, rtol=0.2)  # deviation: 4.5 %
    assert views.mirrored.mean() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("chance", [0, 0.2, 1])
def test_chance_of_a_mirror_image(rng, chance):
    """Places and colours are drawn alike, whatever it is."""
    chosen = preparation(noise="as run")
    seeded = [np.random.default_rng(3) for _ in range(2)]
    plain = chosen.random_views(seeded[0], DRAWS, (ROWS, COLUMNS, 3))
    views = chosen._replace(mirror=chance).random_views(seeded[1], DRAWS, (ROWS, COLUMNS, 3))
    assert views.mirrored.mean() == pytest.approx(chance, abs=0.02)
    np.testing.assert_array_equal(views.corner, plain.corner)
    np.testing.assert_array_equal(views.colour, plain.colour)


def test_ten_views_of_what_has_no_mirror_image(images):
    chosen = preparation()
    ten = chosen.ten_views(len(images), images.shape[1:])
    views = chosen._replace(mirror=0).ten_views(len(images), images.shape[1:])
    assert ten.mirrored.any() and not views.mirrored.any()
    np.testing.assert_array_equal(views.corner, ten.corner)


@pytest.mark.parametrize("size", [SIZE, 7, ROWS])
def test_ten_views_are_corners_and_centre_then_their_mirror_images(images, size):
    """Of each image in turn. In an odd room the centre lies nearer to the upper left, as in 2012"""
    below, right = ROWS - size, COLUMNS - size
    corners = [(0, 0), (0, right), (below, 0), (below, right), (below // 2, right // 2)]
    chosen = Preparation(size, np.zeros(images.shape[1:], np.float32))
    views = chosen.apply(images, chosen.ten_views(len(images), images.shape[1:]))
    assert views.shape == (10 * len(images), size, size, 3)
    for image, ten in zip(images, views.reshape(-1, 10, size, size, 3), strict=True):
        five = [image[top : top + size, left : left + size] for top, left in corners]
        np.testing.assert_array_equal(ten, five + [crop[:, ::-1] for crop in five])


def test_central_view_is_the_last_of_the_five(images):
    chosen = preparation()
    ten = chosen.apply(images, chosen.ten_views(len(images), images.shape[1:]))
    centre = chosen.apply(images, chosen.central_views(len(images), images.shape[1:]))
    np.testing.assert_array_equal(ten[4::10], centre)


def test_rows_of_views_are_those_views(rng):
    for noise in "as run", None:
        views = preparation(noise).random_views(rng, 7, (ROWS, COLUMNS, 3))
        parts = [views.rows(slice(0, 3)), views.rows(slice(3, 9))]
        assert [len(part.corner) for part in parts] == [3, 4]
        for whole, halves in zip(views, zip(*parts, strict=True), strict=True):
            if whole is None:
                assert halves == (None, None)
            else:
                np.testing.assert_array_equal(np.concatenate(halves), whole)


@pytest.mark.parametrize("kind", ["random_views", "central_views", "ten_views"])
def test_crop_larger_than_the_image(rng, kind):
    given = (rng,) if kind == "random_views" else ()
    with pytest.raises(ValueError, match=r"Preparation: crops of 6 pixels do not fit into images "
                                         r"of 6x5; use smaller crops or larger images"):
        getattr(preparation(), kind)(*given, 1, (SIZE, SIZE - 1, 3))


def test_mean_image_of_other_channels(images):
    """A mean of one channel would do for each of three, if NumPy had its way."""
    views = Views(np.zeros((12, 2), np.int64), np.zeros(12, bool))
    chosen = Preparation(SIZE, statistics((5.0,)).mean)
    with pytest.raises(ValueError, match="the images have 3 channels, the mean image 1; "
                                         "measure the mean of such images"):
        chosen.apply(images, views)
    with pytest.raises(ValueError, match="the images have 1 channels, the mean image 3"):
        preparation().apply(images[..., :1], views)


# Statistics


def measured(images):
    return ImageSet.of_arrays("", images, np.zeros(len(images), np.int64), [""]).measure()


def photographs(n, low=0, high=256):
    """Channels that vary differently and together, brighter below than above."""
    rng = np.random.default_rng(n)
    light = rng.normal(0, 40, (n, ROWS, COLUMNS, 1)) + 20 * np.arange(ROWS)[:, None, None]
    colour = rng.normal(0, (5, 10, 20), (n, ROWS, COLUMNS, 3))
    return (light * (0.9, 1, 0.6) + colour + 60).clip(low, high - 1).astype(np.uint8)


def is_covariance(found, images):
    """The checker, strict: sums of integers can be exact."""
    expected = np.cov(images.reshape(-1, images.shape[3]).T, bias=True)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("n", [1, 2, 63, 64, 65, 200])
def test_statistics_are_mean_image_and_covariance_of_colours(n):
    images = photographs(n)
    found = measured(images)
    assert found.mean.dtype == np.float32 and found.covariance.dtype == np.float64
    np.testing.assert_allclose(found.mean, images.mean(axis=0), rtol=1e-6)
    is_covariance(found.covariance, images)


def test_statistics_of_bright_images_that_hardly_differ():
    """Their sums are far larger than their differences: float32 would see only noise."""
    images = photographs(40, low=252, high=256).repeat(10, axis=1).repeat(10, axis=2)
    is_covariance(measured(images).covariance, images)
    colours = images.reshape(-1, 3).astype(np.float32)
    mean = colours.mean(axis=0)
    with pytest.raises(AssertionError):
        is_covariance(colours.T @ colours / len(colours) - np.outer(mean, mean), images)


def test_covariance_that_is_wrong_does_not_pass():
    images = photographs(100)
    colours = images.reshape(-1, 3).astype(np.float32)
    around_mean_image = (images - images.mean(axis=0)).reshape(-1, 3)
    for wrong in (colours.T @ colours / len(colours), np.cov(colours.T) * 1.0001,
                  around_mean_image.T @ around_mean_image / len(colours),
                  measured(images[..., ::-1]).covariance):
        with pytest.raises(AssertionError):
            is_covariance(wrong, images)


@pytest.mark.parametrize("known", [statistics(), statistics((2.0, 7.0)), measured(photographs(9))],
                         ids=["known", "two channels", "measured"])
def test_directions_are_orthonormal_and_deviations_ascend(known):
    deviations, directions = known.deviations, known.directions
    channels = len(known.covariance)
    assert deviations.shape == (channels,) and (np.diff(deviations) > 0).all()
    np.testing.assert_allclose(directions.T @ directions, np.eye(channels), atol=1e-12)
    np.testing.assert_allclose(known.covariance @ directions, directions * deviations**2,
                               rtol=1e-9, atol=1e-9)


def test_deviations_are_those_that_were_put_in():
    np.testing.assert_allclose(statistics().deviations, (3, 8, 20), rtol=1e-9)


@pytest.mark.parametrize("level", [0, 77, 255])
def test_statistics_of_images_without_any_colour(level):
    """Rounding may make an eigenvalue a little negative; its root must not be NaN."""
    found = measured(np.full((5, ROWS, COLUMNS, 3), level, np.uint8))
    assert (found.mean == level).all()
    np.testing.assert_allclose(found.deviations, 0, atol=1e-4)
    tiny = Statistics(found.mean, np.diag([-1e-12, 4.0, 9.0]))
    np.testing.assert_array_equal(tiny.deviations, [0, 2, 3])


def test_stored_statistics_are_not_measured_again():
    def read(indices):
        raise AssertionError("read")

    known = statistics()
    data = ImageSet("stored", np.zeros(3, np.int64), [""], (ROWS, COLUMNS, 3), read, known)
    assert data.measure() is known


def test_statistics_of_nothing():
    data = ImageSet.of_arrays("void", np.zeros((0, 4, 4, 3), np.uint8), np.zeros(0, np.int64), [""])
    with pytest.raises(ValueError, match="measure: void holds no images; give at least one"):
        data.measure()
