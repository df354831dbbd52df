"""The README's commands are ones that the commands take."""

import re
import shlex
from pathlib import Path

import pytest

from tf_gen import evaluate, sample, train

README = Path(__file__).parent.parent / "README.md"
BLOCKS = re.findall(r"```sh\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
COMMANDS = [
    shlex.split(command, comments=True)
    for block in BLOCKS
    for line in block.replace("\\\n", " ").splitlines()
    for command in line.split("&&")
]


def arguments(module):
    found = [c[3:] for c in COMMANDS if c[:3] == ["python", "-m", f"tf_gen.{module}"]]
    assert found
    return found


@pytest.mark.parametrize("argv", arguments("train"), ids=" ".join)
def test_train_commands(argv):
    train.parse(argv)


@pytest.mark.parametrize("argv", arguments("sample"), ids=" ".join)
def test_sample_commands(argv):
    sample.parse(argv)


@pytest.mark.parametrize("argv", arguments("evaluate"), ids=" ".join)
def test_evaluate_commands(argv):
    evaluate.parse(argv)


def test_continuous_integration_installs_and_tests_as_the_readme_says():
    script = (README.parent / ".ci" / "run").read_text()
    assert ["pip", "install", "-e", ".[test]"] in COMMANDS
    assert ["pytest"] in COMMANDS
    assert "-e '.[test]'" in script
    assert script.splitlines()[-1] == "pytest"
