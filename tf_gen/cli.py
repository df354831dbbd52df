"""What the commands share: one-line errors with the right exit status, and how signals stop them.

Imports nothing heavy.
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

# Signals after which a command saves and ends: SIGHUP, of a terminal that is closed, is not
# everywhere.
TERMINATING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
SIGPIPE = 13  # which Windows does not have
MODELS = (  # what `model` takes, for help texts
    "a trained model that comes with this package (vae, gaussian_gan, tiny_gan, ali), a "
    "SavedModel's directory, or a run that has one, such as runs/vae"
)


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


def model(text):
    """The Path of a model; ./vae and vae/ are a directory here, only vae is also a name."""
    place = path(text)
    return place if len(place.parts) != 1 or text == place.name else place.absolute()


def typed(path):
    """`path`, or another value, as it can be pasted into a command line of ours."""
    text = str(path)
    return shlex.quote(f"./{text}" if text.startswith(("-", "~")) else text)


def run(main):
    """Run `main()` as a command: status 1 and a line for a user's error, 128 + N for signal N."""
    _prepare_streams()
    for signum in TERMINATING:
        if signal.getsignal(signum) != signal.SIG_IGN:  # nohup ignores SIGHUP
            signal.signal(signum, _terminate)
    try:
        sys.exit(main())
    except UserError as error:
        message = str(error)
    except BrokenPipeError:  # of `| head`, which has read enough
        _discard_output(lambda fd: True)
        sys.exit(128 + SIGPIPE)
    except OSError as error:
        message = f"{error.strerror}: {error.filename}" if error.filename else str(error)
    except MemoryError as error:
        message = f"not enough memory ({error})" if str(error) else "not enough memory"
    except KeyboardInterrupt as error:  # or Terminated
        try:
            sys.stdout.flush()
        except BrokenPipeError:  # or Python would complain when it ends
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
    """Let there be a stdout and a stderr that take any text: a path may have what they do not."""
    for fd in range(3):
        try:
            os.fstat(fd)
        except OSError:  # closed, as by `2>&-`: the next file that is opened would take its place
            os.open(os.devnull, os.O_RDWR)
    sys.stdout = sys.stdout or os.fdopen(1, "w", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", closefd=False)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a program may have put another one there
            # Buffered by lines, since a log file is read while it grows.
            stream.reconfigure(line_buffering=True, errors="backslashreplace")


def _discard_output(which):
    """Let go nowhere what is written to stdout and stderr, where `which` says so of their fd."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    for fd in filter(which, (1, 2)):
        os.dup2(devnull, fd)
    os.close(devnull)


def _one_line(text):
    """`text` with line breaks and the like, which a path in it may have, escaped."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


class StopRequest:
    """In `with`, a first SIGINT, SIGTERM or SIGHUP is noted in `requested`; a second acts at once.

    But not a second SIGHUP: the kernel and the shell send one each when a terminal is closed.
    In another thread than the main one there are no signals, and nothing is noted.

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
        """In `with`, output that nobody reads any more is a request to stop, not an error."""
        try:
            yield
        except BrokenPipeError:
            self.requested = self.requested or Terminated(SIGPIPE)


def warn(*messages):
    """Print warnings, a line each, on stderr."""
    for message in messages:
        print(_one_line(f"warning: {message}"), file=sys.stderr)


def import_tensorflow(lean=False, keras=True, one_thread=False, start=None):
    """Import TensorFlow, without the lines on stderr that every process begins with.

    They tell which processor instructions the build could have used and that there is no GPU, and
    no setting silences them all. Whoever sets TF_CPP_MIN_LOG_LEVEL, to any level, sees them.

    Keras starts with its own settings, whatever a keras.json says, and GPUs with little memory.

    Args:
        lean: let TensorFlow and Keras find no JAX, matplotlib, pandas, SciPy and scikit-learn
            while they are imported, which costs a second or more, for parts that no command uses.
        keras: false for a command that does without Keras, so that TensorFlow does not import it.
        one_thread: run an operation on one core, unless TF_NUM_INTRAOP_THREADS says otherwise. For
            small arrays of points a second core takes as long to wake up as the first to compute.
        start: function without arguments, which is the first to use TensorFlow's devices.

    Returns:
        What `start` returns.
    """
    if os.environ["KERAS_BACKEND"] != "tensorflow":
        raise UserError(
            f"KERAS_BACKEND is {os.environ['KERAS_BACKEND']}, but tf_gen needs tensorflow; unset it"
        )
    # So that Keras finds no keras.json, in which another precision may be chosen for all programs.
    os.environ["KERAS_HOME"] = os.devnull
    if one_thread:
        os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
    libraries = ("jax", "matplotlib", "pandas", "scipy", "sklearn") if lean else ()
    libraries += () if keras else ("keras",)
    if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
        with hidden(*libraries):
            device.grow_memory()
        return start() if start else None
    # Several machines write many lines when one of them ends, which is an error of ours, too.
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3" if start else "2"
    with stderr_discarded():
        with hidden(*libraries):
            import tensorflow as tf

        device.grow_memory()
        started = start() if start else None
        tf.config.list_logical_devices()  # looks for GPUs now
    from absl import logging

    logging.set_verbosity(logging.ERROR)
    tf.get_logger().setLevel("ERROR")  # or it warns where calls of many sizes are compiled
    return started


@contextlib.contextmanager
def hidden(*names):
    """In `with`, no package of these names is found, unless it is imported already."""
    names = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(names))  # None makes `import` raise ImportError
    try:
        yield
    finally:
        for name in names:
            sys.modules.pop(name, None)


@contextlib.contextmanager
def stderr_discarded():
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
    _leave_terminal(signum)
    if signum != signal.SIGTERM:
        signal.signal(signum, signal.SIG_IGN)  # a second one would disturb what is tidied up
    raise Terminated(signum)


def _leave_terminal(signum):
    """After SIGHUP the terminal is gone, and writing to it would be an error."""
    if signum != signal.SIGTERM and signum in TERMINATING:
        _discard_output(lambda fd: stat.S_ISCHR(os.fstat(fd).st_mode))
