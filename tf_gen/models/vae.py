"""Variational autoencoder with a two-dimensional latent space, on MNIST.

Article: 变分自编码器 (variational autoencoder), sixth note of the series "TensorFlow-windows".
Paper: Kingma and Welling, Auto-Encoding Variational Bayes, arXiv:1312.6114.

    encoder   x [784] -> tanh [512] -> z_mean [2], z_log_var [2]
    sampler   z = z_mean + exp(z_log_var / 2) * epsilon,  epsilon ~ N(0, I)
    decoder   z [2] -> tanh [512] -> sigmoid [784]

The loss is the negative evidence lower bound (ELBO): the mean over the batch of the sum of

    reconstruction = -sum_pixels (x log(x^ + 1e-10) + (1 - x) log(1 - x^ + 1e-10))
    kl             = -1/2 sum_latent (1 + z_log_var - z_mean^2 - exp(z_log_var))

RMSProp minimises it. Pixels are grey values in [0, 1], so the reconstruction term is a cross
entropy, not a likelihood of binary pixels. It cannot fall below the entropy of the pixels.

Changes from the original:
- The article calls the second head of the encoder `z_std`. It holds the log-variance, so here it
  is called `z_log_var`.
- The loss is computed from logits. The article's log(1e-10 + 1 - x^) is log(0) in float32 once a
  logit exceeds 16.6. Wherever the article's loss is finite, this one has the same value.
- The article reads images through a queue of shuffled file names. Here each epoch is a permutation
  that depends only on (seed, step), so a run can stop and continue at any step.
- The article prints the loss of one batch of 64. `train` prints a less noisy mean over the last
  call of up to 100 updates, and the loss on all held-out images.
- The article saves only the reconstruction, so its decoder must be rebuilt by hand from ten raw
  variables. Here the SavedModel has a signature for the decoder.
"""

import math
from functools import cached_property

import keras
import numpy as np
import tensorflow as tf

from tf_gen import plots
from tf_gen.base import Generative, compiled
from tf_gen.numerics import log_sigmoid
from tf_gen.settings import Count, Rate, Seed, Settings, Share
from tf_gen.tasks import digits


class Config(Settings):
    hidden_dim: Count = 512  # units in the hidden layer of encoder and decoder
    latent_dim: Count = 2  # length of z
    batch_size: Count = 64  # images per update
    learning_rate: Rate = 0.001  # learning rate of RMSProp
    decay: Share = 0.9  # decay rate of RMSProp's mean of squared gradients
    steps: Count = 30_000  # total number of updates
    log_every: Count = 1_000  # updates between two lines of the log
    seed: Seed = 0  # seed of the initial weights, the order of the images and the noise

    whole_batch = ""  # devices can share a batch, since the loss is a mean over images


PRESETS = {"article": Config()}
TASK = "digits"


# ---- Losses -------------------------------------------------------------------------------------


def reconstruction_loss(images, logits):
    """Cross entropy of each image in nats: float32 [batch] from two float32 [batch, 28, 28]."""
    log_x = log_sigmoid(logits, 1e-10)  # log(x^ + 1e-10)
    log_not_x = log_sigmoid(-logits, 1e-10)  # log(1 - x^ + 1e-10)
    return -tf.reduce_sum(images * log_x + (1 - images) * log_not_x, axis=[1, 2])


def kl_divergence(z_mean, z_log_var):
    """KL(N(z_mean, exp(z_log_var)) || N(0, I)) in nats: float32 [batch] from [batch, latent]."""
    return -0.5 * tf.reduce_sum(1 + z_log_var - z_mean**2 - tf.exp(z_log_var), axis=1)


# ---- Networks -----------------------------------------------------------------------------------


class Encoder(keras.layers.Layer):
    """images [batch, 28, 28] -> z_mean, z_log_var, each [batch, latent]."""

    def __init__(self, config, initializer):
        super().__init__()
        init = {"kernel_initializer": initializer, "bias_initializer": initializer}
        self.flatten = keras.layers.Flatten("channels_last")
        self.hidden = keras.layers.Dense(config.hidden_dim, activation="tanh", **init)
        self.z_mean = keras.layers.Dense(config.latent_dim, **init)
        self.z_log_var = keras.layers.Dense(config.latent_dim, **init)

    def call(self, images):
        h = self.features(images)
        return self.z_mean(h), self.z_log_var(h)

    def features(self, images):
        """The hidden layer: float32 [batch, hidden]."""
        return self.hidden(self.flatten(images))


class Decoder(keras.layers.Layer):
    """z [batch, latent] -> logits [batch, 28, 28]."""

    def __init__(self, config, initializer):
        super().__init__()
        init = {"kernel_initializer": initializer, "bias_initializer": initializer}
        self.hidden = keras.layers.Dense(config.hidden_dim, activation="tanh", **init)
        self.logits = keras.layers.Dense(28 * 28, **init)
        self.image = keras.layers.Reshape([28, 28])

    def call(self, z):
        return self.image(self.logits(self.hidden(z)))


