"""Figures of notebook 1: a variational autoencoder."""

import numpy as np
from matplotlib.patches import Circle

from tf_gen import plots
from tf_gen.labels import word


def training(training, held_out, article):
    """The losses of a training beside the article's log; both axes are logarithmic.

    Args:
        training, held_out, article: float [n, 2] each, of any n: a step, and the loss there.
    """
    figure = plots.new_figure(8, 4)
    axes = figure.add_subplot(xlabel=word("training step"), ylabel=word("nats an image"))
    axes.plot(*article.T, "k.", label=word("the article's log: one batch of MNIST"))
    axes.plot(*training.T, label=word("training loss"))
    axes.plot(*held_out.T, label=word("held-out loss"))
    axes.set(xscale="log", yscale="log")
    ticks = [150, 200, 300, 400, 600]
    axes.set_yticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()
    axes.legend()
    axes.grid(alpha=0.3)
    return figure


def gradients(logit, of_cross_entropy, of_squared_error):
    """The gradient of each loss against the logit of a black pixel, float [n] all three."""
    figure = plots.new_figure(6, 3)
    label = word("logit of a pixel that should be black, x = 0")
    axes = figure.add_subplot(xlabel=label, ylabel=word("gradient"))
    axes.plot(logit, of_cross_entropy, label=word("cross entropy"))
    axes.plot(logit, of_squared_error, label=word("squared error"))
    axes.legend()
    return figure


def latent_spaces(models, labels):
    """For each model where it puts held-out digits, and what it makes of draws from the prior.

    Args:
        models: list of (name, codes float [n, 2], images float [30, 28, 28]).
        labels: int [n], the digits, which are the colours of the codes.
    """
    figure = plots.new_figure(3 * len(models), 6)
    columns = figure.subplots(2, len(models), squeeze=False).T
    for (name, codes, images), (top, bottom) in zip(models, columns, strict=True):
        top.scatter(*codes.T, c=labels, cmap="tab10", s=6)
        top.add_patch(Circle((0, 0), 2, fill=False))
        top.set(title=word(name), aspect="equal")
        bottom.imshow(plots.mosaic(images, 6, scale=1), cmap="gray")
        bottom.set(title=word("drawn from the prior"), xticks=[], yticks=[])
    return figure


def posteriors(images, densities, extent, means, stds):
    """The exact posterior of each image, and the encoder's Gaussian as an ellipse of two sd.

    Args:
        images: float [m, 28, 28].
        densities: float [m, n, n], p(z|x) on a square grid, first row at the top.
        extent: float, the grid goes from -extent to extent in both coordinates.
        means, stds: float [m, 2], of q(z|x).
    """
    figure = plots.new_figure(3 * len(images), 3.2)
    turn = np.linspace(0, 2 * np.pi, 60)
    axis = np.linspace(-extent, extent, densities.shape[1])
    for i, axes in enumerate(figure.subplots(1, len(images), squeeze=False)[0]):
        (mean, std), density = (means[i], stds[i]), densities[i]
        row, column = np.unravel_index(density.argmax(), density.shape)
        mode = np.array([axis[column], axis[::-1][row]])
        middle, half = (mean + mode) / 2, 0.6 + 0.5 * np.abs(mean - mode).max()
        edges = (-extent, extent, -extent, extent)
        axes.imshow(density, extent=edges, cmap="magma", interpolation="bilinear")
        axes.set(xlim=middle[0] + [-half, half], ylim=middle[1] + [-half, half])
        axes.plot(mean[0] + 2 * std[0] * np.cos(turn), mean[1] + 2 * std[1] * np.sin(turn), "w")
        corner = axes.inset_axes([0, 0, 0.3, 0.3])
        corner.imshow(images[i], cmap="gray")
        corner.set_axis_off()
    return figure


def coin(heads, probabilities, theta, likelihoods):
    """Probabilities of the outcomes of a coin, and likelihoods of coins given an outcome.

    Args:
        heads, probabilities: int [n] and float [n].
        theta, likelihoods: float [m] each.
    """
    figure = plots.new_figure(9, 2.8)
    left, right = figure.subplots(1, 2)
    left.bar(heads, probabilities)
    left.set(xlabel=word("heads of 10"), title=word("probability of each outcome, fair coin"))
    right.plot(theta, likelihoods)
    right.axvline(theta[likelihoods.argmax()], color="grey", linestyle="--")
    title = word("likelihood of each coin, 7 heads of 10")
    right.set(xlabel="$\\theta$", title=title)
    return figure


def log_likelihood(mu, sigma, values, best):
    """Contours of a log-likelihood, float [m, n] as `mu` and `sigma`, and the point `best`."""
    figure = plots.new_figure(5, 3.2)
    axes = figure.add_subplot(xlabel="$\\mu$", ylabel="$\\sigma$")
    axes.contour(mu, sigma, values, levels=values.max() - np.arange(12)[::-1] ** 2 / 2)
    axes.plot(*best, "k+", markersize=12)
    axes.set_title(word("log-likelihood of 100 points, + by the formulas"))
    return figure


def mixture(x, grid, densities, log_likelihoods):
    """The course of EM: data, densities of the mixture after some iterations, log-likelihoods.

    Args:
        x: float [points].
        grid: float [n], where the densities are known.
        densities: dict of the number of iterations to float [n].
        log_likelihoods: float [iterations].
    """
    figure = plots.new_figure(10, 3)
    left, right = figure.subplots(1, 2)
    left.hist(x, bins=40, density=True, color="lightgrey")
    for number, density in densities.items():
        left.plot(grid, density, label=word("after {} iterations").format(number))
    left.legend(fontsize=8)
    left.set(xlabel="x", title=word("data and mixture"))
    right.plot(log_likelihoods)
    right.set(xlabel=word("iteration"), title=word("log-likelihood"))
    return figure


def bound(mu, exact, below, at):
    """A log-likelihood and its lower bound against a parameter, float [n] each; a dot at `at`."""
    figure = plots.new_figure(6, 3)
    axes = figure.add_subplot(xlabel="$\\mu_2$")
    axes.plot(mu, exact, label=word("log-likelihood"))
    axes.plot(mu, below, label=word("bound, q of the E step at the dot"))
    axes.plot(at, np.interp(at, mu, exact), "ko")
    axes.legend()
    return figure
