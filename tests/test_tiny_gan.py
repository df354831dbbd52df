"""tiny_gan against float64 NumPy and SciPy."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from scipy import special, stats

from tf_gen.models import tiny_gan

rng = np.random.default_rng(0)
INPUTS = ("raw", "squares", "differences", "moments")
VARIANTS = {
    f"{preset}-{inputs}": dataclasses.replace(config, inputs=inputs)
    for preset, config in tiny_gan.PRESETS.items()
    for inputs in INPUTS
}


# ---- The original in float64 NumPy, independent of the package -----------------------------------

# Value and derivative of each activation.
ACTIVATIONS = {
    "elu": (lambda a: np.where(a > 0, a, np.expm1(a)), lambda a: np.where(a > 0, 1, np.exp(a))),
    "tanh": (np.tanh, lambda a: 1 - np.tanh(a) ** 2),
    "sigmoid": (special.expit, lambda a: special.expit(a) * special.expit(-a)),
}


class Network:
    """Three linear maps with an activation after the first and the second."""

    def __init__(self, weights, *activations):
        self.w = weights
        self.activations = [ACTIVATIONS[name] for name in activations]

    def forward(self, x):
        self.inputs, self.a = [x], []
        for i in range(3):
            self.a.append(self.inputs[-1] @ self.w[2 * i] + self.w[2 * i + 1])
            if i < 2:
                self.inputs.append(self.activations[i][0](self.a[-1]))
        return self.a[-1]

    def backward(self, d):
        gradients = []
        for i in reversed(range(3)):
            if i < 2:
                d = d * self.activations[i][1](self.a[i])
            gradients = [self.inputs[i].T @ d, d.sum(0), *gradients]
            d = d @ self.w[2 * i].T
        return gradients, d


def seen(x, inputs):
    """What D sees of a batch x [n]: a row."""
    deviations = x - x.mean()
    if inputs == "moments":
        std = x.std()
        return np.array([[x.mean(), std, stats.skew(x), stats.kurtosis(x)]])
    parts = {"raw": [x], "squares": [x, deviations**2], "differences": [x, deviations]}[inputs]
    return np.concatenate(parts)[None]


def seen_backward(x, inputs, d):
    """Gradient of x [n] from that of `seen`, `d` [1, width]; the mean is a constant but in moments.

    For moments, with z = (x - mean) / std: d mean = 1/n, d std = z/n,
    d skew = 3/(n std) (z^2 - 1 - skew z), d kurtosis = 4/(n std) (z^3 - skew - E[z^4] z).
    """
    n, d = len(x), d[0]
    if inputs == "raw":
        return d
    if inputs == "squares":
        return d[:n] + 2 * (x - x.mean()) * d[n:]
    if inputs == "differences":
        return d[:n] + d[n:]
    std = x.std()
    z = (x - x.mean()) / std
    skew, fourth = np.mean(z**3), np.mean(z**4)
    return (
        d[0] / n
        + d[1] * z / n
        + d[2] * 3 / (n * std) * (z**2 - 1 - skew * z)
        + d[3] * 4 / (n * std) * (z**3 - skew - fourth * z)
    )


class Optimizer:
    """Adam, or PyTorch's SGD with momentum 0.9."""

    def __init__(self, config):
        self.config, self.t = config, 0
        self.m = self.v = None

    def apply(self, weights, gradients):
        if self.m is None:
            self.m = [0 * w for w in weights]
            self.v = [0 * w for w in weights]
        rate = self.config.learning_rate
        self.t += 1
        if self.config.optimizer == "sgd":
            self.m = [0.9 * m + g for m, g in zip(self.m, gradients, strict=True)]
            return [w - rate * m for w, m in zip(weights, self.m, strict=True)]
        self.m = [0.9 * m + 0.1 * g for m, g in zip(self.m, gradients, strict=True)]
        self.v = [0.999 * v + 0.001 * g**2 for v, g in zip(self.v, gradients, strict=True)]
        # Keras adds epsilon before the bias is corrected, PyTorch after; the rest is the same.
        rate *= np.sqrt(1 - 0.999**self.t) / (1 - 0.9**self.t)
        return [
            w - rate * m / (np.sqrt(v) + 1e-8)
            for w, m, v in zip(weights, self.m, self.v, strict=True)
        ]


