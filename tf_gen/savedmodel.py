"""A SavedModel on disk with the files beside it. Heavy libraries are imported only when needed.

config.json         a copy of the run's config.json
latent_map.json     which z makes which digit, if there are labels
SHA256SUMS          checksums of all these files, in the format of `sha256sum -c`

TensorFlow detects most damage when it loads a SavedModel, but not all: the graph and the JSON files
have no checksums of their own, and one flipped bit can change a number. Earlier versions did not
write SHA256SUMS; SavedModels without it are loaded unchecked.

The SavedModel needs only TensorFlow, neither tf_gen nor Keras. Its signatures are those that the
model's `signatures()` lists; the first of them is also `serving_default`.
"""

import errno
import hashlib
import itertools
from pathlib import Path

from tf_gen import files
from tf_gen.errors import UserError
from tf_gen.settings import Location, Scale, complaint

SUMS = "SHA256SUMS"

# The trained models that come with this package are in one of these: installed, or in a checkout.
SHIPPED = [Path(__file__).parent / "saved_models", Path(__file__).parents[1] / "saved_models"]


def write(model, directory, manifest, latent_map=None):
    """Write `model`, which has `signatures()`, as a SavedModel to `directory`.

    The dicts `manifest` and `latent_map` become config.json and latent_map.json; no latent_map.json
    is written if there is no map. Raises OSError if `directory` exists or cannot be written.
    """
    import keras

    directory = Path(directory)
    if directory.exists():
        raise FileExistsError(errno.EEXIST, "will not replace what is there", str(directory))
    directory.parent.mkdir(parents=True, exist_ok=True)
    archive = keras.export.ExportArchive()  # without .track(), which would store variables twice
    for name, (function, inputs, outputs) in model.signatures().items():
        archive.add_endpoint(name, _named(function, outputs), inputs)
    with files.beside(directory) as temporary:
        _write_out(archive, temporary)
        files.write_json(temporary / "config.json", manifest)
        if latent_map:
            files.write_json(temporary / "latent_map.json", latent_map)
        _write_sums(temporary)


def _write_out(archive, directory):
    import tensorflow as tf

    try:
        archive.write_out(str(directory), verbose=False)
    except tf.errors.OpError as error:  # say, no space left
        reason = error.message.rpartition("; ")[2]
        raise OSError(f"{directory}: cannot be written ({reason})") from error


def _write_sums(directory):
    lines = (f"{_sha256(directory / name)}  {name}\n" for name in _names(directory))
    files.write_text(directory / SUMS, "".join(lines))


def _named(function, names):
    """Wrap `function` so that it returns a dict by `names` instead of a tensor or a tuple."""

    def named(*tensors):
        outputs = function(*tensors)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        return dict(zip(names, outputs, strict=True))

    return named


def find(path):
    """The directory of the SavedModel that `path` means: itself, that of a run, or a shipped one.

    Raises UserError if there is none.
    """
    boxed = shipped(path)
    places = [path / "saved_model", path] if path.exists() else [boxed] if boxed else []
    for place in places:
        if (place / "saved_model.pb").is_file():
            return place
    if path.exists():
        words = f"; the model of this name that comes with this package is {boxed}" if boxed else ""
        raise UserError(
            f"{path}: no SavedModel (saved_model.pb is missing); to make one from an unfinished "
            f"run, use python -m tf_gen.export{words}"
        )
    names = sorted(
        place.parent.name for shipped in SHIPPED for place in shipped.glob("*/saved_model.pb")
    )
    raise UserError(f"{path}: no such directory, nor one of {', '.join(names)}")


def shipped(path):
    """The directory of the trained model called `path` that comes with this package, or None.

    A path with several parts is not a name.
    """
    if len(path.parts) != 1:
        return None
    places = (box / path for box in SHIPPED)
    return next((place for place in places if (place / "saved_model.pb").is_file()), None)


