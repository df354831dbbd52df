"""The figures of models of digits, against closed forms, SciPy and plain loops."""

import dataclasses
import json

import numpy as np
import pytest
import scipy.linalg
import tensorflow as tf
from scipy import special, stats

from tf_gen import digits, models
from tf_gen.cli import UserError
from tf_gen.models import vae

rng = np.random.default_rng(0)


class Oracle:
    """Stands in for a model: its z is an image, flat, and `change` what becomes of images."""

    weights = ()

    def __init__(self, images, change=lambda images: images):
        self.images, self.change = images, change

    def prior(self, count, seed):
        rows = np.random.default_rng(seed).integers(len(self.images), size=count)
        return self.images[rows].reshape(count, -1)

    def decode(self, z):
        return self.change(np.reshape(z, [-1, 28, 28]))

    def __call__(self, images):
        return self.change(images)


def score_of(model, judge):
    """With an untrained model whose z tells nothing of the image."""
    untrained = Oracle(judge.images, np.zeros_like)
    layers = {"z": lambda model, images: np.reshape(model(images), [len(images), -1])}
    return digits.score(model, untrained, layers, judge)


# ---- Figures -------------------------------------------------------------------------------------


def test_frechet_distance_is_the_closed_form():
    """Between diagonal Gaussians: |m - n|^2 + sum (s - t)^2."""
    a = rng.standard_normal([200_000, 3]) * [1, 2, 0.5] + [0, 1, 2]
    b = rng.standard_normal([200_000, 3]) * [2, 2, 1.5] + [1, 1, 0]
    assert digits.frechet_distance(a, b) == pytest.approx(1 + 4 + 1 + 1, rel=0.02)
    assert digits.frechet_distance(a, a) == pytest.approx(0, abs=1e-6)


def test_frechet_distance_is_its_definition():
    a = rng.standard_normal([500, 6]) @ rng.standard_normal([6, 6])
    b = rng.standard_normal([400, 6]) @ rng.standard_normal([6, 6]) + 1
    cov_a, cov_b = np.cov(a.T), np.cov(b.T)
    root = scipy.linalg.sqrtm(cov_a @ cov_b)
    expected = np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(cov_a + cov_b - 2 * root).real
    assert digits.frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)


def test_frechet_distance_of_a_single_point_many_times():
    """A collapsed model: a covariance of 0."""
    b = rng.standard_normal([1000, 4])
    a = np.tile([1.0, 2, 3, 4], [100, 1])
    expected = np.sum((a[0] - b.mean(0)) ** 2) + np.trace(np.cov(b.T))
    assert digits.frechet_distance(a, b) == pytest.approx(expected)


def test_inception_score_from_1_to_the_number_of_classes():
    assert digits.inception_score(np.eye(10)[np.arange(1000) % 10]) == pytest.approx(10)
    assert digits.inception_score(np.eye(10)[np.zeros(100, int)]) == pytest.approx(1)
    p = rng.dirichlet(np.ones(10), 50)
    by_hand = np.mean([np.sum(row * np.log(row / p.mean(0))) for row in p])
    assert digits.inception_score(p) == pytest.approx(np.exp(by_hand))


def test_nearest_are_those_of_a_plain_loop():
    a, b = rng.standard_normal([20, 5]), rng.standard_normal([30, 5])
    expected = [min(np.linalg.norm(x - y) for y in b) for x in a]
    np.testing.assert_allclose(digits.nearest_distances(a, b), expected)
    labels, held_out = rng.integers(3, size=30), rng.integers(3, size=20)
    right = [held_out[i] == labels[np.argmin(np.linalg.norm(b - a[i], axis=1))] for i in range(20)]
    accuracy = digits.nearest_neighbour_accuracy(b, labels, a, held_out)
    assert accuracy == pytest.approx(np.mean(right))


# ---- Scores --------------------------------------------------------------------------------------


def test_a_model_that_copies_training_images_is_as_good_as_real(judge):
    score = score_of(Oracle(judge.images), judge)
    assert not score["diverged"]
    assert score["frechet"] == pytest.approx(score["frechet_real"], abs=0.5)
    assert score["inception_score"] == pytest.approx(score["inception_score_real"], rel=0.03)
    assert score["nearest"] == pytest.approx(score["nearest_real"], rel=0.06)  # some come twice
    assert score["same_digit"] == score["same_digit_real"] == judge.accuracy
    assert score["reconstruction_error"] == score["reconstruction_relative"] == 0
    assert score["knn_z"] == score["knn_pixels"] > 0.85
    assert score["knn_z_untrained"] == pytest.approx(0.1)  # a single label for all
    for label in range(10):
        assert score[f"class_{label}_real"] == pytest.approx(0.1, abs=0.03)
        assert score[f"class_{label}"] == pytest.approx(score[f"class_{label}_real"], abs=0.02)


