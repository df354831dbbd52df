"""A run directory: what a training run keeps on disk, so that it can stop anywhere and go on.

config.json              every setting, the data's hash, the versions
history.csv              a row for each line of the log
checkpoints/step-N/      model, optimisers, step counter, and what the animation shows up to
                         there; the newest KEEP of them
pictures/                what the model draws of itself
saved_model/             written last: a run is finished when it is there
"""

import csv
import io
import os
import platform
import shutil
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

import tf_gen
from tf_gen import base, files, models, tasks
from tf_gen.errors import UserError
from tf_gen.mnist import named

KEEP = 3


class RunDirectory:
    """An open run directory, locked against other processes until `close`; made if it is missing.

    `manifest` is what its config.json says. UserError: it is no run directory, is in use, or holds
    a run with other settings. OSError: it cannot be written.
    """

    def __init__(self, path, manifest):
        self.path = Path(path)
        self.pictures = self.path / "pictures"
        self.saved_model = self.path / "saved_model"
        self.history = self.path / "history.csv"
        self.checkpoints = self.path / "checkpoints"
        config = self.path / "config.json"
        if holds_other_files(self.path):
            raise UserError(f"{path}: holds other files and no run; name another directory")
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock()
        try:
            if config.exists():
                self.warnings = _compare(self.path, read_manifest(self.path), manifest)
            else:
                self.warnings = []
                files.write_json(config, manifest)
        except BaseException:
            self.close()
            raise
        self.finished = self.saved_model.exists()

    def _lock(self):
        self._lock_file = (self.path / ".lock").open("a")
        try:
            _lock_exclusively(self._lock_file)
        except (BlockingIOError, PermissionError) as error:
            self._lock_file.close()
            raise UserError(f"{self.path}: another process is using this run directory") from error

    def close(self):
        """Release the lock."""
        self._lock_file.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    def save(self, model, step, snapshots=()):
        """Write the checkpoint of `step` and delete all but the newest KEEP.

        `snapshots` is a list of dicts of arrays, one for each frame of an animation up to `step`.
        """
        self.checkpoints.mkdir(exist_ok=True)
        target = self.checkpoints / f"step-{step:08d}"
        if target.exists():
            return  # the same step of the same run: the same bits
        with files.beside(target) as temporary:
            checkpoint = _checkpoint(model, tf.Variable(step, dtype=tf.int64))
            try:
                checkpoint.write(str(temporary / "state"))
            except tf.errors.OpError as error:  # say, no space left
                reason = error.message.rpartition("; ")[2]
                raise OSError(f"{target}: cannot be written ({reason})") from error
            if snapshots:
                columns = {name: [s[name] for s in snapshots] for name in snapshots[0]}
                np.savez_compressed(temporary / "snapshots.npz", **columns)
        for old in list_checkpoints(self.path)[:-KEEP]:
            shutil.rmtree(old)

    def resume(self, model):
        """Put the newest usable checkpoint into `model`, and forget what came after it.

        Returns:
            step (0 where nothing was saved), the snapshots saved with it, and a list of warnings
            about damaged checkpoints, which are renamed.
        """
        files.remove_leftovers(self.path)
        for directory in (self.checkpoints, self.pictures):
            directory.mkdir(exist_ok=True)
            files.remove_leftovers(directory)
        if not list_checkpoints(self.path) and not self.history.exists():
            self.save(model, 0)
        step, snapshots, damaged = restore(model, self.path)
        warnings = []
        for directory in damaged:
            aside = directory.with_name(f"damaged-{directory.name}")
            if aside.exists():
                shutil.rmtree(aside)
            directory.rename(aside)
            warnings.append(f"checkpoint {directory} is damaged, renamed to {aside.name}")
        rows = [row for row in self.read_history() if int(row["step"]) <= step]
        if rows:
            with files.beside(self.history) as temporary:
                _write_rows(temporary, rows, header=True)
        else:
            self.history.unlink(missing_ok=True)
        return step, snapshots, warnings

    def log(self, rows):
        """Append dicts to history.csv."""
        _write_rows(self.history, rows, header=not self.history.exists())

    def read_history(self):
        """All whole rows of history.csv, each a dict of strings."""
        if not self.history.exists():
            return []
        with self.history.open(newline="") as file:
            rows = [row for row in csv.DictReader(file) if None not in row.values()]
        if any(not row.get("step", "").isdecimal() for row in rows):
            raise UserError(f"{self.history}: damaged (each row needs a step)")
        return rows


def manifest(name, settings, source):
    """What config.json says of a run, a dict.

    `name` is the model's, `settings` its `Config` as a dict, `source` a `mnist.Source`, or None
    for a model that draws its data.
    """
    data = source and {
        "source": source.name,
        "sha256": source.sha256,
        "train": len(source.images),
        "held_out": len(source.held_out_images),
    }
    jit = {} if base.use_xla else {"jit": "off"}  # which changes bits as another version does
    return {
        "model": name,
        "config": settings,
        "data": data,
        "versions": {
            **jit,
            "tf_gen": tf_gen.__version__,
            "python": platform.python_version(),
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "numpy": np.__version__,
        },
    }


