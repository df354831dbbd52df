"""Generative adversarial network that learns a one-dimensional Gaussian.

Article: 生成对抗网络介绍 (An introduction to Generative Adversarial Networks), after AYLIEN's post
and code `gan-intro`, which follow Eric Jang's post.
Papers: Goodfellow et al., Generative Adversarial Networks, arXiv:1406.2661; Salimans et al.,
Improved Techniques for Training GANs, arXiv:1606.03498, section 3.2 (minibatch discrimination).

    data           x ~ N(4, 0.5), each batch sorted
    noise          z = linspace(-8, 8, batch) + U(0, 1) * 0.01
    generator      z [1] -> softplus [h] -> x [1]
    discriminator  x [1] -> tanh [2h] -> tanh [2h] -> tanh [2h] -> sigmoid [1]
                   minibatch discrimination can replace the third layer

One update is one iteration of the article's loop: D learns from x and z, then G from a new z.

    loss_d = mean(-log D(x) - log(1 - D(G(z))))
    loss_g = mean(-log D(G(z)))

There are three presets. `article` is what the article's text describes. `listing` is the full code
at its end: relu, Adam and log(max(p, 1e-5)). `stable` is our own. It has the same task and the same
kind of networks, with remedies that were found since; each is one or two fields of `Config`:

- `pack` 64: D judges 64 points at once, in ascending order. One point says little; 64 show the
  shape of their distribution (packing: Lin et al., arXiv:1712.04086). Sorting removes the order,
  which carries no information (Zaheer et al., arXiv:1703.06114).
- `noise` uniform: each z is drawn independently. With stratified noise, G's points are spaced more
  evenly than any draw from the data, and a D that sees many points would notice that at once.
- `standardize`: D sees x with mean 0 and standard deviation 1 (LeCun et al., Efficient BackProp,
  1998).
- `batch_size` 256, which is four packs, and `hidden_size` 8, twice the article's, for a margin.
- `scale_weights`: with weights from N(0, 1 / fan_in), wider layers do not start with larger logits
  (also LeCun et al.).
- `activation` softplus: G follows D's slope, which then has no kinks and vanishes nowhere.
- `g_learning_rate` 0.1, `d_learning_rate` 0.003: Adam's steps are about as long as the rate, and
  G's few weights have far to go.
- `beta_1` 0.5: Adam forgets its old gradients sooner. They came from older versions of the other
  network (Radford et al., arXiv:1511.06434).
- `decay` linear: steps that shrink to zero let D and G settle. With steps of constant length they
  keep jumping around.

saved_models/gaussian_gan/README.md measures what each remedy contributes.

Changes from the original:
- The losses are computed from logits. The article's log(1 - D) is log(0) in float32 once a logit
  exceeds 16.6. The listing's clamp is applied to the exact logarithm; below the floor the gradient
  is 0, as in the listing.
- The listing's loop makes num_steps + 1 updates; here it makes num_steps, and the line `10:` comes
  after ten updates. The original's line shows the losses of one batch; here it shows their means
  over the updates since the previous line or frame of the animation, at most 1,000.
- The article's TensorFlow needs two copies of D with shared weights, and a fixed batch size. Here D
  is one network for batches of any size.
- The bias of the minibatch projection is not trained, since it cancels out of the features.
- The listing's decision boundary omits the points that do not fill a batch; here it has all points.
- The article's first code begins with 1,000 updates in which only D learns: it approaches the
  density of the data. Here these are `pretrain_steps`, 0 by default;
  saved_models/gaussian_gan/README.md measures their effect.
"""

import math
from functools import cached_property
from typing import Literal

import keras
import numpy as np
import tensorflow as tf

from tf_gen import plots
from tf_gen.base import Adversarial, compiled, repeat
from tf_gen.batches import BLOCK, drawn
from tf_gen.errors import UserError
from tf_gen.settings import Count, Location, Natural, Rate, Scale, Seed, Settings, Share, Weight
from tf_gen.tasks import gaussian

