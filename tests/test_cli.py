"""The commands: what they answer to a user's mistakes, and how fast."""

import csv
import dataclasses
import gzip
import json
import os
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import graph_pb2
from tensorflow.core.util import event_pb2

from tf_gen import config, export, sample, train
from tf_gen.models import NAMES, gaussian_gan, load, vae

LATENT_MAP = {"labels": {"3": [0.5, -1.0], "7": [1.0, 2.5]}, "axis": [-1.0, 0.0, 1.5]}


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory):
    """The export of an untrained VAE, with a map."""
    directory = tmp_path_factory.mktemp("export") / "vae"
    model = vae.build(vae.Config(hidden_dim=8))
    export.export(model, directory, {"model": "vae"}, LATENT_MAP)
    return directory


@pytest.fixture(scope="module")
def saved_gan(tmp_path_factory):
    """The export of an untrained GAN on a line."""
    directory = tmp_path_factory.mktemp("export") / "gan"
    settings = {"model": "gaussian_gan"}
    export.export(gaussian_gan.build(gaussian_gan.Config()), directory, settings)
    return directory


def one_line(text, *words):
    assert len(text.splitlines()) == 1, text
    for word in words:
        assert word in text
    return True


# ---- Without TensorFlow --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "arguments", "status"),
    [
        ("train", ["--help"], 0),
        *[("train", [name, "--help"], 0) for name in NAMES],
        ("train", ["vae", "--steps", "0"], 2),
        ("train", ["no-such-model"], 2),
        ("train", ["gaussian_gan", "--anim-path", "no/such/directory/a.gif"], 1),
        ("evaluate", ["gaussian_gan", "--help"], 0),
        ("evaluate", ["no-such-model"], 2),
        ("evaluate", ["gaussian_gan", "--seeds", "0"], 2),
        ("evaluate", ["tiny_gan", "--seeds", "-1"], 2),
        ("evaluate", ["gaussian_gan", "--data-std", "-1"], 2),
        ("sample", ["--help"], 0),
        ("sample", ["x", "--z", "a"], 2),
        ("sample", ["no-such-model"], 1),
        ("export", ["--help"], 0),
        ("export", ["/nonexistent", "out"], 1),
    ],
)
def test_answers_that_need_no_tensorflow_do_not_import_it(process, module, arguments, status):
    code = (
        "import runpy, sys\n"
        f"sys.argv = ['x', *{arguments!r}]\n"
        "try:\n"
        f"    runpy.run_module('tf_gen.{module}', run_name='__main__')\n"
        "finally:\n"
        "    heavy = {'tensorflow', 'keras', 'numpy', 'matplotlib'} & set(sys.modules)\n"
        "    assert not heavy, heavy\n"
    )
    result = process("-c", code)
    assert result.returncode == status, result.stderr
    assert bool(result.stdout) == (status == 0)
    if status:
        assert one_line(result.stderr, "error")


@pytest.mark.parametrize("name", NAMES)
def test_help_names_every_field_with_its_defaults(command, name):
    status, out, _ = command(train.main, name, "--help")
    assert status == 0
    text = re.sub(r"\s+", " ", out)
    module = load(name)
    for field, value in vars(module.Config()).items():
        assert re.search(rf"--(\[no-])?{field.replace('_', '-')}\b", text), field
        others = {preset: getattr(c, field) for preset, c in module.PRESETS.items()}
        default = "; ".join([str(value), *(f"{p}: {v}" for p, v in others.items() if v != value)])
        assert f"{config.read(name).help[field]} (default: {default})" in text
    flags = ["--preset", "--run-dir", "--checkpoint-every", "--anim-path", "--tensorboard"]
    assert all(flag in text for flag in flags)
    assert ("--data {" in text or "--data DATA" in text) == module.NEEDS_IMAGES


def test_help_tells_where_presets_differ(command):
    text = re.sub(r"\s+", " ", command(train.main, "gaussian_gan", "--help")[1])
    assert "(default: 4; stable: 16)" in text
    assert "(default: 12; listing: 8; stable: 64)" in text
    assert "(default: 4.0)" in text


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("flag", ["--steps", "--num-steps"])
def test_steps_has_the_name_of_the_articles_too(name, flag):
    assert train.parse([name, flag, "7"])[1] == {**vars(load(name).Config()), "steps": 7}


