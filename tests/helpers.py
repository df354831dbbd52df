"""What several test files share: how they look at directories, logs, texts and commands."""

import ast
import csv
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image, ImageSequence

from tf_gen import batches
from tf_gen.tasks import task

ROOT = Path(__file__).parents[1]


def one_line(text, *words):
    """Whether `text` is one line with all `words`; an AssertionError says what it is instead."""
    assert len(text.splitlines()) == 1, text
    for word in words:
        assert word in text
    return True


# ---- Directories and processes -------------------------------------------------------------------


def state(directory):
    """What lies below `directory`: a dict of each path to its time of change and its size."""
    return {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in Path(directory).rglob("*")}


def environment(**more):
    """The environment as a user has it, for a process; importing TensorFlow changed ours."""
    ours = {"TF_CPP_MIN_LOG_LEVEL", "TF_NUM_INTRAOP_THREADS", "XLA_FLAGS"}
    return {name: value for name, value in os.environ.items() if name not in ours} | more


def rows(path):
    """The rows of a CSV file, dicts of strings."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def history(run_dir):
    """The lines of history.csv without the column that tells how fast this machine was."""
    lines = (run_dir / "history.csv").read_text().splitlines()
    assert lines[0].endswith(",updates_per_second")
    return [line.rpartition(",")[0] for line in lines]


# ---- A model of no data --------------------------------------------------------------------------


class Adder:
    """The least that `loop` asks of a model: here it adds up the numbers of its batches."""

    losses_reported = ("loss", "square")
    generates = "x"

    def __init__(self):
        self.total = tf.Variable(0.0)

    def update(self, batch):
        self.total.assign_add(batch)
        return {"loss": batch, "square": batch**2}


class Counting:
    """The least that `loop` asks of a recipe: batch number k is k."""

    @staticmethod
    def blocks(config=None, source=None):
        return batches.Blocks(lambda steps: tf.cast(steps, tf.float32))


class Observed(task.Report):
    """What `loop` asks of a report, with an `observe`, whose lines can share calls."""

    def observe(self, model):
        return tf.stack([model.total, -model.total])


# ---- Texts and programs --------------------------------------------------------------------------


def blocks(path, language):
    """The code blocks of a Markdown file that are in `language`."""
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL)


def prose(path):
    """The text of a Markdown file without its code blocks."""
    return re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)


def commands(path):
    """The commands in the sh blocks of a text, each a list of words."""
    lines = "".join(blocks(path, "sh")).replace("\\\n", " ").splitlines()
    return [shlex.split(command, comments=True) for line in lines for command in line.split(" && ")]


def imported(text):
    """The full names of all that a module's text imports, also inside its functions."""
    names = set()
    for node in ast.walk(ast.parse(text)):
        names |= imported_by(node)
    return names


def imported_by(node):
    """The full names that a node of a syntax tree imports, itself; most nodes import nothing."""
    if isinstance(node, ast.Import):
        return {alias.name for alias in node.names}
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute here"
        return {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return set()


# ---- Animations ----------------------------------------------------------------------------------


def read_animation(path):
    """The frames of an animation, uint8 [height, width, 3] each, and its milliseconds in all."""
    frames, milliseconds = [], 0
    with Image.open(path) as image:
        for frame in ImageSequence.Iterator(image):
            frames.append(np.asarray(frame.convert("RGB")))
            milliseconds += frame.info["duration"]
    return frames, milliseconds


class Ffmpeg:
    """A program called ffmpeg, the only one on PATH, which only takes notes, or fails.

    Args:
        directory: path, where it is put.
        monkeypatch: pytest's.
        codecs: the encoders that it has; of others it says "Unknown encoder".
        fails_at: frames of this size, "30x20", it does not read, and says "No space left".
    """

    RECORD = """
if FAILS_AT in sys.argv:
    sys.exit("first line\\nNo space left")
size = len(sys.stdin.buffer.read())
codec = sys.argv[sys.argv.index("-c:v") + 1]
if codec not in CODECS:
    sys.exit(f"first line\\nUnknown encoder '{codec}'")
pathlib.Path(__file__).with_name("record").write_text(json.dumps([sys.argv, size]))
pathlib.Path(sys.argv[-1]).write_bytes(b"video")
"""

    def __init__(self, directory, monkeypatch, codecs=("libx264", "mpeg4"), fails_at=None):
        self.directory = directory
        directory.mkdir(exist_ok=True)
        program = directory / "ffmpeg"
        script = f"import json, pathlib, sys\nCODECS, FAILS_AT = {list(codecs)}, {fails_at!r}\n"
        script += self.RECORD
        program.write_text(f"#!{sys.executable} -S\n{script}")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(directory))

    def record(self):
        """Its arguments, a list, and how many bytes it was sent."""
        return json.loads((self.directory / "record").read_text())


# ---- SavedModels ---------------------------------------------------------------------------------

# Loads SavedModels where neither this package nor Keras can be imported, and calls each signature.
# The arguments are a file to write, then pairs of a file of inputs and a SavedModel.
ALONE = """
import sys
for name in ("keras", "tf_gen", "tf_keras"):
    sys.modules[name] = None
import numpy as np
import tensorflow as tf

out, *arguments = sys.argv[1:]
outputs = {}
for given, directory in zip(arguments[::2], arguments[1::2]):
    model = tf.saved_model.load(directory)
    given = np.load(given)
    for name, signature in model.signatures.items():
        wanted = signature.structured_input_signature[1]
        inputs = {key: tf.constant(given[key]) for key in wanted}
        for key, value in signature(**inputs).items():
            outputs[f"{directory}.{name}.{key}"] = value.numpy()
np.savez(out, **{name.replace("/", "|"): value for name, value in outputs.items()})
"""


def outputs_alone(given, directory):
    """Outputs of all signatures, computed by a process that cannot import tf_gen nor Keras.

    Args:
        given: dict of the path of a SavedModel, a string, to a dict of the inputs' arrays.
        directory: path, for its files.

    Returns:
        dict of (path of the SavedModel, signature, output) to an array.
    """
    arguments = []
    for number, (path, inputs) in enumerate(given.items()):
        np.savez(directory / f"{number}.npz", **inputs)
        arguments += [directory / f"{number}.npz", path]
    out = directory / "out.npz"
    command = [sys.executable, "-c", ALONE, out, *arguments]
    subprocess.run([*map(str, command)], cwd=directory, check=True, timeout=300)
    with np.load(out) as file:
        return {tuple(key.replace("|", "/").rsplit(".", 2)): value for key, value in file.items()}
