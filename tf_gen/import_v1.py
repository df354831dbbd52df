"""Import what an article's own code trained: `python -m tf_gen.import_v1 CHECKPOINT OUT`.

CHECKPOINT is what `tf.train.Saver` of TensorFlow 1 wrote, OUT becomes a run directory. A Saver
keeps each variable under its name, and in most articles the names are Variable, Variable_1 and so
on. So a system is recognised by the shapes of its variables, which tell its sizes, too. Variables
of one shape are told apart by their names, or by numbers that follow the article's order; where
neither does, nothing is guessed. The graph beside a checkpoint (.meta) is not opened.
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

LISTED = 30  # variables that a message names, at most

# ---- What the articles' code creates, in its order -----------------------------------------------


class Weight(NamedTuple):
    """A variable that is trained."""

    word: str  # a part of its name that tells it from others of its shape, if names tell
    shape: tuple
    here: str  # where it is in the model of this package


class System(NamedTuple):
    """An article's networks with the sizes that a checkpoint's shapes tell."""

    model: str
    sizes: dict  # of the settings that follow from the shapes
    presets: dict  # of the optimiser whose averages a checkpoint has ("" for none) to a preset
    orders: list  # of lists of the same `Weight`s, as one or the other script creates them


def dense(word, inputs, units, here):
    """A layer: its kernel and its bias."""
    return [Weight(word, (inputs, units), f"{here}.kernel"), Weight(word, (units,), f"{here}.bias")]


def vae(hidden_dim, latent_dim):
    """The article has a dict of weights, and after it one of biases, with the same five keys."""
    layers = [
        dense("encoder", 784, hidden_dim, "encoder.hidden"),
        dense("mean", hidden_dim, latent_dim, "encoder.z_mean"),
        dense("std", hidden_dim, latent_dim, "encoder.z_log_var"),  # so the article calls it
        dense("decoder", latent_dim, hidden_dim, "decoder.hidden"),
        dense("out", hidden_dim, 784, "decoder.logits"),
    ]
    order = [kernel for kernel, _ in layers] + [bias for _, bias in layers]
    sizes = {"hidden_dim": hidden_dim, "latent_dim": latent_dim}
    return System("vae", sizes, {"RMSProp": "article"}, [order])


def gaussian_gan(hidden_size, minibatch):
    """G in the scope G, D in the scope D; the names of their layers are the article's."""
    width = 2 * hidden_size
    third = dense("d2", width, width, "discriminator.hidden_3")
    if minibatch:  # five kernels of length 3, and as many features more
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


# How many variables an optimiser of TensorFlow 1 keeps for each weight, and what those of ours are
# called, in the same order. RMSProp's second is the step it took last, of use only with momentum.
AVERAGES = {"RMSProp": (2, ["velocity"]), "Adam": (2, ["momentum", "velocity"]), "": (0, [])}
OURS = {"RMSpropTF1": "RMSProp", "Adam": "Adam", "SGD": ""}  # of our optimisers' classes

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
        f"assumed: what no checkpoint keeps, such as batch size and learning rate, is as in preset "
        f"{preset}; after OUT, flags of python -m tf_gen.train {system.model} --help change it"
    )
    if missing:
        cli.warn(f"{prefix}: {missing}; training goes on with a fresh optimiser")

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
    """Parse the command line without TensorFlow; return the arguments, and those of the model.

    Which settings there are is known when the model is.
    """
    parser = cli.Parser(
        prog="tf_gen.import_v1",
        description="Import a checkpoint that an article's own code, in TensorFlow 1, has written.",
        epilog="After OUT, settings that a checkpoint does not keep can be given, with the flags "
        "of tf_gen.train, such as --learning-rate; of gaussian_gan also --preset.",
    )
    words = "what tf.train.Saver wrote: model.ckpt-30000, one of its files, or their directory"
    parser.option("checkpoint", cli.path, words, metavar="CHECKPOINT")
    words = "run directory to write, which must not exist yet"
    parser.option("out", cli.path, words, metavar="OUT")
    words = "updates that were made (default: as a counter, the file's name or Adam tells)"
    parser.option("--step", Count, words, metavar="INT")
    flags.add_images(parser)
    flags.add_no_jit(parser)
    return parser.parse_known_args(argv)


def choose(system, checkpoint, step, arguments):
    """The preset and the settings, a dict, of a run of a system that has come to `step`."""
    outline = flags.read(system.model)
    parser = cli.Parser(prog=f"tf_gen.import_v1 ({system.model})")
    flags.add(parser, outline, without=(*system.sizes, "steps"))
    parser.set_defaults(preset=None)
    arguments = parser.parse_args(arguments)
    arguments.preset = arguments.preset or preset_of(system, checkpoint)
    vars(arguments).update(system.sizes, steps=step)
    return arguments.preset, flags.chosen(parser, outline, arguments)


def preset_of(system, checkpoint):
    """The preset that the optimiser's variables tell of. UserError: they do not."""
    if len(system.presets) == 1:
        return next(iter(system.presets.values()))
    # Without counters, too, only the weights were saved.
    kinds = checkpoint.optimizers or ([""] if checkpoint.counters else [])
    told = {preset for kind, preset in system.presets.items() if kind in kinds}
    if len(told) != 1:
        raise UserError(
            f"{checkpoint.prefix}: {system.model} by its shapes, but nothing tells its optimiser "
            f"(found {checkpoint.listing()}); give --preset {' or '.join(system.presets.values())}"
        )
    return told.pop()


