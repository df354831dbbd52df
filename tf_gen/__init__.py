"""Four classic small generative models in TensorFlow 2 and Keras 3. Imports nothing heavy."""

import os

__version__ = "0.1.0"

# Keras reads this once, at its first import.
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
