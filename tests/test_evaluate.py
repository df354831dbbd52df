"""Many seeds: each is a run of its own, none is lost, and the table says what they say."""

import contextlib
import io
import json
import shlex
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from helpers import environment, one_line, rows, state

from tf_gen import evaluate, flags, rundir, seeds, tasks, train
from tf_gen.models import ali, gaussian_gan
from tf_gen.tasks.judge import Judge

SMALL = ["gaussian_gan", "--steps", "40"]

# Dies while it writes the second seed: the file is there, but under its temporary name.
DIE_IN_SECOND_SEED = """
import os, pathlib, signal, sys
from tf_gen import cli, evaluate

replace = pathlib.Path.replace

def dying_replace(self, target):
    if self.name.endswith("00001.npz"):
        os.kill(os.getpid(), signal.SIGKILL)
    return replace(self, target)

pathlib.Path.replace = dying_replace
cli.run(lambda: evaluate.main(sys.argv[1:]))
"""


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """The directory of three seeds, and what the command printed."""
    out = tmp_path_factory.mktemp("evaluate") / "out"
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert evaluate.main([*SMALL, "--seeds", "3", "--out", str(out)]) == 0
    return out, printed.getvalue()


@pytest.fixture
def copy(three, tmp_path):
    return shutil.copytree(three[0], tmp_path / "out")


def scores(out):
    """The rows of scores.csv: a list of dicts of numbers and bools."""
    words = {"True": True, "False": False}
    return [
        {k: words[v] if v in words else float(v) for k, v in row.items()}
        for row in rows(out / "scores.csv")
    ]


# ---- The command ---------------------------------------------------------------------------------


def test_everything_that_is_promised_is_written(three):
    out, printed = three
    names = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    seeds = {f"seeds/0000{seed}.npz" for seed in range(3)}
    files = {"config.json", "scores.csv", "summary.json", "table.md", "seeds.png"}
    assert names == files | seeds | {".lock"}
    for name in files - {"config.json"}:
        assert str(out / name) in printed
    assert tf.io.decode_png((out / "seeds.png").read_bytes()).shape[0] > 100


def test_printed_table_is_the_file(three):
    out, printed = three
    table = (out / "table.md").read_text()
    assert f"\n{table}" in printed
    assert table.startswith("| 3 seeds |")
    summary = json.loads((out / "summary.json").read_text())
    for name, row in summary.items():
        if isinstance(row, dict):
            assert f"| {name} | {' | '.join(f'{v:.4g}' for v in row.values())} |\n" in table
        elif name != "seeds":
            assert f"{name} {row:.0%}" in table


def test_summary_is_numpys_of_the_scores(three):
    out, _ = three
    found = scores(out)
    assert [row["seed"] for row in found] == [0, 1, 2]
    summary = json.loads((out / "summary.json").read_text())
    assert summary.pop("seeds") == 3
    assert summary.keys() == found[0].keys() - {"seed"}
    for name, row in summary.items():
        values = np.array([score[name] for score in found])
        if isinstance(found[0][name], bool):
            assert row == values.mean()
            continue
        assert row == pytest.approx(
            {
                "mean": np.mean(values),
                "sd": np.std(values),
                "min": np.min(values),
                "10 %": np.percentile(values, 10),
                "median": np.median(values),
                "90 %": np.percentile(values, 90),
                "max": np.max(values),
            }
        )
    assert summary["std"]["sd"] > 0


def test_scores_are_those_of_the_seeds(three):
    out, _ = three
    for seed, row in enumerate(scores(out)):
        with np.load(out / "seeds" / f"{seed:05d}.npz") as file:
            assert file["density"].shape == (99,)
            for name in row.keys() - {"seed"}:
                assert file[name] == row[name]


@pytest.mark.parametrize("seed", [0, 2])
def test_each_seed_is_a_run_of_its_own(three, seed):
    out, _ = three
    settings = gaussian_gan.Config(steps=40, seed=seed)
    model = gaussian_gan.build(settings)
    (stack,) = gaussian_gan.batches(settings).batch(40).take(1)
    tf.function(model.train_step, jit_compile=True)(stack)
    x = tasks.report(gaussian_gan, settings).generate(model)
    row = scores(out)[seed]
    assert (row["mean"], row["std"]) == pytest.approx((x.mean(), x.std()), rel=1e-5)
    assert row["diverged"] == (row["w1"] > 5)


def test_each_seed_is_what_train_makes_of_it(three, command, tmp_path):
    out, _ = three
    arguments = [*SMALL, "--seed", "1", "--run-dir", tmp_path / "run"]
    assert command(train.main, *arguments)[0] == 0
    measured = tmp_path / "measured"
    flags = ["--run", tmp_path / "run", "--out", measured]
    assert command(evaluate.main, "gaussian_gan", *flags)[0] == 0
    for name in ("mean", "std", "w1"):
        assert scores(measured)[0][name] == pytest.approx(scores(out)[1][name], rel=1e-5)


