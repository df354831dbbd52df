import os
import signal
import subprocess
import sys

import pytest

from tf_gen import cli

pytest.register_assert_rewrite("helpers")
os.environ.pop("TF_CPP_MIN_LOG_LEVEL", None)  # workers inherit it from the process that starts them
cli.import_tensorflow()  # first, and without its messages, which would be taken for a command's

from helpers import environment, one_line  # noqa: E402

from tf_gen import mnist  # noqa: E402
from tf_gen.tasks.judge import Judge  # noqa: E402

# The files that take minutes, which begin first: two processes share the files, and neither should
# wait for the other at the end.
LONG = {f"test_{name}.py" for name in ("conformance", "evaluate", "notebooks", "rundir", "train")}


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name not in LONG)


@pytest.fixture(scope="session")
def bundled():
    """The 5,000 digits that need no network."""
    return mnist.load("bundled")


@pytest.fixture(scope="session")
def judge_path(bundled, tmp_path_factory):
    """The file of a classifier of digits, trained just enough for tests."""
    path = tmp_path_factory.mktemp("judge") / "judge.keras"
    Judge(bundled, path, epochs=3)
    return path


@pytest.fixture(scope="session")
def judge(bundled, judge_path):
    return Judge(bundled, judge_path)


@pytest.fixture
def command(capfd):
    """Run a command's `main` in this process; return its exit status, stdout and stderr."""
    handlers = {signum: signal.getsignal(signum) for signum in cli.TERMINATING}

    def run(main, *argv):
        with pytest.raises(SystemExit) as exit_:
            cli.run(lambda: main([str(a) for a in argv]))
        return exit_.value.code or 0, *capfd.readouterr()

    yield run
    for signum, handler in handlers.items():
        signal.signal(signum, handler)


@pytest.fixture
def refused(command, tmp_path, monkeypatch):
    """Check that a command refuses its arguments: a line with all words, status 2, no file."""

    def check(main, arguments, words):
        monkeypatch.chdir(tmp_path)
        status, out, err = command(main, *arguments)
        assert (status, out) == (2, "")
        assert one_line(err, *words)
        assert not list(tmp_path.iterdir())

    return check


@pytest.fixture
def process(tmp_path):
    """Run `python ARGUMENTS` in a fresh process and directory, as a user would."""

    def run(*arguments, **more):
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=tmp_path,
            env=environment(**more),
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run
