"""Writing so that what is on disk is always whole: beside, then rename. Imports nothing heavy."""

import contextlib
import json
import os
import shutil
from pathlib import Path

from tf_gen.errors import UserError

PREFIX = ".tmp-"


@contextlib.contextmanager
def beside(path):
    """Yield a temporary path in the directory of `path`; rename it to `path` on success.

    What the body makes there, a file or a directory, appears under `path` whole or not at all. An
    existing file is replaced. An existing directory is not, unless it is empty: that raises
    OSError.
    """
    path = Path(path)
    temporary = path.with_name(f"{PREFIX}{os.getpid()}-{path.name}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        _remove(temporary)


def write_text(path, text):
    """Write `text` to `path`."""
    with beside(path) as temporary:
        temporary.write_text(text)


def write_json(path, content):
    """Write `content`, a dict of what JSON knows, to `path`."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def read_json(path):
    """The dict in a JSON file.

    Raises:
        OSError: it cannot be read; FileNotFoundError or NotADirectoryError: it is not there.
        UserError: it is damaged.
    """
    try:
        content = json.loads(path.read_text())
    except ValueError as error:
        raise UserError(f"{path}: damaged ({error})") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: damaged (a JSON object is needed)")
    return content


def remove_leftovers(directory):
    """Remove what killed processes left half written in `directory`."""
    for path in Path(directory).glob(PREFIX + "*"):
        _remove(path)


def _remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