# ---- The model ----------------------------------------------------------------------------------


class VAE(Generative):
    """Encoder, sampler and decoder, trained on the negative ELBO."""

    losses_reported = ("loss", "reconstruction", "kl")
    generates = "images"

    def __init__(self, config, **kwargs):
        super().__init__(config, **kwargs)
        initializer = article_normal(config.seed)
        self.encoder = Encoder(config, initializer)
        self.decoder = Decoder(config, initializer)
        self(tf.zeros([1, 28, 28]))  # creates the variables

    def update(self, batch):
        """Take a step of RMSProp on the negative ELBO of a batch; return its losses."""
        with tf.GradientTape() as tape:
            reconstruction, kl = map(tf.reduce_mean, self.loss_terms(batch))
            loss = reconstruction + kl
        gradients = tape.gradient(loss, self.trainable_variables)
        self.optimizer.apply(gradients, self.trainable_variables)
        return {"loss": loss, "reconstruction": reconstruction, "kl": kl}

    def loss_terms(self, batch):
        """Reconstruction and KL of each image of a batch (see `batches`): two float32 [batch]."""
        images = tf.cast(batch["images"], tf.float32) / 255
        z_mean, z_log_var = self.encode(images)
        z = z_mean + tf.exp(z_log_var / 2) * batch["epsilon"]
        logits = self.decoder(z)
        return reconstruction_loss(images, logits), kl_divergence(z_mean, z_log_var)

    @cached_property
    def compiled_loss_terms(self):
        """`loss_terms` as a compiled program: a function from a batch to float32 [2, batch]."""
        return compiled(lambda batch: tf.stack(self.loss_terms(batch)))

    def call(self, images):
        """Encode images and decode their z_mean: float32 [batch, 28, 28] to the same shape."""
        z_mean, _ = self.encode(images)
        return self.decode(z_mean)

    def encode(self, images):
        """q(z|x): images [batch, 28, 28] in [0, 1] to z_mean and z_log_var [batch, latent]."""
        return self.encoder(images)

    def decode(self, z):
        """The mean of p(x|z): float32 [batch, latent] to images [batch, 28, 28] in [0, 1]."""
        return tf.sigmoid(self.decoder(z))

    def prior(self, count, seed):
        """Draw z ~ N(0, I): float32 [count, latent] from int32 [] and int32 [2]."""
        return tf.random.stateless_normal([count, self.latent_dim], seed, alg="philox")

    def test_step(self, batch):
        """Compute the negative ELBO with one draw of epsilon per image, as in training."""
        reconstruction, kl = self.loss_terms(batch)
        for mean, values in zip(self.means, (reconstruction + kl, reconstruction, kl), strict=True):
            mean.update_state(values)
        return self.get_metrics_result()

    def signatures(self):
        images = tf.TensorSpec([None, 28, 28], tf.float32, name="images")
        return {
            **super().signatures(),
            "encode": (self.encode, [images], ["z_mean", "z_log_var"]),
            "reconstruct": (self, [images], ["images"]),
        }


# ---- Initial values, optimiser and batches ------------------------------------------------------


def article_normal(seed):
    """The article's `glorot_init`: N(0, 2 / shape[0]); for a bias, shape[0] is its length."""
    draws = keras.random.SeedGenerator(seed)  # shared, so that no two variables are alike

    def initializer(shape, dtype=None):
        return keras.random.normal(shape, stddev=(shape[0] / 2) ** -0.5, dtype=dtype, seed=draws)

    return initializer


@keras.saving.register_keras_serializable("tf_gen")
class RMSpropTF1(keras.optimizers.RMSprop):
    """RMSProp as in TensorFlow 1: its mean of squared gradients starts at 1 instead of 0.

    So a small gradient makes a small first step, about the learning rate times the gradient. In
    Keras the first step of each weight is sqrt(10) learning rates long, whatever the gradient.
    """

    def add_optimizer_variables(self, trainable_variables, name, initializer="zeros"):
        if name == "velocity":  # Keras's name for the mean of squared gradients
            initializer = "ones"
        return super().add_optimizer_variables(trainable_variables, name, initializer)


def build(config):
    """Return a built and compiled `VAE` with weights drawn from `config.seed`."""
    model = VAE(config)
    # Keras adds epsilon inside the root, as TensorFlow 1 did.
    model.compile(RMSpropTF1(config.learning_rate, rho=config.decay, epsilon=1e-10))
    return model


def blocks(config, source):
    """Everything that the updates consume, as `batches.Blocks`.

    The batch of an update depends only on (config.seed, update). It is a dict of `images`, uint8
    [batch, 28, 28] with 255 for white, and `epsilon`, float32 [batch, latent] from N(0, I).
    """

    def epsilon(seed):
        shape = [config.batch_size, config.latent_dim]
        return tf.random.stateless_normal(shape, seed, alg="philox")

    return digits.blocks(config, source, epsilon=epsilon)


