"""One model on several devices by `tf.distribute`, each of which computes a part of every batch.

Each device, a replica, has the whole model. It computes the gradients of its part of a batch, and
all replicas apply the mean of these gradients, which is the gradient of the whole batch.
"""

import hashlib
import json

import tensorflow as tf

from tf_gen import cli
from tf_gen.base import repeat
from tf_gen.errors import UserError
from tf_gen.strategies import explained


class Replicas:
    """A model on all devices of a strategy.

    The chief, one of the processes, has another copy of the model, to which no strategy belongs:
    what is measured, drawn, saved and exported needs to know nothing of replicas. A `with` waits at
    its end until all processes are there.

    Args:
        strategy: a `tf.distribute.MirroredStrategy` or `MultiWorkerMirroredStrategy`.
        build: function without arguments to the model, built and compiled, with the same weights
            each time.
        settings: a dict that JSON can write, which must be the same in all processes.

    Attributes:
        count: how many replicas there are, in all processes.
        chief: whether this process is the chief.
        model: the copy; in another process it stays as it was built.
        stop: a `cli.StopRequest` for all processes.

    Raises:
        UserError: the chief has other settings, or another worker ended.
    """

    def __init__(self, strategy, build, settings):
        self.strategy = strategy
        self.count = strategy.num_replicas_in_sync
        self.chief = strategy.extended.should_checkpoint
        self.stop = StopTogether()
        text = json.dumps(settings, sort_keys=True).encode()
        digest = int.from_bytes(hashlib.sha256(text).digest()[:7], "big")
        if self._of_chief([tf.constant(digest, tf.int64)]) != [digest]:
            raise UserError(
                "the chief has other settings or data; start the same command on all workers"
            )
        self.model = build()
        with strategy.scope(), explained():
            self._mirrored = build()
        for optimizer in self._mirrored.optimizers:
            # Keras adds up the gradients of the replicas; the division makes a mean of the sum.
            optimizer.loss_scale_factor = self.count

    def begin(self, step=0):
        """Let all replicas start with the chief's `model`, after `step` updates of it.

        Returns the chief's `step`, a Python int. UserError: another worker ended.
        """
        values = [tf.constant(step, tf.int64), *(v.value for v in self.model.state)]
        step, *state = self._of_chief(values)
        for variable, value in zip(self._mirrored.state, state, strict=True):
            variable.value.assign(value)
        return int(step)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        # Wait for all processes: TensorFlow takes one that ends while others work for a crash.
        if not any(exception):
            with explained():
                tf.function(lambda: self._run(self._sum, tf.ones([])), autograph=False)()

    def program(self, observe=None):
        """Compile many updates into one program, without XLA, which knows no other devices.

        Returns:
            A function like that of `loop.program`, but for one stretch only. After a call the
            chief's `model` is up to date, and `stop` is what all processes agree on.
        """

        @tf.function(autograph=False)
        def updates(batches, asked):
            # The loop is outside of `strategy.run`: within, Keras could not apply the gradients.
            losses, _ = repeat(self._update, batches, self.model.losses_reported)
            sums = self._run(self._sum, (losses, asked))
            return tf.nest.map_structure(lambda total: total / self.count, sums)

        def one_stretch(batches, stretches, size):
            with explained():
                losses, asked = updates(batches, tf.constant(float(self.stop.asked is not None)))
                self.stop.agree(asked > 0)
            if self.chief:
                for variable, mirrored in zip(self.model.state, self._mirrored.state, strict=True):
                    variable.value.assign(self._here(mirrored.value)[0])
            losses = {name: loss[None] for name, loss in losses.items()}
            return (losses, observe(self.model)[None]) if observe else (losses,)

        return one_stretch

    def _update(self, batch):
        """One update of all replicas; the mean losses of those in this process."""
        losses = self.strategy.run(self._update_by_part, [batch])
        return {name: tf.reduce_mean(self._here(loss)) for name, loss in losses.items()}

    def _update_by_part(self, batch):
        number = tf.distribute.get_replica_context().replica_id_in_sync_group

        def part(values):  # [batch, ...] to [batch / count, ...]
            return tf.reshape(values, [self.count, -1, *values.shape[1:]])[number]

        return self._mirrored.update(tf.nest.map_structure(part, batch))

    def _of_chief(self, values):
        """What `values`, a list of tensors, are in the chief: a list of arrays."""

        def chiefs(values):  # the sum of those of the first replica and zeros of the others
            first = tf.distribute.get_replica_context().replica_id_in_sync_group == 0
            kept = [tf.where(first, value, tf.zeros_like(value)) for value in values]
            # One by one, since TensorFlow would pack them, but cannot pack several types.
            return [self._sum(value) for value in kept]

        program = tf.function(lambda values: self._run(chiefs, values), autograph=False)
        with explained():
            return [value.numpy() for value in program(values)]

    def _run(self, function, values):
        """What `function` of `values`, run on all replicas, gives on the first one here."""
        results = self.strategy.run(function, [values])
        return tf.nest.map_structure(lambda result: self._here(result)[0], results)

    def _here(self, value):
        """A tuple of what `value` is on each replica of this process."""
        return self.strategy.experimental_local_results(value)

    def _sum(self, values):
        """The sum over all replicas, as one of them: of a tensor, or a structure of one type."""
        # Where all have the same tensor, TensorFlow would not know on which device to put the sum.
        copies = tf.nest.map_structure(tf.identity, values)
        context = tf.distribute.get_replica_context()
        return context.all_reduce(tf.distribute.ReduceOp.SUM, copies)


class StopTogether(cli.StopRequest):
    """A `StopRequest` of several processes: if one gets a signal, all stop after the same update.

    Attributes:
        asked: the exception of a signal to this process, or None.
        requested: the same when all processes know of a signal to any of them, until then None.
    """

    def __init__(self):
        self.agreed = False
        super().__init__()

    @property
    def requested(self):
        return self.asked if self.agreed else None

    @requested.setter
    def requested(self, exception):
        self.asked = exception

    def agree(self, agreed):
        """Note whether any of the processes was `asked` when all began their last call."""
        self.agreed = bool(agreed)
        if agreed:
            self.asked = self.asked or KeyboardInterrupt()

    def __exit__(self, *exception):
        super().__exit__(*exception)
        if self.asked and not any(exception):  # in the last call, after which nobody looked
            raise self.asked
