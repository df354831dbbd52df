"""Figures of notebook 0: from TensorFlow 1."""

import math
import statistics

import numpy as np

from tf_gen.labels import word
from tf_gen.mosaic import mosaic
from tf_gen.plots import new_figure


def shipped_models(digits, points, targets):
    """What models generate, side by side: mosaics of digits, then histograms of points.

    Args:
        digits: dict of a model's name to float [n, height, width] in [0, 1], n a square number.
        points: dict of a model's name to float [n, 1].
        targets: dict of the same names to (mean, std) of the normal distribution of the data.
    """
    figure = new_figure(12, 3.2)
    all_axes = figure.subplots(1, len(digits) + len(points))
    for axes, (name, images) in zip(all_axes, digits.items(), strict=False):
        axes.imshow(mosaic(images, math.isqrt(len(images)), scale=1), cmap="gray")
        axes.set_title(name)
        axes.set_axis_off()
    for axes, (name, x) in zip(all_axes[len(digits) :], points.items(), strict=True):
        _histogram(axes, x, *targets[name])
        axes.set_title(name)
    return figure


def training(losses, x, mean, std):
    """The losses of a GAN while it learned N(mean, std), and what it generates in the end.

    Args:
        losses: float [steps, 2], of D and of G.
        x: float [n, 1], generated points.
        mean, std: floats.
    """
    figure = new_figure(10, 3.8)
    left, right = figure.subplots(1, 2)
    for name, values in zip(("loss_d", "loss_g"), losses.T, strict=True):
        left.plot(np.arange(1, len(values) + 1), values, label=name, linewidth=0.5)
    left.set(xlabel=word("training step"), ylabel=f"{word('loss')} [{word('nats')}]")
    left.legend()
    left.grid(alpha=0.3)
    _histogram(right, x, mean, std)
    return figure


def _histogram(axes, x, mean, std):
    x = np.ravel(x)
    width = 4 * std
    low, high = min(mean - width, x.min()), max(mean + width, x.max())
    axes.hist(x, 100, range=(low, high), density=True, color="C2", label=word("generated data"))
    grid = np.linspace(low, high, 400)
    normal = statistics.NormalDist(mean, std)
    axes.plot(grid, [normal.pdf(v) for v in grid], color="C1", label=f"N({mean:g}, {std:g})")
    axes.set(xlabel="x", ylabel=word("density"), ylim=(0, None))
    axes.set_ylim(0, 1.5 * axes.get_ylim()[1])  # room for the legend
    axes.legend(loc="upper right", fontsize=8)


def losses_of_runs(runs, level):
    """The losses of several trainings, one panel for each, on the same axes.

    Args:
        runs: dict of a title to float [iterations, 2], the losses of D and of G, which is what
            trains against D. A dotted line marks the first iteration in which one is not finite.
        level: where a horizontal line shows the losses that the theory expects at the equilibrium.
    """
    figure = new_figure(11, 3.8)
    all_axes = figure.subplots(1, len(runs), sharey=True, squeeze=False)[0]
    for axes, (title, losses) in zip(all_axes, runs.items(), strict=True):
        steps = np.arange(1, len(losses) + 1)
        axes.axhline(level, color="grey", linestyle="--", label=f"2 ln 2 = {level:.4f}", zorder=1)
        axes.plot(steps, losses[:, 0], label="loss_d", linewidth=2.5)  # they may lie on each other
        axes.plot(steps, losses[:, 1], label="loss_g", linewidth=1)
        broken = ~np.isfinite(losses).all(axis=1)
        if broken.any():
            words = word("first infinite loss")
            axes.axvline(steps[broken][0], color="black", linestyle=":", label=words)
        axes.set(title=word(title), xlabel=word("iteration"))
        axes.grid(alpha=0.3)
        axes.legend()
    all_axes[0].set_ylabel(f"{word('loss')} [{word('nats')}]")
    return figure


def logarithms(logits, as_written, with_logits):
    """log(1 - D + 1e-8) where D is near 1, in two forms; the first also in eager mode.

    Args:
        logits: float [n].
        as_written, with_logits: dicts with "eager" and "tf.function", float [n] each, which may be
            infinite.
    """
    figure = new_figure(8, 4.2)
    axes = figure.add_subplot(xlabel="logit l", ylabel=f"log(1 - D + 1e-8) [{word('nats')}]")
    eager, graph = as_written["eager"], as_written["tf.function"]
    finite = np.isfinite(graph)
    axes.plot(logits, eager, "C3-", label=word("as written, eager"))
    axes.plot(logits[finite], graph[finite], "C1-", linewidth=4, alpha=0.6)
    axes.lines[-1].set_label(word("as written, in a graph"))
    if not finite.all():
        end = {"marker": "X", "markersize": 10, "color": "C1", "linestyle": ""}
        words = word("in a graph minus infinity from here on")
        axes.plot(logits[finite][-1], graph[finite][-1], label=words, **end)
    axes.plot(logits, with_logits["tf.function"], "C0--", label=word("with logits"))
    axes.set(xlim=(5, 30), ylim=(-20, -4))
    axes.grid(alpha=0.3)
    axes.legend()
    return figure
