"""Checkpoints that the articles' own code writes become runs, or are refused in one line."""

import contextlib
import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import v1_graphs
from helpers import one_line, rows, state

from tf_gen import evaluate, export, import_v1, mnist, rundir, sample, train
from tf_gen.models import ali, gaussian_gan, vae

v1 = tf.compat.v1
BEFORE, AFTER = 20, 10  # updates before a checkpoint and after it


@contextlib.contextmanager
def session_of(build, **options):
    """Yield a graph's `System` and a session with its variables initialised."""
    with tf.Graph().as_default(), v1.Session() as session:
        v1.set_random_seed(5)
        system = build(**options)
        session.run(v1.global_variables_initializer())
        yield system, session


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """The file of a few images, as sparse as digits, and what is read from it."""
    rng = np.random.default_rng(0)
    pixels = np.uint8(rng.uniform(size=[600, 28, 28]) ** 8 * 255)
    labels = np.arange(600) % 10
    path = tmp_path_factory.mktemp("images") / "images.npz"
    parts = {"x_train": pixels[100:], "y_train": labels[100:]}
    np.savez(path, **parts, x_test=pixels[:100], y_test=labels[:100])
    return path, mnist.load(path)


def save(session, prefix, variables=None, **options):
    return v1.train.Saver(variables).save(session, str(prefix), **options)


def arrays(batches, count):
    """The first batches of a recipe, as an article's code was fed them: list of dicts."""
    fed = []
    for batch in batches.take(count).as_numpy_iterator():
        if "images" in batch:
            batch["images"] = np.float32(batch["images"].reshape(-1, 784)) / np.float32(255)
        fed.append(batch)
    return fed


def restored(run_dir):
    """The model of a run, with its newest checkpoint, and the step."""
    _, recipe, config = rundir.identify(run_dir)
    model = recipe.build(config)
    step, _, damaged = rundir.restore(model, run_dir)
    assert not damaged
    return model, step


def answers(model, points):
    """What our networks say of points as an article's code was fed them: a dict."""
    points = {key: tf.constant(value) for key, value in points.items()}
    if "images" not in points:
        return {
            "decode": model.decode(points["z"]),
            "discriminate": model.discriminate(points["x"]),
        }
    images = tf.reshape(points["images"], [-1, 28, 28])
    found = {"decode": tf.reshape(model.decode(points["z"]), [-1, 784])}
    if isinstance(model, vae.VAE):
        return found | dict(zip(("z_mean", "z_log_var"), model.encode(images), strict=True))
    judged = model.discriminate(images, model.encode(images))[:, None]
    return found | {"encode": model.encode(images), "discriminate": judged}


GANS = {
    f"gaussian_gan-{preset}{'-minibatch' * minibatch}": (
        gaussian_gan,
        dataclasses.replace(gaussian_gan.PRESETS[preset], minibatch=minibatch),
        v1_graphs.gaussian_gan,
        {"minibatch": minibatch, "listing": preset == "listing"},
    )
    for preset in ("article", "listing")
    for minibatch in (False, True)
}
CASES = {
    "vae": (vae, vae.Config(), v1_graphs.vae, {}),
    "vae-small": (
        vae,
        vae.Config(hidden_dim=16, latent_dim=3),
        v1_graphs.vae,
        {"hidden": 16, "latent": 3},
    ),
    **GANS,
    "ali": (ali, ali.Config(), v1_graphs.ali, {}),
    "ali-small-d-last": (
        ali,
        ali.Config(hidden_dim=16, latent_dim=3),
        v1_graphs.ali,
        {"hidden": 16, "latent": 3, "d_first": False},
    ),
}


SLOW = ("vae-small", "gaussian_gan-article", "ali")  # the others have all that is in these


