"""The VAE against float64 NumPy, Monte Carlo, SciPy and the article's figures."""

import dataclasses
import os

import numpy as np
import oracles
import pytest
import tensorflow as tf
from oracles import log_sigmoid, sigmoid
from scipy import special, stats

from tf_gen import mnist, tasks, train
from tf_gen.models import vae

quick = pytest.mark.quick
rng = np.random.default_rng(0)


def weights_of(config):
    """The initial weights in float64, kernel and bias of each layer."""
    return oracles.VAE(vae.build(config), config).weights


# ---- Initial values ------------------------------------------------------------------------------


@quick
def test_sizes_and_initial_values_are_the_articles():
    assert vae.build(vae.Config()).count_params() == 807_700
    w1, b1, wm, bm, wv, bv, w2, b2, w3, b3 = weights_of(vae.Config())
    for values, fan_in in [(w1, 784), (b1, 512), (wm, 512), (wv, 512), (w2, 2), (b2, 512)]:
        std = (fan_in / 2) ** -0.5
        sample = values.ravel() / std
        assert stats.kstest(sample, "norm").pvalue > 1e-3
        assert abs(sample.std() - 1) < 5 / np.sqrt(2 * sample.size)
    assert abs(w3.std() * 16 - 1) < 0.01
    assert abs(b3.std() / 0.0505 - 1) < 0.1
    assert not np.allclose(wm, wv)
    assert not np.allclose(bm, bv)


def test_biases_start_by_their_own_length():
    """Those of the two heads have length 2, so their standard deviation is 1."""
    weights = [weights_of(vae.Config(seed=seed)) for seed in range(50)]
    assert 0.85 < np.std([[bm, bv] for _, _, _, bm, _, bv, *_ in weights]) < 1.15


def test_untrained_loss_is_like_the_articles_first_line(bundled):
    """The article's log begins with `step 1 ,loss 616.3002`."""
    losses = []
    for seed in range(8):
        config = vae.Config(seed=seed)
        (batch,) = tasks.report(vae, config, bundled).held_out_batches
        losses.append(np.mean(np.add(*vae.build(config).loss_terms(batch))))
    assert min(losses) - 20 < 616.3 < max(losses) + 20


# ---- Losses and gradients ------------------------------------------------------------------------


@quick
def test_losses_are_the_articles_formulas(bundled):
    config = vae.Config(seed=3)
    model = vae.build(config)
    oracle = oracles.VAE(model, config)
    batch = next(iter(vae.batches(config, bundled)))
    cross_entropy, kl = oracle.losses(*oracle.numpy(batch))
    reconstruction, divergence = model.loss_terms(batch)
    np.testing.assert_allclose(reconstruction, cross_entropy, rtol=2e-6)
    np.testing.assert_allclose(divergence, kl, rtol=2e-5)
    losses = model.update(batch)
    np.testing.assert_allclose(losses["loss"], np.mean(cross_entropy + kl), rtol=2e-6)


@quick
@pytest.mark.parametrize("compiled", [False, True])
def test_reconstruction_loss_at_any_logit_and_pixel(compiled):
    logits = np.linspace(-60, 60, 28 * 28)
    pixels = rng.uniform(size=[3, 28 * 28])
    pixels[0], pixels[1] = 0, 1
    # 1 - p is written sigmoid(-l), which is the same number without its rounding error.
    exact = -np.sum(
        pixels * log_sigmoid(logits, 1e-10) + (1 - pixels) * log_sigmoid(-logits, 1e-10), axis=1
    )
    ours = tf.function(vae.reconstruction_loss, jit_compile=compiled)(
        tf.constant(pixels.reshape(3, 28, 28), tf.float32),
        tf.constant(np.tile(logits, 3).reshape(3, 28, 28), tf.float32),
    )
    np.testing.assert_allclose(ours, exact, rtol=2e-6)


@quick
def test_a_logit_of_40_is_finite_where_the_articles_float32_is_not():
    logit = np.float32(40)
    with np.errstate(divide="ignore"):
        assert np.log(np.float32(1e-10) + 1 - sigmoid(logit)) == -np.inf
    image = tf.zeros([1, 28, 28])
    logits = tf.Variable(tf.fill([1, 28, 28], 40.0))
    with tf.GradientTape() as tape:
        loss = vae.reconstruction_loss(image, logits)
    np.testing.assert_allclose(loss, -784 * log_sigmoid(-40.0, 1e-10), rtol=1e-6)
    assert np.all(np.isfinite(tape.gradient(loss, logits)))


@quick
def test_kl_against_monte_carlo_and_closed_form():
    mean, log_var = np.array([[0.5, -1.0]]), np.array([[-0.7, 0.4]])
    ours = vae.kl_divergence(tf.constant(mean, tf.float32), tf.constant(log_var, tf.float32))
    std = np.exp(log_var / 2)
    z = mean + std * rng.standard_normal([400_000, 2])
    terms = stats.norm.logpdf(z, mean, std).sum(1) - stats.norm.logpdf(z).sum(1)
    assert abs(ours[0] - terms.mean()) < 4 * terms.std() / np.sqrt(len(terms))
    covariance = np.diag(std[0] ** 2)
    closed = 0.5 * (np.trace(covariance) + mean @ mean.T - 2 - np.log(np.linalg.det(covariance)))
    np.testing.assert_allclose(ours, closed[0], rtol=1e-6)


