"""Import a model that an article's own code trained: `python -m tf_gen.import_v1 CHECKPOINT OUT`.

CHECKPOINT was written by `tf.train.Saver` of TensorFlow 1; OUT becomes a run directory. A Saver
stores each variable under its name, and in most articles the names are Variable, Variable_1 and so
on. So the shapes of the variables tell which article's model it is, and its sizes. Variables of the
same shape are distinguished by their names, or by numbers that follow the article's order. If
neither works, nothing is guessed. The graph beside a checkpoint (.meta) is never opened.
"""

import collections
import contextlib
import itertools
import re
from typing import NamedTuple

from tf_gen import cli, files, flags, savedmodel
from tf_gen.errors import UserError
from tf_gen.models import load
from tf_gen.settings import Count

LISTED = 30  # the largest number of variables that a message names

# ---- The variables that the articles' code creates, in its order ---------------------------------


class Weight(NamedTuple):
    """A variable that is trained."""

    word: str  # a part of its name that distinguishes it from others of its shape
    shape: tuple
    here: str  # its place in the model of this package


class System(NamedTuple):
    """An article's networks, with sizes that follow from the shapes in a checkpoint."""

    model: str
    sizes: dict  # the settings that follow from the shapes
    presets: dict  # from the optimiser whose averages a checkpoint has ("" for none) to a preset
    orders: list  # the same `Weight`s in each order in which a script creates them


def dense(word, inputs, units, here):
    """A layer: its kernel and its bias."""
    return [Weight(word, (inputs, units), f"{here}.kernel"), Weight(word, (units,), f"{here}.bias")]


def vae(hidden_dim, latent_dim):
    """The article has a dict of weights, then a dict of biases with the same five keys."""
    layers = [
        dense("encoder", 784, hidden_dim, "encoder.hidden"),
        dense("mean", hidden_dim, latent_dim, "encoder.z_mean"),
        dense("std", hidden_dim, latent_dim, "encoder.z_log_var"),  # the article's name
        dense("decoder", latent_dim, hidden_dim, "decoder.hidden"),
        dense("out", hidden_dim, 784, "decoder.logits"),
    ]
    order = [kernel for kernel, _ in layers] + [bias for _, bias in layers]
    sizes = {"hidden_dim": hidden_dim, "latent_dim": latent_dim}
    return System("vae", sizes, {"RMSProp": "article"}, [order])


def gaussian_gan(hidden_size, minibatch):
    """G is in the scope G and D in the scope D, with the article's names of layers."""
    width = 2 * hidden_size
    third = dense("d2", width, width, "discriminator.hidden_3")
    if minibatch:  # five kernels of length 3, and five more features
        third = dense("minibatch", width, 15, "discriminator.hidden_3")
    order = [
        *dense("g0", 1, hidden_size, "generator.hidden"),
        *dense("g1", hidden_size, 1, "generator.x"),
        *dense("d0", 1, width, "discriminator.hidden_1"),
        *dense("d1", width, width, "discriminator.hidden_2"),
        *third,
        *dense("d3", width + 5 * minibatch, 1, "discriminator.logits"),
    ]
    sizes = {"hidden_size": hidden_size, "minibatch": minibatch}
    return System("gaussian_gan", sizes, {"": "article", "Adam": "listing"}, [order])


def ali(hidden_dim, latent_dim):
    """The public script creates D before Q and P; the article names Q first."""
    q = [
        *dense("Q", 784, hidden_dim, "encoder.hidden.0.dense"),
        *dense("Q", hidden_dim, latent_dim, "encoder.z"),
    ]
    p = [
        *dense("P", latent_dim, hidden_dim, "decoder.hidden.0.dense"),
        *dense("P", hidden_dim, 784, "decoder.logits"),
    ]
    d = [
        *dense("D", 784 + latent_dim, hidden_dim, "discriminator.hidden.0.dense"),
        *dense("D", hidden_dim, 1, "discriminator.logit"),
    ]
    sizes = {"hidden_dim": hidden_dim, "latent_dim": latent_dim}
    return System("ali", sizes, {"Adam": "article"}, [d + q + p, q + p + d])


# How many variables an optimiser of TensorFlow 1 keeps for each weight, and the names of ours in
# the same order. RMSProp's second variable is its last step, which is used only with momentum.
AVERAGES = {"RMSProp": (2, ["velocity"]), "Adam": (2, ["momentum", "velocity"]), "": (0, [])}
OURS = {"RMSpropTF1": "RMSProp", "Adam": "Adam", "SGD": ""}  # from the classes of our optimisers

