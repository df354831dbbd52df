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
    pages = sum(len(text) for text in texts_shown(made(source)) if "<iframe" in text)
    assert source.with_suffix(".ipynb").stat().st_size - pages < 2e6
    assert pages < (5e6 if source.stem == "04_ali" else 2e6)


@each
def test_begins_with_what_it_needs_and_ends_with_exercises(source):
    cells = made(source).cells
    first = cells[0].source
    number = int(source.name[:2])
    assert first.startswith(f"# {number}. ")
    words = ("**需要**", "**时间**") if source in CHINESE else ("**You need**", "**Time**")
    assert all(word in first for word in words)
    word = "答案" if source in CHINESE else "Answer"
    answers = [cell for cell in cells if "<details>" in cell.source]
    assert 4 <= len(answers) <= 6
    for count, answer in enumerate(answers, 1):
        assert answer.cell_type == "markdown"
        start = f"<details>\n<summary>{word}</summary>\n\n```python\n"
        assert answer.source.startswith(start)
        assert answer.source.endswith("\n\n</details>")
        assert "\n```\n\n```text\n" in answer.source or answer.attachments  # what the code shows
        before = cells[cells.index(answer) - 1]
        assert before.cell_type == "markdown"
        assert f"**{count}.**" in before.source
    assert cells[-1] is answers[-1]


@each
def test_first_cell_installs_what_is_missing(source, monkeypatch, tmp_path):
    """From the checkout that the notebook lies in, or from where the project is on GitHub."""
    first = of_kind(build.read(source), "code")[0].source
    calls = []
    monkeypatch.setattr(subprocess, "run", lambda command, check: calls.append(command))
    exec(first, {})
    assert not calls
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.chdir(source.parent)
    exec(first, {})
    monkeypatch.chdir(tmp_path)
    exec(first.replace(build.NOWHERE, 'REPOSITORY = "you/tf_gen"'), {})
    pip = [sys.executable, "-m", "pip", "install", "-q"]
    assert calls == [[*pip, str(ROOT)], [*pip, "git+https://github.com/you/tf_gen"]]


def test_where_the_project_is_is_said_in_one_place(tmp_path, monkeypatch):
    """`--repository` makes badges and links of all notebooks, and does not run them."""
    for path in [*SOURCES, *(s.with_suffix(".ipynb") for s in SOURCES), ROOT / "pyproject.toml",
                 ROOT / "README.md", ROOT / "README.zh-CN.md", NOTEBOOKS / "build.py"]:  # fmt: skip
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    command = [sys.executable, str(tmp_path / "notebooks" / "build.py"), "--repository"]
    for repository in ("you/first", "they/tf_gen"):  # the second takes the place of the first
        subprocess.run([*command, repository], check=True, capture_output=True)
    texts = {
        path.relative_to(tmp_path).as_posix(): path.read_text(encoding="utf-8")
        for suffix in (".ipynb", ".md", ".toml")
        for path in tmp_path.rglob(f"*{suffix}")
    }
    assert len(texts) == 13
    colab = "https://colab.research.google.com/github/they/tf_gen/blob/main/notebooks"
    for place, text in texts.items():
        assert "you/first" not in text, place
        assert "they/tf_gen" in text, place
        if place.endswith(".ipynb"):
            assert text.count(f"{colab.removesuffix('notebooks')}{place})") == 1
            assert 'REPOSITORY = \\"they/tf_gen\\"' in text
            cells = of_kind(nbformat.read(tmp_path / place, 4), "markdown")
            prose = re.sub(r"```.*?```", "", "".join(cell.source for cell in cells), flags=re.S)
            links = re.findall(r"\]\(([^)\s]+)\)", prose)
            assert len(links) > 3
            for link in links:
                assert link.startswith(("https://", "attachment:", "#")), link
                if link.startswith("https://github.com/they/tf_gen/blob/main/"):
                    path = link.removeprefix("https://github.com/they/tf_gen/blob/main/")
                    assert (ROOT / path.partition("#")[0]).exists(), link
    assert texts["README.md"].count(colab) == texts["README.zh-CN.md"].count(colab) == 5
    assert texts["pyproject.toml"].count("they/tf_gen") == 1
    before = [nbformat.read(path.with_suffix(".ipynb"), 4) for path in SOURCES]
    after = [
        nbformat.read((tmp_path / s.relative_to(ROOT)).with_suffix(".ipynb"), 4) for s in SOURCES
    ]
    for old, new in zip(before, after, strict=True):
        outputs = [[c.get("outputs") for c in notebook.cells] for notebook in (old, new)]
        assert outputs[0] == outputs[1]


def test_prose_can_change_without_a_run_and_code_cannot(tmp_path):
    for name in ("pyproject.toml", "notebooks/build.py"):
        (tmp_path / "notebooks").mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    source = tmp_path / "notebooks" / "00_from_tensorflow_1.py"
    text = ENGLISH[0].read_text(encoding="utf-8")
    shutil.copy(ENGLISH[0].with_suffix(".ipynb"), source.with_suffix(".ipynb"))
    command = [sys.executable, str(tmp_path / "notebooks" / "build.py"), "--prose", str(source)]
    source.write_text(text.replace("# # 0. From", "# # 0. Away from"), encoding="utf-8")
    subprocess.run(command, check=True, capture_output=True)
    assert made(source).cells[0].source.startswith("# 0. Away from")
    assert made(source).cells[1:] == made(ENGLISH[0]).cells[1:]
    source.write_text(text.replace("import time", "import math"), encoding="utf-8")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert "code has changed" in done.stderr


