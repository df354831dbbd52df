"""`tf_gen.load`: a trained model as an object, beside the SavedModel's own signatures."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from helpers import environment

import tf_gen
from tf_gen import models, savedmodel, train
from tf_gen.errors import UserError

SHIPPED = savedmodel.SHIPPED[1]


@pytest.fixture(scope="module", params=models.NAMES)
def model(request):
    return tf_gen.load(request.param)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    directory = tmp_path_factory.mktemp("runs") / "vae"
    settings = "vae --hidden-dim 8 --steps 20 --data bundled"
    train.main([*settings.split(), "--run-dir", str(directory)])
    return directory


def test_importing_the_package_imports_nothing_heavy():
    code = (
        "import sys, tf_gen; tf_gen.load; "
        "assert not {'numpy', 'tensorflow', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env=environment())


def test_sample_is_that_of_the_signature(model):
    signatures = tf.saved_model.load(str(SHIPPED / model.name)).signatures
    expected = signatures["sample"](count=tf.constant(5), seed=tf.constant([7, 0]))
    found = model.sample(5, seed=7)
    np.testing.assert_allclose(found, expected[model.generates], atol=1e-6)
    assert (found.shape, found.dtype) == ((5, *model.shape), np.float32)
    np.testing.assert_array_equal(model.prior(5, 7), expected["z"])
    assert not np.array_equal(model.sample(5, seed=8), found)


@pytest.mark.parametrize("name", ["vae", "ali"])
def test_images_may_be_bytes_or_floats(name, bundled):
    model, images = tf_gen.load(name), bundled.held_out_images[::50]
    signatures = tf.saved_model.load(str(SHIPPED / name)).signatures
    x = np.float32(images) / 255
    outputs = signatures["encode"](images=tf.constant(x))
    expected = outputs["z_mean" if name == "vae" else "z"]
    for given in (images, x, x.tolist(), np.float64(x)):
        np.testing.assert_allclose(model.encode(given), expected, atol=1e-5)
    again = signatures["reconstruct"](images=tf.constant(x))["images"]
    np.testing.assert_allclose(model.reconstruct(images), again, atol=1e-5)
    np.testing.assert_allclose(model.decode(expected), again, atol=1e-4)
    if name == "vae":
        mean, log_var = model.posterior(images)
        np.testing.assert_allclose(mean, expected, atol=1e-5)
        np.testing.assert_allclose(log_var, outputs["z_log_var"], atol=1e-5)
    else:
        pairs = signatures["discriminate"](images=tf.constant(x), z=expected)["probability"]
        np.testing.assert_allclose(model.discriminate(images, expected), pairs, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "count", "answers"), [("gaussian_gan", 128, 2), ("tiny_gan", 100, 1)]
)
def test_d_judges_points_together(name, count, answers):
    model = tf_gen.load(name)
    x = model.sample(count)
    found = model.discriminate(x)
    signature = tf.saved_model.load(str(SHIPPED / name)).signatures["discriminate"]
    expected = np.ravel(signature(x=tf.constant(x))["probability"])
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert found.shape == (answers,)
    with pytest.raises(ValueError, match="discriminate"):
        model.discriminate(x[:63])


def test_what_it_is_can_be_read(model):
    assert repr(model).startswith(f"<{model.name}: z [{model.latent_dim}] to ")
    assert all(name in repr(model) for name in model.networks)
    assert model.config["steps"] > 0
    assert all(np.isfinite(v) for v in model.metrics.values() if not isinstance(v, dict))
    assert model.metrics
    with pytest.raises(AttributeError, match="no run"):
        _ = model.keras_model


@pytest.mark.parametrize("name", ["encode", "reconstruct", "posterior", "discriminate"])
def test_a_network_that_a_model_lacks_is_named(name):
    model = tf_gen.load("vae" if name == "discriminate" else "tiny_gan")
    with pytest.raises(AttributeError, match=r"has no (encode|reconstruct|discriminate), only"):
        getattr(model, name)(np.zeros([1, 28, 28]))


def test_the_encoder_of_ali_gives_no_distribution():
    with pytest.raises(AttributeError, match="no distribution"):
        tf_gen.load("ali").posterior(np.zeros([1, 28, 28]))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda m: m.decode([1, 2]), r"z must have shape \['n', 20\], not \[2\]"),
        (lambda m: m.decode(np.zeros([3, 2])), r"not \[3, 2\]"),
        (lambda m: m.encode(np.zeros([28, 28])), r"images must have shape \['n', 28, 28\]"),
        (lambda m: m.encode(np.zeros([1, 28, 28, 1])), "images must have shape"),
        (lambda m: m.discriminate(np.zeros([1, 28, 28])), "discriminate needs images, z"),
    ],
)
def test_other_shapes_are_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call(tf_gen.load("ali"))


def test_a_run_has_its_keras_model(run_dir, bundled):
    for path in (run_dir, str(run_dir), run_dir / "saved_model"):
        model = tf_gen.load(path)
        x = np.float32(bundled.held_out_images[:3]) / 255
        np.testing.assert_allclose(model.keras_model(x), model.reconstruct(x), atol=1e-5)
    assert model.keras_model.optimizer.iterations == 20
    assert model.metrics == {}


def test_what_is_not_there_gets_a_line(tmp_path):
    for path in ("no-such-model", tmp_path):
        with pytest.raises(UserError, match=r"no SavedModel|no such directory"):
            tf_gen.load(path)