Activation = Literal["tanh", "relu", "softplus"]
Decay = Literal["staircase", "linear", "none"]
Noise = Literal["stratified", "uniform"]


class Config(Settings):
    # the article's
    hidden_size: Count = 4  # units of the generator; the discriminator's layers have twice as many
    minibatch: bool = False  # use minibatch discrimination
    d_learning_rate: Rate = 0.005  # learning rate of the discriminator
    g_learning_rate: Rate = 0.005  # learning rate of the generator
    batch_size: Count = 12  # real points, and as many generated ones, per update
    steps: Count = 1_200  # total number of updates
    pretrain_steps: Natural = 0  # updates of the discriminator before the first of these
    stop_at_w1: Weight = 0.0  # stop at a line of the log whose w1 is at most this; 0 for never
    data_mean: Location = 4.0  # mean of the Gaussian to learn
    data_std: Scale = 0.5  # standard deviation of the Gaussian to learn
    log_every: Count = 10  # updates between two lines of the log
    seed: Seed = 0  # seed of the initial weights, the data and the noise
    # of the other presets
    activation: Activation = "tanh"  # activation of the discriminator: tanh, relu or softplus
    scale_weights: bool = False  # draw initial weights from N(0, 1 / fan_in) instead of N(0, 1)
    log_floor: Share = 0.0  # log p is log(max(p, log_floor)); 0 for the plain logarithm
    optimizer: Literal["sgd", "adam"] = "sgd"  # sgd or adam
    decay: Decay = "staircase"  # of both rates: staircase (0.95 every 150 steps), linear or none
    beta_1: Share = 0.9  # decay rate of Adam's mean of gradients
    noise: Noise = "stratified"  # stratified (sorted, as x is) or uniform (independent draws)
    pack: Count = 1  # points that the discriminator judges at once, in ascending order
    standardize: bool = False  # let the discriminator see (x - data_mean) / data_std

    def __post_init__(self):
        super().__post_init__()
        if self.batch_size % self.pack:
            raise ValueError(f"batch_size must be a multiple of pack, {self.pack}")
        if self.pack > 1 and self.pretrain_steps:
            raise ValueError("pretrain_steps must be 0 if pack is above 1: a pack has no density")
        if self.minibatch and self.batch_size < 2:
            raise ValueError("batch_size must be at least 2 with minibatch discrimination, not 1")

    @property
    def whole_batch(self):
        if self.minibatch:
            return "with minibatch discrimination, D sees the batch as a whole"
        return "an update of so few points takes less time than an exchange of gradients"


PRESETS = {
    "article": Config(),
    "listing": Config(
        activation="relu",
        log_floor=1e-5,
        optimizer="adam",
        d_learning_rate=0.001,
        g_learning_rate=0.001,
        decay="none",
        batch_size=8,
        steps=5_000,
    ),
    "stable": Config(
        hidden_size=8,
        activation="softplus",
        scale_weights=True,
        optimizer="adam",
        d_learning_rate=0.003,
        g_learning_rate=0.1,
        decay="linear",
        beta_1=0.5,
        noise="uniform",
        pack=64,
        standardize=True,
        batch_size=256,
        steps=8_000,
        log_every=100,
    ),
}
TASK = "gaussian"
NOISE_RANGE = 8.0  # z and the pictures go from -8 to 8


# ---- Losses -------------------------------------------------------------------------------------


def log_probability(logits, floor):
    """log(max(p, floor)) for p = sigmoid(logits), and log(max(1 - p, floor)) if given -logits.

    The result is finite for every logit, also without a floor. Computed from p in float32, log(p)
    is -inf for logits below -104 and log(1 - p) is -inf above 16.6. The gradient is 0 where
    p < floor, as in the original.

    Args:
        logits: float32, any shape.
        floor: Python float, 0 for no floor.
    """
    log_p = tf.math.log_sigmoid(logits)
    return tf.maximum(log_p, math.log(floor)) if floor else log_p


def discriminator_loss(real_logits, generated_logits, floor):
    """mean(-log D(x) - log(1 - D(G(z)))): float32 [] from logits [batch, 1]."""
    log_real = log_probability(real_logits, floor)
    log_generated = log_probability(-generated_logits, floor)
    return tf.reduce_mean(-log_real - log_generated)