def batches(config, source, start=0):
    """`blocks` as an endless `tf.data.Dataset`; its element k is the batch of update start + k."""
    return blocks(config, source).dataset(start)


# ---- Log, pictures and scores -------------------------------------------------------------------


class Report(digits.Report):
    """Adds the losses on all held-out images."""

    log_line = (
        "step {step} ,loss {loss:.4f}, held-out {held_out_loss:.4f}, "
        "{updates_per_second:.0f} updates/s"
    )

    @property
    def sample_flags(self):
        return f"--z {','.join(['0'] * self.config.latent_dim)} --out digit.png"

    def codes(self, model, images):
        return model.encode(images)[0]

    def drawn_codes(self, model, images):
        z_mean, z_log_var = model.encode(images)
        epsilon = tf.random.stateless_normal(z_mean.shape, [self.config.seed, -2], alg="philox")
        return z_mean + tf.exp(z_log_var / 2) * epsilon

    def measure(self, model):
        """The losses on all held-out images: dict of floats."""
        terms = [model.compiled_loss_terms(batch) for batch in self.held_out_batches]
        reconstruction, kl = np.concatenate(terms, axis=1).mean(axis=1, dtype=np.float64).tolist()
        return {
            "held_out_loss": reconstruction + kl,
            "held_out_reconstruction": reconstruction,
            "held_out_kl": kl,
        }

    @cached_property
    def held_out_batches(self):
        """All held-out images in batches of 2,000: a list. epsilon is the same every time."""
        images = self.source.held_out_images
        shape = [len(images), self.config.latent_dim]
        epsilon = tf.random.stateless_normal(shape, [self.config.seed, -1], alg="philox")
        return [
            {"images": tf.constant(images[i : i + 2000]), "epsilon": epsilon[i : i + 2000]}
            for i in range(0, len(images), 2000)
        ]

    def score(self, model):
        """Held-out losses, a tighter bound, and the figures that all models of digits have: a dict.

        `held_out_loss` is an upper bound on the images' mean -log p(x), in nats.
        `importance_loss_100` is a tighter one from 100 draws of z per image: see
        `importance_bound`.
        """
        losses, figures = self.measure(model), super().score(model)
        figures["diverged"] = figures["diverged"] or not math.isfinite(losses["held_out_loss"])
        bound = importance_bound(model, self.judge.held_out_images, 100)
        return {**losses, "importance_loss_100": -bound, **figures}

    def draw_scores(self, scores):
        """A plot of the held-out loss of each seed."""
        losses = [score["held_out_loss"] for score in scores]
        return plots.values_by_seed(losses, "negative ELBO of held-out images, nats")

    def pictures(self, model, history):
        """Adds the curves of the losses."""
        losses = {name: name for name in ("loss", "held_out_loss")}
        return {
            "loss.png": self.curves(history, losses, "nats an image"),
            **super().pictures(model, history),
        }


def importance_bound(model, images, k, seed=(0, 0)):
    """A lower bound on log p(x): the logarithm of the mean of k importance weights.

    The bound approaches log p(x) as k grows; with k = 1 it is the ELBO (Burda et al., Importance
    Weighted Autoencoders, arXiv:1509.00519, equation 8). As in the article's loss, log p(x|z) is
    the negative cross entropy of grey pixels.

    Args:
        model: a `VAE`.
        images: float32 [n, 28, 28] in [0, 1].
        k: Python int, the number of draws of z for each image.
        seed: int [2], the seed of these draws.

    Returns:
        Python float, the mean over the images in nats.
    """

    @compiled
    def log_weights(images, seed):
        z_mean, z_log_var = model.encode(images)
        epsilon = tf.random.stateless_normal([k, *z_mean.shape], seed, alg="philox")
        z = z_mean + tf.exp(z_log_var / 2) * epsilon  # [k, batch, latent]
        # log p(z) - log q(z|x), in which the constants of the two Gaussians cancel
        log_ratio = 0.5 * tf.reduce_sum(epsilon**2 + z_log_var - z**2, axis=2)
        logits = model.decoder(tf.reshape(z, [-1, model.latent_dim]))
        error = reconstruction_loss(tf.tile(images, [k, 1, 1]), logits)
        return log_ratio - tf.reshape(error, [k, -1])

    bounds = []
    for number, start in enumerate(range(0, len(images), 100)):
        part_seed = tf.random.fold_in(tf.constant(seed, tf.int64), number, alg="philox")
        weights = log_weights(tf.constant(images[start : start + 100]), part_seed)
        bounds.append(np.float64(tf.reduce_logsumexp(weights, axis=0)) - math.log(k))
    return float(np.mean(np.concatenate(bounds)))
