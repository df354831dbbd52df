"""Draw from a SavedModel: `python -m tf_gen.sample DIR --z 3,3 --out three.png`.

Needs TensorFlow and a SavedModel directory alone: no model code, no checkpoint, no data.
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

    from tf_gen.images import mosaic, write_png

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
        images = signatures["decode"](z=tf.constant(arguments.z))["images"].numpy()
    else:
        count, seed = tf.constant(arguments.count), tf.constant([arguments.seed, 0])
        images = signatures["sample"](count=count, seed=seed)["images"].numpy()
    with files.beside(arguments.out) as temporary:
        if arguments.out.suffix == ".npy":
            np.save(temporary, images)
        else:
            columns = math.ceil(math.sqrt(len(images)))
            write_png(temporary, mosaic(images, columns, scale=4))
    print(f"{len(images)} image(s): {arguments.out}")
    return 0


def parse(argv):
    """Parse the command line without TensorFlow."""
    parser = cli.Parser(prog="tf_gen.sample", description="Generate images with a SavedModel.")
    parser.add_argument(
        "directory", type=Path, help="SavedModel, or a run directory that has one, such as runs/vae"
    )
    parser.add_argument(
        "--count", type=int, default=16, help="images to draw, without --z (default: 16)"
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
        help="a .png of all images, or .npy: float32 [count, 28, 28] (default: samples.png)",
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
