"""The figures of models of digits, against closed forms, SciPy and plain loops."""

import dataclasses

import keras
import numpy as np
import pytest
import scipy.linalg

from tf_gen.errors import UserError
from tf_gen.models import vae
from tf_gen.tasks.judge import (
    JUDGE_SEED,
    Judge,
    clearest_points,
    codes_of_labels,
    frechet_distance,
    inception_score,
    nearest_distances,
    nearest_neighbour_accuracy,
    score,
)

quick = pytest.mark.quick

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
    return score(model, untrained, layers, judge)


# ---- Figures -------------------------------------------------------------------------------------


@quick
def test_frechet_distance_is_the_closed_form():
    """Between diagonal Gaussians: |m - n|^2 + sum (s - t)^2."""
    a = rng.standard_normal([200_000, 3]) * [1, 2, 0.5] + [0, 1, 2]
    b = rng.standard_normal([200_000, 3]) * [2, 2, 1.5] + [1, 1, 0]
    assert frechet_distance(a, b) == pytest.approx(1 + 4 + 1 + 1, rel=0.02)
    assert frechet_distance(a, a) == pytest.approx(0, abs=1e-6)


@quick
def test_frechet_distance_is_its_definition():
    a = rng.standard_normal([500, 6]) @ rng.standard_normal([6, 6])
    b = rng.standard_normal([400, 6]) @ rng.standard_normal([6, 6]) + 1
    cov_a, cov_b = np.cov(a.T), np.cov(b.T)
    root = scipy.linalg.sqrtm(cov_a @ cov_b)
    expected = np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(cov_a + cov_b - 2 * root).real
    assert frechet_distance(a, b) == pytest.approx(expected, rel=1e-6)


@quick
def test_frechet_distance_of_a_single_point_many_times():
    """A collapsed model: a covariance of 0."""
    b = rng.standard_normal([1000, 4])
    a = np.tile([1.0, 2, 3, 4], [100, 1])
    expected = np.sum((a[0] - b.mean(0)) ** 2) + np.trace(np.cov(b.T))
    assert frechet_distance(a, b) == pytest.approx(expected)


@quick
def test_inception_score_from_1_to_the_number_of_classes():
    assert inception_score(np.eye(10)[np.arange(1000) % 10]) == pytest.approx(10)
    assert inception_score(np.eye(10)[np.zeros(100, int)]) == pytest.approx(1)
    p = rng.dirichlet(np.ones(10), 50)
    by_hand = np.mean([np.sum(row * np.log(row / p.mean(0))) for row in p])
    assert inception_score(p) == pytest.approx(np.exp(by_hand))


@quick
def test_nearest_are_those_of_a_plain_loop():
    a, b = rng.standard_normal([20, 5]), rng.standard_normal([30, 5])
    expected = [min(np.linalg.norm(x - y) for y in b) for x in a]
    np.testing.assert_allclose(nearest_distances(a, b), expected)
    labels, held_out = rng.integers(3, size=30), rng.integers(3, size=20)
    right = [held_out[i] == labels[np.argmin(np.linalg.norm(b - a[i], axis=1))] for i in range(20)]
    accuracy = nearest_neighbour_accuracy(b, labels, a, held_out)
    assert accuracy == pytest.approx(np.mean(right))


# ---- Scores --------------------------------------------------------------------------------------


def test_a_model_that_copies_training_images_is_as_good_as_real(judge):
    figures = score_of(Oracle(judge.images), judge)
    assert not figures["diverged"]
    assert figures["frechet"] == pytest.approx(figures["frechet_real"], abs=0.5)
    assert figures["inception_score"] == pytest.approx(figures["inception_score_real"], rel=0.03)
    assert figures["nearest"] == pytest.approx(figures["nearest_real"], rel=0.06)  # some come twice
    assert figures["same_digit"] == figures["same_digit_real"] == judge.accuracy
    assert figures["reconstruction_error"] == figures["reconstruction_relative"] == 0
    assert figures["knn_z"] == figures["knn_pixels"] > 0.85
    assert figures["knn_z_untrained"] == pytest.approx(0.1)  # a single label for all
    for label in range(10):
        assert figures[f"class_{label}_real"] == pytest.approx(0.1, abs=0.03)
        assert figures[f"class_{label}"] == pytest.approx(figures[f"class_{label}_real"], abs=0.02)