class Generator:
    """The prior and the decoder of the SavedModel in `directory`, loaded and tried out.

    Attributes:
        latent_dim: the length of z.
        generates: what `decode` returns: "images", or "x" for points on a line.
        shape: the shape of one image or point, [28, 28] or [1].

    Raises:
        UserError: the SavedModel is damaged, or is not one of this package.
    """

    def __init__(self, directory):
        import tensorflow as tf

        verify(directory)
        try:
            # Kept, since signatures do not keep the model's variables.
            self.model = tf.saved_model.load(str(directory))
            ours = {"decode", "sample"} <= set(self.model.signatures)
            if ours:
                self._try_out()
        except Exception as error:  # damage can look like anything to TensorFlow
            message = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(
                f"{directory}: the SavedModel cannot be read ({message}); export it again"
            ) from error
        if not ours:
            raise UserError(f"{directory}: not a SavedModel of this package")

    def _try_out(self):
        import tensorflow as tf

        decode, sample = (self.model.signatures[name] for name in ("decode", "sample"))
        (spec,) = decode.structured_input_signature[1].values()
        self.latent_dim = spec.shape[1]
        self.generates = "images" if "images" in decode.structured_outputs else "x"
        # Only z is used, so TensorFlow prunes the decoder.
        self._prior = tf.function(
            lambda count, seed: sample(count=count, seed=seed)["z"], autograph=False
        )
        z = self.prior(2, seed=0)
        outputs = self.decode(z)
        self.shape = list(outputs.shape[1:])
        expected = {"images": [28, 28], "x": [1]}[self.generates]
        if z.shape != (2, self.latent_dim) or outputs.shape != (2, *expected):
            raise ValueError(f"z {z.shape} becomes {self.generates} {outputs.shape}")

    def prior(self, count, seed):
        """Draw z, float32 [count, latent_dim], as the signature `sample` does with [seed, 0]."""
        import tensorflow as tf

        return self._prior(tf.constant(count), tf.constant([seed, 0])).numpy()

    def decode(self, z):
        """Turn z, float32 [n, latent_dim], into images [n, 28, 28] or x [n, 1], float32."""
        import tensorflow as tf

        return self.model.signatures["decode"](z=tf.constant(z))[self.generates].numpy()


def verify(directory):
    """Compare the files in `directory` with its SHA256SUMS; missing files are ignored.

    Raises UserError if a file was damaged or changed.
    """
    try:
        text = (directory / SUMS).read_bytes().decode(errors="replace")
    except FileNotFoundError:
        return
    sums = {name: digest for digest, _, name in (line.partition("  ") for line in text.split("\n"))}
    for name in _names(directory):
        if sums.get(name) != _sha256(directory / name):
            raise UserError(
                f"{directory / name}: damaged (its checksum is not the one in {SUMS}); export the "
                f"model again, or remove {SUMS} if the file was changed on purpose"
            )


def _names(directory):
    """The names of the existing files of a SavedModel and of those beside it, sorted."""
    paths = [*directory.glob("*.pb"), *directory.glob("variables/*")]
    paths += [directory / name for name in ("config.json", "latent_map.json")]
    return sorted(path.relative_to(directory).as_posix() for path in paths if path.is_file())


def _sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def read_config(directory):
    """The Config of the model in `directory`, a dict; empty if it is not recorded.

    Raises UserError if the file is damaged.
    """
    path = directory / "config.json"
    config = _read(path).get("config", {})
    if not isinstance(config, dict):
        raise UserError(f"{path}: damaged (config must be an object); export the model again")
    return config


def read_data(directory):
    """The data that the model in `directory` learned from: a dict of strings `source` and `sha256`.

    It is empty if they are not recorded, and for models that draw their data. Raises UserError if
    the file is damaged.
    """
    path = directory / "config.json"
    data = _read(path).get("data") or {}
    names = ("source", "sha256")
    if not isinstance(data, dict) or not all(isinstance(data.get(name, ""), str) for name in names):
        raise UserError(f"{path}: damaged (data must be an object); export the model again")
    return {name: data[name] for name in names if name in data}


def read_density(directory):
    """Mean and standard deviation of the data of the model in `directory`; None if not recorded.

    Raises UserError if the file is damaged.
    """
    config = read_config(directory)
    kinds = {"data_mean": Location, "data_std": Scale}
    if not kinds.keys() <= config.keys():
        return None
    for name, kind in kinds.items():
        wrong = complaint(kind, config[name]) if _is_number(config[name]) else "must be a number"
        if wrong:
            raise UserError(
                f"{directory / 'config.json'}: damaged ({name} {wrong}); export the model again"
            )
    return tuple(config[name] for name in kinds)


def read_latent_map(directory, latent_dim):
    """The latent map of the model in `directory`, a dict; empty if there is none.

    It has `labels`, the clearest point of each label; `codes`, many points of each label, which
    earlier versions did not write; and `axis`, the coordinates of a grid on a latent plane.

    Raises UserError if the file is damaged: a point does not have `latent_dim` finite coordinates,
    or the axis is not a list of ascending numbers.
    """
    path = directory / "latent_map.json"
    content = _read(path)
    try:
        points, axis = list(content.get("labels", {}).values()), content.get("axis", [0, 1])
        for codes in content.get("codes", {}).values():
            points += codes
        whole = all(_is_number(number) for numbers in [*points, axis] for number in numbers)
        whole = whole and all(len(z) == latent_dim for z in points)
        whole = whole and len(axis) > 1 and all(a < b for a, b in itertools.pairwise(axis))
    except (AttributeError, TypeError):
        whole = False
    if not whole:
        raise UserError(f"{path}: damaged; export the model again")
    return content


def _is_number(value):
    """Whether a value from JSON is a number that float32 can hold; true, NaN and 1e99 are not."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e38


def _read(path):
    try:
        return files.read_json(path)
    except FileNotFoundError:
        return {}
