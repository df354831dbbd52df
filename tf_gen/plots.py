"""Figures. The only place that knows matplotlib."""

import statistics

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
        originals, reconstructions: float [n, height, width] in [0, 1], n > 0; those that do not
            fill a row are left out.
        columns: images a row, fewer where n is smaller.
    """
    n, height, width = np.shape(originals)
    columns = min(columns, n)
    full = n // columns * columns
    both = np.stack([originals[:full], reconstructions[:full]])  # [2, full, height, width]
    rows = both.reshape(2, -1, columns, height, width).swapaxes(0, 1)
    return mosaic(rows.reshape(-1, height, width), columns)


def manifold(decode, n=20):
    """The decoder's image at n x n points of the latent plane, on quantiles of N(0, 1).

    Args:
        decode: function of z float32 [batch, 2] to images [batch, height, width] in [0, 1].
        n: points a side; they cut N(0, 1) into n + 1 parts of equal probability.
    """
    normal = statistics.NormalDist()
    axis = [normal.inv_cdf((i + 1) / (n + 1)) for i in range(n)]
    # Read like text, the first row is at the top, where the second coordinate is largest.
    z = np.array([(z0, z1) for z1 in reversed(axis) for z0 in axis], np.float32)
    figure = Figure(figsize=(8, 8), layout="constrained")
    axes = figure.add_subplot(title="The decoder's image at each z", xlabel="z[0]", ylabel="z[1]")
    axes.imshow(mosaic(decode(z), n, scale=1), cmap="gray", extent=(0, n, 0, n))
    labels = [f"{value:.2f}" for value in axis]
    axes.set_xticks(np.arange(n) + 0.5, labels, rotation=90, fontsize=8)
    axes.set_yticks(np.arange(n) + 0.5, labels, fontsize=8)
    return figure


def latent_map(decode, z_mean, labels):
    """Which z makes which digit: encoded images coloured by label, and z to type into `--z`.

    Beside the plane stand two points for each label with the decoder's image there: the centroid of
    its z_mean, and the point where it is purest, since the centroid of a label that shares its
    place with others, or has none of its own, may show another digit.

    Args:
        decode: function of z float32 [batch, 2] to images [batch, height, width] in [0, 1].
        z_mean: float [n, 2].
        labels: int [n].
    """
    classes = np.unique(labels)
    centroids = np.stack([z_mean[labels == label].mean(axis=0) for label in classes])
    purest = np.stack([purest_point(z_mean, labels, label) for label in classes])
    figure = Figure(figsize=(12, 7.5), layout="constrained")
    plane_spec, table_spec = figure.add_gridspec(1, 2, width_ratios=[2, 1])
    plane = figure.add_subplot(plane_spec, title="Where the encoder puts held-out images")
    plane.set(xlabel="z[0]", ylabel="z[1]")
    plane.set_aspect("equal", adjustable="datalim")
    size = 4 if len(labels) > 2000 else 14
    for row, label in enumerate(classes):
        colour = f"C{row % 10}"
        plane.scatter(*z_mean[labels == label].T, s=size, color=colour, alpha=0.5, linewidths=0)
        box = {"boxstyle": "circle", "facecolor": "white", "edgecolor": colour}
        plane.annotate(str(label), centroids[row], ha="center", va="center", bbox=box)
    table = table_spec.subgridspec(len(classes), 2)
    columns = {"--z at centroid": centroids, "--z where purest": purest}
    for column, (title, points) in enumerate(columns.items()):
        for row, (label, z, digit) in enumerate(zip(classes, points, decode(points), strict=True)):
            axes = figure.add_subplot(table[row, column], title=title if row == 0 else None)
            axes.imshow(digit, cmap="gray")
            axes.set_axis_off()
            text = f"{label}:\n{z[0]:.2f},{z[1]:.2f}"
            axes.text(1.1, 0.5, text, transform=axes.transAxes, va="center", color=f"C{row % 10}")
    return figure


def purest_point(z_mean, labels, label, neighbours=50):
    """The z_mean with this label that has most of its own kind among its nearest neighbours.

    Args:
        z_mean: float [n, 2].
        labels: int [n].

    Returns:
        float [2]; of several equally good ones the nearest to the label's centroid.
    """
    same = labels == label
    candidates = z_mean[same]
    centroid = candidates.mean(axis=0)
    candidates = candidates[:: -(-len(candidates) // 2000)]  # 2,000 at most, to spare memory
    candidates = candidates[np.argsort(np.sum((candidates - centroid) ** 2, axis=1), kind="stable")]
    distances = np.sum((candidates[:, None] - z_mean) ** 2, axis=2)
    nearest = np.argpartition(distances, min(neighbours, len(z_mean) - 1), axis=1)[:, :neighbours]
    return candidates[np.argmax(same[nearest].sum(axis=1))]


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