def article_epoch(config, d_weights, g_weights, d_optimizer, g_optimizer, batch):
    """One epoch; returns mean losses of real, generated and G, and the weights of D and G."""
    g_activations = (config.g_activation_1, config.g_activation_2)
    d_activations = (config.d_activation, config.d_activation)
    x, z_d, z_g = (np.asarray(batch[name], np.float64) for name in ("x", "z_d", "z_g"))
    losses = np.zeros(3)
    for real, z in zip(x, z_d, strict=True):
        network = Network(d_weights, *d_activations)
        p = special.expit(network.forward(seen(real, config.inputs)))
        gradients, _ = network.backward(p - 1)  # of -log p by the logit
        losses[0] -= np.log(p[0, 0]) / len(x)
        points = Network(g_weights, *g_activations).forward(z[:, None])[:, 0]
        p = special.expit(network.forward(seen(points, config.inputs)))
        more, _ = network.backward(p)  # of -log(1 - p)
        losses[1] -= np.log(1 - p[0, 0]) / len(x)
        gradients = [a + b for a, b in zip(gradients, more, strict=True)]
        d_weights = d_optimizer.apply(d_weights, gradients)
    for z in z_g:
        generator = Network(g_weights, *g_activations)
        network = Network(d_weights, *d_activations)
        points = generator.forward(z[:, None])[:, 0]
        p = special.expit(network.forward(seen(points, config.inputs)))
        _, d_seen = network.backward(p - 1)
        losses[2] -= np.log(p[0, 0]) / len(z_g)
        gradients, _ = generator.backward(seen_backward(points, config.inputs, d_seen)[:, None])
        g_weights = g_optimizer.apply(g_weights, gradients)
    return losses, d_weights, g_weights


def layers_of(network):
    last = "x" if hasattr(network, "x") else "logits"
    return [network.hidden_1, network.hidden_2, getattr(network, last)]


def weights_of(network):
    layers = layers_of(network)
    return [v.numpy().astype(np.float64) for layer in layers for v in (layer.kernel, layer.bias)]


def slots_of(optimizer, network, name):
    """The optimiser's variables called `name`, in the order of `weights_of`."""
    of_path = dict(
        zip((v.path for v in network.trainable_variables), getattr(optimizer, name), strict=True)
    )
    layers = layers_of(network)
    return [of_path[v.path].numpy() for layer in layers for v in (layer.kernel, layer.bias)]


# ---- Updates -------------------------------------------------------------------------------------


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("config", VARIANTS.values(), ids=VARIANTS)
def test_ten_epochs_are_the_originals(config, compiled):
    config = dataclasses.replace(
        config, seed=3, d_steps=min(config.d_steps, 3), g_steps=min(config.g_steps, 2)
    )
    model = tiny_gan.build(config)
    d_weights, g_weights = weights_of(model.discriminator), weights_of(model.generator)
    d_optimizer, g_optimizer = Optimizer(config), Optimizer(config)
    expected = []
    for batch in tiny_gan.batches(config).take(10):
        losses, d_weights, g_weights = article_epoch(
            config, d_weights, g_weights, d_optimizer, g_optimizer, batch
        )
        expected.append(losses)
    names = ("loss_d_real", "loss_d_generated", "loss_g")
    if compiled:
        stack = next(iter(tiny_gan.batches(config).batch(10)))
        losses = tf.function(model.train_step, jit_compile=True)(stack)
        ours = [losses[name] for name in names]
        np.testing.assert_allclose(ours, np.mean(expected, axis=0), rtol=5e-5)
    else:
        losses = [model.update(batch) for batch in tiny_gan.batches(config).take(10)]
        ours = [[row[name] for name in names] for row in losses]
        np.testing.assert_allclose(ours, expected, rtol=5e-5)
        np.testing.assert_allclose([r["loss"] for r in losses], np.sum(ours, axis=1), rtol=1e-6)
    # Adam's steps depend on the ratio of small gradients, so the tolerance goes with the rate.
    for network, theirs in ((model.discriminator, d_weights), (model.generator, g_weights)):
        for a, b in zip(weights_of(network), theirs, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=0.1 * config.learning_rate)
    for network, ours, theirs in (
        (model.discriminator, model.d_optimizer, d_optimizer),
        (model.generator, model.g_optimizer, g_optimizer),
    ):
        assert ours.iterations == theirs.t
        if config.optimizer == "sgd":  # Keras keeps -rate times PyTorch's buffer
            slots = {"momentums": [-config.learning_rate * m for m in theirs.m]}
        else:
            slots = {"_momentums": theirs.m, "_velocities": theirs.v}
        for name, expected in slots.items():
            for a, b in zip(slots_of(ours, network, name), expected, strict=True):
                np.testing.assert_allclose(a, b, rtol=2e-3, atol=1e-4 * np.max(np.abs(b)))


