"""The task of the one-dimensional models: they generate points of a Gaussian."""

from functools import cached_property

import numpy as np
import tensorflow as tf

from tf_gen import plots
from tf_gen.batches import BLOCK, drawn
from tf_gen.tasks import task

POINTS = 10_000  # real points, and as many generated ones when a trained model is measured


def draw_points(config, shape, seed):
    """Draw points of the data, N(data_mean, data_std): float32 of `shape` from a seed int64 [2]."""
    return tf.random.stateless_normal(shape, seed, config.data_mean, config.data_std, alg="philox")


def blocks(config, source=None, x=None, **noise):
    """All batches of points and noise. A batch depends only on (config.seed, update).

    Args:
        config, source: a model's `Config`; None, since the data are drawn.
        x: the shape of the points of the data in a batch, [batch_size, 1] by default.
        noise: for each name of a noise from U(0, 1), its shape; by default `z` in the shape of x.

    Returns:
        `batches.Blocks`, whose batches are dicts of `x` and each noise, all float32.
    """
    x = x or [config.batch_size, 1]
    noise = noise or {"z": x}

    def draw(seed):
        x_seed, *seeds = tf.unstack(tf.random.split(seed, 1 + len(noise), alg="philox"))
        batch = {"x": draw_points(config, [BLOCK, *x], x_seed)}
        for (name, shape), z_seed in zip(noise.items(), seeds, strict=True):
            batch[name] = tf.random.stateless_uniform([BLOCK, *shape], z_seed, alg="philox")
        return batch

    return drawn(draw, config.seed)


def moments(x):
    """Mean, standard deviation, skew and excess kurtosis of x, float [n], with divisor n.

    If all points are equal up to float32 rounding, skew and kurtosis are 0.
    """
    x = np.asarray(x, np.float64)
    mean, std = x.mean(), x.std()
    z = (x - mean) / std if std > 1e-7 * abs(mean) else np.zeros_like(x)
    same = not np.any(z)
    return {
        "mean": float(mean),
        "std": float(std),
        "skew": float(np.mean(z**3)),
        "kurtosis": 0.0 if same else float(np.mean(z**4) - 3),
    }