def test_a_model_of_one_digit_is_found_out(judge):
    threes = judge.images[judge.source.labels == 3]
    figures = score_of(Oracle(threes), judge)
    real = score_of(Oracle(judge.images), judge)
    assert figures["class_3"] > 0.8
    assert figures["frechet"] > 5 * real["frechet"]
    assert figures["inception_score"] < 2.5 < real["inception_score"]
    assert figures["nearest"] > 1.1 * real["nearest"]


def test_reconstruction_in_units_of_another_image(judge):
    n = len(judge.held_out_images)
    grey = Oracle(judge.images, lambda images: np.full([len(images), 28, 28], 0.5, np.float32))
    figures = score_of(grey, judge)
    assert figures["reconstruction_relative"] == pytest.approx(1)  # it tells nothing of the image
    distances = np.linalg.norm(judge.held_out_images.reshape(n, -1) - 0.5, axis=1)
    assert figures["reconstruction_error"] == pytest.approx(distances.mean())
    expected = np.mean((judge.held_out_images - 0.5) ** 2)
    assert figures["reconstruction_mse"] == pytest.approx(expected)
    answers = judge.classify(np.full([1, 28, 28], 0.5, np.float32))[1].argmax()
    expected = np.mean(judge.source.held_out_labels == answers)
    assert figures["same_digit"] == pytest.approx(expected)
    halves = score_of(Oracle(judge.images, lambda images: images / 2), judge)
    norms = np.linalg.norm(judge.held_out_images.reshape(n, -1), axis=1)
    assert halves["reconstruction_error"] == pytest.approx(norms.mean() / 2)
    assert 0.3 < halves["reconstruction_relative"] < 0.8


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_images_that_are_not_finite_have_diverged(judge, value):
    figures = score_of(Oracle(judge.images, lambda images: images + np.float32(value)), judge)
    assert figures["diverged"]
    assert figures["samples"].shape == (10, 28, 28)


# ---- The judge -----------------------------------------------------------------------------------


def test_judge_is_read_again_and_tested_on_held_out_images(judge, bundled, tmp_path):
    assert 0.7 < judge.accuracy < 1
    features, probabilities = judge.classify(judge.held_out_images)
    assert features.shape == (500, 64)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1)
    right = probabilities.argmax(axis=1) == bundled.held_out_labels
    assert judge.accuracy == pytest.approx(right.mean())
    path = tmp_path / "judge.keras"
    judge.classifier.save(path)
    before = path.stat().st_mtime_ns
    again = Judge(bundled, path)
    assert path.stat().st_mtime_ns == before
    assert again.accuracy == judge.accuracy
    assert again.seed == JUDGE_SEED
    assert again.sha256 == judge.sha256
    np.testing.assert_allclose(again.classify(judge.held_out_images)[0], features, rtol=1e-5)


def test_a_judge_is_the_same_whatever_form_keras_prefers(bundled, tmp_path):
    few = dataclasses.replace(bundled, images=bundled.images[:200], labels=bundled.labels[:200])
    judge = Judge(few, tmp_path / "a.keras", epochs=1)
    keras.config.set_image_data_format("channels_first")
    try:
        other = Judge(few, tmp_path / "b.keras", epochs=1)
    finally:
        keras.config.set_image_data_format("channels_last")
    assert other.sha256 == judge.sha256
    assert other.accuracy == judge.accuracy


def test_a_judge_of_another_precision_is_refused(judge_path, bundled, tmp_path):
    keras.config.set_floatx("float16")
    try:
        for path in (judge_path, tmp_path / "new.keras"):
            with pytest.raises(UserError, match="float16"):
                Judge(bundled, path)
    finally:
        keras.config.set_floatx("float32")
    assert not list(tmp_path.iterdir())


def test_judge_knows_as_many_classes_as_the_labels(bundled, tmp_path):
    letters = dataclasses.replace(
        bundled,
        images=bundled.images[:200],
        labels=bundled.labels[:200] + 20,
        held_out_images=bundled.held_out_images[:20],
        held_out_labels=bundled.held_out_labels[:20] + 20,
    )
    judge = Judge(letters, tmp_path / "new" / "letters.keras", epochs=1)
    assert judge.classify(judge.held_out_images)[1].shape == (20, letters.labels.max() + 1)