# ---- The command ---------------------------------------------------------------------------------


def main(argv=None):
    arguments, more = parse(argv)
    prefix = find(arguments.checkpoint)
    if arguments.out.exists():
        raise UserError(f"{arguments.out}: exists already; remove it or name another one")
    files.check_directory(arguments.out)
    cli.import_tensorflow(lean=True)
    from tf_gen import base, rundir, tasks

    base.use_xla = arguments.jit
    checkpoint = Checkpoint(prefix)
    system, names = recognise(checkpoint)
    step, how = step_of(checkpoint, arguments.step)
    preset, settings = choose(system, checkpoint, step, more)
    recipe = load(system.model)
    config = recipe.Config(**settings)
    model = recipe.build(config)
    fill(model, checkpoint, names)
    missing = fill_optimizers(model, checkpoint, names, step)
    sizes = ", ".join(f"{name} {value}" for name, value in system.sizes.items())
    print(f"{prefix}: {system.model}, {sizes}, step {step} ({how})")
    print(
        f"assumed: settings that no checkpoint keeps, such as batch size and learning rate, are as "
        f"in preset {preset}; to change them, give flags of python -m tf_gen.train {system.model} "
        "--help after OUT"
    )
    if missing:
        cli.warn(f"{prefix}: {missing}; training continues with a fresh optimiser")

    source = tasks.source_for(recipe, arguments.data, arguments.resize, arguments.invert)
    report = tasks.report(recipe, config, source)
    manifest = rundir.manifest(system.model, settings, source)
    latent_map = report.latent_map(model) if report.latent_map else None
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    with (
        files.beside(arguments.out) as temporary,
        rundir.RunDirectory(temporary, manifest) as directory,
    ):
        directory.save(model, step)
        savedmodel.write(model, directory.saved_model, manifest, latent_map)
    print(f"checkpoint:  {arguments.out / 'checkpoints'}")
    print(f"SavedModel:  {arguments.out / 'saved_model'}")
    for command in next_commands(arguments, report, system.model, preset, settings):
        print(f"next: python -m tf_gen.{command}")


def parse(argv):
    """Parse the command line without TensorFlow; return its arguments and those for the model.

    The latter are parsed when the model, and so its settings, are known.
    """
    parser = cli.Parser(
        prog="tf_gen.import_v1",
        description="Import a checkpoint that an article's own TensorFlow 1 code has written.",
        epilog="After OUT, you can give settings that a checkpoint does not keep, with the flags "
        "of tf_gen.train, such as --learning-rate, and for gaussian_gan also --preset.",
    )
    words = "a checkpoint of tf.train.Saver: model.ckpt-30000, one of its files, or their directory"
    parser.option("checkpoint", cli.path, words, metavar="CHECKPOINT")
    words = "run directory to write, which must not exist yet"
    parser.option("out", cli.path, words, metavar="OUT")
    words = "number of updates so far (default: from a counter, the file's name or Adam)"
    parser.option("--step", Count, words, metavar="INT")
    flags.add_images(parser)
    flags.add_no_jit(parser)
    return parser.parse_known_args(argv)


def choose(system, checkpoint, step, arguments):
    """The preset and the settings, a dict, of a run of a system that has reached `step`."""
    outline = flags.read(system.model)
    parser = cli.Parser(prog=f"tf_gen.import_v1 ({system.model})")
    flags.add(parser, outline, without=(*system.sizes, "steps"))
    parser.set_defaults(preset=None)
    arguments = parser.parse_args(arguments)
    arguments.preset = arguments.preset or preset_of(system, checkpoint)
    vars(arguments).update(system.sizes, steps=step)
    return arguments.preset, flags.chosen(parser, outline, arguments)


def preset_of(system, checkpoint):
    """The preset that follows from the optimiser's variables. Raises UserError if none does."""
    if len(system.presets) == 1:
        return next(iter(system.presets.values()))
    # If there are no counters either, only the weights were saved.
    kinds = checkpoint.optimizers or ([""] if checkpoint.counters else [])
    told = {preset for kind, preset in system.presets.items() if kind in kinds}
    if len(told) != 1:
        raise UserError(
            f"{checkpoint.prefix}: {system.model} by its shapes, but nothing tells its optimiser "
            f"(found {checkpoint.listing()}); give --preset {' or '.join(system.presets.values())}"
        )
    return told.pop()


