"""The registry. A model called `name` is the module `tf_gen.models.<name>`."""

import importlib

NAMES = (
    "vae",  # tanh/sigmoid variational autoencoder on MNIST
)


def load(name):
    """Import and return the module of the model called `name`.

    Not done for all of them at once, since that imports TensorFlow and `--help` must not.
    """
    return importlib.import_module(f"tf_gen.models.{name}")