def generator_loss(generated_logits, floor):
    """mean(-log D(G(z))): float32 [] from logits [batch, 1]."""
    return tf.reduce_mean(-log_probability(generated_logits, floor))


# ---- Layers -------------------------------------------------------------------------------------


@keras.saving.register_keras_serializable("tf_gen")
class MinibatchDiscrimination(keras.layers.Layer):
    """Appends features that tell how close each example is to the other examples of its batch.

    The layer projects each example to `num_kernels` vectors of length `kernel_dim`. Feature k of
    example i is the sum over all examples j, including i, of exp(-|M[i, k] - M[j, k]|_1). It is
    near 1 if no other example is close to i, and equals the batch size if all examples are equal.
    Salimans et al., arXiv:1606.03498, equation 6; sizes from the article.

    Args:
        num_kernels, kernel_dim: Python ints.
        kernel_initializer: initializer of the projection's kernel; its bias starts at 0.

    Input: [..., batch, features]. Output: [..., batch, features + num_kernels].
    """

    def __init__(self, num_kernels=5, kernel_dim=3, kernel_initializer=None, **kwargs):
        super().__init__(**kwargs)
        self.num_kernels = num_kernels
        self.kernel_dim = kernel_dim
        self.kernel_initializer = keras.initializers.get(
            kernel_initializer or keras.initializers.RandomNormal(stddev=0.02)
        )

    def build(self, input_shape):
        width = self.num_kernels * self.kernel_dim
        self.kernel = self.add_weight(
            [input_shape[-1], width], initializer=self.kernel_initializer, name="kernel"
        )
        # The article's bias cancels in every difference, so its exact gradient is 0. Rounding makes
        # it tiny noise, which Adam would scale up to steps of full size. So it is not trained.
        self.bias = self.add_weight([width], initializer="zeros", trainable=False, name="bias")

    def call(self, inputs):
        m = tf.reshape(inputs, [-1, inputs.shape[-1]]) @ self.kernel + self.bias
        shape = tf.concat([tf.shape(inputs)[:-1], [self.num_kernels, self.kernel_dim]], axis=0)
        m = tf.reshape(m, shape)  # [..., batch, num_kernels, kernel_dim]
        # L1 distances of all pairs, [..., i, j, num_kernels]. One coordinate after the other, since
        # a sum over an axis of length 3 is slow.
        distances = tf.add_n(
            [tf.abs(tf.expand_dims(v, -2) - tf.expand_dims(v, -3)) for v in tf.unstack(m, axis=-1)]
        )
        features = tf.reduce_sum(tf.exp(-distances), axis=-2)  # [..., i, num_kernels]
        return tf.concat([inputs, features], axis=-1)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] + self.num_kernels)

    def get_config(self):
        return {
            **super().get_config(),
            "num_kernels": self.num_kernels,
            "kernel_dim": self.kernel_dim,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
        }


class Generator(keras.layers.Layer):
    """z [batch, 1] -> x [batch, 1]."""

    def __init__(self, config, initializer):
        super().__init__()
        init = {"kernel_initializer": initializer}
        self.hidden = keras.layers.Dense(config.hidden_size, activation="softplus", **init)
        self.x = keras.layers.Dense(1, **init)

    def build(self, z_shape):
        self.hidden.build(z_shape)
        self.x.build([None, self.hidden.units])

    def call(self, z):
        return self.x(self.hidden(z))


