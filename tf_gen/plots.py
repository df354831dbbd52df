"""Figures. The only place that knows matplotlib."""

import numpy as np
from matplotlib.figure import Figure

from tf_gen import files
from tf_gen.images import mosaic, write_png


def save(picture, path):
    """Write a Figure, or pixels as `images.mosaic` returns them, to `path` (.png)."""
    with files.beside(path) as temporary:
        if isinstance(picture, Figure):
            picture.savefig(temporary, dpi=120)
        else:
            write_png(temporary, picture)


def pairs(originals, reconstructions, columns=10):
    """A mosaic whose odd rows show `originals` and whose even rows their `reconstructions`.

    Args:
        originals, reconstructions: float [n, height, width] in [0, 1], n a multiple of `columns`.
    """
    shape = [-1, columns, *np.shape(originals)[1:]]
    rows = np.stack([np.reshape(originals, shape), np.reshape(reconstructions, shape)], axis=1)
    return mosaic(rows.reshape(-1, *shape[2:]), columns)


def manifold(images, axis):
    """The decoder's image at each point of a square grid of the latent plane.

    Args:
        images: float [n * n, height, width]; the image at (axis[i], axis[j]) is number i + n * j.
        axis: float [n], ascending: the values of each coordinate of z.
    """
    n = len(axis)
    grid = np.asarray(images).reshape(n, n, *np.shape(images)[1:])[::-1]  # second coordinate upwards
    figure = Figure(figsize=(8, 8), layout="constrained")
    axes = figure.add_subplot(title="The decoder's image at each z", xlabel="z[0]", ylabel="z[1]")
    axes.imshow(mosaic(grid.reshape(n * n, *grid.shape[2:]), n, scale=1), cmap="gray", extent=(0, n, 0, n))
    labels = [f"{value:.2f}" for value in axis]
    axes.set_xticks(np.arange(n) + 0.5, labels, rotation=90, fontsize=8)
    axes.set_yticks(np.arange(n) + 0.5, labels, fontsize=8)
    return figure


def latent_map(z_mean, labels, centroids, images):
    """Which z makes which digit: encoded images coloured by their label.

    Args:
        z_mean: float [n, 2].
        labels: int [n].
        centroids: dict of label to its mean z_mean, float [2].
        images: float [len(centroids), height, width], the decoder's image at each centroid.
    """
    figure = Figure(figsize=(10, 7.5), layout="constrained")
    left, right = figure.add_gridspec(1, 2, width_ratios=[4, 1])
    plane = figure.add_subplot(left, title="Where the encoder puts held-out images", aspect="equal")
    plane.set(xlabel="z[0]", ylabel="z[1]")
    column = right.subgridspec(len(centroids), 1)
    for row, ((label, centroid), digit) in enumerate(zip(centroids.items(), images, strict=True)):
        colour = f"C{row % 10}"
        plane.scatter(*z_mean[labels == label].T, s=4, color=colour, alpha=0.5, linewidths=0)
        box = {"boxstyle": "circle", "facecolor": "white", "edgecolor": colour}
        plane.annotate(str(label), centroid, ha="center", va="center", bbox=box)
        axes = figure.add_subplot(column[row])
        axes.imshow(digit, cmap="gray")
        axes.set_axis_off()
        z = ",".join(f"{value:.2f}" for value in centroid)
        text = f"{label}:  --z {z}"
        axes.text(1.1, 0.5, text, transform=axes.transAxes, va="center", family="monospace", color=colour)
    return figure


def loss_curve(steps, curves):
    """Losses against training step.

    Args:
        steps: int [n].
        curves: dict of name to float [n].
    """
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot(xlabel="training step", ylabel="nats an image")
    for name, values in curves.items():
        axes.plot(steps, values, label=name, marker="." if len(steps) < 100 else None)
    axes.legend()
    axes.grid(alpha=0.3)
    return figure