def test_minibatch_is_a_switch():
    for flags, expected in [(["--minibatch"], True), (["--no-minibatch"], False), ([], False)]:
        assert train.parse(["gaussian_gan", *flags])[1]["minibatch"] is expected


@pytest.mark.parametrize(
    ("name", "preset"), [(name, preset) for name in NAMES for preset in load(name).PRESETS]
)
def test_presets_start_from_their_settings(name, preset):
    settings = train.parse([name, "--preset", preset, "--seed", "5"])[1]
    assert settings == {**vars(load(name).PRESETS[preset]), "seed": 5}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["MODEL"]),
        (["no-such-model"], ["no-such-model", "vae"]),
        (["vae", "--no-such-flag", "3"], ["--no-such-flag"]),
        (["vae", "--step", "3"], ["--step"]),  # flags cannot be abbreviated
        (["vae", "--steps", "0"], ["--steps", "at least 1"]),
        (["vae", "--steps", "1e3"], ["--steps", "1e3"]),
        (["vae", "--batch-size", "-1"], ["--batch-size", "-1"]),
        (["vae", "--hidden-dim", "0"], ["--hidden-dim"]),
        (["vae", "--latent-dim", "0"], ["--latent-dim"]),
        (["vae", "--log-every", "0"], ["--log-every"]),
        (["vae", "--checkpoint-every", "0"], ["--checkpoint-every"]),
        (["vae", "--learning-rate", "nan"], ["--learning-rate", "nan"]),
        (["vae", "--learning-rate", "inf"], ["--learning-rate"]),
        (["vae", "--learning-rate", "0"], ["--learning-rate"]),
        (["vae", "--decay", "1"], ["--decay"]),
        (["vae", "--seed", "-1"], ["--seed"]),
        (["vae", "--seed", "2147483648"], ["--seed"]),
        (["vae", "--preset", "none"], ["--preset", "article"]),
        (["vae", "--minibatch"], ["--minibatch"]),
        (
            ["gaussian_gan", "--batch-size", "1", "--minibatch"],
            ["--batch-size", "at least 2", "minibatch"],
        ),
        (["gaussian_gan", "--minibatch", "yes"], ["yes"]),
        (["gaussian_gan", "--data-std", "-1"], ["--data-std", "positive"]),
        (["gaussian_gan", "--data-std", "0"], ["--data-std", "positive"]),
        (["gaussian_gan", "--data-std", "inf"], ["--data-std"]),
        (["gaussian_gan", "--data-mean", "nan"], ["--data-mean", "1e6"]),
        (["gaussian_gan", "--activation", "gelu"], ["--activation", "tanh, relu, softplus"]),
        (["gaussian_gan", "--optimizer", "foo"], ["--optimizer", "sgd, adam"]),
        (["gaussian_gan", "--decay", "foo"], ["--decay", "staircase"]),
        (["gaussian_gan", "--anim-every", "0"], ["--anim-every", "at least 1"]),
        (["gaussian_gan", "--data", "bundled"], ["--data"]),
        (["gaussian_gan", "--stop-at-w1", "-1"], ["--stop-at-w1", "at least 0"]),
        (["gaussian_gan", "--log-floor", "1"], ["--log-floor", "below 1"]),
        (["gaussian_gan", "--r1", "-0.1"], ["--r1"]),
        (["gaussian_gan", "--num-steps", "0"], ["--steps", "at least 1"]),
        (["tiny_gan", "--inputs", "foo"], ["--inputs", "raw, squares, differences, moments"]),
        (["tiny_gan", "--batch-size", "1"], ["--batch-size", "at least 2"]),
        (["tiny_gan", "--d-steps", "0"], ["--d-steps", "at least 1"]),
        (["tiny_gan", "--g-steps", "0"], ["--g-steps", "at least 1"]),
        (["tiny_gan", "--data-std", "-1"], ["--data-std", "positive"]),
        (["tiny_gan", "--d-activation", "softplus"], ["--d-activation"]),
    ],
)
def test_usage_errors_are_one_line_and_status_2(command, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    status, out, err = command(train.main, *arguments)
    assert (status, out) == (2, "")
    assert one_line(err, *words)
    assert not list(tmp_path.iterdir())


# ---- Bad data and bad directories ----------------------------------------------------------------


def test_bad_data_is_one_line_and_writes_nothing(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    directory = tmp_path / "mnist"
    directory.mkdir()
    content = gzip.compress(b"\0\0\x08\x03" + bytes(2000))
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (directory / f"{name}-ubyte.gz").write_bytes(content[:-9])
    (tmp_path / "list.txt").write_text("missing.png 3\n")
    before = sorted(tmp_path.rglob("*"))
    for spec, words in {
        directory: ["train-images-idx3-ubyte.gz", "damaged"],
        tmp_path / "list.txt": ["list.txt", "line 1", "missing.png"],
        tmp_path / "nothing": ["nothing"],
    }.items():
        status, out, err = command(train.main, "vae", "--data", spec)
        assert (status, out) == (1, "")
        assert one_line(err, *words)
        assert sorted(tmp_path.rglob("*")) == before


def test_unwritable_run_directory(command, tmp_path):
    file = tmp_path / "file"
    file.write_text("precious")
    for run_dir in (file, file / "below"):
        status, _, err = command(train.main, "vae", "--data", "bundled", "--run-dir", run_dir)
        assert status == 1
        assert one_line(err, str(file))
    assert file.read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write everywhere")
def test_run_directory_without_permission(command, tmp_path):
    tmp_path.chmod(0o500)
    status, _, err = command(train.main, "vae", "--data", "bundled", "--run-dir", tmp_path / "run")
    assert status == 1
    assert one_line(err, "Permission denied")


def test_foreign_directory_is_left_alone(command, tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    status, _, err = command(train.main, "vae", "--data", "bundled", "--run-dir", tmp_path)
    assert status == 1
    assert one_line(err, "holds other files")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


@pytest.mark.parametrize("name", ["config.json", "saved_model.pb"])
def test_directory_that_only_resembles_a_run_is_left_alone(command, tmp_path, name):
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / name).write_text("{}")
    before = sorted(tmp_path.iterdir())
    status, _, err = command(train.main, "vae", "--data", "bundled", "--run-dir", tmp_path)
    assert status == 1
    assert one_line(err, "holds other files")
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.slow  # half a minute
def test_model_that_does_not_fit_into_memory(process, tmp_path):
    arguments = ["vae", "--data", "bundled", "--hidden-dim", "1000000000000"]
    result = process("-m", "tf_gen.train", *arguments)
    assert result.returncode == 1
    assert one_line(result.stderr, "TensorFlow")
    assert not list(tmp_path.iterdir())


def test_few_images_in_three_dimensions_to_the_end(command, tmp_path, monkeypatch):
    """And the command that it prints last works."""
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).integers(0, 256, [30, 28, 28, 1], np.uint8)
    for i, image in enumerate(pixels):
        (tmp_path / f"{i}.png").write_bytes(tf.io.encode_png(image).numpy())
    (tmp_path / "list.txt").write_text("".join(f"{i}.png {i % 10}\n" for i in range(30)))
    arguments = ["--latent-dim", "3", "--hidden-dim", "8", "--steps", "3", "--log-every", "2"]
    status, out, err = command(train.main, "vae", "--data", "list.txt", *arguments)
    assert (status, err) == (0, "")
    assert "27 images to train, 3 held out" in out
    _, _, next_command = out.splitlines()[-1].partition("tf_gen.sample ")
    assert command(sample.main, *next_command.split())[0] == 0
    assert (tmp_path / "digit.png").exists()


def test_tensorboard_is_asked_for_before_training(command, tmp_path, monkeypatch):
    monkeypatch.setattr(train.importlib.util, "find_spec", lambda name: None)
    run_dir = tmp_path / "run"
    status, _, err = command(
        train.main, "vae", "--data", "bundled", "--run-dir", run_dir, "--tensorboard", tmp_path
    )
    assert status == 1
    assert one_line(err, "pip install", "tensorboard")
    assert not run_dir.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["gaussian_gan", "--steps", "60", "--log-every", "1"],
        ["ali", "--data", "bundled", "--hidden-dim", "8", "--steps", "4", "--log-every", "1"],
    ],
)
def test_tensorboard_gets_graph_log_and_samples(command, tmp_path, arguments):
    events = tmp_path / "events"
    run_dir = tmp_path / "run"
    status, out, _ = command(train.main, *arguments, "--run-dir", run_dir, "--tensorboard", events)
    assert status == 0
    assert out.splitlines()[-1] == f"or: tensorboard --logdir {events}"
    (path,) = events.iterdir()
    graphs, scalars, images = [], {}, {}
    for record in tf.data.TFRecordDataset(str(path)):
        event = event_pb2.Event.FromString(record.numpy())
        if event.graph_def:
            graphs.append(graph_pb2.GraphDef.FromString(event.graph_def))
        for value in event.summary.value:
            tensor = tf.make_ndarray(value.tensor)
            if value.metadata.plugin_data.plugin_name == "images":
                images[event.step] = tf.io.decode_png(tensor[2]).numpy()
            else:
                scalars[event.step, value.tag] = float(tensor)
    (graph,) = graphs
    operations = {node.op for node in graph.node}
    operations |= {node.op for function in graph.library.function for node in function.node_def}
    assert {"StatelessWhile", "MatMul"} <= operations or {"While", "MatMul"} <= operations
    with (run_dir / "history.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    expected = {
        (int(row["step"]), name): float(value)
        for row in rows
        for name, value in row.items()
        if name != "step"
    }
    assert scalars == pytest.approx(expected, rel=1e-5)
    every = 3 if arguments[0] == "gaussian_gan" else 1  # twenty pictures a run at most
    assert images.keys() == {int(row["step"]) for row in rows if int(row["step"]) % every == 0}
    assert all(np.ptp(image) > 100 for image in images.values())


