"""The examples and the noise of each update, as pure functions of (seed, step).

So training can start at any step at no cost, and a run that was stopped continues bit by bit.
"""

from concurrent.futures import ThreadPoolExecutor
from functools import cached_property

import tensorflow as tf

BLOCK = 100  # batches made at once, unless they are large
_map = tf.nest.map_structure


def examples_at(steps, batch_size, count, seed):
    """The examples that updates use: each example once per epoch, in a new order each time.

    The epochs form one long stream of examples. Batches are cut from it and may span two epochs, so
    no example is left out.

    Args:
        steps: int64, any shape, the numbers of updates, counted from 0.
        batch_size, count: Python ints; an epoch has `count` examples.
        seed: Python int.

    Returns:
        int64 [..., batch_size], indices below `count`.
    """
    positions = tf.expand_dims(steps, -1) * batch_size + tf.range(batch_size, dtype=tf.int64)
    position = tf.reshape(positions, [-1])
    epoch = position // count
    seeds = tf.stack([tf.fill(tf.shape(epoch), tf.cast(seed, tf.int64)), epoch, epoch], axis=1)
    # A cipher on 0 .. count-1 is a permutation without a buffer, so any step costs the same. Why
    # the raw op and not tf.random.experimental.index_shuffle? A batch can span two epochs, so it
    # needs a seed for each example. And that function uses 4 rounds, with which successive epochs
    # of 60,000 examples have almost the same order (from 8 rounds on they do not).
    examples = tf.raw_ops.RandomIndexShuffle(
        index=position % count, seed=seeds, max_index=tf.constant(count - 1, tf.int64), rounds=16
    )
    return tf.reshape(examples, tf.shape(positions))


def noise_seed(step, seed):
    """The seed, int64 [2], of all noise of update number `step`, int64 [], or of block `step`."""
    # Folding in a constant makes it independent of the draws of the initial weights.
    root = tf.random.fold_in(tf.stack([tf.cast(seed, tf.int64), 0]), 1, alg="philox")
    return tf.random.fold_in(root, step, alg="philox")


class Blocks:
    """The batches of all updates, made in blocks, since a call for each batch would take too long.

    Args:
        make: function from the updates of a block, int64 [size], the first a multiple of `size`, to
            their batches, a structure of tensors [size, ...].
        size: Python int.
    """

    def __init__(self, make, size=BLOCK):
        self.make = make
        self.size = size
        signature = [tf.TensorSpec([], tf.int64)] * 2
        self._some = tf.function(self._make_some, signature, autograph=False)

    @cached_property
    def spec(self):
        """A structure of `tf.TensorSpec` that describes a block."""
        program = tf.function(self.make, autograph=False).get_concrete_function(self._updates(0))
        outputs = program.structured_outputs
        return _map(lambda tensor: tf.TensorSpec(tensor.shape, tensor.dtype), outputs)

    @property
    def bytes_each(self):
        """The size of one batch in bytes."""
        each = (spec.shape.num_elements() * spec.dtype.size for spec in tf.nest.flatten(self.spec))
        return sum(each) // self.size

    def _updates(self, number):
        return number * self.size + tf.range(self.size, dtype=tf.int64)

    def dataset(self, start=0):
        """An endless `tf.data.Dataset`; its element k is the batch of update start + k."""

        @tf.autograph.experimental.do_not_convert  # AutoGraph is slow, and not needed here
        def block(number):
            return self.make(self._updates(number))

        dataset = tf.data.Dataset.counter(start // self.size).map(block).unbatch()
        return dataset.skip(start % self.size).prefetch(self.size)

    def stacks(self, start, counts):
        """A generator of the same batches in stacks.

        For small batches this takes a tenth of the time of a `tf.data.Dataset`, which spends ten
        microseconds on each operation. The next stack is made while one is in use.

        Args:
            start: Python int, the update that the first batch belongs to.
            counts: iterable of Python ints, at least 1: the number of batches in each stack.
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
            with tf.device("CPU"):  # as in a `tf.data.Dataset`; a GPU would round differently
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
        """`count` blocks from block `number` on, concatenated."""
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
    """`Blocks` of random draws; `draw` turns a seed, int64 [2], into tensors [BLOCK, ...]."""
    return Blocks(lambda steps: draw(noise_seed(steps[0] // BLOCK, seed)))