@pytest.mark.parametrize(
    "case",
    [pytest.param(name, marks=[pytest.mark.slow] if name in SLOW else []) for name in CASES],
)
def test_a_checkpoint_goes_on_as_its_graph_does(case, images, tmp_path, command):
    recipe, config, build, options = CASES[case]
    path, source = images if recipe.TASK == "digits" else (None, None)
    batches = recipe.batches(config, source)
    fed = arrays(batches, BEFORE + AFTER)
    noise = np.random.default_rng(0).uniform(-1, 1, [8, getattr(config, "latent_dim", 1)])
    x = {"images": fed[0]["images"][:8]} if source else {"x": np.float32(np.c_[0:8])}
    points = {"z": np.float32(noise), **x}
    with session_of(build, **options) as (system, session):
        system.iterate(session, fed[:BEFORE])
        prefix = save(session, tmp_path / "v1" / "model.ckpt", global_step=BEFORE)
        before = system.answer(session, points)
        system.iterate(session, fed[BEFORE:])
        after = system.answer(session, points)
    data = ["--data", path] if source else []
    status, out, err = command(import_v1.main, prefix, tmp_path / "run", *data)
    assert (status, err) == (0, "")
    assert f"step {BEFORE}" in out.splitlines()[0]
    model, step = restored(tmp_path / "run")
    assert step == BEFORE
    assert dataclasses.replace(model.config, steps=config.steps) == config
    kept = {array.tobytes() for array in contents(prefix).values()}
    assert all(variable.numpy().tobytes() in kept for variable in model.trainable_variables)
    for name, ours in answers(model, points).items():
        # The same bits, but for the roundings of another program.
        np.testing.assert_allclose(ours, before[name], rtol=2e-6, atol=3e-7)
    for batch in batches.skip(BEFORE).take(AFTER):
        model.update(batch)
    optimizers = [model.optimizer] if case[:3] == "vae" else [model.d_optimizer, model.g_optimizer]
    assert {int(optimizer.iterations) for optimizer in optimizers} == {BEFORE + AFTER}
    for name, ours in answers(model, points).items():
        assert abs(after[name] - before[name]).max() > 1e-3  # or there would be nothing to see
        np.testing.assert_allclose(ours, after[name], rtol=2e-4, atol=2e-5)


