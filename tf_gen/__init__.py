"""Four classic small generative models in TensorFlow 2 and Keras 3.

Importing this package imports no heavy library.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from tf_gen.trained import TrainedModel

__version__ = "0.1.0"

# Keras reads this once, at its first import.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")


def load(path: str | Path) -> TrainedModel:
    """Load a trained model: `tf_gen.load("vae").sample(16)` generates 16 digits.

    Args:
        path: the name of a trained model that comes with this package (vae, gaussian_gan,
            tiny_gan, ali), the directory of a SavedModel, or a run that has one, such as runs/vae.

    Returns:
        A `tf_gen.trained.TrainedModel`.

    Raises:
        tf_gen.errors.UserError: there is no such model, or it is damaged.
    """
    from tf_gen.trained import TrainedModel

    return TrainedModel(path)
