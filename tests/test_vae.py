"""The VAE against float64 NumPy, Monte Carlo, SciPy and the article's figures."""

import dataclasses
import os

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tf_gen import data, train
from tf_gen.models import vae
from tf_gen.numerics import log_sigmoid

EPSILON = 1e-10
rng = np.random.default_rng(0)


# ---- The article in float64 NumPy, independent of the package ------------------------------------


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def forward(weights, x, epsilon):
    """All intermediate values of the article's graph for x [n, 784]."""
    w1, b1, wm, bm, wv, bv, w2, b2, w3, b3 = weights
    h1 = np.tanh(x @ w1 + b1)
    mean, log_var = h1 @ wm + bm, h1 @ wv + bv
    z = mean + np.exp(log_var / 2) * epsilon
    h2 = np.tanh(z @ w2 + b2)
    p = sigmoid(h2 @ w3 + b3)
    return h1, mean, log_var, z, h2, p


def article_loss(weights, x, epsilon):
    """Reconstruction and KL of each image, as the article writes them."""
    _, mean, log_var, _, _, p = forward(weights, x, epsilon)
    cross_entropy = -np.sum(x * np.log(EPSILON + p) + (1 - x) * np.log(EPSILON + 1 - p), axis=1)
    kl = -0.5 * np.sum(1 + log_var - mean**2 - np.exp(log_var), axis=1)
    return cross_entropy, kl


def article_gradients(weights, x, epsilon):
    """Gradients of the mean loss by hand-written backpropagation."""
    _, _, wm, _, wv, _, w2, _, w3, _ = weights
    n = len(x)
    h1, mean, log_var, z, h2, p = forward(weights, x, epsilon)
    d_logits = (-x / (EPSILON + p) + (1 - x) / (EPSILON + 1 - p)) * p * (1 - p) / n
    d_h2 = d_logits @ w3.T * (1 - h2**2)
    d_z = d_h2 @ w2.T
    d_mean = d_z + mean / n
    d_log_var = d_z * epsilon * np.exp(log_var / 2) / 2 - 0.5 * (1 - np.exp(log_var)) / n
    d_h1 = (d_mean @ wm.T + d_log_var @ wv.T) * (1 - h1**2)
    pairs = [(x, d_h1), (h1, d_mean), (h1, d_log_var), (z, d_h2), (h2, d_logits)]
    return [g for inputs, d in pairs for g in (inputs.T @ d, d.sum(axis=0))]


def rmsprop_tf1(weights, squares, gradients, learning_rate=0.001, decay=0.9):
    """TensorFlow 1's ApplyRMSProp without momentum; `squares` starts at ones."""
    squares = [decay * s + (1 - decay) * g**2 for s, g in zip(squares, gradients, strict=True)]
    weights = [
        w - learning_rate * g / np.sqrt(s + 1e-10)
        for w, g, s in zip(weights, gradients, squares, strict=True)
    ]
    return weights, squares


def weights_of(model):
    encoder, decoder = model.encoder, model.decoder
    layers = [encoder.hidden, encoder.z_mean, encoder.z_log_var, decoder.hidden, decoder.logits]
    return [v.numpy().astype(np.float64) for layer in layers for v in (layer.kernel, layer.bias)]


def numpy_batch(batch):
    return np.array(batch["images"]).reshape(-1, 784) / 255, np.array(batch["epsilon"], np.float64)


# ---- Initial values ------------------------------------------------------------------------------


def test_sizes_and_initial_values_are_the_articles():
    model = vae.build(vae.Config())
    assert model.count_params() == 807_700
    w1, b1, wm, bm, wv, bv, w2, b2, w3, b3 = weights_of(model)
    for values, fan_in in [(w1, 784), (b1, 512), (wm, 512), (wv, 512), (w2, 2), (b2, 512)]:
        std = (fan_in / 2) ** -0.5
        sample = values.ravel() / std
        assert stats.kstest(sample, "norm").pvalue > 1e-3
        assert abs(sample.std() - 1) < 5 / np.sqrt(2 * sample.size)
    assert abs(w3.std() * 16 - 1) < 0.01
    assert abs(b3.std() / 0.0505 - 1) < 0.1
    assert not np.allclose(wm, wv)
    assert not np.allclose(bm, bv)
    biases = [np.concatenate(weights_of(vae.build(vae.Config(seed=s)))[3:6:2]) for s in range(50)]
    assert 0.85 < np.std(biases) < 1.15  # biases of the two heads: length 2, so std 1


