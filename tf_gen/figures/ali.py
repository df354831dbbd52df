"""Figures of notebook 4: adversarially learned inference."""

import numpy as np

from tf_gen import plots
from tf_gen.labels import word


def joints(q, p, best):
    """Two joint distributions of three images and three codes, and the best D: float [3, 3] each.

    Rows are x, columns are z.
    """
    figure = plots.new_figure(8, 2.7)
    titles = word("q(x, z), encoder"), word("p(x, z), decoder"), "D* = q / (q + p)"
    for axes, title, table in zip(figure.subplots(1, 3), titles, (q, p, best), strict=True):
        axes.imshow(table, cmap="Blues", vmin=0, vmax=1)
        axes.set(title=title, xlabel="z", ylabel="x", xticks=range(3), yticks=range(3))
        for (x, z), value in np.ndenumerate(table):
            axes.text(z, x, f"{value:.2f}", ha="center", va="center")
    return figure


def pairs(models):
    """What D sees and answers: images, their codes below them, and below these its answer.

    Args:
        models: list of (name, images [2n, 28, 28], codes [2n, latent], answers [2n]), the latent
            dimension even; the first n are pairs (x, Q(x)), the others (P(z), z).
    """
    figure = plots.new_figure(9, 1.7 * len(models))
    for part, (name, images, codes, answers) in zip(
        figure.subfigures(len(models), 1, squeeze=False)[:, 0], models, strict=True
    ):
        half = len(images) // 2
        # An empty column keeps the two kinds apart.
        columns = [*range(half), *range(half + 1, 2 * half + 1)]
        grid = part.add_gridspec(
            2, 2 * half + 1, height_ratios=[5, 1], width_ratios=[1] * half + [0.3] + [1] * half
        )
        for column, image, code, answer in zip(columns, images, codes, answers, strict=True):
            above, below = (part.add_subplot(grid[row, column]) for row in (0, 1))
            above.imshow(image, cmap="gray", vmin=0, vmax=1)
            below.imshow(code.reshape(2, -1), cmap="coolwarm", vmin=-1, vmax=1, aspect="auto")
            below.set_xlabel(f"D {answer:.2f}", fontsize=9)
            for axes in (above, below):
                axes.set(xticks=[], yticks=[])
            if column == 0:
                above.set_title("(x, Q(x))", loc="left", fontsize=10)
                above.set_ylabel(word(name))
            elif column == half + 1:
                above.set_title("(P(z), z)", loc="left", fontsize=10)
    return figure


def stages(frames, steps):
    """Four of n frames of an animation, uint8 [height, width] each, beside each other.

    Each pixel is 4 x 4 of them. The first was made before the training, and `steps` steps lie
    between two of them.
    """
    figure, last = plots.new_figure(9, 2.6), len(frames) - 1
    for axes, k in zip(figure.subplots(1, 4), (0, last // 8, last // 2, last), strict=True):
        # Not smoothed: the noise of the first frame would make a large file.
        axes.imshow(frames[k][::4, ::4], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        axes.set(title=word("step {:,}").format(k * steps), xticks=[], yticks=[])
    return figure


def course(steps, history):
    """The losses against the step, int [n], on a logarithmic scale, and what D answers.

    `history` is a list of n dicts: `loss_d`, `loss_g`, `held_out`, a pair of the same losses, and
    D's mean answers for the two kinds of held-out pairs, `d_encoder` and `d_decoder`.
    """
    figure = plots.new_figure(9.5, 3.8)
    left, right = figure.subplots(1, 2)
    for number, name in enumerate(("loss_d", "loss_g")):
        left.plot(steps, [row[name] for row in history], f"C{number}", label=name)
        values = [row["held_out"][number] for row in history]
        left.plot(steps, values, f"C{number}--", label=word(f"held-out {name}"))
    left.axhline(2 * np.log(2), color="grey", linestyle=":", label="2 log 2")
    lowest = min(min(row["loss_d"], row["held_out"][0]) for row in history)
    left.set(yscale="log", ylabel=word("nats a pair"), title=word("losses"))
    left.set_ylim(bottom=lowest / 20)  # room for the legend
    for name, label in {"d_encoder": "D(x, Q(x))", "d_decoder": "D(P(z), z)"}.items():
        right.plot(steps, [row[name] for row in history], label=label)
    right.axhline(0.5, color="grey", linestyle=":", label="1/2")
    right.set(ylim=(-0.03, 1.03), title=word("D's mean answer for held-out pairs"))
    for axes, columns, place in ((left, 3, "lower center"), (right, 1, "center")):
        axes.set_xlabel(word("training step"))
        axes.grid(alpha=0.3)
        axes.legend(ncols=columns, loc=place, fontsize=9)
    return figure
