"""ALI against float64 NumPy with hand-written backpropagation, and the facts of the original."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tf_gen import plots
from tf_gen.models import ali
from tf_gen.numerics import log_sigmoid

EPSILON = 1e-8  # of the article's log, and of its Adam
CONFIGS = {
    "article": ali.Config(seed=2),
    "bigan": dataclasses.replace(ali.PRESETS["bigan"], hidden_dim=24, batch_size=16, steps=12),
    "stable": dataclasses.replace(ali.PRESETS["stable"], hidden_dim=24, batch_size=16, steps=12),
    "three layers": ali.Config(
        hidden_dim=16, hidden_layers=3, latent_dim=5, z_layer=2, leak=0.1, cycle=0.3, l2=0.1
    ),
}
rng = np.random.default_rng(0)


# ---- The networks in float64 NumPy, independent of the package -----------------------------------


def sigmoid(x):
    return 0.5 * (1 + np.tanh(x / 2))


def log_slope(logits):
    """The derivative of log(sigmoid(l) + 1e-8)."""
    return sigmoid(logits) * sigmoid(-logits) / (sigmoid(logits) + EPSILON)


def variables_of(network):
    """Of each layer a dict of its trained variables; the last layer is the linear one."""
    last = [getattr(network, name) for name in ("z", "logits", "logit") if hasattr(network, name)]
    layers = []
    for layer in (*network.hidden, *last):
        dense, norm = getattr(layer, "dense", layer), getattr(layer, "norm", None)
        variables = {"kernel": dense.kernel}
        variables |= {"gamma": norm.gamma, "beta": norm.beta} if norm else {"bias": dense.bias}
        layers.append(variables)
    return layers


def layers_of(network):
    """The values of `variables_of` in float64."""
    return [{k: np.float64(v) for k, v in layer.items()} for layer in variables_of(network)]


def forward(layers, h, leak, z=None, z_layer=0):
    """The output, and what `backward` needs of each layer."""
    seen = []
    for number, layer in enumerate(layers, 1):
        if number == z_layer:
            h = np.concatenate([h, z], axis=1)
        cache = {"input": h}
        h = h @ layer["kernel"] + layer.get("bias", 0)
        if "gamma" in layer:
            cache["mean"], cache["variance"] = h.mean(axis=0), h.var(axis=0)
            cache["scale"] = 1 / np.sqrt(cache["variance"] + 1e-5)
            cache["normal"] = (h - cache["mean"]) * cache["scale"]
            h = layer["gamma"] * cache["normal"] + layer["beta"]
        if number < len(layers):
            cache["slope"] = np.where(h > 0, 1, leak)
            h = h * cache["slope"]
        seen.append(cache)
    return h, seen


def backward(layers, seen, d, z_layer=0, latent_dim=0):
    """From the gradient of the output: of the parameters, of the input and of z."""
    gradients, d_z = [], None
    for number in range(len(layers), 0, -1):
        layer, cache = layers[number - 1], seen[number - 1]
        if "slope" in cache:
            d = d * cache["slope"]
        if "gamma" in layer:
            normal = cache["normal"]
            gradient = {"gamma": np.sum(d * normal, axis=0), "beta": np.sum(d, axis=0)}
            d = d * layer["gamma"]
            d = cache["scale"] * (d - d.mean(axis=0) - normal * np.mean(d * normal, axis=0))
        else:
            gradient = {"bias": np.sum(d, axis=0)}
        gradient["kernel"] = cache["input"].T @ d
        gradients.insert(0, gradient)
        d = d @ layer["kernel"].T
        if number == z_layer:
            d, d_z = d[:, :-latent_dim], d[:, -latent_dim:]
    return gradients, d, d_z


class Adam:
    """TensorFlow 1's, over lists of dicts of parameters, with the rate of `Config`."""

    def __init__(self, config):
        self.config, self.t, self.m, self.v = config, 0, {}, {}

    def apply(self, networks, gradients):
        config, self.t = self.config, self.t + 1
        past_half = max(0, 2 * (self.t - 1) / config.steps - 1)
        rate = config.learning_rate * config.final_rate**past_half
        rate *= np.sqrt(1 - 0.999**self.t) / (1 - config.beta_1**self.t)
        for i, (layers, network) in enumerate(zip(networks, gradients, strict=True)):
            for j, (layer, gradient) in enumerate(zip(layers, network, strict=True)):
                for name, g in gradient.items():
                    key = i, j, name
                    g = g + (config.l2 * layer[name] if name == "kernel" else 0)
                    self.m[key] = config.beta_1 * self.m.get(key, 0) + (1 - config.beta_1) * g
                    self.v[key] = 0.999 * self.v.get(key, 0) + 0.001 * g**2
                    layer[name] = layer[name] - rate * self.m[key] / (
                        np.sqrt(self.v[key]) + EPSILON
                    )


