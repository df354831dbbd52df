"""Writing so that what is on disk is always whole: beside, then rename. Imports nothing heavy."""

import contextlib
import os
import shutil
from pathlib import Path

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


def remove_leftovers(directory):
    """Remove what killed processes left half written in `directory`."""
    for path in Path(directory).glob(PREFIX + "*"):
        _remove(path)


def _remove(path):
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