def test_untrained_loss_is_like_the_articles_first_line(bundled):
    """The article's log begins with `step 1 ,loss 616.3002`."""
    losses = []
    for seed in range(8):
        config = vae.Config(seed=seed)
        (batch,) = vae.held_out_batches(config, bundled)
        losses.append(np.mean(np.add(*vae.build(config).loss_terms(batch))))
    assert min(losses) - 20 < 616.3 < max(losses) + 20


# ---- Losses and gradients ------------------------------------------------------------------------


def test_losses_are_the_articles_formulas(bundled):
    config = vae.Config(seed=3)
    model = vae.build(config)
    batch = next(iter(vae.batches(config, bundled)))
    cross_entropy, kl = article_loss(weights_of(model), *numpy_batch(batch))
    reconstruction, divergence = model.loss_terms(batch)
    np.testing.assert_allclose(reconstruction, cross_entropy, rtol=2e-6)
    np.testing.assert_allclose(divergence, kl, rtol=2e-5)
    losses = model.update(batch)
    np.testing.assert_allclose(losses["loss"], np.mean(cross_entropy + kl), rtol=2e-6)


@pytest.mark.parametrize("compiled", [False, True])
def test_reconstruction_loss_at_any_logit_and_pixel(compiled):
    logits = np.linspace(-60, 60, 28 * 28)
    pixels = rng.uniform(size=[3, 28 * 28])
    pixels[0], pixels[1] = 0, 1
    p = sigmoid(logits)
    # 1 - p is written sigmoid(-l), which is the same number without its rounding error.
    exact = -np.sum(
        pixels * np.log(EPSILON + p) + (1 - pixels) * np.log(EPSILON + sigmoid(-logits)), axis=1
    )
    ours = tf.function(vae.reconstruction_loss, jit_compile=compiled)(
        tf.constant(pixels.reshape(3, 28, 28), tf.float32),
        tf.constant(np.tile(logits, 3).reshape(3, 28, 28), tf.float32),
    )
    np.testing.assert_allclose(ours, exact, rtol=2e-6)


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("epsilon", [1e-10, 1e-8])
def test_log_sigmoid_and_its_gradient_at_each_logit(compiled, epsilon):
    logits = np.float64(np.linspace(-100, 100, 20001, dtype=np.float32))

    @tf.function(jit_compile=compiled)
    def value_and_gradient(logits):
        with tf.GradientTape() as tape:
            tape.watch(logits)
            value = log_sigmoid(logits, epsilon)
        return value, tape.gradient(value, logits)

    value, gradient = value_and_gradient(tf.constant(logits, tf.float32))
    p, q = sigmoid(logits), sigmoid(-logits)
    np.testing.assert_allclose(value, np.log(p + epsilon), rtol=0, atol=3e-6)
    np.testing.assert_allclose(gradient, p * q / (p + epsilon), rtol=0, atol=3e-7)


def test_a_logit_of_40_is_finite_where_the_articles_float32_is_not():
    logit = np.float32(40)
    with np.errstate(divide="ignore"):
        assert np.log(np.float32(EPSILON) + 1 - sigmoid(logit)) == -np.inf
    image = tf.zeros([1, 28, 28])
    logits = tf.Variable(tf.fill([1, 28, 28], 40.0))
    with tf.GradientTape() as tape:
        loss = vae.reconstruction_loss(image, logits)
    np.testing.assert_allclose(loss, -784 * np.log(EPSILON + sigmoid(-40.0)), rtol=1e-6)
    assert np.all(np.isfinite(tape.gradient(loss, logits)))


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


