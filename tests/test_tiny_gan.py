"""tiny_gan against float64 NumPy and SciPy."""

import dataclasses

import keras
import numpy as np
import oracles
import pytest
import tensorflow as tf
from oracles import none_same, same, seen, seen_backward, slots, values
from scipy import stats

from tf_gen import evaluate, tasks
from tf_gen.models import tiny_gan

quick = pytest.mark.quick
rng = np.random.default_rng(0)
INPUTS = ("raw", "squares", "differences", "moments", "sorted")
VARIANTS = {
    f"{preset}-{inputs}": dataclasses.replace(config, inputs=inputs)
    for preset, config in tiny_gan.PRESETS.items()
    for inputs in INPUTS
    if (inputs == "sorted") == (preset == "stable")  # at the start of the others all points tie
}


# ---- Updates -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "compiled"),
    oracles.cases(VARIANTS, quickly=("article-squares", "moments-moments", "stable-sorted")),
)
def test_ten_epochs_are_the_originals(config, compiled):
    config = dataclasses.replace(
        config, seed=3, d_steps=min(config.d_steps, 3), g_steps=min(config.g_steps, 2)
    )
    model = tiny_gan.build(config)
    oracle = oracles.TinyGAN(model, config)
    batches = tiny_gan.batches(config)
    expected = [oracle.update(batch) for batch in batches.take(10)]
    names = ("loss_d_real", "loss_d_generated", "loss_g")
    if compiled:
        losses = tf.function(model.train_step, jit_compile=True)(next(iter(batches.batch(10))))
        ours = [losses[name] for name in names]
        np.testing.assert_allclose(ours, np.mean(expected, axis=0), rtol=1e-6)
    else:
        losses = [model.update(batch) for batch in batches.take(10)]
        ours = [[row[name] for name in names] for row in losses]
        np.testing.assert_allclose(ours, expected, rtol=1e-6)
        np.testing.assert_allclose([r["loss"] for r in losses], np.sum(ours, axis=1), rtol=1e-6)
    for trained, ours in ((oracle.d, model.d_optimizer), (oracle.g, model.g_optimizer)):
        for a, b in zip(trained.variables, trained.weights, strict=True):
            # Adam's steps depend on the ratio of small gradients, so the tolerance goes with the
            # rate.
            np.testing.assert_allclose(a, b, rtol=1e-4, atol=0.1 * config.learning_rate)
        theirs = trained.optimizer
        assert ours.iterations == theirs.t
        if config.optimizer == "sgd":  # Keras keeps -rate times PyTorch's buffer
            kept = {"momentum": [-config.learning_rate * m for m in theirs.m]}
        else:
            kept = {"momentum": theirs.m, "velocity": theirs.v}
        for name, expected in kept.items():
            for a, b in zip(slots(ours, trained.variables, name), expected, strict=True):
                np.testing.assert_allclose(a, b, rtol=2e-3, atol=1e-4 * np.max(np.abs(b)))


@quick
@pytest.mark.parametrize("config", tiny_gan.PRESETS.values(), ids=tiny_gan.PRESETS)
def test_each_step_leaves_the_other_network_alone(config):
    model = tiny_gan.build(config)
    batch = next(iter(tiny_gan.batches(config)))
    d, g = values(model.discriminator.weights), values(model.generator.weights)
    model.update_d({"x": batch["x"][0], "z": batch["z_d"][0]})
    new_d = values(model.discriminator.weights)
    assert same(g, model.generator.weights)
    assert none_same(d, new_d)
    model.update_g({"z": batch["z_g"][0]})
    assert same(new_d, model.discriminator.weights)
    assert none_same(g, model.generator.weights)


@quick
@pytest.mark.parametrize(("d_steps", "g_steps"), [(1, 4), (3, 1)])
def test_an_epoch_makes_so_many_steps(d_steps, g_steps):
    config = tiny_gan.Config(d_steps=d_steps, g_steps=g_steps)
    model = tiny_gan.build(config)
    model.update(next(iter(tiny_gan.batches(config))))
    assert model.d_optimizer.iterations == d_steps
    assert model.g_optimizer.iterations == g_steps


# ---- What D sees ---------------------------------------------------------------------------------


@quick
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


@quick
def test_moments_of_a_constant_batch_have_a_finite_gradient():
    points = tf.fill([1, 10], 3.0)
    with tf.GradientTape() as tape:
        tape.watch(points)
        moments = tiny_gan.moments(points)
    np.testing.assert_allclose(moments, [[3, 0, 0, -3]], atol=1e-5)
    assert np.all(np.isfinite(tape.gradient(moments, points)))


