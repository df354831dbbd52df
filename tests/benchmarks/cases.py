"""What is compared: four systems with the articles' sizes, from the same weights and batches."""

import contextlib
import dataclasses
import io
import pickle
from pathlib import Path

from tf_gen import cli, flags, train

CHECKED = 10  # updates whose losses must agree before time is taken


@dataclasses.dataclass(frozen=True)
class Case:
    """One system.

    Attributes:
        title: in the table.
        arguments: of `tf_gen.train`, the model's name first.
        losses: those that all implementations return, in this order.
        batches: how many lie in memory for the others; a run of theirs uses each once.
        steps: updates of the `train` command that is timed; the first fifth is not.
        quick_steps: the same with `--quick`, several lines of the log all the same.
    """

    title: str
    arguments: tuple
    losses: tuple
    batches: int
    steps: int
    quick_steps: int

    @property
    def name(self):
        return self.arguments[0]

    @property
    def images(self):
        return flags.read(self.name).with_images


CASES = [
    Case(
        "gaussian_gan, listing with minibatch discrimination",
        ("gaussian_gan", "--preset", "listing", "--minibatch"),
        ("loss_d", "loss_g"),
        batches=5_000,
        steps=300_000,
        quick_steps=100_000,
    ),
    Case(
        "tiny_gan",
        ("tiny_gan",),
        ("loss_d", "loss_g"),
        batches=5_000,
        steps=150_000,
        quick_steps=50_000,
    ),
    Case("ali", ("ali",), ("loss_d", "loss_g"), batches=500, steps=15_000, quick_steps=5_000),
    Case("vae", ("vae",), ("loss",), batches=250, steps=6_000, quick_steps=4_000),
]


def prepare(name, data_spec, path):
    """Write to `path` what the others start from in the case called `name`, a dict:

    `weights`, a list of float32 arrays, kernel before bias, for each optimiser: `d` and `g`, or
    `w`; `batches`, a dict of float32 arrays [case.batches, ...], in which images are flat and
    pixels from 0 to 1; `losses`, floats [CHECKED, losses], those of `update` in tf_gen.
    """
    (case,) = (case for case in CASES if case.name == name)
    _, settings = train.parse(list(case.arguments))
    cli.import_tensorflow()
    import numpy as np

    from tf_gen import tasks
    from tf_gen.models import load

    recipe = load(case.name)
    config = recipe.Config(**settings)
    with contextlib.redirect_stdout(io.StringIO()):
        source = tasks.source_for(recipe, data_spec)
    model = recipe.build(config)
    batches = recipe.batches(config, source)
    stack = next(batches.batch(case.batches).as_numpy_iterator())
    if case.images:
        images = stack["images"].reshape(case.batches, config.batch_size, -1)
        stack["images"] = np.float32(images) / 255
    groups = {"d": "d_variables", "g": "g_variables"}
    if not hasattr(model, "d_variables"):
        groups = {"w": "trainable_variables"}
    weights = {key: [v.numpy() for v in getattr(model, name)] for key, name in groups.items()}
    losses = []
    for batch in batches.take(CHECKED):
        found = model.update(batch)
        if "loss_d_real" in found:
            found["loss_d"] = found["loss_d_real"] + found["loss_d_generated"]
        losses.append([float(found[name]) for name in case.losses])
    content = {"weights": weights, "batches": stack, "losses": losses}
    Path(path).write_bytes(pickle.dumps(content))
