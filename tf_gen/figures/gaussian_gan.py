"""Figures of notebook 2: a GAN that learns a Gaussian."""

from statistics import NormalDist

import numpy as np

from tf_gen import plots
from tf_gen.labels import word

DATA = NormalDist(4.0, 0.5)


def learned(losses, generated, grid, probability):
    """How a run went, and where it ended: the losses; the generated points and D.

    Args:
        losses: float [updates, 2], of D and of G.
        generated: float [n], generated points; only those on the grid are drawn.
        grid, probability: float [m] both, ascending points and D there.
    """
    figure = plots.new_figure(11, 3.5)
    left, right = figure.subplots(1, 2)
    losses = np.asarray(losses)
    size = max(1, len(losses) // 60)
    full = len(losses) // size * size
    means = losses[:full].reshape(-1, size, 2).mean(axis=1)
    steps = size * np.arange(1, len(means) + 1)
    for column, (name, level) in enumerate((("D's loss", np.log(4)), ("G's loss", np.log(2)))):
        left.plot(steps, means[:, column], color=f"C{column}", label=word(name))
        left.axhline(level, color=f"C{column}", linestyle="--", linewidth=1)
    left.set(xlabel=word("training step"), ylabel=word("loss"))
    left.legend()
    counts, edges = np.histogram(generated, np.linspace(grid[0], grid[-1], 101))
    share = counts / (len(generated) * np.diff(edges))
    right.stairs(share, edges, color="C2", label=word("generated data"))
    right.plot(grid, [DATA.pdf(x) for x in grid], color="C1", label=word("real data"))
    right.plot(grid, probability, color="C0", label="D(x)")
    right.set(xlabel="x", ylabel=word("density, or probability"), ylim=(0, 1.4))
    right.legend(loc="upper left")
    return figure


def best_discriminator(x, best, p, q):
    """The best D between two densities, all float [n] at points x."""
    figure = plots.new_figure(7, 3.5)
    axes = figure.add_subplot(xlabel="x", ylabel=word("density, or probability"))
    axes.plot(x, best, label=word("best D"))
    axes.plot(x, p, label=word("real, p"))
    axes.plot(x, q, label=word("generated, q"))
    axes.legend()
    return figure


def gradients(logits, curves):
    """Gradients of losses of G, a dict of name to float [n], against D's logits, float [n]."""
    figure = plots.new_figure(7, 3.5)
    axes = figure.add_subplot(
        xlabel=word("D's logit at a generated point"), ylabel=word("gradient of G's loss")
    )
    for (name, curve), style in zip(curves.items(), ("-", "-", ":"), strict=True):
        axes.plot(logits, curve, style, label=name, linewidth=2)
    axes.legend()
    return figure


def ends(runs, report, seeds):
    """Where some of several runs ended, side by side: D(x), real and generated density.

    Args:
        runs: dict of seed to a dict with `shots`, a list of `report.snapshot` with `step`.
        report: a `gaussian_gan.Report`.
        seeds: of the runs to draw.
    """
    figure = plots.new_figure(5 * len(seeds), 3.5)
    edges, real = report.edges, report.density(report.real)
    middles = plots.middles(edges)
    words = word("seed {}, after {:,} updates")
    for axes, seed in zip(figure.subplots(1, len(seeds), squeeze=False)[0], seeds, strict=True):
        shot = runs[seed]["shots"][-1]
        grid = np.linspace(edges[0], edges[-1], len(shot["probability"]))
        axes.plot(grid, shot["probability"], label="D(x)")
        axes.plot(middles, real, label=word("real data"))
        axes.plot(middles, shot["generated"], label=word("generated data"))
        axes.set(xlabel="x", ylim=(0, 1.4), title=words.format(seed, shot["step"]))
        axes.legend(loc="upper left")
    return figure


def courses(runs):
    """Standard deviation and W1 of several runs against the step, with the data's, and levels.

    `runs` is a dict of seed to a dict with `rows`, a list of dicts with `step`, `std` and `w1`.
    """
    figure = plots.new_figure(10, 3.5)
    panels = [
        ("std", "standard deviation", 0.25, "collapsed below {:g}"),
        ("w1", "W1", 0.1, "close below {:g}"),
    ]
    for axes, (name, title, level, words) in zip(figure.subplots(1, 2), panels, strict=True):
        for seed, run in runs.items():
            steps, values = zip(*((row["step"], row[name]) for row in run["rows"]), strict=True)
            axes.plot(steps, values, label=word("seed {}").format(seed))
        axes.axhline(level, color="grey", linestyle="--", label=word(words).format(level))
        if name == "std":
            label = word("data: {:g}").format(DATA.stdev)
            axes.axhline(DATA.stdev, color="black", linewidth=1, label=label)
        axes.set(yscale="log", xlabel=word("training step"), ylabel=word(title))
        axes.legend()
    return figure


def crowd(grid, logits, best, points):
    """Two D over the points that G generates: this one's logits and the best one's.

    All float [n] at `grid`, but `points`, float [m].
    """
    figure = plots.new_figure(7, 3.5)
    axes = figure.add_subplot(xlabel="x", ylabel=word("D's logit"), ylim=(-3, 6))
    axes.plot(grid, logits, label=word("this D"))
    axes.plot(grid, best, label=word("the best D for this G"))
    axes.plot(
        points, np.full(len(points), -2.5), "k|", markersize=14, label=word("generated points")
    )
    axes.legend()
    return figure


def closeness(batches):
    """L1 distances and closeness of the points of batches: a dict of name to float [n, m]."""
    figure = plots.new_figure(11, 3)
    all_axes = iter(figure.subplots(1, 2 * len(batches)))
    for name, points in batches.items():
        distances = np.abs(points[:, None] - points[None, :]).sum(axis=-1)
        matrices = distances, np.exp(-distances)
        for words, matrix, top in zip(
            ("L1 distances, {}", "closeness, {}"), matrices, (5, 1), strict=True
        ):
            axes = next(all_axes)
            axes.imshow(matrix, vmin=0, vmax=top, cmap="Blues")
            for (i, j), value in np.ndenumerate(matrix):
                color = "white" if value > 0.6 * top else "black"
                axes.text(j, i, f"{value:.2f}", ha="center", va="center", color=color)
            ticks = range(len(matrix))
            axes.set(title=word(words).format(name), xticks=ticks, yticks=ticks)
    return figure


def densities(report, named):
    """What many seeds of several settings generate, side by side, over the real density.

    Args:
        report: a `gaussian_gan.Report`.
        named: dict of a setting's name to the scores of its seeds, a list of dicts.
    """
    figure = plots.new_figure(5 * len(named), 3.5)
    edges, real = report.edges, report.density(report.real)
    middles = plots.middles(edges)
    for axes, (name, scores) in zip(
        figure.subplots(1, len(named), squeeze=False)[0], named.items(), strict=True
    ):
        label = word("generated data, {} seeds").format(len(scores))
        for score in scores:
            axes.plot(middles, score["density"], color="C2", alpha=0.5, linewidth=1, label=label)
            label = None
        axes.plot(middles, real, color="C1", label=word("real data"))
        axes.set(xlabel="x", ylim=(0, 1.4), title=name)
        axes.legend(loc="upper left")
    return figure


def packs(sizes, shares):
    """How often the best D is right, by how many points it sees at once.

    `shares` is a dict of a false density's name to float [n], `sizes` int [n].
    """
    figure = plots.new_figure(7, 3.5)
    axes = figure.add_subplot(
        xscale="log", xlabel=word("points that D sees at once"), ylabel=word("right answers")
    )
    for name, values in shares.items():
        axes.plot(sizes, values, "o-", label=name)
    axes.set_xticks(sizes, map(str, sizes))
    axes.set_xticks([], minor=True)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.legend()
    return figure


def remedies(scores):
    """The KS of each seed without each remedy: a dict of what was left out to scores, dicts."""
    figure = plots.new_figure(7, 3.8)
    axes = figure.add_subplot(xscale="log", xlabel=word("KS of each seed"))
    for row, results in enumerate(scores.values()):
        values = [score["ks"] for score in results]
        axes.plot(values, np.full(len(values), row), "o", color="C0", alpha=0.7)
    axes.set_yticks(range(len(scores)), list(scores))
    axes.set_ylabel(word("left out"))
    axes.grid(alpha=0.3)
    axes.invert_yaxis()
    return figure


def bandwidths(widths, curves, truth):
    """Log-likelihoods by the bandwidth, a dict of name to float [n], and the true density's."""
    figure = plots.new_figure(7, 3.5)
    axes = figure.add_subplot(
        xscale="log", xlabel=word("bandwidth h"), ylabel=word("log-likelihood, nats")
    )
    for name, values in curves.items():
        axes.plot(widths, values, label=name)
    axes.axhline(truth, color="grey", linestyle="--", label=word("true density"))
    axes.set_ylim(-2.5, -0.5)
    axes.legend()
    return figure


def gaps(sizes, named):
    """How far a KDE stays below the truth: a dict of name to float [n], by its points, int [n]."""
    figure = plots.new_figure(7, 3.5)
    axes = figure.add_subplot(
        xscale="log", xlabel=word("points of the KDE"), ylabel=word("nats below the truth")
    )
    for name, values in named.items():
        axes.plot(sizes, values, "o-", label=name)
    axes.legend()
    return figure


def quantiles(z, x):
    """G as a function of z, and sorted, beside the quantile function: float [n] both."""
    figure = plots.new_figure(7, 3.5)
    axes = figure.add_subplot(xlabel="z", ylabel="x")
    axes.plot(z, x, label=word("trained G"))
    axes.plot(z, np.sort(x), label=word("trained G, sorted"))
    share = (np.arange(len(z)) + 0.5) / len(z)
    ideal = [DATA.inv_cdf(s) for s in share]
    axes.plot(z, ideal, "k--", label=word("quantile function"))
    axes.legend()
    return figure
