"""Formulas that stay finite in float32, against float64."""

import numpy as np
import oracles
import pytest
import tensorflow as tf

from tf_gen.numerics import log_sigmoid

pytestmark = pytest.mark.quick


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("epsilon", [1e-10, 1e-8])
def test_log_sigmoid_and_its_gradient_at_each_logit(compiled, epsilon):
    logits = np.float64(np.linspace(-100, 100, 20001, dtype=np.float32))
    value, gradient = oracles.value_and_gradient(
        lambda logits: log_sigmoid(logits, epsilon), logits, compiled
    )
    exact = oracles.log_sigmoid(logits, epsilon)
    np.testing.assert_allclose(value, exact, rtol=0, atol=3e-6)
    slope = oracles.log_sigmoid_slope(logits, epsilon)
    np.testing.assert_allclose(gradient, slope, rtol=0, atol=3e-7)


@pytest.mark.parametrize("compiled", [False, True])
def test_the_log_is_exact_within_one_unit_in_the_last_place(compiled):
    logits = np.linspace(-30, 30, 60_001, dtype=np.float32)
    ours = tf.function(log_sigmoid, jit_compile=compiled)(tf.constant(logits), 1e-8)
    exact = oracles.log_sigmoid(np.float64(logits), 1e-8)
    # 1e-6, and a unit in the last place, which is 2e-6 near the smallest value, -18.4.
    np.testing.assert_allclose(ours, exact, rtol=1.2e-7, atol=1e-6)
    np.testing.assert_allclose(ours, exact, rtol=1e-6, atol=1.5e-7)