def read_manifest(path):
    """What config.json of the run directory `path` says. UserError if there is none."""
    try:
        return files.read_json(Path(path) / "config.json")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"{path}: no run directory (config.json is missing)") from error


def identify(path):
    """What the run directory `path` holds: its manifest, its recipe and its `Config`.

    UserError: it is no run directory, or not of a model of this version.
    """
    manifest = read_manifest(path)
    try:
        recipe = models.load(manifest["model"])
        if recipe.TASK in tasks.WITH_IMAGES:
            manifest["data"]["sha256"]
        return manifest, recipe, recipe.Config(**manifest["config"])
    except (ImportError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{Path(path) / 'config.json'}: does not describe a model of this version"
        ) from error


def data_of(path, spec):
    """What `--data` means for the run directory `path`: "auto" is what its run began with."""
    if spec == "auto" and (Path(path) / "config.json").exists() and not holds_other_files(path):
        source = (read_manifest(path)["data"] or {}).get("source")
        # "mnist" stands for the four original files, which lie somewhere.
        if source in {"bundled", *named.SETS} - {"mnist"}:
            return source
    return spec


def list_checkpoints(path):
    """The checkpoint directories of the run directory `path`, oldest first."""
    # Listed rather than remembered in a file of their own, which could be torn or out of date.
    directories = (Path(path) / "checkpoints").glob("step-*")
    return sorted(directories, key=lambda directory: (len(directory.name), directory.name))


def holds_other_files(path):
    """Whether the directory `path` exists and holds files, but no run."""
    path = Path(path)
    if not path.is_dir():
        return False
    if (path / "config.json").exists() and not (path / "saved_model.pb").exists():
        return "data" not in read_manifest(path)
    ours = (".lock", files.PREFIX)  # of a run that was killed before it wrote config.json
    return any(not child.name.startswith(ours) for child in path.iterdir())


def restore(model, path):
    """Put the newest usable checkpoint of the run directory `path` into `model`; write nothing.

    Returns:
        The checkpoint's step, its snapshots, and the list of newer directories that are damaged.
        UserError: none is usable.
    """
    damaged = []
    for directory in reversed(list_checkpoints(path)):
        step = tf.Variable(-1, dtype=tf.int64)
        try:
            _checkpoint(model, step).read(str(directory / "state")).assert_consumed()
            snapshots = _read_snapshots(directory / "snapshots.npz")
        except (tf.errors.PermissionDeniedError, tf.errors.ResourceExhaustedError):
            raise  # the checkpoint may be whole
        except (tf.errors.OpError, IndexError, ValueError):  # files missing, torn or changed
            damaged.append(directory)
            continue
        except AssertionError as error:  # of assert_consumed
            raise UserError(f"{directory}: of another version of this model") from error
        return int(step.numpy()), snapshots, damaged
    raise UserError(f"{path}: no usable checkpoint; to start anew, move this directory away")


def differences(old, new, prefix=""):
    """Lines `field: old -> new` for each entry on which two nested dicts differ."""
    lines = []
    for key in dict.fromkeys([*old, *new]):
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            lines += differences(a, b, f"{prefix}{key}.")
        elif a != b:
            lines.append(f"{prefix}{key}: {a} -> {b}")
    return lines


def _compare(path, old, new):
    """Refuse a run with other settings; return warnings about other versions."""
    old_versions, new_versions = old.pop("versions", {}), new["versions"]
    changed = differences(old, {key: value for key, value in new.items() if key != "versions"})
    if changed:
        raise UserError(
            f"{path}: holds a run with other settings ({'; '.join(changed)}); "
            "give the same ones to continue it, or name another directory"
        )
    return [
        f"this run was begun with other versions, so its bits may differ ({line})"
        for line in differences(old_versions, new_versions)
    ]


def _checkpoint(model, step):
    # The variables one by one: of a model, TensorFlow would not find those of layers in lists. And
    # by position, since Keras numbers the names of layers by what was built before in the process.
    state = [variable.value for variable in model.state]
    return tf.train.Checkpoint(state=state, step=step)


def _read_snapshots(path):
    """The snapshots saved with a checkpoint; ValueError if the file is damaged."""
    if not path.exists():
        return []
    content = io.BytesIO(path.read_bytes())
    try:
        with np.load(content) as file:
            columns = dict(file)
    except Exception as error:  # damage can look like anything to zipfile: encrypted, say
        raise ValueError(f"{path}: damaged") from error
    rows = zip(*columns.values(), strict=True)
    return [dict(zip(columns, values, strict=True)) for values in rows]


def _write_rows(path, rows, header):
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        if header:
            writer.writeheader()
        writer.writerows(rows)


def _lock_exclusively(file):
    """Lock an open file for this process until it is closed; OSError if another one holds it."""
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
