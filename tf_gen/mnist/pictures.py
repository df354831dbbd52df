"""Image files as grey pixels: decoded in parallel, put on a background, scaled if wanted."""

import os

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from tf_gen.errors import UserError

SIZE = 28
AT_ONCE = 250  # images per batch
LUMINANCE = [0.299, 0.587, 0.114]  # weights of red, green and blue: ITU-R BT.601
COLOURED = 16  # a larger difference of channels is colour; grey JPEGs can have smaller ones
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm")


def read(paths, where, resize):
    """Read image files of any kind that Pillow reads; PNG and JPEG files are read in parallel.

    All transparent images are put on the same background, black or white, whichever shows more of
    them. Colours become their luminance. The orientation in a photo's EXIF data is applied.

    Args:
        paths: list of strings.
        where: function from an index of `paths` to words for a message, as "list.txt, line 3: ".
        resize: whether to scale images of other sizes (see `fit`).

    Returns:
        uint8 [n, 28, 28], and a list of notes for the user.

    Raises:
        UserError: a file cannot be read, or, without `resize`, has another size.
    """
    on_black = np.empty([len(paths), SIZE, SIZE], np.uint8)
    on_white = None  # until an image is transparent
    coloured, missing = False, np.ones(len(paths), bool)

    def keep(rows, black, white, colour):
        nonlocal on_white, coloured
        if on_white is None and not np.array_equal(black, white):
            on_white = on_black.copy()
        on_black[rows] = black
        if on_white is not None:
            on_white[rows] = white
        coloured |= bool(np.any(colour))
        missing[rows] = False

    with tqdm(total=len(paths), desc="reading", unit="image", delay=1, disable=None) as bar:
        for rows, *pixels in _in_parallel(paths, resize).as_numpy_iterator():
            keep(rows, *pixels)
            bar.update(len(rows))
        for row in np.flatnonzero(missing):
            rgba = _read_with_pillow(paths[row], where(row))
            if not resize and rgba.shape[:2] != (SIZE, SIZE):
                height, width = rgba.shape[:2]
                raise UserError(
                    f"{where(row)}{paths[row]} has {width}x{height} pixels, not 28x28; --resize "
                    "scales images"
                )
            keep(row, *(tensor.numpy() for tensor in _grey(rgba, resize)))
            bar.update()
    notes = ["colours became their luminance"] if coloured else []
    if on_white is None:
        return on_black, notes
    # The background with more contrast shows more of the images.
    white = np.std(on_white, axis=(1, 2)).sum() > np.std(on_black, axis=(1, 2)).sum()
    notes.append(f"transparent images were laid on {'white' if white else 'black'}")
    return (on_white if white else on_black), notes


def fit(image):
    """Scale an image to 28 x 28, keep its aspect ratio, and pad it with the median of its border.

    Args:
        image: float32 [height, width].

    Returns:
        float32 [28, 28].
    """
    size = tf.shape(image)
    fits = tf.reduce_all(size == SIZE)
    image = tf.cond(fits, lambda: image, lambda: _scaled_and_padded(image, size))
    return tf.ensure_shape(image, [SIZE, SIZE])


