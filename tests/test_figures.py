"""The notebooks' figures: what they show stands where it should."""

import numpy as np

from tf_gen.figures import vae

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
