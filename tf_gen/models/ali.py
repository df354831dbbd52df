"""Adversarially learned inference on MNIST: networks Q, P and D.

Article: ALI的Tensorflow炼成与GAN科普 (ALI made in TensorFlow, and an introduction to GANs).
Papers: Dumoulin et al., Adversarially Learned Inference, arXiv:1606.00704; Donahue et al.,
Adversarial Feature Learning (BiGAN), arXiv:1605.09782, the same idea found independently.

    Q, the encoder        x [784] -> relu [128] -> z [64]
    P, the decoder        z [64] -> relu [128] -> sigmoid x [784]
    D, the discriminator  x and z [848] -> relu [128] -> sigmoid [1]
    prior                 z ~ U(-1, 1)^64

A GAN's generator turns z into x, but nothing turns x into z. ALI learns both directions at once. D
sees two kinds of pairs and learns to tell them apart: (x, Q(x)), a real image with its inferred
code, and (P(z), z), a generated image with the code that it came from. If D cannot tell them apart,
the two joint distributions are equal, D is 1/2 everywhere, and Q inverts P.

    loss_d = -mean(log D(x, Q(x)) + log(1 - D(P(z), z)))
    loss_g = -mean(log D(P(z), z) + log(1 - D(x, Q(x))))      where log(v) means log(v + 1e-8)

In one iteration D learns from x and z, then Q and P learn together from the same x and z.

There are three presets. `article` has the constants above. `bigan` has the larger networks of the
BiGAN paper's permutation-invariant MNIST: two hidden layers of 1,024 units, with leaky relu in Q
and D; z enters D at the second layer; the second layers use batch normalisation; Q has the same
bounds as the prior; Adam has rate 2e-4 and beta_1 0.5; kernels have an L2 penalty of 2.5e-5. It
trains for 400 epochs in batches of 128, and the rate decays to 1% over the second half.
`stable` is our own. It collects what is known today to make ALI reconstruct well. Each remedy is a
field of `Config`. The card, saved_models/ali/README.md, has a table of what each is worth:

- `cycle`: the squared error of P(Q(x)) joins the loss of Q and P. If the joint distributions match,
  Q and P are inverse, but D's gradient says little about a single x. ALICE adds such a term (Li et
  al., arXiv:1709.01215).
- `q_cycle` 4: Q learns four times as strongly from that error as P does. Without this, more digits
  come back as another digit, although P can generate most of them: gradient descent through P finds
  a z that brings them back right, which Q does not find.
- `latent_dim` 20: the prior is a cube. With fewer dimensions, less of the cube is empty of codes of
  images; the cycle teaches P nothing where it is empty.
- `bounded`: Q ends in tanh. Otherwise D recognises a pair by a z outside the cube, whatever its x,
  or Q makes z so large that the x is lost in D's batch normalisation.
- `batch_norm` in all three networks: D sees a batch of pairs of one kind as a whole, so D notices
  when P collapses.
- `leak`: Q and P learn through D's gradient. With plain relu, no gradient flows through a unit of D
  that is off.
- `shift` 1: in training, D sees each image, real or generated, moved at random by -1, 0 or 1 pixels
  vertically and horizontally. Q encodes the image as it is. Without this, D learns the training
  images by heart: it tells their pairs from generated ones more surely than it tells those of
  held-out images, and has less to teach Q and P. Zhao et al., arXiv:2006.10738, found that D can
  see changed images without P learning to generate the changes.
- `z_layer` 2 and `l2` are those of `bigan`.
- `d_rate` 0.5: D learns at half the rate of Q and P; otherwise it gets ahead of them in a long
  training. Heusel et al., arXiv:1706.08500, propose a rate for each side, but with the higher one
  for D.
- `beta_1` 0.5: Adam forgets its old gradients sooner. They came from older versions of the other
  networks (Radford et al., arXiv:1511.06434).
- `final_rate` 0.01: the networks circle around each other; smaller steps let that die out.
- `hidden_dim` 512 in two `hidden_layers`, `batch_size` 64: two cores train this in a quarter of
  an hour.

Changes from the original:
- The article's listings are lost. Its function names, numbers and pictures match a well-known
  public script; the constants here are those of that script.
- log(v + 1e-8) is computed from logits. The script writes 1 - D + 1e-8, which the graph optimiser
  of today's TensorFlow folds into (1 + 1e-8) - D; in float32, 1 + 1e-8 is 1. So after some hundred
  iterations the loss becomes infinite and all weights of Q become NaN.
- Q(x) and P(z) are computed once for both steps of an iteration; D's step does not change them.
- A network with batch normalisation updates its moving averages whenever it sees a batch in
  training. So D's averages move in both steps. Trained variables move only in their own step.
- The losses in the log are means over the last call of up to 100 updates.
- `bigan` starts from the article's initial weights. Its authors' code bounds Q by a sigmoid
  stretched to (-1, 1); here it is tanh. Without a bound, Q's outputs grew to tens of thousands.
"""

