"""A SavedModel on disk, and what lies in its directory beside it. Imports nothing heavy at first.

config.json         what a run's config.json says
latent_map.json     which z makes which digit, where there are labels

The SavedModel needs only TensorFlow, neither tf_gen nor Keras. Its signatures are what the model's
`signatures()` lists; the first of them is `serving_default` too.
"""

import errno
from pathlib import Path

from tf_gen import files
from tf_gen.errors import UserError

# Where the trained models that come with this package are: installed with it, or in its checkout.
SHIPPED = [Path(__file__).parent / "saved_models", Path(__file__).parents[1] / "saved_models"]


def write(model, directory, manifest, latent_map=None):
    """Write `model`, which has `signatures()`, as a SavedModel to `directory`.

    `manifest` and `latent_map`, dicts, become the files beside it, the second only if there is one.
    OSError: `directory` exists or cannot be written.
    """
    import keras

    directory = Path(directory)
    if directory.exists():
        raise FileExistsError(errno.EEXIST, "will not replace what is there", str(directory))
    directory.parent.mkdir(parents=True, exist_ok=True)
    archive = keras.export.ExportArchive()  # no .track(): that would store each variable twice
    for name, (function, inputs, outputs) in model.signatures().items():
        archive.add_endpoint(name, _named(function, outputs), inputs)
    with files.beside(directory) as temporary:
        archive.write_out(str(temporary), verbose=False)
        files.write_json(temporary / "config.json", manifest)
        if latent_map:
            files.write_json(temporary / "latent_map.json", latent_map)


def _named(function, names):
    """`function`, of tensors to one or several, with a dict of `names` as its answer."""

    def named(*tensors):
        outputs = function(*tensors)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        return dict(zip(names, outputs, strict=True))

    return named


def find(path):
    """The directory of the SavedModel that `path` means: itself, a run's, or one that is shipped.

    UserError: there is none.
    """
    places = [path / "saved_model", path]
    if not path.exists() and len(path.parts) == 1:  # a name
        places = [shipped / path for shipped in SHIPPED]
    for place in places:
        if (place / "saved_model.pb").is_file():
            return place
    if path.exists():
        raise UserError(
            f"{path}: no SavedModel (saved_model.pb is missing); of an unfinished run, make one "
            "with python -m tf_gen.export"
        )
    names = sorted(
        place.parent.name for shipped in SHIPPED for place in shipped.glob("*/saved_model.pb")
    )
    raise UserError(f"{path}: no such directory, nor one of {', '.join(names)}")


def load(directory):
    """The SavedModel in `directory`. UserError: it cannot be read, or has no decoder."""
    import tensorflow as tf

    try:
        model = tf.saved_model.load(str(directory))
    except (OSError, ValueError, tf.errors.OpError) as error:
        message = str(error).splitlines()[0]
        raise UserError(f"{directory}: the SavedModel cannot be read ({message})") from error
    if not {"decode", "sample"} <= set(model.signatures):
        raise UserError(f"{directory}: not a SavedModel of this package")
    return model


def read_config(directory):
    """The Config of the model in `directory`, a dict; empty if nothing tells."""
    return _read(directory / "config.json").get("config", {})


def read_latent_map(directory, latent_dim):
    """The latent map of the model in `directory`, a dict; empty if there is none.

    UserError: the file is damaged, or its points do not have `latent_dim` coordinates.
    """
    path = directory / "latent_map.json"
    content = _read(path)
    try:
        lists = [*content.get("labels", {}).values(), content.get("axis", [])]
        whole = all(isinstance(number, int | float) for numbers in lists for number in numbers)
        whole = whole and all(len(z) == latent_dim for z in lists[:-1])
    except (AttributeError, TypeError):
        whole = False
    if not whole:
        raise UserError(f"{path}: damaged; export the model again")
    return content


def _read(path):
    try:
        return files.read_json(path)
    except FileNotFoundError:
        return {}
