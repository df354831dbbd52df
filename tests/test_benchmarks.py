"""The benchmarks run, and what they compare computes the same."""

import importlib.util
import subprocess
import sys

import pytest
from helpers import ROOT, environment

from tf_gen.models import NAMES


def compared(*flags, module="tests.benchmarks"):
    """The rows of the tables that the benchmarks print, lists of strings, without their heads."""
    result = subprocess.run(
        [sys.executable, "-m", module, *flags],
        cwd=ROOT,
        env=environment(PYTHONPATH=str(ROOT)),
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    rows = [line.split("|")[1:-1] for line in result.stdout.splitlines() if line.startswith("| ")]
    return [row for row in rows if row[0].strip()]


@pytest.mark.slow
def test_many_seeds_are_compared_with_jax():
    pytest.importorskip("jax")
    rows = compared("--seeds", "8", "--turns", "1")
    assert [row[0].split(":")[0].strip() for row in rows] == ["tf_gen.evaluate", "JAX"]
    assert all(0.1 < float(row[5]) <= 1 for row in rows)  # KS: none is a Gaussian yet


@pytest.mark.slow
def test_quick_benchmark_compares_all_models_with_jax():
    pytest.importorskip("jax")
    rows = compared("--quick", "--data", "bundled", "--turns", "1", "--seconds", "0.1")
    titles = [row[0].strip() for row in rows]
    assert titles.count("**tf_gen.train**") == titles.count("JAX: lax.scan") == 4
    assert len(titles) == 12  # and a limit each
    assert all(0.3 < float(row[3]) < 3 for row in rows)  # in units of tf_gen's


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["gaussian_gan"], ["compiled loop", "figures", "batches", "both", "log"]),
        (["vae", "--data", "bundled"], ["compiled loop", "batches", "both", "log", "pictures"]),
    ],
)
def test_parts_of_an_update_are_timed(arguments, names):
    rows = compared(*arguments, module="tests.benchmarks.parts")
    assert all(name in row[0] for name, row in zip(names, rows, strict=True))
    assert all(float(row[1]) > 0 for row in rows)


@pytest.mark.slow
def test_the_first_wait_is_timed():
    rows = compared("--data", "bundled", "--turns", "1", module="tests.benchmarks.start")
    assert [row[0].strip() for row in rows] == list(NAMES)
    assert all(float(cell.split()[0]) > 1 for row in rows for cell in row[1:])


@pytest.mark.slow
def test_workers_are_compared_with_one_process():
    flags = ["--seeds", "4", "--turns", "1", "--", "gaussian_gan", "--steps", "20000"]
    rows = compared(*flags, module="tests.benchmarks.workers")
    titles = ["one process", "one process, one thread", "2 workers, one thread each"]
    assert [row[0].strip() for row in rows] == titles
    assert all(float(row[1]) > 0 for row in rows)


@pytest.mark.slow
def test_two_workers_are_compared_with_one_process():
    flags = ["--hidden-dim", "8", "16", "--batch-size", "10", "--turns", "1", "--seconds", "0.1"]
    rows = compared(*flags, module="tests.benchmarks.devices")
    assert [row[:2] for row in rows] == [[" 8 ", " 10 "], [" 16 ", " 10 "]]
    for one, two, workers, *ratios in (map(float, row[2:]) for row in rows):
        assert ratios == pytest.approx([one / workers, two / workers], abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize("model", ["gaussian_gan", "tiny_gan", "ali", "vae"])
def test_benchmark_compares_like_with_like(model):
    """Each opponent that is installed agrees on the losses, and is timed."""
    flags = ["--model", model, "--data", "bundled", "--turns", "1", "--seconds", "0.1"]
    rows = compared(*flags)
    titles = [row[0].strip() for row in rows]
    expected = [
        "**tf_gen.train**",
        "TensorFlow 1: Session, feed_dict",
        "Keras: fit, a batch a step",
    ]
    expected += ["PyTorch, eager"] if importlib.util.find_spec("torch") else []
    expected += ["JAX: lax.scan"] if importlib.util.find_spec("jax") else []
    assert set(expected) <= set(titles)
    assert any(title.startswith("limit") for title in titles)
    assert all(float(row[1].strip(" *")) > 0 for row in rows)
