"""A run directory: the files of a training run, so that it can stop anywhere and continue.

config.json              all settings, the data's hash, the versions
history.csv              a row for each line of the log
checkpoints/step-N/      the model, its optimisers, the step counter, and the frames of the
                         animation up to this step; the newest KEEP checkpoints are kept
pictures/                pictures of what the model generates and of its training
saved_model/             when this exists, the run is finished
"""

import contextlib
import csv
import dataclasses
import errno
import hashlib
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
DRAWING = ".drawing"  # a file in pictures/ that exists until all pictures are drawn
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)  # as on some NFS


class RunDirectory:
    """An open run directory, locked against other processes until `close`; created if missing.

    Args:
        path: path of the directory.
        manifest: the content of its config.json, which is written if it is missing.
        same_updates: function that tells whether a run of a given number of steps makes the first
            updates of this run. If so, a shorter run in the directory is extended.

    Attributes:
        finished: whether the run has ended and was exported.
        extended_from: the number of steps of the run that is extended, or None.
        warnings: list of strings.

    Raises:
        UserError: it is not a run directory, is in use, or holds a run with other settings.
        OSError: it cannot be written.
    """

    def __init__(self, path, manifest, same_updates=None):
        self.path = Path(path)
        self.pictures = self.path / "pictures"
        self.saved_model = self.path / "saved_model"
        self.history = self.path / "history.csv"
        self.checkpoints = self.path / "checkpoints"
        self.config = manifest.get("config", {})
        self._old_saved_model = self.path / f"{files.PREFIX}old-saved_model"
        self.warnings, self.extended_from = [], None
        config = self.path / "config.json"
        if holds_other_files(self.path):
            raise UserError(f"{path}: holds other files and no run; name another directory")
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock()
        try:
            if self._old_saved_model.exists() and not self.saved_model.exists():
                files.replace(self._old_saved_model, self.saved_model)  # left by a killed process
            if config.exists():
                self._compare(read_manifest(self.path), manifest, same_updates)
            else:
                files.write_json(config, manifest)
        except BaseException:
            self.close()
            raise
        self.finished = self._is_finished()

    def _compare(self, old, new, same_updates):
        """Refuse a run with other settings, except for more steps; warn about other versions."""
        changed = differences({**old, "versions": {}}, {**new, "versions": {}})
        before, steps = old.get("config", {}).get("steps"), self.config.get("steps")
        if same_updates and len(changed) == 1 and before != steps:
            if not isinstance(before, int) or before > steps:
                raise UserError(f"{self.path}: holds a run of {before} steps, which is more")
            if not same_updates(before):
                raise UserError(
                    f"{self.path}: holds a run of {before} steps, whose learning rate depends on "
                    "their number, so it is another run; name another directory"
                )
            self.extended_from = before
            self._longer = {**new, "versions": old["versions"]}
        elif changed:
            raise UserError(
                f"{self.path}: holds a run with other settings ({'; '.join(changed)}); "
                "give the same ones to continue it, or name another directory"
            )
        self.warnings += [
            f"this run was begun with other versions, so its bits may differ ({line})"
            for line in differences(old["versions"], new["versions"])
        ]

    def _is_finished(self):
        if not self.saved_model.exists():
            return False
        try:
            exported = files.read_json(self.saved_model / "config.json")["config"]["steps"]
        except (UserError, FileNotFoundError, KeyError, TypeError):
            self.warnings.append(f"{self.saved_model}: its config.json is damaged; exporting again")
            return False
        # The SavedModel of a shorter run stays until there is a new one.
        return exported == self.config.get("steps")

    def _lock(self):
        self._lock_file = (self.path / ".lock").open("a")
        try:
            _lock_exclusively(self._lock_file)
        except (BlockingIOError, PermissionError) as error:
            self._lock_file.close()
            raise UserError(f"{self.path}: another process is using this run directory") from error
        except OSError as error:
            if error.errno not in NO_LOCKS:
                self._lock_file.close()
                raise
            self.warnings.append(
                f"{self.path}: its file system has no locks; use it from one process only"
            )

    def close(self):
        """Release the lock."""
        self._lock_file.close()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.close()

    @property
    def drawing(self):
        """Whether the run was exported, but not all of its pictures were drawn."""
        return (self.pictures / DRAWING).exists()

    def drawn(self):
        """Note that all pictures are drawn."""
        (self.pictures / DRAWING).unlink(missing_ok=True)

    @contextlib.contextmanager
    def new_saved_model(self):
        """Yield a path where the body writes the SavedModel, which then replaces an older one.

        Afterwards the run is finished, except for its pictures.
        """
        path = self.path / f"{files.PREFIX}new-saved_model"
        (self.pictures / DRAWING).touch()
        yield path
        if self.saved_model.exists():
            files.replace(self.saved_model, self._old_saved_model)
        files.replace(path, self.saved_model)
        files.remove_leftovers(self.path)
        self.finished = True

    def save(self, model, step, snapshots=()):
        """Write the checkpoint of `step` and delete all but the newest KEEP.

        The checkpoint includes a copy of history.csv. `snapshots` is a list of dicts of arrays, one
        for each frame of an animation up to `step`.
        """
        self.checkpoints.mkdir(exist_ok=True)
        target = self.checkpoints / f"step-{step:08d}"
        if target.exists():
            return  # the same step of the same run has the same bits
        with files.beside(target) as temporary:
            checkpoint = _checkpoint(model, tf.Variable(step, dtype=tf.int64))
            try:
                checkpoint.write(str(temporary / "state"))
            except tf.errors.OpError as error:  # for example, no space left
                reason = error.message.rpartition("; ")[2]
                raise OSError(f"{target}: cannot be written ({reason})") from error
            columns = {name: [s[name] for s in snapshots] for name in (snapshots or [{}])[0]}
            np.savez_compressed(temporary / "snapshots.npz", **columns)
            # The name contains the hash, so that damage to the copy is noticed, too.
            content = self.history.read_bytes() if self.history.exists() else b""
            (temporary / f"history-{_hash(content)}.csv").write_bytes(content)
        for old in list_checkpoints(self.path)[:-KEEP]:
            shutil.rmtree(old)

    def resume(self, model):
        """Restore the newest usable checkpoint into `model` and delete what came after it.

        If a shorter run ended between two lines of the log, its last checkpoint is not used if an
        earlier one is usable: the next line of a longer run also covers the updates before that
        end. If a run is extended, config.json now gets its new number of steps.

        Returns:
            The step (0 if nothing was saved), the snapshots saved with it, and a list of warnings
            about damaged checkpoints, which are renamed.
        """
        files.remove_leftovers(self.path)
        for directory in (self.checkpoints, self.pictures):
            directory.mkdir(exist_ok=True)
            files.remove_leftovers(directory)
        if not list_checkpoints(self.path) and not self.history.exists():
            self.save(model, 0)
        directories = sorted(list_checkpoints(self.path), key=lambda d: not self._is_end(d))
        step, snapshots, damaged = restore(model, self.path, directories)
        if self.extended_from:
            files.write_json(self.path / "config.json", self._longer)
        warnings = []
        for directory in damaged:
            aside = directory.with_name(f"damaged-{directory.name}")
            if aside.exists():
                shutil.rmtree(aside)
            directory.rename(aside)
            warnings.append(f"checkpoint {directory} is damaged, renamed to {aside.name}")
        warnings += self._restore_history(step)
        for picture in self.pictures.glob("samples-*.png"):
            number = picture.stem.removeprefix("samples-")
            if number.isdecimal() and not (int(number) <= step and self._is_due(int(number))):
                picture.unlink()
        return step, snapshots, warnings

    def _is_due(self, step):
        """Whether the log has a line for `step`. A shorter run may have one more."""
        return step % self.config.get("log_every", 1) == 0 or step == self.config.get("steps")

    def _is_end(self, directory):
        """Whether a shorter run ended at this checkpoint, between two lines of this run's log."""
        step = directory.name.removeprefix("step-")
        if not step.isdecimal() or self._is_due(int(step)):
            return False
        logs = [self.history, *directory.glob("history-*.csv")]
        return any(b"\n%d," % int(step) in path.read_bytes() for path in logs if path.exists())

    def _restore_history(self, step):
        """Restore history.csv as it was at the checkpoint of `step`; return warnings."""
        every = self.config.get("log_every", 1)

        def rows_of(content):
            rows, lost = _rows(content)
            rows = [row for row in rows if int(row["step"]) <= step]
            return [row for row in rows if self._is_due(int(row["step"]))], lost

        rows, lost = rows_of(self.history.read_bytes() if self.history.exists() else b"")
        warnings = []
        copies = self.checkpoints.glob(f"step-{step:08d}/history-*.csv")
        copies = [path.read_bytes() for path in copies if _hash(path.read_bytes()) in path.name]
        if copies and rows != rows_of(copies[0])[0]:
            rows = rows_of(copies[0])[0]
            warnings.append(f"{self.history}: damaged or deleted, restored from the checkpoint")
        elif not copies and (lost or {*range(every, step + 1, every)} - _steps(rows)):
            warnings.append(
                f"{self.history}: damaged, and no checkpoint has a copy: lines are lost"
            )
        if rows:
            with files.beside(self.history) as temporary:
                _write_rows(temporary, rows, header=True)
        else:
            self.history.unlink(missing_ok=True)
        return warnings

    def log(self, rows):
        """Append dicts to history.csv."""
        _write_rows(self.history, rows, header=not self.history.exists())

    def read_history(self):
        """The rows of history.csv, each a dict of strings. Raises UserError if it is damaged."""
        if not self.history.exists():
            return []
        rows, lost = _rows(self.history.read_bytes())
        if lost:
            raise UserError(f"{self.history}: damaged; the same command repairs it")
        return rows


