"""What pyproject.toml promises: which Pythons, and one range of TensorFlows."""

import re

import pytest
from helpers import ROOT
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

pytestmark = pytest.mark.quick

TEXT = (ROOT / "pyproject.toml").read_text(encoding="utf-8")  # Python 3.10 has no tomllib
(PYTHONS,) = map(SpecifierSet, re.findall(r'^requires-python = "(.*?)"', TEXT, re.MULTILINE))


@pytest.mark.parametrize("minor", [10, 11, 12, 13])
def test_pythons_that_tensorflow_is_built_for_are_taken(minor):
    assert f"3.{minor}.0" in PYTHONS
    assert f"3.{minor}.99" in PYTHONS


@pytest.mark.parametrize("version", ["3.9.20", "3.14.0", "3.14.1", "3.15.0", "4.0"])
def test_other_pythons_are_refused(version):
    assert version not in PYTHONS


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_the_readme_names_the_same_pythons(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    ((first, last),) = re.findall(r"Python 3\.(\d+) (?:to|到) 3\.(\d+)", text)
    taken = [minor for minor in range(100) if f"3.{minor}.0" in PYTHONS]
    assert taken == list(range(int(first), int(last) + 1))


def test_a_gpu_needs_the_same_tensorflow():
    found = re.findall(r'"(tensorflow(?:\[and-cuda\])?[<>=].*?)"', TEXT)
    plain, with_cuda = map(Requirement, found)
    assert (plain.name, with_cuda.name, with_cuda.extras) == (plain.name, plain.name, {"and-cuda"})
    assert plain.specifier == with_cuda.specifier


def test_the_version_stands_everywhere_alike():
    import tf_gen

    (version,) = re.findall(r'^version = "(.*?)"', TEXT, re.MULTILINE)
    assert version == tf_gen.__version__
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert f"\nversion: {version}\n" in citation
    assert f"\n## {version}\n" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