@quick
def test_formula_of_the_moments_gradient_against_differences():
    x = rng.normal(4, 1.25, 30)
    d = rng.standard_normal([1, 4])
    for i in range(5):
        step = 1e-6 * (np.arange(30) == i)
        numerical = np.sum((seen(x + step, "moments") - seen(x - step, "moments")) * d) / 2e-6
        assert seen_backward(x, "moments", d)[i] == pytest.approx(numerical, rel=1e-5)


# ---- Networks and data ---------------------------------------------------------------------------


@quick
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
    configs = [tiny_gan.Config(seed=seed) for seed in range(12)]
    starts = [oracles.TinyGAN(tiny_gan.build(config), config) for config in configs]
    for network, fan_ins in (("d", (200, 50, 50)), ("g", (1, 50, 50))):
        networks = [getattr(oracle, network).weights for oracle in starts]
        for i, fan_in in enumerate(fan_ins):
            for j in (2 * i, 2 * i + 1):
                values = np.concatenate([weights[j].ravel() for weights in networks])
                scaled = values * np.sqrt(fan_in)
                assert stats.kstest(scaled, stats.uniform(-1, 2).cdf).pvalue > 1e-3


@quick
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


@quick
def test_prior_is_uniform():
    z = tiny_gan.build(tiny_gan.Config()).prior(5000, [1, 2])
    assert z.shape == (5000, 1)
    assert stats.kstest(z[:, 0], "uniform").pvalue > 1e-3


# ---- Figures -------------------------------------------------------------------------------------


@quick
def test_log_tells_the_moments_of_real_and_generated_points():
    config = tiny_gan.Config()
    model, report = tiny_gan.build(config), tasks.report(tiny_gan, config)
    row = report.measure(report.observe(model).numpy())
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
    later = report.measure(report.observe(model).numpy())
    assert all((row[name] == later[name]) == name.startswith("real_") for name in row)
    row = {"step": 200, **dict.fromkeys(model.losses_reported, 0.5), **row}
    line = report.log_line.format(**row)
    assert line.startswith("Epoch 200: D (0.5000 real_err, 0.5000 fake_err) G (0.5000 err)")
    assert f"{row['real_std']:.3f}" in line
    assert f"{row['kurtosis']:.3f}" in line


@quick
def test_a_sure_and_wrong_discriminator_gives_finite_losses():
    config = tiny_gan.Config()
    model = tiny_gan.build(config)
    model.discriminator.logits.bias.assign([150.0])
    losses = model.update(next(iter(tiny_gan.batches(config))))
    assert 140 < losses["loss_d_generated"] < 160  # PyTorch's BCELoss stops at 100
    assert all(np.all(np.isfinite(v)) for v in model.weights)


@quick
def test_adam_is_pytorchs_also_where_gradients_are_as_small_as_epsilon():
    weights = rng.standard_normal(50)
    variable = keras.Variable(np.float32(weights))
    ours = tiny_gan.AdamPyTorch(0.001, epsilon=1e-8)
    ours.build([variable])
    theirs = oracles.AdamPyTorch(0.001)
    start = np.float64(variable.numpy())
    expected = start
    for _ in range(10):
        gradient = np.float32(rng.standard_normal(50) * 10.0 ** rng.uniform(-10, 0, 50))
        ours.apply([tf.constant(gradient)], [variable])
        (expected,) = theirs.apply([expected], [np.float64(gradient)])
    # Of the way from the start, as far as float32 has weights of this size.
    np.testing.assert_allclose(variable.numpy() - start, expected - start, rtol=1e-5, atol=1e-6)


@quick
def test_linear_decay():
    config = tiny_gan.PRESETS["stable"]
    for optimizer in (tiny_gan.build(config).d_optimizer, tiny_gan.build(config).g_optimizer):
        for step in (0, 5_000, 15_000):
            optimizer.iterations.assign(step)
            assert float(optimizer.learning_rate) == pytest.approx(0.001 * (1 - step / 20_000))


@pytest.mark.slow
@pytest.mark.parametrize(("steps", "seeds"), [(20_000, 20), (100_000, 5)])
def test_stable_learns_the_bell_from_seeds_not_used_in_its_making(steps, seeds, tmp_path):
    config = dataclasses.replace(tiny_gan.PRESETS["stable"], steps=steps)
    report = tasks.report(tiny_gan, config)
    numbers = range(1000, 1000 + seeds)
    scores = evaluate.train_seeds(tiny_gan, report, tmp_path / "seeds", numbers)
    oracles.assert_bells(scores, config)
