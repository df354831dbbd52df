"""The task of the image models, which encode, decode and generate digits."""

import statistics
from functools import cached_property

import numpy as np
import tensorflow as tf

from tf_gen import plots
from tf_gen.batches import BLOCK, Blocks, examples_at, noise_seed
from tf_gen.mnist import evenly
from tf_gen.tasks import task


def blocks(config, source, **noise):
    """All batches of images and noise. A batch depends only on (config.seed, update).

    Args:
        config, source: a model's `Config`; a `mnist.Source`.
        noise: for each name of a noise, a function of a seed, int64 [2], to a float32 tensor.

    Returns:
        `batches.Blocks`, whose batches are dicts of `images`, uint8 [batch, 28, 28] with 255 for
        white, and of each noise.
    """
    with tf.device("CPU"):  # the input pipeline runs there
        images = tf.constant(source.images)

    def noise_at(step):
        seed = noise_seed(step, config.seed)
        seeds = tf.random.split(seed, len(noise), alg="philox") if len(noise) > 1 else [seed]
        return {name: draw(seeds[i]) for i, (name, draw) in enumerate(noise.items())}

    def block(steps):
        rows = examples_at(steps, config.batch_size, len(images), config.seed)
        batch = {"images": tf.gather(images, rows)}
        if noise:
            kinds = dict.fromkeys(noise, tf.float32)
            batch |= tf.map_fn(noise_at, steps, parallel_iterations=1, fn_output_signature=kinds)
        return batch

    # Up to 100 batches at once, fewer if they are large.
    return Blocks(block, max(1, min(BLOCK, 10_000 // config.batch_size)))


class Report(task.Report):
    """Measures and draws models of digits.

    These models have `encode(images)` and `decode(z)`. Calling a model reconstructs images, and its
    `encoder.features(images)` are the activations of its last hidden layer.

    Attributes:
        held_out: the held-out images, float32 [n, 28, 28] in [0, 1].
        grid: each line of the log comes with a picture of grid x grid samples.
        frame_scale: an animation shows each pixel of an image frame_scale pixels wide.
    """

    log_line = "step {step}: loss {loss:.4f}, reconstruction error {reconstruction_error:.4f}"
    sample_flags = "--count 25 --seed 1 --out samples.png"
    grid = 10
    frame_scale = 2

    @cached_property
    def held_out(self):
        return np.float32(self.source.held_out_images) / 255

    def some_held_out(self, count):
        """At most `count` held-out images, evenly spaced: float32 [n, 28, 28] in [0, 1]."""
        return tf.constant(evenly(self.held_out, count))

    def codes(self, model, images):
        """The codes z that the model infers from images: float32 [n, 28, 28] to [n, latent]."""
        return model.encode(images)

    def drawn_codes(self, model, images):
        """A draw of z for each image if the model infers a distribution, else `codes`."""
        return self.codes(model, images)

    # ---- The log --------------------------------------------------------------------------------

    def measure(self, model):
        """The mean squared error per pixel of reconstructions of 1,000 held-out images."""
        x = self.some_held_out(1000)
        return {"reconstruction_error": float(tf.reduce_mean((x - model(x)) ** 2))}

    # ---- Pictures -------------------------------------------------------------------------------

    def samples(self, model, count):
        """Samples, decoded from the same draws of the prior each time: float32 [count, 28, 28]."""
        return model.decode(model.prior(count, [0, 0]))

    def progress(self, model):
        """A grid of samples from the same z at every step."""
        return plots.mosaic(self.samples(model, self.grid**2), self.grid)

    def snapshot(self, model):
        """The same samples, uint8 [n, 28, 28]."""
        return {"images": np.uint8(np.rint(255 * self.samples(model, self.grid**2)))}

    def frames(self, snapshots):
        """The samples of each snapshot: an iterator over uint8 [height, width]."""
        return (plots.mosaic(s["images"] / 255, self.grid, self.frame_scale) for s in snapshots)

    def pictures(self, model, history):
        """Held-out images with their reconstructions; two maps of the latent plane if z is 2-D."""
        some = self.some_held_out(50)
        pictures = {"reconstructions.png": plots.pairs(some, model(some))}
        if model.latent_dim == 2:
            z, labels = self.codes(model, self.held_out).numpy(), self.source.held_out_labels
            decoded = model.decode(plots.plane(self.axis))
            pictures["manifold.png"] = plots.manifold(decoded, self.axis)
            pictures["latent_map.png"] = plots.latent_map(
                model.decode, z, labels, self.clearest_points(model), self.source.class_name
            )
        return pictures

    def curves(self, history, columns, ylabel, level=None):
        """A plot of columns of history.csv against the step; `columns` maps labels to names."""
        steps = [int(row["step"]) for row in history]
        values = {label: [float(row[name]) for row in history] for label, name in columns.items()}
        return plots.curves(steps, values, ylabel, level)

    # ---- The place of each digit in the latent space --------------------------------------------

    @property
    def axis(self):
        """20 quantiles of one coordinate of the prior N(0, 1), at equal steps of probability."""
        normal = statistics.NormalDist()
        return [normal.inv_cdf((i + 1) / 21) for i in range(20)]

    def clearest_points(self, model):
        """For each label the code of the held-out image that shows it best: see `judge`.

        Returns a dict of labels to z, float32 [latent].
        """
        from tf_gen.tasks import judge

        z, labels = np.asarray(self.codes(model, self.held_out)), self.source.held_out_labels
        return judge.clearest_points(model.decode, z, self.held_out, labels)

    def latent_map(self, model):
        """A map from each digit to its best z and to many more, for `python -m tf_gen.sample`."""
        from tf_gen.tasks import judge

        def by_name(points):
            return {self.source.class_name(label): z.tolist() for label, z in points.items()}

        z, labels = np.asarray(self.drawn_codes(model, self.held_out)), self.source.held_out_labels
        codes = judge.codes_of_labels(model.decode, z, self.held_out, labels)
        codes = {label: np.round(np.float64(z), 4) for label, z in codes.items()}
        plane = {"axis": self.axis} if model.latent_dim == 2 else {}
        return {"labels": by_name(self.clearest_points(model)), "codes": by_name(codes), **plane}

    # ---- Scores ---------------------------------------------------------------------------------

    def score(self, model):
        """Scores of samples, reconstructions and features: see `judge.score`."""
        from tf_gen.tasks import judge

        layers = {"z": self.codes, "hidden": lambda model, images: model.encoder.features(images)}
        untrained = type(model)(self.config)
        return judge.score(model, untrained, layers, self.judge)

    def draw_scores(self, scores):
        """A picture with a row of ten samples for each seed."""
        samples = np.concatenate([score["samples"] for score in scores])
        return plots.mosaic(samples / 255, columns=10)


def interpolations(model, images, rows=8, points=9):
    """A mosaic of interpolations. Each row has two images and decoded points between their codes.

    Args:
        model: has `encode` and `decode`.
        images: float32 [n, 28, 28] in [0, 1]; the pairs come from its start and its end.
        rows: the largest number of pairs; fewer if n // 2 is smaller, but at least one.
        points: decoded images in a row; the first and the last are reconstructions.
    """
    rows = max(1, min(rows, len(images) // 2))
    ends = images[:rows], images[-rows:]
    z = [model.encode(end) for end in ends]  # [rows, latent] both
    way = tf.reshape(tf.linspace(0.0, 1.0, points), [1, points, 1])
    between = (1 - way) * z[0][:, None] + way * z[1][:, None]  # [rows, points, latent]
    decoded = model.decode(tf.reshape(between, [rows * points, -1]))
    decoded = tf.reshape(decoded, [rows, points, 28, 28])
    rows_of_images = tf.concat([ends[0][:, None], decoded, ends[1][:, None]], axis=1)
    return plots.mosaic(tf.reshape(rows_of_images, [-1, 28, 28]), columns=points + 2)