def test_what_an_import_writes_is_a_run_for_all_commands(tmp_path, command, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fed = arrays(gaussian_gan.batches(gaussian_gan.PRESETS["listing"]), 15)
    with session_of(v1_graphs.gaussian_gan, hidden=3) as (system, session):
        system.iterate(session, fed)
        v1_points = session.run(system.outputs["decode"], {system.inputs["z"]: [[-8.0], [1.0]]})
        save(session, "v1/gan")
    status, out, err = command(import_v1.main, "v1", "run", "--batch-size", 6, "--seed", 3)
    assert (status, err) == (0, "")
    nexts = [line.split()[3:] for line in out.splitlines() if line.startswith("next: ")]
    assert [words[0] for words in nexts] == ["tf_gen.sample", "tf_gen.evaluate", "tf_gen.train"]
    assert sample.parse(nexts[0][1:])
    assert command(sample.main, "run", "--z", "-8", "--out", "x.npy")[0] == 0
    np.testing.assert_allclose(np.load("x.npy"), v1_points[:1], rtol=1e-6)
    assert command(evaluate.main, *nexts[1][1:], "--out", "scores")[0] == 0
    assert json.loads((tmp_path / "scores" / "summary.json").read_text())["step"] == 15
    assert command(export.main, "run", "exported")[0] == 0
    settings = json.loads((tmp_path / "exported" / "config.json").read_text())["config"]
    listing = dataclasses.asdict(gaussian_gan.PRESETS["listing"])
    told = {"hidden_size": 3, "batch_size": 6, "seed": 3, "steps": 15}
    assert settings == {**listing, **told}
    before = state("run")
    again = [*nexts[2][1:], "--steps", "15"]
    assert "finished already" in command(train.main, *again)[1]
    assert state("run") == before
    status, out, err = command(train.main, *nexts[2][1:], "--steps", "30")
    assert (status, err) == (0, "")
    assert "extending a run of 15 steps" in out
    assert "continuing at step 15" in out
    assert restored("run")[1] == 30
    assert [row["step"] for row in rows(tmp_path / "run/history.csv")] == ["20", "30"]


# ---- What names and numbers tell -----------------------------------------------------------------


def write(prefix, values, **options):
    """A checkpoint of variables of these names and values, in this order."""
    with tf.Graph().as_default(), v1.Session() as session:
        for name, value in values.items():
            assert v1.Variable(value, name=name).op.name == name
        session.run(v1.global_variables_initializer())
        return save(session, prefix, **options)


def contents(prefix):
    """All variables of a checkpoint, a dict of arrays."""
    reader = tf.train.load_checkpoint(str(prefix))
    return {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()}


def found(prefix):
    """What is recognised: the sizes, and for each place in our model the variable's name."""
    system, names = import_v1.recognise(import_v1.Checkpoint(import_v1.find(Path(prefix))))
    return system.sizes, {weight.here: name for weight, name in names.items()}


VAE = {  # as the article's dicts call them, in another order, and where they belong here
    "b_decoder_out": "decoder.logits.bias",
    "b_z_std": "encoder.z_log_var.bias",
    "b_z_mean": "encoder.z_mean.bias",
    "b_decoder_h1": "decoder.hidden.bias",
    "b_encoder_b1": "encoder.hidden.bias",
    "w_z_std": "encoder.z_log_var.kernel",
    "w_decoder_out": "decoder.logits.kernel",
    "w_z_mean": "encoder.z_mean.kernel",
    "w_decoder_h1": "decoder.hidden.kernel",
    "w_encoder_h1": "encoder.hidden.kernel",
}
SHAPES = {name: shape for name, shape in zip(VAE, [784, 2, 2, 5, 5], strict=False)}
SHAPES |= {"w_z_std": (5, 2), "w_decoder_out": (5, 784), "w_z_mean": (5, 2)}
SHAPES |= {"w_decoder_h1": (2, 5), "w_encoder_h1": (784, 5)}


def vae_values(**renamed):
    """Ten variables of a small VAE, by the names of VAE or others."""
    return {renamed.get(name, name): np.ones(shape, np.float32) for name, shape in SHAPES.items()}


def test_names_tell_where_the_order_is_another(tmp_path):
    sizes, names = found(write(tmp_path / "v1" / "a", vae_values()))
    assert sizes == {"hidden_dim": 5, "latent_dim": 2}
    assert names == {here: name for name, here in VAE.items()}


@pytest.mark.parametrize("d_first", [False, True])
def test_numbers_tell_in_either_order_of_ali(tmp_path, d_first):
    with session_of(v1_graphs.ali, hidden=4, latent=4, d_first=d_first) as (_, session):
        sizes, names = found(save(session, tmp_path / "v1" / "a"))
    assert sizes == {"hidden_dim": 4, "latent_dim": 4}
    d, q = (0, 4) if d_first else (8, 0)
    numbers = {
        here: int(f"0{name.removeprefix('Variable').strip('_')}") for here, name in names.items()
    }
    assert numbers["discriminator.hidden.0.dense.kernel"] == d
    assert numbers["encoder.hidden.0.dense.bias"] == q + 1
    assert numbers["encoder.z.bias"] == q + 3
    assert numbers["decoder.hidden.0.dense.bias"] == q + 5


def test_names_of_ali(tmp_path):
    shapes = {"P_b1": [7], "D_b1": [7], "Q_b1": [7], "D_b2": [1], "P_b2": [784], "Q_b2": [3]}
    shapes |= {"P_W1": [3, 7], "D_W1": [787, 7], "Q_W1": [784, 7]}
    shapes |= {"P_W2": [7, 784], "D_W2": [7, 1], "Q_W2": [7, 3]}
    values = {name: np.ones(shape, np.float32) for name, shape in shapes.items()}
    sizes, names = found(write(tmp_path / "v1" / "a", values))
    assert sizes == {"hidden_dim": 7, "latent_dim": 3}
    assert names["encoder.hidden.0.dense.bias"] == "Q_b1"
    assert names["decoder.hidden.0.dense.bias"] == "P_b1"
    assert names["discriminator.hidden.0.dense.bias"] == "D_b1"


def test_the_first_code_of_the_gan_with_its_copy_of_d(tmp_path):
    options = {"listing": False, "scopes": ["Gen", "Disc"], "pretrained": True, "minibatch": True}
    with session_of(v1_graphs.gaussian_gan, **options) as (_, session):
        sizes, names = found(save(session, tmp_path / "v1" / "a"))
    assert sizes == {"hidden_size": 4, "minibatch": True}
    assert names["discriminator.hidden_3.kernel"] == "Disc/linear/w"
    assert names["discriminator.logits.bias"] == "Disc/d3/b"
    assert names["generator.x.bias"] == "Gen/g1/b"


def test_averages_are_found_in_a_scope_of_the_optimiser(tmp_path):
    shape = np.zeros([2, 3], np.float32)
    names = ["a/w", "a/w/Adam", "a/w/Adam_1", "train/a/w/RMSProp", "b/w", "train/b/w/RMSProp"]
    prefix = write(tmp_path / "v1" / "a", dict.fromkeys(names, shape))
    checkpoint = import_v1.Checkpoint(import_v1.find(tmp_path / "v1"))
    assert prefix == str(checkpoint.prefix)
    assert list(checkpoint.weights) == ["a/w", "b/w"]
    a = {"Adam": ["a/w/Adam", "a/w/Adam_1"], "RMSProp": ["train/a/w/RMSProp"]}
    assert checkpoint.averages == {"a/w": a, "b/w": {"RMSProp": ["train/b/w/RMSProp"]}}


def running_power(beta, updates):
    """What TensorFlow 1's Adam has of a beta after so many updates, each of which rounds."""
    return np.multiply.accumulate(np.full(updates + 1, beta, np.float32))[-1]


@pytest.mark.parametrize("updates", [0, 1, 1000, 87_000])
def test_adams_power_tells_the_updates(updates):
    assert import_v1.updates_of(running_power(0.999, updates), 0.999) == updates


@pytest.mark.parametrize("power", [0.0, 1e-40, 0.5])
def test_a_power_that_tells_nothing(power):
    assert import_v1.updates_of(np.float32(power), 0.999) is None


# ---- Which files, and which step -----------------------------------------------------------------


@pytest.fixture(scope="module")
def gan(tmp_path_factory):
    """A directory with the checkpoints gan-20 and gan-30 of a listing that was never updated."""
    directory = tmp_path_factory.mktemp("v1")
    with session_of(v1_graphs.gaussian_gan) as (_, session):
        for step in (20, 30):
            save(session, directory / "gan", global_step=step)
    return directory


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("gan-20", 20),
        ("gan-20.index", 20),
        ("gan-20.meta", 20),
        ("gan-20.data-00000-of-00001", 20),
        ("", 30),
    ],
)
def test_a_checkpoint_or_one_of_its_files_or_their_directory(gan, name, step):
    assert import_v1.find(gan / name) == gan / f"gan-{step}"


