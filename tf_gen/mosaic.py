"""Grids of grey images as PNG files, without matplotlib."""

import math
from pathlib import Path

import numpy as np
import tensorflow as tf

MOST_PIXELS = 89_478_485  # Pillow warns about larger pictures, and many viewers do not open them


def mosaic(images, columns, scale=3):
    """Arrange images, float [n, height, width] in [0, 1], in rows from left to right.

    Each pixel becomes scale x scale pixels. Returns uint8 [rows * height * scale, columns * width *
    scale].
    """
    images = np.asarray(images)
    n, height, width = images.shape
    rows = -(-n // columns)
    tiles = np.zeros([rows * columns, height, width], np.uint8)
    for start in range(0, n, 1000):  # float64 of all images would take much memory
        part = np.float64(images[start : start + 1000])
        tiles[start : start + len(part)] = np.rint(255 * part)
    pixels = tiles.reshape(rows, columns, height, width).swapaxes(1, 2)
    pixels = pixels.reshape(rows * height, columns * width)
    return pixels.repeat(scale, axis=0).repeat(scale, axis=1)


def fitting_scale(n, columns, shape, at_most):
    """The largest scale, up to `at_most`, at which a mosaic of n images has MOST_PIXELS or fewer.

    `shape` is [height, width] of an image. The result is 0 if there is no such scale.
    """
    pixels = -(-n // columns) * columns * shape[0] * shape[1]
    return min(at_most, math.isqrt(MOST_PIXELS // pixels))


def png(pixels):
    """Encode pixels, uint8 [height, width], as the bytes of a PNG file."""
    return tf.io.encode_png(pixels[..., None]).numpy()


def write_png(path, pixels):
    """Write uint8 [height, width] as a PNG file to `path`, whatever its suffix."""
    Path(path).write_bytes(png(pixels))
