"""What all models share: many updates in one compiled program, and the SavedModel. No algorithm."""

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

# On a CPU XLA starts each operation of a program by itself, and that takes longer than the
# arithmetic of a very small model. It makes one function of a whole loop where an iteration touches
# fewer bytes than this: `gaussian_gan` with the preset `listing` then trains eight times as fast. A
# much larger number would slow other models down. XLA reads this when it first compiles: a program
# that compiled something before it imports tf_gen trains slower and rounds otherwise.
_SMALL_LOOP = "--xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold=100000"
_flags = os.environ.get("XLA_FLAGS", "")
if _SMALL_LOOP not in _flags and _flags.lstrip()[:1] in ("", "-"):  # else it names a file of flags
    os.environ["XLA_FLAGS"] = f"{_SMALL_LOOP} {_flags}".strip()

use_xla = True  # `--no-jit` of a command clears it, before anything is compiled


def compiled(function):
    """`function` as one program, which XLA compiles unless `use_xla` is false now.

    Nothing in it may need AutoGraph, which would take a second.
    """
    return tf.function(function, jit_compile=use_xla, autograph=False)


def check_precision():
    """Raise UserError where Keras would make layers or optimisers of another type than float32."""
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy().name
    if not floatx == policy == "float32":
        raise UserError(
            f"tf_gen needs float32, but Keras has floatx {floatx} and dtype policy {policy}; first "
            "call keras.config.set_floatx('float32') and keras.config.set_dtype_policy('float32')"
        )


class Generative(keras.Model):
    """A model that learns by `update(batch)`, many updates a call.

    A subclass stands beside its `Config` in a recipe and defines `update(batch)`: one iteration of
    the article's training loop. `batch` holds everything that the iteration consumes, data and
    noise, so an update draws nothing by itself. It also has `prior(count, seed)`, int32 [] and
    int32 [2] to z float32 [count, latent_dim], and a `generator`, or its own `decode` and `call`.

    Args:
        config: a `Config`, which `.keras` files keep, too.

    Raises:
        UserError: Keras is set to another precision than float32.

    Attributes:
        losses_reported: the names of the scalars that `update` returns.
        latent_dim: the length of z.
        generates: what `decode` makes of z: "images", or "x" for points on a line.
        means: a `keras.metrics.Mean` for each of `losses_reported`, which `fit` and `evaluate`
            reset at the start of each epoch and report at its end.
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
        self.latent_dim = getattr(config, "latent_dim", 1)  # noise on a line
        self.means = [keras.metrics.Mean(name) for name in self.losses_reported]

    def get_config(self):
        return dataclasses.asdict(self.config)

    @classmethod
    def from_config(cls, settings):
        return cls(cls.Config(**settings))

    def compile(self, optimizer, jit_compile=True, **options):
        """Set the optimiser, and create its variables, so that a checkpoint holds them."""
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
        """One iteration of the article's loop on one batch; returns a dict of float32 scalars."""
        raise NotImplementedError

    def train_step(self, batches):
        """K updates on K stacked batches in one program, which `fit` compiles; their mean losses.

        An update of these small models takes less time than a call from Python into TensorFlow,
        so a call does K of them. K = 1 is the ordinary Keras step with a leading axis of 1.

        UserError: a strategy would give the K batches, not the parts of each, to several devices.
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
        """Generate, as `decode` does."""
        return self.decode(z)

    def decode(self, z):
        """Float32 z [n, latent_dim] to x [n, 1] or images [n, 28, 28]; it draws nothing."""
        return self.generator(z)

    def sample(self, count, seed):
        """Draw z from the prior and decode it: z and what `decode` makes of it."""
        z = self.prior(count, seed)
        return z, self.decode(z)

    def signatures(self):
        """What the SavedModel offers: name -> (function, its inputs, the names of its outputs).

        The first is the default. A subclass adds those of its other networks.
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
    """A model whose discriminator and generator learn against each other, each by an optimiser.

    A subclass has a `discriminator`, and a `generator` or its own `g_variables`; its `update`
    applies `d_optimizer` to `d_variables` and `g_optimizer` to `g_variables`.
    """

    @property
    def d_variables(self):
        """What the discriminator's optimiser trains."""
        return self.discriminator.trainable_variables

    @property
    def g_variables(self):
        """What the generator's optimiser trains."""
        return self.generator.trainable_variables

    def compile(self, d_optimizer, g_optimizer, jit_compile=True, **options):
        """Set the optimisers, and create their variables, so that a checkpoint holds them."""
        # None, or Keras would create and save an RMSprop that nobody uses.
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
    """Run `update` on each of K stacked batches, in a loop that is part of the program.

    Args:
        update: function of a batch to a dict of float32 scalars.
        batches: structure of tensors [K, ...]: K batches stacked, K > 0.
        names: the keys of that dict.
        count: K as a tensor, int32 [], for a loop whose length XLA does not know: it compiles a
            loop of one iteration as if there were no loop, and may round it otherwise. None for
            the length of `batches`.

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