def test_a_model_of_one_digit_is_found_out(judge):
    threes = judge.images[judge.source.labels == 3]
    score = score_of(Oracle(threes), judge)
    real = score_of(Oracle(judge.images), judge)
    assert score["class_3"] > 0.8
    assert score["frechet"] > 5 * real["frechet"]
    assert score["inception_score"] < 2.5 < real["inception_score"]
    assert score["nearest"] > 1.1 * real["nearest"]


def test_reconstruction_in_units_of_another_image(judge):
    n = len(judge.held_out_images)
    grey = Oracle(judge.images, lambda images: np.full([len(images), 28, 28], 0.5, np.float32))
    score = score_of(grey, judge)
    assert score["reconstruction_relative"] == pytest.approx(1)  # it tells nothing of the image
    distances = np.linalg.norm(judge.held_out_images.reshape(n, -1) - 0.5, axis=1)
    assert score["reconstruction_error"] == pytest.approx(distances.mean())
    expected = np.mean((judge.held_out_images - 0.5) ** 2)
    assert score["reconstruction_mse"] == pytest.approx(expected)
    answers = judge.look(np.full([1, 28, 28], 0.5, np.float32))[1].argmax()
    expected = np.mean(judge.source.held_out_labels == answers)
    assert score["same_digit"] == pytest.approx(expected)
    halves = score_of(Oracle(judge.images, lambda images: images / 2), judge)
    norms = np.linalg.norm(judge.held_out_images.reshape(n, -1), axis=1)
    assert halves["reconstruction_error"] == pytest.approx(norms.mean() / 2)
    assert 0.3 < halves["reconstruction_relative"] < 0.8


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_images_that_are_not_finite_have_diverged(judge, value):
    score = score_of(Oracle(judge.images, lambda images: images + np.float32(value)), judge)
    assert score["diverged"]
    assert score["samples"].shape == (10, 28, 28)


# ---- The judge -----------------------------------------------------------------------------------


def test_judge_is_read_again_and_tested_on_held_out_images(judge, bundled, tmp_path):
    assert 0.7 < judge.accuracy < 1
    features, probabilities = judge.look(judge.held_out_images)
    assert features.shape == (500, 64)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    right = probabilities.argmax(axis=1) == bundled.held_out_labels
    assert judge.accuracy == pytest.approx(right.mean())
    path = tmp_path / "judge.keras"
    judge.classifier.save(path)
    before = path.stat().st_mtime_ns
    again = digits.Judge(bundled, path)
    assert path.stat().st_mtime_ns == before
    assert again.accuracy == judge.accuracy
    assert again.seed == digits.JUDGE_SEED
    assert again.sha256 == judge.sha256
    np.testing.assert_allclose(again.look(judge.held_out_images)[0], features, rtol=1e-5)


def test_judge_knows_as_many_classes_as_the_labels(bundled, tmp_path):
    letters = dataclasses.replace(
        bundled,
        images=bundled.images[:200],
        labels=bundled.labels[:200] + 20,
        held_out_images=bundled.held_out_images[:20],
        held_out_labels=bundled.held_out_labels[:20] + 20,
    )
    judge = digits.Judge(letters, tmp_path / "new" / "letters.keras", epochs=1)
    assert judge.look(judge.held_out_images)[1].shape == (20, letters.labels.max() + 1)


def test_what_is_no_classifier_is_refused(judge, bundled, tmp_path):
    damaged = tmp_path / "damaged.keras"
    judge.classifier.save(damaged)
    damaged.write_bytes(damaged.read_bytes()[:1000])
    other = tmp_path / "other.keras"
    vae.build(vae.Config(hidden_dim=3)).save(other)
    of_other_images = tmp_path / "of-other-images.keras"
    fewer = dataclasses.replace(bundled, images=bundled.images[:50], labels=bundled.labels[:50])
    digits.Judge(fewer, of_other_images, epochs=1)
    for path in (damaged, other, of_other_images):
        before = path.read_bytes()
        with pytest.raises(UserError, match=path.name):
            digits.Judge(bundled, path)
        assert path.read_bytes() == before


@pytest.mark.parametrize("part", ["images", "held_out_images"])
def test_a_single_image_is_refused_before_anything_is_trained(bundled, tmp_path, part):
    labels = part.replace("images", "labels")
    changes = {part: getattr(bundled, part)[:1], labels: getattr(bundled, labels)[:1]}
    with pytest.raises(UserError, match="at least 2"):
        digits.Judge(dataclasses.replace(bundled, **changes), tmp_path / "judge.keras")
    assert not list(tmp_path.iterdir())


def test_two_images_are_enough(bundled, tmp_path):
    two = {name: getattr(bundled, name)[:2] for name in ("images", "labels")}
    two |= {f"held_out_{name}": getattr(bundled, f"held_out_{name}")[:2] for name in two}
    judge = digits.Judge(dataclasses.replace(bundled, **two), tmp_path / "j.keras", epochs=1)
    score = score_of(Oracle(judge.images, lambda images: images / 2), judge)
    assert all(np.all(np.isfinite(value)) for value in score.values())


