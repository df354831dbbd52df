"""What the commands share: one line and the right status for each error, and how signals stop."""

import os
import shlex
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import tensorflow as tf
from helpers import environment, one_line

from tf_gen import cli, evaluate, export, sample, train
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
        (UserError("a\nb\x1b\udcff: c"), 1, "error: a\\nb\\x1b\\udcff: c\n"),
        (OSError("no reason"), 1, "error: no reason\n"),
        (MemoryError(), 1, "error: not enough memory\n"),
        (MemoryError("9 GiB"), 1, "error: not enough memory (9 GiB)\n"),
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
        for s, handler in handlers.items():
            signal.signal(s, handler)


def test_a_closed_terminal_may_tell_twice(command, monkeypatch):
    """The kernel does, and then the shell: neither the saving nor the end is disturbed."""
    discarded = []
    monkeypatch.setattr(cli, "_discard_output", discarded.append)
    before = signal.getsignal(signal.SIGHUP)

    def main(argv):
        with cli.StopRequest() as stop:
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGHUP)
            saved.append(stop.requested.signum)
        try:
            os.kill(os.getpid(), signal.SIGHUP)
            signal.pause()
        finally:
            os.kill(os.getpid(), signal.SIGHUP)
            saved.append("tidied up")

    saved = []
    try:
        assert command(main) == (129, "", "")
        assert saved == [signal.SIGHUP, "tidied up"]
        assert discarded  # the terminal is gone
    finally:
        signal.signal(signal.SIGHUP, before)


def test_output_that_nobody_reads_is_a_request_to_stop():
    with cli.StopRequest() as stop:
        with stop.showing():
            raise BrokenPipeError
        assert stop.requested.signum == 13
        stop.requested = first = KeyboardInterrupt()
        with stop.showing():
            raise BrokenPipeError
        assert stop.requested is first  # `| tee` ends of the same Ctrl-C
        with pytest.raises(OSError, match="disk"), stop.showing():
            raise OSError("disk")


def test_a_signal_that_is_ignored_stays_so(command):
    """As nohup has it."""
    handler = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:

        def main(argv):
            os.kill(os.getpid(), signal.SIGHUP)
            with cli.StopRequest() as stop:
                os.kill(os.getpid(), signal.SIGHUP)
            assert stop.requested is None
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
            return 7

        assert command(main) == (7, "", "")
    finally:
        signal.signal(signal.SIGHUP, handler)


def test_a_thread_notes_no_signals():
    requests = []

    def body():
        with cli.StopRequest() as stop:
            requests.append(stop.requested)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert requests == [None]


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "2>&-", "0<&- 1>&- 2>&-"])
def test_files_do_not_take_the_place_of_streams_that_are_closed(tmp_path, closed):
    code = (
        "import os, sys\n"
        "from tf_gen import cli\n"
        "def main():\n"
        "    with open('file', 'w') as file:\n"
        "        print('out')\n"
        "        print('err', file=sys.stderr)\n"
        "        os.write(1, b'out')\n"  # as C++ does
        "        os.write(2, b'err')\n"
        "        file.write('whole')\n"
        "    return 5\n"
        "cli.run(main)\n"
    )
    (tmp_path / "code.py").write_text(code)
    command = shlex.join([sys.executable, "code.py"])
    status = subprocess.run(f"{command} {closed}", shell=True, cwd=tmp_path, env=environment())
    assert status.returncode == 5
    assert (tmp_path / "file").read_text() == "whole"


def test_flags_cannot_be_abbreviated_and_a_usage_error_is_one_line(capsys):
    parser = cli.Parser(prog="tool")
    parser.add_argument("--steps", type=int)
    assert parser.parse_args(["--steps", "3"]).steps == 3
    for wrong in (["--step", "3"], ["--steps", "x"]):
        with pytest.raises(SystemExit) as exit_:
            parser.parse_args(wrong)
        assert exit_.value.code == 2
        assert one_line(capsys.readouterr().err, "tool: error: ", wrong[0], "--help")