from functools import cached_property

import keras
import tensorflow as tf

from tf_gen import plots
from tf_gen.base import Adversarial, compiled
from tf_gen.numerics import log_sigmoid
from tf_gen.settings import Count, Natural, Rate, Ratio, Seed, Settings, Share, Weight
from tf_gen.tasks import digits


class Config(Settings):
    # the article's
    hidden_dim: Count = 128  # units in each hidden layer of Q, P and D
    latent_dim: Count = 64  # length of z
    learning_rate: Rate = 0.001  # learning rate of both Adam optimisers (for D, times d_rate)
    batch_size: Count = 32  # images, and as many z, per update
    steps: Count = 100_000  # total number of updates
    log_every: Count = 1_000  # updates between two lines of the log
    seed: Seed = 0  # seed of the initial weights, the order of the images and the noise
    # of the other presets
    hidden_layers: Count = 1  # hidden layers of each network
    leak: Share = 0.0  # slope below 0 of the hidden units of Q and D; 0 for relu, which P has
    batch_norm: bool = False  # use batch normalisation in all hidden layers but the first
    z_layer: Count = 1  # number of the hidden layer of D that z enters
    bounded: bool = False  # end Q in tanh, so that its z have the same bounds as the prior's
    cycle: Weight = 0.0  # weight of the squared error of P(Q(x)), summed over the pixels
    q_cycle: Weight = 1.0  # how many times as strongly Q learns from that error as P does
    shift: Natural = 0  # D sees images shifted at random by up to so many pixels each way
    l2: Weight = 0.0  # weight of half the squared kernels in all losses
    beta_1: Share = 0.9  # decay rate of Adam's mean of gradients
    d_rate: Rate = 1.0  # learning rate of D divided by that of Q and P
    final_rate: Ratio = 1.0  # last learning rate over the first; it decays over the second half

    def __post_init__(self):
        super().__post_init__()
        if self.z_layer > self.hidden_layers:
            raise ValueError(f"z_layer must be at most hidden_layers, not {self.z_layer}")
        if self.shift >= 28:
            raise ValueError(f"shift must be below 28, the width of an image, not {self.shift}")
        if self.batch_norm and self.hidden_layers < 2:
            raise ValueError("batch_norm needs a second hidden layer; hidden_layers is 1")
        if self.batch_norm and self.batch_size < 2:
            raise ValueError("batch_size must be at least 2 with batch_norm, not 1")

    @property
    def whole_batch(self):
        return "with batch_norm, D sees the batch as a whole" if self.batch_norm else ""


