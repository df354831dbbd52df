"""Train a model: `python -m tf_gen.train vae`.

settings -> data -> model -> updates, log, checkpoints -> pictures -> SavedModel
"""

import importlib.util
import itertools
import math
import os
import shlex
import shutil
import signal
import sys
import time
from pathlib import Path

from tf_gen import cli, config
from tf_gen.models import NAMES, load

# At most so many are made in one call from Python into TensorFlow, fewer if batches are large.
# A call costs half a millisecond, as much as one update with images, or twenty without.
UPDATES_PER_CALL, UPDATES_PER_CALL_WITH_IMAGES = 1000, 100
BYTES_PER_CALL = 2**25
SECONDS_BETWEEN_CHECKPOINTS = 5.0  # at least, unless asked for more
ANIMATIONS = (".gif", ".webp", ".mp4")
SAMPLES_IN_TENSORBOARD = 20  # pictures a run, as to draw one takes longer than to write a number


def main(argv=None):
    arguments, settings = parse(argv)
    if arguments.tensorboard and not importlib.util.find_spec("tensorboard"):
        raise cli.UserError("--tensorboard needs TensorBoard: pip install 'tensorboard>=2.20,<3'")
    if arguments.anim_path:
        check_animation(arguments.anim_path)
    run_dir = arguments.run_dir or Path("runs", arguments.model)
    cli.import_tensorflow()
    import tensorflow as tf

    from tf_gen import data, run

    module = load(arguments.model)
    model_config = module.Config(**settings)
    source = None
    if module.NEEDS_IMAGES:
        source = data.load(same_data(run_dir) if arguments.data == "auto" else arguments.data)
        print(source)
    model = module.build(model_config)  # before anything is written: it may not fit into memory
    if arguments.tensorboard:
        arguments.tensorboard.mkdir(parents=True, exist_ok=True)
    described = run.settings(arguments.model, settings, source)
    with run.RunDirectory(run_dir, described) as directory:
        if directory.finished and arguments.anim_path:
            raise cli.UserError(
                f"{run_dir}: finished already; for an animation train again, in another --run-dir"
            )
        if directory.finished:
            print(
                f"{run_dir}: finished already, nothing to do; another run needs another --run-dir"
            )
            return 0
        device = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
        print(f"training {arguments.model} on {device}, TensorFlow {tf.__version__}, in {run_dir}")
        start, snapshots, warnings = directory.restore(model)
        for warning in directory.warnings + warnings:
            print(f"warning: {warning}", file=sys.stderr)
        if start:
            print(f"continuing at step {start}")
            if arguments.anim_path and not snapshots:
                print(f"warning: the animation begins at step {start}", file=sys.stderr)
        try:
            train(model, module, model_config, source, directory, start, snapshots, arguments)
            if arguments.anim_path:
                if not snapshots:  # of a run that had ended but for its pictures
                    step = int(directory.read_history()[-1]["step"])
                    snapshots.append({**module.snapshot(model, model_config), "step": step})
                animate(module, model_config, snapshots, arguments.anim_path)
            finish(model, module, model_config, source, directory, described)
        except KeyboardInterrupt:
            again = shlex.join(["python", "-m", "tf_gen.train", *(argv or sys.argv[1:])])
            print(f"stopped; to continue: {again}")
            raise
        if arguments.tensorboard:
            print(f"or: tensorboard --logdir {arguments.tensorboard}")
    return 0


def same_data(run_dir):
    """What `--data auto` means: what the run in `run_dir` began with, if there is one."""
    from tf_gen import run

    if (run_dir / "config.json").exists() and not run.holds_other_files(run_dir):
        source = (run.read_config(run_dir)["data"] or {}).get("source")
        if source in ("tfds", "bundled"):
            return source
    return "auto"


