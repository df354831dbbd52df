"""Which examples each update sees, and its noise, as pure functions of (seed, step).

So training can start at any step at no cost, and a run that stops goes on with the same bits.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import tensorflow as tf

BLOCK = 100  # batches made at once, if they are not large
_map = tf.nest.map_structure


def examples_at(steps, batch_size, count, seed):
    """Which examples updates use: each once in an epoch, in an order of its own.

    The stream of examples is one long row of epochs; batches are cut from it without regard to
    where an epoch ends, so no example is left out.

    Args:
        steps: int64, any shape, numbers of updates, counted from 0.
        batch_size, count: Python ints; `count` examples make an epoch.
        seed: Python int.

    Returns:
        int64 [..., batch_size], indices below `count`.
    """
    positions = tf.expand_dims(steps, -1) * batch_size + tf.range(batch_size, dtype=tf.int64)
    position = tf.reshape(positions, [-1])
    epoch = position // count
    seeds = tf.stack([tf.fill(tf.shape(epoch), tf.cast(seed, tf.int64)), epoch, epoch], axis=1)
    # A cipher on 0 .. count-1: a permutation without a buffer, so any step costs the same. The raw
    # op rather than tf.random.experimental.index_shuffle, for two reasons: a batch can span two
    # epochs, so it needs a seed for each example; and with the 4 rounds of that function the orders
    # of successive epochs of 60,000 examples are all but the same (from 8 rounds on they are not).
    examples = tf.raw_ops.RandomIndexShuffle(
        index=position % count, seed=seeds, max_index=tf.constant(count - 1, tf.int64), rounds=16
    )
    return tf.reshape(examples, tf.shape(positions))


def noise_seed(step, seed):
    """The seed, int64 [2], of all noise of update number `step`, int64 []; or of a block's."""
    # Folding in a constant keeps the noise apart from the draws of the initial weights.
    root = tf.random.fold_in(tf.stack([tf.cast(seed, tf.int64), 0]), 1, alg="philox")
    return tf.random.fold_in(root, step, alg="philox")


class Blocks:
    """The batches of all updates, made a block at a time: one by one the calls would take longest.

    Args:
        make: function of the updates of a block, int64 [size], of which the first is a multiple of
            `size`, to their batches, a structure of tensors [size, ...].
        size: Python int.
    """

    def __init__(self, make, size=BLOCK):
        self.make = make
        self.size = size
        signature = [tf.TensorSpec([], tf.int64)] * 2
        self._some = tf.function(self._make_some, signature, autograph=False)

    @cached_property
    def spec(self):
        """A block's structure of `tf.TensorSpec`."""
        program = tf.function(self.make, autograph=False).get_concrete_function(self._updates(0))
        outputs = program.structured_outputs
        return _map(lambda tensor: tf.TensorSpec(tensor.shape, tensor.dtype), outputs)

    @property
    def bytes_each(self):
        """The size of one batch."""
        each = (spec.shape.num_elements() * spec.dtype.size for spec in tf.nest.flatten(self.spec))
        return sum(each) // self.size

    def _updates(self, number):
        return number * self.size + tf.range(self.size, dtype=tf.int64)

    def dataset(self, start=0):
        """Endless `tf.data.Dataset` whose element k is the batch of update start + k."""

        @tf.autograph.experimental.do_not_convert  # nothing here needs AutoGraph, which takes long
        def block(number):
            return self.make(self._updates(number))

        dataset = tf.data.Dataset.counter(start // self.size).map(block).unbatch()
        return dataset.skip(start % self.size).prefetch(self.size)

    def stacks(self, start, counts):
        """The same batches in stacks: a generator.

        Where a batch is small, this takes a tenth of the time of a `tf.data.Dataset`, which spends
        ten microseconds on each operation. The next stack is made while one is in use.

        Args:
            start: Python int, the update that the first batch belongs to.
            counts: iterable of Python ints, at least 1: how many batches each stack has.
        """
        with ThreadPoolExecutor(1) as maker:
            stacks = self._stacks(start, counts)
            upcoming = maker.submit(next, stacks, None)
            while (stack := upcoming.result()) is not None:
                upcoming = maker.submit(next, stacks, None)
                yield stack

    def _stacks(self, start, counts):
        begin = end = start - start % self.size  # the updates whose batches `made` holds
        made = None
        for count in counts:
            stop = start + count
            with tf.device("CPU"):  # as in a `tf.data.Dataset`: a GPU would round otherwise
                if stop > end:
                    missing = -(-(stop - end) // self.size)
                    more = self._some(end // self.size, missing)
                    made = more if made is None else _joined(made, more)
                    end += missing * self.size
                stack = _part(made, start - begin, stop - begin)
                made = _part(made, stop - begin, end - begin)
            begin = start = stop
            yield stack

    def _make_some(self, number, count):
        """`count` blocks from `number` on, in one list."""
        made = tf.map_fn(
            lambda number: self.make(self._updates(number)),
            tf.range(number, number + count),
            parallel_iterations=1,
            fn_output_signature=self.spec,
        )
        return _map(lambda tensor: tf.reshape(tensor, [-1, *tensor.shape[2:]]), made)


def _joined(first, second):
    return _map(lambda a, b: tf.concat([a, b], axis=0), first, second)


def _part(stack, begin, end):
    return _map(lambda tensor: tensor[begin:end], stack)


def drawn(draw, seed):
    """`Blocks` of what is drawn; `draw` takes a seed, int64 [2], to tensors [BLOCK, ...]."""
    return Blocks(lambda steps: draw(noise_seed(steps[0] // BLOCK, seed)))