def next_commands(arguments, report, model, preset, settings):
    """Commands to use the run with."""
    out = cli.typed(arguments.out)
    data = " --resize" * arguments.resize + " --invert" * arguments.invert
    if arguments.data != "auto":  # "auto" means the data that the run has now
        data = f" --data {cli.typed(arguments.data)}{data}"
    data = data if report.source else ""
    outline = flags.read(model)
    longer = {**settings, "steps": max(outline.presets[preset].steps, 2 * settings["steps"])}
    return [
        f"sample {out} {report.sample_flags}",
        f"evaluate {model} --run {out}{data}",
        f"train {flags.command_line(outline, preset, longer)} --run-dir {out}{data}",
    ]


# ---- The checkpoint ------------------------------------------------------------------------------


def find(path):
    """The common prefix of a checkpoint's files; `path` is one of them, or their directory.

    Raises UserError if there is no checkpoint.
    """
    if path.is_dir():
        return newest(path)
    prefix = path.with_name(re.sub(r"(?<=.)\.(index|meta|data-\d+-of-\d+)$", "", path.name))
    if not is_checkpoint(prefix):
        raise UserError(f"{path}: no checkpoint of tf.train.Saver ({prefix.name}.index is missing)")
    return prefix


def newest(directory):
    """The checkpoint that a directory's file `checkpoint` names, or else its only checkpoint."""
    with contextlib.suppress(OSError):
        text = (directory / "checkpoint").read_text(errors="replace")
        if named := re.search(r'^model_checkpoint_path: "(.*)"', text, re.MULTILINE):
            # The path is an old one, perhaps on another machine; only its name is used.
            prefix = directory / re.split(r"[/\\]", named[1])[-1]
            if is_checkpoint(prefix):
                return prefix
    found = sorted(path.with_suffix("") for path in directory.glob("*.index"))
    if len(found) != 1:
        names = ", ".join(prefix.name for prefix in found) or "none"
        raise UserError(f"{directory}: name one of its checkpoints (found: {names})")
    return found[0]


def is_checkpoint(prefix):
    # Before TensorFlow 0.12 a checkpoint was one file, without an index.
    return prefix.with_name(f"{prefix.name}.index").is_file() or prefix.is_file()


