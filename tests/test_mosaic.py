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