def next_commands(arguments, report, model, preset, settings):
    """What can be done with the run now."""
    out = cli.typed(arguments.out)
    data = " --resize" * arguments.resize + " --invert" * arguments.invert
    if arguments.data != "auto":  # which is then what this run began with
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
    """The common beginning of a checkpoint's files, of which `path` names one, or their directory.

    UserError: there is none.
    """
    if path.is_dir():
        return newest(path)
    prefix = path.with_name(re.sub(r"(?<=.)\.(index|meta|data-\d+-of-\d+)$", "", path.name))
    if not is_checkpoint(prefix):
        raise UserError(f"{path}: no checkpoint of tf.train.Saver ({prefix.name}.index is missing)")
    return prefix


def newest(directory):
    """The checkpoint that the file `checkpoint` in a directory names, or the only one there is."""
    with contextlib.suppress(OSError):
        text = (directory / "checkpoint").read_text(errors="replace")
        if named := re.search(r'^model_checkpoint_path: "(.*)"', text, re.MULTILINE):
            # The path is that of another time, perhaps of another machine.
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
    """The variables of a checkpoint, sorted out.

    Attributes:
        prefix: path, the common beginning of its files.
        weights: dict of a name to a shape, a tuple: what is trained.
        averages: dict of the name of a weight to what optimisers keep for it, a dict of "Adam" to
            a list of names, for example.
        optimizers: the names of those optimisers, sorted.
        counters: dict of a name to an int, of variables that count updates.

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
        # The article's first code trained a copy of D, from which D began.
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
        # One that is 0 was made and never counted.
        self.counters = {name: int(n) for name in integers if (n := self.read(name)) > 0}

    @contextlib.contextmanager
    def whole(self):
        """In `with`, what TensorFlow says of a damaged file becomes a UserError."""
        import tensorflow as tf

        try:
            with cli.stderr_discarded():
                yield
        except (tf.errors.OpError, IndexError, RuntimeError, ValueError) as error:
            reason = str(error).partition("\n")[0]
            raise UserError(f"{self.prefix}: damaged, or no checkpoint ({reason})") from error

    def read(self, name):
        """A variable, a NumPy array. UserError: it is damaged, or not finite."""
        import numpy as np

        with self.whole():
            value = self.reader.get_tensor(name)
        if not np.all(np.isfinite(value)):
            raise UserError(
                f"{self.prefix}: {name} is not finite, so its training diverged; try an earlier one"
            )
        return value

    def powers(self, beta):
        """The names of what Adam multiplies with a `beta`, "beta1", in each update: a list."""
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
    """The variable for which an optimiser keeps the one called `name`; None if it does not.

    D/d0/w/Adam belongs to D/d0/w; an optimiser in a scope of its own has it as scope/D/d0/w/Adam.
    """
    parts = name.split("/")[:-1]
    owners = ("/".join(parts[i:]) for i in range(len(parts)))
    return next((owner for owner in owners if arrays.get(owner) == arrays[name]), None)


# ---- Which variable is which ---------------------------------------------------------------------


def recognise(checkpoint):
    """The `System` of a checkpoint, and for each of its `Weight`s the name of the variable, a dict.

    UserError: it is none of the articles', or nothing tells variables of one shape apart.
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
    """All systems whose layers have some of these sizes."""
    for first, second in itertools.product(sorted(sizes), repeat=2):
        yield vae(first, second)
        yield ali(first, second)
    for size, minibatch in itertools.product(sorted(sizes), [False, True]):
        yield gaussian_gan(size, minibatch)


def by_words(weights, shapes):
    """The name of each of `weights`, a dict, if each is the only one of its shape or has its word.

    None: names do not tell.
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
    """The same if only numbers tell the names apart, and follow one of the articles' `orders`."""
    if len({re.sub(r"_\d+$", "", name) for name in shapes}) > 1:
        return None
    for weights in orders:
        if [weight.shape for weight in weights] == list(shapes.values()):
            return dict(zip(weights, shapes, strict=True))
    return None


def step_of(checkpoint, given):
    """How many updates were made, and what tells it. UserError: nothing does."""
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
    """After how many updates Adam's power of `beta` has this value; None if that cannot be told.

    It begins as `beta`, float32, and each update multiplies it. A processor may take numbers for 0
    that are too small to have all their bits.
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
    """Give `model` the weights of a checkpoint. UserError: it has other shapes."""
    for weight, name in names.items():
        variable = variable_at(model, weight.here)
        if tuple(variable.shape) != weight.shape:
            raise UserError(
                f"{checkpoint.prefix}: {name} has shape {list(weight.shape)}, but with these "
                f"settings it would be {list(variable.shape)}"
            )
        variable.assign(checkpoint.read(name))


def fill_optimizers(model, checkpoint, names, step):
    """Give the optimisers of `model` what those of a checkpoint had kept.

    Returns:
        Why they stay as they are, or "".
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
    """How many updates each of `count` optimisers made, D's first, as in the articles: a list."""
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
    """Which beta of Adam is not that of `optimizer`, a sentence, or ""."""
    for word, ours in (("beta1", optimizer.beta_1), ("beta2", optimizer.beta_2)):
        for name in checkpoint.powers(word)[:1]:
            power = float(checkpoint.read(name))
            theirs = power ** (1 / (updates + 1))
            if power > 1e-30 and abs(theirs - ours) > 0.1 * (1 - ours):
                return f"{name} is a power of {theirs:.4g}, where {ours:.4g} is expected"
    return ""


if __name__ == "__main__":
    cli.run(main)