def manifest(name, settings, source, strategy=None):
    """The content of a run's config.json, a dict.

    Args:
        name: the name of the model.
        settings: its `Config` as a dict.
        source: a `mnist.Source`, or None for a model that draws its data.
        strategy: a description of the devices that train it, if there are several.
    """
    data = source and {
        "source": source.name,
        "sha256": source.sha256,
        "train": len(source.images),
        "held_out": len(source.held_out_images),
    }
    # These change bits, as other versions do.
    jit = {} if base.use_xla else {"jit": "off"}
    devices = {"strategy": strategy} if strategy else {}
    return {
        "model": name,
        "config": settings,
        "data": data,
        "versions": {
            **jit,
            **devices,
            "tf_gen": tf_gen.__version__,
            "python": platform.python_version(),
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
            "numpy": np.__version__,
        },
    }


def read_manifest(path):
    """The content of config.json in the run directory `path`.

    Raises UserError if it is missing or damaged.
    """
    path = Path(path) / "config.json"
    try:
        manifest = files.read_json(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"{path.parent}: no run directory (config.json is missing)") from error
    manifest.setdefault("versions", {})
    kinds = {"model": str, "config": dict, "data": dict | None, "versions": dict}
    for name, kind in kinds.items():
        if name in manifest and not isinstance(manifest[name], kind):
            raise UserError(f"{path}: damaged ({name} is {manifest[name]!r})")
    return manifest


