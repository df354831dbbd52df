"""A trained model as an object with NumPy inputs and outputs: the result of `tf_gen.load`."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tf_gen import cli, files, savedmodel

Array = NDArray[np.float32]


class TrainedModel(savedmodel.Generator):
    """The networks of a SavedModel, loaded and tried out.

    Attributes:
        name: the name or path that it was loaded by.
        path: where it was found.
        latent_dim: the length of z.
        generates: what `decode` returns: "images", or "x" for points on a line.
        shape: the shape of one image or point, [28, 28] or [1].
        networks: which of `decode`, `encode`, `reconstruct` and `discriminate` it has; the methods
            of the others raise AttributeError.
        config: the settings that it was trained with.
        metrics: the figures that were measured for it, a dict of floats; empty if there are none.

    Raises:
        UserError: there is no SavedModel, or it is damaged, or not one of this package.
    """

    def __init__(self, path: str | Path) -> None:
        self.name = str(path)
        self.path = savedmodel.find(Path(path))
        super().__init__(self.path)
        names = ("decode", "encode", "reconstruct", "discriminate")
        self.networks = [name for name in names if name in self.model.signatures]
        self.config: dict[str, Any] = savedmodel.read_config(self.path)
        self._run = self.path.parent if self.path.name == "saved_model" else None

    def __repr__(self) -> str:
        what = {"images": "images [28, 28]", "x": "points [1]"}[self.generates]
        networks = ", ".join(self.networks)
        return f"<{self.name}: z [{self.latent_dim}] to {what}; {networks}, sample>"

    @functools.cached_property
    def metrics(self) -> dict[str, Any]:
        try:
            return files.read_json(self.path / "metrics.json")
        except FileNotFoundError:
            return {}

    @functools.cached_property
    def keras_model(self) -> Any:
        """The compiled `keras.Model` of a run at its newest checkpoint; train it on with `fit`.

        Raises AttributeError if this is not the model of a run, and UserError if no checkpoint of
        it can be used.
        """
        if self._run is None or not (self._run / "config.json").exists():
            raise AttributeError(f"{self.name}: no run's, so there is no Keras model of it")
        from tf_gen import rundir

        _, recipe, config = rundir.identify(self._run)
        model = recipe.build(config)
        rundir.restore(model, self._run)
        return model

    def sample(self, count: int = 16, seed: int = 0) -> Array:
        """Draw z from the prior and decode it: images [count, 28, 28] in [0, 1], or x [count, 1].

        The same `seed` gives the same draws, as in `python -m tf_gen.sample`.
        """
        return self.decode(self.prior(count, seed))

    def decode(self, z: ArrayLike) -> Array:
        """Decode z [n, latent_dim] to images [n, 28, 28] in [0, 1], or to x [n, 1].

        Raises ValueError if z has another shape.
        """
        return super().decode(_checked("z", z, [self.latent_dim]))

    def encode(self, images: ArrayLike) -> Array:
        """Encode images [n, 28, 28] to z [n, latent_dim].

        Images are floats from 0, black, to 1, white, or uint8 from 0 to 255. For a variational
        autoencoder, z is the mean of q(z|x); `posterior` also returns its variance.
        """
        outputs = self._call("encode", images=_pixels(images))
        return outputs["z_mean"] if "z_mean" in outputs else outputs["z"]

    def posterior(self, images: ArrayLike) -> tuple[Array, Array]:
        """Mean and log-variance of q(z|x), both [n, latent_dim], for images as in `encode`.

        Raises AttributeError if the encoder does not return a distribution.
        """
        outputs = self._call("encode", images=_pixels(images))
        if "z_log_var" not in outputs:
            raise AttributeError(f"{self.name}: the encoder returns z, and no distribution")
        return outputs["z_mean"], outputs["z_log_var"]

    def reconstruct(self, images: ArrayLike) -> Array:
        """Encode images, as in `encode`, and decode their z: [n, 28, 28]."""
        return self._call("reconstruct", images=_pixels(images))["images"]

    def discriminate(self, values: ArrayLike, z: ArrayLike | None = None) -> Array:
        """D's output: the probability that each input is real.

        Args:
            values: x [n, 1], or images [n, 28, 28] as in `encode`. If D judges points together, n
                must be a multiple of their number, or exactly the batch size.
            z: [n, latent_dim], the z of the images if D judges pairs. The output is then the
                probability that a pair is (x, Q(x)).

        Returns:
            [n], or fewer if D judges several points together.
        """
        if self.generates == "x":
            inputs = {"x": _checked("x", values, [1])}
        else:
            inputs = {"images": _pixels(values)}
        if z is not None:
            inputs["z"] = _checked("z", z, [self.latent_dim])
        return self._call("discriminate", **inputs)["probability"].reshape(-1)

    def _call(self, name: str, **inputs: Array) -> dict[str, Array]:
        import tensorflow as tf

        if name not in self.networks:
            raise AttributeError(f"{self.name}: has no {name}, only {', '.join(self.networks)}")
        signature = self.model.signatures[name]
        expected = signature.structured_input_signature[1]
        if inputs.keys() != expected.keys():
            raise ValueError(f"{name} needs {', '.join(sorted(expected))}")
        for key, spec in expected.items():
            if spec.shape[0] not in (None, len(inputs[key])):
                raise ValueError(f"{name} needs {spec.shape[0]} {key}, not {len(inputs[key])}")
        try:
            with cli.stderr_discarded():  # TensorFlow also prints errors that it raises
                outputs = signature(**{key: tf.constant(value) for key, value in inputs.items()})
        except tf.errors.InvalidArgumentError as error:
            count = min(map(len, inputs.values()))
            raise ValueError(
                f"{name}: D judges several points together, and cannot judge {count}"
            ) from error
        return {name: output.numpy() for name, output in outputs.items()}


def _pixels(images: ArrayLike) -> Array:
    """Images as float32 in [0, 1]. Raises ValueError if they have another shape."""
    images = np.asarray(images)
    scale = np.float32(255 if images.dtype == np.uint8 else 1)
    return _checked("images", images, [28, 28]) / scale


def _checked(name: str, values: ArrayLike, shape: list[int]) -> Array:
    """`values` as float32 [n, *shape]. Raises ValueError if they have another shape."""
    array = np.asarray(values, np.float32)
    if list(array.shape[1:]) != shape or array.ndim != 1 + len(shape):
        raise ValueError(f"{name} must have shape {['n', *shape]}, not {list(array.shape)}")
    return array