def test_a_path_is_expanded_wherever_it_stands(monkeypatch):
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("USERPROFILE", "/home/ada")  # Windows has this one
    parser = cli.Parser(prog="tool")
    parser.option("place", cli.path, "")
    parser.option("--out", cli.path, "", default=Path("a"))
    parser.option("--data", cli.expanded, "", default="auto")
    arguments = parser.parse_args(["~/x", "--out=~", "--data=~/./y"])
    assert arguments.place == Path("/home/ada/x")
    assert arguments.out == Path("/home/ada")
    assert arguments.data == "/home/ada/./y"
    arguments = parser.parse_args(["~no-such-user/x"])
    assert (arguments.place, arguments.out) == (Path("~no-such-user/x"), Path("a"))


@pytest.mark.parametrize(("text", "words"), [("", ["empty"]), ("a\0b", ["NUL"])])
def test_what_can_be_no_path_is_a_usage_error(capsys, text, words):
    parser = cli.Parser(prog="tool")
    parser.option("--out", cli.path, "")
    with pytest.raises(SystemExit) as exit_:
        parser.parse_args(["--out", text])
    assert exit_.value.code == 2
    assert one_line(capsys.readouterr().err, "--out", *words)


ODD = ["a b", "it's", '"q"', "-x", "--out", "~", "~/x", "$HOME", "a;b", "a\nb", "`a`", "*", "ü"]


@pytest.mark.parametrize("name", ODD)
def test_a_printed_path_can_be_typed(monkeypatch, name):
    monkeypatch.setenv("HOME", "/home/ada")
    parser = cli.Parser(prog="tool")
    parser.option("place", cli.path, "")
    parser.option("--out", cli.path, "")
    words = shlex.split(f"{cli.typed(name)} --out {cli.typed(Path(name))}")
    arguments = parser.parse_args(words)
    assert arguments.place == arguments.out == Path(name)


def next_command(printed, module):
    """The words after `python -m MODULE` of the command that the last lines of an output name."""
    text = printed.rpartition("next: ")[2]
    python, m, name, *words = shlex.split(text.rpartition("\nor: ")[0] or text)
    assert (python, m, name) == ("python", "-m", module)
    return words