class Original:
    """Weights and optimisers, and the article's iteration."""

    def __init__(self, config, model):
        self.config = config
        self.q, self.p, self.d = map(layers_of, (model.encoder, model.decoder, model.discriminator))
        self.d_adam, self.g_adam = Adam(config), Adam(config)
        self.moving = {}  # what batch normalisation keeps for inference

    def remember(self, network, seen):
        for number, cache in enumerate(seen):
            if "mean" in cache:
                mean, variance = self.moving.get((network, number), (0, 1))
                new = 0.99 * mean + 0.01 * cache["mean"], 0.99 * variance + 0.01 * cache["variance"]
                self.moving[network, number] = new

    def discriminate(self, x, z):
        """D's logits of one kind of pairs, [batch, 1], and what `backward` needs."""
        logits, seen = forward(self.d, x, self.config.leak, z, self.config.z_layer)
        self.remember("discriminator", seen)
        return logits, seen

    def back_through_d(self, seen, d):
        return backward(self.d, seen, d, self.config.z_layer, self.config.latent_dim)

    def iterate(self, x, z):
        config, n = self.config, len(x)
        q_out, q_seen = forward(self.q, x, config.leak)
        z_enc = np.tanh(q_out) if config.bounded else q_out
        p_in = np.concatenate([z, z_enc]) if config.cycle else z
        p_out, p_seen = forward(self.p, p_in, 0)
        generated = sigmoid(p_out)
        self.remember("encoder", q_seen)
        self.remember("decoder", p_seen)

        enc, enc_seen = self.discriminate(x, z_enc)
        gen, gen_seen = self.discriminate(generated[:n], z)
        loss_d = -np.mean(np.log(sigmoid(enc) + EPSILON) + np.log(sigmoid(-gen) + EPSILON))
        gradients, _, _ = self.back_through_d(enc_seen, -log_slope(enc) / n)
        others, _, _ = self.back_through_d(gen_seen, log_slope(-gen) / n)
        for layer, other in zip(gradients, others, strict=True):
            for name in layer:
                layer[name] = layer[name] + other[name]
        self.d_adam.apply([self.d], [gradients])

        enc, enc_seen = self.discriminate(x, z_enc)
        gen, gen_seen = self.discriminate(generated[:n], z)
        loss_g = -np.mean(np.log(sigmoid(gen) + EPSILON) + np.log(sigmoid(-enc) + EPSILON))
        _, _, d_z_enc = self.back_through_d(enc_seen, log_slope(-enc) / n)
        _, d_generated, _ = self.back_through_d(gen_seen, -log_slope(gen) / n)
        if config.cycle:
            d_cycle = 2 * config.cycle * (generated[n:] - x) / n
            d_generated = np.concatenate([d_generated, d_cycle])
        d = d_generated * generated * (1 - generated)
        p_gradients, d_p_in, _ = backward(self.p, p_seen, d)
        if config.cycle:
            d_z_enc = d_z_enc + d_p_in[n:]
        if config.bounded:
            d_z_enc = d_z_enc * (1 - z_enc**2)
        q_gradients, _, _ = backward(self.q, q_seen, d_z_enc)
        self.g_adam.apply([self.q, self.p], [q_gradients, p_gradients])
        return loss_d, loss_g