def test_other_keras_backend_is_refused(process):
    result = process("-m", "tf_gen.train", "vae", "--data", "bundled", KERAS_BACKEND="jax")
    assert result.returncode == 1
    assert one_line(result.stderr, "KERAS_BACKEND", "jax")


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("steps", [1, 20])  # 1: the loss comes before the update that spoils all
def test_a_model_that_diverges_stops_the_run(command, tmp_path, steps):
    run_dir = tmp_path / "run"
    status, _, err = command(
        train.main, "vae", "--data", "bundled", "--run-dir", run_dir,
        "--learning-rate", "1e38", "--steps", steps, "--log-every", "20", "--hidden-dim", "8",
    )  # fmt: skip
    assert status == 1
    assert one_line(err, "loss is", f"step {steps};", "a lower learning rate", "--run-dir")
    assert not (run_dir / "saved_model").exists()
    assert [path.name for path in (run_dir / "checkpoints").iterdir()] == ["step-00000000"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["gaussian_gan", "--activation", "relu", "--g-learning-rate", "1e38"],
        ["tiny_gan", "--learning-rate", "1e38", "--optimizer", "sgd"],
    ],
)
def test_a_gan_that_diverges_stops_the_run(command, tmp_path, arguments):
    run_dir = tmp_path / "run"
    flags = ["--steps", "12", "--log-every", "4", "--run-dir", run_dir]
    status, _, err = command(train.main, *arguments, *flags)
    assert status == 1
    assert one_line(err, " is ", " at step ", "a lower learning rate", "--run-dir")
    assert not (run_dir / "saved_model").exists()