@pytest.mark.parametrize("config", tiny_gan.PRESETS.values(), ids=tiny_gan.PRESETS)
def test_each_step_leaves_the_other_network_alone(config):
    model = tiny_gan.build(config)
    batch = next(iter(tiny_gan.batches(config)))
    d, g = weights_of(model.discriminator), weights_of(model.generator)
    model.update_d({"x": batch["x"][0], "z": batch["z_d"][0]})
    new_d = weights_of(model.discriminator)
    assert all(np.array_equal(a, b) for a, b in zip(g, weights_of(model.generator), strict=True))
    assert not any(np.array_equal(a, b) for a, b in zip(d, new_d, strict=True))
    model.update_g({"z": batch["z_g"][0]})
    new_g = weights_of(model.generator)
    assert all(
        np.array_equal(a, b) for a, b in zip(new_d, weights_of(model.discriminator), strict=True)
    )
    assert not any(np.array_equal(a, b) for a, b in zip(g, new_g, strict=True))


@pytest.mark.parametrize(("d_steps", "g_steps"), [(1, 4), (3, 1)])
def test_an_epoch_makes_so_many_steps(d_steps, g_steps):
    config = tiny_gan.Config(d_steps=d_steps, g_steps=g_steps)
    model = tiny_gan.build(config)
    model.update(next(iter(tiny_gan.batches(config))))
    assert model.d_optimizer.iterations == d_steps
    assert model.g_optimizer.iterations == g_steps


# ---- What D sees ---------------------------------------------------------------------------------


@pytest.mark.parametrize("inputs", INPUTS)
def test_what_the_discriminator_sees_and_how_gradients_flow(inputs):
    x = rng.normal(4, 1.25, 100)
    direction = rng.standard_normal([1, seen(x, inputs).shape[1]])
    points = tf.constant(x[None], tf.float32)
    with tf.GradientTape() as tape:
        tape.watch(points)
        ours = tiny_gan.INPUTS[inputs](points)
        value = tf.reduce_sum(ours * np.float32(direction))
    np.testing.assert_allclose(ours, seen(x, inputs), rtol=2e-4, atol=1e-5)
    gradient = tape.gradient(value, points)
    expected = seen_backward(x, inputs, direction)
    np.testing.assert_allclose(gradient[0], expected, rtol=1e-3, atol=1e-5)


def test_moments_of_a_constant_batch_have_a_finite_gradient():
    points = tf.fill([1, 10], 3.0)
    with tf.GradientTape() as tape:
        tape.watch(points)
        moments = tiny_gan.moments(points)
    np.testing.assert_allclose(moments, [[3, 0, 0, -3]], atol=1e-5)
    assert np.all(np.isfinite(tape.gradient(moments, points)))


def test_formula_of_the_moments_gradient_against_differences():
    x = rng.normal(4, 1.25, 30)
    d = rng.standard_normal([1, 4])
    for i in range(5):
        step = 1e-6 * (np.arange(30) == i)
        numerical = np.sum((seen(x + step, "moments") - seen(x - step, "moments")) * d) / 2e-6
        assert seen_backward(x, "moments", d)[i] == pytest.approx(numerical, rel=1e-5)


# ---- Networks and data ---------------------------------------------------------------------------


def test_sizes_are_the_originals():
    for preset, inputs, d_size, g_size in (
        ("article", "squares", 12_651, 2_701),
        ("article", "raw", 7_651, 2_701),
        ("article", "differences", 12_651, 2_701),
        ("moments", "moments", 171, 46),
    ):
        config = dataclasses.replace(tiny_gan.PRESETS[preset], inputs=inputs)
        model = tiny_gan.build(config)
        assert model.discriminator.count_params() == d_size
        assert model.generator.count_params() == g_size


