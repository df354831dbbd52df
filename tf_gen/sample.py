"""Generate with a SavedModel: `python -m tf_gen.sample vae --z 3,3 --out three.png`.

It decodes draws of the prior, or other points of the latent space: given points, one or many codes
of a digit, points between two ends, or a grid. It needs only TensorFlow and a SavedModel, named by
its path or, if it comes with this package, by its name. It needs no model code, no checkpoint and
no data. The output is images, or points on a line, whose picture is a histogram.
"""

import math
import re
import sys
import time
from pathlib import Path

from tf_gen import cli, files, memory, savedmodel
from tf_gen.errors import UserError
from tf_gen.settings import Seed

PART = 10_000  # the largest number that is decoded at once
SECONDS_BETWEEN_LINES = 10  # between two lines with the time left, if stderr shows no bar
NO_MAP = "this model has no latent_map.json, which training with images writes at its end; give --z"


def main(argv=None):
    arguments = parse(sys.argv[1:] if argv is None else argv)
    directory = savedmodel.find(arguments.model)
    files.check_file(arguments.out)
    if (boxed := savedmodel.shipped(arguments.model)) not in (None, directory):
        print(f"using ./{directory}; the trained model that comes with this package is {boxed}")
    cli.import_tensorflow(lean=True, keras=False)
    import numpy as np

    from tf_gen import plots

    with cli.stderr_discarded():  # besides its exception, TensorFlow writes pages about damage
        generator = savedmodel.Generator(directory)
    latent_map = savedmodel.read_latent_map(directory, generator.latent_dim)
    picture, images = arguments.out.suffix.lower() == ".png", generator.generates == "images"
    count = how_many(arguments, latent_map)
    if picture and images:
        columns, scale = layout(arguments, count, generator.shape)
    elif picture:
        density = density_of(arguments, directory)
    check_room(count, generator, arguments.out)
    z = points(arguments, latent_map, generator.latent_dim)
    if z is None:
        z = generator.prior(count, arguments.seed)
    parts = decoded(generator, z)
    if not picture:
        write_npy(arguments.out, parts, [count, *generator.shape])
    elif arguments.grid:
        plots.save(plots.manifold(np.concatenate([*parts]), latent_map["axis"]), arguments.out)
    elif images:
        plots.save(plots.mosaic(np.concatenate([*parts]), columns, scale), arguments.out)
    else:
        x = np.concatenate([*parts])[:, 0]
        if not np.all(np.isfinite(x)):
            raise UserError("not all points are finite, so there is no histogram; ask for a .npy")
        plots.save(plots.histogram(x, *density), arguments.out)
    print(f"{count} {'image(s)' if images else 'point(s)'}: {arguments.out}")
    if arguments.digit and not arguments.count:
        for label, point in zip(arguments.digit, z, strict=True):
            print(f"digit {label}: --z {','.join(f'{number:.3g}' for number in point)}")
    if arguments.z and not images:
        for point, x in zip(z, generator.decode(z), strict=True):
            print(f"z {point[0]:g}: x {x[0]:g}")
    print(f"next: python -m tf_gen.explore {cli.typed(arguments.model)} --open")
    return 0


def how_many(arguments, latent_map):
    """The number of images or points that the command line asks for."""
    if arguments.grid:
        return max(1, len(latent_map.get("axis", []))) ** 2
    if arguments.digit:
        return len(arguments.digit) * (arguments.count or 1)
    return len(arguments.z or []) or arguments.count


def layout(arguments, count, shape):
    """Columns and scale of a mosaic of `count` images of this shape.

    An interpolation is read from left to right. If there are several digits, each has a row. Raises
    UserError if the mosaic would be too large.
    """
    from tf_gen import mosaic

    columns = math.isqrt(count - 1) + 1
    if arguments.interpolate:
        columns = min(count, max(20, columns))
    elif arguments.digit and arguments.count and len(arguments.digit) > 1:
        columns = arguments.count
    scale = mosaic.fitting_scale(count, columns, shape, at_most=4)
    if not scale:
        raise UserError(f"{count:,} images: too large a picture for most programs; ask for a .npy")
    return columns, scale