def test_run_of_another_model_is_refused(command, tmp_path):
    arguments = ["--steps", "2", "--run-dir", tmp_path]
    assert command(train.main, "gaussian_gan", *arguments)[0] == 0
    for other in ("tiny_gan", "vae"):  # the one draws its data, the other looks for it
        status, _, err = command(train.main, other, *arguments)
        assert status == 1
        assert one_line(err, "other settings", f"model: gaussian_gan -> {other}")


# ---- sample --------------------------------------------------------------------------------------


def test_sample_npy_holds_the_decoders_images(command, saved_model, tmp_path):
    out = tmp_path / "a.npy"
    status, printed, err = command(
        sample.main, saved_model, "--z", "3,3", "--z", "-1.5,0", "--out", out
    )
    assert (status, err) == (0, "")
    assert str(out) in printed
    images = np.load(out)
    assert (images.shape, images.dtype) == ((2, 28, 28), np.float32)
    model = vae.build(vae.Config(hidden_dim=8))
    np.testing.assert_allclose(images, model.decode(np.float32([[3, 3], [-1.5, 0]])), atol=1e-6)


def test_sample_png_is_a_grid(command, saved_model, tmp_path):
    status, _, _ = command(sample.main, saved_model, "--count", "5", "--out", tmp_path / "a.png")
    assert status == 0
    pixels = tf.io.decode_png((tmp_path / "a.png").read_bytes())
    assert pixels.shape == (2 * 28 * 4, 3 * 28 * 4, 1)
    assert not np.any(pixels[28 * 4 :, 2 * 28 * 4 :])  # the sixth place is empty
    model = vae.build(vae.Config(hidden_dim=8))
    first = model.decode(model.prior(5, [0, 0]))[0] * 255
    np.testing.assert_allclose(pixels[: 28 * 4 : 4, : 28 * 4 : 4, 0], first, atol=0.51)


