"""What the commands share: one-line errors with the right exit status, and how signals stop them.

Imports nothing heavy.
"""

import argparse
import contextlib
import os
import shlex
import signal
import sys
from pathlib import Path

from tf_gen.errors import Terminated, UserError
from tf_gen.settings import complaint, plain_type


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose usage errors are one line and whose flags cannot be abbreviated."""

    def __init__(self, **kwargs):
        super().__init__(allow_abbrev=False, **kwargs)

    def option(self, flag, kind, help_text, **more):
        """Add a flag, or a positional, whose values are of `kind`.

        That is a type of `tf_gen.settings`, or a function of the text, such as `path`.
        """

        def value(text):
            converted = plain_type(kind)(text)
            if wrong := complaint(kind, converted):
                raise argparse.ArgumentTypeError(wrong)
            return converted

        value.__name__ = plain_type(kind).__name__  # argparse prints it: "invalid int value: 'a'"
        self.add_argument(flag, type=value, help=help_text, **more)

    def error(self, message):
        line = _one_line(f"{self.prog}: error: {message} (--help lists what there is)")
        self.exit(2, f"{line}\n")


def expanded(text):
    """The text of a path, with ~ expanded, which shells leave alone in `--out=~/a.png`."""
    if not text:
        raise argparse.ArgumentTypeError("is empty, but must be a path")
    if "\0" in text:
        raise argparse.ArgumentTypeError("must be a path, but has a NUL in it")
    return os.path.expanduser(text)  # noqa: PTH111, that of Path raises where it knows no such user


def path(text):
    """The Path that a user typed."""
    return Path(expanded(text))


def typed(path):
    """`path`, or another value, as it can be pasted into a command line of ours."""
    text = str(path)
    return shlex.quote(f"./{text}" if text.startswith(("-", "~")) else text)


def run(main):
    """Run `main()` as a command: status 1 and a line for a user's error, 130 or 143 for signals."""
    _prepare_streams()
    signal.signal(signal.SIGTERM, _terminate)
    try:
        sys.exit(main())
    except UserError as error:
        message = str(error)
    except OSError as error:
        message = f"{error.strerror}: {error.filename}" if error.filename else str(error)
    except MemoryError as error:
        message = f"not enough memory ({error})" if str(error) else "not enough memory"
    except Terminated:
        sys.exit(128 + signal.SIGTERM)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except Exception as error:
        # TensorFlow's own errors are about memory and files more often than about our code.
        tensorflow = sys.modules.get("tensorflow")
        if tensorflow is None or not isinstance(error, tensorflow.errors.OpError):
            raise
        message = f"TensorFlow: {error.message.splitlines()[0]}"
    print(_one_line(f"error: {message}"), file=sys.stderr)
    sys.exit(1)


def _prepare_streams():
    """Let stdout and stderr take any text: a path may have what their encoding does not."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # there may be none, or one that a program put there
            # Buffered by lines, since a log file is read while it grows.
            stream.reconfigure(line_buffering=True, errors="backslashreplace")


def _one_line(text):
    """`text` with line breaks and the like, which a path in it may have, escaped."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


class StopRequest:
    """In `with`, the first SIGINT or SIGTERM is noted in `requested`; a second one acts at once.

    Attributes:
        requested: the exception that the signal would have raised, or None.
    """

    def __init__(self):
        self.requested = None

    def __enter__(self):
        self.handlers = {s: signal.signal(s, self._note) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, *exception):
        for signum, handler in self.handlers.items():
            signal.signal(signum, handler)

    def _note(self, signum, frame):
        self.requested = Terminated() if signum == signal.SIGTERM else KeyboardInterrupt()
        signal.signal(signum, self.handlers[signum])


def warn(*messages):
    """Print warnings, a line each, on stderr."""
    for message in messages:
        print(_one_line(f"warning: {message}"), file=sys.stderr)


def import_tensorflow():
    """Import TensorFlow without the lines on stderr that every process would begin with.

    They tell which processor instructions the build could have used and that there is no GPU, and
    no setting silences them all. Whoever sets TF_CPP_MIN_LOG_LEVEL, to any level, sees them.
    """
    if os.environ["KERAS_BACKEND"] != "tensorflow":
        raise UserError(
            f"KERAS_BACKEND is {os.environ['KERAS_BACKEND']}, but tf_gen needs tensorflow; unset it"
        )
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        import tensorflow  # noqa: F401

        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    with stderr_discarded():
        import tensorflow as tf

        tf.config.list_logical_devices()  # looks for GPUs now
    from absl import logging

    logging.set_verbosity(logging.ERROR)
    tf.get_logger().setLevel("ERROR")  # or it warns where calls of many sizes are compiled


@contextlib.contextmanager
def stderr_discarded():
    """Discard what C++ code writes to stderr. A Python exception passes, and is printed later."""
    if sys.stderr is None:
        yield
        return
    sys.stderr.flush()
    with Path(os.devnull).open("w") as devnull:
        saved = os.dup(2)
        os.dup2(devnull.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)


def _terminate(signum, frame):
    raise Terminated