def density_of(arguments, directory):
    """Mean and standard deviation that draws of the model in `directory` should have, or ()."""
    if arguments.z or arguments.digit or arguments.interpolate or arguments.grid:
        return ()  # given points are not a random sample
    density = savedmodel.read_density(directory)
    if density is None:
        cli.warn(
            f"{directory / 'config.json'}: has no data_mean and data_std, so the histogram is "
            "drawn without the density of the data"
        )
    return density or ()


def check_room(count, generator, out):
    """Raise an error if there is not enough room for z in memory and for the output `out`.

    Raises UserError if memory or disk are too small, and OSError if `out` cannot be written.
    """
    values = 4 * count * math.prod(generator.shape)
    npy = out.suffix.lower() == ".npy"
    # Drawing z takes several times its memory. A picture needs all values at once.
    memory.check(16 * count * generator.latent_dim + (0 if npy else 3 * values), f"{count:,} draws")
    files.check_file(out, values if npy else 0)


def decoded(generator, z):
    """Decode z, float32 [n, latent_dim], in parts, so that memory does not grow with n.

    The rounding of an image may depend on how many are decoded together, since TensorFlow
    multiplies a single row differently. So parts of one image are avoided, and up to PART images
    are one part.
    """
    import numpy as np
    from tqdm import tqdm

    unit = "image" if generator.generates == "images" else "point"
    begin = said = time.monotonic()
    done = 0
    with tqdm(total=len(z), unit=unit, disable=None, delay=2, leave=False) as bar:
        for part in np.array_split(z, math.ceil(len(z) / PART)):
            yield generator.decode(part)
            done += len(part)
            bar.update(len(part))
            now = time.monotonic()
            if bar.disable and now - said > SECONDS_BETWEEN_LINES:
                said, left = now, (now - begin) / done * (len(z) - done)
                print(f"{done:,} of {len(z):,} {unit}s, {tqdm.format_interval(left)} left")


def write_npy(path, parts, shape):
    """Write float32 parts as `np.save` would write them together, as an array of this shape."""
    import numpy as np

    lib = np.lib.format
    header = {"descr": "<f4", "fortran_order": False, "shape": tuple(shape)}
    # Not through a memory map, with which a full disk kills the process.
    with files.beside(path) as temporary, temporary.open("wb") as file:
        lib.write_array_header_1_0(file, header)
        for part in parts:
            file.write(part.astype("<f4", copy=False).tobytes())


def points(arguments, latent_map, latent_dim):
    """The z that the command line means: float32 [n, latent_dim], or None for draws of the prior.

    `latent_map` is from `savedmodel.read_latent_map`. Raises UserError if the model does not have
    such a z.
    """
    import numpy as np

    if arguments.z:
        z = [checked(point, "--z", latent_dim) for point in arguments.z]
    elif arguments.digit and arguments.count:
        rng = np.random.default_rng(arguments.seed)
        z = [digits(label, arguments.count, latent_map, rng) for label in arguments.digit]
        z = np.concatenate(z)
    elif arguments.digit:
        z = [digit(label, "--digit", latent_map) for label in arguments.digit]
    elif arguments.interpolate:
        ends = []
        for point in arguments.interpolate:
            if isinstance(point, str):
                ends.append(digit(point, "--interpolate", latent_map))
            elif len(point) == 1 < latent_dim and point[0].is_integer():
                ends.append(digit(f"{point[0]:.0f}", "--interpolate", latent_map))
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
    """Return the point, a list of floats. Raises UserError if its length is not `latent_dim`."""
    if len(point) != latent_dim:
        numbers = "1 number" if len(point) == 1 else f"{len(point)} numbers"
        raise UserError(f"{flag}: {numbers}, but this model's z has {latent_dim}")
    return point


def digit(label, flag, latent_map):
    """The clearest point of the digit `label`, a string: list of floats.

    Labels of other images may be words. Raises UserError if the map has no such label.
    """
    labels = latent_map.get("labels")
    if labels is None:
        raise UserError(f"{flag}: {NO_MAP}")
    if label not in labels:
        raise UserError(f"{flag}: no {label} in this model's map, which has {', '.join(labels)}")
    return labels[label]


