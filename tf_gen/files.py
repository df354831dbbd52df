"""Writing files completely or not at all: write a temporary file beside the target, then rename."""

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

    The file or directory that the body makes there appears under `path` complete or not at all. An
    existing file is replaced, and so is an empty directory; any other directory raises OSError. If
    an OSError of the body names the temporary path or none, it is changed to name `path`.
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
    """Raise the OSError that writing the file `path` would raise, before the work is done.

    Raises UserError if its disk has no room for `size` bytes.
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
    """Raise the OSError that making files in the directory `path` would raise; it may not exist."""
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
    """Write `content`, a dict for JSON, to `path`."""
    write_text(path, json.dumps(content, indent=2) + "\n")


def read_json(path):
    """The dict in a JSON file.

    Raises:
        OSError: it cannot be read; FileNotFoundError or NotADirectoryError if it does not exist.
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
    """Remove the incomplete files that killed processes left in `directory`."""
    for path in Path(directory).glob(PREFIX + "*"):
        _remove(path)


def _check_name(path):
    """Raise OSError if no file can have this name, for example because it is too long."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        path.stat()


def _temporary(path):
    # Only the end of a long name, since with the prefix it could be too long.
    return path.with_name(f"{PREFIX}{os.getpid()}-{path.name[-50:]}")


def replace(temporary, path):
    """Rename. On Windows a virus scanner may hold the file for a moment, so try for a second."""
    for wait in [0.1] * 10 + [0]:
        try:
            temporary.replace(path)
            return
        except PermissionError:
            if not wait:
                raise
            time.sleep(wait)


def _rename_in(error, temporary, path):
    """Replace `temporary` by `path` in an OSError, since the user does not know `temporary`."""

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