def _scaled_and_padded(image, size):
    scaled = tf.maximum(tf.cast(tf.round(size * SIZE / tf.reduce_max(size)), tf.int32), 1)
    border = tf.concat([image[0], image[-1], image[:, 0], image[:, -1]], axis=0)
    border = tf.sort(border)[tf.size(border) // 2]  # the median
    # When an image shrinks, bilinear scaling with antialias averages over all of its pixels.
    image = tf.image.resize(image[..., None], scaled, antialias=True)[..., 0]
    before = (SIZE - scaled) // 2
    return tf.pad(image - border, tf.stack([before, SIZE - scaled - before], axis=1)) + border


def fit_all(images):
    """`fit` for uint8 [n, height, width]: uint8 [n, 28, 28]."""
    dataset = tf.data.Dataset.from_tensor_slices(images)
    dataset = dataset.map(
        lambda image: fit(tf.cast(image, tf.float32)), num_parallel_calls=tf.data.AUTOTUNE
    )
    parts = dataset.batch(AT_ONCE).as_numpy_iterator()
    return np.concatenate([np.rint(part).astype(np.uint8) for part in parts])


def luminance(rgb):
    """The luminance of colours: uint8 [..., 3] to uint8 [...]."""
    return np.rint(np.float32(rgb) @ np.float32(LUMINANCE)).astype(np.uint8)


def _in_parallel(paths, resize):
    """A dataset of batches: rows [n], and the output of `_grey`.

    It leaves out batches with files that TensorFlow cannot read, or reads differently than Pillow:
    other kinds than PNG and JPEG, both kinds mixed, other sizes without `resize`, damaged files.
    """

    def decoded(contents, decode):
        if resize:
            kinds = (tf.uint8, tf.uint8, tf.bool)
            return tf.map_fn(lambda c: _grey(decode(c), True), contents, fn_output_signature=kinds)
        kind = tf.TensorSpec([SIZE, SIZE, 4], tf.uint8)
        return _grey(tf.map_fn(decode, contents, fn_output_signature=kind), False)

    @tf.autograph.experimental.do_not_convert
    def load(rows, paths):  # many files per call, since a call takes longer than a file
        contents = tf.map_fn(tf.io.read_file, paths)
        # TensorFlow makes a PNG with fewer than 8 bits per pixel transparent everywhere.
        bits = tf.strings.substr(contents, 24, 1)
        are_png = tf.strings.substr(contents, 1, 3) == b"PNG"
        are_png &= (bits == b"\x08") | (bits == b"\x10")
        # TensorFlow complains on stderr about a JPEG that is cut off.
        are_jpeg = tf.strings.substr(contents, 0, 2) == b"\xff\xd8"
        are_jpeg &= tf.strings.substr(contents, -2, 2) == b"\xff\xd9"
        # \C is any byte. In a PNG, the EXIF chunk is called "eXIf".
        oriented = tf.strings.regex_full_match(contents, r"\C*(Exif\x00\x00|eXIf)\C*")
        usual = (tf.reduce_all(are_png) | tf.reduce_all(are_jpeg)) & ~tf.reduce_any(oriented)
        with tf.control_dependencies([tf.debugging.Assert(usual, [rows])]):
            pixels = tf.cond(
                are_png[0],
                lambda: decoded(contents, _decode_png),
                lambda: decoded(contents, _decode_jpeg),
            )
        return rows, *pixels

    names = tf.constant([os.fsencode(path) for path in paths])
    dataset = tf.data.Dataset.from_tensor_slices(names).enumerate().batch(AT_ONCE)
    return dataset.map(load, num_parallel_calls=tf.data.AUTOTUNE).ignore_errors().prefetch(2)


def _decode_png(content):
    return tf.io.decode_png(content, channels=4)


def _decode_jpeg(content):
    rgb = tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE")
    return tf.pad(rgb, [[0, 0], [0, 0], [0, 1]], constant_values=255)


def _grey(rgba, resize):
    """The luminance of images on black and on white.

    Args:
        rgba: uint8 [..., 28, 28, 4], or [height, width, 4] if it is resized.
        resize: Python bool.

    Returns:
        Two uint8 [..., 28, 28], and bool [], which is true if there are colours.
    """
    r, g, b, opacity = tf.unstack(rgba, axis=-1)
    spread = tf.maximum(tf.maximum(r, g), b) - tf.minimum(tf.minimum(r, g), b)
    colour = tf.reduce_any((spread > COLOURED) & (opacity > 0))
    r, g, b, opacity = (tf.cast(channel, tf.float32) for channel in (r, g, b, opacity))
    light = LUMINANCE[0] * r + LUMINANCE[1] * g + LUMINANCE[2] * b
    black = light * (opacity / 255)
    white = black + (255 - opacity)  # bit by bit the same as black for an opaque image
    if resize:
        black, white = fit(black), fit(white)
    return *(tf.cast(tf.round(image), tf.uint8) for image in (black, white)), colour


def _read_with_pillow(path, where):
    """Read a file of any kind: uint8 [height, width, 4]."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            image.verify()  # checks a PNG's checksums, which Pillow ignores when it reads one
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I"):  # 16 bits; Pillow would clip them at 255
                upright = Image.fromarray(np.uint8(np.asarray(upright) // 257))
            return np.asarray(upright.convert("RGBA"))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError) as error:
        raise UserError(f"{where}cannot read {path} ({error.strerror})") from error
    except Exception as error:  # damage can look like anything to a decoder
        reason = f" ({error})" if "\0" in path else ""
        raise UserError(f"{where}{path} is no readable image{reason}") from error