def test_what_is_no_classifier_is_refused(judge, bundled, tmp_path):
    damaged = tmp_path / "damaged.keras"
    judge.classifier.save(damaged)
    damaged.write_bytes(damaged.read_bytes()[:1000])
    other = tmp_path / "other.keras"
    vae.build(vae.Config(hidden_dim=3)).save(other)
    of_other_images = tmp_path / "of-other-images.keras"
    fewer = dataclasses.replace(bundled, images=bundled.images[:50], labels=bundled.labels[:50])
    Judge(fewer, of_other_images, epochs=1)
    for path in (damaged, other, of_other_images):
        before = path.read_bytes()
        with pytest.raises(UserError, match=path.name):
            Judge(bundled, path)
        assert path.read_bytes() == before


@pytest.mark.parametrize("part", ["images", "held_out_images"])
def test_a_single_image_is_refused_before_anything_is_trained(bundled, tmp_path, part):
    labels = part.replace("images", "labels")
    changes = {part: getattr(bundled, part)[:1], labels: getattr(bundled, labels)[:1]}
    with pytest.raises(UserError, match="at least 2"):
        Judge(dataclasses.replace(bundled, **changes), tmp_path / "judge.keras")
    assert not list(tmp_path.iterdir())


def test_two_images_are_enough(bundled, tmp_path):
    two = {name: getattr(bundled, name)[:2] for name in ("images", "labels")}
    two |= {f"held_out_{name}": getattr(bundled, f"held_out_{name}")[:2] for name in two}
    judge = Judge(dataclasses.replace(bundled, **two), tmp_path / "j.keras", epochs=1)
    figures = score_of(Oracle(judge.images, lambda images: images / 2), judge)
    assert all(np.all(np.isfinite(value)) for value in figures.values())


# ---- Where each digit lies ----------------------------------------------------------------------


@quick
def test_codes_of_labels_are_those_that_show_it():
    """Images are numbers, and so are codes: threes lie at 0, eights at 10, and fives nowhere."""
    rng = np.random.default_rng(0)
    labels = np.repeat([3, 5, 8], [400, 10, 200])
    images = np.where(labels == 8, 10.0, 0.0) + rng.normal(size=610) / 10
    z = images + np.where(np.arange(610) % 4 == 1, 10 * (labels == 3), 0)  # some threes become 8
    codes = codes_of_labels(lambda z: z[:, :, None], z[:, None], images[:, None, None], labels)
    assert codes.keys() == {3, 5, 8}
    assert len(codes[3]) == len(codes[8]) == 100
    assert 1 <= len(codes[5]) <= 10  # the best, though threes are all around
    assert np.all(np.abs(codes[3]) < 1)
    assert np.all(np.abs(codes[8] - 10) < 1)
    for label, some in codes.items():
        assert len(np.unique(some)) == len(some)
        assert set(some[:, 0]) <= set(z[labels == label])
    few = codes_of_labels(lambda z: z[:, :, None], z[:, None], images[:, None, None], labels, 50, 7)
    assert [len(few[label]) for label in (3, 8)] == [7, 7]


@quick
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

    points = clearest_points(decode, z, images, labels)
    assert list(points) == [3, 5]
    assert np.all(np.abs(points[5] - 5) < 1)  # although the other one is nearer to their mean
    assert points[5] in fives
    assert points[3] in threes


@quick
def test_of_equally_clear_points_the_nearest_to_the_mean_is_taken():
    z = np.float32([[0, 0], [1, 0], [2, 0], [90, 0], [100, 0]])
    labels = np.array([1, 1, 1, 4, 4])
    images = labels[:, None, None]
    points = clearest_points(lambda z: np.ones([len(z), 1, 1]), z, images, labels, 2)
    np.testing.assert_array_equal(points[1], [1, 0])
    few = clearest_points(lambda z: z[:, None], z[:2], z[:2, None], np.array([3, 3]))
    assert len(few) == 1  # fewer points than neighbours
