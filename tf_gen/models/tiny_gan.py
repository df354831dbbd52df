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

Two presets: `article`, and `moments`, the author's later code, whose D sees four numbers of a
batch, its mean, standard deviation, skew and excess kurtosis, and where D and G make 20 updates
each in turn. What D sees is `inputs`, four ways in either preset:

    raw          the batch
    squares      the batch and (x - mean)^2
    differences  the batch and x - mean
    moments      mean, std, skew, excess kurtosis

In `squares` and `differences` no gradient flows through the mean, in `moments` it does.

Changes from the original:
- The losses are computed from logits; PyTorch's BCELoss stops the logarithm at -100.
- PyTorch's Adam adds epsilon after the correction of the bias, Keras before. With 1e-8 the steps
  are the same but where gradients are as small as 1e-6.
- The original's log shows the statistics of the last batches; here they are those of 10,000 real
  points, the same ones at each line, and of G at 1,000 evenly spaced z, which jump less, and the
  losses are means over the epochs since the line before, or the frame of the animation.
- A standard deviation among the moments is at least 1e-6; below, the original's gradient is NaN.
"""

import math
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from tf_gen import data, gaussian, plots
from tf_gen.base import Adversarial, repeat


@dataclass(frozen=True)
class Config:
    inputs: str = "squares"  # what the discriminator sees: raw, squares, differences or moments
    g_hidden_size: int = 50  # units in each hidden layer of the generator
    g_activation_1: str = "elu"  # of its first hidden layer: elu, tanh, sigmoid, relu
    g_activation_2: str = "sigmoid"  # of its second hidden layer
    d_hidden_size: int = 50  # units in each hidden layer of the discriminator
    d_activation: str = "elu"  # of its hidden layers
    optimizer: str = "adam"  # adam, or sgd with momentum 0.9
    learning_rate: float = 0.0002  # of both networks
    batch_size: int = 100  # points a batch, real ones and generated ones
    d_steps: int = 1  # updates of the discriminator an epoch
    g_steps: int = 1  # updates of the generator an epoch, after those of the discriminator
    steps: int = 30_000  # epochs in all, as the article calls an iteration of its loop
    data_mean: float = 4.0  # of the Gaussian to learn
    data_std: float = 1.25  # its standard deviation
    log_every: int = 200  # epochs between two lines of the log
    seed: int = 0  # of the initial weights, the data and the noise

    def __post_init__(self):
        sizes = ("g_hidden_size", "d_hidden_size", "d_steps", "g_steps", "steps", "log_every")
        for name in sizes:
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.batch_size < 2:  # a single point has no moments
            raise ValueError(f"batch_size must be at least 2, not {self.batch_size}")
        activations = ("elu", "tanh", "sigmoid", "relu")
        choices = {
            "inputs": ("raw", "squares", "differences", "moments"),
            "g_activation_1": activations,
            "g_activation_2": activations,
            "d_activation": activations,
            "optimizer": ("adam", "sgd"),
        }
        for name, values in choices.items():
            if getattr(self, name) not in values:
                raise ValueError(f"{name} must be one of {', '.join(values)}")
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate must be positive, not {self.learning_rate}")
        if not abs(self.data_mean) <= 1e6:
            raise ValueError(f"data_mean must be from -1e6 to 1e6, not {self.data_mean}")
        if not 0 < self.data_std <= 1e6:
            raise ValueError(f"data_std must be positive and at most 1e6, not {self.data_std}")
        if not 0 <= self.seed < 2**31:
            raise ValueError(f"seed must be from 0 to 2**31 - 1, not {self.seed}")


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
}
NEEDS_IMAGES = False
LOG_LINE = (
    "Epoch {step}: D ({loss_d_real:.4f} real_err, {loss_d_generated:.4f} fake_err) "
    "G ({loss_g:.4f} err); mean, std, skew, kurtosis: "
    "real {real_mean:.3f}, {real_std:.3f}, {real_skew:.3f}, {real_kurtosis:.3f}; "
    "generated {mean:.3f}, {std:.3f}, {skew:.3f}, {kurtosis:.3f}"
)


# ---- What D sees --------------------------------------------------------------------------------


def deviations(x):
    """x - mean(x) of each batch, without gradient through the mean: float32 [n, batch]."""
    return x - tf.stop_gradient(tf.reduce_mean(x, axis=-1, keepdims=True))


def moments(x):
    """Mean, standard deviation, skew and excess kurtosis, with divisor batch: float32 [n, 4]."""
    mean = tf.reduce_mean(x, axis=-1, keepdims=True)
    variance = tf.reduce_mean((x - mean) ** 2, axis=-1, keepdims=True)
    std = tf.sqrt(tf.maximum(variance, 1e-12))  # a constant batch has no finite gradient otherwise
    scores = (x - mean) / std
    skew = tf.reduce_mean(scores**3, axis=-1, keepdims=True)
    kurtosis = tf.reduce_mean(scores**4, axis=-1, keepdims=True) - 3
    return tf.concat([mean, std, skew, kurtosis], axis=-1)


INPUTS = {
    "raw": lambda x: x,
    "squares": lambda x: tf.concat([x, deviations(x) ** 2], axis=-1),
    "differences": lambda x: tf.concat([x, deviations(x)], axis=-1),
    "moments": moments,
}


# ---- Networks -----------------------------------------------------------------------------------


def dense(units, fan_in, draws, activation=None):
    """A Dense layer that starts as PyTorch's Linear: weights and biases U(-1, 1) / sqrt(fan_in)."""
    bound = 1 / math.sqrt(fan_in)
    uniform = keras.initializers.RandomUniform(-bound, bound, seed=draws)
    return keras.layers.Dense(
        units, activation=activation, kernel_initializer=uniform, bias_initializer=uniform
    )