PRESETS = {
    "article": Config(),
    "bigan": Config(
        hidden_dim=1024,
        hidden_layers=2,
        latent_dim=50,
        leak=0.2,
        batch_norm=True,
        z_layer=2,
        bounded=True,
        l2=2.5e-5,
        learning_rate=0.0002,
        beta_1=0.5,
        final_rate=0.01,
        batch_size=128,
        steps=187_500,
    ),
    "stable": Config(
        hidden_dim=512,
        hidden_layers=2,
        latent_dim=20,
        leak=0.2,
        batch_norm=True,
        z_layer=2,
        bounded=True,
        cycle=0.1,
        q_cycle=4.0,
        l2=2.5e-5,
        learning_rate=0.001,
        beta_1=0.5,
        d_rate=0.5,
        shift=1,
        final_rate=0.01,
        batch_size=64,
        steps=60_000,
    ),
}
TASK = "digits"
EPSILON = 1e-8  # the one in log(v + 1e-8)


# ---- Losses -------------------------------------------------------------------------------------


def discriminator_loss(enc_logits, gen_logits):
    """-mean(log D_enc + log(1 - D_gen)): float32 [] from logits [batch] of the two kinds of pairs.

    Each logarithm adds 1e-8 to its argument, so the loss is at most 36.8 (see
    `numerics.log_sigmoid`).
    """
    return -tf.reduce_mean(log_sigmoid(enc_logits, EPSILON) + log_sigmoid(-gen_logits, EPSILON))


def generator_loss(enc_logits, gen_logits):
    """-mean(log D_gen + log(1 - D_enc)): what Q and P minimise, D's loss with the roles swapped."""
    return discriminator_loss(gen_logits, enc_logits)


# ---- Networks -----------------------------------------------------------------------------------


def dense(units, draws, use_bias=True):
    """A Dense layer with initial weights from N(0, 2 / fan_in) and biases of 0."""
    normal = keras.initializers.VarianceScaling(2, "fan_in", "untruncated_normal", seed=draws)
    return keras.layers.Dense(units, use_bias=use_bias, kernel_initializer=normal)


class Hidden(keras.layers.Layer):
    """[batch, any] -> Dense -> optional batch normalisation -> (leaky) relu [batch, units]."""

    def __init__(self, units, leak, batch_norm, draws):
        super().__init__()
        # Normalisation cancels a bias. Its gradient would be rounding noise, which Adam scales up
        # to steps of full size.
        self.dense = dense(units, draws, use_bias=not batch_norm)
        self.norm = keras.layers.BatchNormalization(epsilon=1e-5) if batch_norm else None
        self.leak = leak

    def call(self, inputs, training=False):
        h = self.dense(inputs)
        if self.norm:
            h = self.norm(h, training=training)
        return tf.nn.leaky_relu(h, self.leak) if self.leak else tf.nn.relu(h)


def hidden_layers(config, leak, draws):
    """The hidden layers of one network: a list. The first one never has batch normalisation."""
    return [
        Hidden(config.hidden_dim, leak, config.batch_norm and i > 0, draws)
        for i in range(config.hidden_layers)
    ]


class Encoder(keras.layers.Layer):
    """Q: images [batch, 28, 28] -> z [batch, latent]."""

    def __init__(self, config, draws):
        super().__init__()
        self.flatten = keras.layers.Flatten("channels_last")
        self.hidden = hidden_layers(config, config.leak, draws)
        self.z = dense(config.latent_dim, draws)
        self.bounded = config.bounded

    def call(self, images, training=False):
        z = self.z(self.features(images, training))
        return tf.tanh(z) if self.bounded else z

    def features(self, images, training=False):
        """The activations of the last hidden layer: float32 [batch, hidden]."""
        h = self.flatten(images)
        for layer in self.hidden:
            h = layer(h, training=training)
        return h


class Decoder(keras.layers.Layer):
    """P: z [batch, latent] -> logits [batch, 28, 28]."""

    def __init__(self, config, draws):
        super().__init__()
        self.hidden = hidden_layers(config, 0.0, draws)
        self.logits = dense(28 * 28, draws)
        self.image = keras.layers.Reshape([28, 28])

    def call(self, z, training=False):
        for layer in self.hidden:
            z = layer(z, training=training)
        return self.image(self.logits(z))


