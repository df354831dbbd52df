"""The notebooks' figures: what they show stands where it should."""

import numpy as np
from scipy import stats

from tf_gen.figures import ali, gaussian_gan, tensorflow_1, tiny_gan, vae

rng = np.random.default_rng(0)


def test_a_training_is_drawn_beside_the_article_s_log():
    training = np.array([[1, 600.0], [100, 200.0], [200, 170.0]])
    held_out = np.array([[100, 210.0], [200, 180.0]])
    article = np.array([[1, 616.3], [1000, 169.6], [2000, 163.5]])
    (axes,) = vae.training(training, held_out, article).axes
    for line, expected in zip(axes.lines, (article, training, held_out), strict=True):
        assert np.array_equal(line.get_xydata(), expected)
    assert axes.lines[0].get_linestyle() == "None"


def test_an_ellipse_lies_two_standard_deviations_around_the_mean():
    n, extent = 81, 4
    axis = np.linspace(-extent, extent, n)
    z0, z1 = np.meshgrid(axis, axis[::-1])  # the first row is at the top
    density = np.exp(-((z0 - 1) ** 2 + (z1 + 2) ** 2))
    means, stds = np.array([[1.0, -2.0]]), np.array([[0.5, 0.25]])
    figure = vae.posteriors(np.zeros([1, 28, 28]), density[None], extent, means, stds)
    axes = figure.axes[0]
    x, y = axes.lines[0].get_data()
    np.testing.assert_allclose(((x - 1) / 0.5) ** 2 + ((y + 2) / 0.25) ** 2, 4)
    assert np.allclose(np.mean(axes.get_xlim()), 1)  # around mean and mode
    assert np.allclose(np.mean(axes.get_ylim()), -2)


def test_each_model_has_its_codes_above_its_draws():
    codes = rng.normal(size=[5, 2])
    figure = vae.latent_spaces([("one", codes, np.ones([30, 4, 4]))], np.arange(5))
    top, bottom = figure.axes
    assert top.get_title() == "one"
    np.testing.assert_allclose(top.collections[0].get_offsets(), codes)
    assert top.patches[0].radius == 2
    assert bottom.images[0].get_array().shape == (20, 24)


def labelled(axes):
    """The lines of `axes` by their labels."""
    return {line.get_label(): line for line in axes.lines}


def test_the_first_loss_that_is_not_finite_is_marked():
    losses = np.ones([6, 2])
    losses[3:, 1] = np.inf
    losses[4:, 0] = np.nan
    figure = tensorflow_1.losses_of_runs({"broken": losses, "sound": np.ones([6, 2])}, 1.386)
    broken, sound = map(labelled, figure.axes)
    assert broken["first infinite loss"].get_xdata() == [4, 4]
    assert "first infinite loss" not in sound
    assert set(sound["2 ln 2 = 1.3860"].get_ydata()) == {1.386}


def test_a_logarithm_ends_where_it_is_infinite():
    logits = np.linspace(10, 20, 11)
    exact = -np.logaddexp(0, logits)
    graph = np.where(logits < 17, exact, -np.inf)
    ways = {"eager": exact, "tf.function": graph}
    (axes,) = tensorflow_1.logarithms(logits, ways, {"eager": exact, "tf.function": exact}).axes
    lines = labelled(axes)
    assert lines["as written, in a graph"].get_xdata().max() == 16
    assert lines["in a graph minus infinity from here on"].get_xydata().tolist() == [[16, exact[6]]]
    assert np.array_equal(lines["with logits"].get_ydata(), exact)


def test_losses_are_drawn_as_means_and_points_as_a_density():
    losses = np.stack([np.arange(600), np.arange(600) + 1], axis=1)
    points = rng.normal(4, 0.5, 20_000)
    grid = np.linspace(-8, 8, 50)
    left, right = gaussian_gan.learned(losses, points, grid, np.full(50, 0.5)).axes
    d_loss = labelled(left)["D's loss"]
    assert d_loss.get_xdata()[:2].tolist() == [10, 20]
    assert d_loss.get_ydata()[:2].tolist() == [4.5, 14.5]
    values, edges, _ = right.patches[0].get_data()
    assert np.isclose(np.sum(values * np.diff(edges)), 1)
    real = labelled(right)["real data"]
    np.testing.assert_allclose(real.get_ydata(), stats.norm.pdf(grid, 4, 0.5), atol=1e-12)


