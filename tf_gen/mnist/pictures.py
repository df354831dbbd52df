"""Image files as grey pixels: decoded in parallel, laid on a background, scaled if asked."""

import os

import numpy as np
import tensorflow as tf
from tqdm import tqdm

from tf_gen.errors import UserError

SIZE = 28
AT_ONCE = 250  # images a batch
LUMINANCE = [0.299, 0.587, 0.114]  # of red, green and blue: ITU-R BT.601
COLOURED = 16  # two channels that differ by more are colour; by less they can differ in a JPEG
SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".pgm", ".ppm")


def read(paths, where, resize):
    """Read image files of any kind that Pillow knows; PNG and JPEG in parallel.

    Transparent images are laid on black or on white, all of them on the one that shows more of
    them. Colours become their luminance. An orientation in a photo's EXIF data is applied.

    Args:
        paths: list of strings.
        where: function of an index of `paths` to words for a message, "list.txt, line 3: ".
        resize: whether to scale images of other sizes, see `fit`.

    Returns:
        uint8 [n, 28, 28], and a list of notes for the user.

    Raises:
        UserError: a file cannot be read, or, without `resize`, has another size.
    """
    on_black = np.empty([len(paths), SIZE, SIZE], np.uint8)
    on_white = None  # as long as no image is transparent
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
    # The one with more contrast shows more of the ink.
    white = np.std(on_white, axis=(1, 2)).sum() > np.std(on_black, axis=(1, 2)).sum()
    notes.append(f"transparent images were laid on {'white' if white else 'black'}")
    return (on_white if white else on_black), notes


def fit(image):
    """Scale an image to 28 x 28 with its aspect kept, and pad it with what its border has most.

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
    # Bilinear with antialias, where an image is made smaller, averages over all of its pixels.
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
    """Grey of colours: uint8 [..., 3] to uint8 [...]."""
    return np.rint(np.float32(rgb) @ np.float32(LUMINANCE)).astype(np.uint8)


def _in_parallel(paths, resize):
    """Dataset of batches: rows [n], and what `_grey` returns.

    Left out are batches of which TensorFlow does not read all files, or not as Pillow does: other
    kinds than PNG and JPEG, both kinds mixed, other sizes without `resize`, damaged files.
    """

    def decoded(contents, decode):
        if resize:
            kinds = (tf.uint8, tf.uint8, tf.bool)
            return tf.map_fn(lambda c: _grey(decode(c), True), contents, fn_output_signature=kinds)
        kind = tf.TensorSpec([SIZE, SIZE, 4], tf.uint8)
        return _grey(tf.map_fn(decode, contents, fn_output_signature=kind), False)

    @tf.autograph.experimental.do_not_convert
    def load(rows, paths):  # many files a call, since a call takes longer than a file
        contents = tf.map_fn(tf.io.read_file, paths)
        # With fewer than 8 bits a pixel, TensorFlow makes all of a PNG transparent.
        bits = tf.strings.substr(contents, 24, 1)
        are_png = tf.strings.substr(contents, 1, 3) == b"PNG"
        are_png &= (bits == b"\x08") | (bits == b"\x10")
        # It complains on stderr of a JPEG that is cut off.
        are_jpeg = tf.strings.substr(contents, 0, 2) == b"\xff\xd8"
        are_jpeg &= tf.strings.substr(contents, -2, 2) == b"\xff\xd9"
        # \C is any byte. "eXIf" is how a PNG says it.
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
    """Luminance of images, laid on black and on white.

    Args:
        rgba: uint8 [..., 28, 28, 4], or, to resize it, [height, width, 4].
        resize: Python bool.

    Returns:
        Two uint8 [..., 28, 28], and bool [], whether there are colours.
    """
    r, g, b, opacity = tf.unstack(rgba, axis=-1)
    spread = tf.maximum(tf.maximum(r, g), b) - tf.minimum(tf.minimum(r, g), b)
    colour = tf.reduce_any((spread > COLOURED) & (opacity > 0))
    r, g, b, opacity = (tf.cast(channel, tf.float32) for channel in (r, g, b, opacity))
    light = LUMINANCE[0] * r + LUMINANCE[1] * g + LUMINANCE[2] * b
    black = light * (opacity / 255)
    white = black + (255 - opacity)  # the same to the bit where all is opaque
    if resize:
        black, white = fit(black), fit(white)
    return *(tf.cast(tf.round(image), tf.uint8) for image in (black, white)), colour


def _read_with_pillow(path, where):
    """uint8 [height, width, 4] of a file of any kind."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as image:
            image.verify()  # a PNG's checksums, at which Pillow does not look when it reads one
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I"):  # 16 bits, which Pillow would cut off at 255
                upright = Image.fromarray(np.uint8(np.asarray(upright) // 257))
            return np.asarray(upright.convert("RGBA"))
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError) as error:
        raise UserError(f"{where}cannot read {path} ({error.strerror})") from error
    except Exception as error:  # damage can look like anything to a decoder
        reason = f" ({error})" if "\0" in path else ""
        raise UserError(f"{where}{path} is no readable image{reason}") from error