class Discriminator(keras.layers.Layer):
    """D: images [batch, 28, 28] and z [batch, latent] -> logits [batch]."""

    def __init__(self, config, draws):
        super().__init__()
        self.flatten = keras.layers.Flatten("channels_last")
        self.hidden = hidden_layers(config, config.leak, draws)
        self.z_layer = config.z_layer
        self.logit = dense(1, draws)

    def call(self, images, z, training=False):
        h = self.flatten(images)
        for number, layer in enumerate(self.hidden, 1):
            if number == self.z_layer:
                h = tf.concat([h, z], axis=1)
            h = layer(h, training=training)
        return self.logit(h)[:, 0]


def shifted(images, offsets):
    """Shift each image by whole pixels. Black pixels enter at the edges.

    Args:
        images: float32 [batch, 28, 28].
        offsets: float32 [batch, 2] of whole numbers: pixels down and pixels to the right.

    Returns:
        float32 [batch, 28, 28].
    """
    # Matrices of zeros and ones select the pixels. With a slice at another place in each image, XLA
    # would run a slow loop over the images.
    origins = tf.cast(tf.range(28.0) - offsets[..., None], tf.int32)  # old row and column of each
    rows, columns = tf.unstack(tf.one_hot(origins, 28), axis=1)
    return rows @ images @ tf.transpose(columns, [0, 2, 1])


# ---- The model ----------------------------------------------------------------------------------