def test_gradients_against_numerical_differences(bundled):
    """Of the article's loss in float64, in random directions of each variable."""
    config = vae.Config(hidden_dim=16, batch_size=8, seed=1)
    model = vae.build(config)
    batch = next(iter(vae.batches(config, bundled)))
    x, epsilon = numpy_batch(batch)
    weights = weights_of(model)
    with tf.GradientTape() as tape:
        loss = tf.add_n(model.loss_terms(batch))
        loss = tf.reduce_mean(loss)
    variables = [
        getattr(layer, name)
        for layer in (
            model.encoder.hidden,
            model.encoder.z_mean,
            model.encoder.z_log_var,
            model.decoder.hidden,
            model.decoder.logits,
        )
        for name in ("kernel", "bias")
    ]
    gradients = tape.gradient(loss, [v.value for v in variables])
    by_hand = article_gradients(weights, x, epsilon)
    for i, gradient in enumerate(gradients):
        np.testing.assert_allclose(gradient, by_hand[i], rtol=1e-3, atol=1e-4)
        direction = rng.standard_normal(weights[i].shape)
        values = []
        for sign in (1, -1):
            moved = [w.copy() for w in weights]
            moved[i] += sign * 1e-5 * direction
            values.append(np.mean(np.add(*article_loss(moved, x, epsilon))))
        numerical = (values[0] - values[1]) / 2e-5
        np.testing.assert_allclose(np.sum(gradient * direction), numerical, rtol=1e-3, atol=1e-3)


# ---- Training ------------------------------------------------------------------------------------


@pytest.mark.parametrize("compiled", [False, True])
def test_ten_updates_are_the_originals(bundled, compiled):
    config = vae.Config(seed=2)
    model = vae.build(config)
    weights = weights_of(model)
    squares = [np.ones_like(w) for w in weights]
    expected = []
    for batch in vae.batches(config, bundled).take(10):
        x, epsilon = numpy_batch(batch)
        expected.append(np.mean(np.add(*article_loss(weights, x, epsilon))))
        weights, squares = rmsprop_tf1(weights, squares, article_gradients(weights, x, epsilon))
    if compiled:
        stack = next(iter(vae.batches(config, bundled).batch(10)))
        losses = tf.function(model.train_step, jit_compile=True)(stack)
        np.testing.assert_allclose(losses["loss"], np.mean(expected), rtol=1e-5)
    else:
        losses = [model.update(batch)["loss"] for batch in vae.batches(config, bundled).take(10)]
        np.testing.assert_allclose(losses, expected, rtol=1e-5)
    for ours, theirs in zip(weights_of(model), weights, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=2e-6)
    velocities = {v.path: v.numpy() for v in model.optimizer.variables[2:]}
    by_shape = sorted(velocities.values(), key=lambda v: (v.shape, v.sum()))
    expected = sorted(squares, key=lambda v: (v.shape, v.sum()))
    for ours, theirs in zip(by_shape, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_evaluate_draws_epsilon(bundled):
    config = vae.Config(seed=4)
    model = vae.build(config)
    (batch,) = list(vae.held_out_batches(config, bundled))
    x, epsilon = numpy_batch(batch)
    assert stats.kstest(epsilon.ravel(), "norm").pvalue > 1e-3
    measured = vae.measure(model, config, bundled)
    cross_entropy, kl = article_loss(weights_of(model), x, epsilon)
    assert measured["held_out_loss"] == pytest.approx(np.mean(cross_entropy + kl), rel=1e-5)
    assert measured["held_out_reconstruction"] == pytest.approx(np.mean(cross_entropy), rel=1e-5)
    assert measured["held_out_kl"] == pytest.approx(np.mean(kl), rel=1e-5)


def test_evaluate_weighs_a_short_last_batch_by_its_size(bundled):
    config = vae.Config()
    model = vae.build(config)
    rows = np.r_[0:500, 0:500, 0:20]
    longer = dataclasses.replace(bundled, held_out_images=bundled.held_out_images[rows])
    batches = list(vae.held_out_batches(config, longer))
    assert [len(batch["images"]) for batch in batches] == [1000, 20]
    losses = np.concatenate([np.add(*model.loss_terms(batch)) for batch in batches])
    measured = vae.measure(model, config, longer)
    assert measured["held_out_loss"] == pytest.approx(losses.mean(), rel=1e-5)


def test_call_reconstructs_through_z_mean(bundled):
    model = vae.build(vae.Config())
    images = tf.constant(bundled.held_out_images[:7], tf.float32) / 255
    x = np.array(images, np.float64).reshape(-1, 784)
    *_, p = forward(weights_of(model), x, np.zeros([7, 2]))
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
    assert vae.measure(model, config, bundled)["held_out_loss"] < 195


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
    assert data.load(directory).name == "mnist"
    assert max(losses) <= 154.5
    assert np.mean(losses) <= 153.5