def numpy_batch(batch):
    return np.array(batch["images"]).reshape(-1, 784) / 255, np.float64(batch["z"])


def bits(layer):
    return [variable.numpy() for variable in layer.trainable_variables]


def same(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


# ---- Training ------------------------------------------------------------------------------------


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("config", CONFIGS.values(), ids=CONFIGS)
def test_ten_updates_are_the_originals(bundled, config, compiled):
    model = ali.build(config)
    original = Original(config, model)
    batches = ali.batches(config, bundled)
    expected = [original.iterate(*numpy_batch(batch)) for batch in batches.take(10)]
    if compiled:
        losses = tf.function(model.train_step, jit_compile=True)(next(iter(batches.batch(10))))
        ours = [losses["loss_d"], losses["loss_g"]]
        np.testing.assert_allclose(ours, np.mean(expected, axis=0), rtol=1e-4)
    else:
        losses = [model.update(batch) for batch in batches.take(10)]
        ours = [[row["loss_d"], row["loss_g"]] for row in losses]
        np.testing.assert_allclose(ours, expected, rtol=2e-4)
        np.testing.assert_allclose([row["loss"] for row in losses], np.sum(ours, 1), rtol=1e-6)
    for i, network, theirs, optimizer, adam in (
        (0, model.encoder, original.q, model.g_optimizer, original.g_adam),
        (1, model.decoder, original.p, model.g_optimizer, original.g_adam),
        (0, model.discriminator, original.d, model.d_optimizer, original.d_adam),
    ):
        for j, (a, b) in enumerate(zip(variables_of(network), theirs, strict=True)):
            assert a.keys() == b.keys()
            for name in a:
                # In steps of Adam, which where terms of a gradient cancel makes full ones of what
                # float32 leaves of them; ten steps of the wrong sign would be 20.
                error = np.abs(a[name] - b[name]) / config.learning_rate
                assert np.mean(error) < 0.03
                assert np.max(error) < 2
                index = optimizer._get_variable_index(a[name])
                m, v = adam.m[i, j, name], adam.v[i, j, name]
                ours = optimizer._momentums[index], optimizer._velocities[index]
                np.testing.assert_allclose(ours[0], m, rtol=0.01, atol=0.01 * np.max(np.abs(m)))
                np.testing.assert_allclose(ours[1], v, rtol=0.01, atol=0.01 * np.max(v))
    for (network, number), (mean, variance) in original.moving.items():
        norm = getattr(model, network).hidden[number].norm
        np.testing.assert_allclose(norm.moving_mean, mean, rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(norm.moving_variance, variance, rtol=1e-3)
    assert len(original.moving) == 3 * config.batch_norm
    assert model.d_optimizer.iterations == model.g_optimizer.iterations == 10


@pytest.mark.parametrize("preset", ali.PRESETS)
def test_each_step_leaves_the_other_networks_alone(bundled, preset):
    config = dataclasses.replace(ali.PRESETS[preset], hidden_dim=16)
    batch = next(iter(ali.batches(config, bundled)))
    for frozen in ("d", "g"):
        model = ali.build(config)
        if frozen == "d":
            model.d_optimizer.apply = lambda gradients, variables: None
        else:
            model.g_optimizer.apply = lambda gradients, variables: None
        networks = {"d": [model.discriminator], "g": [model.encoder, model.decoder]}
        before = {name: [bits(n) for n in of] for name, of in networks.items()}
        model.update(batch)
        for name, of in networks.items():
            for network, old in zip(of, before[name], strict=True):
                assert same(bits(network), old) == (name == frozen)
                if name != frozen:
                    changed = zip(bits(network), old, strict=True)
                    assert not any(np.array_equal(new, previous) for new, previous in changed)


# ---- Losses --------------------------------------------------------------------------------------


@pytest.mark.parametrize("compiled", [False, True])
def test_the_log_is_exact_within_one_unit_in_the_last_place(compiled):
    logits = np.linspace(-30, 30, 60_001, dtype=np.float32)
    ours = tf.function(log_sigmoid, jit_compile=compiled)(tf.constant(logits), EPSILON)
    exact = np.log(sigmoid(np.float64(logits)) + EPSILON)
    # 1e-6, and a unit in the last place, which is 2e-6 near the smallest value, -18.4.
    np.testing.assert_allclose(ours, exact, rtol=1.2e-7, atol=1e-6)
    np.testing.assert_allclose(ours, exact, rtol=1e-6, atol=1.5e-7)


@pytest.mark.parametrize("logit", [-200.0, -30.0, 0.0, 30.0, 200.0])
def test_losses_are_the_formulas_and_finite(logit):
    enc, gen = tf.Variable([logit, 1.0]), tf.Variable([-1.0, -logit])
    with tf.GradientTape(persistent=True) as tape:
        loss_d, loss_g = ali.discriminator_loss(enc, gen), ali.generator_loss(enc, gen)
    e, g = np.float64(enc), np.float64(gen)
    expected = -np.mean(np.log(sigmoid(e) + EPSILON) + np.log(sigmoid(-g) + EPSILON))
    np.testing.assert_allclose(loss_d, expected, rtol=1e-6)
    expected = -np.mean(np.log(sigmoid(g) + EPSILON) + np.log(sigmoid(-e) + EPSILON))
    np.testing.assert_allclose(loss_g, expected, rtol=1e-6)
    for loss in (loss_d, loss_g):
        assert all(np.all(np.isfinite(gradient)) for gradient in tape.gradient(loss, [enc, gen]))


def test_the_log_as_the_original_writes_it_is_not_finite():
    with np.errstate(divide="ignore"):
        probability = np.float32(1)  # what D says at a logit of 17
        assert np.log((np.float32(1) + np.float32(1e-8)) - probability) == -np.inf
    assert np.isfinite(ali.discriminator_loss(tf.zeros([1]), tf.constant([17.0])))


# ---- Networks and data ---------------------------------------------------------------------------


def test_sizes_and_initial_values_are_the_originals():
    model = ali.build(ali.Config())
    assert model.count_params() == 326_993
    for network, fan_ins in (
        (model.encoder, (784, 128)),
        (model.decoder, (64, 128)),
        (model.discriminator, (848, 128)),
    ):
        for layer, fan_in in zip(layers_of(network), fan_ins, strict=True):
            values = layer["kernel"].ravel() * np.sqrt(fan_in / 2)
            assert layer["kernel"].shape[0] == fan_in
            assert stats.kstest(values, "norm").pvalue > 1e-3
            assert not np.any(layer["bias"])


def test_sizes_of_bigan_are_the_papers():
    model = ali.build(ali.PRESETS["bigan"])
    kernels = {
        name: [layer["kernel"].shape for layer in layers_of(getattr(model, name))]
        for name in ("encoder", "decoder", "discriminator")
    }
    assert kernels == {
        "encoder": [(784, 1024), (1024, 1024), (1024, 50)],
        "decoder": [(50, 1024), (1024, 1024), (1024, 784)],
        "discriminator": [(784, 1024), (1074, 1024), (1024, 1)],
    }
    for name in kernels:
        assert [bool(h.norm) for h in getattr(model, name).hidden] == [False, True]
    rate = model.d_optimizer._learning_rate
    steps = np.array([0, 93_750, 140_625, 187_500])
    rates = [float(rate(tf.constant(step))) for step in steps]
    np.testing.assert_allclose(rates, [2e-4, 2e-4, 2e-5, 2e-6], rtol=1e-5)


@pytest.mark.parametrize("preset", ali.PRESETS)
def test_networks_are_the_formulas(bundled, preset):
    """At inference, where batch normalisation uses what it remembers."""
    config = dataclasses.replace(ali.PRESETS[preset], hidden_dim=16)
    model = ali.build(config)
    for variable in model.weights:
        if "moving" in variable.path:
            variable.assign(rng.uniform(0.5, 2, variable.shape))
    images = tf.constant(bundled.held_out_images[:5], tf.float32) / 255

    def infer(network, h, leak, z=None, z_layer=0):
        layers = layers_of(network)
        for number, layer in enumerate(layers, 1):
            h = np.concatenate([h, z], axis=1) if number == z_layer else h
            h = h @ layer["kernel"] + layer.get("bias", 0)
            if "gamma" in layer:
                norm = network.hidden[number - 1].norm
                mean, variance = np.float64(norm.moving_mean), np.float64(norm.moving_variance)
                h = (h - mean) / np.sqrt(variance + 1e-5) * layer["gamma"] + layer["beta"]
            h = np.where(h > 0, h, leak * h) if number < len(layers) else h
        return h

    x = np.float64(images).reshape(5, 784)
    z = infer(model.encoder, x, config.leak)
    z = np.tanh(z) if config.bounded else z
    np.testing.assert_allclose(model.encode(images), z, rtol=1e-4, atol=1e-5)
    decoded = sigmoid(infer(model.decoder, z, 0)).reshape(5, 28, 28)
    np.testing.assert_allclose(model.decode(tf.constant(z, tf.float32)), decoded, atol=1e-5)
    np.testing.assert_allclose(model(images), decoded, atol=1e-4)
    probability = sigmoid(infer(model.discriminator, x, config.leak, z, config.z_layer)[:, 0])
    ours = model.discriminate(images, tf.constant(z, tf.float32))
    np.testing.assert_allclose(ours, probability, atol=1e-4)


def test_batches_and_prior_are_the_originals(bundled):
    config = ali.Config()
    stack = next(iter(ali.batches(config, bundled).batch(141)))
    assert stack["images"].shape == (141, 32, 28, 28)
    assert stack["z"].shape == (141, 32, 64)
    assert stats.kstest(np.ravel(stack["z"]), stats.uniform(-1, 2).cdf).pvalue > 1e-3
    seen = np.reshape(stack["images"], [-1, 784])[:4500]
    assert sorted(map(bytes, seen)) == sorted(map(bytes, bundled.images.reshape(-1, 784)))
    z = ali.build(config).prior(500, [1, 2])
    assert z.shape == (500, 64)
    assert stats.kstest(np.ravel(z), stats.uniform(-1, 2).cdf).pvalue > 1e-3


# ---- Figures -------------------------------------------------------------------------------------


def test_log_line_is_the_originals():
    row = {"step": 1000, "loss_d": 0.38224, "loss_g": 12.041}
    assert ali.LOG_LINE.format(**row) == "Iter: 1000; D_loss: 0.3822; G_loss: 12.04"


def test_what_is_measured(bundled):
    config = ali.Config(seed=3)
    model = ali.build(config)
    images = np.float32(bundled.held_out_images) / 255
    row = ali.measure(model, config, bundled)
    assert row["reconstruction_error"] == pytest.approx(np.mean((images - model(images)) ** 2))
    assert row["d_encoder"] == pytest.approx(
        np.mean(model.discriminate(images, model.encode(images))), rel=1e-5
    )
    z = model.prior(500, [4, 5])
    model.prior = lambda count, seed: z[:count]
    row = ali.measure(model, config, bundled)
    expected = np.mean(model.discriminate(model.decode(z), z))
    assert row["d_decoder"] == pytest.approx(expected, rel=1e-5)


def test_z_is_drawn_anew_for_each_line_of_the_log(bundled):
    config = ali.Config()
    model = ali.build(config)
    seeds, prior = [], model.prior
    model.prior = lambda count, seed: seeds.append(tuple(np.array(seed))) or prior(count, seed)
    ali.measure(model, config, bundled)
    ali.measure(model, config, bundled)
    model.update(next(iter(ali.batches(config, bundled))))
    ali.measure(model, config, bundled)
    assert seeds[0] == seeds[1] != seeds[2]


def test_nearest_neighbours_are_looked_for_in_z_and_in_the_hidden_layer(judge, monkeypatch):
    config = ali.Config(seed=3)
    model = ali.build(config)
    model.encoder.z.bias.assign_add(tf.ones([64]))
    monkeypatch.setattr(ali.digits, "score", lambda *arguments: arguments)
    trained, untrained, layers, _ = ali.score(model, config, judge)
    assert trained is model
    assert layers.keys() == {"z", "hidden"}
    images = judge.held_out_images[:5]
    hidden, out = layers_of(model.encoder)
    h = np.maximum(np.float64(images).reshape(5, -1) @ hidden["kernel"] + hidden["bias"], 0)
    np.testing.assert_allclose(layers["hidden"](model, images), h, atol=1e-4)
    z = h @ out["kernel"] + out["bias"]
    np.testing.assert_allclose(layers["z"](model, images), z, atol=1e-4)
    np.testing.assert_allclose(layers["z"](untrained, images), z - 1, atol=1e-4)


def test_interpolations_run_from_image_to_image(bundled):
    model = ali.build(ali.Config())
    images = tf.constant(bundled.held_out_images[:20], tf.float32) / 255
    picture = ali.interpolations(model, images, rows=3, points=5)
    tiles = picture[::3, ::3].reshape(3, 28, 7, 28).swapaxes(1, 2)  # [row, column, 28, 28]
    np.testing.assert_allclose(tiles[:, 0], 255 * images[:3], atol=0.51)
    np.testing.assert_allclose(tiles[:, 6], 255 * images[-3:], atol=0.51)
    np.testing.assert_allclose(tiles[:, 1], 255 * model(images[:3]), atol=0.6)
    np.testing.assert_allclose(tiles[:, 5], 255 * model(images[-3:]), atol=0.6)
    middle = model.decode((model.encode(images[:3]) + model.encode(images[-3:])) / 2)
    np.testing.assert_allclose(tiles[:, 3], 255 * middle, atol=0.6)


def test_gif_shows_each_grid_of_the_log(bundled, tmp_path):
    from PIL import Image

    config = ali.Config()
    model = ali.build(config)
    history = []
    for step in (1000, 2000, 3000):
        model.encoder.z.bias.assign_add(tf.ones([64]))
        model.decoder.logits.bias.assign_add(tf.ones([784]))  # each grid is brighter
        ali.draw_progress(model, tmp_path, step)
        row = {"step": step, "loss_d": 1, "loss_g": 2, **ali.measure(model, config, bundled)}
        history.append({name: str(value) for name, value in row.items()})
    names = ali.draw_report(model, config, bundled, tmp_path, history)
    with Image.open(tmp_path / "samples.gif") as gif:
        assert gif.n_frames == 3
        brightness = []
        for frame in range(3):
            gif.seek(frame)
            brightness.append(np.mean(np.asarray(gif.convert("L"))))
    assert brightness[0] < brightness[1] < brightness[2]
    assert set(names) <= {path.name for path in tmp_path.iterdir()}
    grid = plots.read(tmp_path / "samples-001000.png")
    assert grid.shape == (4 * 28 * 3, 4 * 28 * 3)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"z_layer": 2}, "z_layer"),
        ({"cycle": -1.0}, "cycle"),
        ({"l2": float("nan")}, "l2"),
        ({"final_rate": 0.0}, "final_rate"),
        ({"leak": 1.0}, "leak"),
        ({"hidden_layers": 0}, "hidden_layers"),
        ({"batch_norm": True}, "batch_norm"),
        ({"batch_norm": True, "hidden_layers": 2, "batch_size": 1}, "batch_size"),
    ],
)
def test_bad_settings_are_refused(settings, words):
    with pytest.raises(ValueError, match=f"^{words} "):
        ali.Config(**settings)