@pytest.mark.parametrize("name", ["-it's a b", "~$HOME", "line\nbreak"])
def test_each_command_names_the_next_so_that_it_can_be_pasted(command, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    where = f"./{name}"
    arguments = ["gaussian_gan", "--steps", "5", f"--run-dir={where}"]
    status, printed, err = command(train.main, *arguments, f"--tensorboard={where}-board")
    assert (status, err) == (0, "")
    board = shlex.split(printed.rpartition("or: ")[2])
    assert Path(board[-1]) == Path(f"{where}-board")
    assert not board[-1].startswith(("-", "~"))
    words = next_command(printed, "tf_gen.sample")
    assert command(sample.main, *words)[0] == 0
    status, printed, err = command(export.main, where, f"{where}/export")
    assert (status, err) == (0, "")
    assert command(sample.main, *next_command(printed, "tf_gen.sample"))[0] == 0
    arguments = ["gaussian_gan", f"--run={where}", f"--out={where}/measured"]
    status, printed, err = command(evaluate.main, *arguments)
    assert (status, err) == (0, "")
    assert command(sample.main, *next_command(printed, "tf_gen.sample"))[0] == 0


def test_evaluate_names_a_run_directory_that_can_be_typed(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ["tiny_gan", "--steps", "3", "--seeds", "1", "--out=./a $b"]
    status, printed, err = command(evaluate.main, *arguments)
    assert (status, err) == (0, "")
    arguments, _ = train.parse(next_command(printed, "tf_gen.train"))
    assert arguments.run_dir == Path("runs", "a $b-0")


@pytest.mark.parametrize(("data", "expected"), [("~/x y", "/home/ada/x y"), ("./-x", "./-x")])
def test_evaluate_names_data_that_can_be_typed(monkeypatch, data, expected):
    monkeypatch.setenv("HOME", "/home/ada")
    monkeypatch.setenv("USERPROFILE", "/home/ada")
    parsed, settings = evaluate.parse(["vae", f"--data={data}"])
    settings.pop("seed")
    words = next_command(f"next: {evaluate.train_command(parsed, settings)}", "tf_gen.train")
    assert train.parse(words)[0].data == expected


PRINTS = r"""
import sys
from tf_gen import cli
if len(sys.argv) > 1:
    sys.stdout = sys.stderr = None
def main():
    print("a\udcff\u4e2d")
    cli.warn("\udcff\u4e2d")
    with cli.stderr_discarded():
        print("nothing", file=sys.stderr)
cli.run(main)
"""


@pytest.mark.parametrize(
    "encoding", [{"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "cp1252"}, {"LC_ALL": "C"}]
)
def test_what_a_terminal_cannot_show_is_escaped(process, encoding):
    ran = process("-c", PRINTS, **encoding)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("a\\udcff")
    assert one_line(ran.stderr, "warning: \\udcff")


def test_a_command_needs_no_streams(process):
    assert process("-c", PRINTS, "without").returncode == 0


def test_warnings_are_lines_on_stderr(capsys):
    cli.warn("a", "b")
    cli.warn()
    cli.warn("c\nd")
    assert capsys.readouterr() == ("", "warning: a\nwarning: b\nwarning: c\\nd\n")


@pytest.mark.parametrize(("level", "silent"), [(None, True), ("0", False)])
def test_tensorflow_is_imported_without_a_word_unless_one_asks_for_it(process, level, silent):
    code = "from tf_gen import cli\ncli.import_tensorflow()\nimport tensorflow\n"
    code += "tensorflow.config.list_logical_devices()\n"
    result = process("-c", code, **({"TF_CPP_MIN_LOG_LEVEL": level} if level else {}))
    assert (result.returncode, result.stdout) == (0, "")
    assert (result.stderr == "") == silent


@pytest.mark.parametrize("level", [{}, {"TF_CPP_MIN_LOG_LEVEL": "2"}])
def test_commands_import_tensorflow_without_libraries_that_they_do_not_need(process, level):
    code = (
        "import sys\n"
        "from tf_gen import cli\n"
        "cli.import_tensorflow(lean=True)\n"
        "print({'jax', 'matplotlib', 'pandas', 'scipy', 'sklearn'} & set(sys.modules))\n"
        "import scipy, sklearn\n"
    )
    result = process("-c", code, **level)
    assert (result.returncode, result.stdout) == (0, "set()\n")


def test_tensorflow_comes_without_keras_where_none_is_needed_and_keras_can_follow(process):
    code = (
        "import sys\n"
        "from tf_gen import cli\n"
        "cli.import_tensorflow(keras=False)\n"
        "print('keras' in sys.modules)\n"
        "import keras, tensorflow\n"
        "print(tensorflow.keras.Model is keras.Model)\n"
    )
    result = process("-c", code)
    assert (result.returncode, result.stdout) == (0, "False\nTrue\n"), result.stderr


@pytest.mark.parametrize(
    ("one_thread", "chosen", "threads"), [(True, None, 1), (True, "3", 3), (False, None, 0)]
)
def test_operations_of_small_models_run_on_one_core(process, one_thread, chosen, threads):
    code = (
        "from tf_gen import cli\n"
        f"cli.import_tensorflow(one_thread={one_thread})\n"
        "import os, tensorflow as tf\n"
        "print(os.environ.get('TF_NUM_INTRAOP_THREADS', 0))\n"
    )
    result = process("-c", code, **({"TF_NUM_INTRAOP_THREADS": chosen} if chosen else {}))
    assert result.stdout == f"{threads}\n"


def test_other_keras_backend_is_refused(process):
    result = process("-m", "tf_gen.train", "vae", "--data", "bundled", KERAS_BACKEND="jax")
    assert result.returncode == 1
    assert one_line(result.stderr, "KERAS_BACKEND", "jax")
