"""Figures of points that should be a Gaussian, against SciPy, closed forms and definitions."""

import types

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats

from tf_gen import loop, plots, tasks
from tf_gen.base import Generative
from tf_gen.models import gaussian_gan
from tf_gen.settings import Count, Location, Rate, Scale, Seed, Settings
from tf_gen.tasks import gaussian

pytestmark = pytest.mark.quick

CONFIG = gaussian_gan.Config(data_mean=-3.0, data_std=0.7)
QUANTILES = (np.arange(gaussian.POINTS) + 0.5) / gaussian.POINTS
EXACT = stats.norm(-3, 0.7).ppf(QUANTILES)


@pytest.fixture(scope="module")
def report():
    return gaussian.Report(CONFIG)


def flags(score):
    return {name: score[name] for name in ("close", "collapsed", "diverged")}


# ---- Real points and distances -------------------------------------------------------------------


def test_real_points_are_draws_of_the_data(report):
    assert report.real.shape == (10_000,)
    assert stats.kstest(report.real, stats.norm(-3, 0.7).cdf).pvalue > 0.01
    assert np.all(np.diff(report.real) >= 0)
    np.testing.assert_array_equal(report.real, gaussian.Report(CONFIG).real)
    assert report.wasserstein_1(report.real) == 0


@pytest.mark.parametrize("n", [500, 10_000])
def test_wasserstein_distance_is_scipys(report, n):
    for mean, std in [(-3, 0.7), (-3, 0), (-2.9, 0.6), (-3.5, 2), (40, 0.01)]:
        x = np.random.default_rng(n).normal(mean, std, n)
        exact = stats.wasserstein_distance(x, report.real)
        assert report.wasserstein_1(x) == pytest.approx(exact, abs=1e-3)
    x = report.real.reshape(n, -1).mean(axis=1)  # the worst case
    error = stats.wasserstein_distance(x, report.real) - report.wasserstein_1(x)
    assert 0 <= error < 0.004 * CONFIG.data_std


def test_moments_are_their_definitions():
    x = np.random.default_rng(1).exponential(size=1000)
    standard = (x - np.mean(x)) / np.sqrt(np.mean((x - np.mean(x)) ** 2))
    assert gaussian.moments(x) == pytest.approx(
        {
            "mean": np.sum(x) / 1000,
            "std": np.sqrt(np.mean((x - np.mean(x)) ** 2)),
            "skew": np.mean(standard**3),
            "kurtosis": np.mean(standard**4) - 3,
        }
    )


def test_moments_of_points_that_only_rounding_tells_apart():
    x = np.full(1000, 0.1, np.float32)
    x[::10] = np.nextafter(x[0], np.float32(1))
    expected = {"mean": np.float64(np.float32(0.1)), "std": 0, "skew": 0, "kurtosis": 0}
    assert gaussian.moments(x) == pytest.approx(expected, abs=1e-8)
    x[::10] = 0.2  # a difference that is one
    assert gaussian.moments(x)["skew"] == pytest.approx(stats.skew(x), rel=1e-5)


def test_density_integrates_to_the_share_within_the_picture(report):
    width = np.diff(report.edges)
    assert np.sum(report.density(EXACT) * width) == pytest.approx(1)
    outside = np.concatenate([EXACT, np.full(gaussian.POINTS, 99.0)])
    assert np.sum(report.density(outside) * width) == pytest.approx(0.5)
    far = gaussian.Report(gaussian_gan.Config(data_mean=50.0))
    assert far.edges[[0, -1]].tolist() == [-52, 52]
    assert report.edges[[0, -1]].tolist() == [-8, 8]
    assert len(report.edges) == len(far.edges) == 100


# ---- The score of generated points ---------------------------------------------------------------


def test_score_of_the_exact_distribution(report):
    score = report.score_points(np.float32(EXACT))
    assert score["ks"] == pytest.approx(0.5 / gaussian.POINTS, rel=0.01)
    assert score["w1"] < 0.02
    assert (score["mean"], score["std"]) == pytest.approx((-3, 0.7), rel=1e-3)
    assert abs(score["skew"]) < 1e-4
    assert abs(score["kurtosis"]) < 0.01
    assert flags(score) == {"close": True, "collapsed": False, "diverged": False}


