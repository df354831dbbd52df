"""What the commands share: one line and the right status for each error, and how signals stop."""

import os
import signal

import pytest
import tensorflow as tf
from helpers import one_line

from tf_gen import cli
from tf_gen.errors import Terminated, UserError


def ended(command, error):
    """Exit status, stdout and stderr of a command that raises `error`."""

    def main(argv):
        raise error

    return command(main)


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (UserError("what is wrong"), 1, "error: what is wrong\n"),
        (OSError("no reason"), 1, "error: no reason\n"),
        (FileNotFoundError(2, "No such file", "a.txt"), 1, "error: No such file: a.txt\n"),
        (tf.errors.ResourceExhaustedError(None, None, "OOM\nmore"), 1, "error: TensorFlow: OOM\n"),
        (KeyboardInterrupt(), 130, ""),
        (Terminated(), 143, ""),
    ],
)
def test_each_error_has_its_status_and_at_most_one_line(command, error, status, words):
    assert ended(command, error) == (status, "", words)


@pytest.mark.parametrize(
    ("kind", "message", "advises"),
    [
        (
            tf.errors.InternalError,
            "libdevice not found at ./libdevice.10.bc [Op:__inference_a]",
            True,
        ),
        (tf.errors.UnknownError, "JIT compilation failed. [Op:Rsqrt]", True),
        (tf.errors.NotFoundError, "Couldn't run\nptxas --version", True),
        (
            tf.errors.InvalidArgumentError,
            "No registered 'A' OpKernel for XLA_CPU_JIT devices",
            True,
        ),
        (tf.errors.UnimplementedError, "Could not find compiler for platform CUDA (XLA)", True),
        (tf.errors.ResourceExhaustedError, "Out of memory in XLA", False),
        (tf.errors.InvalidArgumentError, "Incompatible shapes: [1] vs. [2]", False),
    ],
)
def test_an_error_of_xla_says_how_to_do_without(command, kind, message, advises):
    status, out, err = ended(command, kind(None, None, message))
    assert (status, out) == (1, "")
    assert one_line(err, f"error: TensorFlow: {message.splitlines()[0]}")
    assert ("try --no-jit" in err) == advises


def test_memory_of_gpus_grows_before_they_are_used(process):
    code = (
        "import tensorflow as tf\n"
        "from tf_gen import cli\n"
        "gpu, used = tf.config.PhysicalDevice('/physical_device:GPU:0', 'GPU'), []\n"
        "tf.config.list_physical_devices = lambda kind: [gpu]\n"
        "tf.config.experimental.set_memory_growth = lambda *growth: used.append(growth)\n"
        "tf.config.list_logical_devices = lambda: used.append('now')\n"
        "cli.import_tensorflow()\n"
        "assert used[0] == (gpu, True), used\n"
        "assert used[1:] in ([], ['now']), used\n"
    )
    for level in ({}, {"TF_CPP_MIN_LOG_LEVEL": "0"}):
        result = process("-c", code, **level)
        assert result.returncode == 0, result.stderr


def test_a_mistake_of_ours_keeps_its_traceback():
    def main():
        raise ZeroDivisionError

    handler = signal.getsignal(signal.SIGTERM)
    try:
        with pytest.raises(ZeroDivisionError):
            cli.run(main)
    finally:
        signal.signal(signal.SIGTERM, handler)


def test_sigterm_stops_a_command(command):
    def main(argv):
        os.kill(os.getpid(), signal.SIGTERM)
        signal.pause()

    assert command(main) == (143, "", "")


@pytest.mark.parametrize(
    ("signum", "error"), [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, Terminated)]
)
def test_a_first_signal_is_noted_and_a_second_acts(signum, error):
    def terminate(signum, frame):
        raise Terminated

    handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
    signal.signal(signal.SIGTERM, terminate)
    noted = []
    try:
        with pytest.raises(error), cli.StopRequest() as stop:
            assert stop.requested is None
            os.kill(os.getpid(), signum)
            noted.append(type(stop.requested))
            os.kill(os.getpid(), signum)
            signal.pause()
        assert noted == [error]
        assert signal.getsignal(signal.SIGINT) is handlers[signal.SIGINT]
        assert signal.getsignal(signal.SIGTERM) is terminate
    finally:
        signal.signal(signal.SIGTERM, handlers[signal.SIGTERM])


def test_flags_cannot_be_abbreviated_and_a_usage_error_is_one_line(capsys):
    parser = cli.Parser(prog="tool")
    parser.add_argument("--steps", type=int)
    assert parser.parse_args(["--steps", "3"]).steps == 3
    for wrong in (["--step", "3"], ["--steps", "x"]):
        with pytest.raises(SystemExit) as exit_:
            parser.parse_args(wrong)
        assert exit_.value.code == 2
        assert one_line(capsys.readouterr().err, "tool: error: ", wrong[0], "--help")


def test_warnings_are_lines_on_stderr(capsys):
    cli.warn("a", "b")
    cli.warn()
    assert capsys.readouterr() == ("", "warning: a\nwarning: b\n")


@pytest.mark.parametrize(("level", "silent"), [(None, True), ("0", False)])
def test_tensorflow_is_imported_without_a_word_unless_one_asks_for_it(process, level, silent):
    code = "from tf_gen import cli\ncli.import_tensorflow()\nimport tensorflow\n"
    code += "tensorflow.config.list_logical_devices()\n"
    result = process("-c", code, **({"TF_CPP_MIN_LOG_LEVEL": level} if level else {}))
    assert (result.returncode, result.stdout) == (0, "")
    assert (result.stderr == "") == silent


def test_other_keras_backend_is_refused(process):
    result = process("-m", "tf_gen.train", "vae", "--data", "bundled", KERAS_BACKEND="jax")
    assert result.returncode == 1
    assert one_line(result.stderr, "KERAS_BACKEND", "jax")
