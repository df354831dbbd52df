"""The notebooks: made from their sources, whole, the same code in both languages, and they run."""

import ast
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import jupytext
import nbformat
import pytest
from helpers import environment
from nbclient import NotebookClient

from tf_gen import labels

ROOT = Path(__file__).parent.parent
NOTEBOOKS = ROOT / "notebooks"
_spec = importlib.util.spec_from_file_location("build", NOTEBOOKS / "build.py")
build = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(build)
NAMES = ("00_from_tensorflow_1", "01_vae", "02_gaussian_gan", "03_tiny_gan", "04_ali")
ENGLISH = [NOTEBOOKS / f"{name}.py" for name in NAMES]
CHINESE = [NOTEBOOKS / "zh-CN" / f"{name}.py" for name in NAMES]
SOURCES = ENGLISH + CHINESE

each = pytest.mark.parametrize("source", SOURCES, ids=lambda p: f"{p.parent.name}-{p.stem}")
each_english = pytest.mark.parametrize("source", ENGLISH, ids=lambda p: p.stem)
each_chinese = pytest.mark.parametrize("source", CHINESE, ids=lambda p: p.stem)


def made(source):
    """The notebook that was made from `source` and committed."""
    return nbformat.read(source.with_suffix(".ipynb"), as_version=4)


def of_kind(notebook, kind):
    return [cell for cell in notebook.cells if cell.cell_type == kind]


def texts_shown(notebook):
    """Everything that the code cells have shown but pictures, as one string for each output."""
    for cell in of_kind(notebook, "code"):
        for output in cell.outputs:
            data = {k: v for k, v in output.get("data", {}).items() if not k.startswith("image/")}
            yield output.get("text", "") + json.dumps(data, ensure_ascii=False)


# The beginnings of paths that only some machine has.
PLACES = r"(home|root|tmp|usr|opt|work|workspace|var|mnt|srv|private|content|Users|builds)"


def check_outputs(notebook):
    """No error, nothing on stderr, no warning, and no path of the machine that ran it."""
    for cell in of_kind(notebook, "code"):
        for output in cell.outputs:
            assert output.output_type != "error", output
            assert output.get("name") != "stderr", output
            text = output.get("text", "")
            assert not re.search(r"Warning\b|^WARNING|Traceback", text, re.M), text
    here = [str(place) for place in (ROOT, Path.home(), sys.prefix) if len(str(place)) > 4]
    for text in [*texts_shown(notebook), json.dumps(notebook.metadata.get("widgets", {}))]:
        assert not re.search(rf"(?<![\w.])/{PLACES}/\w", text), text
        assert not re.search(r"\b[A-Z]:\\{1,2}\w", text), text
        assert not any(place in text for place in here), text


def run(source, directory, budget):
    """Run the notebook of `source` as a user would who is in `directory`."""
    notebook = jupytext.read(source)
    resources = {"metadata": {"path": directory}}
    client = NotebookClient(notebook, resources=resources, timeout=600, record_timing=False)
    environment = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    # Without a GPU, of which TensorFlow would tell on stderr.
    client.execute(env={**environment, "TF_GEN_BUDGET": budget, "CUDA_VISIBLE_DEVICES": "-1"})
    check_outputs(notebook)


@each_english
def test_runs_from_top_to_bottom(source, tmp_path):
    run(source, tmp_path, "small")


@pytest.mark.slow
@each_english
def test_runs_with_the_full_budget(source, tmp_path):
    run(source, tmp_path, "full")


def test_all_notebooks_are_known_here():
    for suffix in (".py", ".ipynb"):
        there = {*NOTEBOOKS.glob(f"[0-9]*{suffix}"), *NOTEBOOKS.glob(f"zh-CN/*{suffix}")}
        assert there == {path.with_suffix(suffix) for path in SOURCES}


@each
def test_is_the_one_of_its_source(source):
    def content(notebook):
        texts = [re.sub(r"\n```text\n.*|\n!\[\]\(attachment.*", "", cell.source, flags=re.S)
                 if cell.source.startswith("<details>") else cell.source
                 for cell in notebook.cells]  # fmt: skip
        kinds = [(cell.id, cell.cell_type, cell.metadata) for cell in notebook.cells]
        return [
            (*kind, text.replace("\n\n</details>", "").rstrip())
            for kind, text in zip(kinds, texts, strict=True)
        ]

    notebook = build.read(source)
    build.finish(notebook, source, build.repository())
    assert content(made(source)) == content(notebook)


@each
def test_was_run_once_from_top_to_bottom_without_a_complaint(source):
    notebook = made(source)
    counts = [cell.execution_count for cell in of_kind(notebook, "code")]
    assert counts == list(range(1, len(counts) + 1))
    check_outputs(notebook)


@each
def test_source_that_it_shows_is_the_package_s(source):
    shown = []
    for cell in of_kind(made(source), "code"):
        for output in cell.outputs:
            text = output.get("data", {}).get("text/markdown", "")
            shown += re.findall(
                r"^`(tf_gen/[\w/]+\.py)`\n\n```python\n(.*?)\n```$", text, re.M | re.S
            )
    assert len(shown) >= 3
    for path, code in shown:
        file = (ROOT / path).read_text(encoding="utf-8")
        assert any(textwrap.indent(code, indent) in file for indent in ("", "    ")), (path, code)


@each
def test_is_short(source):
    lines = 0
    for cell in of_kind(jupytext.read(source), "code")[1:]:  # after the one that installs
        assert len(cell.source.splitlines()) <= 40, cell.source
        lines += sum(bool(line.strip()) for line in cell.source.splitlines())
    assert lines <= 330
    # The explorer's page is a file of its own, with the weights: of 1.5 MB, that of ALI of 4 MB.
