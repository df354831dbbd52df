"""The explorer: one HTML file in which to explore a trained model, without a server.

`write` reads the networks of a SavedModel (`networks`), adds images and points to look at, and
fills the page (`page`, from page.html and the scripts beside it).
"""

from pathlib import Path

import numpy as np
import tensorflow as tf

from tf_gen import files, savedmodel
from tf_gen.errors import UserError
from tf_gen.explorer import networks, page
from tf_gen.mnist import evenly

POINTS = 2_000  # held-out images whose codes are shown
EXAMPLES = 3  # images of each label to choose from
DRAWS = {"images": 200, "x": 1_000}  # draws of the prior; all points go through G at once
TRIALS = 50  # draws and images with which the page's networks are compared with the SavedModel
# How far the page's networks may be off: by one grey level, and by an invisible change of z.
TOLERANCES = {"images": 1 / 255, "z": 0.015, "z_mean": 0.015, "z_log_var": 0.015}
TOLERANCES["probability"] = 0.01


def write(directory, out, name, source=None, course=None):
    """Write the page of the SavedModel in `directory` to the file `out`.

    Args:
        directory, out: paths.
        name: the name of the model for the page, as `python -m tf_gen.sample` takes it.
        source: for models of images, a `mnist.Source` with images to show.
        course: the course of the training from `Report.course`.

    Raises:
        UserError: the SavedModel is damaged or not one of this package, or has an operation that
            the page does not know.
        OSError: `out` cannot be written.
    """
    directory = Path(directory)
    generator = savedmodel.Generator(directory)
    latent_map = savedmodel.read_latent_map(directory, generator.latent_dim)
    config, density = savedmodel.read_config(directory), savedmodel.read_density(directory)
    prior = generator.prior(DRAWS[generator.generates], 0)
    prior = np.random.default_rng(0).permutation(prior)  # some priors return sorted draws
    content = {
        "name": name,
        "settings": config,
        "generates": generator.generates,
        "latent_dim": generator.latent_dim,
        "prior": prior,
        "bounds": bounds(generator.prior(10_000, 0)),
        "labels": latent_map.get("labels", {}),
        "class_names": [],
    }
    if density:
        content["data"] = dict(zip(("mean", "std"), density, strict=True))
    if course:
        content["snapshots"] = course
    images = generator.decode(prior[:TRIALS]) if generator.generates == "images" else None
    if source and images is not None:
        content |= shown(source, generator, savedmodel.read_data(directory).get("sha256"))
        some = evenly(content["examples"]["images"], TRIALS)
        images = np.concatenate([some / np.float32(255), images])
    content["networks"] = read_networks(directory, generator, config, images)
    files.write_text(out, page.fill(content))


def bounds(prior):
    """The range of the sliders for z, from draws float [n, latent]: a pair of floats.

    For U(-1, 1) it is -1 and 1, for N(0, 1) it is -3 and 3.
    """
    ends = np.quantile(prior, [0.001, 0.999])
    return (np.rint(2 * ends) / 2).tolist()


def shown(source, generator, sha256):
    """What the page shows of a `mnist.Source`: images to choose from, and points if z is a plane.

    `sha256` is that of the source that the model learned from.
    """
    labels = source.held_out_labels
    rows = np.concatenate([np.flatnonzero(labels == k)[:EXAMPLES] for k in np.unique(labels)])
    found = {
        "source": source.name,
        "held_out": source.sha256 == sha256,
        "class_names": [source.class_name(label) for label in range(int(labels.max()) + 1)],
        "examples": {"images": source.held_out_images[rows], "labels": labels[rows]},
    }
    encode = generator.model.signatures.get("encode")
    if encode and generator.latent_dim == 2:
        images = evenly(source.held_out_images, POINTS) / np.float32(255)
        outputs = encode(images=tf.constant(images))
        z = outputs.get("z_mean", outputs.get("z"))
        found["points"] = {"z": z.numpy(), "labels": evenly(labels, POINTS)}
    return found


def read_networks(directory, generator, config, images):
    """The networks of the page: a dict of the names of signatures to networks.

    Args:
        directory: the directory of the SavedModel, for messages.
        generator: its `savedmodel.Generator`.
        config: a dict; its `batch_size` is that of D.
        images: float32 [n, 28, 28] to test the networks with; None for models of points.
    """
    found = {}
    for name in ("decode", "encode", "discriminate"):
        signature = generator.model.signatures.get(name)
        if signature is None:
            continue
        if generator.generates == "images":
            batch = 1
        else:  # D may see a batch as a whole
            batch = DRAWS["x"] if name == "decode" else config.get("batch_size", 1)
        try:
            network = networks.read(signature, batch)
            found[name] = compressed(network, signature, generator, images)
        except (UserError, ValueError) as error:
            message = str(error).splitlines()[0]
            raise UserError(f"{directory}: signature {name!r}: {message}") from error
    return found


def compressed(network, signature, generator, images):
    """Compress `network` as far as its accuracy allows: see `networks.compress`."""
    batch = network["inputs"][0]["shape"][0]
    rows = max(batch, TRIALS)
    z = generator.prior(rows, 1)
    values = {"z": z, generator.generates: generator.decode(z)}
    if images is not None:
        values["images"] = images

    def compute(trial):
        outputs = signature(**{name: tf.constant(value) for name, value in trial.items()})
        return {name: output.numpy() for name, output in outputs.items()}

    names = [item["name"] for item in network["inputs"]]
    most = min(len(values[name]) for name in names)
    starts = range(0, most - batch + 1, batch)
    trials = [{name: values[name][k : k + batch] for name in names} for k in starts]
    scale = max(1.0, float(np.max(np.abs(values[generator.generates]))))
    return networks.compress(network, compute, trials, {**TOLERANCES, "x": 1e-4 * scale})
