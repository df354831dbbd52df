"""The base classes of all models: many updates in one compiled program, and the signatures."""

import dataclasses
import os
import sys

import keras
import tensorflow as tf

from tf_gen.errors import UserError

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        f"tf_gen needs Keras on TensorFlow, but Keras runs on {keras.backend.backend()}; "
        "set KERAS_BACKEND=tensorflow before Python starts"
    )

# On a CPU, XLA starts each operation of a program separately, which takes longer than the
# arithmetic of a very small model. If an iteration of a loop touches fewer bytes than this, XLA
# makes one function of the whole loop: `gaussian_gan` with the preset `listing` then trains eight
# times as fast. A much larger number would slow down other models. XLA reads the option when it
# first compiles. A program that compiles something before it imports tf_gen trains more slowly, and
# its results are rounded differently.
_SMALL_LOOP = "--xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold=100000"
_flags = os.environ.get("XLA_FLAGS", "")
if _SMALL_LOOP not in _flags and _flags.lstrip()[:1] in ("", "-"):  # else it names a flag file
    os.environ["XLA_FLAGS"] = f"{_SMALL_LOOP} {_flags}".strip()

use_xla = True  # the flag `--no-jit` of a command clears it before anything is compiled


def compiled(function):
    """Return `function` as one program, compiled by XLA unless `use_xla` is now False.

    AutoGraph is off, since it takes a second: `function` must not have Python control flow that
    depends on tensors.
    """
    return tf.function(function, jit_compile=use_xla, autograph=False)


def check_precision():
    """Raise UserError if Keras is set to another precision than float32."""
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy().name
    if not floatx == policy == "float32":
        raise UserError(
            f"tf_gen needs float32, but Keras has floatx {floatx} and dtype policy {policy}; first "
            "call keras.config.set_floatx('float32') and keras.config.set_dtype_policy('float32')"
        )


class Generative(keras.Model):
    """A model that learns by `update(batch)`, with many updates per call.

    A subclass stands in a recipe with its `Config`. It defines `update(batch)`, one iteration of
    the article's training loop. `batch` holds everything that the iteration consumes, data and
    noise, so an update draws no random numbers. A subclass also has `prior(count, seed)`, from
    int32 [] and int32 [2] to z float32 [count, latent_dim], and either a `generator` or its own
    `decode` and `call`.

    Args:
        config: a `Config`; `.keras` files store it, too.

    Raises:
        UserError: Keras is set to another precision than float32.

    Attributes:
        losses_reported: the names of the scalars that `update` returns.
        latent_dim: the length of z.
        generates: what `decode` returns: "images", or "x" for points on a line.
        means: a `keras.metrics.Mean` for each of `losses_reported`. `fit` and `evaluate` reset them
            at the start of each epoch and report them at its end.
    """

    losses_reported = ("loss",)
    generates = "x"

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if cls.__module__.startswith("tf_gen.models."):  # for .keras files
            keras.saving.register_keras_serializable("tf_gen")(cls)
            cls.Config = sys.modules[cls.__module__].Config

    def __init__(self, config, **kwargs):
        check_precision()
        super().__init__(**kwargs)
        self.config = config
        self.latent_dim = getattr(config, "latent_dim", 1)  # 1 for models of points on a line
        self.means = [keras.metrics.Mean(name) for name in self.losses_reported]

    def get_config(self):
        return dataclasses.asdict(self.config)

    @classmethod
    def from_config(cls, settings):
        return cls(cls.Config(**settings))

    def compile(self, optimizer, jit_compile=True, **options):
        """Set the optimiser and create its variables, so that a checkpoint holds them."""
        super().compile(optimizer=optimizer, jit_compile=jit_compile, **options)
        self.optimizer.build(self.trainable_variables)

    def get_compile_config(self):
        optimizer = keras.saving.serialize_keras_object(self.optimizer)
        return {"optimizer": optimizer, "jit_compile": self.jit_compile}

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))

    @property
    def metrics(self):
        return self.means

    def update(self, batch):
        """Do one iteration of the article's loop on a batch; return a dict of float32 scalars."""
        raise NotImplementedError

    def train_step(self, batches):
        """Do K updates on K stacked batches and return their mean losses; `fit` compiles this.

        An update of these small models takes less time than a call from Python into TensorFlow.
        So one call does K of them. With K = 1 this is the ordinary Keras step, with a leading axis
        of 1.

        Raises:
            UserError: a strategy has several devices. It would distribute the K batches among them
                instead of the parts of each batch.
        """
        if tf.distribute.get_strategy().num_replicas_in_sync > 1:
            raise UserError(
                "fit cannot cut a batch for several devices; use python -m tf_gen.train "
                "--strategy, or in Python tf_gen.distributed"
            )
        losses, count = repeat(self.update, batches, self.losses_reported)
        for mean in self.means:
            mean.update_state(losses[mean.name], sample_weight=count)
        return losses

    def call(self, z):
        """The same as `decode`."""
        return self.decode(z)

    def decode(self, z):
        """Turn z, float32 [n, latent_dim], into x [n, 1] or images [n, 28, 28]; deterministic."""
        return self.generator(z)

    def sample(self, count, seed):
        """Draw z from the prior and decode it; return z and the output of `decode`."""
        z = self.prior(count, seed)
        return z, self.decode(z)

    def signatures(self):
        """The signatures of the SavedModel: name -> (function, its inputs, names of its outputs).

        The first is the default. A subclass adds the signatures of its other networks.
        """
        z = tf.TensorSpec([None, self.latent_dim], tf.float32, name="z")
        count = tf.TensorSpec([], tf.int32, name="count")
        seed = tf.TensorSpec([2], tf.int32, name="seed")
        return {
            "decode": (self.decode, [z], [self.generates]),
            "sample": (self.sample, [count, seed], ["z", self.generates]),
        }

    @property
    def optimizers(self):
        """All optimisers: a list."""
        return [self.optimizer]

    @property
    def state(self):
        """All variables that training changes: the weights, then the optimisers' variables."""
        return [*self.weights, *(v for optimizer in self.optimizers for v in optimizer.variables)]