def test_weights_and_biases_start_uniform_within_the_bound_of_their_fan_in():
    models = [tiny_gan.build(tiny_gan.Config(seed=seed)) for seed in range(12)]
    for network, fan_ins in (("discriminator", (200, 50, 50)), ("generator", (1, 50, 50))):
        networks = [weights_of(getattr(model, network)) for model in models]
        for i, fan_in in enumerate(fan_ins):
            for j in (2 * i, 2 * i + 1):
                values = np.concatenate([weights[j].ravel() for weights in networks])
                scaled = values * np.sqrt(fan_in)
                assert stats.kstest(scaled, stats.uniform(-1, 2).cdf).pvalue > 1e-3


@pytest.mark.parametrize("preset", tiny_gan.PRESETS)
def test_batches_are_the_originals(preset):
    config = dataclasses.replace(tiny_gan.PRESETS[preset], data_mean=-1.0, data_std=2.0)
    batches = next(iter(tiny_gan.batches(config).batch(50)))
    x, z_d, z_g = (np.float64(batches[name]) for name in ("x", "z_d", "z_g"))
    assert x.shape == z_d.shape == (50, config.d_steps, config.batch_size)
    assert z_g.shape == (50, config.g_steps, config.batch_size)
    assert stats.kstest(x.ravel(), stats.norm(-1, 2).cdf).pvalue > 1e-3
    assert np.any(np.diff(x, axis=2) < 0)  # not sorted
    for z in (z_d, z_g):
        assert stats.kstest(z.ravel(), "uniform").pvalue > 1e-3
    assert abs(np.corrcoef(z_d[:, 0].ravel(), z_g[:, 0].ravel())[0, 1]) < 0.1


def test_prior_is_uniform():
    z = tiny_gan.build(tiny_gan.Config()).prior(5000, [1, 2])
    assert z.shape == (5000, 1)
    assert stats.kstest(z[:, 0], "uniform").pvalue > 1e-3


# ---- Figures -------------------------------------------------------------------------------------


def test_log_tells_the_moments_of_real_and_generated_points():
    config = tiny_gan.Config()
    model = tiny_gan.build(config)
    row = tiny_gan.measure(model, config, None, model.observe().numpy())
    x = np.float64(model.decode(np.random.default_rng(0).uniform(size=[100_000, 1])))[:, 0]
    assert row["mean"] == pytest.approx(np.mean(x), abs=4 * np.std(x) / 300)
    assert row["std"] == pytest.approx(np.std(x), rel=0.01)
    assert row["skew"] == pytest.approx(stats.skew(x), abs=0.03)
    assert row["kurtosis"] == pytest.approx(stats.kurtosis(x), abs=0.06)
    assert row["real_mean"] == pytest.approx(4, abs=0.05)
    assert row["real_std"] == pytest.approx(1.25, abs=0.04)
    assert row["real_skew"] == pytest.approx(0, abs=0.1)
    assert row["real_kurtosis"] == pytest.approx(0, abs=0.2)
    model.update(next(iter(tiny_gan.batches(config))))
    later = tiny_gan.measure(model, config, None, model.observe().numpy())
    assert all((row[name] == later[name]) == name.startswith("real_") for name in row)
    row = {"step": 200, **dict.fromkeys(model.losses_reported, 0.5), **row}
    line = tiny_gan.LOG_LINE.format(**row)
    assert line.startswith("Epoch 200: D (0.5000 real_err, 0.5000 fake_err) G (0.5000 err)")
    assert f"{row['real_std']:.3f}" in line
    assert f"{row['kurtosis']:.3f}" in line


def test_a_sure_and_wrong_discriminator_gives_finite_losses():
    config = tiny_gan.Config()
    model = tiny_gan.build(config)
    model.discriminator.logits.bias.assign([150.0])
    losses = model.update(next(iter(tiny_gan.batches(config))))
    assert 140 < losses["loss_d_generated"] < 160  # PyTorch's BCELoss stops at 100
    assert all(np.all(np.isfinite(v)) for v in model.weights)
