"""Figures of notebook 0. From TensorFlow 1."""
