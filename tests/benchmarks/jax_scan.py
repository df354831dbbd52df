"""The four systems in JAX: `lax.scan` over batches in memory, one compiled program for a run.

Each function takes the initial weights and the batches of a `cases.Case` and returns `run(first,
count)`, which makes one update on each of these batches and returns the losses of the last one.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


def dense(weights, i, x):
    return x @ weights[i] + weights[i + 1]


def adam(weights, gradients, slots, step, rate, beta_1=0.9, beta_2=0.999, epsilon=1e-8):
    """One step in the form that TensorFlow and Keras use; `step` counts from 1."""
    rate = rate * jnp.sqrt(1 - beta_2**step) / (1 - beta_1**step)
    means = [m + (g - m) * (1 - beta_1) for m, g in zip(slots[0], gradients, strict=True)]
    squares = [v + (g * g - v) * (1 - beta_2) for v, g in zip(slots[1], gradients, strict=True)]
    weights = [
        w - rate * m / (jnp.sqrt(v) + epsilon)
        for w, m, v in zip(weights, means, squares, strict=True)
    ]
    return weights, (means, squares)


def zeros(weights):
    return [jnp.zeros_like(w) for w in weights]


def runner(update, state, batches):
    """`run` from `update(state, batch) -> state, losses`."""

    def many(state, part):
        state, losses = lax.scan(update, state, part)
        return state, losses[-1]

    program = jax.jit(many, donate_argnums=0)
    batches = {name: jnp.asarray(array) for name, array in batches.items()}
    parts = {}  # so that no batch is copied while time is taken

    def run(first, count):
        nonlocal state
        if (first, count) not in parts:
            parts[first, count] = {n: a[first : first + count] for n, a in batches.items()}
        state, losses = program(state, parts[first, count])
        return np.asarray(losses)

    return run


def adversarial(update, d, g, batches):
    """`runner` for a discriminator and a generator, each with an Adam of its own."""
    d, g = [jnp.asarray(w) for w in d], [jnp.asarray(w) for w in g]
    state = (d, (zeros(d), zeros(d)), g, (zeros(g), zeros(g)), jnp.float32(0))
    return runner(update, state, batches)


def gaussian_gan_functions():
    """`generate(g, z)` and `update(state, batch)` of `gaussian_gan`, which `many_seeds` needs."""
    floor = np.log(1e-5)

    def log_p(logits):
        return jnp.maximum(jax.nn.log_sigmoid(logits), floor)

    def generate(g, z):
        return dense(g, 2, jax.nn.softplus(dense(g, 0, z)))

    def discriminate(d, x):  # batches of 8, one below the other: [n * 8, 1]
        h = jax.nn.relu(dense(d, 2, jax.nn.relu(dense(d, 0, x))))
        m = (h @ d[4]).reshape(-1, 8, 5, 3)  # the bias cancels in the differences
        distances = sum(jnp.abs(v[:, None] - v[:, :, None]) for v in jnp.unstack(m, axis=-1))
        features = jnp.exp(-distances).sum(2).reshape(-1, 5)
        return dense(d, 5, jnp.concatenate([h, features], 1))

    def loss_d(d, g, x, z):
        both = discriminate(d, jnp.concatenate([x, generate(g, z)]))
        return jnp.mean(-log_p(both[:8]) - log_p(-both[8:]))

    def loss_g(g, d, z):
        return jnp.mean(-log_p(discriminate(d, generate(g, z))))

    def update(state, batch):
        d, d_slots, g, g_slots, step = state
        step += 1
        d_loss, gradients = jax.value_and_grad(loss_d)(d, g, batch["x"], batch["z_d"])
        d, d_slots = adam(d, gradients, d_slots, step, 0.001)
        g_loss, gradients = jax.value_and_grad(loss_g)(g, d, batch["z_g"])
        g, g_slots = adam(g, gradients, g_slots, step, 0.001)
        return (d, d_slots, g, g_slots, step), jnp.stack([d_loss, g_loss])

    return generate, update


def gaussian_gan(weights, batches):
    _, update = gaussian_gan_functions()
    return adversarial(update, weights["d"], weights["g"], batches)


def tiny_gan(weights, batches):
    def generate(g, z):
        h = jax.nn.elu(dense(g, 0, z[:, None]))
        return dense(g, 4, jax.nn.sigmoid(dense(g, 2, h)))[:, 0]

    def discriminate(d, x):  # [n, 100] -> [n]
        squares = (x - lax.stop_gradient(x.mean(1, keepdims=True))) ** 2
        h = jax.nn.elu(dense(d, 0, jnp.concatenate([x, squares], 1)))
        return dense(d, 4, jax.nn.elu(dense(d, 2, h)))[:, 0]

    def loss_d(d, x, generated):
        real, generated = discriminate(d, jnp.stack([x, generated]))
        return -jax.nn.log_sigmoid(real) - jax.nn.log_sigmoid(-generated)

    def loss_g(g, d, z):
        return -jax.nn.log_sigmoid(discriminate(d, generate(g, z)[None])[0])

    def update(state, batch):
        d, d_slots, g, g_slots, step = state
        step += 1
        generated = generate(g, batch["z_d"][0])
        d_loss, gradients = jax.value_and_grad(loss_d)(d, batch["x"][0], generated)
        d, d_slots = adam(d, gradients, d_slots, step, 0.0002)
        g_loss, gradients = jax.value_and_grad(loss_g)(g, d, batch["z_g"][0])
        g, g_slots = adam(g, gradients, g_slots, step, 0.0002)
        return (d, d_slots, g, g_slots, step), jnp.stack([d_loss, g_loss])

    return adversarial(update, weights["d"], weights["g"], batches)


def log_sigmoid(logits, epsilon):
    return jnp.log(jax.nn.sigmoid(logits) + epsilon)


def ali(weights, batches):
    def encode(g, x):
        return dense(g, 2, jax.nn.relu(dense(g, 0, x)))

    def decode(g, z):
        return jax.nn.sigmoid(dense(g, 6, jax.nn.relu(dense(g, 4, z))))

    def discriminate(d, x, z):
        return dense(d, 2, jax.nn.relu(dense(d, 0, jnp.concatenate([x, z], 1))))[:, 0]

    def loss(encoded, generated):
        return -jnp.mean(log_sigmoid(encoded, 1e-8) + log_sigmoid(-generated, 1e-8))

    def logits(d, x, z_encoded, x_generated, z):
        return discriminate(d, x, z_encoded), discriminate(d, x_generated, z)

    def loss_d(d, *pairs):
        return loss(*logits(d, *pairs))

    def update(state, batch):
        d, d_slots, g, g_slots, step = state
        step += 1
        x, z = batch["images"], batch["z"]
        # Q and P do not change while D learns, so they are computed once for both steps.
        (z_encoded, x_generated), back = jax.vjp(lambda g: (encode(g, x), decode(g, z)), g)
        d_loss, gradients = jax.value_and_grad(loss_d)(d, x, z_encoded, x_generated, z)
        d, d_slots = adam(d, gradients, d_slots, step, 0.001)

        def loss_g(z_encoded, x_generated):
            encoded, generated = logits(d, x, z_encoded, x_generated, z)
            return loss(generated, encoded)

        g_loss, slopes = jax.value_and_grad(loss_g, (0, 1))(z_encoded, x_generated)
        g, g_slots = adam(g, back(slopes)[0], g_slots, step, 0.001)
        return (d, d_slots, g, g_slots, step), jnp.stack([d_loss, g_loss])

    return adversarial(update, weights["d"], weights["g"], batches)


def vae(weights, batches):
    def loss(w, x, epsilon):
        h = jnp.tanh(dense(w, 0, x))
        mean, log_var = dense(w, 2, h), dense(w, 4, h)
        z = mean + jnp.exp(log_var / 2) * epsilon
        logits = dense(w, 8, jnp.tanh(dense(w, 6, z)))
        log_x, log_not_x = log_sigmoid(logits, 1e-10), log_sigmoid(-logits, 1e-10)
        reconstruction = -jnp.sum(x * log_x + (1 - x) * log_not_x, 1)
        kl = -0.5 * jnp.sum(1 + log_var - mean**2 - jnp.exp(log_var), 1)
        return jnp.mean(reconstruction + kl)

    def update(state, batch):
        w, squares = state
        value, gradients = jax.value_and_grad(loss)(w, batch["images"], batch["epsilon"])
        squares = [0.9 * v + 0.1 * g * g for v, g in zip(squares, gradients, strict=True)]
        w = [
            w - 0.001 * g / jnp.sqrt(v + 1e-10)
            for w, g, v in zip(w, gradients, squares, strict=True)
        ]
        return (w, squares), value[None]

    w = [jnp.asarray(array) for array in weights["w"]]
    return runner(update, (w, [jnp.ones_like(v) for v in w]), batches)