def test_more_seeds_are_added_to_the_first(three, copy, command):
    (copy / "seeds" / ".tmp-1-00003.npz").write_bytes(b"left by a killed process")
    before = state(copy / "seeds")
    status, _, err = command(evaluate.main, *SMALL, "--seeds", "4", "--out", copy)
    assert (status, err) == (0, "")
    after = state(copy / "seeds")
    assert {path.name for path in after} == {f"{seed:05d}.npz" for seed in range(4)}
    for path in after.keys() - {copy / "seeds" / "00003.npz"}:
        assert after[path] == before[path]
    assert scores(copy)[:3] == scores(three[0])
    assert scores(copy)[3] not in scores(three[0])


def test_what_is_there_is_not_computed_again(three, copy, command, monkeypatch):
    monkeypatch.setattr(gaussian_gan, "build", None)
    before = state(copy / "seeds")
    assert command(evaluate.main, *SMALL, "--seeds", "2", "--out", copy)[0] == 0
    assert state(copy / "seeds") == before
    assert scores(copy) == scores(three[0])[:2]


def test_other_settings_are_refused(copy, command):
    before = state(copy)
    status, out, err = command(
        evaluate.main, "gaussian_gan", "--steps", "41", "--seeds", "4", "--out", copy
    )
    assert (status, out) == (1, "")
    assert one_line(err, "config.steps: 40 -> 41")
    assert "seed" not in err
    assert state(copy) == before


def test_refusal_names_a_flag_that_evaluate_has(copy, command):
    _, _, err = command(evaluate.main, "gaussian_gan", "--steps", "41", "--out", copy)
    assert "--run-dir" not in err


def test_an_evaluation_is_no_run(copy, command):
    before = state(copy)
    for model in ("gaussian_gan", "vae"):
        status, _, err = command(train.main, model, "--steps", "40", "--run-dir", copy)
        assert status == 1
        assert "holds a run with other settings" in err
        assert state(copy) == before


def test_killed_and_resumed_is_the_same(three, command, tmp_path):
    out = tmp_path / "out"
    arguments = [*SMALL, "--seeds", "3", "--out", str(out)]
    died = subprocess.run(
        [sys.executable, "-c", DIE_IN_SECOND_SEED, *arguments],
        env=environment(),
        capture_output=True,
        timeout=300,
    )
    assert died.returncode == -signal.SIGKILL
    left = sorted(path.name for path in (out / "seeds").iterdir())
    assert left[0].startswith(".tmp-")
    assert left[1:] == ["00000.npz"]
    assert not (out / "scores.csv").exists()
    first = (out / "seeds" / "00000.npz").stat().st_mtime_ns
    assert command(evaluate.main, *arguments)[0] == 0
    assert (out / "seeds" / "00000.npz").stat().st_mtime_ns == first
    assert not list(out.rglob(".tmp-*"))
    for name in ("scores.csv", "table.md", "summary.json"):
        assert (out / name).read_bytes() == (three[0] / name).read_bytes()


def test_seeds_may_be_a_range(three, command, tmp_path):
    status, printed, _ = command(evaluate.main, *SMALL, "--seeds", "1-2", "--out", tmp_path / "out")
    assert status == 0
    assert "--seed 1 " in printed
    assert scores(tmp_path / "out") == scores(three[0])[1:]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["MODEL"]),
        (["no-such-model"], ["no-such-model", "vae"]),
        (["gaussian_gan", "--seeds", "0"], ["--seeds", "at least 1"]),
        (["gaussian_gan", "--seeds", "-1"], ["--seeds", "at least 1"]),
        (["gaussian_gan", "--seeds", "1e3"], ["--seeds"]),
        (["gaussian_gan", "--seeds", "3000000000"], ["--seeds", "below 2**31"]),
        (["gaussian_gan", "--seeds", "5-3"], ["--seeds", "ascending"]),
        (["gaussian_gan", "--seeds", "5-"], ["--seeds", "1000-1019"]),
        (["gaussian_gan", "--seed", "1"], ["--seed"]),  # evaluate chooses it
        (["gaussian_gan", "--data-std", "-1"], ["--data-std", "positive"]),
        (["gaussian_gan", "--data", "bundled"], ["--data"]),
    ],
)
def test_usage_errors_are_one_line_and_status_2(refused, arguments, words):
    refused(evaluate.main, arguments, words)


