"""Images in arrays: IDX files, the form of MNIST, and `.npz`, in which Keras stores MNIST."""

import hashlib
import io
import re
import zipfile
import zlib

import numpy as np

from tf_gen.errors import UserError
from tf_gen.mnist import pictures
from tf_gen.mnist.source import Part

# SHA-256 of the four original MNIST files, decompressed. Their compressed forms have the
# SHA-256 that TensorFlow Datasets lists in url_checksums/mnist.txt.
MNIST_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}  # IDX codes
GZIP = b"\x1f\x8b"
KEYS = ("x_train", "y_train", "x_test", "y_test")
# The four files of a set, and the words that their names contain.
IDX_NAMES = {
    (part, kind): re.compile(rf"({words}).*{kind}", re.IGNORECASE)
    for part, words in {"train": "train", "t10k": "t10k|test"}.items()
    for kind in ("images", "labels")
}
IDX_NAME = re.compile(r"idx\d|-ubyte|\.ubyte", re.IGNORECASE)


# ---- IDX files ----------------------------------------------------------------------------------


def idx_files(directory):
    """The files of a directory that are named like IDX files: a sorted list of paths."""
    return sorted(path for path in directory.iterdir() if IDX_NAME.search(path.name))


def read_idx(directory, resize):
    """Read the four IDX files in a directory, raw or compressed, whatever their suffixes.

    The first bytes of a file tell its kind. QMNIST's labels are the first of eight numbers, and
    EMNIST's images, which are stored transposed, are turned upright.

    Returns:
        The source's name, the `Part` to train on, the held-out one, and notes.

    Raises:
        UserError: a file is missing or damaged, or belongs to another set.
    """
    paths = _four_files(directory)
    contents = {key: _read_file(path) for key, path in paths.items()}
    arrays = {key: _parse_idx(paths[key], content) for key, content in contents.items()}
    parts = []
    for part in ("train", "t10k"):
        images, labels = arrays[part, "images"], arrays[part, "labels"]
        path = paths[part, "images"]
        if images.ndim != 3 or images.dtype != np.uint8 or not images.size:
            raise UserError(f"{path}: {_form(images)} where bytes (n, height, width) are needed")
        if "emnist" in path.name.lower():
            images = images.transpose(0, 2, 1)
        path = paths[part, "labels"]
        if labels.ndim == 2 and labels.shape[1] == 8:
            labels = labels[:, 0]
        parts.append(_part(images, labels, f"{path}: ", resize))
    originals = list(MNIST_SHA256.values())
    found = [hashlib.sha256(content).hexdigest() for content in contents.values()]
    if found == originals:
        return "mnist", *parts, []
    return "custom", *parts, ["not the original MNIST files"]


def _four_files(directory):
    """The files to read: dict of (part, kind) to path, in the order of MNIST_SHA256."""
    sets = {}  # from the rest of a name to such a dict
    for path in reversed(idx_files(directory)):  # raw files come after their .gz and replace them
        for key, pattern in IDX_NAMES.items():
            if match := pattern.search(path.name):
                sets.setdefault(path.name[: match.start()].lower(), {})[key] = path
    if len(sets) > 1:
        names = ", ".join(sorted(f"{prefix}*" for prefix in sets))
        raise UserError(
            f"{directory}: holds several sets ({names}); give each a directory of its own"
        )
    found = sets.popitem()[1] if sets else {}
    for part, kind in IDX_NAMES:
        if (part, kind) not in found:
            idx = "images-idx3-ubyte" if kind == "images" else "labels-idx1-ubyte"
            raise UserError(
                f"{directory}: no file with the {kind} of {part}, such as {part}-{idx}.gz"
            )
    return {key: found[key] for key in IDX_NAMES}


def _read_file(path):
    """The content of a file, decompressed if necessary."""
    content = path.read_bytes()
    if not content.startswith(GZIP):
        return content
    plain = b""
    while content.startswith(GZIP):  # there may be several members, and garbage at the end
        decompressor = zlib.decompressobj(wbits=31)
        try:
            plain += decompressor.decompress(content)
        except zlib.error as error:
            raise UserError(f"{path}: damaged ({error}); fetch this file again") from error
        if not decompressor.eof:
            raise UserError(f"{path}: damaged (it ends too early); fetch this file again")
        content = decompressor.unused_data
    return plain