@quick
def test_gradients_against_numerical_differences(bundled):
    """Of the article's loss in float64, in random directions of each variable."""
    config = vae.Config(hidden_dim=16, batch_size=8, seed=1)
    model = vae.build(config)
    oracle = oracles.VAE(model, config)
    batch = next(iter(vae.batches(config, bundled)))
    x, epsilon = oracle.numpy(batch)
    weights = oracle.weights
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.add_n(model.loss_terms(batch)))
    gradients = tape.gradient(loss, [variable.value for variable in oracle.variables])
    by_hand = oracle.gradients(x, epsilon)
    for i, gradient in enumerate(gradients):
        np.testing.assert_allclose(gradient, by_hand[i], rtol=1e-3, atol=1e-4)
        direction = rng.standard_normal(weights[i].shape)
        values = []
        for sign in (1, -1):
            oracle.weights = [w.copy() for w in weights]
            oracle.weights[i] += sign * 1e-5 * direction
            values.append(np.mean(np.add(*oracle.losses(x, epsilon))))
        numerical = (values[0] - values[1]) / 2e-5
        np.testing.assert_allclose(np.sum(gradient * direction), numerical, rtol=1e-3, atol=1e-3)


# ---- Training ------------------------------------------------------------------------------------


@quick
@pytest.mark.parametrize("compiled", [False, True])
def test_ten_updates_are_the_originals(bundled, compiled):
    config = vae.Config(seed=2)
    model = vae.build(config)
    oracle = oracles.VAE(model, config)
    batches = vae.batches(config, bundled)
    expected = [oracle.update(batch) for batch in batches.take(10)]
    if compiled:
        losses = tf.function(model.train_step, jit_compile=True)(next(iter(batches.batch(10))))
        np.testing.assert_allclose(losses["loss"], np.mean(expected), rtol=1e-5)
    else:
        losses = [model.update(batch)["loss"] for batch in batches.take(10)]
        np.testing.assert_allclose(losses, expected, rtol=1e-5)
    for ours, theirs in zip(oracle.variables, oracle.weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=2e-6)
    velocities = oracles.slots(model.optimizer, oracle.variables, "velocity")
    for ours, theirs in zip(velocities, oracle.optimizer.v, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


@quick
@pytest.mark.parametrize("wrap", [lambda f: f, tf.function])
def test_mean_of_squared_gradients_starts_at_1_as_in_tensorflow_1(wrap):
    # The optimiser makes its variables in the first step, within the program of a tf.function.
    optimizer = vae.RMSpropTF1(0.1, rho=0.9, epsilon=1e-10)
    variable = tf.Variable([0.0, 0.0])
    gradient = np.array([2.0, 1e-3])
    wrap(lambda: optimizer.apply([tf.constant(gradient, tf.float32)], [variable]))()
    expected = -0.1 * gradient / np.sqrt(0.9 * 1 + 0.1 * gradient**2)
    np.testing.assert_allclose(variable, expected, rtol=1e-6)


@quick
def test_call_reconstructs_through_z_mean(bundled):
    config = vae.Config()
    model = vae.build(config)
    images = tf.constant(bundled.held_out_images[:7], tf.float32) / 255
    x = np.array(images, np.float64).reshape(-1, 784)
    *_, p = oracles.VAE(model, config).forward(x, np.zeros([7, 2]))
    np.testing.assert_allclose(model(images), p.reshape(-1, 28, 28), atol=1e-5)


def test_it_learns(bundled):
    config = vae.Config()
    model = vae.build(config)
    program = tf.function(model.train_step, jit_compile=True)
    for stack in vae.batches(config, bundled).batch(100).take(5):
        program(stack)
    x, mean = bundled.held_out_images / 255, np.mean(bundled.images / 255, axis=0)
    blind = -np.mean(np.sum(x * np.log(1e-10 + mean) + (1 - x) * np.log(1 - mean), axis=(1, 2)))
    assert blind > 200  # the best that a decoder can do that ignores z
    assert tasks.report(vae, config, bundled).measure(model)["held_out_loss"] < 195


@pytest.mark.slow
@pytest.mark.skipif(
    "TF_GEN_MNIST" not in os.environ, reason="TF_GEN_MNIST names no MNIST directory"
)
def test_full_mnist_reaches_the_original(tmp_path):
    """The original graph gives a test -ELBO of 152.3 after its 30,000 steps."""
    directory = os.environ["TF_GEN_MNIST"]
    losses = []
    for seed in range(3):
        arguments = ["vae", "--data", directory, "--seed", str(seed)]
        train.main([*arguments, "--run-dir", str(tmp_path / str(seed))])
        last = (tmp_path / str(seed) / "history.csv").read_text().splitlines()[-1].split(",")
        losses.append(float(last[4]))
    print("test -ELBO, seeds 0, 1, 2:", losses)
    assert mnist.load(directory).name == "mnist"
    assert max(losses) <= 154.5
    assert np.mean(losses) <= 153.5


# ---- What is measured ----------------------------------------------------------------------------


@quick
def test_evaluate_draws_epsilon(bundled):
    config = vae.Config(seed=4)
    model, report = vae.build(config), tasks.report(vae, config, bundled)
    oracle = oracles.VAE(model, config)
    (batch,) = report.held_out_batches
    x, epsilon = oracle.numpy(batch)
    assert stats.kstest(epsilon.ravel(), "norm").pvalue > 1e-3
    measured = report.measure(model)
    cross_entropy, kl = oracle.losses(x, epsilon)
    assert measured["held_out_loss"] == pytest.approx(np.mean(cross_entropy + kl), rel=1e-5)
    assert measured["held_out_reconstruction"] == pytest.approx(np.mean(cross_entropy), rel=1e-5)
    assert measured["held_out_kl"] == pytest.approx(np.mean(kl), rel=1e-5)


@quick
def test_evaluate_weighs_a_short_last_batch_by_its_size(bundled):
    config = vae.Config()
    model = vae.build(config)
    rows = np.r_[0:500, 0:500, 0:500, 0:500, 0:20]
    longer = dataclasses.replace(bundled, held_out_images=bundled.held_out_images[rows])
    report = tasks.report(vae, config, longer)
    batches = report.held_out_batches
    assert [len(batch["images"]) for batch in batches] == [2000, 20]
    losses = np.concatenate([np.add(*model.loss_terms(batch)) for batch in batches])
    assert report.measure(model)["held_out_loss"] == pytest.approx(losses.mean(), rel=1e-5)


def test_keras_evaluate_reports_the_losses_of_all_images(bundled):
    config = vae.Config(seed=4)
    model, report = vae.build(config), tasks.report(vae, config, bundled)
    (batch,) = report.held_out_batches
    batches = tf.data.Dataset.from_tensor_slices(batch).batch(300)
    losses = model.evaluate(batches, verbose=0, return_dict=True)
    measured = report.measure(model)
    assert losses["loss"] == pytest.approx(measured["held_out_loss"], rel=1e-5)
    expected = measured["held_out_reconstruction"]
    assert losses["reconstruction"] == pytest.approx(expected, rel=1e-5)
    assert losses["kl"] == pytest.approx(measured["held_out_kl"], rel=1e-5)


@quick
def test_log_line_is_the_articles_and_tells_the_held_out_loss():
    report = tasks.report(vae, vae.Config())
    row = {"step": 1, "loss": 616.30021, "held_out_loss": 600.0, "updates_per_second": 1234.5}
    line = report.log_line.format(**row)
    assert line == "step 1 ,loss 616.3002, held-out 600.0000, 1234 updates/s"


@quick
@pytest.mark.parametrize(("latent_dim", "z"), [(2, "0,0"), (5, "0,0,0,0,0")])
def test_sample_is_told_a_z_of_the_right_length(latent_dim, z):
    report = tasks.report(vae, vae.Config(latent_dim=latent_dim))
    assert report.sample_flags == f"--z {z} --out digit.png"


def test_importance_bound_rises_from_the_elbo_to_log_p(bundled):
    """log p(x) by integration over the plane of z, in float64."""
    config = vae.Config(hidden_dim=8, seed=1)
    model = vae.build(config)
    program = tf.function(model.train_step, jit_compile=True)
    program(next(iter(vae.batches(config, bundled).batch(300))))
    images = np.float32(bundled.held_out_images[:20]) / 255
    axis = np.linspace(-5, 5, 201)
    z = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    decoder = oracles.parameters(model.decoder.hidden, model.decoder.logits)
    logits = oracles.Network(oracles.values(decoder), "tanh").forward(z)
    x = np.float64(images).reshape(20, 784)
    log_p_x_z = x @ log_sigmoid(logits, 1e-10).T + (1 - x) @ log_sigmoid(-logits, 1e-10).T
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


def test_score_adds_the_losses_and_the_bound(judge):
    config = vae.Config(hidden_dim=8)
    model, report = vae.build(config), tasks.report(vae, config, judge.source, judge)
    score = report.score(model)
    assert report.measure(model).items() <= score.items()
    bound = vae.importance_bound(model, judge.held_out_images, 100)
    assert score["importance_loss_100"] == pytest.approx(-bound)
    assert score["importance_loss_100"] < score["held_out_loss"]
    assert score["knn_z"] != score["knn_hidden"]
    model.encoder.z_log_var.bias.assign([200.0, 200.0])  # the loss is infinite, the images are not
    assert report.score(model)["diverged"]