class Report(task.Report):
    """Measures and draws models that learn N(data_mean, data_std), two fields of their `Config`.

    Attributes:
        real: 10,000 draws from the data, the same ones each time: float64 [10000], sorted.
        edges: the article's 100 edges of histograms from -8 to 8, or beyond if the data go
            further: float64 [100].
    """

    log_line = "step {step}: loss {loss:.4f}, mean {mean:.3f}, std {std:.3f}"
    sample_flags = "--count 10000 --out generated.png"

    @cached_property
    def real(self):
        rng = np.random.default_rng(0)
        return np.sort(rng.normal(self.config.data_mean, self.config.data_std, POINTS))

    @cached_property
    def edges(self):
        end = max(8.0, abs(self.config.data_mean) + 4 * self.config.data_std)
        return np.linspace(-end, end, 100)

    def density(self, x):
        """Histogram of x, float [n], over `edges`, as a density: float64 [99].

        It integrates to the share of the points that lie within the edges.
        """
        counts, bins = np.histogram(x, self.edges)
        return counts / (len(x) * np.diff(bins))

    def wasserstein_1(self, x):
        """Wasserstein-1 distance between x, float [n], and `real`; 0 if they are equal.

        n must divide 10,000. If n is below 10,000, each point is compared with the mean of the
        10,000 / n real points that it represents, which takes a tenth of the time. The result is
        then too small; for n = 500 by at most 0.004 standard deviations of the data.
        """
        n = len(x)
        if n not in self._real_means:
            self._real_means[n] = self.real.reshape(n, -1).mean(axis=1)
        # In one dimension the optimal transport keeps the order of the points.
        return float(np.abs(np.sort(x) - self._real_means[n]).mean())

    @cached_property
    def _real_means(self):  # kept, since each line of the log needs them
        return {}

    def generate(self, model):
        """Points generated from the same 10,000 draws of z each time: float32 [10000]."""
        return np.asarray(model.decode(model.prior(POINTS, [0, 0])))[:, 0]

    # ---- The log --------------------------------------------------------------------------------

    def observe(self, model):
        """Points generated from the same 1,000 draws of z each time: float32 [1000]."""
        return model.decode(model.prior(1000, [0, 0]))[:, 0]

    @cached_property
    def real_moments(self):
        """`moments` of `real`, as columns of the log."""
        return {f"real_{name}": value for name, value in moments(self.real).items()}

    def measure(self, x):
        """`moments` of x, the points from `observe`, and of the 10,000 `real` points."""
        return {**moments(x), **self.real_moments}

    # ---- Scores ---------------------------------------------------------------------------------

    def score(self, model):
        """Scores of 10,000 generated points: see `score_points`."""
        return self.score_points(self.generate(model))

    def score_points(self, x):
        """How well x, float32 [n], represents the Gaussian.

        Returns:
            dict. Floats: `mean`, `std`, `skew`, `kurtosis` (excess), `w1` (Wasserstein-1 distance
            to 10,000 real points), `ks` (Kolmogorov-Smirnov distance to the exact distribution).
            Bools: `close` (w1 at most a fifth of the data's standard deviation), `collapsed` (std
            below half of the data's), `diverged` (w1 more than ten times the data's standard
            deviation, or not finite). An array: `density`, float64 [99], over `edges`.
        """
        from scipy import stats

        if not np.all(np.isfinite(x)):
            names = ("mean", "std", "skew", "kurtosis", "w1", "ks")
            flags = {"close": False, "collapsed": False, "diverged": True}
            return {**dict.fromkeys(names, np.nan), **flags, "density": np.zeros(99)}
        w1, std = self.wasserstein_1(x), self.config.data_std
        figures = moments(x)
        exact = stats.norm(self.config.data_mean, std)
        return {
            **figures,
            "w1": w1,
            "ks": float(stats.kstest(x, exact.cdf).statistic),
            "close": w1 <= std / 5,
            "collapsed": figures["std"] < std / 2,
            "diverged": w1 > 10 * std,
            "density": self.density(x),
        }

    def draw_scores(self, scores):
        """A plot of the density that each seed generates."""
        densities = [score["density"] for score in scores]
        return plots.densities(self.edges, self.density(self.real), densities)

    # ---- Pictures -------------------------------------------------------------------------------

    def snapshot(self, model):
        """The generated density, float32 [99]."""
        return {"generated": np.float32(self.density(self.generate(model)))}

    def frames(self, snapshots):
        """Frames of the generated density over the real one: uint8 [height, width, 3] each."""
        return plots.density_frames(snapshots, self.edges, self.density(self.real))

    def course(self, snapshots):
        """The generated densities, float32 [snapshots, 99], and D's outputs if snapshots have them.

        Returns a dict for the explorer.
        """
        shown = {
            "steps": [int(snapshot["step"]) for snapshot in snapshots],
            "edges": self.edges.tolist(),
            "generated": np.stack([snapshot["generated"] for snapshot in snapshots]),
        }
        if "probability" in snapshots[0]:
            shown["boundary"] = np.stack([snapshot["probability"] for snapshot in snapshots])
            ends = self.edges[0], self.edges[-1]
            shown["boundary_x"] = np.linspace(*ends, shown["boundary"].shape[1]).tolist()
        return shown

    def pictures(self, model, history):
        """A plot of the moments against the step, and the final histogram."""
        mean, std = self.config.data_mean, self.config.data_std
        return {
            "moments.png": plots.course(
                history, {"mean": mean, "std": std, "skew": 0.0, "kurtosis": 0.0}
            ),
            "histogram.png": plots.histogram(self.generate(model), mean, std),
        }