def _parse_idx(path, content):
    """The array in the bytes of an IDX file."""
    if re.match(rb"\s*<(!doctype|html)", content, re.IGNORECASE):
        raise UserError(f"{path}: an HTML page, as a server sends in the place of a file; fetch it")
    kind, rank = content[2:4] if len(content) >= 4 else (0, 0)
    start = 4 + 4 * rank
    if content[:2] != b"\0\0" or kind not in TYPES or not 1 <= rank <= 4 or len(content) < start:
        raise UserError(f"{path}: not an IDX file; fetch this file again")
    shape = np.frombuffer(content[4:start], ">u4").tolist()
    announced, length = np.prod(shape, dtype=object), len(content) - start
    if announced * np.dtype(TYPES[kind]).itemsize != length:
        raise UserError(f"{path}: {length} bytes of data where {announced} numbers are announced")
    return np.frombuffer(content[start:], TYPES[kind]).reshape(shape)


# ---- .npz ---------------------------------------------------------------------------------------


def is_npz(path):
    """Whether a file is, or should be, a `.npz`, by its first bytes or its name."""
    with path.open("rb") as file:
        return file.read(4) == b"PK\x03\x04" or path.suffix.lower() == ".npz"


def read_npz(path, resize):
    """Read a `.npz` file with x_train, y_train, x_test and y_test, as Keras stores MNIST.

    Images are [n, height, width] and grey, or have a last axis of one or three channels. Values are
    bytes, or floats from 0 to 1 or from 0 to 255.

    Returns, Raises:
        as `read_idx`.
    """
    try:
        with np.load(io.BytesIO(path.read_bytes())) as file:
            if missing := [key for key in KEYS if key not in file]:
                raise UserError(
                    f"{path}: no {', '.join(missing)}; it has {', '.join(file) or 'nothing'}"
                )
            arrays = [file[key] for key in KEYS]
    except UserError:
        raise
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path}: damaged ({error}); fetch this file again") from error
    except Exception as error:  # for example, a flipped bit can make it look encrypted
        raise UserError(f"{path}: damaged; fetch this file again") from error
    notes, parts = [], []
    for part, images, labels in (("train", *arrays[:2]), ("test", *arrays[2:])):
        images, coloured = _grey(images, f"{path}, x_{part}: ")
        if coloured and not notes:
            notes.append("colours became their luminance")
        parts.append(_part(images, labels, f"{path}, y_{part}: ", resize))
    return "npz", *parts, notes


def _grey(images, where):
    """Images of a .npz as uint8 [n, height, width], and whether they had colours."""
    numbers = images.dtype.kind in "buif" and images.size
    if numbers and images.dtype.kind == "f" and 0 <= images.min() <= images.max() <= 1:
        images = 255 * images
    shades = numbers and 0 <= images.min() <= images.max() <= 255
    coloured = images.ndim == 4 and images.shape[3] == 3
    if not shades or not (images.ndim == 3 or coloured or images.shape[3:] == (1,)):
        raise UserError(f"{where}{_form(images)} where bytes (n, height, width) are needed")
    images = np.rint(images).astype(np.uint8)
    if coloured:
        return pictures.luminance(images), True
    return images.reshape(images.shape[:3]), False


# ---- Both ---------------------------------------------------------------------------------------


def _part(images, labels, where, resize):
    """A `Part` of images [n, height, width] and labels. A UserError begins with `where`."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    numbers = labels.ndim == 1 and labels.dtype.kind in "bui" and labels.size
    if not numbers or not 0 <= labels.min() <= labels.max() <= 255:
        raise UserError(f"{where}{_form(labels)} where labels from 0 to 255, (n,), are needed")
    if len(images) != len(labels):
        raise UserError(f"{where}{len(labels)} labels for {len(images)} images")
    height, width = images.shape[1:]
    if (height, width) != (28, 28):
        if not resize:
            raise UserError(
                f"{where}its images have {width}x{height} pixels, not 28x28; --resize scales images"
            )
        images = pictures.fit_all(images)
    return Part(images, labels.astype(int))


def _form(array):
    return f"{array.dtype} {array.shape}"
