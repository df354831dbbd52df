import os
import signal
import subprocess
import sys

import pytest

from tf_gen import cli

os.environ.pop("TF_CPP_MIN_LOG_LEVEL", None)  # workers inherit it from the process that starts them
cli.import_tensorflow()  # first, and without its messages, which would be taken for a command's

from tf_gen import data, digits  # noqa: E402

# The files that take minutes, which begin first: two processes share the files, and neither should
# wait for the other at the end.
LONG = {f"test_{name}.py" for name in ("cli", "conformance", "evaluate", "notebooks", "resume")}


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.path.name not in LONG)


@pytest.fixture(scope="session")
def bundled():
    """The 5,000 digits that need no network."""
    return data.load("bundled")


@pytest.fixture(scope="session")
def judge_path(bundled, tmp_path_factory):
    """The file of a classifier of digits, trained just enough for tests."""
    path = tmp_path_factory.mktemp("judge") / "judge.keras"
    digits.Judge(bundled, path, epochs=3)
    return path


@pytest.fixture(scope="session")
def judge(bundled, judge_path):
    return digits.Judge(bundled, judge_path)


@pytest.fixture
def command(capfd):
    """Run a command's `main` in this process; return its exit status, stdout and stderr."""
    handler = signal.getsignal(signal.SIGTERM)

    def run(main, *argv):
        with pytest.raises(SystemExit) as exit_:
            cli.run(lambda: main([str(a) for a in argv]))
        return exit_.value.code or 0, *capfd.readouterr()

    yield run
    signal.signal(signal.SIGTERM, handler)


@pytest.fixture
def process(tmp_path):
    """Run `python ARGUMENTS` in a fresh process and directory, as a user would."""

    def run(*arguments, **environment):
        env = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"} | environment
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=300,
        )

    return run
