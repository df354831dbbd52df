"""Grids of grey images as PNG files, without matplotlib."""

from pathlib import Path

import numpy as np
import tensorflow as tf


def mosaic(images, columns, scale=3):
    """Lay images, float [n, height, width] in [0, 1], out in rows, read like text.

    Each pixel becomes scale x scale: uint8 [rows * height * scale, columns * width * scale].
    """
    images = np.asarray(images)
    n, height, width = images.shape
    rows = -(-n // columns)
    tiles = np.zeros([rows * columns, height, width])
    tiles[:n] = images
    pixels = tiles.reshape(rows, columns, height, width).swapaxes(1, 2)
    pixels = pixels.reshape(rows * height, columns * width)
    return np.rint(255 * pixels).astype(np.uint8).repeat(scale, axis=0).repeat(scale, axis=1)


def png(pixels):
    """Pixels, uint8 [height, width], as the bytes of a PNG file."""
    return tf.io.encode_png(pixels[..., None]).numpy()


def write_png(path, pixels):
    """Write uint8 [height, width] to `path`, whatever its name ends in."""
    Path(path).write_bytes(png(pixels))
