"""Figures of notebook 3: the GAN in 50 lines.

The data are N(mean, std), two floats. A generator is shown by what it makes of n evenly spaced z,
(k + 1/2) / n for k = 0 .. n - 1.
"""

from statistics import NormalDist

import numpy as np

from tf_gen import plots
from tf_gen.labels import word

COLOURS = {"data": "C1", "generated": "C2", "other": "C0"}


def ideal_and_straight(ideal, straight):
    """Two generators, float [n] each at evenly spaced z: their curves, and what they generate."""
    figure = plots.new_figure(9, 3)
    curves, histograms = figure.subplots(1, 2)
    for x, name, kind in ((ideal, "ideal G", "data"), (straight, "straight G", "other")):
        options = {"color": COLOURS[kind], "label": word(name)}
        curves.plot(_evenly_spaced(len(x)), x, **options)
        histograms.hist(x, bins=40, range=(-1, 9), density=True, alpha=0.6, **options)
    curves.set(title=word("two generators"), xlabel="z", ylabel="G(z)")
    histograms.set(title=word("what they generate"), xlabel="x", ylabel=word("density"))
    histograms.legend()
    return figure


def generator(x, mean, std, name="G"):
    """G at evenly spaced z, float [n], beside the ideal curve, and as a histogram of its points."""
    figure = plots.new_figure(9, 3)
    curve, histogram = figure.subplots(1, 2)
    z, normal = _evenly_spaced(len(x)), NormalDist(mean, std)
    curve.plot(z, [normal.inv_cdf(v) for v in z], COLOURS["data"], label=word("ideal G"))
    curve.plot(z, x, COLOURS["generated"], label=name)
    curve.set(xlabel="z", ylabel="G(z)")
    curve.legend()
    ends = min(mean - 4 * std, np.min(x)), max(mean + 4 * std, np.max(x))
    options = {"color": COLOURS["generated"], "label": word("points of {}").format(name)}
    histogram.hist(x, bins=50, range=ends, density=True, **options)
    _bell(histogram, np.linspace(*ends, 400), mean, std)
    histogram.set(xlabel="x", ylabel=word("density"))
    histogram.legend()
    return figure


def course(rows, targets):
    """How moments change while a model trains.

    Args:
        rows: list of dicts with `step`, an int, and the names in `targets`, floats.
        targets: dict of four names to the values that they should reach.
    """
    figure = plots.new_figure(10, 5)
    steps = [row["step"] for row in rows]
    all_axes = figure.subplots(2, 2, sharex=True)
    for axes, (name, target) in zip(all_axes.ravel(), targets.items(), strict=True):
        label = word("data: {:g}").format(target)
        axes.axhline(target, color=COLOURS["data"], linestyle="--", label=label)
        values = [row[name] for row in rows]
        axes.plot(steps, values, COLOURS["generated"], label=word("generated"))
        axes.set_ylabel(word(name))
        axes.grid(alpha=0.3)
    all_axes[0, 0].legend()
    for axes in all_axes[1]:
        axes.set_xlabel(word("epoch (one round of the loop)"))
    return figure


def table(rows, losses, moments):
    """A log as text: a heading, and a line for each of `rows`.

    Args:
        rows: list of dicts with `step`, an int, and the names in the next two, floats.
        losses: the names of the losses of D on a real and on a generated batch, and of G.
        moments: the names of mean, standard deviation, skew and kurtosis.
    """
    lines = [word(" epoch   D, real    D, gen.         G      mean     std    skew  kurtosis")]
    for row in rows:
        first = "".join(f" {row[name]:9.4f}" for name in losses)
        second = "".join(f" {row[name]:7.3f}" for name in moments)
        lines.append(f"{row['step']:6d}{first}  {second}")
    return "\n".join(lines)


def views(seen):
    """What D sees of a real batch and of one of the straight G, in several ways.

    Of views longer than a batch of 100 the last 100 numbers are shown.

    Args:
        seen: dict of the name of a way to float [2, length]: the real batch, then the other.
    """
    figure = plots.new_figure(14, 3)
    all_axes = figure.subplots(1, len(seen))
    for axes, (way, rows) in zip(all_axes, seen.items(), strict=True):
        for row, style, name in zip(rows, ("C1o", "C0x"), ("real", "straight G"), strict=True):
            axes.plot(row[-100:], style, markersize=4, label=word(name))
        axes.set(title=way, xlabel=word("place in the vector"))
        if way == "moments":
            names = [word(name) for name in ("mean", "std", "skew", "kurtosis")]
            axes.set_xticks(range(4), names, rotation=30)
            axes.legend()
    return figure


def losses(histories, levels):
    """The losses of several models side by side.

    Args:
        histories: dict of a title to a list of dicts with `step`, `loss_d_real`,
            `loss_d_generated` and `loss_g`.
        levels: for each of them a list of the values at which losses should settle.
    """
    figure = plots.new_figure(10, 3)
    all_axes = figure.subplots(1, len(histories), sharey=True)
    names = {
        "loss_d_real": "D, real batch",
        "loss_d_generated": "D, generated batch",
        "loss_g": "G",
    }
    for axes, (title, rows), values in zip(all_axes, histories.items(), levels, strict=True):
        steps = [row["step"] for row in rows]
        for key, name in names.items():
            axes.plot(steps, [row[key] for row in rows], label=word(name))
        axes.hlines(values, 0, steps[-1], "grey", "--", linewidth=1)
        axes.set(title=title, xlabel=word("epoch (one round of the loop)"), ylim=(0, 1.4))
    all_axes[0].set_ylabel(word("loss"))
    all_axes[0].legend()
    return figure


def shares(points):
    """Which share of the points is at most x, for several samples: dict of name to float [n]."""
    figure = plots.new_figure(7, 3.2)
    axes = figure.add_subplot(xlabel="x", ylabel=word("share of points up to x"))
    for (name, x), colour in zip(points.items(), ("C1", "C0", "C3", "C2"), strict=False):
        axes.plot(np.sort(x), np.linspace(0, 1, len(x)), colour, label=name)
    axes.legend()
    return figure


def seeds(edges, densities, mean, std):
    """What several models generate, each trained from several seeds.

    Args:
        edges: float [n + 1], of the bins.
        densities: dict of a model's name to a list of float [n], a density for each seed.
        mean, std: of the data.
    """
    figure = plots.new_figure(12, 5)
    middles = plots.middles(edges)
    all_axes = figure.subplots(2, 4, sharex=True, sharey=True).ravel()
    for axes, (name, runs) in zip(all_axes, densities.items(), strict=False):
        axes.plot(middles, np.transpose(runs), COLOURS["generated"], linewidth=1)
        _bell(axes, middles, mean, std)
        axes.set(title=name, xlim=(-1, 9), ylim=(0, 1))
    for axes in all_axes[len(densities) :]:
        axes.set_axis_off()
    for axes in all_axes[:: len(all_axes) // 2]:
        axes.set_ylabel(word("density"))
    return figure


def _evenly_spaced(n):
    return (np.arange(n) + 0.5) / n


def _bell(axes, x, mean, std):
    density = [NormalDist(mean, std).pdf(v) for v in x]
    axes.plot(x, density, COLOURS["data"], label=f"N({mean:g}, {std:g})")
