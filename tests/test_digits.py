"""What is shown and measured of models of digits, also of one whose recipe has no `Report`."""

import json
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from sklearn.neighbors import KNeighborsClassifier

from tf_gen import models, plots, tasks
from tf_gen.base import Generative
from tf_gen.mnist.source import Part, checked
from tf_gen.models import ali, vae
from tf_gen.settings import Count, Rate, Seed, Settings
from tf_gen.tasks import digits, judge
from tf_gen.tasks.judge import Judge

quick = pytest.mark.quick


# ---- A recipe without a `Report` of its own ------------------------------------------------------


class Config(Settings):
    hidden_dim: Count = 32  # units in the hidden layer of the encoder
    latent_dim: Count = 2  # length of z
    batch_size: Count = 50  # images an update
    learning_rate: Rate = 0.01  # of Adam
    steps: Count = 100  # updates in all
    log_every: Count = 50  # updates between two lines of the log
    seed: Seed = 0  # of the initial weights, the order of the images and the noise


class Encoder(keras.layers.Layer):
    def __init__(self, config):
        super().__init__()
        init = {"kernel_initializer": keras.initializers.GlorotUniform(config.seed)}
        self.hidden = keras.layers.Dense(config.hidden_dim, "relu", **init)
        self.z = keras.layers.Dense(config.latent_dim, **init)

    def call(self, images):
        return self.z(self.features(images))

    def features(self, images):
        return self.hidden(tf.reshape(images, [-1, 784]))


class Autoencoder(Generative):
    generates = "images"

    def __init__(self, config, **kwargs):
        super().__init__(config, **kwargs)
        init = {"kernel_initializer": keras.initializers.GlorotUniform(config.seed)}
        self.encoder = Encoder(config)
        self.decoder = keras.layers.Dense(784, "sigmoid", **init)
        self(tf.zeros([1, 28, 28]))

    def call(self, images):
        return self.decode(self.encode(images))

    def encode(self, images):
        return self.encoder(images)

    def decode(self, z):
        return tf.reshape(self.decoder(z), [-1, 28, 28])

    def prior(self, count, seed):
        return tf.random.stateless_normal([count, self.latent_dim], seed, alg="philox")

    def update(self, batch):
        images = tf.cast(batch["images"], tf.float32) / 255
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean((images - self(images + 0.1 * batch["noise"])) ** 2)
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return {"loss": loss}


def build(config):
    model = Autoencoder(config)
    model.compile(keras.optimizers.Adam(config.learning_rate))
    return model


def blocks(config, source):
    def noise(seed):
        return tf.random.stateless_normal([config.batch_size, 28, 28], seed, alg="philox")

    return digits.blocks(config, source, noise=noise)


RECIPE = types.SimpleNamespace(
    Config=Config, PRESETS={"article": Config()}, TASK="digits", build=build, blocks=blocks
)


@pytest.fixture(scope="module")
def trained(bundled):
    """A model of this recipe, trained a little, and its report."""
    config = Config()
    model = build(config)
    program = tf.function(model.train_step, jit_compile=True)
    program(next(iter(blocks(config, bundled).dataset().batch(config.steps))))
    return model, tasks.report(RECIPE, config, bundled)


@pytest.fixture
def of_three_dimensions(bundled):
    config = Config(latent_dim=3)
    return build(config), tasks.report(RECIPE, config, bundled)


def row_of(report, model, step):
    """A row of history.csv, read."""
    row = {"step": step, "loss": 0.25, **report.measure(model)}
    return {name: str(value) for name, value in row.items()}


@quick
def test_a_recipe_without_a_report_has_the_tasks(trained):
    assert type(trained[1]) is digits.Report


@quick
def test_log_tells_the_error_of_held_out_images(trained, bundled):
    model, report = trained
    x = np.float32(bundled.held_out_images) / 255
    row = report.measure(model)
    assert row.keys() == {"reconstruction_error"}
    assert row["reconstruction_error"] == pytest.approx(np.mean((x - model(x)) ** 2), rel=1e-5)
    line = report.log_line.format(step=50, loss=0.25, **row)
    error = row["reconstruction_error"]
    assert line == f"step 50: loss 0.2500, reconstruction error {error:.4f}"


@quick
def test_progress_and_frames_are_grids_of_the_same_samples(trained):
    model, report = trained
    samples = model.decode(model.prior(100, [0, 0]))
    picture = report.progress(model)
    np.testing.assert_array_equal(picture, plots.mosaic(samples, 10))
    assert picture.shape == (10 * 28 * 3, 10 * 28 * 3)
    snapshot = report.snapshot(model)
    assert snapshot["images"].dtype == np.uint8
    np.testing.assert_allclose(snapshot["images"], 255 * np.array(samples), atol=0.51)
    other = {"images": 255 - snapshot["images"], "step": 20}
    frames = list(report.frames([{**snapshot, "step": 10}, other]))
    assert [frame.shape for frame in frames] == [(560, 560)] * 2
    np.testing.assert_allclose(frames[0][::2, ::2], np.float64(picture[::3, ::3]), atol=1)
    np.testing.assert_array_equal(frames[0], 255 - frames[1])


