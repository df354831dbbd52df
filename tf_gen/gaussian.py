"""The task of the one-dimensional models: a Gaussian, and how far generated points are from it.

`config` is a model's `Config` everywhere; its `data_mean` and `data_std` define the Gaussian.
"""

import functools

import numpy as np
from scipy import stats

POINTS = 10_000  # real ones, and generated ones where a trained model is measured


@functools.lru_cache(maxsize=1)
def real_points(config):
    """10,000 draws from the data, the same ones each time: float64 [10000], sorted, read-only."""
    x = np.sort(np.random.default_rng(0).normal(config.data_mean, config.data_std, POINTS))
    x.flags.writeable = False
    return x


def edges(config):
    """The article's 100 edges of histograms from -8 to 8, or further if the data is: float64."""
    end = max(8.0, abs(config.data_mean) + 4 * config.data_std)
    return np.linspace(-end, end, 100)


def density(x, config):
    """Histogram of x, float [n], over `edges` as a density: float64 [99].

    Points beyond the edges count, so that it integrates to the share of points within.
    """
    counts, bins = np.histogram(x, edges(config))
    return counts / (len(x) * np.diff(bins))


def moments(x):
    """Mean, standard deviation, skew and excess kurtosis of x, float [n], with divisor n.

    Where all points are the same but for the rounding of float32, skew and kurtosis are 0.
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


@functools.lru_cache(maxsize=1)
def real_moments(config):
    """`moments` of `real_points`, the same dict each time: not to be changed."""
    return moments(real_points(config))


def wasserstein_1(x, config):
    """Wasserstein-1 distance between x, float [n], and `real_points`: a float, 0 for the same.

    n must divide the number of real points. If it is smaller, each x is compared with the mean of
    the real points that it stands for, which takes a tenth of the time. The result is then too
    small, for n = 500 by at most 0.004 standard deviations of the data.
    """
    # In one dimension the best transport keeps the order.
    return float(np.abs(np.sort(x) - _real_means(config, len(x))).mean())


@functools.lru_cache(maxsize=2)
def _real_means(config, n):
    return real_points(config).reshape(n, -1).mean(axis=1)


def score(x, config):
    """How well x, float32 [n], stands for the Gaussian.

    Args:
        x: generated points.
        config: a model's `Config`.

    Returns:
        dict of floats: `mean`, `std`, `skew`, `kurtosis` (excess), `w1` (Wasserstein-1 distance to
        10,000 real points), `ks` (Kolmogorov-Smirnov distance to the exact distribution); of bools:
        `close` (w1 at most a fifth of the data's standard deviation), `collapsed` (std below half
        of the data's), `diverged` (w1 more than ten times the data's standard deviation, or not
        finite); and `density`, float64 [99], over `edges`.
    """
    if not np.all(np.isfinite(x)):
        names = ("mean", "std", "skew", "kurtosis", "w1", "ks")
        flags = {"close": False, "collapsed": False, "diverged": True}
        return {**dict.fromkeys(names, np.nan), **flags, "density": np.zeros(99)}
    w1 = wasserstein_1(x, config)
    figures = moments(x)
    exact = stats.norm(config.data_mean, config.data_std)
    return {
        **figures,
        "w1": w1,
        "ks": float(stats.kstest(x, exact.cdf).statistic),
        "close": w1 <= config.data_std / 5,
        "collapsed": figures["std"] < config.data_std / 2,
        "diverged": w1 > 10 * config.data_std,
        "density": density(x, config),
    }
