"""Which examples each update sees, and its noise, as pure functions of (seed, step).

So training can start at any step at no cost, and a run that stops goes on with the same bits.
"""

import tensorflow as tf

BLOCK = 100  # elements made at once


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


def in_blocks(block, start, size=BLOCK):
    """Endless dataset whose element k belongs to update start + k; made `size` at a time.

    One by one they would take three to ten times as long, for the calls. `block` is a function of
    int64 [size], the updates from a multiple of `size` on, to tensors [size, ...].
    """

    @tf.autograph.experimental.do_not_convert  # nothing here needs AutoGraph, which takes long
    def number(index):
        return block(index * size + tf.range(size, dtype=tf.int64))

    dataset = tf.data.Dataset.counter(start // size).map(number).unbatch()
    return dataset.skip(start % size).prefetch(size)


def drawn(draw, seed, start):
    """Endless dataset of what is drawn; `draw` takes a seed, int64 [2], to tensors [BLOCK, ...]."""
    return in_blocks(lambda steps: draw(noise_seed(steps[0] // BLOCK, seed)), start)
