"""The "GAN in 50 lines", whose discriminator sees a whole batch at once.

Article: GANs 很难?这篇文章教你 50 行代码搞定 (translation of Dev Nag's "Generative Adversarial
Networks (GANs) in 50 lines of code", with PyTorch).
Paper: Goodfellow et al., Generative Adversarial Networks, arXiv:1406.2661.

The article builds it from five parts:

    R, the real data          x ~ N(4, 1.25)
    I, the input noise        z ~ U(0, 1)
    G, the generator          z [1] -> ELU [50] -> sigmoid [50] -> x [1]
    D, the discriminator      a batch of 100 as one vector, with its squared deviations
                              [x, (x - mean(x))^2] [200] -> ELU [50] -> ELU [50] -> sigmoid [1]
    the training loop         D learns from a real and a generated batch, then G through D

    loss_d = -log D(x) - log(1 - D(G(z))),   loss_g = -log D(G(z)),   one D(.) for each batch

There are three presets. `article` is the article's model. `moments` is the author's later code: D
sees only the mean, standard deviation, skew and excess kurtosis of a batch, and D and G take turns
of 20 updates each. `stable` is our own. In every preset, `inputs` chooses what D sees:

    raw          the batch
    squares      the batch and (x - mean)^2
    differences  the batch and x - mean
    moments      mean, std, skew, excess kurtosis
    sorted       the batch in ascending order

Gradients flow through the mean in `moments`, but not in `squares` and `differences`.

`stable` has the networks of `article` and three remedies that were found since:

- `inputs` sorted: the order of the points carries no information about a batch (Zaheer et al.,
  arXiv:1703.06114). In ascending order, point k is a quantile, so D sees the shape of the
  distribution.
- `standardize`: D sees x with mean 0 and standard deviation 1 (LeCun et al., Efficient BackProp,
  1998).
- `decay` linear, from a `learning_rate` of 0.001: steps that shrink to zero let D and G settle.
  With steps of constant length they keep jumping around.

Changes from the original:
- The losses are computed from logits; PyTorch's BCELoss clamps the logarithm at -100.
- The optimiser is `AdamPyTorch`, since Keras's Adam adds epsilon in another place.
- The original's log shows statistics of the last batches. Here the real ones are of 10,000 points,
  the same at every line, and the generated ones are of G at 1,000 evenly spaced z, which vary less.
  The losses are means over the epochs since the previous line or frame of the animation.
- In `moments`, a standard deviation is at least 1e-6; below, the original's gradient is NaN.
"""

import math
from typing import Literal

import keras
import tensorflow as tf

from tf_gen.base import Adversarial, repeat
from tf_gen.settings import Count, Location, Rate, Scale, Seed, Settings, TwoOrMore
from tf_gen.tasks import gaussian

Activation = Literal["elu", "tanh", "sigmoid", "relu"]
Inputs = Literal["raw", "squares", "differences", "moments", "sorted"]


class Config(Settings):
    # the article's
    inputs: Inputs = "squares"  # what D sees: raw, squares, differences, moments or sorted
    g_hidden_size: Count = 50  # units in each hidden layer of the generator
    d_hidden_size: Count = 50  # units in each hidden layer of the discriminator
    learning_rate: Rate = 0.0002  # learning rate of both networks
    batch_size: TwoOrMore = 100  # points in a batch, real or generated
    d_steps: Count = 1  # updates of the discriminator per epoch
    g_steps: Count = 1  # updates of the generator per epoch, after those of the discriminator
    steps: Count = 30_000  # total number of epochs, the article's word for iterations of its loop
    data_mean: Location = 4.0  # mean of the Gaussian to learn
    data_std: Scale = 1.25  # standard deviation of the Gaussian to learn
    log_every: Count = 200  # epochs between two lines of the log
    seed: Seed = 0  # seed of the initial weights, the data and the noise
    # of the other presets
    g_activation_1: Activation = "elu"  # of G's first hidden layer: elu, tanh, sigmoid or relu
    g_activation_2: Activation = "sigmoid"  # of G's second hidden layer
    d_activation: Activation = "elu"  # of D's hidden layers
    optimizer: Literal["adam", "sgd"] = "adam"  # adam, or sgd with momentum 0.9
    decay: Literal["none", "linear"] = "none"  # decay of the learning rate: none, or linear to 0
    standardize: bool = False  # let the discriminator see (x - data_mean) / data_std

    whole_batch = "D sees the batch as a whole"


PRESETS = {
    "article": Config(),
    "moments": Config(
        inputs="moments",
        g_hidden_size=5,
        g_activation_1="tanh",
        g_activation_2="tanh",
        d_hidden_size=10,
        d_activation="sigmoid",
        optimizer="sgd",
        learning_rate=0.001,
        batch_size=500,
        d_steps=20,
        g_steps=20,
        steps=5_000,
        log_every=100,
    ),
    "stable": Config(
        inputs="sorted",
        standardize=True,
        learning_rate=0.001,
        decay="linear",
        steps=20_000,
    ),
}
TASK = "gaussian"