class Discriminator(keras.layers.Layer):
    """x [..., batch, 1] -> logits [..., batch / pack, 1].

    With `minibatch`, the logits of an example depend on the other examples of its batch.
    """

    def __init__(self, config, initializer, narrow):
        super().__init__()
        self.config = config

        def dense():
            return keras.layers.Dense(
                2 * config.hidden_size, config.activation, kernel_initializer=initializer
            )

        self.hidden_1 = dense()
        self.hidden_2 = dense()
        # The article says that without minibatch discrimination D needs one more layer to have the
        # capacity to separate the two distributions.
        minibatch = MinibatchDiscrimination(kernel_initializer=narrow)
        self.hidden_3 = minibatch if config.minibatch else dense()
        self.logits = keras.layers.Dense(1, kernel_initializer=initializer)

    def build(self, x_shape):
        shape = [None, 2 * self.config.hidden_size]
        self.hidden_1.build([None, self.config.pack])
        self.hidden_2.build(shape)
        self.hidden_3.build(shape)
        self.logits.build(self.hidden_3.compute_output_shape(shape))

    def call(self, x):
        # One long list of examples is faster than a stack of batches; only hidden_3 needs a stack.
        h = self.hidden_2(self.hidden_1(self.packs(x)))
        stack = tf.concat([tf.shape(x)[:-2], [-1, h.shape[-1]]], axis=0)
        h = self.hidden_3(tf.reshape(h, stack))
        logits = self.logits(tf.reshape(h, [-1, h.shape[-1]]))
        return tf.reshape(logits, tf.concat([tf.shape(x)[:-2], [-1, 1]], axis=0))

    def packs(self, x):
        """The packs that D judges: float32 [n, pack], each in ascending order."""
        if self.config.standardize:
            x = (x - self.config.data_mean) / self.config.data_std
        x = tf.reshape(x, [-1, self.config.pack])
        return tf.sort(x) if self.config.pack > 1 else x


# ---- The model ----------------------------------------------------------------------------------


class GaussianGAN(Adversarial):
    """G, and D with or without minibatch discrimination."""

    losses_reported = ("loss", "loss_d", "loss_g")

    def __init__(self, config, **kwargs):
        super().__init__(config, **kwargs)
        draws = keras.random.SeedGenerator(config.seed)  # shared: no two variables are alike
        narrow = keras.initializers.RandomNormal(stddev=0.02, seed=draws)
        initializer = keras.initializers.RandomNormal(stddev=1.0, seed=draws)
        if config.scale_weights:
            initializer = keras.initializers.VarianceScaling(
                1.0, mode="fan_in", distribution="untruncated_normal", seed=draws
            )
        self.generator = Generator(config, initializer)
        self.discriminator = Discriminator(config, initializer, narrow)
        z = tf.zeros([2 * config.pack, 1])
        self.discriminator(self.generator(z))  # creates the variables
        self(z)

    @classmethod
    def from_config(cls, settings):
        """Raise UserError if the file is of a model trained with `r1`, which no longer exists."""
        settings = dict(settings)
        if settings.pop("r1", 0.0):
            raise UserError(
                "this model was trained with r1, a penalty that no longer exists; train it again"
            )
        return super().from_config(settings)

    def update(self, batch):
        """One iteration of the article's loop: D learns from x and z, then G from a new z.

        Args:
            batch: see `blocks`.

        Returns:
            dict of float32 []: `loss_d` and `loss_g`, each computed before its own step, and
            `loss`, their sum.
        """
        floor = self.config.log_floor
        # D learns. The gradient is taken for D's variables only: G does not change.
        with tf.GradientTape() as tape:
            both = tf.stack([batch["x"], self.generator(batch["z_d"])])  # two batches, one call
            real_logits, generated_logits = tf.unstack(self.discriminator(both))
            loss_d = discriminator_loss(real_logits, generated_logits, floor)
        gradients = tape.gradient(loss_d, self.d_variables)
        self.d_optimizer.apply(gradients, self.d_variables)

        # G learns through D's gradient; D does not change.
        with tf.GradientTape() as tape:
            generated_logits = self.discriminator(self.generator(batch["z_g"]))
            loss_g = generator_loss(generated_logits, floor)
        gradients = tape.gradient(loss_g, self.g_variables)
        self.g_optimizer.apply(gradients, self.g_variables)
        return {"loss": loss_d + loss_g, "loss_d": loss_d, "loss_g": loss_g}

    def discriminate(self, x):
        """D: x [..., batch, 1] to the probability that it is real [..., batch / pack, 1]."""
        return tf.sigmoid(self.discriminator(x))

    @cached_property
    def compiled_discriminate(self):
        """`discriminate` as a compiled program, for the many points of a decision boundary."""
        # XLA does not store the distances of all pairs, which take much memory in a large batch.
        return compiled(self.discriminate)

    def prior(self, count, seed):
        """Draw z: float32 [count, 1] from int32 [] and int32 [2].

        The article's noise is stratified: `count` evenly spaced values from -8 to 8 in ascending
        order, each with U(0, 1) * 0.01 added. Only together do they represent the distribution: a
        single z is always near -8. With `noise` uniform, z are independent draws from U(-8, 8).
        """
        uniform = tf.random.stateless_uniform([count], seed, alg="philox")
        return noise(self.config, uniform)[:, None]

    def signatures(self):
        x = tf.TensorSpec([None, 1], tf.float32, name="x")
        return {**super().signatures(), "discriminate": (self.discriminate, [x], ["probability"])}


