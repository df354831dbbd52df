"""Figures of notebook 2. A GAN that learns a Gaussian."""