class ALI(Adversarial):
    """Q and P learn together against D."""

    losses_reported = ("loss", "loss_d", "loss_g")
    generates = "images"

    def __init__(self, config, **kwargs):
        super().__init__(config, **kwargs)
        draws = keras.random.SeedGenerator(config.seed)  # shared: no two variables are alike
        self.encoder = Encoder(config, draws)
        self.decoder = Decoder(config, draws)
        self.discriminator = Discriminator(config, draws)
        images, z = tf.zeros([1, 28, 28]), tf.zeros([1, config.latent_dim])
        self.discriminator(images, z)  # creates the variables
        self(images)

    @property
    def g_variables(self):
        return self.encoder.trainable_variables + self.decoder.trainable_variables

    def update(self, batch):
        """One iteration: D learns from the pairs (x, Q(x)) and (P(z), z), then Q and P do.

        Args:
            batch: see `blocks`.

        Returns:
            dict of float32 []: `loss_d` and `loss_g`, each computed before its own step and without
            the L2 and cycle terms, and `loss`, their sum.
        """
        x, z = tf.cast(batch["images"], tf.float32) / 255, batch["z"]
        # Q infers and P generates once for both steps. `g_tape` goes on recording below.
        g_tape = tf.GradientTape()
        with g_tape:
            z_enc, x_gen, cycle_loss = self.infer_and_generate(x, z)
            if self.config.shift:  # D sees both kinds of images shifted
                x, x_gen = shifted(x, batch["offsets"]), shifted(x_gen, batch["offsets"])

        # D learns to tell (x, Q(x)) from (P(z), z); Q and P do not change.
        with tf.GradientTape() as d_tape:
            loss_d = discriminator_loss(*self.tell_apart(x, z_enc, x_gen, z))
            penalised = loss_d + self.penalty(self.d_variables)
        gradients = d_tape.gradient(penalised, self.d_variables)
        self.d_optimizer.apply(gradients, self.d_variables)

        # Q and P learn, through D's gradient, to make D take each pair for the other kind; D does
        # not change.
        with g_tape:
            loss_g = generator_loss(*self.tell_apart(x, z_enc, x_gen, z))
            penalised = loss_g + cycle_loss + self.penalty(self.g_variables)
        gradients = g_tape.gradient(penalised, self.g_variables)
        self.g_optimizer.apply(gradients, self.g_variables)
        return {"loss": loss_d + loss_g, "loss_d": loss_d, "loss_g": loss_g}

    def tell_apart(self, x, z_enc, x_gen, z):
        """D's logits of the pairs (x, Q(x)) and of the pairs (P(z), z): two float32 [batch]."""
        # D sees each kind in a batch of its own. Batch normalisation needs that, and it is faster.
        enc_logits = self.discriminator(x, z_enc, training=True)
        return enc_logits, self.discriminator(x_gen, z, training=True)

    def infer_and_generate(self, x, z):
        """Q(x) [batch, latent], P(z) [batch, 28, 28] and the cycle term [], all float32.

        The cycle term is 0.0 if `cycle` is 0.
        """
        z_enc = self.encoder(x, training=True)
        if not self.config.cycle:
            return z_enc, tf.sigmoid(self.decoder(z, training=True)), 0.0
        # The value is z_enc, but the gradient that flows back to Q is q_cycle times as large.
        z_cycle = z_enc + (self.config.q_cycle - 1) * (z_enc - tf.stop_gradient(z_enc))
        # One batch for both, so that batch normalisation treats the two halves alike.
        both = tf.sigmoid(self.decoder(tf.concat([z, z_cycle], axis=0), training=True))
        x_gen, x_cycle = tf.split(both, 2)
        error = tf.reduce_sum((x - x_cycle) ** 2, axis=[1, 2])
        return z_enc, x_gen, self.config.cycle * tf.reduce_mean(error)

    def penalty(self, variables):
        """The L2 term of a loss: l2 / 2 times the sum of the squared kernels among `variables`."""
        if not self.config.l2:
            return 0.0
        kernels = [variable for variable in variables if variable.name == "kernel"]
        return self.config.l2 / 2 * tf.add_n([tf.reduce_sum(kernel**2) for kernel in kernels])

    @cached_property
    def compiled_means(self):
        """A compiled function for the log: x [n, 28, 28] and z [n, latent] to float32 [3].

        The three are the means of D(x, Q(x)), of D(P(z), z) and of the squared error of P(Q(x)).
        """

        def means(x, z):
            z_enc = self.encode(x)
            d_encoder, d_decoder = self.discriminate(x, z_enc), self.discriminate(self.decode(z), z)
            errors = (x - self.decode(z_enc)) ** 2
            return tf.stack([tf.reduce_mean(values) for values in (d_encoder, d_decoder, errors)])

        return compiled(means)

    def call(self, images):
        """Reconstruct images by P(Q(x)): float32 [batch, 28, 28] to the same shape."""
        return self.decode(self.encode(images))

    def encode(self, images):
        """Q: float32 [batch, 28, 28] in [0, 1] to z [batch, latent]."""
        return self.encoder(images)

    def decode(self, z):
        """P: float32 [batch, latent] to images [batch, 28, 28] in [0, 1]."""
        return tf.sigmoid(self.decoder(z))

    def discriminate(self, images, z):
        """D: images [batch, 28, 28], z [batch, latent] to the probability of (x, Q(x)) [batch]."""
        return tf.sigmoid(self.discriminator(images, z))

    def prior(self, count, seed):
        """Draw z ~ U(-1, 1): float32 [count, latent] from int32 [] and int32 [2]."""
        return tf.random.stateless_uniform([count, self.latent_dim], seed, -1, 1, alg="philox")

    def signatures(self):
        z = tf.TensorSpec([None, self.latent_dim], tf.float32, name="z")
        images = tf.TensorSpec([None, 28, 28], tf.float32, name="images")
        return {
            **super().signatures(),
            "encode": (self.encode, [images], ["z"]),
            "reconstruct": (self, [images], ["images"]),
            "discriminate": (self.discriminate, [images, z], ["probability"]),
        }