def build(config):
    """Return a built and compiled `GaussianGAN` with weights drawn from `config.seed`."""
    model = GaussianGAN(config)
    if config.pretrain_steps:
        pretrain(model, config)
    model.compile(
        new_optimizer(config, config.d_learning_rate), new_optimizer(config, config.g_learning_rate)
    )
    return model


def pretrain(model, config):
    """Train D(x) towards the density of the data, by squared error and with its own optimiser."""
    optimizer = new_optimizer(config, config.d_learning_rate)
    optimizer.build(model.d_variables)

    def update(batch):
        with tf.GradientTape() as tape:
            errors = model.discriminate(batch["x"]) - batch["density"]
            loss = tf.reduce_mean(errors**2)
        optimizer.apply(tape.gradient(loss, model.d_variables), model.d_variables)
        return {"loss": loss}

    program = compiled(lambda batches: repeat(update, batches, ["loss"]))
    program(density_batches(config))


def new_optimizer(config, learning_rate):
    """Return a new optimiser as `config` describes it, with its own count of steps."""
    if config.decay == "staircase":
        learning_rate = keras.optimizers.schedules.ExponentialDecay(
            learning_rate, decay_steps=150, decay_rate=0.95, staircase=True
        )
    if config.decay == "linear":
        learning_rate = keras.optimizers.schedules.PolynomialDecay(
            learning_rate, decay_steps=config.steps, end_learning_rate=0.0
        )
    if config.optimizer == "sgd":
        return keras.optimizers.SGD(learning_rate)
    # epsilon is TensorFlow 1's default. Keras adds it in the same place, but its default is 1e-7.
    return keras.optimizers.Adam(learning_rate, beta_1=config.beta_1, epsilon=1e-8)


# ---- Data ---------------------------------------------------------------------------------------


def noise(config, uniform):
    """Turn uniform numbers in [0, 1) into z, float32 [..., count] both: see `GaussianGAN.prior`."""
    if config.noise == "uniform":
        return NOISE_RANGE * (2 * uniform - 1)
    count = tf.shape(uniform)[-1]
    spacing = 2 * NOISE_RANGE / tf.cast(tf.maximum(count - 1, 1), tf.float32)
    return -NOISE_RANGE + spacing * tf.range(count, dtype=tf.float32) + 0.01 * uniform


def blocks(config, source=None):
    """Everything that the updates consume, as `batches.Blocks`.

    The batch of an update depends only on (config.seed, update). It is a dict of `x`, points of the
    Gaussian, `z_d`, noise for D's step, and `z_g`, noise for G's step: float32 [batch, 1] each, in
    ascending order if the noise is stratified.
    """
    shape = [BLOCK, config.batch_size]

    def z(seed):
        return noise(config, tf.random.stateless_uniform(shape, seed, alg="philox"))

    def draw(seed):
        seeds = tf.random.split(seed, 3, alg="philox")
        x = gaussian.draw_points(config, shape, seeds[0])
        if config.noise == "stratified":
            x = tf.sort(x)
        batch = {"x": x, "z_d": z(seeds[1]), "z_g": z(seeds[2])}
        return {name: points[..., None] for name, points in batch.items()}

    return drawn(draw, config.seed)