@pytest.mark.parametrize(
    ("shift", "close", "diverged"),
    [
        (0.1, True, False),
        (-0.13, True, False),
        (0.15, False, False),
        (6.9, False, False),
        (-7.1, False, True),
    ],
)
def test_score_of_shifted_points(report, shift, close, diverged):
    score = report.score_points(report.real + shift)
    assert score["w1"] == pytest.approx(abs(shift))
    assert flags(score) == {"close": close, "collapsed": False, "diverged": diverged}
    exact = report.score_points(EXACT + shift)
    closed_form = 2 * stats.norm.cdf(abs(shift) / 2 / 0.7) - 1
    assert exact["ks"] == pytest.approx(closed_form, abs=2 / gaussian.POINTS)


@pytest.mark.parametrize(("width", "collapsed"), [(0.49, True), (0.51, False)])
def test_collapsed_is_less_than_half_as_wide(report, width, collapsed):
    narrow = -3 + width * (EXACT + 3)
    assert report.score_points(narrow)["collapsed"] == collapsed


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_score_of_points_that_are_not_finite(report, value):
    x = np.float32(EXACT)
    x[7] = value
    score = report.score_points(x)
    assert flags(score) == {"close": False, "collapsed": False, "diverged": True}
    assert all(np.isnan(score[name]) for name in ("mean", "std", "skew", "kurtosis", "w1", "ks"))
    assert score.keys() == report.score_points(np.float32(EXACT)).keys()
    assert not np.any(score["density"])


def test_score_of_a_single_point_ten_thousand_times(report):
    score = report.score_points(np.full(gaussian.POINTS, -3, np.float32))
    assert flags(score) == {"close": False, "collapsed": True, "diverged": False}
    assert (score["mean"], score["std"]) == (-3, 0)
    assert score["w1"] == pytest.approx(0.7 * np.sqrt(2 / np.pi), rel=0.02)  # mean of |x - mean|
    assert score["ks"] == 0.5


# ---- Data ----------------------------------------------------------------------------------------


def test_points_are_of_the_gaussian_and_noise_is_uniform():
    config = Config(batch_size=100, data_mean=-1.0, data_std=2.0)
    stack = next(iter(gaussian.blocks(config).dataset().batch(100)))
    assert {name: tuple(value.shape) for name, value in stack.items()} == {
        "x": (100, 100, 1),
        "z": (100, 100, 1),
    }
    assert stats.kstest(np.ravel(stack["x"]), stats.norm(-1, 2).cdf).pvalue > 1e-3
    assert stats.kstest(np.ravel(stack["z"]), "uniform").pvalue > 1e-3
    stack = next(iter(gaussian.blocks(config, x=[3, 7], a=[5], b=[5]).dataset().batch(100)))
    assert stack["x"].shape == (100, 3, 7)
    assert stack.keys() == {"x", "a", "b"}
    assert stack["a"].shape == stack["b"].shape == (100, 5)
    assert abs(np.corrcoef(np.ravel(stack["a"]), np.ravel(stack["b"]))[0, 1]) < 0.2


# ---- A recipe without a `Report` of its own ------------------------------------------------------


class Config(Settings):
    batch_size: Count = 50  # points an update
    learning_rate: Rate = 0.1  # of gradient descent
    data_mean: Location = 4.0  # of the Gaussian to learn
    data_std: Scale = 0.5  # its standard deviation
    steps: Count = 300  # updates in all
    log_every: Count = 100  # updates between two lines of the log
    seed: Seed = 0  # of data and noise


class Affine(Generative):
    """x = scale * z + shift for z from U(0, 1), whose two moments learn those of the data."""

    def __init__(self, config, **kwargs):
        super().__init__(config, **kwargs)
        self.scale = self.add_weight([], initializer="ones", name="scale")
        self.shift = self.add_weight([], initializer="zeros", name="shift")
        self(tf.zeros([1, 1]))

    def decode(self, z):
        return self.scale * z + self.shift

    def prior(self, count, seed):
        return tf.random.stateless_uniform([count, 1], seed, alg="philox")

    def update(self, batch):
        with tf.GradientTape() as tape:
            errors = [
                moment(self.decode(batch["z"])) - moment(batch["x"])
                for moment in (tf.reduce_mean, tf.math.reduce_std)
            ]
            loss = tf.add_n([error**2 for error in errors])
        variables = self.trainable_variables
        self.optimizer.apply(tape.gradient(loss, variables), variables)
        return {"loss": loss}


