"""Writing so that what is on disk is always whole: beside, then rename. Imports nothing heavy."""

import contextlib
import errno
import json
import os
import shutil
import time
from pathlib import Path

from tf_gen.errors import UserError

PREFIX = ".tmp-"


@contextlib.contextmanager
def beside(path):
    """Yield a temporary path in the directory of `path`; rename it to `path` on success.

    What the body makes there, a file or a directory, appears under `path` whole or not at all. An
    existing file is replaced. An existing directory is not, unless it is empty: that raises
    OSError. An OSError of the body names `path`, too, where it would name the temporary one or
    none.
    """
    path = Path(path)
    temporary = _temporary(path)
    try:
        yield temporary
        replace(temporary, path)
    except OSError as error:
        _rename_in(error, temporary, path)
        raise
    finally:
        _remove(temporary)


def check_file(path, size=0):
    """Raise the OSError with which writing the file `path` would end, before the work for it.

    UserError: its disk has no room for `size` bytes.
    """
    path = Path(path)
    _check_name(path)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    temporary = _temporary(path)
    try:
        temporary.touch()
    except OSError as error:
        _rename_in(error, temporary, path)
        raise
    finally:
        _remove(temporary)
    if size > (free := shutil.disk_usage(path.parent).free):
        raise UserError(f"{path}: needs {size:,} bytes, but its disk has {free:,} left")


def check_directory(path):
    """Raise the OSError with which making files in `path`, which may be missing, would end."""
    path = Path(path)
    _check_name(path)
    there = next(p for p in (path, *path.absolute().parents) if os.path.lexists(p))
    if not there.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(there))
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(there))


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
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path}: damaged ({error})") from error
    if not isinstance(content, dict):
        raise UserError(f"{path}: damaged (a JSON object is needed)")
    return content


def remove_leftovers(directory):
    """Remove what killed processes left half written in `directory`."""
    for path in Path(directory).glob(PREFIX + "*"):
        _remove(path)


def _check_name(path):
    """Raise OSError if nothing can have this name: it is too long, say."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        path.stat()


def _temporary(path):
    # Of a long name only the end, lest it be too long with what comes before.
    return path.with_name(f"{PREFIX}{os.getpid()}-{path.name[-50:]}")


def replace(temporary, path):
    """Rename; on Windows a virus scanner may hold the file for a moment, so try for a second."""
    for wait in [0.1] * 10 + [0]:
        try:
            temporary.replace(path)
            return
        except PermissionError:
            if not wait:
                raise
            time.sleep(wait)


def _rename_in(error, temporary, path):
    """Let an OSError speak of `path` where it does of `temporary`, which nobody knows."""

    def renamed(text):
        return text.replace(str(temporary), str(path)) if isinstance(text, str) else text

    error.args = tuple(renamed(argument) for argument in error.args)
    if error.errno:
        error.filename = renamed(error.filename) or str(path)


def _remove(path):
    if not os.path.lexists(path):
        return
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