def batches(config, source=None, start=0):
    """`blocks` as an endless `tf.data.Dataset`; its element k is the batch of update start + k."""
    return blocks(config, source).dataset(start)


def density_batches(config):
    """The batches of `pretrain`: a dict of `x` from U(-5, 5) and `density`, that of the data at x.

    Both are float32 [pretrain_steps, batch, 1].
    """
    shape = [config.pretrain_steps, config.batch_size, 1]
    x = tf.random.stateless_uniform(shape, [config.seed, -1], -5.0, 5.0, alg="philox")
    deviations = (x - config.data_mean) / config.data_std
    density = tf.exp(-(deviations**2) / 2) / (config.data_std * math.sqrt(2 * math.pi))
    return {"x": x, "density": density}


# ---- Log, pictures and scores -------------------------------------------------------------------


class Report(gaussian.Report):
    """Adds the article's log and its picture with D's decision boundary."""

    log_line = "{step}: {loss_d:.4f}\t{loss_g:.4f}"

    @property
    def limits(self):
        return [("w1", self.config.stop_at_w1)] if self.config.stop_at_w1 else []

    def generate(self, model):
        """G's output at the article's 10,000 points, linspace(-8, 8): float32 [10000]."""
        z = np.linspace(-NOISE_RANGE, NOISE_RANGE, gaussian.POINTS, dtype=np.float32)
        return model.decode(z[:, None]).numpy()[:, 0]

    def observe(self, model):
        """G's output at the midpoints of 500 equal parts of [-8, 8]: float32 [500]."""
        middles = (tf.range(500, dtype=tf.float32) + 0.5) / 500
        return model.decode(NOISE_RANGE * (2 * middles - 1)[:, None])[:, 0]

    def measure(self, x):
        """Mean and standard deviation of x, float32 [500], and its Wasserstein-1 distance `w1`."""
        x = np.float64(x)
        return {"mean": x.mean(), "std": x.std(), "w1": self.wasserstein_1(x)}

    def decision_boundary(self, model):
        """D's output at 10,000 points across the picture, in batches of the training size.

        With minibatch discrimination D's output depends on the other points of the batch, which are
        the neighbours here. If the batch size does not divide 10,000, the last two batches overlap.
        If D judges packs, it sees each point together with pack - 1 typical points, which are
        evenly spaced quantiles of the data.

        Returns:
            x and the probability that it is real, float32 [10000] each.
        """
        n, batch_size = gaussian.POINTS, min(self.config.batch_size, gaussian.POINTS)
        x = np.linspace(self.edges[0], self.edges[-1], n, dtype=np.float32)
        if others := self.config.pack - 1:
            typical = np.quantile(self.real, (np.arange(others) + 0.5) / others)
            packs = np.column_stack([x, np.tile(np.float32(typical), [n, 1])])
            return x, np.array(model.compiled_discriminate(packs[..., None]))[:, 0, 0]
        starts = np.minimum(np.arange(0, n, batch_size), n - batch_size)
        rows = starts[:, None] + np.arange(batch_size)  # [batches, batch]
        p = np.empty_like(x)
        p[rows] = model.compiled_discriminate(x[rows][..., None])[..., 0]
        return x, p

    def snapshot(self, model):
        """Adds D's decision boundary, `probability` float32 [500]."""
        _, p = self.decision_boundary(model)
        # 500 points are enough for a smooth line.
        return {"probability": p.reshape(500, -1).mean(axis=1), **super().snapshot(model)}

    def pictures(self, model, history):
        """The article's final picture, and the figures of the log against the step."""
        real, generated = self.density(self.real), self.density(self.generate(model))
        boundary = self.decision_boundary(model)
        targets = {"mean": self.config.data_mean, "std": self.config.data_std, "w1": 0.0}
        return {
            "distributions.png": plots.distributions(self.edges, real, generated, *boundary),
            "course.png": plots.course(history, targets),
        }