@pytest.mark.parametrize(
    ("arguments", "figure"),
    [
        (["tiny_gan", "--batch-size", "4"], "w1"),
        (["ali", "--data", "bundled", "--hidden-dim", "8"], "reconstruction_relative"),
    ],
)
def test_other_models(command, tmp_path, monkeypatch, judge_path, arguments, figure):
    monkeypatch.chdir(tmp_path)
    if "--data" in arguments:
        arguments = [*arguments, "--judge", judge_path]
    status, _, err = command(evaluate.main, *arguments, "--steps", "5", "--seeds", "2")
    assert (status, err) == (0, "")
    out = tmp_path / "runs" / f"evaluate-{arguments[0]}-article"
    first, second = scores(out)
    assert 0 < first[figure] != second[figure] > 0
    assert not first["diverged"]
    assert (out / "seeds.png").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["gaussian_gan", "--preset", "stable", "--no-scale-weights", "--minibatch"],
        ["gaussian_gan", "--data-mean", "-1", "--num-steps", "30"],
        ["tiny_gan", "--preset", "moments", "--inputs", "raw"],
        ["vae", "--data", "bundled", "--hidden-dim", "8"],
    ],
)
def test_command_printed_last_is_the_run_of_seed_0(arguments):
    parsed, settings = evaluate.parse(arguments)
    without_seed = {name: value for name, value in settings.items() if name != "seed"}
    python, m, module, *flags = shlex.split(evaluate.train_command(parsed, without_seed))
    assert [python, m, module] == ["python", "-m", "tf_gen.train"]
    train_parsed, train_settings = train.parse(flags)
    assert train_settings == {**settings, "seed": 0}
    assert train_parsed.model == arguments[0]
    assert getattr(train_parsed, "data", None) == getattr(parsed, "data", None)


def test_early_stop_is_honoured(command, tmp_path):
    arguments = ["--steps", "40", "--log-every", "5", "--stop-at-w1", "1e9"]
    out = tmp_path / "out"
    status, _, _ = command(evaluate.main, "gaussian_gan", *arguments, "--seeds", "2", "--out", out)
    assert status == 0
    assert [row["steps"] for row in scores(out)] == [5, 5]


def test_all_seeds_diverged(command, tmp_path):
    out = tmp_path / "out"
    arguments = ["--activation", "relu", "--d-learning-rate", "1e38", "--g-learning-rate", "1e38"]
    status, printed, err = command(
        evaluate.main, "gaussian_gan", *arguments, "--steps", "5", "--seeds", "2", "--out", out
    )
    assert (status, err) == (0, "")
    assert "diverged 100%" in printed
    assert [row["diverged"] for row in scores(out)] == [True, True]
    assert "w1" not in json.loads((out / "summary.json").read_text())
    assert "nan" not in (out / "table.md").read_text()


def test_help_leaves_out_what_evaluate_chooses(command):
    for name in ("gaussian_gan", "tiny_gan", "vae"):
        status, out, _ = command(evaluate.main, name, "--help")
        assert status == 0
        assert "--seed " not in out
        assert ("--data " in out) == flags.read(name).with_images


def test_damaged_score_is_computed_again(command, tmp_path):
    arguments = ["tiny_gan", "--steps", "3", "--seeds", "2", "--out", tmp_path / "out"]
    assert command(evaluate.main, *arguments)[0] == 0
    before = (tmp_path / "out" / "scores.csv").read_text()
    path = tmp_path / "out" / "seeds" / "00001.npz"
    path.write_bytes(path.read_bytes()[:300])
    status, _, err = command(evaluate.main, *arguments)
    assert status == 0
    assert one_line(err, str(path))
    assert (tmp_path / "out" / "scores.csv").read_text() == before