def test_the_quantile_function_is_the_best_generator():
    z = np.linspace(-8, 8, 200)
    lines = labelled(gaussian_gan.quantiles(z, np.sin(z)).axes[0])
    share = (np.arange(200) + 0.5) / 200
    ideal = lines["quantile function"].get_ydata()
    np.testing.assert_allclose(ideal, stats.norm.ppf(share, 4, 0.5), rtol=1e-6)
    assert np.array_equal(lines["trained G, sorted"].get_ydata(), np.sort(np.sin(z)))


def test_equal_points_have_no_distance_and_are_close():
    distances, closeness = gaussian_gan.closeness({"equal": np.ones([3, 2])}).axes
    assert np.array_equal(distances.images[0].get_array(), np.zeros([3, 3]))
    assert np.array_equal(closeness.images[0].get_array(), np.ones([3, 3]))


def test_a_generator_is_drawn_beside_the_ideal_one():
    z = (np.arange(1000) + 0.5) / 1000
    curve, histogram = tiny_gan.generator(stats.norm.ppf(z, 4, 1.25), 4.0, 1.25).axes
    lines = labelled(curve)
    np.testing.assert_allclose(lines["ideal G"].get_ydata(), lines["G"].get_ydata(), rtol=1e-6)
    width = histogram.patches[0].get_width()
    assert np.isclose(sum(bar.get_height() for bar in histogram.patches) * width, 1)


def test_a_log_has_a_line_for_each_row():
    rows = [{"step": 200, "d": 0.5, "mean": 4.0}, {"step": 400, "d": 0.25, "mean": 3.5}]
    lines = tiny_gan.table(rows, ["d"], ["mean"]).splitlines()[1:]
    assert [line.split() for line in lines] == [
        ["200", "0.5000", "4.000"],
        ["400", "0.2500", "3.500"],
    ]


def test_shares_rise_from_0_to_1():
    x = rng.normal(size=100)
    (line,) = tiny_gan.shares({"some": x}).axes[0].lines
    assert np.array_equal(line.get_xdata(), np.sort(x))
    assert (line.get_ydata()[0], line.get_ydata()[-1]) == (0, 1)


def test_losses_of_ali_stand_beside_those_of_held_out_pairs():
    history = [
        {"loss_d": 1.0, "loss_g": 2.0, "held_out": (1.5, 2.5), "d_encoder": 0.6, "d_decoder": 0.4},
        {"loss_d": 0.5, "loss_g": 4.0, "held_out": (0.7, 4.5), "d_encoder": 0.9, "d_decoder": 0.1},
    ]
    left, right = ali.course(np.array([100, 200]), history).axes
    losses, answers = labelled(left), labelled(right)
    assert list(losses["held-out loss_g"].get_ydata()) == [2.5, 4.5]
    assert list(losses["loss_d"].get_ydata()) == [1.0, 0.5]
    assert list(answers["D(P(z), z)"].get_ydata()) == [0.4, 0.1]
    assert left.get_yscale() == "log"


def test_pairs_keep_their_answers():
    images, codes = rng.random([4, 6, 6]), rng.uniform(-1, 1, [4, 4])
    figure = ali.pairs([("one", images, codes, np.array([0.9, 0.8, 0.2, 0.1]))])
    below = [axes for axes in figure.subfigs[0].axes if axes.get_xlabel()]
    assert [axes.get_xlabel() for axes in below] == ["D 0.90", "D 0.80", "D 0.20", "D 0.10"]
    for axes, code in zip(below, codes, strict=True):
        assert np.array_equal(axes.images[0].get_array().ravel(), code)
