"""The README, its Chinese edition and the cards: their commands and programs work."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tf_gen import evaluate, sample, train
from tf_gen.models import NAMES

ROOT = Path(__file__).parent.parent
README, CHINESE = ROOT / "README.md", ROOT / "README.zh-CN.md"
TEXTS = [README, *sorted(ROOT.glob("saved_models/*/README.md"))]
PARSERS = {"train": train.parse, "evaluate": evaluate.parse, "sample": sample.parse}


def blocks(path, language):
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)


def commands(path):
    """The commands in the sh blocks of a text, each a list of words."""
    lines = "".join(blocks(path, "sh")).replace("\\\n", " ").splitlines()
    return [shlex.split(command, comments=True) for line in lines for command in line.split(" && ")]


OURS = [
    (path, words[2].removeprefix("tf_gen."), words[3:])
    for path in TEXTS
    for words in commands(path)
    if words[:2] == ["python", "-m"] and words[2].startswith("tf_gen.")
]


@pytest.mark.parametrize(("path", "module", "argv"), OURS, ids=lambda x: None)
def test_commands_are_ones_that_the_commands_take(path, module, argv):
    if module in PARSERS:
        PARSERS[module](argv)
    else:
        assert module == "export"
        assert len(argv) == 2


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.parent.name)
def test_each_text_shows_how_to_train_measure_and_sample(path):
    assert {module for text, module, _ in OURS if text == path} >= PARSERS.keys()


def test_continuous_integration_installs_and_tests_as_the_readme_says():
    script = (ROOT / ".ci" / "run").read_text()
    assert ["pip", "install", "-e", ".[test]"] in commands(README)
    assert ["pytest"] in commands(README)
    assert "-e '.[test]'" in script
    assert script.splitlines()[-1] == "pytest"


def test_the_chinese_edition_has_the_same_commands_and_programs():
    for language in ("sh", "python"):
        assert blocks(CHINESE, language) == blocks(README, language)
    numbers = []
    for path in (README, CHINESE):
        text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        numbers.append(set(re.findall(r"\d[\d.,]*\d|\d", text)))
    assert numbers[0] == numbers[1]


def settings_and_directory(path, module, argv):
    """What the command makes, and where: two lists or None."""
    if module == "train":
        arguments, settings = train.parse(argv)
        directory = arguments.run_dir or Path("runs", arguments.model)
        return directory, [arguments.model, settings, getattr(arguments, "data", None)]
    if module == "evaluate":
        arguments, settings = evaluate.parse(argv)
        if not arguments.run:
            default = Path("runs", f"evaluate-{arguments.model}-{arguments.preset}")
            return arguments.out or default, [arguments.model, settings]
    return None


def test_no_two_commands_want_the_same_directory_for_different_runs():
    made = {}
    for command in OURS:
        if found := settings_and_directory(*command):
            directory, settings = found
            assert made.setdefault(directory, settings) == settings, directory
    assert len(made) > 15


def test_figures_of_the_table_are_those_of_the_cards():
    text = README.read_text(encoding="utf-8")
    rows = {name: re.search(rf"^\| \[`{name}`\].*$", text, re.MULTILINE)[0] for name in NAMES}
    shown = {
        "vae": [("held_out_loss", 1, 2)],
        "gaussian_gan": [("mean", 1, 2), ("std", 1, 2)],
        "tiny_gan": [(figure, 1, 2) for figure in ("mean", "std", "skew", "kurtosis")],
        "ali": [("same_digit", 100, 1), ("knn_hidden", 100, 2), ("knn_hidden_untrained", 100, 2)],
    }
    for name, figures in shown.items():
        metrics = json.loads((ROOT / "saved_models" / name / "metrics.json").read_text())
        for figure, factor, places in figures:
            assert f" {factor * metrics[figure]:.{places}f}" in rows[name], figure


@pytest.mark.parametrize("path", [*TEXTS, CHINESE, ROOT / "tests/benchmarks/README.md"])
def test_links_lead_somewhere(path):
    text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#]+)\)", text) + re.findall(r'(?:href|src)="([^"]+)"', text)
    for link in links:
        if not link.startswith("http"):
            assert (path.parent / link).exists(), link


def test_programs_of_the_readme_run(monkeypatch):
    monkeypatch.chdir(ROOT)
    load, _, in_python = blocks(README, "python")
    scope = {}
    exec(load, scope)
    assert scope["images"].shape == (1, 28, 28)
    exec(in_python, scope)
    assert scope["images"].shape == (16, 28, 28)


def test_the_fifth_model_needs_nothing_but_its_file_and_its_name(tmp_path):
    _, example, _ = blocks(README, "python")
    assert len(example.splitlines()) < 60
    shutil.copytree(ROOT / "tf_gen", tmp_path / "tf_gen")
    shutil.copytree(ROOT / "tests", tmp_path / "tests")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "tf_gen" / "models" / "sorting.py").write_text(example)
    registry = tmp_path / "tf_gen" / "models" / "__init__.py"
    text = registry.read_text().replace("NAMES = (\n", 'NAMES = (\n    "sorting",\n')
    registry.write_text(text)
    program = (
        "from tf_gen import evaluate, export, sample, train\n"
        "train.main(['sorting'])\n"
        "sample.main(['runs/sorting', '--count', '1000', '--out', 'x.npy'])\n"
        "evaluate.main(['sorting', '--run', 'runs/sorting'])\n"
        "export.main(['runs/sorting', 'exported'])\n"
    )
    conformance = ["-m", "pytest", "-q", "-n0", "tests/test_conformance.py", "-k", "sorting"]
    for arguments in (["-m", "tf_gen.train", "sorting", "--help"], ["-c", program], conformance):
        ran = subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "passed" in ran.stdout
    x = np.load(tmp_path / "x.npy")
    assert abs(x.mean() - 4) < 0.3
    assert 1 < x.std() < 1.5
