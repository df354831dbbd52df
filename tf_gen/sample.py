"""Draw from a SavedModel: `python -m tf_gen.sample DIR --z 3,3 --out three.png`.

Needs TensorFlow and a SavedModel directory alone: no model code, no checkpoint, no data. What comes
out are images, or points on a line, of which a picture is a histogram.
"""

import math
import sys
from pathlib import Path

from tf_gen import cli, files


def main(argv=None):
    arguments = parse(sys.argv[1:] if argv is None else argv)
    cli.import_tensorflow()
    import numpy as np
    import tensorflow as tf

    model = _load(arguments.directory)
    signatures = model.signatures  # does not keep the variables alive by itself
    if not {"decode", "sample"} <= set(signatures):
        raise cli.UserError(f"{arguments.directory}: not a SavedModel of this package")
    if arguments.z:
        (spec,) = signatures["decode"].structured_input_signature[1].values()
        latent_dim = spec.shape[1]
        for z in arguments.z:
            if len(z) != latent_dim:
                raise cli.UserError(f"--z: {len(z)} numbers, but this model's z has {latent_dim}")
        outputs = signatures["decode"](z=tf.constant(arguments.z))
    else:
        count, seed = tf.constant(arguments.count), tf.constant([arguments.seed, 0])
        outputs = signatures["sample"](count=count, seed=seed)
    kind, draw = ("images", draw_images) if "images" in outputs else ("x", draw_histogram)
    values = outputs[kind].numpy()
    if arguments.out.suffix == ".npy":
        with files.beside(arguments.out) as temporary:
            np.save(temporary, values)
    else:
        draw(values, arguments.out)
    print(f"{len(values)} {'image(s)' if kind == 'images' else 'point(s)'}: {arguments.out}")
    if arguments.z and kind == "x":
        for z, x in zip(arguments.z, values, strict=True):
            print(f"z {z[0]:g}: x {x[0]:g}")
    return 0


def draw_images(images, path):
    """Write float32 images [count, height, width] in [0, 1] as one PNG."""
    from tf_gen.images import mosaic, write_png

    columns = math.ceil(math.sqrt(len(images)))
    with files.beside(path) as temporary:
        write_png(temporary, mosaic(images, columns, scale=4))


def draw_histogram(x, path):
    """Write a histogram of points, float32 [count, 1], as a PNG."""
    import numpy as np

    from tf_gen import plots

    if not np.all(np.isfinite(x)):
        raise cli.UserError("not all points are finite, so there is no histogram; ask for a .npy")
    plots.save(plots.histogram(x[:, 0]), path)


def parse(argv):
    """Parse the command line without TensorFlow."""
    parser = cli.Parser(
        prog="tf_gen.sample", description="Generate images, or points, with a SavedModel."
    )
    parser.add_argument(
        "directory", type=Path, help="SavedModel, or a run directory that has one, such as runs/vae"
    )
    parser.add_argument(
        "--count", type=int, default=16, help="how many to draw, without --z (default: 16)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the draws of z (default: 0)")
    parser.add_argument(
        "--z",
        type=_numbers,
        action="append",
        help="decode this point instead of drawing one, such as 3,3 or -1.5,0; may be repeated",
    )
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("samples.png"),
        help="a .png of all images (of points: a histogram), or .npy: float32 [count, 28, 28] "
        "(of points: [count, 1]) (default: samples.png)",
    )
    arguments = parser.parse_args(_join_negative(argv))
    if not 1 <= arguments.count < 2**31:
        parser.error(f"argument --count: must be from 1 to 2**31 - 1, not {arguments.count}")
    if not 0 <= arguments.seed < 2**31:
        parser.error(f"argument --seed: must be from 0 to 2**31 - 1, not {arguments.seed}")
    if arguments.out.suffix not in (".png", ".npy"):
        parser.error(f"argument --out: must end in .png or .npy, not {arguments.out.name}")
    return arguments


def _load(directory):
    """The SavedModel in `directory`, or in the directory `saved_model` of a run."""
    import tensorflow as tf

    if (directory / "saved_model" / "saved_model.pb").is_file():
        directory = directory / "saved_model"
    if not (directory / "saved_model.pb").is_file():
        raise cli.UserError(
            f"{directory}: no SavedModel (saved_model.pb is missing); of an unfinished run, make "
            "one with python -m tf_gen.export"
        )
    try:
        return tf.saved_model.load(str(directory))
    except (OSError, ValueError, tf.errors.OpError) as error:
        message = str(error).splitlines()[0]
        raise cli.UserError(f"{directory}: the SavedModel cannot be read ({message})") from error


def _numbers(text):
    """Parse "3,3"; argparse turns a ValueError into a usage error."""
    numbers = [float(part) for part in text.split(",")]
    if not all(abs(number) < 1e38 for number in numbers):  # false for nan, too
        raise ValueError
    return numbers


_numbers.__name__ = "z"  # argparse prints it: "invalid z value: 'a,b'"


def _join_negative(argv):
    """Let `--z -1,2` pass: argparse would take -1,2 for a flag, but not in `--z=-1,2`."""
    joined = []
    for argument in argv:
        if joined and joined[-1] == "--z":
            joined[-1] = f"--z={argument}"
        else:
            joined.append(argument)
    return joined


if __name__ == "__main__":
    cli.run(main)
