"""Figures of notebook 3. The GAN in 50 lines."""
