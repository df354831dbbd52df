"""Many seeds of `gaussian_gan` in JAX, `vmap` over seeds: started by `__main__ --seeds`.

What `python -m tf_gen.evaluate gaussian_gan --preset listing --minibatch --seeds COUNT` does:
weights, data and noise drawn for each seed, 5,000 updates, and of 10,000 generated points the
distances to N(4, 0.5), whose medians it prints. All seeds are one program. The numbers drawn are
JAX's, so a seed is another run here; only the distribution over seeds is the same.
"""

import sys

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from scipy import stats

from tests.benchmarks.jax_scan import gaussian_gan_functions, zeros

STEPS, BATCH, POINTS = 5_000, 8, 10_000


def initial(key):
    """The weights of D and of G, kernel before bias; the projection of the batch has no bias."""
    keys = iter(jax.random.split(key, 6))

    def kernel(*shape, stddev=1.0):
        return stddev * jax.random.normal(next(keys), shape)

    d = [kernel(1, 8), jnp.zeros(8), kernel(8, 8), jnp.zeros(8), kernel(8, 15, stddev=0.02)]
    d += [kernel(13, 1), jnp.zeros(1)]
    return d, [kernel(1, 4), jnp.zeros(4), kernel(4, 1), jnp.zeros(1)]


def draw(key):
    """What all updates of a seed consume."""
    x, z_d, z_g = jax.random.split(key, 3)
    even = jnp.linspace(-8, 8, BATCH)
    batches = {"x": jnp.sort(4 + 0.5 * jax.random.normal(x, [STEPS, BATCH]))}
    for name, z in (("z_d", z_d), ("z_g", z_g)):
        batches[name] = even + 0.01 * jax.random.uniform(z, [STEPS, BATCH])
    return {name: points[..., None] for name, points in batches.items()}


def train(seed):
    """The 10,000 points that a trained G generates."""
    generate, update = gaussian_gan_functions()
    weights, data = jax.random.split(jax.random.key(seed))
    d, g = initial(weights)
    state = (d, (zeros(d), zeros(d)), g, (zeros(g), zeros(g)), jnp.float32(0))
    (_, _, g, *_), _ = lax.scan(update, state, draw(data))
    return generate(g, jnp.linspace(-8, 8, POINTS)[:, None])[:, 0]


def main(count):
    points = np.asarray(jax.jit(jax.vmap(train))(jnp.arange(count)))
    gaussian = stats.norm(4, 0.5)
    real = np.sort(gaussian.rvs(POINTS, random_state=0))
    w1 = [np.abs(np.sort(x) - real).mean() for x in points]
    ks = [stats.kstest(x, gaussian.cdf).statistic for x in points]
    print(f"@medians {np.median(w1)} {np.median(ks)}")


if __name__ == "__main__":
    main(int(sys.argv[1]))
