"""Train a model: `python -m tf_gen.train vae`.

settings -> data -> model -> updates, log, checkpoints -> pictures -> SavedModel
"""

import dataclasses
import importlib.util
import itertools
import math
import shlex
import signal
import sys
import time
from pathlib import Path

from tf_gen import cli, config
from tf_gen.models import NAMES, load

UPDATES_PER_CALL = 100  # at most; one call from Python into TensorFlow serves them all


def main(argv=None):
    arguments, settings = parse(argv)
    if arguments.tensorboard and not importlib.util.find_spec("tensorboard"):
        raise cli.UserError("--tensorboard needs TensorBoard: pip install 'tensorboard>=2.20,<3'")
    run_dir = arguments.run_dir or Path("runs", arguments.model)
    cli.import_tensorflow()
    import tensorflow as tf

    from tf_gen import data, run

    module = load(arguments.model)
    model_config = module.Config(**settings)
    source = data.load(same_data(run_dir) if arguments.data == "auto" else arguments.data)
    print(source)
    model = module.build(model_config)  # before anything is written: it may not fit into memory
    if arguments.tensorboard:
        arguments.tensorboard.mkdir(parents=True, exist_ok=True)
    described = run.settings(arguments.model, settings, source)
    with run.RunDirectory(run_dir, described) as directory:
        if directory.finished:
            print(
                f"{run_dir}: finished already, nothing to do; another run needs another --run-dir"
            )
            return 0
        device = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
        print(f"training {arguments.model} on {device}, TensorFlow {tf.__version__}, in {run_dir}")
        start, warnings = directory.restore(model)
        for warning in directory.warnings + warnings:
            print(f"warning: {warning}", file=sys.stderr)
        if start:
            print(f"continuing at step {start}")
        try:
            train(model, module, model_config, source, directory, start, arguments)
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
        source = run.read_config(run_dir)["data"]["source"]
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
        flags.add_argument(
            "--preset",
            choices=list(source.presets),
            default="article",
            help="settings to start from; the flags below change them (default: article)",
        )
        config.add_flags(flags, source)
        flags.add_argument(
            "--data",
            default="auto",
            help="auto, tfds, bundled, a directory of IDX files or a list of images "
            "(default: auto: what TensorFlow Datasets has or can download, else bundled)",
        )
        flags.add_argument(
            "--run-dir", type=Path, help=f"where to keep the run (default: runs/{name})"
        )
        flags.add_argument(
            "--checkpoint-every",
            type=int,
            default=1000,
            metavar="INT",
            help="updates between two checkpoints (default: 1000); they are written at the end "
            f"of a call of up to {UPDATES_PER_CALL} updates",
        )
        flags.add_argument("--tensorboard", type=Path, metavar="DIR", help="write its log there")
    arguments = parser.parse_args(argv)
    source, flags = sources[arguments.model], subparsers.choices[arguments.model]
    preset = dataclasses.asdict(source.presets[arguments.preset])
    settings = {name: getattr(arguments, name, value) for name, value in preset.items()}
    try:
        source.Config(**settings)
    except ValueError as error:
        field, _, complaint = str(error).partition(" ")
        flags.error(f"argument --{field.replace('_', '-')}: {complaint}")
    if arguments.checkpoint_every < 1:
        flags.error(
            f"argument --checkpoint-every: must be at least 1, not {arguments.checkpoint_every}"
        )
    return arguments, settings


def train(model, module, model_config, source, directory, start, arguments):
    """Bring `model` from step `start` to the last one, with a log and checkpoints on the way.

    Args:
        model, module, model_config, source: what to train, its model file, on what.
        directory: an open `run.RunDirectory`.
        start: Python int, the step that `model` is at.
        arguments: of the command line.

    Raises:
        KeyboardInterrupt, cli.Terminated: SIGINT or SIGTERM came; the state is saved.
        UserError: the model diverged.
    """
    import tensorflow as tf
    from tqdm import tqdm

    program = tf.function(model.train_step, jit_compile=True)
    total, log_every = model_config.steps, model_config.log_every
    writer = None
    if arguments.tensorboard:
        writer = tf.summary.create_file_writer(str(arguments.tensorboard))
    step = saved = start
    begin = time.monotonic()
    updates, seconds = 0, 0.0  # since the last line of the log
    stop = StopRequest()
    bar = tqdm(total=total, initial=start, unit="update", disable=not sys.stderr.isatty())
    with stop, bar:
        for size, stack in calls(module, model_config, source, start):
            before = time.monotonic()
            losses = {name: float(value) for name, value in program(stack).items()}
            seconds += time.monotonic() - before
            step, updates = step + size, updates + size
            bar.update(size)
            check_finite(losses, step, directory)
            if step % log_every == 0 or step == total:
                row = {"step": step, **losses, **module.measure(model, model_config, source)}
                check_finite(row, step, directory)
                row["updates_per_second"] = round(updates / seconds, 1)
                updates, seconds = 0, 0.0
                directory.log(row)
                if writer:
                    write_scalars(writer, row)
                line = module.LOG_LINE.format(**row)
                line += f", {row['updates_per_second']:.0f} updates/s"
                if bar.disable:
                    left = (time.monotonic() - begin) / (step - start) * (total - step)
                    line += f", {tqdm.format_interval(left)} left"
                bar.write(line)
                module.draw_progress(model, directory.pictures, step)
            every = arguments.checkpoint_every
            if step // every > saved // every or step == total or stop.requested:
                weights = {v.path: float(tf.reduce_sum(v)) for v in model.trainable_variables}
                check_finite(weights, step, directory)
                directory.save(model, step)
                saved = step
            if stop.requested:
                raise stop.requested


def calls(module, model_config, source, start):
    """Yield, from step `start` to the last: how many updates to do now, their stacked batches."""
    total, log_every = model_config.steps, model_config.log_every

    def sizes():
        step = start
        while step < total:
            # A function of the step alone, so that a resumed run makes the same calls; and few
            # different sizes, since XLA compiles the program anew for each.
            begin = step - step % log_every
            interval = min(log_every, total - begin)
            size = math.ceil(interval / math.ceil(interval / UPDATES_PER_CALL))
            size = min(size, begin + interval - step)
            yield size
            step += size

    step = start
    for size, group in itertools.groupby(sizes()):
        count = sum(1 for _ in group)
        batches = module.batches(model_config, source, start=step).batch(size)
        for stack in batches.take(count).prefetch(1):
            yield size, stack
        step += size * count


def check_finite(values, step, directory):
    """Raise UserError if one of `values`, a dict of floats, is not finite."""
    for name, value in values.items():
        if not math.isfinite(value):
            raise cli.UserError(
                f"{name} is {value} at step {step}; earlier checkpoints are in "
                f"{directory.checkpoints}. Try a lower --learning-rate or another --seed, in "
                "another --run-dir"
            )


def finish(model, module, model_config, source, directory, settings):
    """Draw the final pictures, export, and print where everything is."""
    from tf_gen.export import export

    history = directory.read_history()
    pictures = module.draw_report(model, source, directory.pictures, history)
    export(model, directory.saved_model, settings)
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


if __name__ == "__main__":
    cli.run(main)