def test_ctrl_c_says_how_to_go_on(command, tmp_path, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(seeds, "train_seed", interrupt)
    arguments = ["tiny_gan", "--steps", "3", "--seeds", "2", "--out", tmp_path / "out"]
    status, out, _ = command(evaluate.main, *arguments)
    assert status == 130
    assert "to go on" in out
    assert "python -m tf_gen.evaluate tiny_gan --steps 3" in out


# ---- A run of train ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def ali_run(tmp_path_factory):
    """A run of ALI, too short to be any good."""
    run_dir = tmp_path_factory.mktemp("ali") / "short"
    flags = ["--hidden-dim", "8", "--steps", "4", "--seed", "3"]
    train.main(["ali", "--data", "bundled", *flags, "--run-dir", str(run_dir)])
    return run_dir


def test_a_run_is_measured_as_it_stands(ali_run, judge, judge_path, command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    before = state(ali_run)
    arguments = ["ali", "--run", ali_run, "--judge", judge_path]
    status, printed, err = command(evaluate.main, *arguments)
    assert (status, err) == (0, "")
    assert state(ali_run) == before
    out = tmp_path / "runs" / "evaluate-short-step-4"
    assert [row["seed"] for row in scores(out)] == [3]
    assert printed.splitlines()[-1].startswith(f"next: python -m tf_gen.sample {ali_run} --count")
    summary = json.loads((out / "summary.json").read_text())
    assert summary["step"] == 4
    assert summary["judge"] == {"accuracy": judge.accuracy, "seed": 0}
    model = ali.build(ali.Config(hidden_dim=8, steps=4, seed=3))
    assert rundir.restore(model, ali_run)[0] == 4
    images = judge.held_out_images
    expected = np.mean(np.linalg.norm(images - model(images), axis=(1, 2)))
    assert summary["reconstruction_error"] == pytest.approx(expected, rel=1e-5)
    table = (out / "table.md").read_text()
    assert f"| reconstruction_error | {expected:.4g} |" in table
    assert table in printed
    for name in ("knn_z", "knn_z_untrained", "knn_pixels", "frechet", "frechet_real", "class_9"):
        assert isinstance(summary[name], float)
    assert (out / "seeds.png").exists()


def test_seeds_are_of_one_judge(ali_run, bundled, judge_path, command, tmp_path):
    out = tmp_path / "out"
    arguments = ["ali", "--data", "bundled", "--hidden-dim", "8", "--steps", "2", "--out", out]
    assert command(evaluate.main, *arguments, "--judge", judge_path)[0] == 0
    before = state(out)
    Judge(bundled, tmp_path / "other.keras", epochs=1)
    status, _, err = command(evaluate.main, *arguments, "--judge", tmp_path / "other.keras")
    assert status == 1
    assert "judge" in err
    assert state(out) == before


def test_a_run_of_a_gan_is_measured_without_judge(command, tmp_path):
    run_dir, out = tmp_path / "run", tmp_path / "out"
    assert command(train.main, "gaussian_gan", "--steps", "20", "--run-dir", run_dir)[0] == 0
    status, _, err = command(evaluate.main, "gaussian_gan", "--run", run_dir, "--out", out)
    assert (status, err) == (0, "")
    last = rows(run_dir / "history.csv")[-1]
    summary = json.loads((out / "summary.json").read_text())
    # The log looks at fewer points.
    assert summary["w1"] == pytest.approx(float(last["w1"]), abs=2e-3)
    assert summary["diverged"] is False


@pytest.mark.parametrize(
    ("arguments", "words", "expected"),
    [
        (["vae", "--run", "RUN"], ["short", "a run of ali"], 1),
        (["ali", "--run", "nowhere"], ["nowhere", "no run directory"], 1),
        (["ali", "--run", "RUN", "--data", "OTHER"], ["short", "other images", "--data"], 1),
        (["ali", "--run", "RUN", "--judge", "JUNK"], ["junk.keras", "another"], 1),
        (["ali", "--run", "RUN", "--steps", "9"], ["--run"], 2),
        (["ali", "--run", "RUN", "--seeds", "1"], ["--run"], 2),
        (["ali", "--run", "RUN", "--seeds", "0"], ["--seeds"], 2),
        (["ali", "--run", "TORN"], ["config.json", "does not describe"], 1),
        (["ali", "--judge", "judge.h5"], ["--judge", ".keras"], 2),
        (["ali", "--judge", "X.KERAS"], ["--judge", ".keras"], 2),  # Keras takes no capitals
        (["ali", "--judge", "d.keras"], ["Is a directory", "d.keras"], 1),
        (["ali", "--judge", "junk.keras/a.keras"], ["Not a directory", "junk.keras"], 1),
        (["ali", "--out", "junk.keras"], ["Not a directory", "junk.keras"], 1),
        (["ali", "--run", "RUN", "--preset", "bigan"], ["--run"], 2),
        (["gaussian_gan", "--judge", "x.keras"], ["--judge"], 2),
    ],
)
def test_mistakes_with_runs_are_one_line(
    ali_run, command, tmp_path, monkeypatch, arguments, words, expected
):
    monkeypatch.chdir(tmp_path)
    junk, other = tmp_path / "junk.keras", tmp_path / "other"
    junk.write_bytes(b"junk")
    other.mkdir()
    for part in ("train", "t10k"):
        header = bytes([0, 0, 8, 3]) + np.array([1, 28, 28], ">i4").tobytes()
        (other / f"{part}-images-idx3-ubyte").write_bytes(header + bytes(range(196)) * 4)
        header = bytes([0, 0, 8, 1]) + np.array([1], ">i4").tobytes()
        (other / f"{part}-labels-idx1-ubyte").write_bytes(header + bytes(1))
    torn = tmp_path / "torn"
    torn.mkdir()
    (torn / "config.json").write_text('{"model": "ali", "config": {}, "data": null}')
    (tmp_path / "d.keras").mkdir()
    names = {"RUN": ali_run, "OTHER": other, "JUNK": junk, "TORN": torn}
    before = state(ali_run)
    status, _, err = command(evaluate.main, *[names.get(word, word) for word in arguments])
    assert status == expected
    assert one_line(err, *words)
    assert state(ali_run) == before
