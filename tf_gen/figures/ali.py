"""Figures of notebook 4. Adversarially learned inference."""