# ---- What D sees --------------------------------------------------------------------------------


def deviations(x):
    """x - mean(x) of each batch, with no gradient through the mean: float32 [n, batch]."""
    return x - tf.stop_gradient(tf.reduce_mean(x, axis=-1, keepdims=True))


def moments(x):
    """Mean, standard deviation, skew and excess kurtosis of each batch: float32 [n, 4].

    The divisor is the batch size.
    """
    mean = tf.reduce_mean(x, axis=-1, keepdims=True)
    variance = tf.reduce_mean((x - mean) ** 2, axis=-1, keepdims=True)
    std = tf.sqrt(tf.maximum(variance, 1e-12))  # keeps the gradient of a constant batch finite
    scores = (x - mean) / std
    skew = tf.reduce_mean(scores**3, axis=-1, keepdims=True)
    kurtosis = tf.reduce_mean(scores**4, axis=-1, keepdims=True) - 3
    return tf.concat([mean, std, skew, kurtosis], axis=-1)


INPUTS = {
    "raw": lambda x: x,
    "squares": lambda x: tf.concat([x, deviations(x) ** 2], axis=-1),
    "differences": lambda x: tf.concat([x, deviations(x)], axis=-1),
    "moments": moments,
    "sorted": tf.sort,
}


# ---- Networks -----------------------------------------------------------------------------------


def dense(units, fan_in, draws, activation=None):
    """A built Dense layer with PyTorch's initial weights and biases: U(-1, 1) / sqrt(fan_in)."""
    bound = 1 / math.sqrt(fan_in)
    uniform = keras.initializers.RandomUniform(-bound, bound, seed=draws)
    layer = keras.layers.Dense(
        units, activation=activation, kernel_initializer=uniform, bias_initializer=uniform
    )
    layer.build([None, fan_in])
    return layer


class Generator(keras.layers.Layer):
    """z [..., 1] -> x [..., 1]."""

    def __init__(self, config, draws):
        super().__init__()
        size = config.g_hidden_size
        self.hidden_1 = dense(size, 1, draws, config.g_activation_1)
        self.hidden_2 = dense(size, size, draws, config.g_activation_2)
        self.x = dense(1, size, draws)

    def call(self, z):
        return self.x(self.hidden_2(self.hidden_1(z)))


class Discriminator(keras.layers.Layer):
    """x [n, batch], n whole batches -> logits [n], one per batch."""

    def __init__(self, config, draws):
        super().__init__()
        size, batch_size = config.d_hidden_size, config.batch_size
        self.config = config
        width = {"raw": batch_size, "sorted": batch_size, "moments": 4}.get(
            config.inputs, 2 * batch_size
        )
        self.hidden_1 = dense(size, width, draws, config.d_activation)
        self.hidden_2 = dense(size, size, draws, config.d_activation)
        self.logits = dense(1, size, draws)

    def call(self, x):
        if self.config.standardize:
            x = (x - self.config.data_mean) / self.config.data_std
        seen = INPUTS[self.config.inputs](x)
        return self.logits(self.hidden_2(self.hidden_1(seen)))[:, 0]


# ---- The model ----------------------------------------------------------------------------------


@keras.saving.register_keras_serializable("tf_gen")
class AdamPyTorch(keras.optimizers.Adam):
    """Adam as in PyTorch: it adds epsilon after the bias correction, Keras before it.

    Let m and v be the means of gradients and of squared gradients, both corrected for their start
    at 0. Then a step is rate * m / (sqrt(v) + epsilon) (Kingma and Ba, arXiv:1412.6980,
    algorithm 1). If gradients are as small as epsilon, Keras's first steps are shorter.
    """

    def update_step(self, gradient, variable, learning_rate):
        index = self._get_variable_index(variable)
        m, v = self._momentums[index], self._velocities[index]
        m.assign_add((gradient - m) * (1 - self.beta_1))
        v.assign_add((gradient**2 - v) * (1 - self.beta_2))
        # 1 - beta**t, by expm1: float32's 1 - beta**t has an error of 3e-5 at t = 1.
        t = tf.cast(self.iterations + 1, tf.float32)
        correction_1, correction_2 = (
            -tf.math.expm1(t * math.log(beta)) for beta in (self.beta_1, self.beta_2)
        )
        root = tf.sqrt(v / correction_2)
        variable.assign_sub(learning_rate * m / correction_1 / (root + self.epsilon))


