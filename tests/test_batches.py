"""The order in which training sees examples, and the seeds of its noise."""

import numpy as np
import pytest
import tensorflow as tf

from tf_gen import batches

pytestmark = pytest.mark.quick


def stream(batch_size, count, seed, steps):
    batch = tf.function(lambda step: batches.examples_at(step, batch_size, count, seed))
    return np.concatenate([batch(tf.constant(step, tf.int64)) for step in steps])


@pytest.mark.parametrize(("batch_size", "count"), [(64, 4500), (7, 50), (64, 10), (1, 3), (5, 1)])
def test_each_epoch_holds_each_example_once(batch_size, count):
    epochs = 3
    rows = stream(batch_size, count, 0, range(-(-epochs * count // batch_size)))
    for epoch in np.split(rows[: epochs * count], epochs):
        assert sorted(epoch) == list(range(count))


@pytest.mark.parametrize("count", [500, 4500, 60000])
def test_orders_are_uncorrelated(count):
    """As those of independent permutations, whose correlations have standard deviation n^-1/2."""

    def correlation(a, b):
        return abs(np.corrcoef(a, b)[0, 1]) * np.sqrt(len(a))

    epochs = [stream(count, count, seed, [epoch]) for seed in (0, 1) for epoch in (0, 1, 2)]
    for i, order in enumerate(epochs):
        assert correlation(order, np.arange(count)) < 5
        assert correlation(order[:-1], order[1:]) < 5
        for other in epochs[:i]:
            assert correlation(order, other) < 5


def test_many_updates_at_once_use_the_same_examples():
    steps = tf.range(40, 60, dtype=tf.int64)
    block = batches.examples_at(steps, 7, 50, 3)
    assert block.shape == (20, 7)
    np.testing.assert_array_equal(np.ravel(block), stream(7, 50, 3, range(40, 60)))


def test_blocks_begin_anywhere():
    def block(steps):
        assert steps.shape == (batches.BLOCK,)
        return {"step": steps, "square": steps**2}

    for start in (0, 1, 99, 100, 250):
        rows = list(batches.in_blocks(block, start).take(120).as_numpy_iterator())
        assert [row["step"] for row in rows] == list(range(start, start + 120))
        assert all(row["square"] == row["step"] ** 2 for row in rows)


def test_noise_seeds_differ():
    seeds = {
        tuple(batches.noise_seed(tf.constant(step, tf.int64), seed).numpy())
        for step in range(100)
        for seed in range(3)
    }
    assert len(seeds) == 300
