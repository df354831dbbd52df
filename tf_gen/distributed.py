"""One model on several devices with `tf.distribute`. Each device computes a part of every batch.

Each device, called a replica, has the whole model and computes the gradients of its part of a
batch. All replicas apply the mean of these gradients, which is the gradient of the whole batch.
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

    One of the processes is the chief. It has another copy of the model, outside of the strategy. So
    the code that measures, draws, saves and exports does not have to deal with replicas. At its
    end, a `with` waits for all processes.

    Args:
        strategy: a `tf.distribute.MirroredStrategy` or `MultiWorkerMirroredStrategy`.
        build: function without arguments that returns the built and compiled model, with the same
            weights each time.
        settings: a dict for JSON that must be the same in all processes.

    Attributes:
        count: the number of replicas in all processes.
        chief: whether this process is the chief.
        model: the copy; in other processes it never changes.
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
            # Keras adds up the gradients of the replicas; this factor turns the sum into a mean.
            optimizer.loss_scale_factor = self.count

    def begin(self, step=0):
        """Let all replicas start from the chief's `model`, which has had `step` updates.

        Returns the chief's `step`, a Python int. Raises UserError if another worker ended.
        """
        values = [tf.constant(step, tf.int64), *(v.value for v in self.model.state)]
        step, *state = self._of_chief(values)
        for variable, value in zip(self._mirrored.state, state, strict=True):
            variable.value.assign(value)
        return int(step)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        # Wait for all processes. If one ends while others work, TensorFlow takes that for a crash.
        if not any(exception):
            with explained():
                tf.function(lambda: self._run(self._sum, tf.ones([])), autograph=False)()

    def program(self, observe=None):
        """Compile many updates into one program, without XLA, which knows no other devices.

        Returns:
            A function like that of `loop.program`, but for one stretch only. After a call, the
            chief's `model` is up to date and all processes agree on `stop`.
        """

        @tf.function(autograph=False)
        def updates(batches, asked):
            # The loop is outside of `strategy.run`. Inside, Keras cannot apply the gradients.
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
        """Do one update on all replicas; return the mean losses of those in this process."""
        losses = self.strategy.run(self._update_by_part, [batch])
        return {name: tf.reduce_mean(self._here(loss)) for name, loss in losses.items()}

    def _update_by_part(self, batch):
        number = tf.distribute.get_replica_context().replica_id_in_sync_group

        def part(values):  # [batch, ...] to [batch / count, ...]
            return tf.reshape(values, [self.count, -1, *values.shape[1:]])[number]

        return self._mirrored.update(tf.nest.map_structure(part, batch))

    def _of_chief(self, values):
        """The chief's `values`, a list of tensors: a list of arrays."""

        def chiefs(values):  # the sum of the first replica's values and the zeros of the others
            first = tf.distribute.get_replica_context().replica_id_in_sync_group == 0
            kept = [tf.where(first, value, tf.zeros_like(value)) for value in values]
            # One by one: TensorFlow would pack them together, but cannot pack different types.
            return [self._sum(value) for value in kept]

        program = tf.function(lambda values: self._run(chiefs, values), autograph=False)
        with explained():
            return [value.numpy() for value in program(values)]

    def _run(self, function, values):
        """Run `function` of `values` on all replicas; return the result of the first one here."""
        results = self.strategy.run(function, [values])
        return tf.nest.map_structure(lambda result: self._here(result)[0], results)

    def _here(self, value):
        """The values of `value` on the replicas of this process: a tuple."""
        return self.strategy.experimental_local_results(value)

    def _sum(self, values):
        """The sum over all replicas of a tensor, or of a structure of tensors of one type.

        Called on each replica.
        """
        # If all replicas have the same tensor, TensorFlow does not know where to put the sum.
        copies = tf.nest.map_structure(tf.identity, values)
        context = tf.distribute.get_replica_context()
        return context.all_reduce(tf.distribute.ReduceOp.SUM, copies)


class StopTogether(cli.StopRequest):
    """A `StopRequest` of several processes: if one gets a signal, all stop after the same update.

    Attributes:
        asked: the exception of a signal to this process, or None.
        requested: None until all processes know of a signal to one of them; then an exception.
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
        """Note whether any process had been `asked` to stop when all began their last call."""
        self.agreed = bool(agreed)
        if agreed:
            self.asked = self.asked or KeyboardInterrupt()

    def __exit__(self, *exception):
        super().__exit__(*exception)
        if self.asked and not any(exception):  # a signal during the last call
            raise self.asked
