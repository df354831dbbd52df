"""Grids of images: each pixel is in its place, and the file holds it."""

import numpy as np
import pytest
import tensorflow as tf

from tf_gen import mosaic

pytestmark = pytest.mark.quick
rng = np.random.default_rng(0)


@pytest.mark.parametrize(("n", "columns", "scale"), [(6, 3, 1), (7, 3, 2), (1, 1, 4), (2, 5, 1)])
def test_mosaic_puts_each_pixel_in_its_place(n, columns, scale):
    tiles = rng.uniform(size=[n, 4, 5])
    pixels = mosaic.mosaic(tiles, columns, scale)
    rows = -(-n // columns)
    assert pixels.shape == (rows * 4 * scale, columns * 5 * scale)
    for i in range(rows * columns):
        for y in range(4):
            for x in range(5):
                top, left = ((i // columns) * 4 + y) * scale, ((i % columns) * 5 + x) * scale
                block = pixels[top : top + scale, left : left + scale]
                assert np.all(block == (round(255 * tiles[i, y, x]) if i < n else 0))


@pytest.mark.parametrize("name", ["a.png", "a", ".tmp-1-a.gif"])
def test_png_holds_the_pixels_whatever_the_file_is_called(tmp_path, name):
    pixels = rng.integers(0, 256, [6, 9], np.uint8)
    mosaic.write_png(tmp_path / name, pixels)
    content = (tmp_path / name).read_bytes()
    assert content == mosaic.png(pixels)
    np.testing.assert_array_equal(tf.io.decode_png(content)[..., 0], pixels)


def test_a_long_mosaic_is_made_in_parts():
    tiles = rng.uniform(size=[2500, 2, 3])
    pixels = mosaic.mosaic(tiles, 50, scale=1).reshape(50, 2, 50, 3).swapaxes(1, 2)
    np.testing.assert_array_equal(pixels.reshape(2500, 2, 3), np.rint(255 * tiles))


@pytest.mark.parametrize(
    ("n", "columns", "scale"),
    [(1, 1, 4), (7056, 84, 4), (7057, 85, 3), (336**2, 336, 1), (338**2, 338, 0), (10**9, 10, 0)],
)
def test_scale_keeps_a_mosaic_from_being_too_large(n, columns, scale):
    assert mosaic.fitting_scale(n, columns, [28, 28], at_most=4) == scale
    side = -(-n // columns) * 28 * columns * 28
    assert side * scale**2 <= mosaic.MOST_PIXELS < side * (scale + 1) ** 2 or scale == 4


def test_the_largest_mosaic_is_one_that_pillow_does_not_warn_of():
    from PIL import Image

    assert mosaic.MOST_PIXELS <= Image.MAX_IMAGE_PIXELS
