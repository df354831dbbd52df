"""The SavedModel: what is on disk, and how others use it, without tf_gen and without Keras."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import environment, outputs_alone, state

from tf_gen import models, rundir, savedmodel, train
from tf_gen.errors import UserError
from tf_gen.models import ali, gaussian_gan, tiny_gan, vae

RUN = ["vae", "--data", "bundled", "--steps", "40", "--log-every", "20", "--hidden-dim", "32"]

GANS = {
    "gaussian_gan": gaussian_gan.Config(),
    "gaussian_gan, minibatch": gaussian_gan.Config(minibatch=True, hidden_size=3, seed=1),
    "tiny_gan, squares": tiny_gan.Config(batch_size=7),
    "tiny_gan, moments": tiny_gan.Config(inputs="moments", batch_size=7, seed=1),
}
ALIS = {
    "ali, article": ali.Config(),
    "ali, batch norm": ali.Config(
        hidden_dim=9, hidden_layers=2, z_layer=2, latent_dim=5, batch_norm=True, bounded=True
    ),
}
ANY_BATCH = {name: not name.endswith("squares") for name in GANS}  # of what `discriminate` takes


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run directory with an export, and the model that was exported."""
    run_dir = tmp_path_factory.mktemp("export") / "run"
    train.main([*RUN, "--run-dir", str(run_dir)])
    model = vae.build(vae.Config(hidden_dim=32))
    rundir.restore(model, run_dir)
    return run_dir, model


@pytest.fixture(scope="module")
def gans(tmp_path_factory):
    """Of each of GANS: the directory of an export and the model that was exported."""
    found = {}
    for name, config in GANS.items():
        directory = tmp_path_factory.mktemp("gan") / "saved_model"
        model = models.load(name.partition(",")[0]).build(config)
        savedmodel.write(model, directory, {"model": name})
        found[name] = directory, model
    return found


@pytest.fixture(scope="module")
def alis(tmp_path_factory, bundled):
    """Of each of ALIS: the directory of an export and the model, after a few updates."""
    found = {}
    for name, config in ALIS.items():
        directory = tmp_path_factory.mktemp("ali") / "saved_model"
        model = ali.build(config)
        for batch in ali.batches(config, bundled).take(3):
            model.update(batch)
        savedmodel.write(model, directory, {"model": name})
        found[name] = directory, model
    return found


@pytest.fixture(scope="module")
def alone(trained, gans, alis, bundled, tmp_path_factory):
    """Inputs and, computed twice in processes of their own, outputs of every signature.

    A dict of a SavedModel's directory to the inputs, to which each dict of outputs has the keys
    (directory, signature, output).
    """
    directory = tmp_path_factory.mktemp("alone")
    seeds = {"count": np.int32(6), "seed": np.int32([1, 2])}
    z = np.float32([[3, 3], [0, 0], [0, 5]])
    given = {
        str(trained[0] / "saved_model"): {
            "images": np.float32(bundled.held_out_images[:7] / 255), "z": z, **seeds
        }
    }  # fmt: skip
    for path, _ in gans.values():
        x = np.random.default_rng(0).normal(4, 1, [7, 1])
        given[str(path)] = {"z": np.float32([[-3], [0.25], [8]]), "x": np.float32(x), **seeds}
    for path, model in alis.values():
        images = np.float32(bundled.held_out_images[:7] / 255)
        z = np.random.default_rng(0).uniform(-1, 1, [7, model.latent_dim])
        given[str(path)] = {"images": images, "z": np.float32(z), **seeds}
    parts = [directory / "a", directory / "b"]
    for part in parts:
        part.mkdir()
    return given, *(outputs_alone(given, part) for part in parts)


def assert_outputs(outputs, directory, expected):
    """Compare what was computed from `directory` with a dict of (signature, output) to values."""
    found = {key[1:]: value for key, value in outputs.items() if key[0] == str(directory)}
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, atol=2e-6, err_msg=str(name))
        assert found[name].dtype == np.float32
    return found