@pytest.mark.parametrize("path", ["/gone/gan-20", r"C:\\gone\\gan-20", "gan-20"])
def test_the_newest_is_named_by_where_it_once_was(gan, tmp_path, path):
    moved = shutil.copytree(gan, tmp_path / "moved")
    (moved / "checkpoint").write_text(f'model_checkpoint_path: "{path}"\n')
    assert import_v1.find(moved) == moved / "gan-20"


def test_a_directory_without_a_word_which_is_newest(gan, tmp_path, command):
    moved = shutil.copytree(gan, tmp_path / "moved")
    (moved / "checkpoint").unlink()
    status, _, err = command(import_v1.main, moved, tmp_path / "run")
    assert status == 1
    assert one_line(err, "gan-20, gan-30")
    (moved / "gan-20.index").unlink()
    assert import_v1.find(moved) == moved / "gan-30"


def test_a_checkpoint_of_one_file_as_before_tensorflow_0_12(tmp_path):
    version = v1.train.SaverDef.V1
    with session_of(v1_graphs.gaussian_gan) as (_, session):
        session.graph.get_tensor_by_name("G/g0/w:0")
        v1.train.Saver(write_version=version).save(session, str(tmp_path / "old-7"))
    assert not list(tmp_path.glob("*.index"))
    assert (
        found(tmp_path)[0] == found(tmp_path / "old-7")[0] == {"hidden_size": 4, "minibatch": False}
    )


@pytest.mark.parametrize(
    ("more", "name", "step"),
    [
        ({"global_step": np.int64(12)}, "a-7", 12),
        ({"Variable": np.int32(9), "Variable_1": np.int32(9)}, "a-7", 9),
        ({"Variable": np.int32(9), "Variable_1": np.int32(8)}, "a-7", 7),
        ({"global_step": np.int64(0)}, "a-7", 7),  # made, but never given to an optimiser
        ({"beta2_power": running_power(0.999, 2)}, "a", 2),
        ({"beta2_power": running_power(0.999, 2)}, "a-7", 7),
    ],
)
def test_what_tells_the_step(tmp_path, more, name, step):
    prefix = write(tmp_path / "v1" / name, {**vae_values(), **more})
    checkpoint = import_v1.Checkpoint(import_v1.find(tmp_path / "v1" / name))
    assert import_v1.step_of(checkpoint, None)[0] == step
    assert import_v1.step_of(checkpoint, 5)[0] == 5
    assert prefix.endswith(name)


