"""The README, its Chinese edition and the cards: their commands and programs work."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from helpers import ROOT, blocks, commands, environment, imported, prose

from tf_gen import evaluate, explore, import_v1, sample, train
from tf_gen.models import NAMES

README, CHINESE, CONTRIBUTING = (
    ROOT / name for name in ("README.md", "README.zh-CN.md", "CONTRIBUTING.md")
)
TEXTS = [README, *sorted(ROOT.glob("saved_models/*/README.md"))]
COMMANDS = {"train": train, "evaluate": evaluate, "sample": sample, "explore": explore}
PARSERS = {name: command.parse for name, command in COMMANDS.items()}
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
    elif module == "import_v1":
        assert import_v1.parse(argv)[1] == []
    else:
        assert module == "export"
        assert len(argv) == 2


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: path.parent.name)
def test_each_text_shows_how_to_train_measure_sample_and_explore(path):
    assert {module for text, module, _ in OURS if text == path} >= PARSERS.keys()


@pytest.mark.parametrize("path", [README, CHINESE, CONTRIBUTING], ids=lambda path: path.name)
def test_commands_in_the_midst_of_a_sentence_are_ones_that_the_commands_take(path):
    for command in re.findall(r"`python -m tf_gen\.([^`]+)`", prose(path)):
        module, *argv = shlex.split(command)
        if argv[-1:] == ["--help"]:
            with pytest.raises(SystemExit) as exit_:
                PARSERS[module](argv)
            assert exit_.value.code == 0
        elif argv[0] in NAMES:  # and not `...` or a model that a reader may add
            PARSERS[module](argv)


def test_continuous_integration_installs_and_tests_as_the_readme_says():
    lines = (ROOT / ".ci" / "run").read_text().splitlines()
    script = [shlex.split(line, comments=True) for line in lines]

    def runs(*words):
        """A line has these words, and may have options besides."""
        return any(
            [word for word in line if word in words or not word.startswith("-")] == list(words)
            for line in script
        )

    for text in (README, CONTRIBUTING):
        assert ["pip", "install", "-e", ".[test]"] in commands(text)
        assert ["pytest"] in commands(text)
    assert runs("pip", "install", "-e", ".[test]")
    assert runs("ruff", "check", ".")
    assert runs("ruff", "format", "--check", ".")
    assert runs("pytest")  # and no word after it: all tests


def test_contributing_names_each_file_of_the_package():
    named = set(re.findall(r"`([\w/]+\.py|\w+/)`", CONTRIBUTING.read_text(encoding="utf-8")))
    package = ROOT / "tf_gen"
    for path in package.rglob("*.py"):
        if path.name != "__init__.py" and path.parent.name not in ("models", "figures"):
            assert path.name in named, path
    assert {"models/", "figures/", "tasks/"} <= named


def test_the_chinese_edition_has_the_same_commands_and_programs():
    for language in ("sh", "python"):
        assert blocks(CHINESE, language) == blocks(README, language)
    numbers = []
    for path in (README, CHINESE):
        numbers.append(set(re.findall(r"\d[\d.,]*\d|\d", prose(path))))
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
    assert {model for model, *_ in made.values()} == set(NAMES)


def test_figures_of_the_table_are_those_of_the_cards():
    text = README.read_text(encoding="utf-8")
    rows = {name: re.search(rf"^\| \[`{name}`\].*$", text, re.MULTILINE)[0] for name in NAMES}
    shown = {
        "vae": [("held_out_loss", 1, 2)],
        "gaussian_gan": [("mean", 1, 2), ("std", 1, 2)],
        "tiny_gan": [(figure, 1, 2) for figure in ("mean", "std", "skew", "kurtosis")],
        "ali": [("same_digit", 100, 1), ("frechet", 1, 2), ("frechet_real", 1, 2)],
    }
    for name, figures in shown.items():
        metrics = json.loads((ROOT / "saved_models" / name / "metrics.json").read_text())
        for figure, factor, places in figures:
            assert f" {factor * metrics[figure]:.{places}f}" in rows[name], figure


@pytest.mark.parametrize(
    "path", [*TEXTS, CHINESE, CONTRIBUTING, ROOT / "tests/benchmarks/README.md"]
)
def test_links_lead_somewhere(path):
    text = prose(path)
    links = re.findall(r"\]\(([^)#]+)\)", text) + re.findall(r'(?:href|src)="([^"]+)"', text)
    for link in links:
        if not link.startswith("http"):
            assert (path.parent / link).exists(), link


def programs():
    """The programs of the README, and the one that is a model's file."""
    found = blocks(README, "python")
    (recipe,) = (text for text in found if "PRESETS" in text)
    return [text for text in found if text != recipe], recipe


def test_programs_of_the_readme_run(monkeypatch):
    monkeypatch.chdir(ROOT)
    others, _ = programs()
    counts = set()
    for text in others:
        scope = {}
        exec(text, scope)
        images = np.asarray(scope["images"])
        assert images.shape[1:] == (28, 28)
        assert np.all((images >= 0) & (images <= 1))
        counts.add(len(images))
    assert counts == {1, 16}


def test_the_fifth_model_needs_nothing_but_its_file_and_its_name(tmp_path):
    _, example = programs()
    assert len(example.splitlines()) < 45
    assert 'TASK = "gaussian"' in example.splitlines()
    ours = {name for name in imported(example) if name.startswith("tf_gen")}
    allowed = r"tf_gen\.(base|settings|tasks|tasks\.gaussian)(\.[A-Z]\w*|\.blocks|\.gaussian)?"
    assert all(re.fullmatch(allowed, name) for name in ours), ours
    shutil.copytree(ROOT / "tf_gen", tmp_path / "tf_gen")
    shutil.copytree(ROOT / "tests", tmp_path / "tests")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "tf_gen" / "models" / "sorting.py").write_text(example)
    registry = tmp_path / "tf_gen" / "models" / "__init__.py"
    text = registry.read_text()
    assert text.count("NAMES = (\n") == 1
    registry.write_text(text.replace("NAMES = (\n", 'NAMES = (\n    "sorting",\n'))
    program = (
        "from tf_gen import evaluate, export, sample, train\n"
        "train.main(['sorting'])\n"
        "sample.main(['runs/sorting', '--count', '1000', '--out', 'x.npy'])\n"
        "evaluate.main(['sorting', '--run', 'runs/sorting'])\n"
        "export.main(['runs/sorting', 'exported'])\n"
    )

    def run(*arguments):
        ran = subprocess.run(
            [sys.executable, *arguments],
            cwd=tmp_path,
            env=environment(PYTHONPATH=str(tmp_path)),
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    shown = re.sub(r"\s+", " ", run("-m", "tf_gen.train", "sorting", "--help"))
    comments = re.findall(r"^    (\w+): .*  # (.*)$", example, re.MULTILINE)
    assert len(comments) > 3
    for field, comment in comments:
        assert f"--{field.replace('_', '-')} " in shown
        assert comment in shown
    run("-c", program)
    x = np.load(tmp_path / "x.npy")
    assert abs(x.mean() - 4) < 0.3
    assert 1 < x.std() < 1.5
    assert (tmp_path / "exported" / "saved_model.pb").exists()
    page = (tmp_path / "runs" / "sorting" / "explorer.html").read_text(encoding="utf-8")
    assert '"activation":"tanh"' in page
    conformance = ["-m", "pytest", "-q", "-n0", "tests/test_conformance.py", "-k", "sorting"]
    assert "passed" in run(*conformance)