# ---- The bound on log p(x) -----------------------------------------------------------------------


def test_importance_bound_rises_from_the_elbo_to_log_p(bundled):
    """log p(x) by integration over the plane of z, in float64."""
    config = vae.Config(hidden_dim=8, seed=1)
    model = vae.build(config)
    program = tf.function(model.train_step, jit_compile=True)
    program(next(iter(vae.batches(config, bundled).batch(300))))
    images = np.float32(bundled.held_out_images[:20]) / 255
    axis = np.linspace(-5, 5, 201)
    z = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    h = np.tanh(z @ np.float64(model.decoder.hidden.kernel) + np.float64(model.decoder.hidden.bias))
    logits = h @ np.float64(model.decoder.logits.kernel) + np.float64(model.decoder.logits.bias)
    p = special.expit(logits)
    x = np.float64(images).reshape(20, 784)
    log_p_x_z = x @ np.log(p + 1e-10).T + (1 - x) @ np.log(special.expit(-logits) + 1e-10).T
    log_p_z = stats.norm.logpdf(z).sum(axis=1)
    log_p = special.logsumexp(log_p_x_z + log_p_z, axis=1) + 2 * np.log(axis[1] - axis[0])
    elbo = vae.importance_bound(model, np.tile(images, [200, 1, 1]), 1)
    epsilon = rng.standard_normal([200, 20, 2])
    by_loss_terms = [
        -np.add(*model.loss_terms({"images": bundled.held_out_images[:20], "epsilon": e}))
        for e in np.float32(epsilon)
    ]
    assert elbo == pytest.approx(np.mean(by_loss_terms), abs=0.2)
    bounds = [vae.importance_bound(model, images, k) for k in (5, 2000)]
    assert elbo < bounds[0] < bounds[1]
    assert bounds[1] == pytest.approx(np.mean(log_p), abs=0.1)
    assert elbo < np.mean(log_p) - 0.2


# ---- Where each digit lies ----------------------------------------------------------------------


def test_clearest_points_are_in_the_regions_of_their_own():
    # Label 5 lies mostly among the threes, as on MNIST, with two small regions of its own, in one
    # of which the decoder draws threes all the same. An image is one pixel: its label.
    rng = np.random.default_rng(0)
    threes = rng.normal(0, 0.5, [500, 2])
    fives = [rng.normal(centre, 0.2, [60, 2]) for centre in (5, -3)]
    fives = np.concatenate([rng.normal(0, 0.5, [300, 2]), *fives])
    z, labels = np.concatenate([threes, fives]), np.repeat([3, 5], [500, 420])
    images = labels[:, None, None].astype(np.float32)

    def decode(z):
        return np.where(z[:, 0] > 2, 5.0, 3.0)[:, None, None]

    points = digits.clearest_points(decode, z, images, labels)
    assert list(points) == [3, 5]
    assert np.all(np.abs(points[5] - 5) < 1)  # although the other one is nearer to their mean
    assert points[5] in fives
    assert points[3] in threes


def test_of_equally_clear_points_the_nearest_to_the_mean_is_taken():
    z = np.float32([[0, 0], [1, 0], [2, 0], [90, 0], [100, 0]])
    labels = np.array([1, 1, 1, 4, 4])
    images = labels[:, None, None]
    points = digits.clearest_points(lambda z: np.ones([len(z), 1, 1]), z, images, labels, 2)
    np.testing.assert_array_equal(points[1], [1, 0])
    few = digits.clearest_points(lambda z: z[:, None], z[:2], z[:2, None], np.array([3, 3]))
    assert len(few) == 1  # fewer points than neighbours


@pytest.mark.parametrize("name", ["vae", "ali"])
def test_latent_map_names_z_of_held_out_images(name, bundled):
    module = models.load(name)
    config = module.Config(hidden_dim=8, latent_dim=3)
    model = module.build(config)
    latent_map = json.loads(json.dumps(module.latent_map(model, config, bundled)))
    assert latent_map.keys() == {"labels"}
    assert list(latent_map["labels"]) == [str(digit) for digit in range(10)]
    codes = model.encode(np.float32(bundled.held_out_images) / 255)
    codes = np.asarray(codes[0] if name == "vae" else codes)
    for label, z in latent_map["labels"].items():
        distance = np.abs(codes - np.float32(z)).max(axis=1)
        assert distance.min() < 1e-6
        assert str(bundled.held_out_labels[distance.argmin()]) == label


def test_a_latent_plane_has_an_axis_of_normal_quantiles(bundled):
    config = vae.Config(hidden_dim=8)
    axis = vae.latent_map(vae.build(config), config, bundled)["axis"]
    np.testing.assert_allclose(stats.norm.cdf(axis), np.arange(1, 21) / 21, rtol=1e-9)