def test_sample_seed_makes_the_difference(command, saved_model, tmp_path):
    images = []
    for seed in (1, 1, 2):
        command(sample.main, saved_model, "--seed", seed, "--out", tmp_path / "a.npy")
        images.append(np.load(tmp_path / "a.npy"))
    np.testing.assert_array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])


@pytest.mark.parametrize(
    ("arguments", "z"),
    [
        (["--digit", "7"], [[1, 2.5]]),
        (["--digit", "7", "--digit", "3"], [[1, 2.5], [0.5, -1]]),
        (["--interpolate", "-1,2", "1,-2", "--count", "3"], [[-1, 2], [0, 0], [1, -2]]),
        (["--interpolate", "3", "7", "--count", "2"], [[0.5, -1], [1, 2.5]]),
        (["--grid"], [[-1, 1.5], [0, 1.5], [1.5, 1.5], [-1, 0], [0, 0], [1.5, 0], [-1, -1],
                      [0, -1], [1.5, -1]]),
    ],
)  # fmt: skip
def test_sample_finds_its_way(command, saved_model, tmp_path, arguments, z):
    out = tmp_path / "a.npy"
    status, printed, err = command(sample.main, saved_model, *arguments, "--out", out)
    assert (status, err) == (0, "")
    model = vae.build(vae.Config(hidden_dim=8))
    np.testing.assert_allclose(np.load(out), model.decode(np.float32(z)), atol=1e-6)
    if "--digit" in arguments:
        assert "digit 7: --z 1,2.5" in printed
    assert command(sample.main, saved_model, *arguments, "--out", tmp_path / "a.png")[0] == 0
    height, width = tf.io.decode_png((tmp_path / "a.png").read_bytes()).shape[:2]
    if "--interpolate" in arguments:
        assert (height, width) == (28 * 4, len(z) * 28 * 4)
    if "--grid" in arguments:
        assert height == width == 960  # a figure, with axes


def test_sample_finds_models_in_the_box(command, saved_model, tmp_path, monkeypatch):
    monkeypatch.setattr(sample, "BOXES", [tmp_path / "none", saved_model.parent])
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    assert command(sample.main, "vae", "--out", "a.png")[0] == 0
    status, _, err = command(sample.main, "vea", "--out", "a.png")
    assert status == 1
    assert one_line(err, "vea", "one of vae")
    (tmp_path / "here" / "vae").mkdir()  # what is here comes first
    status, _, err = command(sample.main, "vae", "--out", "a.png")
    assert status == 1
    assert one_line(err, "no SavedModel", "tf_gen.export")


@pytest.mark.parametrize(
    "content",
    [
        "{",
        "[]",
        '{"labels": ["7"]}',
        '{"labels": {"7": "ab"}}',
        '{"labels": {"7": [1.0]}}',
        '{"labels": {"7": 5}}',
        '{"axis": 5}',
    ],
)
def test_sample_of_a_damaged_map(command, saved_model, tmp_path, content):
    directory = tmp_path / "copy"
    shutil.copytree(saved_model, directory)
    (directory / "latent_map.json").write_text(content)
    status, _, err = command(sample.main, directory, "--digit", "7", "--out", tmp_path / "a.png")
    assert status == 1
    assert one_line(err, "latent_map.json", "damaged")