@pytest.mark.parametrize(
    ("more", "updates"),
    [
        ({"Variable": np.int32(9), "Variable_1": np.int32(8)}, [9, 8]),
        (
            {"beta2_power": running_power(0.999, 9), "beta2_power_1": running_power(0.999, 8)},
            [9, 8],
        ),
        ({"beta2_power": running_power(0.999, 9)}, [9, 9]),  # one Adam for both
        ({"beta2_power": np.float32(0), "beta2_power_1": np.float32(0)}, [7, 7]),  # too small
        ({"global_step": np.int64(12)}, [7, 7]),
    ],
)
def test_how_many_updates_d_and_g_had(tmp_path, more, updates):
    write(tmp_path / "a-7", {**vae_values(), **more})
    checkpoint = import_v1.Checkpoint(tmp_path / "a-7")
    assert import_v1.updates_made(checkpoint, 2, step=7) == updates


# ---- What is refused, or left out ----------------------------------------------------------------


def refuses(command, prefix, *words, arguments=()):
    """Whether the import ends with one line that has all words, and writes nothing."""
    run = prefix.parent / "run"
    status, out, err = command(import_v1.main, prefix, run, *arguments)
    assert (status, out) == (1, "")
    assert not run.exists()
    return one_line(err, "error: ", *words)


def test_a_foreign_checkpoint_is_listed(tmp_path, command):
    values = {f"layer_{i}/kernel": np.zeros([3, 3, i], np.float32) for i in range(1, 41)}
    write(tmp_path / "a", {**values, "layer_1/kernel/Adam": np.zeros([3, 3, 1], np.float32)})
    words = "layer_1/kernel [3, 3, 1], layer_2/kernel [3, 3, 2]", "and 10 more"
    assert refuses(command, tmp_path / "a", *words)


def test_a_checkpoint_of_tensorflow_2_is_listed(tmp_path, command):
    tf.train.Checkpoint(weight=tf.Variable([1.0, 2.0])).write(str(tmp_path / "a"))
    assert refuses(command, tmp_path / "a", "weight/.ATTRIBUTES/VARIABLE_VALUE [2]")


def test_float64_is_not_taken_for_float32(tmp_path, command):
    write(tmp_path / "a", {**vae_values(), "w_z_std": np.ones([5, 2])})
    assert refuses(command, tmp_path / "a", "in float32", "w_z_std [5, 2]")


def test_heads_that_nothing_tells_apart(tmp_path, command):
    write(tmp_path / "a", vae_values(w_z_mean="w_first", w_z_std="w_second"))
    assert refuses(command, tmp_path / "a", "vae by its shapes", "w_first [5, 2], w_second [5, 2]")


def test_an_order_that_is_not_the_articles(tmp_path, command):
    with session_of(v1_graphs.vae, hidden=5, pairs=True) as (_, session):
        save(session, tmp_path / "a-3")
    assert refuses(
        command, tmp_path / "a-3", "vae by its shapes", "Variable_2 [5, 2], Variable_3 [2]"
    )


def test_no_step(tmp_path, command):
    write(tmp_path / "VAE_mnist", vae_values())
    assert refuses(command, tmp_path / "VAE_mnist", "give --step")


def test_training_that_diverged(tmp_path, command):
    write(tmp_path / "a-3", {**vae_values(), "w_z_std": np.full([5, 2], np.nan, np.float32)})
    assert refuses(command, tmp_path / "a-3", "w_z_std is not finite")


def flip(path):
    content = bytearray(path.read_bytes())
    content[40] ^= 1
    path.write_bytes(content)


