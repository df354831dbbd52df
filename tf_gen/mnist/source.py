"""The data of a model: images to learn from and held-out images, checked."""

import dataclasses
import hashlib
from functools import cached_property
from typing import NamedTuple

import numpy as np

from tf_gen.errors import UserError

HELD_OUT_EVERY = 10  # if the data have no test set, every tenth image of a class is held out
AT_MOST = 256  # the largest number of classes
BRIGHT = 150  # a brighter border is taken for paper


@dataclasses.dataclass(frozen=True)
class Source:
    """Images to learn from and held-out images.

    Attributes:
        name: "bundled", "tfds" (MNIST from there), another set of TensorFlow Datasets, "mnist" (the
            original files), "custom" (other IDX files), "npz", "list" or "folders".
        images, held_out_images: uint8 [n, 28, 28], 0 is the background.
        labels, held_out_labels: uint8 [n].
        hint: what the user should know about this source; may be empty.
        classes: the name of each label, a tuple of strings; empty if labels are plain numbers.
    """

    name: str
    images: np.ndarray
    labels: np.ndarray
    held_out_images: np.ndarray
    held_out_labels: np.ndarray
    hint: str = ""
    classes: tuple = ()

    @cached_property
    def sha256(self):
        """Hex digest of all images and labels. Sources with the same digest train alike."""
        digest = hashlib.sha256()
        for array in (self.images, self.labels, self.held_out_images, self.held_out_labels):
            digest.update(str(array.shape).encode())
            digest.update(np.ascontiguousarray(array))
        for name in self.classes:
            digest.update(f"{name}\n".encode())
        return digest.hexdigest()

    def class_name(self, label):
        """The name of the class that a label, an int, means: a string."""
        return self.classes[label] if label < len(self.classes) else str(label)

    def __str__(self):
        counts = f"{len(self.images):,} images to train, {len(self.held_out_images):,} held out"
        return f"data: {self.name}, {counts}" + (f"; {self.hint}" if self.hint else "")


class Part(NamedTuple):
    """Images as they were found: all of them, those to train on, or the held-out ones."""

    images: np.ndarray  # uint8 [n, 28, 28]
    labels: np.ndarray  # [n] of ints from 0 to 255, or of strings

    def take(self, rows):
        """The images and labels of some rows, which are a NumPy index."""
        return Part(self.images[rows], self.labels[rows])


def evenly(images, count):
    """At most `count` of `images`, evenly spaced, since a source may be sorted by label."""
    return images[np.linspace(0, len(images) - 1, min(count, len(images)), dtype=int)]


def checked(spec, name, train, held_out, notes, classes=(), invert=False):
    """Make a `Source` and check whether something is wrong with it.

    Args:
        spec: where the images were found, for messages.
        name: name of the source.
        train, held_out: a `Part` each; `held_out` is None if `train` has to be split.
        notes: list of strings, notes about the source for the user.
        classes: names of the labels, if they are known.
        invert: whether to exchange black and white.

    Raises:
        UserError: there is nothing to learn from these images.
    """
    notes = list(notes)
    if held_out is None:
        train, held_out, single = split(train)
        if single:
            notes.append(f"only one image of {_listed(single)}, none held out")
        if not len(held_out.labels):
            raise UserError(f"{spec}: no class has two images, one of them to be held out")
    if not classes:
        train, held_out, classes = _numbered(spec, train, held_out)
    if invert:
        train, held_out = (part._replace(images=255 - part.images) for part in (train, held_out))
    for part, words in ((train, "images to train"), (held_out, "held-out images")):
        notes += _blank(spec, part.images, words)
    notes += _bright_borders(train.images, invert)
    unknown = np.setdiff1d(held_out.labels, train.labels)
    if len(unknown):
        names = [classes[label] if classes else str(label) for label in unknown]
        notes.append(f"of {_listed(names)} all images are held out")
    arrays = [array for images, labels in (train, held_out) for array in (images, labels)]
    arrays[1::2] = [labels.astype(np.uint8) for labels in arrays[1::2]]
    return Source(name, *arrays, "; ".join(notes), tuple(classes))


def split(part):
    """Hold out every tenth image of each class, or the last image of a class with fewer than ten.

    Returns:
        The `Part` to train on, the held-out one, and the classes with only one image, a list of
        strings. This image is trained on.
    """
    held_out, single = np.zeros(len(part.labels), bool), []
    for label in np.unique(part.labels):
        rows = np.flatnonzero(part.labels == label)
        if len(rows) == 1:
            single.append(str(label))
        else:
            held_out[rows[min(len(rows), HELD_OUT_EVERY) - 1 :: HELD_OUT_EVERY]] = True
    return part.take(~held_out), part.take(held_out), single


def _numbered(spec, train, held_out):
    """Both parts with numbers as labels, and the names of the labels if they were other words."""
    found = np.unique(np.concatenate([train.labels, held_out.labels]))
    if len(found) > AT_MOST:
        raise UserError(f"{spec}: {len(found)} classes; at most {AT_MOST} are possible")
    if found.dtype.kind in "iu":
        return train, held_out, ()
    words = found.tolist()
    numbers = [int(word) for word in words if word.isdecimal() and str(int(word)) == word]
    if len(numbers) == len(words) and max(numbers) < AT_MOST:
        numbered, words = [part.labels.astype(int) for part in (train, held_out)], ()
    else:
        numbered = [np.searchsorted(found, part.labels) for part in (train, held_out)]
    return Part(train.images, numbered[0]), Part(held_out.images, numbered[1]), words


def _blank(spec, images, words):
    """Notes on blank images. Raises UserError if all images are blank, or all are the same."""
    blank = int(np.sum(images.max(axis=(1, 2)) == images.min(axis=(1, 2))))
    if blank == len(images):
        raise UserError(f"{spec}: all {words} are blank, each pixel the same")
    if len(images) > 1 and (images == images[0]).all():
        raise UserError(f"{spec}: all {words} are the same image")
    return [f"{blank:,} of {len(images):,} {words} are blank"] if blank else []


def _bright_borders(images, inverted):
    """Notes on images that seem to be black on white."""
    some = evenly(images, 1000)
    border = np.concatenate([some[:, 0], some[:, -1], some[:, :, 0], some[:, :, -1]], axis=1)
    if np.median(border) <= BRIGHT:
        return []
    if inverted:
        return ["the borders are bright now; without --invert they are dark, as in MNIST"]
    return ["the borders are bright: --invert makes them dark, as in MNIST"]


def _listed(names):
    """At most five names for a message."""
    return ", ".join(map(str, names[:5])) + (f" and {len(names) - 5} more" if names[5:] else "")