def build(config):
    import keras

    model = Affine(config)
    model.compile(keras.optimizers.SGD(config.learning_rate))
    return model


RECIPE = types.SimpleNamespace(
    Config=Config,
    PRESETS={"article": Config()},
    TASK="gaussian",
    build=build,
    blocks=gaussian.blocks,
)


@pytest.fixture(scope="module")
def trained():
    """A model of this recipe, its report, and the lines of its log."""
    config = Config()
    model, report = build(config), tasks.report(RECIPE, config)
    program = loop.program(model, report.observe)
    schedule = loop.calls(RECIPE.blocks(config), report)
    calls = list(loop.updates(model, program, schedule, 0, config.log_every))
    return model, report, [line for lines in calls for line in lines]


def test_a_recipe_without_a_report_has_the_tasks(trained):
    assert type(trained[1]) is gaussian.Report


def test_log_is_the_moments_of_evenly_spread_points(trained):
    model, report, lines = trained
    assert [line.step for line in lines] == [100, 200, 300]
    assert lines[-1].losses["loss"] < lines[0].losses["loss"]
    row = report.measure(lines[-1].seen)
    x = report.generate(model)
    assert row["mean"] == pytest.approx(x.mean(), abs=0.1)
    assert row["std"] == pytest.approx(x.std(), rel=0.1)
    assert row["mean"] == pytest.approx(4, abs=0.2)
    assert row["std"] == pytest.approx(0.5, abs=0.1)
    assert {f"real_{name}": value for name, value in gaussian.moments(report.real).items()} == {
        name: value for name, value in row.items() if name.startswith("real_")
    }
    line = report.log_line.format(step=300, **lines[-1].losses, **row)
    assert line.startswith("step 300: loss 0.0")
    assert f"mean {row['mean']:.3f}, std {row['std']:.3f}" in line


def test_what_is_generated_is_the_same_each_time(trained):
    model, report, lines = trained
    x = report.generate(model)
    assert x.shape == (10_000,)
    assert x.dtype == np.float32
    np.testing.assert_array_equal(x, report.generate(model))
    seen = report.observe(model)
    assert seen.shape == (1000,)
    np.testing.assert_allclose(lines[-1].seen, seen, rtol=1e-6)


def test_pictures_and_frames_of_a_recipe_without_a_report(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model, report, lines = trained
    rows = [{"step": line.step, **line.losses, **report.measure(line.seen)} for line in lines]
    history = [{name: str(value) for name, value in row.items()} for row in rows]
    pictures = report.pictures(model, history)
    assert list(pictures) == ["moments.png", "histogram.png"]
    moments, histogram = pictures.values()
    curves = [axes.get_lines()[-1].get_ydata() for axes in moments.axes]
    assert [len(curve) for curve in curves] == [3] * 4
    np.testing.assert_allclose(curves[1], [row["std"] for row in rows])
    targets = [set(axes.get_lines()[0].get_ydata()) for axes in moments.axes]
    assert targets == [{4.0}, {0.5}, {0.0}, {0.0}]
    legend = {text.get_text() for text in histogram.axes[0].get_legend().get_texts()}
    assert {"10,000 generated points", "N(4, 0.5)"} <= legend
    snapshot = report.snapshot(model)
    np.testing.assert_allclose(snapshot["generated"], report.density(report.generate(model)), 1e-6)
    snapshots = [{**snapshot, "step": step} for step in (20, 40)]
    first, second = report.frames(snapshots)
    assert first.shape == second.shape == (400, 600, 3)
    assert not np.array_equal(first, second)  # the counter
    assert not list(tmp_path.iterdir())


def test_score_of_a_recipe_without_a_report(trained, tmp_path):
    model, report, _ = trained
    score = report.score(model)
    expected = report.score_points(report.generate(model))
    assert score.keys() == expected.keys()
    assert all(np.array_equal(score[name], expected[name]) for name in score)
    assert score["close"]
    plots.save(report.draw_scores([score, score]), tmp_path / "seeds.png")
    assert (tmp_path / "seeds.png").stat().st_size > 1000
