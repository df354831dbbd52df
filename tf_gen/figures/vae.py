"""Figures of notebook 1. A variational autoencoder."""