class Adversarial(Generative):
    """A model whose discriminator and generator learn against each other, each with its optimiser.

    A subclass has a `discriminator`, and either a `generator` or its own `g_variables`. Its
    `update` applies `d_optimizer` to `d_variables` and `g_optimizer` to `g_variables`.
    """

    @property
    def d_variables(self):
        """The variables that the discriminator's optimiser trains."""
        return self.discriminator.trainable_variables

    @property
    def g_variables(self):
        """The variables that the generator's optimiser trains."""
        return self.generator.trainable_variables

    def compile(self, d_optimizer, g_optimizer, jit_compile=True, **options):
        """Set the optimisers and create their variables, so that a checkpoint holds them."""
        # With the default, Keras would create and save an RMSprop that nobody uses.
        keras.Model.compile(self, optimizer=None, jit_compile=jit_compile, **options)
        self.d_optimizer = d_optimizer
        self.g_optimizer = g_optimizer
        d_optimizer.build(self.d_variables)
        g_optimizer.build(self.g_variables)

    def get_compile_config(self):
        return {
            "d_optimizer": keras.saving.serialize_keras_object(self.d_optimizer),
            "g_optimizer": keras.saving.serialize_keras_object(self.g_optimizer),
            "jit_compile": self.jit_compile,
        }

    @property
    def optimizers(self):
        return [self.d_optimizer, self.g_optimizer]


def repeat(update, batches, names, count=None):
    """Run `update` on each of K stacked batches, in a loop inside the compiled program.

    Args:
        update: function from a batch to a dict of float32 scalars.
        batches: structure of tensors [K, ...]: K stacked batches, K > 0.
        names: the keys of that dict.
        count: None to take K from `batches`, or K as an int32 [] tensor to hide it from XLA. XLA
            compiles a loop of one known iteration as if there were no loop, and then may round
            differently.

    Returns:
        dict of float32 scalars, the means over the K batches, and K, int32 [].
    """
    count = tf.shape(tf.nest.flatten(batches)[0])[0] if count is None else count

    def once(k, sums):
        losses = update(tf.nest.map_structure(lambda stack: stack[k], batches))
        return k + 1, {name: sums[name] + losses[name] for name in names}

    zeros = {name: tf.zeros([]) for name in names}
    _, sums = tf.while_loop(lambda k, sums: k < count, once, (0, zeros))
    return {name: sums[name] / tf.cast(count, tf.float32) for name in names}, count
