"""What the commands share: one-line errors with the right exit status, and handling of signals.

This module imports no heavy library.
"""

import argparse
import contextlib
import os
import re
import shlex
import signal
import stat
import sys
import threading
from pathlib import Path

from tf_gen import device
from tf_gen.errors import Terminated, UserError
from tf_gen.settings import complaint, plain_type

# A command saves its state and ends after these signals. SIGHUP comes when a terminal is closed;
# some systems do not have it.
TERMINATING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
SIGPIPE = 13  # Windows does not define it
MODELS = (  # the help text of `model`
    "a trained model that comes with this package (vae, gaussian_gan, tiny_gan, ali), the "
    "directory of a SavedModel, or a run that has one, such as runs/vae"
)


class Parser(argparse.ArgumentParser):
    """An ArgumentParser whose usage errors are one line and whose flags cannot be abbreviated."""

    def __init__(self, **kwargs):
        super().__init__(allow_abbrev=False, **kwargs)

    def option(self, flag, kind, help_text, **more):
        """Add a flag or a positional argument with values of `kind`.

        `kind` is a type of `tf_gen.settings`, or a function of the text such as `path`.
        """

        def value(text):
            converted = plain_type(kind)(text)
            if wrong := complaint(kind, converted):
                raise argparse.ArgumentTypeError(wrong)
            return converted

        value.__name__ = plain_type(kind).__name__  # argparse prints it: "invalid int value: 'a'"
        self.add_argument(flag, type=value, help=help_text, **more)

    def error(self, message):
        line = _one_line(f"{self.prog}: error: {message} (see --help)")
        self.exit(2, f"{line}\n")


def expanded(text):
    """Expand ~ in the text of a path. Shells do not expand it in `--out=~/a.png`."""
    if not text:
        raise argparse.ArgumentTypeError("is empty, but must be a path")
    if "\0" in text:
        raise argparse.ArgumentTypeError("must be a path, but has a NUL in it")
    return os.path.expanduser(text)  # noqa: PTH111, Path.expanduser raises for an unknown user


def path(text):
    """The Path that a user typed."""
    return Path(expanded(text))


def model(text):
    """The Path of a model. ./vae and vae/ mean a directory here; vae can also be a name."""
    place = path(text)
    return place if len(place.parts) != 1 or text == place.name else place.absolute()


def typed(path):
    """`path`, or another value, in a form that can be pasted into a command line."""
    text = str(path)
    return shlex.quote(f"./{text}" if text.startswith(("-", "~")) else text)


def run(main):
    """Run `main()` as a command.

    A user's error prints one line and gives exit status 1; signal N gives 128 + N.
    """
    _prepare_streams()
    for signum in TERMINATING:
        if signal.getsignal(signum) != signal.SIG_IGN:  # nohup ignores SIGHUP
            signal.signal(signum, _terminate)
    try:
        sys.exit(main())
    except UserError as error:
        message = str(error)
    except BrokenPipeError:  # as after `| head`
        _discard_output(lambda fd: True)
        sys.exit(128 + SIGPIPE)
    except OSError as error:
        message = f"{error.strerror}: {error.filename}" if error.filename else str(error)
    except MemoryError as error:
        message = f"not enough memory ({error})" if str(error) else "not enough memory"
    except KeyboardInterrupt as error:  # or Terminated
        try:
            sys.stdout.flush()
        except BrokenPipeError:  # without this, Python would complain when it ends
            _discard_output(lambda fd: True)
        sys.exit(128 + getattr(error, "signum", signal.SIGINT))
    except Exception as error:
        # TensorFlow's own errors are about memory and files more often than about our code.
        tensorflow = sys.modules.get("tensorflow")
        if tensorflow is None or not isinstance(error, tensorflow.errors.OpError):
            raise
        message = f"TensorFlow: {error.message.splitlines()[0]}"
        out_of_memory = isinstance(error, tensorflow.errors.ResourceExhaustedError)
        if not out_of_memory and re.search("XLA|JIT|libdevice|ptxas", error.message):
            message += "; if its compiler XLA does not work here, try --no-jit"
    print(_one_line(f"error: {message}"), file=sys.stderr)
    sys.exit(1)


def _prepare_streams():
    """Make sure that stdout and stderr exist and accept any text, since a path may have any."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:  # closed, as by `2>&-`; the next opened file would get this number
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a program may have replaced the stream
            # Line buffering, since a log file is read while it grows.
            stream.reconfigure(line_buffering=True, errors="backslashreplace")


def _discard_output(which):
    """Discard what is written to stdout and stderr, if `which` is true for their fd."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    for fd in filter(which, (1, 2)):
        os.dup2(devnull, fd)
    os.close(devnull)


