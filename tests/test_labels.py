"""The words on plots: there are Chinese ones for all, and the language in use is the one shown."""

import ast
import re
import string
from pathlib import Path

import numpy as np
import pytest

import tf_gen
from tf_gen import labels, plots

pytestmark = pytest.mark.quick
PACKAGE = Path(tf_gen.__file__).parent
DRAWING = [
    path for path in PACKAGE.rglob("*.py") if "labels import word" in path.read_text("utf-8")
]


@pytest.fixture
def chinese():
    labels.use("zh-CN")
    yield
    labels.use("en")


def said(path):
    """The texts that a module passes to `word`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "word":
            yield from (a.value for a in node.args if isinstance(a, ast.Constant))


def test_all_words_of_the_package_have_a_chinese_one():
    texts = {text for path in DRAWING for text in said(path)}
    assert {"training step", "real data"} <= texts
    assert texts <= labels.CHINESE.keys()


@pytest.mark.parametrize(("english", "chinese"), labels.CHINESE.items())
def test_a_chinese_label_has_the_same_gaps(english, chinese):
    assert re.search(r"[\u4e00-\u9fff]", chinese)
    gaps = [sorted((g[1], g[2]) for g in string.Formatter().parse(text) if g[1] is not None)
            for text in (english, chinese)]  # fmt: skip
    assert gaps[0] == gaps[1]


def test_words_stay_english_where_no_language_was_chosen():
    assert labels.word("training step") == "training step"
    axes = plots.curves(np.arange(3), {"loss": np.arange(3)}, "nats").axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("training step", "nats")


def test_plots_speak_chinese(chinese):
    figure = plots.curves(np.arange(3), {"loss": np.arange(3), "other": np.arange(3)}, "nats")
    (axes,) = figure.axes
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("训练步数", "奈特")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["损失", "other"]


def test_there_are_two_languages():
    with pytest.raises(ValueError, match="no labels in 'fr'; there are en, zh-CN"):
        labels.use("fr")