@keras.saving.register_keras_serializable("tf_gen")
class DecayInSecondHalf(keras.optimizers.schedules.LearningRateSchedule):
    """A constant rate for half of `steps`, then exponential decay to `final_rate` times as much."""

    def __init__(self, learning_rate, final_rate, steps):
        self.learning_rate = learning_rate
        self.final_rate = final_rate
        self.steps = steps

    def __call__(self, step):
        second_half = tf.maximum(0.0, 2 * tf.cast(step, tf.float32) / self.steps - 1)
        return self.learning_rate * self.final_rate**second_half

    def get_config(self):
        return {
            "learning_rate": self.learning_rate,
            "final_rate": self.final_rate,
            "steps": self.steps,
        }


def build(config):
    """Return a built and compiled `ALI` with weights drawn from `config.seed`."""

    def adam(rate):
        if config.final_rate < 1:
            rate = DecayInSecondHalf(rate, config.final_rate, config.steps)
        # epsilon is TensorFlow 1's default.
        return keras.optimizers.Adam(rate, beta_1=config.beta_1, epsilon=1e-8)

    model = ALI(config)
    model.compile(adam(config.d_rate * config.learning_rate), adam(config.learning_rate))
    return model


def blocks(config, source):
    """Everything that the updates consume, as `batches.Blocks`.

    The batch of an update depends only on (config.seed, update). It is a dict of `images`, uint8
    [batch, 28, 28] with 255 for white; `z`, float32 [batch, latent] from U(-1, 1); and with `shift`
    `offsets`, float32 [batch, 2], each a whole number from -shift to shift.
    """

    def z(seed):
        shape = [config.batch_size, config.latent_dim]
        return tf.random.stateless_uniform(shape, seed, -1, 1, alg="philox")

    def offsets(seed):
        shape, limit = [config.batch_size, 2], config.shift
        return tf.floor(tf.random.stateless_uniform(shape, seed, -limit, limit + 1, alg="philox"))

    noise = {"z": z, "offsets": offsets} if config.shift else {"z": z}
    return digits.blocks(config, source, **noise)


def batches(config, source, start=0):
    """`blocks` as an endless `tf.data.Dataset`; its element k is the batch of update start + k."""
    return blocks(config, source).dataset(start)


# ---- Log, pictures and scores -------------------------------------------------------------------


class Report(digits.Report):
    """Adds the article's log and grids of samples, D's outputs, and interpolations."""

    log_line = "Iter: {step}; D_loss: {loss_d:.4}; G_loss: {loss_g:.4}"  # the original's form
    grid = 4
    frame_scale = 4
    progress_animation = "samples.gif"

    @property
    def axis(self):
        """20 quantiles of one coordinate of the prior U(-1, 1), evenly spaced: a list."""
        return [2 * (i + 1) / 21 - 1 for i in range(20)]

    def measure(self, model):
        """Means of D(x, Q(x)) and D(P(z), z), and the error of P(Q(x)), on 1,000 held-out images.

        The error is the mean squared error of a pixel. Each line of the log draws a new z.
        """
        x = self.some_held_out(1000)
        root = tf.constant([self.config.seed, -1], tf.int64)  # not among the seeds of `blocks`
        z = model.prior(len(x), tf.random.fold_in(root, model.g_optimizer.iterations, alg="philox"))
        names = ("d_encoder", "d_decoder", "reconstruction_error")
        return dict(zip(names, model.compiled_means(x, z).numpy().tolist(), strict=True))

    def pictures(self, model, history):
        """Adds the losses, D's outputs, samples and interpolations."""
        losses = {name: name for name in ("loss_d", "loss_g")}
        answers = {"D(x, Q(x))": "d_encoder", "D(P(z), z)": "d_decoder"}
        return {
            "losses.png": self.curves(history, losses, "nats a pair"),
            "discriminator.png": self.curves(history, answers, "mean output of D", level=0.5),
            "samples.png": plots.mosaic(self.samples(model, 100), columns=10),
            **super().pictures(model, history),
            "interpolations.png": digits.interpolations(model, self.some_held_out(50)),
        }
