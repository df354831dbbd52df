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


@pytest.fixture(scope="module")
def squares():
    """Blocks whose batches tell their update."""

    def block(steps):
        assert steps.shape == (batches.BLOCK,)
        assert steps.dtype == tf.int64
        return {"step": steps, "squares": tf.stack([steps**2, -(steps**2)], axis=1)}

    return batches.Blocks(block)


@pytest.mark.parametrize("start", [0, 1, 99, 100, 250])
def test_datasets_begin_anywhere(squares, start):
    rows = list(squares.dataset(start).take(120).as_numpy_iterator())
    assert [row["step"] for row in rows] == list(range(start, start + 120))
    assert all(list(row["squares"]) == [row["step"] ** 2, -(row["step"] ** 2)] for row in rows)


@pytest.mark.parametrize("start", [0, 1, 99, 100, 250])
@pytest.mark.parametrize("counts", [[1], [100], [7, 93, 1, 250, 99], [350, 20], [3] * 70])
def test_stacks_begin_anywhere_and_have_any_size(squares, start, counts):
    stacks = list(squares.stacks(start, counts))
    assert [len(stack["step"]) for stack in stacks] == counts
    steps = np.concatenate([stack["step"] for stack in stacks])
    assert list(steps) == list(range(start, start + sum(counts)))
    rows = np.concatenate([stack["squares"] for stack in stacks])
    np.testing.assert_array_equal(rows, np.stack([steps**2, -(steps**2)], axis=1))


def test_stacks_are_made_from_counts_as_they_come(squares):
    """A long run has more of them than should be listed; no more than one is made ahead."""
    asked = []

    def counts():
        for count in [5] * 1000:
            asked.append(count)
            yield count

    stacks = squares.stacks(0, counts())
    for _ in range(3):
        next(stacks)
    stacks.close()  # as where a run ends early; it waits for what is being made
    assert len(asked) == 4


def test_size_of_a_batch(squares):
    assert squares.bytes_each == 3 * 8


def test_noise_seeds_differ():
    seeds = {
        tuple(batches.noise_seed(tf.constant(step, tf.int64), seed).numpy())
        for step in range(100)
        for seed in range(3)
    }
    assert len(seeds) == 300
