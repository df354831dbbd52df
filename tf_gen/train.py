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
        raise cli.UserError("--tensorboard needs TensorBoard: pip install 'tf_gen[tensorboard]'")
    cli.import_tensorflow()
    import tensorflow as tf

    from tf_gen import data, run

    module = load(arguments.model)
    model_config = module.Config(**settings)
    source = data.load(arguments.data)
    print(source)
    described = run.settings(arguments.model, settings, arguments.checkpoint_every, source)
    run_dir = arguments.run_dir or Path("runs", arguments.model)
    with run.RunDirectory(run_dir, described) as directory:
        if directory.finished:
            print(
                f"{run_dir}: finished already, nothing to do; another run needs another --run-dir"
            )
            return 0
        device = "GPU" if tf.config.list_physical_devices("GPU") else "CPU"
        print(f"training {arguments.model} on {device}, TensorFlow {tf.__version__}, in {run_dir}")
        model = module.build(model_config)
        start, warnings = directory.restore(model)
        for warning in directory.warnings + warnings:
            print(f"warning: {warning}", file=sys.stderr)
        if start:
            print(f"continuing at step {start}")
        signum = train(model, module, model_config, source, directory, start, arguments)
        if signum:
            again = shlex.join(["python", "-m", "tf_gen.train", *(argv or sys.argv[1:])])
            print(f"stopped; to continue: {again}")
            return 128 + signum
        if arguments.tensorboard:
            print(f"TensorBoard: tensorboard --logdir {arguments.tensorboard}")
        finish(model, module, model_config, source, directory, described)
    return 0


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
            help="updates between two checkpoints (default: 1000)",
        )
        flags.add_argument("--tensorboard", type=Path, metavar="DIR", help="write its log there")
    arguments = parser.parse_args(argv)
    source, flags = sources[arguments.model], subparsers.choices[arguments.model]
    preset = dataclasses.asdict(source.presets[arguments.preset])
    settings = {name: getattr(arguments, name, value) for name, value in preset.items()}
    try:
        source.Config(**settings)
    except ValueError as error:
        flags.error(str(error))
    if arguments.checkpoint_every < 1:
        flags.error(f"checkpoint_every must be at least 1, not {arguments.checkpoint_every}")
    return arguments, settings


def train(model, module, model_config, source, directory, start, arguments):
    """Bring `model` from step `start` to the last; return the signal that stopped it, or None."""
    import tensorflow as tf
    from tqdm import tqdm

    program = tf.function(model.train_step, jit_compile=True)
    total, log_every = model_config.steps, model_config.log_every
    writer = None
    if arguments.tensorboard:
        writer = tf.summary.create_file_writer(str(arguments.tensorboard))
    step, seconds, begin = start, 0.0, time.monotonic()
    updates = 0  # since the last line of the log
    stop = StopRequest()
    bar = tqdm(total=total, initial=start, unit="update", disable=not sys.stderr.isatty())
    with stop, bar:
        for size, stack in calls(module, model_config, source, start, arguments.checkpoint_every):
            before = time.monotonic()
            losses = {name: float(value) for name, value in program(stack).items()}
            seconds += time.monotonic() - before
            step, updates = step + size, updates + size
            bar.update(size)
            if not math.isfinite(losses["loss"]):
                raise cli.UserError(
                    f"the loss is {losses['loss']} at step {step}; the checkpoints before it are "
                    f"in {directory.checkpoints}. Try a lower --learning-rate or another --seed"
                )
            if step % log_every == 0 or step == total:
                row = {"step": step, **losses, **module.measure(model, model_config, source)}
                row["updates_per_second"] = round(updates / seconds, 1)
                updates, seconds = 0, 0.0
                directory.log(row)
                if writer:
                    write_scalars(writer, row)
                line = (
                    module.LOG_LINE.format(**row) + f", {row['updates_per_second']:.0f} updates/s"
                )
                if bar.disable:
                    left = (time.monotonic() - begin) / (step - start) * (total - step)
                    line += f", {tqdm.format_interval(left)} left"
                bar.write(line)
                module.draw_progress(model, directory.pictures, step)
            if step % arguments.checkpoint_every == 0 or step == total or stop.signum:
                directory.save(model, step)
            if stop.signum:
                return stop.signum
    return None


def calls(module, model_config, source, start, checkpoint_every):
    """Yield, from step `start` to the last: how many updates to do now, their stacked batches."""

    def sizes():
        step = start
        while step < model_config.steps:
            # A function of the step alone, so that a resumed run makes the same calls.
            size = min(
                UPDATES_PER_CALL,
                model_config.log_every - step % model_config.log_every,
                checkpoint_every - step % checkpoint_every,
                model_config.steps - step,
            )
            yield size
            step += size

    step = start
    for size, group in itertools.groupby(sizes()):
        count = sum(1 for _ in group)
        batches = module.batches(model_config, source, start=step).batch(size)
        for stack in batches.take(count).prefetch(1):
            yield size, stack
        step += size * count


def finish(model, module, model_config, source, directory, settings):
    """Draw the final pictures, export, and print where everything is."""
    from tf_gen.export import export

    history = directory.read_history()
    pictures = module.draw_report(model, source, directory.pictures, history)
    export(model, directory.saved_model, settings)
    print(f"history:     {directory.history}")
    print(f"checkpoints: {directory.checkpoints}")
    print(f"pictures:    {directory.pictures} ({', '.join(pictures)})")
    print(f"SavedModel:  {directory.saved_model}")
    print(f"next: python -m tf_gen.sample {directory.saved_model} {module.SAMPLE_FLAGS}")


class StopRequest:
    """In `with`, the first SIGINT or SIGTERM is noted in `signum`; a second one acts at once."""

    def __init__(self):
        self.signum = None

    def __enter__(self):
        self.handlers = {s: signal.signal(s, self._note) for s in (signal.SIGINT, signal.SIGTERM)}

    def __exit__(self, *exception):
        for signum, handler in self.handlers.items():
            signal.signal(signum, handler)

    def _note(self, signum, frame):
        self.signum = signum
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