def parse(argv):
    """Parse the command line without TensorFlow; return the arguments and the Config as a dict."""
    parser = cli.Parser(prog="tf_gen.train", description="Train one of the models.")
    subparsers = parser.add_subparsers(dest="model", metavar="MODEL", required=True)
    sources = {name: config.read(name) for name in NAMES}
    for name, source in sources.items():
        flags = subparsers.add_parser(name, help=source.summary, description=source.summary)
        config.add_flags(flags, source)
        if source.needs_images:
            flags.add_argument(
                "--data",
                default="auto",
                help="auto, tfds, bundled, a directory of IDX files or a list of images (default: "
                "auto: what TensorFlow Datasets has or can download, else bundled)",
            )
        flags.add_argument(
            "--run-dir", type=Path, help=f"where to keep the run (default: runs/{name})"
        )
        flags.add_argument(
            "--checkpoint-every",
            type=int,
            metavar="INT",
            help="updates between two checkpoints, each at the end of a call of up to 100 updates "
            "or of log-every (default: 1000, and at least 5 seconds apart)",
        )
        flags.add_argument(
            "--anim-path",
            type=Path,
            metavar="FILE",
            help="draw an animation of the training: .gif, .webp or .mp4 (which needs ffmpeg)",
        )
        flags.add_argument(
            "--anim-every",
            type=int,
            metavar="INT",
            help="updates between two of its frames (default: as --log-every)",
        )
        flags.add_argument(
            "--tensorboard",
            type=Path,
            metavar="DIR",
            help="write the graph of the training step, the log and samples there, for TensorBoard",
        )
    arguments = parser.parse_args(argv)
    source, flags = sources[arguments.model], subparsers.choices[arguments.model]
    settings = config.chosen(flags, source, arguments)
    for name in ("checkpoint_every", "anim_every"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            flags.error(f"argument --{name.replace('_', '-')}: must be at least 1, not {value}")
    if arguments.anim_every and not arguments.anim_path:
        flags.error("argument --anim-every: needs --anim-path")
    if arguments.anim_path and arguments.anim_path.suffix.lower() not in ANIMATIONS:
        flags.error(
            f"argument --anim-path: must end in {', '.join(ANIMATIONS)}, not "
            f"{arguments.anim_path.name!r}"
        )
    return arguments, settings


def check_animation(path):
    """Raise UserError if an animation could not be written to `path` after the training."""
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise cli.UserError(
            f"--anim-path {path}: not a file in an existing directory that can be written"
        )
    if path.suffix.lower() == ".mp4" and not shutil.which("ffmpeg"):
        raise cli.UserError(
            f"--anim-path {path}: .mp4 needs the program ffmpeg (apt install ffmpeg, brew install "
            "ffmpeg, conda install ffmpeg); or ask for a .gif"
        )


def train(model, module, model_config, source, directory, start, snapshots, arguments):
    """Bring `model` from step `start` to the last one, with a log and checkpoints on the way.

    Args:
        model, module, model_config, source: what to train, its model file, on what.
        directory: an open `run.RunDirectory`.
        start: Python int, the step that `model` is at.
        snapshots: list of what the animation shows up to there, to which this appends.
        arguments: of the command line.

    Raises:
        KeyboardInterrupt, cli.Terminated: SIGINT or SIGTERM came; the state is saved.
        UserError: the model diverged.
    """
    import tensorflow as tf
    from tqdm import tqdm

    limits = module.stop_at(model_config)
    history = directory.read_history()
    if history and int(history[-1]["step"]) == start and close_enough(history[-1], limits):
        return
    # Nothing in it needs AutoGraph, which would take a second.
    program = tf.function(model.train_lines, jit_compile=True, autograph=False)
    total, log_every = model_config.steps, model_config.log_every
    anim_every = (arguments.anim_every or log_every) if arguments.anim_path else None
    writer = None
    if arguments.tensorboard:
        writer = tf.summary.create_file_writer(str(arguments.tensorboard))
    checkpoint_every = arguments.checkpoint_every or 1000
    pause = 0.0 if arguments.checkpoint_every else SECONDS_BETWEEN_CHECKPOINTS
    step = saved = drawn = start
    saved_at = time.monotonic()
    rare = max(log_every, total // SAMPLES_IN_TENSORBOARD)
    began = told = None  # time and step of the first line of the log; time of the last estimate
    updates, seconds = 0, 0.0  # since the last line of the log
    stop, done = StopRequest(), False
    bar = tqdm(total=total, initial=start, unit="update", disable=not sys.stderr.isatty())
    with stop, bar:
        lines_wanted = [rare // log_every] if writer else []
        if arguments.checkpoint_every:
            lines_wanted.append(max(1, arguments.checkpoint_every // log_every))
        schedule = calls(
            module, model_config, source, start, anim_every, min(lines_wanted, default=None)
        )
        for lines, size, stack in schedule:
            if writer and step == start:
                with writer.as_default():
                    tf.summary.graph(program.get_concrete_function(stack, lines).graph)
            before = time.monotonic()
            losses, seen = tf.nest.map_structure(lambda t: t.numpy(), program(stack, lines))
            seconds += time.monotonic() - before
            updates += lines * size
            rows = []
            try:
                for line in range(lines):
                    step += size
                    row = {name: float(values[line]) for name, values in losses.items()}
                    check_finite(row, step, directory)
                    if step % log_every == 0 or step == total:
                        measured = module.measure(model, model_config, source, seen[line])
                        row = {"step": step, **row, **measured}
                        check_finite(row, step, directory)
                        row["updates_per_second"] = round(updates / seconds, 1)
                        rows.append(row)
            finally:
                if rows:
                    directory.log(rows)
                    bar.write("\n".join(module.LOG_LINE.format(**row) for row in rows))
            bar.update(lines * size)
            if rows:
                updates, seconds = 0, 0.0
                done = close_enough(row, limits)
                if writer:
                    for row in rows:
                        write_scalars(writer, row)
                    if step // rare > drawn // rare or step == total or done:
                        write_samples(writer, module, model, model_config, step)
                        drawn = step
                module.draw_progress(model, directory.pictures, step)
            if anim_every and (step % anim_every == 0 or step == total or done):
                snapshots.append({**module.snapshot(model, model_config), "step": step})
            due = step // checkpoint_every > saved // checkpoint_every
            due = due and time.monotonic() - saved_at >= pause
            if due or step == total or done or stop.requested:
                weights = {v.path: float(tf.reduce_sum(v)) for v in model.trainable_variables}
                check_finite(weights, step, directory)
                directory.save(model, step, snapshots)
                saved, saved_at = step, time.monotonic()
            if stop.requested:
                raise stop.requested
            now = time.monotonic()
            if rows and began is None:  # all is compiled now
                began, told = (now, step), now
            elif bar.disable and began and now - told >= 10:
                left = (now - began[0]) / (step - began[1]) * (total - step)
                bar.write(f"{step} of {total} updates, {tqdm.format_interval(left)} left")
                told = now
            if done:
                reached = ", ".join(f"{name} is {row[name]:.4g}" for name in limits)
                bar.write(f"stopping at step {step} of {total}: {reached}")
                return


def close_enough(row, limits):
    """Whether a row of the log, numbers or strings, reaches one of the `limits`."""
    return any(float(row[name]) <= limit for name, limit in limits.items())


def calls(module, model_config, source, start, anim_every=None, lines_per_call=None):
    """What to do in each call from step `start` to the last.

    Where several lines of the log fit into a call, and nothing but `observe` looks at the model on
    the way, they share it.

    Args:
        module, model_config, source: a model file, its `Config`, on what to train.
        start: Python int.
        anim_every: updates between two frames of an animation, at which a call must end; or None.
        lines_per_call: at most so many lines of the log share a call; None for no other limit.

    Yields:
        How many lines of the log, how many updates before each, and their batches, stacked.
    """
    import tensorflow as tf

    total, log_every = model_config.steps, model_config.log_every
    intervals = [log_every, anim_every or log_every]
    batches = module.batches(model_config, source, start=start)
    bytes_each = sum(
        spec.shape.num_elements() * spec.dtype.size
        for spec in tf.nest.flatten(batches.element_spec)
    )
    at_most = UPDATES_PER_CALL_WITH_IMAGES if module.NEEDS_IMAGES else UPDATES_PER_CALL
    at_most = max(1, min(at_most, BYTES_PER_CALL // bytes_each))
    several = min(at_most // log_every, lines_per_call or at_most)
    if module.NEEDS_IMAGES or anim_every or module.stop_at(model_config):
        several = 1
    several = even(total // log_every, several)

    def sizes():
        step = start
        while step < total:
            if several > 1 and step % log_every == 0 and total - step >= log_every:
                lines = min(several, (total - step) // log_every)
                yield lines, log_every
                step += lines * log_every
                continue
            # A function of the step alone, so that a resumed run makes the same calls; and few
            # different sizes, since XLA compiles the program anew for each: even ones, or powers of
            # two where the two intervals make gaps of many lengths.
            begin = max(step - step % interval for interval in intervals)
            end = min(total, *(step - step % interval + interval for interval in intervals))
            size = min(even(end - begin, at_most), end - step)
            if max(intervals) % min(intervals):
                size = 1 << (min(size, at_most).bit_length() - 1)
            yield 1, size
            step += size

    all_sizes, step = sizes(), start
    while some := list(itertools.islice(all_sizes, 10_000)):  # not all: a run may be very long
        counts = [lines * size for lines, size in some]
        if step > start:
            batches = module.batches(model_config, source, start=step)
        stacks = batches.batch(max(counts)).rebatch(counts).take(len(counts)).prefetch(1)
        for (lines, size), stack in zip(some, stacks, strict=True):
            yield lines, size, stack
        step += sum(counts)


def even(count, at_most):
    """The size of equal parts of `count`, at most `at_most`, or that of all of them but the last.

    XLA compiles a program for each size, so a few more parts are better than two sizes.
    """
    fewest = math.ceil(count / max(1, at_most))
    for parts in range(max(1, fewest), 2 * fewest + 1):
        if count % parts == 0:
            return count // parts
    return max(1, math.ceil(count / max(1, fewest)))


def check_finite(values, step, directory):
    """Raise UserError if one of `values`, a dict of floats, is not finite."""
    for name, value in values.items():
        if not math.isfinite(value):
            raise cli.UserError(
                f"{name} is {value} at step {step}; earlier checkpoints are in "
                f"{directory.checkpoints}. Try a lower learning rate or another --seed, in "
                "another --run-dir"
            )


def animate(module, model_config, snapshots, path):
    """Write the animation of all `snapshots` to `path`, and say where it is."""
    from tqdm import tqdm

    from tf_gen import plots

    frames = module.frames(snapshots, model_config)
    plots.animation(tqdm(frames, "animation", len(snapshots), disable=None, leave=False), path)
    print(f"animation:   {path} ({len(snapshots)} frames)")


def finish(model, module, model_config, source, directory, settings):
    """Draw the final pictures, export, and print where everything is."""
    from tf_gen.export import export

    history = directory.read_history()
    pictures = module.draw_report(model, model_config, source, directory.pictures, history)
    latent_map = module.latent_map(model, model_config, source)
    export(model, directory.saved_model, settings, latent_map)
    flags = module.sample_flags(model_config)
    print(f"history:     {directory.history}")
    print(f"checkpoints: {directory.checkpoints}")
    print(f"pictures:    {directory.pictures} ({', '.join(pictures)})")
    print(f"SavedModel:  {directory.saved_model}")
    print(f"next: python -m tf_gen.sample {directory.saved_model} {flags}")


class StopRequest:
    """In `with`, the first SIGINT or SIGTERM is noted in `requested`; a second one acts at once.

    Attributes:
        requested: the exception that the signal would have raised, or None.
    """

    def __init__(self):
        self.requested = None

    def __enter__(self):
        self.handlers = {s: signal.signal(s, self._note) for s in (signal.SIGINT, signal.SIGTERM)}

    def __exit__(self, *exception):
        for signum, handler in self.handlers.items():
            signal.signal(signum, handler)

    def _note(self, signum, frame):
        self.requested = cli.Terminated() if signum == signal.SIGTERM else KeyboardInterrupt()
        signal.signal(signum, self.handlers[signum])


def write_scalars(writer, row):
    """Write a row of the log to a `tf.summary` writer."""
    import tensorflow as tf

    with writer.as_default(step=row["step"]):
        for name in row.keys() - {"step"}:
            tf.summary.scalar(name, row[name])
    writer.flush()


def write_samples(writer, module, model, model_config, step):
    """Write what an animation would show now to a `tf.summary` writer."""
    import tensorflow as tf

    snapshot = {**module.snapshot(model, model_config), "step": step}
    (frame,) = module.frames([snapshot], model_config)
    pixels = frame[None] if frame.ndim == 3 else frame[None, ..., None]
    with writer.as_default(step=step):
        tf.summary.image("samples", pixels)
    writer.flush()


if __name__ == "__main__":
    cli.run(main)