def _one_line(text):
    """`text` with line breaks and the like escaped; a path may have them."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


class StopRequest:
    """In `with`, the first SIGINT, SIGTERM or SIGHUP is noted in `requested`.

    A second SIGINT or SIGTERM acts at once. A second SIGHUP does not, since the kernel and the
    shell both send one when a terminal is closed. Only the main thread receives signals; in another
    thread nothing is noted.

    Attributes:
        requested: the exception that the signal would have raised, or None.
    """

    def __init__(self):
        self.requested = None

    def __enter__(self):
        signals = (signal.SIGINT, *TERMINATING)
        self.handlers = {}
        if threading.current_thread() is threading.main_thread():
            self.handlers = {signum: signal.getsignal(signum) for signum in signals}
        for signum, handler in self.handlers.items():
            if handler != signal.SIG_IGN:
                signal.signal(signum, self._note)
        return self

    def __exit__(self, *exception):
        for signum, handler in self.handlers.items():
            signal.signal(signum, handler)

    def _note(self, signum, frame):
        self.requested = KeyboardInterrupt() if signum == signal.SIGINT else Terminated(signum)
        _leave_terminal(signum)
        if signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, self.handlers[signum])

    @contextlib.contextmanager
    def showing(self):
        """In `with`, a closed output pipe is a request to stop instead of an error."""
        try:
            yield
        except BrokenPipeError:
            self.requested = self.requested or Terminated(SIGPIPE)


def warn(*messages):
    """Print each warning as a line on stderr."""
    for message in messages:
        print(_one_line(f"warning: {message}"), file=sys.stderr)


def import_tensorflow(lean=False, keras=True, one_thread=False, start=None):
    """Import TensorFlow without the messages that it writes to stderr at the start.

    They say which processor instructions the build could have used and that there is no GPU. No
    setting silences them all. If TF_CPP_MIN_LOG_LEVEL is set, to any level, they are shown.

    Keras ignores keras.json, and TensorFlow allocates GPU memory as it needs it.

    Args:
        lean: hide JAX, matplotlib, pandas, SciPy and scikit-learn from TensorFlow and Keras during
            the import. They would import them, which takes a second or more, for parts that no
            command uses.
        keras: false for a command that does not need Keras, so that TensorFlow does not import it.
        one_thread: run an operation on one core, unless TF_NUM_INTRAOP_THREADS is set. For small
            arrays of points, waking up a second core takes as long as computing on the first.
        start: function without arguments that is the first to use TensorFlow's devices.

    Returns:
        What `start` returns.
    """
    if os.environ["KERAS_BACKEND"] != "tensorflow":
        raise UserError(
            f"KERAS_BACKEND is {os.environ['KERAS_BACKEND']}, but tf_gen needs tensorflow; unset it"
        )
    # Keras then finds no keras.json, which may choose another precision for all programs.
    os.environ["KERAS_HOME"] = os.devnull
    if one_thread:
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    libraries = ("jax", "matplotlib", "pandas", "scipy", "sklearn") if lean else ()
    libraries += () if keras else ("keras",)
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        with hidden(*libraries):
            device.grow_memory()
        return start() if start else None
    # When one of several machines ends, the others write many lines; we report the error ourselves.
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3" if start else "2"
    with stderr_discarded():
        with hidden(*libraries):
            import tensorflow as tf

        device.grow_memory()
        started = start() if start else None
        tf.config.list_logical_devices()  # looks for GPUs now
    from absl import logging

    logging.set_verbosity(logging.ERROR)
    tf.get_logger().setLevel("ERROR")  # it warns when calls of many sizes are compiled
    return started


@contextlib.contextmanager
def hidden(*names):
    """In `with`, packages of these names cannot be imported, unless they already are."""
    names = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(names))  # None makes `import` raise ImportError
    try:
        yield
    finally:
        for name in names:
            sys.modules.pop(name, None)


@contextlib.contextmanager
def stderr_discarded():
    """Discard what C++ code writes to stderr. A Python exception still propagates."""
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
    _leave_terminal(signum)
    if signum != signal.SIGTERM:
        signal.signal(signum, signal.SIG_IGN)  # a second one would interrupt the cleanup
    raise Terminated(signum)


def _leave_terminal(signum):
    """After SIGHUP the terminal is gone, and writing to it would be an error."""
    if signum != signal.SIGTERM and signum in TERMINATING:
        _discard_output(lambda fd: stat.S_ISCHR(os.fstat(fd).st_mode))