def test_signatures_work_where_tf_gen_and_keras_cannot_be_imported(alone, trained):
    run_dir, model = trained
    given = alone[0][str(run_dir / "saved_model")]
    z_mean, z_log_var = model.encode(given["images"])
    z = model.prior(6, [1, 2])
    expected = {
        ("encode", "z_mean"): z_mean,
        ("encode", "z_log_var"): z_log_var,
        ("decode", "images"): model.decode(given["z"]),
        ("serving_default", "images"): model.decode(given["z"]),
        ("reconstruct", "images"): model.decode(z_mean),
        ("sample", "z"): z,
        ("sample", "images"): model.decode(z),
    }
    found = assert_outputs(alone[1], run_dir / "saved_model", expected)
    for (_, name), value in found.items():
        if name == "images":
            assert value.shape[1:] == (28, 28)
            assert 0 <= value.min() <= value.max() <= 1


@pytest.mark.parametrize("name", GANS)
def test_signatures_of_gans_work_there_too(alone, gans, name):
    directory, model = gans[name]
    given = alone[0][str(directory)]
    z = model.prior(6, [1, 2])
    probability = model.discriminate(given["x"])
    expected = {
        ("decode", "x"): model.decode(given["z"]),
        ("serving_default", "x"): model.decode(given["z"]),
        ("discriminate", "probability"): probability,
        ("sample", "z"): z,
        ("sample", "x"): model.decode(z),
    }
    found = assert_outputs(alone[1], directory, expected)
    assert found["decode", "x"].shape == (3, 1)
    assert found["sample", "z"].shape == found["sample", "x"].shape == (6, 1)
    probability = found["discriminate", "probability"]
    assert probability.shape == ((7, 1) if name.startswith("gaussian") else (1,))
    assert np.all((probability >= 0) & (probability <= 1))


@pytest.mark.parametrize("name", ALIS)
def test_signatures_of_ali_work_there_too(alone, alis, name):
    directory, model = alis[name]
    given = alone[0][str(directory)]
    images, z = given["images"], given["z"]
    drawn = model.prior(6, [1, 2])
    expected = {
        ("encode", "z"): model.encode(images),
        ("decode", "images"): model.decode(z),
        ("serving_default", "images"): model.decode(z),
        ("reconstruct", "images"): model.decode(model.encode(images)),
        ("discriminate", "probability"): model.discriminate(images, z),
        ("sample", "z"): drawn,
        ("sample", "images"): model.decode(drawn),
    }
    found = assert_outputs(alone[1], directory, expected)
    assert found["discriminate", "probability"].shape == (7,)
    assert np.ptp(found["discriminate", "probability"]) > 0


@pytest.mark.parametrize("name", ALIS)
def test_signatures_of_ali_take_any_batch_and_hold_what_they_need(alis, name):
    directory, model = alis[name]
    loaded = tf.saved_model.load(str(directory))
    signatures = loaded.signatures
    for count in (0, 1, 1000):
        images, z = tf.zeros([count, 28, 28]), tf.zeros([count, model.latent_dim])
        assert signatures["decode"](z=z)["images"].shape == (count, 28, 28)
        assert signatures["encode"](images=images)["z"].shape == (count, model.latent_dim)
        assert signatures["discriminate"](images=images, z=z)["probability"].shape == (count,)
    sizes = {
        "decode": [model.decoder],
        "sample": [model.decoder],
        "encode": [model.encoder],
        "reconstruct": [model.encoder, model.decoder],
        "discriminate": [model.discriminator],
    }
    for signature, networks in sizes.items():
        held = sum(int(np.prod(v.shape)) for v in signatures[signature].variables)
        assert held == sum(network.count_params() for network in networks)


def test_same_seed_gives_same_outputs_in_two_processes(alone):
    _, first, second = alone
    assert first.keys() == second.keys()
    for name, value in first.items():
        np.testing.assert_array_equal(value, second[name])


@pytest.fixture(scope="module")
def signatures(trained):
    loaded = tf.saved_model.load(str(trained[0] / "saved_model"))
    yield loaded.signatures  # which do not keep the variables alive by themselves


