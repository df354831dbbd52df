"""What the commands share: one-line errors with the right exit status, and how signals stop them.

Imports nothing heavy.
"""

import argparse
import contextlib
import os
import re
import signal
import sys
from pathlib import Path

from tf_gen import device
from tf_gen.errors import Terminated, UserError
from tf_gen.settings import complaint, plain_type


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose usage errors are one line and whose flags cannot be abbreviated."""

    def __init__(self, **kwargs):
        super().__init__(allow_abbrev=False, **kwargs)

    def option(self, flag, kind, help_text, **more):
        """Add a flag whose values are of `kind`, a type of `tf_gen.settings` or a callable."""

        def value(text):
            converted = plain_type(kind)(text)
            if wrong := complaint(kind, converted):
                raise argparse.ArgumentTypeError(wrong)
            return converted

        value.__name__ = plain_type(kind).__name__  # argparse prints it: "invalid int value: 'a'"
        self.add_argument(flag, type=value, help=help_text, **more)

    def error(self, message):
        self.exit(2, f"{self.prog}: error: {message} (--help lists what there is)\n")


def run(main):
    """Run `main()` as a command: status 1 and a line for a user's error, 130 or 143 for signals."""
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(line_buffering=True)  # a log file is read while it grows
    signal.signal(signal.SIGTERM, _terminate)
    try:
        sys.exit(main())
    except UserError as error:
        message = str(error)
    except OSError as error:
        message = f"{error.strerror}: {error.filename}" if error.filename else str(error)
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
        out_of_memory = isinstance(error, tensorflow.errors.ResourceExhaustedError)
        if not out_of_memory and re.search("XLA|JIT|libdevice|ptxas", error.message):
            message += "; if its compiler XLA does not work here, try --no-jit"
    print(f"error: {message}", file=sys.stderr)
    sys.exit(1)


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
        print(f"warning: {message}", file=sys.stderr)


def import_tensorflow():
    """Import TensorFlow, without the lines on stderr that every process would begin with.

    They tell which processor instructions the build could have used and that there is no GPU, and
    no setting silences them all. Whoever sets TF_CPP_MIN_LOG_LEVEL, to any level, sees them.

    Keras starts with its own settings, whatever a keras.json says, and GPUs with little memory.
    """
    if os.environ["KERAS_BACKEND"] != "tensorflow":
        raise UserError(
            f"KERAS_BACKEND is {os.environ['KERAS_BACKEND']}, but tf_gen needs tensorflow; unset it"
        )
    # So that Keras finds no keras.json, in which another precision may be chosen for all programs.
    os.environ["KERAS_HOME"] = os.devnull
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        device.grow_memory()
        return
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    with _stderr_discarded():
        import tensorflow as tf

        device.grow_memory()
        tf.config.list_logical_devices()  # looks for GPUs now
    from absl import logging

    logging.set_verbosity(logging.ERROR)
    tf.get_logger().setLevel("ERROR")  # or it warns where calls of many sizes are compiled


@contextlib.contextmanager
def _stderr_discarded():
    """Discard what C++ code writes to stderr. A Python exception passes, and is printed later."""
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