def test_sources_are_shown_anew_without_a_run_of_the_rest(tmp_path):
    (tmp_path / "notebooks").mkdir()
    for path in (ROOT / "pyproject.toml", NOTEBOOKS / "build.py", ENGLISH[1]):
        shutil.copy(path, tmp_path / path.relative_to(ROOT))
    text = ENGLISH[1].with_suffix(".ipynb").read_text(encoding="utf-8")
    old = text.replace("def update(self, batch):", "def renamed(self, batch):")
    assert old != text
    copy = tmp_path / "notebooks" / "01_vae.ipynb"
    copy.write_text(old, encoding="utf-8")
    command = [sys.executable, str(tmp_path / "notebooks" / "build.py"), "--package"]
    command.append(str(copy.with_suffix(".py")))
    subprocess.run(command, check=True, capture_output=True, env=environment(PYTHONPATH=str(ROOT)))
    assert nbformat.read(copy, 4) == made(ENGLISH[1])


@each
def test_links_lead_somewhere(source):
    for cell in of_kind(jupytext.read(source), "markdown"):
        prose = re.sub(r"```.*?```", "", cell.source, flags=re.S)
        for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", prose):
            assert link.startswith("https://") or (source.parent / link).exists(), link


@each_chinese
def test_chinese_edition_has_the_same_code(source):
    """But for the language of labels, and for texts and comments, which are in Chinese."""
    english = jupytext.read(NOTEBOOKS / source.name)
    chinese = jupytext.read(source)
    assert [cell.cell_type for cell in chinese.cells] == [cell.cell_type for cell in english.cells]
    for ours, theirs in zip(english.cells, chinese.cells, strict=True):
        if ours.cell_type == "code":
            assert theirs.metadata == ours.metadata
            list(translations(ours.source, theirs.source))
            continue
        assert re.search(r"[\u4e00-\u9fff]", theirs.source), theirs.source
        assert equations(theirs.source) == equations(ours.source)
        blocks = [re.findall(r"```.*?```", cell.source, re.S) for cell in (ours, theirs)]
        assert blocks[0] == blocks[1]


def test_a_label_is_translated_in_one_way():
    """In all notebooks, and on the plots of the package."""
    known = dict(labels.CHINESE)
    for name in NAMES:
        sources = NOTEBOOKS / f"{name}.py", NOTEBOOKS / "zh-CN" / f"{name}.py"
        cells = [of_kind(jupytext.read(source), "code") for source in sources]
        for ours, theirs in zip(*cells, strict=True):
            for english, chinese in translations(ours.source, theirs.source):
                assert known.setdefault(english, chinese) == chinese, (name, english)


def translations(ours, theirs):
    """Pairs of an English text in the code of `ours` and what it is in that of `theirs`.

    AssertionError: the two differ in something else.
    """
    theirs = theirs.replace("\nnotebook.use_chinese()", "").replace(', "zh-CN")', ")")
    codes, readers = (ours, theirs), (Texts(), Texts())
    trees = [
        reader.visit(ast.parse(re.sub("^%.*", "", code, flags=re.M)))
        for reader, code in zip(readers, codes, strict=True)
    ]
    assert ast.dump(trees[0]) == ast.dump(trees[1])
    for (english, ours), (chinese, theirs) in zip(*(r.found for r in readers), strict=True):
        assert ours == theirs, (english, chinese)
        if english != chinese:
            assert re.search(r"[\u4e00-\u9fff]", chinese), (english, chinese)
            yield english, chinese


class Texts(ast.NodeTransformer):
    """Takes the texts out of a tree, into `found`: each with {} where something is filled in, and
    what that is, without widths and in any order."""

    def __init__(self):
        self.found = []

    def visit_Constant(self, node):
        if not isinstance(node.value, str):
            return node
        self.found.append((node.value, []))
        return ast.Constant("")

    def visit_JoinedStr(self, node):
        parts = node.values
        text = "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in parts)
        filled = [ast.unparse(part.value) for part in parts if isinstance(part, ast.FormattedValue)]
        self.found.append((text, sorted(filled)))
        return ast.Constant("")


def equations(text):
    """The displayed equations without their words."""
    displayed = re.findall(r"\$\$(.*?)\$\$", text, re.S)
    return [re.sub(r"\\text\{[^}]*\}|\s", "", equation) for equation in displayed]


@each_chinese
def test_chinese_prose_has_chinese_punctuation(source):
    ideograph = r"[\u3400-\u9fff\u3000-\u303f\uff00-\uffef]"
    for cell in of_kind(jupytext.read(source), "markdown"):
        prose = re.sub(
            r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$|\]\([^)]*\)", "", cell.source, flags=re.S
        )
        assert not re.search(rf"{ideograph} ?[,;:?!]|[,;:?!] ?{ideograph}", prose), prose
