"""Variational autoencoder with a two-dimensional latent space, on MNIST.

Article: 变分自编码器 (variational autoencoder), sixth note of the series "TensorFlow-windows".
Paper: Kingma and Welling, Auto-Encoding Variational Bayes, arXiv:1312.6114.

    encoder   x [784] -> tanh [512] -> z_mean [2], z_log_var [2]
    sampler   z = z_mean + exp(z_log_var / 2) * epsilon,  epsilon ~ N(0, I)
    decoder   z [2] -> tanh [512] -> sigmoid [784]

The loss is the negative evidence lower bound (ELBO), the mean over the batch of

    reconstruction = -sum_pixels x log(x^ + 1e-10) + (1 - x) log(1 - x^ + 1e-10)
    kl             = -1/2 sum_latent 1 + z_log_var - z_mean^2 - exp(z_log_var)

minimised by RMSProp. Pixels are grey values in [0, 1], so the reconstruction term is a cross
entropy, not a likelihood of binary pixels; it is bounded below by the entropy of the pixels.

Changes from the original:
- The article calls the second head of the encoder `z_std`. It holds the log-variance, and is named
  `z_log_var` here.
- The loss is computed from logits, since log(1e-10 + 1 - x^) is log(0) in float32 once a logit
  exceeds 16.6. The value is the article's wherever the article's is finite.
- The article read images through a queue of shuffled file names. Here each epoch is a permutation
  that is a function of (seed, step), so that a run can stop and go on anywhere.
- The article printed the loss of one batch of 64. `train` prints the mean over the last call
  of up to 100 updates, which is less noisy, and the loss on all held-out images.
- The article saved only the reconstruction, so its decoder had to be rebuilt by hand from ten raw
  variables. The export has a signature for the decoder.
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
    batch_size: Count = 64  # images an update
    learning_rate: Rate = 0.001  # of RMSProp
    decay: Share = 0.9  # of RMSProp's mean of squared gradients
    steps: Count = 30_000  # updates in all
    log_every: Count = 1_000  # updates between two lines of the log
    seed: Seed = 0  # of the initial weights, the order of the images and the noise

    whole_batch = ""  # is not needed: the loss is a mean over images


PRESETS = {"article": Config()}
TASK = "digits"


# ---- Losses -------------------------------------------------------------------------------------


def reconstruction_loss(images, logits):
    """Cross entropy of each image, in nats: float32 [batch] from two [batch, 28, 28]."""
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
        """One step of RMSProp on the negative ELBO of a batch; returns loss, reconstruction, kl."""
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
        """`loss_terms` as a compiled program: a function of a batch to float32 [2, batch]."""
        return compiled(lambda batch: tf.stack(self.loss_terms(batch)))

    def call(self, images):
        """Reconstruct through z_mean: float32 [batch, 28, 28] to the same."""
        z_mean, _ = self.encode(images)
        return self.decode(z_mean)

    def encode(self, images):
        """q(z|x): float32 [batch, 28, 28] in [0, 1] to z_mean, z_log_var, both [batch, latent]."""
        return self.encoder(images)

    def decode(self, z):
        """The mean of p(x|z): float32 [batch, latent] to images [batch, 28, 28] in [0, 1]."""
        return tf.sigmoid(self.decoder(z))

    def prior(self, count, seed):
        """Draw z ~ N(0, I): float32 [count, latent] from int32 [] and int32 [2]."""
        return tf.random.stateless_normal([count, self.latent_dim], seed, alg="philox")

    def test_step(self, batch):
        """The negative ELBO with one draw of epsilon an image, as in training."""
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
    """The article's `glorot_init`: N(0, 1 / (shape[0] / 2)), for biases with their own length."""
    draws = keras.random.SeedGenerator(seed)  # one generator, so that no two variables are alike

    def initializer(shape, dtype=None):
        return keras.random.normal(shape, stddev=(shape[0] / 2) ** -0.5, dtype=dtype, seed=draws)

    return initializer


@keras.saving.register_keras_serializable("tf_gen")
class RMSpropTF1(keras.optimizers.RMSprop):
    """RMSProp as in TensorFlow 1, whose mean of squared gradients starts at 1 instead of 0.

    Small gradients therefore make small first steps, about the learning rate times the gradient;
    Keras's first step is sqrt(10) learning rates long in each weight, whatever its gradient.
    """

    def build(self, variables):
        if not self.built:
            super().build(variables)
            for velocity in self._velocities:
                velocity.assign(keras.ops.ones_like(velocity))


def build(config):
    """A built and compiled `VAE`, its weights drawn from `config.seed`."""
    model = VAE(config)
    # epsilon is inside the root in Keras, as it was in TensorFlow 1.
    model.compile(RMSpropTF1(config.learning_rate, rho=config.decay, epsilon=1e-10))
    return model


def blocks(config, source):
    """What each update consumes, as `batches.Blocks`: a function of (config.seed, update) only.

    A batch is a dict of `images` uint8 [batch, 28, 28], 255 for white, and `epsilon` float32
    [batch, latent] from N(0, I).
    """

    def epsilon(seed):
        shape = [config.batch_size, config.latent_dim]
        return tf.random.stateless_normal(shape, seed, alg="philox")

    return digits.blocks(config, source, epsilon=epsilon)


def batches(config, source, start=0):
    """`blocks` as an endless `tf.data.Dataset` whose element k belongs to update start + k."""
    return blocks(config, source).dataset(start)


# ---- What is measured and shown -----------------------------------------------------------------


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
        """All held-out images once, in batches like those of training, but larger: a list.

        epsilon is always the same.
        """
        images = self.source.held_out_images
        shape = [len(images), self.config.latent_dim]
        epsilon = tf.random.stateless_normal(shape, [self.config.seed, -1], alg="philox")
        return [
            {"images": tf.constant(images[i : i + 2000]), "epsilon": epsilon[i : i + 2000]}
            for i in range(0, len(images), 2000)
        ]

    def score(self, model):
        """The losses on all held-out images, a tighter bound, and the figures of all digits: dict.

        `held_out_loss` is a bound on the images' mean -log p(x), in nats, and so is
        `importance_loss_100`, with 100 draws of z for each image: see `importance_bound`.
        """
        losses, figures = self.measure(model), super().score(model)
        figures["diverged"] = figures["diverged"] or not math.isfinite(losses["held_out_loss"])
        bound = importance_bound(model, self.judge.held_out_images, 100)
        return {**losses, "importance_loss_100": -bound, **figures}

    def draw_scores(self, scores):
        """The held-out loss of each seed."""
        losses = [score["held_out_loss"] for score in scores]
        return plots.values_by_seed(losses, "negative ELBO of held-out images, nats")

    def pictures(self, model, history):
        """Adds the losses."""
        losses = {name: name for name in ("loss", "held_out_loss")}
        return {
            "loss.png": self.curves(history, losses, "nats an image"),
            **super().pictures(model, history),
        }


def importance_bound(model, images, k, seed=(0, 0)):
    """A lower bound on log p(x) that rises to it with k: log of the mean of k importance weights.

    Burda et al., Importance Weighted Autoencoders, arXiv:1509.00519, equation 8. With k = 1 it is
    the ELBO. p(x|z) is what the article's loss takes for it, the cross entropy of grey pixels.

    Args:
        model: a `VAE`.
        images: float32 [n, 28, 28] in [0, 1].
        k: Python int, draws of z for each image.
        seed: int [2], of these draws.

    Returns:
        Python float, in nats, mean over the images.
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