@quick
def test_pictures_of_a_recipe_without_a_report(trained, bundled, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, report = trained
    pictures = report.pictures(model, [row_of(report, model, 50), row_of(report, model, 100)])
    assert list(pictures) == ["reconstructions.png", "manifold.png", "latent_map.png"]
    # Rows of held-out images and of what the model makes of them, in turns.
    tiles = pictures["reconstructions.png"][::3, ::3].reshape(10, 28, 10, 28).swapaxes(1, 2)
    some = bundled.held_out_images[np.linspace(0, 499, 50, dtype=int)]
    np.testing.assert_array_equal(tiles[::2].reshape(50, 28, 28), some)
    made = 255 * np.array(model(np.float32(some) / 255))
    np.testing.assert_allclose(tiles[1::2].reshape(50, 28, 28), made, atol=0.51)
    # The decoder's image at each z, and the z of the clearest digits.
    grid = pictures["manifold.png"].axes[0].images[0].get_array()
    z = np.array([[report.axis[3], report.axis[-1]]], np.float32)
    corner = np.reshape(grid, [20, 28, 20, 28])[0, :, 3]
    np.testing.assert_allclose(corner, 255 * np.array(model.decode(z))[0], atol=0.51)
    texts = {text.get_text() for axes in pictures["latent_map.png"].axes for text in axes.texts}
    for label, z in report.clearest_points(model).items():
        assert f"{label}:\n{z[0]:.2f},{z[1]:.2f}" in texts
    assert not list(tmp_path.iterdir())


@quick
def test_of_other_latent_spaces_than_a_plane_there_is_no_map(of_three_dimensions):
    model, report = of_three_dimensions
    assert list(report.pictures(model, [])) == ["reconstructions.png"]


@quick
def test_curves_are_columns_of_the_log(trained):
    _, report = trained
    history = [{"step": "10", "a": "0.5", "b": "3"}, {"step": "20", "a": "0.25", "b": "4"}]
    (axes,) = report.curves(history, {"first": "a", "second": "b"}, "nats", level=0.5).axes
    level, first, second = axes.get_lines()
    assert set(level.get_ydata()) == {0.5}
    assert first.get_label() == "first"
    np.testing.assert_array_equal(first.get_xydata(), [[10, 0.5], [20, 0.25]])
    np.testing.assert_array_equal(second.get_xydata(), [[10, 3], [20, 4]])
    assert axes.get_ylabel() == "nats"


def test_score_of_a_recipe_without_a_report(trained, judge, tmp_path):
    model, report = trained
    report = tasks.report(RECIPE, report.config, judge.source, judge)
    score = report.score(model)
    assert not score["diverged"]
    images, labels = judge.images, judge.source.labels
    held_out, held_out_labels = judge.held_out_images, judge.source.held_out_labels
    layers = {"z": lambda m, x: m.encode(x), "hidden": lambda m, x: m.encoder.features(x)}
    networks = {"": model, "_untrained": build(report.config)}
    for layer, function in layers.items():
        for suffix, network in networks.items():
            classifier = KNeighborsClassifier(1).fit(function(network, images), labels)
            expected = classifier.score(function(network, held_out), held_out_labels)
            # Two images may be as near as each other but for rounding.
            assert score[f"knn_{layer}{suffix}"] == pytest.approx(expected, abs=0.005)
    assert score["knn_z"] > score["knn_z_untrained"] + 0.05
    distances = np.linalg.norm(held_out - model(held_out), axis=(1, 2))
    assert score["reconstruction_error"] == pytest.approx(np.mean(distances), rel=1e-5)
    samples = 255 * np.array(model.decode(model.prior(10_000, [0, 0])[:10]))
    np.testing.assert_allclose(score["samples"], samples, atol=0.6)
    picture = report.draw_scores([score, {**score, "samples": 255 - score["samples"]}])
    assert picture.shape == (2 * 28 * 3, 10 * 28 * 3)
    np.testing.assert_array_equal(picture[:84], 255 - picture[84:])


# ---- Where each digit lies -----------------------------------------------------------------------


@quick
@pytest.mark.parametrize("name", ["vae", "ali", "without a report"])
def test_latent_map_names_z_of_held_out_images(name, bundled):
    recipe = RECIPE if name == "without a report" else models.load(name)
    config = recipe.Config(hidden_dim=8, latent_dim=3)
    model = recipe.build(config)
    report = tasks.report(recipe, config, bundled)
    latent_map = json.loads(json.dumps(report.latent_map(model)))
    assert latent_map.keys() == {"labels", "codes"}
    assert list(latent_map["labels"]) == [str(digit) for digit in range(10)]
    codes = model.encode(np.float32(bundled.held_out_images) / 255)
    codes = np.asarray(codes[0] if name == "vae" else codes)
    for label, z in latent_map["labels"].items():
        distance = np.abs(codes - np.float32(z)).max(axis=1)
        assert distance.min() < 1e-6
        assert str(bundled.held_out_labels[distance.argmin()]) == label


@quick
@pytest.mark.parametrize("name", ["vae", "ali"])
def test_many_codes_of_a_label_are_draws_of_what_is_inferred(name, bundled, monkeypatch):
    """Of the label's own images, each at most once, with the noise of the posterior."""
    recipe = models.load(name)
    config = recipe.Config(hidden_dim=8, latent_dim=3)
    model = recipe.build(config)
    seen = {}
    monkeypatch.setattr(
        judge,
        "codes_of_labels",
        lambda decode, *arguments: seen.update(z=arguments) or {7: np.ones([2, 3])},
    )
    latent_map = tasks.report(recipe, config, bundled).latent_map(model)
    assert latent_map["codes"] == {"7": [[1, 1, 1], [1, 1, 1]]}
    z, images, labels = seen["z"]
    np.testing.assert_array_equal(labels, bundled.held_out_labels)
    np.testing.assert_array_equal(images, np.float32(bundled.held_out_images) / 255)
    if name == "ali":
        np.testing.assert_array_equal(z, model.encode(images))
    else:
        mean, log_var = (np.asarray(values) for values in model.encode(images))
        epsilon = (z - mean) / np.exp(log_var / 2)
        assert stats.kstest(epsilon.ravel(), "norm").pvalue > 1e-3


@quick
def test_a_latent_plane_has_an_axis_of_normal_quantiles(trained, bundled):
    model, report = trained
    axis = report.latent_map(model)["axis"]
    np.testing.assert_allclose(stats.norm.cdf(axis), np.arange(1, 21) / 21, rtol=1e-9)
    config = vae.Config(hidden_dim=8)
    assert tasks.report(vae, config, bundled).latent_map(vae.build(config))["axis"] == axis


# ---- Interpolations ------------------------------------------------------------------------------


@quick
def test_interpolations_run_from_image_to_image(bundled):
    model = ali.build(ali.Config())
    images = tf.constant(bundled.held_out_images[:20], tf.float32) / 255
    picture = digits.interpolations(model, images, rows=3, points=5)
    tiles = picture[::3, ::3].reshape(3, 28, 7, 28).swapaxes(1, 2)  # [row, column, 28, 28]
    np.testing.assert_allclose(tiles[:, 0], 255 * images[:3], atol=0.51)
    np.testing.assert_allclose(tiles[:, 6], 255 * images[-3:], atol=0.51)
    np.testing.assert_allclose(tiles[:, 1], 255 * model(images[:3]), atol=0.6)
    np.testing.assert_allclose(tiles[:, 5], 255 * model(images[-3:]), atol=0.6)
    middle = model.decode((model.encode(images[:3]) + model.encode(images[-3:])) / 2)
    np.testing.assert_allclose(tiles[:, 3], 255 * middle, atol=0.6)


@quick
@pytest.mark.parametrize(("count", "rows"), [(1, 1), (2, 1), (3, 1), (7, 3), (20, 8)])
def test_interpolations_of_few_images_have_fewer_rows(trained, count, rows):
    picture = digits.interpolations(trained[0], tf.zeros([count, 28, 28]))
    assert picture.shape == (rows * 28 * 3, 11 * 28 * 3)


@quick
def test_batches_of_images_have_any_noise(bundled):
    """None; or one, or several, each from draws of its own, at whichever step they begin."""

    def normal(seed):
        return tf.random.stateless_normal([3], seed, alg="philox")

    config = Config(batch_size=4)

    def first(start, **noise):
        dataset = digits.blocks(config, bundled, **noise).dataset(start)
        return next(dataset.as_numpy_iterator())

    alone, both = first(7), first(7, a=normal, b=normal)
    assert list(alone) == ["images"]
    assert list(both) == ["images", "a", "b"]
    np.testing.assert_array_equal(alone["images"], both["images"])
    assert both["a"].shape == both["b"].shape == (3,)
    assert not np.array_equal(both["a"], both["b"])
    later = first(8, a=normal, b=normal)
    assert not np.array_equal(both["a"], later["a"])
    dataset = digits.blocks(config, bundled, a=normal, b=normal).dataset()
    np.testing.assert_array_equal(list(dataset.take(8))[7]["b"], both["b"])


# ---- Labels that are no digits -------------------------------------------------------------------


@quick
def test_words_are_labels_in_all_pictures_maps_and_scores(bundled, tmp_path):
    words = [f"class {letter}" for letter in "lkjihgfedcba"]
    found = Part(bundled.images[::7][:600], np.array(words)[np.arange(600) % 12])
    source = checked("there", "folders", found, None, [])
    assert list(source.classes) == sorted(words)
    config = Config(hidden_dim=8)
    judge = Judge(source, tmp_path / "judge.keras", epochs=1)
    report, model = tasks.report(RECIPE, config, source, judge), RECIPE.build(config)
    assert list(report.latent_map(model)["labels"]) == sorted(words)
    (plane, *_) = report.pictures(model, [])["latent_map.png"].axes
    assert [text.get_text() for text in plane.texts] == sorted(words)
    score = report.score(model)
    shares = [score[f"class_{word}"] for word in words]
    assert sum(shares) == pytest.approx(1)
    assert "class_0" not in score