DAMAGES = {
    "data is changed": lambda d: flip(d / "gan-30.data-00000-of-00001"),
    "data is cut": lambda d: (d / "gan-30.data-00000-of-00001").write_bytes(b"12"),
    "data is missing": lambda d: (d / "gan-30.data-00000-of-00001").unlink(),
    "index is cut": lambda d: (d / "gan-30.index").write_bytes(b"12"),
    "index is another file": lambda d: (d / "gan-30.index").write_text("step 1 ,loss 616.3\n" * 99),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint(gan, tmp_path, command, damage):
    copy = shutil.copytree(gan, tmp_path / "copy")
    DAMAGES[damage](copy)
    assert refuses(command, copy / "gan-30", "gan-30", "damaged")


def test_the_graph_is_not_opened(gan, tmp_path, command):
    copy = shutil.copytree(gan, tmp_path / "copy")
    for path in copy.glob("*.meta"):
        path.write_bytes(b"anything")
    assert command(import_v1.main, copy, copy / "run")[0] == 0


def test_a_run_that_is_there_is_kept(gan, tmp_path, command):
    (tmp_path / "run").mkdir()
    status, out, err = command(import_v1.main, gan, tmp_path / "run")
    assert (status, out) == (1, "")
    assert one_line(err, "exists already")
    status, _, err = command(import_v1.main, gan, gan / "gan-30.index" / "run")
    assert status == 1
    assert one_line(err, "Not a directory")


def test_an_import_that_fails_leaves_nothing(gan, tmp_path, command, monkeypatch):
    def no_space(*args, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(import_v1.savedmodel, "write", no_space)
    status, _, err = command(import_v1.main, gan, tmp_path / "new" / "run")
    assert status == 1
    assert one_line(err, "No space left")
    assert not list((tmp_path / "new").iterdir())


def test_weights_of_the_gan_do_not_tell_its_preset(tmp_path, command):
    with session_of(v1_graphs.gaussian_gan) as (_, session):
        prefix = save(session, tmp_path / "a", v1.trainable_variables(), global_step=9)
    prefix = tmp_path / "a-9"
    assert refuses(command, prefix, "give --preset article or listing", "D/d0/w [1, 8]")
    words = "would be [64, 8]"
    assert refuses(command, prefix, words, arguments=["--preset", "stable"])
    chosen = "--preset", "listing", "--beta-1", "0.5"
    status, _, err = command(import_v1.main, prefix, tmp_path / "run", *chosen)
    assert status == 0
    assert one_line(err, "warning", "has averages of no optimiser, not of Adam")
    model, step = restored(tmp_path / "run")
    assert (model.config.activation, model.config.beta_1, step) == ("relu", 0.5, 9)
    assert model.d_optimizer.iterations == 0  # or Adam's first steps would be too short
    same = contents(prefix)["D/d1/w"]
    np.testing.assert_array_equal(model.discriminator.hidden_2.kernel, same)


def test_an_optimiser_that_the_preset_does_not_have(gan, tmp_path, command):
    status, _, err = command(import_v1.main, gan, tmp_path / "run", "--preset", "article")
    assert status == 0
    assert one_line(err, "warning", "has averages of Adam, not of none")
    assert restored(tmp_path / "run")[0].config.optimizer == "sgd"


def test_settings_that_the_model_does_not_have(gan, tmp_path, command):
    status, _, err = command(import_v1.main, gan, tmp_path / "run", "--latent-dim", "3")
    assert status == 2
    assert one_line(err, "(gaussian_gan)", "--latent-dim")
    status, _, err = command(import_v1.main, gan, tmp_path / "run", "--hidden-size", "3")
    assert status == 2  # the checkpoint tells it
    assert not (tmp_path / "run").exists()


def test_another_adam_is_left_out(gan, tmp_path, command):
    values = contents(gan / "gan-30")
    for name in values:
        if "beta1_power" in name:
            values[name] = running_power(0.5, 5)
        elif "beta2_power" in name:
            values[name] = running_power(0.999, 5)
    prefix = write(tmp_path / "v1" / "a-5", dict(sorted(values.items())))
    status, _, err = command(import_v1.main, prefix, tmp_path / "run")
    assert status == 0
    assert one_line(err, "beta1_power is a power of 0.5, where 0.9 is expected")
    status, _, err = command(import_v1.main, prefix, tmp_path / "run-2", "--beta-1", "0.5")
    assert (status, err) == (0, "")
    assert restored(tmp_path / "run-2")[0].d_optimizer.iterations == 5