def identify(path):
    """The manifest, the recipe and the `Config` of the run directory `path`.

    Raises UserError if it is not a run directory, or not one of a model of this version.
    """
    manifest = read_manifest(path)
    config, data = manifest.get("config", {}), manifest.get("data") or {}
    try:
        if manifest.get("model") not in models.NAMES:
            raise ValueError(f"no model {manifest.get('model')!r}")
        recipe = models.load(manifest["model"])
        if recipe.TASK in tasks.WITH_IMAGES:
            for key in ("source", "sha256"):
                if not isinstance(data.get(key), str):
                    raise ValueError(f"has no {key!r} of the data")
        # A missing setting may have had another value than its default now.
        missing = [f.name for f in dataclasses.fields(recipe.Config) if f.name not in config]
        if missing:
            raise ValueError(f"has no {', '.join(map(repr, missing))}")
        return manifest, recipe, recipe.Config(**config)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"{Path(path) / 'config.json'}: does not describe a model of this version ({error})"
        ) from error


def data_of(path, spec):
    """What `--data` means for the run directory `path`: "auto" keeps its run's data."""
    if spec == "auto" and (Path(path) / "config.json").exists() and not holds_other_files(path):
        source = (read_manifest(path)["data"] or {}).get("source")
        # "mnist" means the four original files, whose place is not known here.
        if source in {"bundled", *named.SETS} - {"mnist"}:
            return source
    return spec


def list_checkpoints(path):
    """The checkpoint directories of the run directory `path`, oldest first."""
    # Listed, not kept in an index file, which could be damaged or out of date.
    directories = (Path(path) / "checkpoints").glob("step-*")
    return sorted(directories, key=lambda directory: (len(directory.name), directory.name))


