"""Image files: in a list, or in a directory with a folder for each label."""

import csv
import os
import re

import numpy as np

from tf_gen.errors import UserError
from tf_gen.mnist import pictures
from tf_gen.mnist.source import Part

# Names of folders, in lower case.
TRAIN = ("train", "training")
HELD_OUT = ("test", "testing", "val", "valid", "validation")
# Names of columns.
PATHS = {"path", "file", "filename", "file_name", "filepath", "file_path", "image", "image_path"}
LABELS = {"label", "labels", "class", "digit", "target", "category"}
FORM = "`path label` is needed, the label a number from 0 to 255, or in all lines a word"
COMMENT = re.compile(r"^\s*#.*|(?<=\s)#[^\"]*$")  # a whole line, or the rest after a space


# ---- Lists --------------------------------------------------------------------------------------


def read_list(path, resize):
    """Read the images that a text file lists, a line `path label` for each.

    Paths are relative to the file. Path and label may be separated by spaces, tabs, commas or
    semicolons. A first line may name the columns, as in `path,label`. Paths may be quoted and may
    have backslashes. Empty lines and comments after `#` are ignored.

    Returns:
        The source's name, a `Part`, None, and notes.

    Raises:
        UserError: the message says what is wrong, and in which line.
    """
    numbers, entries = [], []
    for number, entry in _entries(path):
        numbers.append(number)
        entries.append(entry)
    if not entries:
        raise UserError(f"{path}: no images; a list has a line `path label` for each")
    names, labels = zip(*entries, strict=True)

    def where(index):
        return f"{path}, line {numbers[index]}: "

    decimal = [label.isdecimal() for label in labels]
    for index, label in enumerate(labels):
        word = not re.search(r"[/\\]|\.\w+$", label) and not decimal[0]
        if not (int(label) <= 255 if decimal[index] and decimal[0] else word):
            raise UserError(f"{where(index)}{FORM}, not {label!r}")
    labels = np.array([int(label) for label in labels] if decimal[0] else labels)
    paths = [_path_of(name, path.parent) for name in names]
    images, notes = pictures.read(paths, where, resize)
    return "list", Part(images, labels), None, notes


def _entries(path):
    """Yield the number of each line that is not empty, and its path and label as strings."""
    lines = _text(path).splitlines()
    columns = None  # the positions of path and label in a line
    for number, line in enumerate(lines, 1):
        line = COMMENT.sub("", line).strip()
        if not line:
            continue
        fields = _fields(line)
        if columns is None:
            columns = (0, 1)
            words = [field.lower() for field in fields]
            named = [[i for i, word in enumerate(words) if word in k] for k in (PATHS, LABELS)]
            if all(named):
                columns = named[0][0], named[1][0]
                width = len(fields)
                continue
            width = 2
        if len(fields) != width or not all(fields[column] for column in columns):
            raise UserError(f"{path}, line {number}: {FORM}")
        yield number, tuple(fields[column] for column in columns)


def _text(path):
    content = path.read_bytes()
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8"
    try:
        return content.decode(encoding).lstrip("\ufeff")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}: not a text file of lines `path label`, nor any other form of images"
        ) from error


def _fields(line):
    """The fields of a line, separated by tabs, semicolons, commas or spaces, in this priority.

    With spaces, the label is the part after the last space, since paths may contain spaces.
    """
    for delimiter in "\t;,":
        if delimiter in line:
            (fields,) = csv.reader([line], delimiter=delimiter, skipinitialspace=True)
            return [field.strip() for field in fields]
    name, _, label = line.rpartition(" ")
    return [name.strip().strip("\"'"), label]


def _path_of(name, directory):
    """The path, a string, that a list in `directory` means by `name`."""
    path = os.path.join(directory, os.path.expanduser(name))  # noqa: PTH111, PTH118 - 5 times as fast
    if "\\" in name and not os.path.exists(path):  # noqa: PTH110
        return os.path.join(directory, name.replace("\\", "/"))  # noqa: PTH118
    return path


# ---- Directories --------------------------------------------------------------------------------


def read_folders(directory, resize):
    """Read `LABEL/*.png`, or other images, with or without `train/` and `test/` around them.

    Returns:
        The source's name, the `Part` to train on, the held-out one or None, and notes.

    Raises:
        UserError: the message says what is wrong with which file.
    """
    children = {child.name.lower(): child for child in _visible(directory) if child.is_dir()}
    train, held_out = (
        [children[name] for name in names if name in children] for names in (TRAIN, HELD_OUT)
    )
    if held_out and not train:
        raise UserError(f"{held_out[0]}: there is no folder {TRAIN[0]} beside it")
    pairs, others = _labelled(train or [directory])
    held_out_pairs, more_others = _labelled(held_out)
    if not pairs:
        raise UserError(
            f"{directory}: no images LABEL/NAME.png, nor IDX files; README.md has a table of what "
            "--data takes"
        )
    paths, labels = zip(*pairs, *held_out_pairs, strict=True)
    images, notes = pictures.read(paths, lambda row: "", resize)  # one background for all
    if others := others + more_others:
        notes.append(f"{others:,} other files left out")
    found, count = Part(images, np.array(labels)), len(pairs)
    parts = found.take(slice(count)), found.take(slice(count, None))
    return "folders", parts[0], parts[1] if held_out else None, notes


def _labelled(directories):
    """Images in the folders of some directories.

    Returns:
        Sorted pairs of path and label, and the number of other files.
    """
    folders = [path for directory in directories for path in _visible(directory) if path.is_dir()]
    pairs, others = [], 0
    for folder in sorted(folders):
        for path in sorted(_visible(folder)):
            if path.suffix.lower() in pictures.SUFFIXES:
                pairs.append((str(path), folder.name))
            else:
                others += 1
    return pairs, others


def _visible(directory):
    return [p for p in directory.iterdir() if not p.name.startswith((".", "__"))]
