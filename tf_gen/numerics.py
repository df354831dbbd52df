"""Formulas that several models share, in forms that stay finite in float32."""

import math

import tensorflow as tf


def log_sigmoid(logits, epsilon):
    """log(sigmoid(logits) + epsilon), exactly and for every logit.

    The articles guard their logarithms as log(epsilon + p), p = sigmoid(l). Written so in float32
    the guard fails: epsilon + 1 rounds to 1, so log(epsilon + 1 - p) is log(0) as soon as p rounds
    to 1 (l > 16.6), and a compiler may fold 1 + epsilon into 1 even where we did not. With
    s = softplus(-l) = -log p the same value is

        log(e^-s + epsilon) = -s + log(1 + e^(s + log epsilon)) = -s + softplus(s + log epsilon).

    Args:
        logits: float32, any shape. For log(1 - sigmoid(l) + epsilon) pass -l.
        epsilon: Python float, > 0.

    Returns:
        float32, shape of `logits`.
    """
    s = tf.math.softplus(-logits)
    return tf.math.softplus(s + math.log(epsilon)) - s