class TinyGAN(Adversarial):
    """G learns against D, which judges whole batches."""

    losses_reported = ("loss", "loss_d_real", "loss_d_generated", "loss_g")

    def __init__(self, config, **kwargs):
        super().__init__(config, **kwargs)
        draws = keras.random.SeedGenerator(config.seed)  # shared: no two variables are alike
        self.generator = Generator(config, draws)
        self.discriminator = Discriminator(config, draws)
        z = tf.zeros([config.batch_size])
        self.discriminator(self.generate(z)[None])  # creates the variables
        self(z[:, None])

    def update(self, batch):
        """One epoch of the article: `d_steps` updates of D, then `g_steps` updates of G.

        Args:
            batch: see `blocks`.

        Returns:
            dict of float32 [], means over the updates: `loss_d_real` = -log D(x),
            `loss_d_generated` = -log(1 - D(G(z))), `loss_g`, and `loss`, the sum of the three.
        """
        names = ("loss_d_real", "loss_d_generated")
        d_losses, _ = repeat(self.update_d, {"x": batch["x"], "z": batch["z_d"]}, names)
        g_losses, _ = repeat(self.update_g, {"z": batch["z_g"]}, ("loss_g",))
        losses = {**d_losses, **g_losses}
        return {"loss": tf.add_n(list(losses.values())), **losses}

    def update_d(self, batch):
        """D learns to tell `x` from G(`z`), both float32 [batch]; G does not change."""
        generated = self.generate(batch["z"])
        with tf.GradientTape() as tape:
            real_logit, generated_logit = tf.unstack(
                self.discriminator(tf.stack([batch["x"], generated]))
            )
            loss_real = -tf.math.log_sigmoid(real_logit)
            loss_generated = -tf.math.log_sigmoid(-generated_logit)
            loss = loss_real + loss_generated
        self.d_optimizer.apply(tape.gradient(loss, self.d_variables), self.d_variables)
        return {"loss_d_real": loss_real, "loss_d_generated": loss_generated}

    def update_g(self, batch):
        """G learns to make D take G(`z`), float32 [batch], for real; D does not change."""
        with tf.GradientTape() as tape:
            logits = self.discriminator(self.generate(batch["z"])[None])
            loss = -tf.math.log_sigmoid(logits[0])
        self.g_optimizer.apply(tape.gradient(loss, self.g_variables), self.g_variables)
        return {"loss_g": loss}

    def generate(self, z):
        """G's output for a batch of z, in the shape that D takes: float32 [batch] to [batch]."""
        return self.generator(z[:, None])[:, 0]

    def discriminate(self, x):
        """D: one batch, float32 [batch, 1], to the probability that it is real, float32 [1]."""
        return tf.sigmoid(self.discriminator(tf.transpose(x)))

    def prior(self, count, seed):
        """I: draw z ~ U(0, 1), float32 [count, 1] from int32 [] and int32 [2]."""
        return tf.random.stateless_uniform([count, 1], seed, alg="philox")

    def signatures(self):
        # Moments can be taken of batches of any size; the other inputs have a fixed length.
        batch_size = None if self.config.inputs == "moments" else self.config.batch_size
        x = tf.TensorSpec([batch_size, 1], tf.float32, name="x")
        return {**super().signatures(), "discriminate": (self.discriminate, [x], ["probability"])}


def build(config):
    """Return a built and compiled `TinyGAN` with weights drawn from `config.seed`."""
    model = TinyGAN(config)

    def optimizer():
        learning_rate = config.learning_rate
        if config.decay == "linear":
            learning_rate = keras.optimizers.schedules.PolynomialDecay(
                learning_rate, decay_steps=config.steps, end_learning_rate=0.0
            )
        if config.optimizer == "sgd":
            return keras.optimizers.SGD(learning_rate, momentum=0.9)
        return AdamPyTorch(learning_rate, epsilon=1e-8)

    model.compile(optimizer(), optimizer())
    return model


# ---- Data: R and I ------------------------------------------------------------------------------


def blocks(config, source=None):
    """Everything that the epochs consume, as `batches.Blocks`.

    The batch of an epoch depends only on (config.seed, epoch). It is a dict of real points `x` and
    noise `z_d`, both float32 [d_steps, batch], for D's updates, and noise `z_g`, float32
    [g_steps, batch], for G's updates.
    """
    d_shape, g_shape = [config.d_steps, config.batch_size], [config.g_steps, config.batch_size]
    return gaussian.blocks(config, x=d_shape, z_d=d_shape, z_g=g_shape)


def batches(config, source=None, start=0):
    """`blocks` as an endless `tf.data.Dataset`; its element k is the batch of epoch start + k."""
    return blocks(config, source).dataset(start)


# ---- Log, pictures and scores -------------------------------------------------------------------


class Report(gaussian.Report):
    """Adds the article's line of the log."""

    log_line = (
        "Epoch {step}: D ({loss_d_real:.4f} real_err, {loss_d_generated:.4f} fake_err) "
        "G ({loss_g:.4f} err); mean, std, skew, kurtosis: "
        "real {real_mean:.3f}, {real_std:.3f}, {real_skew:.3f}, {real_kurtosis:.3f}; "
        "generated {mean:.3f}, {std:.3f}, {skew:.3f}, {kurtosis:.3f}"
    )

    def observe(self, model):
        """G's output at 1,000 evenly spaced z in (0, 1), which vary less than draws: [1000]."""
        return model.generate((tf.range(1000, dtype=tf.float32) + 0.5) / 1000)