def holds_other_files(path):
    """Whether the directory `path` exists and holds files, but no run."""
    path = Path(path)
    if not path.is_dir():
        return False
    if (path / "config.json").exists() and not (path / "saved_model.pb").exists():
        return "data" not in read_manifest(path)
    ours = (".lock", files.PREFIX)  # left by a run that was killed before it wrote config.json
    return any(not child.name.startswith(ours) for child in path.iterdir())


def restore(model, path, directories=None):
    """Restore the newest usable checkpoint of the run directory `path` into `model`; write nothing.

    `directories` are its checkpoints in another order, with the first choice last.

    Returns:
        The checkpoint's step, its snapshots, and the list of newer directories that are damaged.

    Raises:
        UserError: no checkpoint is usable.
    """
    damaged = []
    for directory in reversed(directories or list_checkpoints(path)):
        step = tf.Variable(-1, dtype=tf.int64)
        try:
            _checkpoint(model, step).read(str(directory / "state")).assert_consumed()
            snapshots = _read_snapshots(directory / "snapshots.npz")
        except (tf.errors.PermissionDeniedError, tf.errors.ResourceExhaustedError):
            raise  # the checkpoint may be intact
        except (tf.errors.OpError, IndexError, ValueError):  # files missing, cut off or changed
            damaged.append(directory)
            continue
        except AssertionError as error:  # from assert_consumed
            raise UserError(f"{directory}: of another version of this model") from error
        return int(step.numpy()), snapshots, damaged
    raise UserError(f"{path}: no usable checkpoint; to start anew, move this directory away")


def snapshots(path):
    """The snapshots in the newest intact checkpoint of the run directory `path`: a list."""
    for directory in reversed(list_checkpoints(path)):
        with contextlib.suppress(ValueError):
            return _read_snapshots(directory / "snapshots.npz")
    return []


def differences(old, new, prefix=""):
    """Lines `field: old -> new` for the entries in which two nested dicts differ."""
    lines = []
    for key in dict.fromkeys([*old, *new]):
        a, b = old.get(key), new.get(key)
        if isinstance(a, dict) and isinstance(b, dict):
            lines += differences(a, b, f"{prefix}{key}.")
        elif a != b:
            lines.append(f"{prefix}{key}: {a} -> {b}")
    return lines


def _checkpoint(model, step):
    # The variables one by one, since in a model TensorFlow does not find those of layers in lists.
    # By position, since Keras's names of layers depend on what the process built before.
    state = [variable.value for variable in model.state]
    return tf.train.Checkpoint(state=state, step=step)


def _read_snapshots(path):
    """The snapshots saved with a checkpoint. Raises ValueError if the file is damaged."""
    if not path.exists():
        if list(path.parent.glob("history-*")):
            raise ValueError(f"{path}: missing")
        return []  # an earlier version wrote no file if there were no frames
    content = io.BytesIO(path.read_bytes())
    try:
        with np.load(content) as file:
            columns = dict(file)
    except Exception as error:  # damage can look like anything to zipfile, even like encryption
        raise ValueError(f"{path}: damaged") from error
    rows = zip(*columns.values(), strict=True)
    return [dict(zip(columns, values, strict=True)) for values in rows]


def _hash(content):
    return hashlib.sha256(content).hexdigest()[:16]


def _rows(content):
    """The complete rows of a history.csv, dicts of strings, and whether rows are lost.

    An incomplete last line does not count as lost. It was being written when the process was
    killed.
    """
    text = content[: content.rfind(b"\n") + 1].decode(errors="replace").replace("\0", " ")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    whole = [row for row in rows if _is_whole(row)]
    return whole, len(whole) < len(rows)


def _steps(rows):
    return {int(row["step"]) for row in rows}


def _is_whole(row):
    """Whether a row of history.csv has a step and a number in each other column."""
    try:
        return None not in row and int(row["step"]) >= 0 and all(map(_number, row.values()))
    except (KeyError, TypeError, ValueError):
        return False


def _number(text):
    float(text)  # "nan" and "inf" are numbers, too
    return True


def _write_rows(path, rows, header):
    with path.open("a", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        if header:
            writer.writeheader()
        writer.writerows(rows)


def _lock_exclusively(file):
    """Lock an open file until it is closed. Raises OSError if another process has locked it."""
    if os.name == "nt":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
