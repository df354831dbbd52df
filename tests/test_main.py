"""`tf-gen` and `python -m tf_gen`: all commands under one name."""

import importlib
import re

import pytest
from helpers import ROOT, one_line

import tf_gen
from tf_gen import __main__ as main

pytestmark = pytest.mark.quick


def test_each_command_is_listed():
    modules = {
        path.stem
        for path in (ROOT / "tf_gen").glob("*.py")
        if "\n    cli.run(main)\n" in path.read_text(encoding="utf-8") and path.stem != "__main__"
    }
    assert main.COMMANDS.keys() == modules


def test_without_arguments_it_lists_the_commands(command):
    status, out, err = command(main.main)
    assert (status, err) == (0, "")
    for name, words in main.COMMANDS.items():
        assert re.search(rf"^  {name} +{words}$", out, re.MULTILINE)
    assert command(main.main, "--help")[1] == out


def test_it_tells_its_version(command):
    assert command(main.main, "--version") == (0, f"tf_gen {tf_gen.__version__}\n", "")


def test_an_unknown_command_is_a_usage_error(command):
    status, out, err = command(main.main, "trian", "vae")
    assert (status, out) == (2, "")
    assert one_line(err, "tf-gen: error", "trian", "train")


def test_it_passes_on_what_follows(command, monkeypatch):
    taken = []
    module = importlib.import_module("tf_gen.sample")
    monkeypatch.setattr(module, "main", lambda argv: taken.append(argv) or 3)
    assert command(main.main, "sample", "vae", "--z", "-1,2")[0] == 3
    assert taken == [["vae", "--z", "-1,2"]]


def test_the_module_and_the_script_are_the_same(process):
    assert process("-m", "tf_gen", "--version").stdout == f"tf_gen {tf_gen.__version__}\n"
    result = process("-m", "tf_gen", "sample", "no-such-model")
    assert result.returncode == 1
    assert one_line(result.stderr, "error: no-such-model")
    script = 'tf-gen = "tf_gen.__main__:run"'
    assert script in (ROOT / "pyproject.toml").read_text(encoding="utf-8").splitlines()