def digits(label, count, latent_map, rng):
    """`count` different points that decode to `label`, a string: float [count, latent_dim].

    `rng`, a `np.random.Generator`, chooses them from the codes in the map. Maps of earlier versions
    have no codes. Then points are drawn around the label's clearest point, most of them within a
    third of the distance to the next label's. Raises UserError if there are not enough codes.
    """
    import numpy as np

    clearest = np.array(digit(label, "--digit", latent_map))
    if "codes" in latent_map:
        codes = latent_map["codes"].get(label, [])
        if len(codes) < count:
            raise UserError(f"--count: this model's map has {len(codes)} codes of {label}, no more")
        return np.array(codes)[rng.choice(len(codes), count, replace=False)]
    others = [point for name, point in latent_map["labels"].items() if name != label]
    distance = min((np.linalg.norm(clearest - point) for point in others), default=1.0)
    noise = rng.normal(size=[count, len(clearest)]) / math.sqrt(len(clearest))
    return clearest + distance / 3 * noise


def parse(argv):
    """Parse the command line without TensorFlow."""
    parser = cli.Parser(
        prog="tf_gen.sample", description="Generate images or points with a SavedModel."
    )
    parser.option("model", cli.model, cli.MODELS)
    words = (
        "number of images or points to draw (default: 16), to decode for --interpolate (default: "
        "10), or to choose for each --digit"
    )
    parser.option("--count", int, words)
    words = "seed of the draws of z, or of the choice that --digit makes with --count (default: 0)"
    parser.option("--seed", Seed, words, default=0)
    instead = parser.add_mutually_exclusive_group()
    words = "decode this z instead of a draw, such as 3,3 or -1.5,0; may be repeated"
    instead.add_argument("--z", type=_numbers, action="append", help=words)
    words = (
        "decode and print a z of this digit, or of another label of the training images; with "
        "--count, decode this number of different z; may be repeated"
    )
    instead.add_argument("--digit", "--label", type=str.strip, action="append", help=words)
    words = "decode points on the straight line from A to B: two z, or two digits or other labels"
    instead.add_argument("--interpolate", type=_end, nargs=2, metavar=("A", "B"), help=words)
    words = "decode a grid of 20 x 20 points of a latent plane"
    instead.add_argument("--grid", action="store_true", help=words)
    words = (
        "file to write: a .png of all images (for points, a histogram), or a .npy with float32 "
        "[count, 28, 28] (for points, [count, 1]), which may hold millions (default: samples.png)"
    )
    parser.option("--out", cli.path, words, default=Path("samples.png"))
    # A leading space, which float() ignores, keeps argparse from taking -1,2 for a flag.
    numbers = re.compile(r"-[\d.][\d.,eE+-]*")
    arguments = parser.parse_args([f" {a}" if numbers.fullmatch(a) else a for a in argv])
    if arguments.count and (arguments.z or arguments.grid):
        parser.error("argument --count: not with --z or --grid")
    if arguments.count is None and not arguments.digit:
        arguments.count = 10 if arguments.interpolate else 16
    least = 2 if arguments.interpolate else 1
    if arguments.count is not None and not least <= arguments.count < 2**31:
        parser.error(f"argument --count: must be from {least} to 2**31 - 1, not {arguments.count}")
    if arguments.out.suffix.lower() not in (".png", ".npy"):
        parser.error(f"argument --out: must end in .png or .npy, not {arguments.out.name!r}")
    return arguments


def _numbers(text):
    """Parse "3,3"; argparse turns a ValueError into a usage error."""
    numbers = [float(part) for part in text.split(",")]
    if not all(abs(number) < 1e38 for number in numbers):  # false for nan, too
        raise ValueError
    return numbers


_numbers.__name__ = "z"  # argparse prints it: "invalid z value: 'a,b'"


def _end(text):
    """An end of an interpolation: a z, a list of floats, or a label, a string."""
    try:
        return _numbers(text)
    except ValueError:
        return text.strip()


if __name__ == "__main__":
    cli.run(main)
