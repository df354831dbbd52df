"""Figures and animations. The only place that knows matplotlib and Pillow.

It imports them where they are used, so that a recipe can be imported without them.
"""

import contextlib
import itertools
import statistics
import subprocess
import tempfile
import warnings
from pathlib import Path

import numpy as np

from tf_gen import files
from tf_gen.labels import word
from tf_gen.mosaic import mosaic, write_png


def save(picture, path):
    """Write a Figure, or pixels as `mosaic` returns them, to `path` (.png)."""
    with files.beside(path) as temporary:
        if isinstance(picture, np.ndarray):
            write_png(temporary, picture)
        else:
            with warnings.catch_warnings():  # of a name in letters that the font does not have
                warnings.filterwarnings("ignore", r"Glyph .* missing from font")
                picture.savefig(temporary, dpi=120, format="png")


def read(path):
    """The pixels of a picture that `save` wrote from a mosaic: uint8 [height, width]."""
    from PIL import Image

    return np.asarray(Image.open(path))


def new_figure(width, height, **options):
    """An empty Figure of so many inches, whose parts do not overlap."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained", **options)


def pairs(originals, reconstructions, columns=10):
    """A mosaic whose odd rows show `originals` and whose even rows their `reconstructions`.

    Both are float [n, height, width] in [0, 1], n > 0. A row has `columns` images, or n if that is
    less; what does not fill a row is left out.
    """
    n, height, width = np.shape(originals)
    columns = min(columns, n)
    full = n // columns * columns
    both = np.stack([originals[:full], reconstructions[:full]])  # [2, full, height, width]
    rows = both.reshape(2, -1, columns, height, width).swapaxes(0, 1)
    return mosaic(rows.reshape(-1, height, width), columns)


def rows(named):
    """Rows of images, each with its name at its left: a list of (name, [n, height, width])."""
    n, height, width = np.shape(named[0][1])
    figure = new_figure(9, 7.5 / n * height / width * len(named))
    all_axes = figure.subplots(len(named), squeeze=False)[:, 0]
    for axes, (name, images) in zip(all_axes, named, strict=True):
        axes.imshow(mosaic(images, n, scale=1), cmap="gray", interpolation="nearest")
        axes.set_ylabel(name, rotation=0, ha="right", va="center")
        axes.set(xticks=[], yticks=[])
    return figure


def plane(axis):
    """Points of the latent plane in rows, read like text: float32 [n * n, 2] from a list of n.

    The first row is at the top, where the second coordinate is largest.
    """
    return np.array([(z0, z1) for z1 in reversed(axis) for z0 in axis], np.float32)


def manifold(images, axis):
    """The decoder's images, float [n * n, height, width], at the points of `plane(axis)`."""
    n = len(axis)
    figure = new_figure(8, 8)
    axes = figure.add_subplot(title=word("The decoder's image at each z"))
    axes.set(xlabel="z[0]", ylabel="z[1]")
    axes.imshow(mosaic(images, n, scale=1), cmap="gray", extent=(0, n, 0, n))
    labels = [f"{value:.2f}" for value in axis]
    axes.set_xticks(np.arange(n) + 0.5, labels, rotation=90, fontsize=8)
    axes.set_yticks(np.arange(n) + 0.5, labels, fontsize=8)
    return figure