@pytest.mark.parametrize("arguments", [["--digit", "7"], ["--grid"], ["--interpolate", "1", "2"]])
def test_sample_without_a_map(command, saved_model, saved_gan, tmp_path, arguments):
    directory = tmp_path / "copy"
    shutil.copytree(saved_model, directory)
    (directory / "latent_map.json").unlink()
    status, _, err = command(sample.main, directory, *arguments, "--out", tmp_path / "a.png")
    assert status == 1
    assert one_line(err, arguments[0], "latent_map.json")
    status, _, err = command(sample.main, saved_gan, "--grid", "--out", tmp_path / "a.png")
    assert status == 1
    assert one_line(err, "--grid", "this model's z has 1")


def test_sample_interpolates_between_points_of_a_line(command, saved_gan, tmp_path):
    out = tmp_path / "a.npy"
    arguments = ["--interpolate", "-8", "8", "--count", "5", "--out", out]
    assert command(sample.main, saved_gan, *arguments)[0] == 0
    model = gaussian_gan.build(gaussian_gan.Config())
    z = np.float32([[-8], [-4], [0], [4], [8]])
    np.testing.assert_allclose(np.load(out), model.decode(z), atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["--digit", "4"], 1, ["--digit", "4", "3, 7"]),
        (["--digit", "-1"], 1, ["--digit", "-1"]),
        (["--digit", "x"], 2, ["--digit"]),
        (["--digit", "7", "--z", "3,3"], 2, ["--z", "--digit"]),
        (["--digit", "7", "--count", "2"], 2, ["--count"]),
        (["--interpolate", "3,3"], 2, ["--interpolate"]),
        (["--interpolate", "3,3", "9"], 1, ["--interpolate", "9"]),
        (["--interpolate", "3,3", "1.5"], 1, ["--interpolate", "1 number", "2"]),
        (["--interpolate", "3,3", "7", "--count", "1"], 2, ["--count", "2"]),
        (["--z", "3"], 1, ["--z", "2"]),
        (["--z", "3,3,3"], 1, ["--z", "3 numbers"]),
        (["--z", "3,x"], 2, ["--z", "3,x"]),
        (["--z", "nan,0"], 2, ["--z"]),
        (["--z", "1e39,0"], 2, ["--z"]),
        (["--z"], 2, ["--z"]),
        (["--count", "3000000000"], 2, ["--count"]),
        (["--count", "0"], 2, ["--count"]),
        (["--seed", "-1"], 2, ["--seed"]),
        (["--out", "a.jpg"], 2, ["--out", ".png", ".npy"]),
        (["--out", "no/such/directory/a.png"], 1, ["no/such/directory"]),
    ],
)
def test_sample_errors(command, saved_model, tmp_path, monkeypatch, arguments, status, words):
    monkeypatch.chdir(tmp_path)
    result = command(sample.main, saved_model, *arguments)
    assert result[:2] == (status, "")
    assert one_line(result[2], *words)
    assert not list(tmp_path.iterdir())


def test_sample_npy_holds_points(command, saved_gan, tmp_path):
    out = tmp_path / "a.npy"
    status, printed, err = command(sample.main, saved_gan, "--count", "9", "--out", out)
    assert (status, err) == (0, "")
    assert f"9 point(s): {out}" in printed
    x = np.load(out)
    assert (x.shape, x.dtype) == ((9, 1), np.float32)
    model = gaussian_gan.build(gaussian_gan.Config())
    np.testing.assert_allclose(x, model.decode(model.prior(9, [0, 0])), atol=1e-5)


def test_sample_decodes_points_and_prints_them(command, saved_gan, tmp_path):
    out = tmp_path / "a.npy"
    status, printed, err = command(
        sample.main, saved_gan, "--z", "-3", "--z", "0.5", "--z=-3e0", "--out", out
    )
    assert (status, err) == (0, "")
    x = np.load(out)
    model = gaussian_gan.build(gaussian_gan.Config())
    np.testing.assert_allclose(x, model.decode(np.float32([[-3], [0.5], [-3]])), atol=1e-5)
    assert printed.splitlines()[1:] == [
        f"z {z}: x {value:g}" for z, value in zip(("-3", "0.5", "-3"), x[:, 0], strict=True)
    ]