class Checkpoint:
    """The variables of a checkpoint, sorted by kind.

    Attributes:
        prefix: path, the common prefix of its files.
        weights: the trained variables, a dict of names to shapes (tuples).
        averages: for the name of a weight, the names of the variables that optimisers keep for it:
            a dict such as {"Adam": [...]}.
        optimizers: the names of those optimisers, sorted.
        counters: the variables that count updates, a dict of names to ints.

    Raises:
        UserError: it is damaged.
    """

    def __init__(self, prefix):
        import tensorflow as tf

        self.prefix = prefix
        with self.whole():
            self.reader = tf.train.load_checkpoint(str(prefix))
            shapes = self.reader.get_variable_to_shape_map()
            self.types = self.reader.get_variable_to_dtype_map()
        # The article's first code first trained a copy of D, whose weights D then took.
        ours = [name for name in sorted(shapes, key=by_number) if not name.startswith("D_pre/")]
        arrays = {name: tuple(shapes[name]) for name in ours if shapes[name]}
        owners = {name: owner_of(name, arrays) for name in arrays}
        self.weights = {name: arrays[name] for name, owner in owners.items() if owner is None}
        self.averages = collections.defaultdict(lambda: collections.defaultdict(list))
        for name, owner in owners.items():
            if owner is not None:
                kind = re.sub(r"_\d+$", "", name.rpartition("/")[2])
                self.averages[owner][kind].append(name)
        self.optimizers = sorted({kind for kept in self.averages.values() for kind in kept})
        self.scalars = [name for name in ours if not shapes[name]]
        integers = [name for name in self.scalars if self.types[name].is_integer]
        # A counter that is 0 was created but never used.
        self.counters = {name: int(n) for name in integers if (n := self.read(name)) > 0}

    @contextlib.contextmanager
    def whole(self):
        """In `with`, TensorFlow's errors about a damaged file become a UserError."""
        import tensorflow as tf

        try:
            with cli.stderr_discarded():
                yield
        except (tf.errors.OpError, IndexError, RuntimeError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            raise UserError(f"{self.prefix}: damaged, or no checkpoint ({reason})") from error

    def read(self, name):
        """Read a variable, a NumPy array. Raises UserError if it is damaged or not finite."""
        import numpy as np

        with self.whole():
            value = self.reader.get_tensor(name)
        if not np.all(np.isfinite(value)):
            raise UserError(
                f"{self.prefix}: {name} is not finite, so its training diverged; try an earlier one"
            )
        return value

    def powers(self, beta):
        """The names of the variables that Adam multiplies by `beta` ("beta1") in each update."""
        return [name for name in self.scalars if re.search(rf"(^|/){beta}_power(_\d+)?$", name)]

    def listing(self):
        """The weights with their shapes, for messages."""
        words = [f"{name} {list(shape)}" for name, shape in self.weights.items()]
        rest = [f"and {len(words) - LISTED} more"] if len(words) > LISTED else []
        return ", ".join(words[:LISTED] + rest) or "no arrays"


def by_number(name):
    """A key that sorts Variable_2 before Variable_10."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", name)]


def owner_of(name, arrays):
    """The variable for which an optimiser keeps the variable `name`; None if there is none.

    D/d0/w/Adam belongs to D/d0/w. If the optimiser has its own scope, the name is
    scope/D/d0/w/Adam.
    """
    parts = name.split("/")[:-1]
    owners = ("/".join(parts[i:]) for i in range(len(parts)))
    return next((owner for owner in owners if arrays.get(owner) == arrays[name]), None)


# ---- Which variable is which ---------------------------------------------------------------------


def recognise(checkpoint):
    """The `System` of a checkpoint, and a dict of its `Weight`s to the names of variables.

    Raises UserError if it is not of one of the articles, or if variables of the same shape cannot
    be distinguished.
    """
    import tensorflow as tf

    shapes = checkpoint.weights
    floats = all(checkpoint.types[name] == tf.float32 for name in shapes)
    wanted = collections.Counter(shapes.values())
    fitting = (
        system
        for system in systems(set(itertools.chain(*shapes.values())))
        if floats and collections.Counter(weight.shape for weight in system.orders[0]) == wanted
    )
    system = next(fitting, None)
    if system is None:
        raise UserError(
            f"{checkpoint.prefix}: none of the articles' systems in float32; found "
            f"{checkpoint.listing()}"
        )
    names = by_words(system.orders[0], shapes) or by_order(system.orders, shapes)
    if names is None:
        raise UserError(
            f"{checkpoint.prefix}: {system.model} by its shapes, but neither names nor numbers "
            f"tell, as the article's do, which variable is which; found {checkpoint.listing()}"
        )
    return system, names


def systems(sizes):
    """All systems whose layers have any of these sizes."""
    for first, second in itertools.product(sorted(sizes), repeat=2):
        yield vae(first, second)
        yield ali(first, second)
    for size, minibatch in itertools.product(sorted(sizes), [False, True]):
        yield gaussian_gan(size, minibatch)


def by_words(weights, shapes):
    """The name of each of `weights`, a dict, if its shape or its word in the name is unique.

    None if it is not.
    """
    names = {}
    for weight in weights:
        same = [name for name, shape in shapes.items() if shape == weight.shape]
        if len(same) > 1:
            same = [name for name in same if weight.word in re.split(r"[^A-Za-z0-9]", name)]
        if len(same) != 1:
            return None
        names[weight] = same[0]
    return names if len(set(names.values())) == len(names) else None


def by_order(orders, shapes):
    """The same if names differ only by numbers, which follow one of the articles' `orders`."""
    if len({re.sub(r"_\d+$", "", name) for name in shapes}) > 1:
        return None
    for weights in orders:
        if [weight.shape for weight in weights] == list(shapes.values()):
            return dict(zip(weights, shapes, strict=True))
    return None


def step_of(checkpoint, given):
    """The number of updates so far, and where it comes from. Raises UserError if it is unknown."""
    if given:
        return given, "as --step says"
    counters = checkpoint.counters
    steps = {name: n for name, n in counters.items() if name.endswith("global_step")} or counters
    if len(set(steps.values())) == 1:
        name, step = next(iter(steps.items()))
        return step, f"by its {name}"
    if (number := re.search(r"-(\d+)$", checkpoint.prefix.name)) and int(number[1]):
        return int(number[1]), "by its name"
    updates = {updates_of(checkpoint.read(name), 0.999) for name in checkpoint.powers("beta2")}
    if len(updates) == 1 and (step := updates.pop()):
        return step, "by Adam's beta2_power"
    raise UserError(f"{checkpoint.prefix}: nothing tells how many updates it had; give --step")


def updates_of(power, beta):
    """The number of updates after which Adam's power of `beta` has this value; None if unknown.

    The power starts as `beta`, float32, and each update multiplies it by `beta`. A processor may
    round subnormal numbers to 0.
    """
    import numpy as np

    beta = product = np.float32(beta)
    updates = 0
    while product > max(power, np.finfo(np.float32).tiny):
        product *= beta
        updates += 1
    return updates if product == power else None


# ---- The model -----------------------------------------------------------------------------------


def variable_at(model, path):
    """The variable at a path such as "encoder.hidden.0.dense.kernel"."""
    for part in path.split("."):
        model = model[int(part)] if part.isdigit() else getattr(model, part)
    return model


def fill(model, checkpoint, names):
    """Assign the weights of a checkpoint to `model`. Raises UserError if shapes differ."""
    for weight, name in names.items():
        variable = variable_at(model, weight.here)
        if tuple(variable.shape) != weight.shape:
            raise UserError(
                f"{checkpoint.prefix}: {name} has shape {list(weight.shape)}, but with these "
                f"settings it would be {list(variable.shape)}"
            )
        variable.assign(checkpoint.read(name))


def fill_optimizers(model, checkpoint, names, step):
    """Assign the optimisers' variables of a checkpoint to the optimisers of `model`.

    Returns:
        The reason why they stay unchanged, or "".
    """
    from tf_gen import base

    pairs = [(model.optimizer, model.trainable_variables)]
    if isinstance(model, base.Adversarial):
        pairs = [(model.d_optimizer, model.d_variables), (model.g_optimizer, model.g_variables)]
    kind, found = OURS[type(pairs[0][0]).__name__], checkpoint.optimizers
    if (kind or found) and kind not in found:
        return f"has averages of {', '.join(found) or 'no optimiser'}, not of {kind or 'none'}"
    count, words = AVERAGES[kind]
    named = {variable_at(model, weight.here).path: name for weight, name in names.items()}
    assigned = []
    for optimizer, variables in pairs:
        ours = {variable.path.rpartition("/")[2]: variable for variable in optimizer.variables}
        for variable in variables:
            owner = named[variable.path]
            theirs = checkpoint.averages[owner][kind] if kind else []
            if len(theirs) != count:
                return f"keeps {len(theirs)} averages of {kind} for {owner}, not {count}"
            for word, name in zip(words, theirs, strict=False):
                ours_here = ours[f"{variable.path.replace('/', '_')}_{word}"]
                assigned.append((ours_here, checkpoint.read(name)))
    updates = updates_made(checkpoint, len(pairs), step)
    if kind == "Adam" and (wrong := other_beta(checkpoint, pairs[0][0], updates[0])):
        return wrong
    for (optimizer, _), made in zip(pairs, updates, strict=True):
        assigned.append((optimizer.iterations, made))
    for variable, value in assigned:
        variable.assign(value)
    return ""


def updates_made(checkpoint, count, step):
    """The number of updates of each of `count` optimisers, D's first as in the articles: a list."""
    powers = [updates_of(checkpoint.read(name), 0.999) for name in checkpoint.powers("beta2")]
    counters = [n for name, n in checkpoint.counters.items() if not name.endswith("global_step")]
    for updates in (powers, counters):
        if updates and None not in updates:
            if len(updates) == count:
                return updates
            if len(set(updates)) == 1:
                return updates[:1] * count
    return [step] * count


def other_beta(checkpoint, optimizer, updates):
    """A sentence about a beta of Adam that differs from that of `optimizer`, or ""."""
    for word, ours in (("beta1", optimizer.beta_1), ("beta2", optimizer.beta_2)):
        for name in checkpoint.powers(word)[:1]:
            power = float(checkpoint.read(name))
            theirs = power ** (1 / (updates + 1))
            if power > 1e-30 and abs(theirs - ours) > 0.1 * (1 - ours):
                return f"{name} is a power of {theirs:.4g}, where {ours:.4g} is expected"
    return ""


if __name__ == "__main__":
    cli.run(main)