class Generator(keras.layers.Layer):
    """z [..., 1] -> x [..., 1]."""

    def __init__(self, hidden_size, activation_1, activation_2, draws):
        super().__init__()
        self.hidden_1 = dense(hidden_size, 1, draws, activation_1)
        self.hidden_2 = dense(hidden_size, hidden_size, draws, activation_2)
        self.x = dense(1, hidden_size, draws)

    def call(self, z):
        return self.x(self.hidden_2(self.hidden_1(z)))


class Discriminator(keras.layers.Layer):
    """n batches x [n, batch] -> logits [n]."""

    def __init__(self, inputs, batch_size, hidden_size, activation, draws):
        super().__init__()
        self.see = INPUTS[inputs]
        width = {"raw": batch_size, "moments": 4}.get(inputs, 2 * batch_size)
        self.hidden_1 = dense(hidden_size, width, draws, activation)
        self.hidden_2 = dense(hidden_size, hidden_size, draws, activation)
        self.logits = dense(1, hidden_size, draws)

    def call(self, x):
        return self.logits(self.hidden_2(self.hidden_1(self.see(x))))[:, 0]


# ---- The model ----------------------------------------------------------------------------------


@keras.saving.register_keras_serializable("tf_gen")
class TinyGAN(Adversarial):
    losses_reported = ("loss", "loss_d_real", "loss_d_generated", "loss_g")

    def __init__(
        self,
        inputs="squares",
        batch_size=100,
        g_hidden_size=50,
        g_activation_1="elu",
        g_activation_2="sigmoid",
        d_hidden_size=50,
        d_activation="elu",
        seed=0,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.inputs_seen = inputs
        self.batch_size = batch_size
        self.g_hidden_size = g_hidden_size
        self.g_activation_1 = g_activation_1
        self.g_activation_2 = g_activation_2
        self.d_hidden_size = d_hidden_size
        self.d_activation = d_activation
        self.seed = seed
        draws = keras.random.SeedGenerator(seed)  # one, so that no two variables are alike
        self.generator = Generator(g_hidden_size, g_activation_1, g_activation_2, draws)
        self.discriminator = Discriminator(inputs, batch_size, d_hidden_size, d_activation, draws)
        self.discriminator(self.generate(tf.zeros([batch_size]))[None])  # creates the variables
        self(tf.zeros([batch_size, 1]))

    def call(self, z):
        """Generate: float32 [count, 1] to the same."""
        return self.decode(z)

    def decode(self, z):
        """G: float32 z [count, 1] to x [count, 1]."""
        return self.generator(z)

    def discriminate(self, x):
        """D: a batch, float32 [batch, 1], to the probability that it is real, float32 [1]."""
        return tf.sigmoid(self.discriminator(tf.transpose(x)))

    def prior(self, count, seed):
        """I: draw z ~ U(0, 1), float32 [count, 1] from int32 [] and int32 [2]."""
        return tf.random.stateless_uniform([count, 1], seed, alg="philox")

    def observe(self):
        """G at 1,000 evenly spaced z, which stand for U(0, 1) without its noise: float32 [1000]."""
        return self.generate((tf.range(1000, dtype=tf.float32) + 0.5) / 1000)

    def update(self, batch):
        """One epoch of the article: `d_steps` updates of D, then `g_steps` of G.

        Args:
            batch: see `batches`.

        Returns:
            float32 [] each, means over the updates: `loss_d_real` = -log D(x), `loss_d_generated` =
            -log(1 - D(G(z))), `loss_g`, and `loss`, the sum of the three.
        """
        names = ("loss_d_real", "loss_d_generated")
        d_losses, _ = repeat(self.update_d, {"x": batch["x"], "z": batch["z_d"]}, names)
        g_losses, _ = repeat(self.update_g, {"z": batch["z_g"]}, ("loss_g",))
        losses = {**d_losses, **g_losses}
        return {"loss": tf.add_n(list(losses.values())), **losses}

    def update_d(self, batch):
        """D learns to tell `x` from G's answer to `z`, both float32 [batch]; G stays as it is."""
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
        """G learns to have its answer to `z`, float32 [batch], taken for real; D stays as it is."""
        with tf.GradientTape() as tape:
            logits = self.discriminator(self.generate(batch["z"])[None])
            loss = -tf.math.log_sigmoid(logits[0])
        self.g_optimizer.apply(tape.gradient(loss, self.g_variables), self.g_variables)
        return {"loss_g": loss}

    def generate(self, z):
        """G on a batch as D sees it: float32 [batch] to the same."""
        return self.generator(z[:, None])[:, 0]

    def signatures(self):
        """What the SavedModel offers besides `decode` and `sample`; see `Generative`."""
        # Moments exist of any batch, the other inputs have a fixed length.
        batch_size = None if self.inputs_seen == "moments" else self.batch_size
        x = tf.TensorSpec([batch_size, 1], tf.float32, name="x")

        def discriminate(x):
            return {"probability": self.discriminate(x)}

        return {
            **super().signatures(),
            "discriminate": (discriminate, [x]),
        }

    def get_config(self):
        return {
            "inputs": self.inputs_seen,
            "batch_size": self.batch_size,
            "g_hidden_size": self.g_hidden_size,
            "g_activation_1": self.g_activation_1,
            "g_activation_2": self.g_activation_2,
            "d_hidden_size": self.d_hidden_size,
            "d_activation": self.d_activation,
            "seed": self.seed,
        }


def build(config):
    """A built and compiled `TinyGAN`, its weights drawn from `config.seed`."""
    model = TinyGAN(
        config.inputs,
        config.batch_size,
        config.g_hidden_size,
        config.g_activation_1,
        config.g_activation_2,
        config.d_hidden_size,
        config.d_activation,
        config.seed,
    )

    def optimizer():
        if config.optimizer == "sgd":
            return keras.optimizers.SGD(config.learning_rate, momentum=0.9)
        return keras.optimizers.Adam(config.learning_rate, epsilon=1e-8)  # PyTorch's epsilon

    model.compile(optimizer(), optimizer())
    return model


# ---- Data: R and I ------------------------------------------------------------------------------


def batches(config, source=None, start=0):
    """Endless `tf.data.Dataset` whose element k is what epoch number start + k consumes.

    A dict of `x`, real points, and `z_d`, noise, float32 [d_steps, batch] both, for D's updates,
    and `z_g` float32 [g_steps, batch] for G's. It is a function of (config.seed, start + k) alone.

    Args:
        config: a `Config`.
        source: not used, since the data is drawn.
        start: Python int, the epoch to begin with.
    """

    def block(steps):
        seed = data.noise_seed(steps[0] // data.BLOCK, config.seed)
        seeds = tf.random.split(seed, 3, alg="philox")
        d_shape = [data.BLOCK, config.d_steps, config.batch_size]
        g_shape = [data.BLOCK, config.g_steps, config.batch_size]
        return {
            "x": tf.random.stateless_normal(
                d_shape, seeds[0], config.data_mean, config.data_std, alg="philox"
            ),
            "z_d": tf.random.stateless_uniform(d_shape, seeds[1], alg="philox"),
            "z_g": tf.random.stateless_uniform(g_shape, seeds[2], alg="philox"),
        }

    return data.in_blocks(block, start)


# ---- What the log, the pictures and the evaluation show ------------------------------------------


def generate(model):
    """G at the same 10,000 draws of z each time: float32 [10000]."""
    return model.decode(model.prior(gaussian.POINTS, [0, 0])).numpy()[:, 0]


def measure(model, config, source, seen):
    """Four moments of `seen`, float32 [1000], and of 10,000 real points, the same each time."""
    real = gaussian.real_moments(config)
    return {**gaussian.moments(seen), **{f"real_{name}": value for name, value in real.items()}}


def stop_at(config):
    """What ends a run early: a dict of columns of the log to the value to wait for; none here."""
    return {}


def score(model, config, judge=None):
    """Figures of 10,000 generated points, and what has become of them: see `gaussian.score`."""
    return gaussian.score(generate(model), config)


def sample_flags(config):
    """What to try first with the export: a histogram of many points."""
    return "--count 10000 --out generated.png"


def snapshot(model, config):
    """What a frame of the animation shows: dict of arrays."""
    return {"generated": np.float32(gaussian.density(generate(model), config))}


def frames(snapshots, config):
    """Draw the generated density over the real one: an iterator over uint8 [height, width, 3]."""
    real = gaussian.density(gaussian.real_points(config), config)
    return plots.density_frames(snapshots, gaussian.edges(config), real)


def draw_progress(model, directory, step):
    """Nothing: a run takes seconds, and `--anim-path` shows its course."""


def draw_report(model, config, source, directory, history):
    """Draw the article's figures: mean and std against the epoch, and the final histogram.

    Args:
        model: a `TinyGAN`.
        config: its `Config`.
        source: not used.
        directory: path to write to.
        history: the rows of history.csv, dicts of strings.

    Returns:
        The names of the files.
    """
    targets = {"mean": config.data_mean, "std": config.data_std, "skew": 0.0, "kurtosis": 0.0}
    x = generate(model)
    pictures = {
        "moments.png": plots.course(history, targets),
        "histogram.png": plots.histogram(x, config.data_mean, config.data_std),
    }
    for name, picture in pictures.items():
        plots.save(picture, directory / name)
    return list(pictures)


def latent_map(model, config, source):
    """What `python -m tf_gen.sample` needs to know of z; nothing, since there are no labels."""
    return {}


def draw_scores(scores, config, path):
    """Draw the density that each seed generates, from the list of their `score`, to `path`."""
    real = gaussian.density(gaussian.real_points(config), config)
    densities = [score["density"] for score in scores]
    plots.save(plots.densities(gaussian.edges(config), real, densities), path)