@pytest.mark.parametrize("batch_size", [0, 1, 3, 1000])
def test_any_batch_size(signatures, batch_size):
    images, z = tf.zeros([batch_size, 28, 28]), tf.zeros([batch_size, 2])
    assert signatures["decode"](z=z)["images"].shape == (batch_size, 28, 28)
    assert signatures["encode"](images=images)["z_mean"].shape == (batch_size, 2)
    assert signatures["encode"](images=images)["z_log_var"].shape == (batch_size, 2)
    assert signatures["reconstruct"](images=images)["images"].shape == (batch_size, 28, 28)
    sampled = signatures["sample"](count=tf.constant(batch_size), seed=tf.constant([0, 0]))
    assert sampled["images"].shape == (batch_size, 28, 28)


@pytest.fixture(scope="module")
def gan_signatures(gans):
    loaded = {name: tf.saved_model.load(str(directory)) for name, (directory, _) in gans.items()}
    yield {name: model.signatures for name, model in loaded.items()}


@pytest.mark.parametrize("name", GANS)
@pytest.mark.parametrize("count", [0, 1, 7, 1000])
def test_any_number_of_points(gan_signatures, name, count):
    signatures = gan_signatures[name]
    z = tf.zeros([count, 1])
    assert signatures["decode"](z=z)["x"].shape == (count, 1)
    assert signatures["serving_default"](z=z)["x"].shape == (count, 1)
    sampled = signatures["sample"](count=tf.constant(count), seed=tf.constant([0, 0]))
    assert sampled["z"].shape == sampled["x"].shape == (count, 1)
    assert np.all(np.isfinite(sampled["x"]))
    (spec,) = signatures["discriminate"].structured_input_signature[1].values()
    assert spec.shape.as_list() == [None if ANY_BATCH[name] else 7, 1]
    x = tf.reshape(tf.linspace(3.0, 5.0, count), [count, 1])
    if ANY_BATCH[name] or count == 7:
        shape = signatures["discriminate"](x=x)["probability"].shape
        assert shape == ((count, 1) if name.startswith("gaussian") else (1,))
    else:
        with pytest.raises(tf.errors.InvalidArgumentError):
            signatures["discriminate"](x=x)


@pytest.mark.parametrize("name", GANS)
def test_draws_of_gans_depend_on_both_seeds(gan_signatures, name):
    signatures = gan_signatures[name]

    def draw(*seed):
        return signatures["sample"](count=tf.constant(9), seed=tf.constant(seed))

    drawn = draw(1, 2)
    np.testing.assert_array_equal(drawn["x"], draw(1, 2)["x"])
    np.testing.assert_allclose(signatures["decode"](z=drawn["z"])["x"], drawn["x"], atol=1e-6)
    for other in ((1, 3), (2, 2)):
        assert not np.array_equal(draw(*other)["z"], drawn["z"])


@pytest.mark.parametrize("name", GANS)
def test_each_signature_of_a_gan_holds_one_network(gan_signatures, gans, name):
    model = gans[name][1]
    networks = {
        "decode": model.generator,
        "sample": model.generator,
        "serving_default": model.generator,
        "discriminate": model.discriminator,
    }
    for signature, network in networks.items():
        held = gan_signatures[name][signature].variables
        for variable, other in zip(held, network.variables, strict=True):
            np.testing.assert_array_equal(variable, other)


def test_samples_are_decoded_prior_draws_and_depend_on_both_seeds(signatures):
    def draw(count, *seed):
        return signatures["sample"](count=tf.constant(count), seed=tf.constant(seed))

    drawn = draw(2000, 1, 2)
    z = drawn["z"].numpy()
    assert abs(z.mean()) < 0.1
    assert abs(z.std() - 1) < 0.1
    np.testing.assert_allclose(signatures["decode"](z=z)["images"], drawn["images"], atol=1e-6)
    for other in ((1, 3), (2, 2)):
        assert not np.array_equal(draw(2000, *other)["z"], z)


def test_decode_and_sample_hold_the_decoder_alone(signatures, trained):
    decoder = sum(int(np.prod(v.shape)) for v in trained[1].decoder.weights)
    whole = sum(int(np.prod(v.shape)) for v in trained[1].weights)

    def parameters(name):
        return sum(int(np.prod(v.shape)) for v in signatures[name].variables)

    assert parameters("decode") == parameters("sample") == decoder
    assert parameters("reconstruct") == whole
    assert parameters("encode") == whole - decoder


