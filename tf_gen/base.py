"""What all models share: many updates in one compiled program. No algorithm."""

import keras
import tensorflow as tf

if keras.backend.backend() != "tensorflow":
    raise ImportError(
        f"tf_gen needs Keras on TensorFlow, but Keras runs on {keras.backend.backend()}; "
        "set KERAS_BACKEND=tensorflow before Python starts"
    )


class Generative(keras.Model):
    """A model that learns by `update(batch)`, many updates a call.

    A subclass sets `losses_reported`, the names of the scalars that its `update` returns, and
    defines `update(batch)`: one iteration of the article's training loop. `batch` holds everything
    that the iteration consumes, data and noise, so an update draws nothing by itself.

    Attributes:
        means: a `keras.metrics.Mean` for each of `losses_reported`, which `fit` and `evaluate`
            reset at the start of each epoch and report at its end.
    """

    losses_reported = ("loss",)

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.means = [keras.metrics.Mean(name) for name in self.losses_reported]

    @property
    def metrics(self):
        return self.means

    def update(self, batch):
        """One iteration of the article's loop on one batch; returns a dict of float32 scalars."""
        raise NotImplementedError

    def train_step(self, batches):
        """K updates in one program: `fit` and `tf_gen.train` compile this through `tf.function`.

        An update of these small models takes less time than a call from Python into TensorFlow,
        so a call does K of them. K = 1 is the ordinary Keras step with a leading axis of 1.

        Args:
            batches: structure of tensors [K, ...]: K batches stacked, K > 0.

        Returns:
            dict of float32 scalars, the means over the K updates.
        """
        count = tf.shape(tf.nest.flatten(batches)[0])[0]

        def one_update(k, sums):
            losses = self.update(tf.nest.map_structure(lambda stack: stack[k], batches))
            return k + 1, {name: sums[name] + losses[name] for name in sums}

        zeros = {name: tf.zeros([]) for name in self.losses_reported}
        _, sums = tf.while_loop(lambda k, sums: k < count, one_update, (0, zeros))
        losses = {name: sums[name] / tf.cast(count, tf.float32) for name in self.losses_reported}
        for mean in self.means:
            mean.update_state(losses[mean.name], sample_weight=count)
        return losses
