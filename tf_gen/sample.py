"""Draw from a SavedModel: `python -m tf_gen.sample vae --z 3,3 --out three.png`.

Draws from the prior, or decodes points of the latent space: given ones, those where a digit lies,
the way between two, or a grid. Needs only TensorFlow and a SavedModel, by its path or by the name
of a trained model that comes with this package: no model code, no checkpoint, no data. What comes
out are images, or points on a line, of which a picture is a histogram.
"""

import math
import re
import sys
from pathlib import Path

from tf_gen import cli, files, savedmodel
from tf_gen.errors import UserError
from tf_gen.settings import Seed

NO_MAP = "this model has no latent_map.json, which training with images writes at its end; give --z"


def main(argv=None):
    arguments = parse(sys.argv[1:] if argv is None else argv)
    directory = savedmodel.find(arguments.model)
    cli.import_tensorflow()
    import numpy as np
    import tensorflow as tf

    from tf_gen import plots

    model = savedmodel.load(directory)
    signatures = model.signatures  # does not keep the variables alive by itself
    (spec,) = signatures["decode"].structured_input_signature[1].values()
    latent_map = savedmodel.read_latent_map(directory, latent_dim=spec.shape[1])
    z = points(arguments, latent_map, latent_dim=spec.shape[1])
    if z is None:
        count, seed = tf.constant(arguments.count), tf.constant([arguments.seed, 0])
        outputs = signatures["sample"](count=count, seed=seed)
    else:
        outputs = signatures["decode"](z=tf.constant(z))
    kind = "images" if "images" in outputs else "x"
    values = outputs[kind].numpy()
    if arguments.out.suffix == ".npy":
        with files.beside(arguments.out) as temporary:
            np.save(temporary, values)
    elif arguments.grid:
        plots.save(plots.manifold(values, latent_map["axis"]), arguments.out)
    elif kind == "images":
        columns = min(20, len(values)) if arguments.interpolate else math.isqrt(len(values) - 1) + 1
        plots.save(plots.mosaic(values, columns, scale=4), arguments.out)
    elif np.all(np.isfinite(values)):
        # Given points are no sample, so there is no density that they should have.
        config = {} if z is not None else savedmodel.read_config(directory)
        figure = plots.histogram(values[:, 0], config.get("data_mean"), config.get("data_std"))
        plots.save(figure, arguments.out)
    else:
        raise UserError("not all points are finite, so there is no histogram; ask for a .npy")
    print(f"{len(values)} {'image(s)' if kind == 'images' else 'point(s)'}: {arguments.out}")
    if arguments.digit:
        for label, point in zip(arguments.digit, z, strict=True):
            print(f"digit {label}: --z {','.join(f'{number:.3g}' for number in point)}")
    if arguments.z and kind == "x":
        for point, x in zip(z, values, strict=True):
            print(f"z {point[0]:g}: x {x[0]:g}")
    return 0


def points(arguments, latent_map, latent_dim):
    """Which z the command line means: float32 [n, latent_dim], or None for draws of the prior.

    UserError: it means one that this model, with its `savedmodel.read_latent_map`, does not have.
    """
    import numpy as np

    if arguments.z:
        z = [checked(point, "--z", latent_dim) for point in arguments.z]
    elif arguments.digit:
        z = [digit(label, "--digit", latent_map) for label in arguments.digit]
    elif arguments.interpolate:
        ends = []
        for point in arguments.interpolate:
            if len(point) == 1 < latent_dim and point[0].is_integer():
                ends.append(digit(int(point[0]), "--interpolate", latent_map))
            else:
                ends.append(checked(point, "--interpolate", latent_dim))
        z = np.linspace(*ends, arguments.count)
    elif arguments.grid:
        from tf_gen import plots

        if latent_dim != 2:
            raise UserError(f"--grid: needs a plane, but this model's z has {latent_dim}")
        if "axis" not in latent_map:
            raise UserError(f"--grid: {NO_MAP}")
        z = plots.plane(latent_map["axis"])
    else:
        return None
    return np.array(z, np.float32)


def checked(point, flag, latent_dim):
    """The point, a list of floats. UserError if it has another length."""
    if len(point) != latent_dim:
        numbers = "1 number" if len(point) == 1 else f"{len(point)} numbers"
        raise UserError(f"{flag}: {numbers}, but this model's z has {latent_dim}")
    return point


def digit(label, flag, latent_map):
    """A point where the digit `label` lies: list of floats. UserError if there is none."""
    labels = latent_map.get("labels")
    if labels is None:
        raise UserError(f"{flag}: {NO_MAP}")
    if str(label) not in labels:
        raise UserError(f"{flag}: no {label} in this model's map, which has {', '.join(labels)}")
    return labels[str(label)]


def parse(argv):
    """Parse the command line without TensorFlow."""
    parser = cli.Parser(
        prog="tf_gen.sample", description="Generate images, or points, with a SavedModel."
    )
    words = (
        "a trained model that comes with this package (vae, gaussian_gan, tiny_gan, ali), a "
        "SavedModel's directory, or a run that has one, such as runs/vae"
    )
    parser.option("model", Path, words)
    words = "how many to draw (default: 16), or to decode on the way of --interpolate (default: 10)"
    parser.option("--count", int, words)
    parser.option("--seed", Seed, "of the draws of z (default: 0)", default=0)
    instead = parser.add_mutually_exclusive_group()
    words = "decode this point instead of drawing one, such as 3,3 or -1.5,0; may be repeated"
    instead.add_argument("--z", type=_numbers, action="append", help=words)
    words = "decode a point where this digit lies, and print it; may be repeated"
    instead.add_argument("--digit", type=int, action="append", help=words)
    words = "decode points on the straight way from A to B: two z, or two digits"
    instead.add_argument("--interpolate", type=_numbers, nargs=2, metavar=("A", "B"), help=words)
    words = "decode a grid of 20 x 20 points of a latent plane"
    instead.add_argument("--grid", action="store_true", help=words)
    words = (
        "a .png of all images (of points: a histogram), or .npy: float32 [count, 28, 28] "
        "(of points: [count, 1]) (default: samples.png)"
    )
    parser.option("--out", Path, words, default=Path("samples.png"))
    # A leading space, which float() ignores, keeps argparse from taking -1,2 for a flag.
    numbers = re.compile(r"-[\d.][\d.,eE+-]*")
    arguments = parser.parse_args([f" {a}" if numbers.fullmatch(a) else a for a in argv])
    if arguments.count is None:
        arguments.count = 10 if arguments.interpolate else 16
    elif arguments.z or arguments.digit or arguments.grid:
        parser.error("argument --count: not with --z, --digit or --grid")
    least = 2 if arguments.interpolate else 1
    if not least <= arguments.count < 2**31:
        parser.error(f"argument --count: must be from {least} to 2**31 - 1, not {arguments.count}")
    if arguments.out.suffix not in (".png", ".npy"):
        parser.error(f"argument --out: must end in .png or .npy, not {arguments.out.name}")
    return arguments


def _numbers(text):
    """Parse "3,3"; argparse turns a ValueError into a usage error."""
    numbers = [float(part) for part in text.split(",")]
    if not all(abs(number) < 1e38 for number in numbers):  # false for nan, too
        raise ValueError
    return numbers


_numbers.__name__ = "z"  # argparse prints it: "invalid z value: 'a,b'"


if __name__ == "__main__":
    cli.run(main)