def test_variables_are_stored_once_and_without_optimiser(trained):
    run_dir, model = trained
    (data,) = (run_dir / "saved_model" / "variables").glob("*.data*")
    weights = 4 * model.count_params()
    assert weights <= data.stat().st_size < weights + 20_000


def test_settings_travel_with_the_export(trained):
    run_dir, _ = trained
    config = json.loads((run_dir / "saved_model" / "config.json").read_text())
    assert config == json.loads((run_dir / "config.json").read_text())
    assert config["config"]["hidden_dim"] == 32
    assert config["data"]["source"] == "bundled"
    assert config["data"]["train"] == 4500
    assert len(config["data"]["sha256"]) == 64
    assert config["versions"]["tensorflow"] == tf.__version__


def test_saved_model_cli(trained, tmp_path):
    run_dir, model = trained
    tool = Path(sys.executable).with_name("saved_model_cli")

    def saved_model_cli(*arguments):
        command = [str(tool), *map(str, arguments)]
        return subprocess.run(
            command,
            cwd=tmp_path,
            env=environment(TF_CPP_MIN_LOG_LEVEL="2"),
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    directory = ["--dir", run_dir / "saved_model"]
    shown = saved_model_cli("show", *directory, "--all")
    for name in ("decode", "sample", "encode", "reconstruct", "serving_default"):
        assert f"signature_def['{name}']" in shown
    run_it = ["run", *directory, "--tag_set", "serve", "--signature_def"]
    saved_model_cli(*run_it, "decode", "--input_exprs", "z=[[3.0,3.0]]", "--outdir", "a")
    saved_model_cli(*run_it, "sample", "--input_exprs", "count=4;seed=[1,2]", "--outdir", "b")
    decoded, sampled = (np.load(tmp_path / name / "images.npy") for name in ("a", "b"))
    np.testing.assert_allclose(decoded, model.decode(np.float32([[3, 3]])), atol=1e-6)
    np.testing.assert_allclose(sampled, model.decode(model.prior(4, [1, 2])), atol=1e-6)


def test_failed_export_leaves_nothing(trained, tmp_path, monkeypatch):
    _, model = trained

    def no_space(path, text):
        assert (path.parent / "saved_model.pb").exists()  # the last of all that is written
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_text", no_space)
    with pytest.raises(OSError, match="disk full"):
        savedmodel.write(model, tmp_path / "out", {})
    assert not list(tmp_path.iterdir())


def test_write_replaces_nothing(trained, tmp_path):
    _, model = trained
    for name in ("file", "directory"):
        there = tmp_path / name
        there.mkdir() if name == "directory" else there.write_text("precious")
        before = state(tmp_path)
        with pytest.raises(FileExistsError):
            savedmodel.write(model, there, {})
        assert state(tmp_path) == before


# ---- Found and read ------------------------------------------------------------------------------


@pytest.fixture
def box(tmp_path, monkeypatch):
    """Two boxes of trained models, of which the first is not there; and an empty directory."""
    for name in ("vae", "other", "deep/vae"):
        (tmp_path / "box" / name).mkdir(parents=True)
        (tmp_path / "box" / name / "saved_model.pb").touch()
    monkeypatch.setattr(savedmodel, "SHIPPED", [tmp_path / "none", tmp_path / "box"])
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "box"


def test_find_knows_a_directory_a_run_and_a_name(box):
    for path in (Path("exported"), Path("run", "saved_model"), Path("both", "saved_model")):
        path.mkdir(parents=True)
        (path / "saved_model.pb").touch()
    Path("both", "saved_model.pb").touch()
    assert savedmodel.find(Path("exported")) == Path("exported")
    assert savedmodel.find(Path("run")) == Path("run", "saved_model")
    assert savedmodel.find(Path("run", "saved_model")) == Path("run", "saved_model")
    assert savedmodel.find(Path("both")) == Path("both", "saved_model")
    assert savedmodel.find(Path("vae")) == box / "vae"
    Path("vae").mkdir()  # what is here comes first
    with pytest.raises(UserError, match=r"vae: no SavedModel .*tf_gen\.export"):
        savedmodel.find(Path("vae"))
    (Path("vae") / "saved_model.pb").touch()
    assert savedmodel.find(Path("vae")) == Path("vae")


@pytest.mark.parametrize("name", ["vea", "deep/vae", "../here/vae"])
def test_find_says_which_names_there_are(box, name):
    with pytest.raises(UserError, match=f"^{name}: no such directory, nor one of other, vae$"):
        savedmodel.find(Path(name))


def test_generator_draws_and_decodes_as_the_model_does(trained, gans):
    for directory, model in ((trained[0] / "saved_model", trained[1]), *gans.values()):
        generator = savedmodel.Generator(directory)
        assert generator.latent_dim == model.latent_dim
        assert generator.generates == model.generates
        z = generator.prior(5, seed=3)
        np.testing.assert_allclose(z, model.prior(5, [3, 0]), atol=1e-6)
        np.testing.assert_allclose(generator.decode(z), model.decode(z), atol=2e-6)
        assert list(generator.decode(z).shape) == [5, *generator.shape]


def test_generator_refuses_what_is_none_of_ours(trained, tmp_path):
    broken = shutil.copytree(trained[0] / "saved_model", tmp_path / "broken")
    (broken / "variables" / "variables.index").unlink()
    garbage = tmp_path / "garbage"
    garbage.mkdir()
    (garbage / "saved_model.pb").write_bytes(b"garbage")
    for directory in (garbage, broken, tmp_path / "nothing"):
        with pytest.raises(UserError, match=r"cannot be read \(.*\); export it again") as error:
            savedmodel.Generator(directory)
        assert str(directory) in str(error.value)
        assert "\n" not in str(error.value)
    layers = keras.Sequential([keras.Input([1]), keras.layers.Dense(1)])
    layers.export(tmp_path / "other", verbose=False)
    with pytest.raises(UserError, match="not a SavedModel of this package"):
        savedmodel.Generator(tmp_path / "other")


MAP = {"labels": {"7": [1.0, 2.5]}, "axis": [-1.0, 0.0, 1.5]}


@pytest.mark.parametrize(
    "content",
    [
        {**MAP, "codes": {"7": [[1.0, 2.5], [1.0, 2.4]]}},
        MAP,
        {"labels": MAP["labels"]},
        {"axis": [0, 1]},
        {},
    ],
)
def test_latent_map_and_config_are_what_was_written(trained, tmp_path, content):
    assert savedmodel.read_latent_map(tmp_path, 2) == {}
    assert savedmodel.read_config(tmp_path) == {}
    directory = tmp_path / "out"
    savedmodel.write(trained[1], directory, {"config": {"seed": 3}}, content)
    assert (directory / "latent_map.json").exists() == bool(content)
    assert savedmodel.read_latent_map(directory, 2) == content
    assert savedmodel.read_config(directory) == {"seed": 3}


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        '{"labels": ["7"]}',
        '{"labels": {"7": "ab"}}',
        '{"labels": {"7": [1.0]}}',
        '{"labels": {"7": [1.0, "2"]}}',
        '{"labels": {"7": [1.0, 2.0, 3.0]}}',
        '{"labels": {"7": 5}}',
        '{"labels": null}',
        '{"codes": ["7"]}',
        '{"codes": {"7": [1.0, 2.0]}}',
        '{"codes": {"7": [[1.0, 2.0], [1.0]]}}',
        '{"codes": {"7": 5}}',
        '{"codes": {"7": [[1.0, NaN]]}}',
        '{"axis": 5}',
        '{"axis": ["a"]}',
        '{"axis": []}',
        '{"axis": [1.0]}',
        '{"axis": [1, 0]}',
        '{"axis": [0, NaN]}',
        '{"axis": [false, true]}',
        '{"axis": null}',
        '{"labels": {"7": [1.0, NaN]}}',
        '{"labels": {"7": [1.0, Infinity]}}',
        '{"labels": {"7": [1.0, true]}}',
        '{"labels": {"7": [1.0, 1' + "0" * 400 + "]}}",
    ],
)
def test_damaged_latent_map_is_refused(tmp_path, content):
    (tmp_path / "latent_map.json").write_text(content)
    with pytest.raises(UserError, match=r"latent_map\.json: damaged"):
        savedmodel.read_latent_map(tmp_path, latent_dim=2)