def latent_map(decode, z_mean, labels, clearest, name=str):
    """Which z makes which digit: encoded images coloured by label, and z to type into `--z`.

    Beside the plane stand two points for each label with the decoder's image there: the centroid of
    its z_mean, and the point that shows it best, since the centroid of a label that shares its
    place with others, or has none of its own, may show another digit.

    Args:
        decode: function of z float32 [batch, 2] to images [batch, height, width] in [0, 1].
        z_mean: float [n, 2].
        labels: int [n].
        clearest: dict of each label to float [2], as `judge.clearest_points` returns it.
        name: function of a label to the string that stands for it.
    """
    classes = np.unique(labels)
    names = [_shortened(name(label)) for label in classes]
    colours = _colours(len(classes))
    centroids = np.stack([z_mean[labels == label].mean(axis=0) for label in classes])
    clearest = np.stack([clearest[label] for label in classes])
    rows = max(10, min(len(classes), 16))
    blocks = -(-len(classes) // rows)  # side by side, two columns each
    width = 4 * blocks
    figure = new_figure(8 + width, 0.75 * rows)
    plane_spec, table_spec = figure.add_gridspec(1, 2, width_ratios=[8, width])
    plane = figure.add_subplot(plane_spec, title=word("Where the encoder puts held-out images"))
    plane.set(xlabel="z[0]", ylabel="z[1]")
    plane.set_aspect("equal", adjustable="datalim")
    size = 4 if len(labels) > 2000 else 14
    for row, label in enumerate(classes):
        points, colour = z_mean[labels == label], colours[row]
        plane.scatter(*points.T, s=size, color=colour, alpha=0.5, linewidths=0)
        box = {"boxstyle": "round" if len(names[row]) > 2 else "circle"}
        box |= {"facecolor": "white", "edgecolor": colour}
        options = {"ha": "center", "va": "center", "bbox": box, "parse_math": False}
        plane.annotate(names[row], centroids[row], **options)
    # One image for each column, since a subplot for each digit takes seconds.
    columns = table_spec.subgridspec(1, 2 * blocks)
    for block, start in enumerate(range(0, len(classes), rows)):
        part = slice(start, start + rows)
        for column, (title, points) in enumerate(
            {"--z at centroid": centroids[part], "--z where clearest": clearest[part]}.items()
        ):
            axes = figure.add_subplot(columns[2 * block + column], title=word(title))
            digits = np.asarray(decode(points))
            digits = np.pad(digits, [(0, rows - len(digits)), (2, 2), (2, 2)], constant_values=1)
            height = digits.shape[1]
            axes.imshow(mosaic(digits, 1, scale=1), cmap="gray")
            axes.set_anchor("W")
            axes.set_axis_off()
            for row, (label, z) in enumerate(zip(names[part], points, strict=True)):
                place = 1.1 * digits.shape[2], (row + 0.5) * height
                text = f"{label}:\n{z[0]:.2f},{z[1]:.2f}"
                options = {"va": "center", "color": colours[start + row], "parse_math": False}
                axes.text(*place, text, **options)
    return figure


def _shortened(name):
    return name if len(name) <= 12 else f"{name[:11]}…"


def _colours(count):
    """Colours that can be told apart, as far as so many can: a list."""
    if count <= 10:
        return [f"C{number}" for number in range(count)]
    import matplotlib

    # Darker than it is, or yellow could not be read on white.
    return list(matplotlib.colormaps["turbo"](np.linspace(0.05, 0.95, count))[:, :3] * 0.8)


def curves(steps, values, ylabel, level=None):
    """Values against training steps, int [n].

    Args:
        values: dict of name to float [n].
        ylabel: what they are, and their unit.
        level: where to draw a horizontal line, if anywhere.
    """
    figure = new_figure(8, 5)
    axes = figure.add_subplot(xlabel=word("training step"), ylabel=word(ylabel))
    if level is not None:
        axes.axhline(level, color="grey", linestyle="--", label=f"{level:g}")
    for name, curve in values.items():
        axes.plot(steps, curve, label=word(name), marker="." if len(steps) < 100 else None)
    axes.legend()
    axes.grid(alpha=0.3)
    return figure


# ---- One-dimensional distributions ---------------------------------------------------------------


def distributions(edges, real, generated, x, probability):
    """The article's picture: D(x), its "decision boundary"; real density, generated density.

    `edges` is float [n + 1], of histograms; `real` and `generated`, float [n], are densities
    between them; `probability` is what the discriminator says at points `x`, float [m] both.
    """
    figure, axes = _density_axes(edges, real)
    axes.plot(x, probability, label="D(x)")
    axes.plot(middles(edges), real, label=word("real data"))
    axes.plot(middles(edges), generated, label=word("generated data"))
    axes.legend(loc="upper left")
    return figure


def density_frames(snapshots, edges, real):
    """Frames of an animation: the generated density over the real one, a counter, and D if there.

    Only what moves is drawn for each frame, since to draw the whole figure takes far longer.

    Args:
        snapshots: list of dicts with `generated`, float [n]; `step`, int; and, where D is to be
            shown, `probability`, float [m], at points evenly from edge to edge.
        edges, real: float [n + 1] and [n], as in `distributions`.

    Yields:
        uint8 [400, 600, 3], a frame for each snapshot.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure, axes = _density_axes(edges, real, 6, 4, dpi=100)
    canvas = FigureCanvasAgg(figure)
    boundary = "probability" in snapshots[0]
    moving = []
    if boundary:
        (line,) = axes.plot([], [], label="D(x)", animated=True)
        x = np.linspace(edges[0], edges[-1], len(snapshots[0]["probability"]))
        moving.append((line, x, "probability"))
    axes.plot(middles(edges), real, color="C1", label=word("real data"))
    (line,) = axes.plot([], [], color="C2", label=word("generated data"), animated=True)
    moving.append((line, middles(edges), "generated"))
    counter = axes.text(0.98, 0.95, "", ha="right", va="top", transform=axes.transAxes)
    counter.set_animated(True)
    axes.legend(loc="upper left")
    canvas.draw()
    background = canvas.copy_from_bbox(figure.bbox)
    frame = word("Frame: {}/{}, step {}")
    for number, snapshot in enumerate(snapshots, 1):
        canvas.restore_region(background)
        for line, x, name in moving:
            line.set_data(x, snapshot[name])
            axes.draw_artist(line)
        counter.set_text(frame.format(number, len(snapshots), snapshot["step"]))
        axes.draw_artist(counter)
        yield np.ascontiguousarray(np.asarray(canvas.buffer_rgba())[..., :3])


def course(history, targets):
    """Columns of history.csv, a list of dicts, against the training step.

    `targets` is a dict of a column's name to the value that it should reach.
    """
    figure = new_figure(8, 2.5 * len(targets))
    steps = [int(row["step"]) for row in history]
    all_axes = figure.subplots(len(targets), 1, sharex=True)
    for axes, (name, target) in zip(all_axes, targets.items(), strict=True):
        axes.axhline(target, color="grey", linestyle="--", label=word("data: {:g}").format(target))
        axes.plot(steps, [float(row[name]) for row in history], label=word("generated"))
        axes.set_ylabel(word(name))
        axes.grid(alpha=0.3)
    all_axes[0].legend()
    all_axes[-1].set_xlabel(word("training step"))
    return figure


def histogram(x, mean=None, std=None):
    """Histogram of finite points x, float [n], over the density of N(mean, std) if given."""
    figure = new_figure(8, 5)
    axes = figure.add_subplot(xlabel="x", ylabel=word("density"))
    x = np.asarray(x)
    low, high = np.float64(x.min()), np.float64(x.max())
    margin = max(0.05, 1e-3 * max(abs(low), abs(high)))  # bins need a width, also of equal points
    # Counted here, since matplotlib would make several copies of all the points.
    counts, edges = np.histogram(x, bins=100, range=(low - margin, high + margin))
    points = word("{:,} generated points").format(len(x))
    axes.hist(middles(edges), edges, weights=counts, density=True, color="C2", label=points)
    if mean is not None:
        grid = np.linspace(mean - 4 * std, mean + 4 * std, 400)
        normal = statistics.NormalDist(mean, std)
        axes.plot(grid, [normal.pdf(v) for v in grid], color="C1", label=f"N({mean:g}, {std:g})")
        average = np.mean(x, dtype=np.float64)
        words = word("mean {:.3f}").format(average)
        axes.axvline(average, color="black", linewidth=1, label=words)
    axes.legend()
    return figure


def densities(edges, real, generated):
    """The generated densities of many runs, a list, over the real one; as in `distributions`."""
    figure, axes = _density_axes(edges, real)
    words, alpha = word("generated data, {} seeds"), max(0.1, min(1, 8 / len(generated)))
    for number, density in enumerate(generated):
        name = words.format(len(generated)) if number == 0 else None
        axes.plot(middles(edges), density, color="C2", alpha=alpha, linewidth=1, label=name)
    axes.plot(middles(edges), real, color="C1", label=word("real data"))
    everything = np.mean(generated, axis=0)
    axes.plot(middles(edges), everything, "k--", label=word("all seeds together"))
    axes.legend(loc="upper left")
    return figure


def _density_axes(edges, real, width=8, height=5, **options):
    figure = new_figure(width, height, **options)
    axes = figure.add_subplot(xlabel=word("Data values"), ylabel=word("Probability density"))
    axes.set(xlim=(edges[0], edges[-1]), ylim=(0, max(1.4, 1.5 * np.max(real))))
    return figure, axes


def middles(edges):
    """The middles of bins, float [n], between `edges`, float [n + 1]."""
    return (edges[1:] + edges[:-1]) / 2


# ---- Animations ----------------------------------------------------------------------------------


# What ffmpeg may have for .mp4, best first: H.264, which browsers play, then MPEG-4 part 2.
CODECS = ("libx264", "libopenh264", "h264_videotoolbox", "h264_mf", "mpeg4")


def animation(frames, path, fps=30):
    """Write an animation to `path`: .gif, .webp or .png by Pillow, .mp4 by the tool ffmpeg.

    Args:
        frames: iterable of uint8 [height, width] or [height, width, 3], all alike, at least one.
        path: of the file; replaced if it exists. OSError if it cannot be written.
        fps: frames a second.
    """
    with files.beside(path) as temporary:
        if path.suffix.lower() == ".mp4":
            _write_mp4(frames, temporary, fps, _codec(temporary))
        else:
            _write_pillow(frames, temporary, fps)


def try_animation(path):
    """Raise OSError if no animation of the kind of `path` can be written beside it."""
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=files.PREFIX) as directory:
        animation(iter(_trial_frames()), Path(directory, f"trial{path.suffix}"))


def _trial_frames():
    return [np.full([64, 64, 3], shade, np.uint8) for shade in (0, 255)]


def _codec(path):
    """The first of CODECS that this ffmpeg has and that works. OSError: none does."""
    for codec in CODECS:
        try:
            _write_mp4(iter(_trial_frames()), path, 30, codec)
        except OSError as error:
            reason = error
        else:
            return codec
    raise OSError(f"{reason}; it has none of the encoders {', '.join(CODECS)}; ask for a .gif")


def _write_pillow(frames, path, fps):
    from PIL import Image

    images = (Image.fromarray(frame) for frame in frames)
    first = next(images)
    if path.suffix.lower() in (".gif", ".png") and first.mode == "RGB":
        # One palette for all frames, or Pillow would look for the best one for each.
        palette = first.quantize(256, dither=Image.Dither.NONE)
        images = (
            image.quantize(palette=palette, dither=Image.Dither.NONE)
            for image in itertools.chain([first], images)
        )
        first = next(images)
    if path.suffix.lower() == ".png":
        images = list(images)  # Pillow goes through them twice
    first.save(
        path, save_all=True, append_images=images, duration=round(1000 / fps), loop=0, method=0
    )


def _write_mp4(frames, path, fps, codec):
    frames = iter(frames)
    first = next(frames)
    height, width = first.shape[:2]
    command = [
        "ffmpeg", "-loglevel", "error", "-y",
        "-f", "rawvideo", "-pix_fmt", "rgb24" if first.ndim == 3 else "gray",
        "-s", f"{width}x{height}", "-r", str(fps), "-i", "-",
        # In the form that browsers play, which needs even sizes.
        "-c:v", codec, "-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p", str(path),
    ]  # fmt: skip
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            for frame in itertools.chain([first], frames):
                process.stdin.write(frame.tobytes())
        except BrokenPipeError:
            pass  # it says why
        with contextlib.suppress(BrokenPipeError):  # closing writes what is left in the buffer
            process.stdin.close()
        message = process.stderr.read().decode(errors="replace").strip()
    if process.returncode:
        raise OSError(f"ffmpeg: {message.splitlines()[-1] if message else process.returncode}")


# ---- Many seeds ----------------------------------------------------------------------------------


def values_by_seed(values, name):
    """One dot for each seed, and their mean. `values` float [seeds], `name` what they are."""
    figure = new_figure(8, 4)
    axes = figure.add_subplot(xlabel=word("seed"), ylabel=word(name))
    axes.plot(range(len(values)), values, "o")
    words = word("mean {:.2f}").format(np.mean(values))
    axes.axhline(np.mean(values), color="grey", linestyle="--", label=words)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend()
    return figure