@pytest.mark.parametrize(
    "arguments", [["--count", "1000"], ["--count", "1"], ["--z", "-3"], ["--z", "1e30"]]
)
def test_sample_png_of_points_is_a_histogram(command, saved_gan, tmp_path, arguments):
    out = tmp_path / "a.png"
    status, printed, err = command(sample.main, saved_gan, *arguments, "--out", out)
    assert (status, err) == (0, "")
    assert str(out) in printed
    pixels = tf.io.decode_png(out.read_bytes(), channels=3).numpy()
    assert pixels.shape == (600, 960, 3)
    assert np.sum(np.all(pixels == (44, 160, 44), axis=-1)) > 200  # bars


def test_histogram_of_a_sample_shows_the_density_that_it_should_have(command, tmp_path):
    config = gaussian_gan.Config(data_mean=2.0)
    directory = tmp_path / "gan"
    export.export(gaussian_gan.build(config), directory, {"config": dataclasses.asdict(config)})
    orange = []
    for arguments in (["--count", "1000"], ["--z", "1", "--z", "2"]):
        command(sample.main, directory, *arguments, "--out", tmp_path / "a.png")
        pixels = tf.io.decode_png((tmp_path / "a.png").read_bytes(), channels=3).numpy()
        orange.append(np.sum(np.all(pixels == (255, 127, 14), axis=-1)))
    assert orange[0] > 200
    assert orange[1] == 0  # these points are no sample


@pytest.mark.parametrize("z", ["3,3", "1,2,3"])
def test_sample_of_points_refuses_z_of_another_length(command, saved_gan, tmp_path, z):
    status, _, err = command(sample.main, saved_gan, "--z", z, "--out", tmp_path / "a.png")
    assert status == 1
    assert one_line(err, f"{len(z.split(','))} numbers", "this model's z has 1")
    assert not list(tmp_path.iterdir())


def test_sample_of_what_is_no_saved_model(command, tmp_path):
    assert one_line(command(sample.main, tmp_path)[2], "no SavedModel")
    (tmp_path / "saved_model.pb").write_bytes(b"garbage")
    status, _, err = command(sample.main, tmp_path, "--out", tmp_path / "a.png")
    assert status == 1
    assert one_line(err, "cannot be read")


@pytest.mark.parametrize(
    ("kind", "z", "unneeded"),
    [("saved_model", "3,3", ["matplotlib"]), ("saved_gan", "3", ["tf_gen.gaussian"])],
)
def test_sample_needs_no_model_code(request, tmp_path, kind, z, unneeded):
    directory = request.getfixturevalue(kind)
    code = (
        "import sys\n"
        f"for name in ('keras', 'tf_gen.models', 'tf_gen.base', *{unneeded}):\n"
        "    sys.modules[name] = None\n"
        "from tf_gen import sample\n"
        f"sys.exit(sample.main([{str(directory)!r}, '--z', {z!r}, '--out', 'three.png']))\n"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, timeout=300)
    assert (tmp_path / "three.png").exists()


# ---- export --------------------------------------------------------------------------------------


def test_export_refuses_what_is_there(command, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text(json.dumps({"model": "vae"}))
    out = tmp_path / "out"
    out.mkdir()
    status, _, err = command(export.main, tmp_path / "run", out)
    assert status == 1
    assert one_line(err, "exists already")
    status, _, err = command(export.main, out, tmp_path / "new")
    assert status == 1
    assert one_line(err, "no run directory")
    assert not list(out.iterdir())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "config.json"),
        ({"model": "no-such-model", "config": {}}, "config.json"),
        ({"model": "vae", "config": {"no_such_field": 1}}, "config.json"),
        ({"model": "vae", "config": {"hidden_dim": 0}}, "config.json"),
        ({"model": "vae", "config": {"hidden_dim": 8}, "data": None}, "config.json"),
        ({"model": "vae", "config": {}, "data": {"sha256": ""}}, "no usable checkpoint"),
    ],
)
def test_export_of_what_is_no_run(command, tmp_path, settings, words):
    (tmp_path / "config.json").write_text(json.dumps(settings))
    status, _, err = command(export.main, tmp_path, tmp_path / "out")
    assert status == 1
    assert one_line(err, words)
    assert not (tmp_path / "out").exists()
