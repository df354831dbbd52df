"""Train a model: `python -m tf_gen.train vae`.

settings -> data -> model -> updates, log, checkpoints -> pictures -> SavedModel
"""

import contextlib
import dataclasses
import functools
import importlib.util
import math
import os
import shlex
import shutil
import sys
from pathlib import Path

from tf_gen import cli, device, files, flags, savedmodel, strategies
from tf_gen.errors import UserError
from tf_gen.models import load
from tf_gen.settings import Count

SECONDS_BETWEEN_CHECKPOINTS = 5.0  # the least, unless --checkpoint-every is given
ANIMATIONS = (".gif", ".webp", ".mp4")


def main(argv=None):
    arguments, settings = parse(argv)
    if arguments.tensorboard and not importlib.util.find_spec("tensorboard"):
        raise UserError("--tensorboard needs TensorBoard: pip install 'tensorboard>=2.20,<3'")
    if arguments.anim_path:
        check_animation(arguments.anim_path)
    run_dir = arguments.run_dir or Path("runs", arguments.model)
    for directory in filter(None, (run_dir, arguments.tensorboard)):
        files.check_directory(directory)
    strategy = cli.import_tensorflow(
        lean=True,
        one_thread=flags.is_small(settings, arguments.data),
        start=arguments.strategy and functools.partial(strategies.start, arguments.strategy),
    )
    import tensorflow as tf

    from tf_gen import base, distributed, plots, rundir, tasks

    base.use_xla = arguments.jit
    recipe = load(arguments.model)
    config = recipe.Config(**settings)
    if strategy and config.batch_size % (count := strategy.num_replicas_in_sync):
        words = f"must be a multiple of {count}, the number of devices"
        arguments.usage_error(f"argument --batch-size: {words}")
    data = rundir.data_of(run_dir, arguments.data)
    source = tasks.source_for(recipe, data, arguments.resize, arguments.invert)
    report = tasks.report(recipe, config, source)
    # Before anything is written, since the model may not fit into memory.
    replicas = None
    if strategy:
        shared = shared_settings(report, arguments)
        replicas = distributed.Replicas(strategy, lambda: recipe.build(config), shared)
    model = replicas.model if replicas else recipe.build(config)
    if arguments.anim_path:
        plots.try_animation(arguments.anim_path)

    def same_updates(steps):
        """Whether a run of this number of steps makes the same first updates as this run."""
        shorter = recipe.build(dataclasses.replace(config, steps=steps))
        return optimizers_of(shorter) == optimizers_of(model)

    parts = f"{arguments.strategy}, {replicas.count} parts" if replicas else None
    where = ", ".join(filter(None, [device.describe(), parts, f"TensorFlow {tf.__version__}"]))
    if replicas and replicas.count == 1:
        cli.warn(f"--strategy {arguments.strategy}: gains nothing, since there is only one device")
    if replicas and not replicas.chief:
        print(f"training {arguments.model} on {where}, for the chief, which writes the run")
        with replicas:
            help_chief(replicas, recipe, report, arguments)
        return 0
    manifest = rundir.manifest(arguments.model, settings, source, parts)
    with (
        replicas or contextlib.nullcontext(),
        rundir.RunDirectory(run_dir, manifest, same_updates) as directory,
    ):
        if directory.finished:
            if replicas:
                replicas.begin(config.steps)
            answer_finished(model, report, directory, arguments)
            return 0
        if arguments.tensorboard:
            arguments.tensorboard.mkdir(parents=True, exist_ok=True)
        print(f"training {arguments.model} on {where}, in {run_dir}")
        start, snapshots, warnings = directory.resume(model)
        if directory.extended_from:
            print(f"extending a run of {directory.extended_from} steps")
        if start and arguments.anim_path and not snapshots:
            warnings.append(f"the animation begins at step {start}")
        cli.warn(*directory.warnings, *warnings)
        if start or directory.extended_from:
            print(f"continuing at step {start}")
        rows = directory.read_history()
        ended = rows and int(rows[-1]["step"]) == start and report.reached(rows[-1])
        if ended:
            print(f"the run has ended at step {start}: {ended}")
        if replicas:
            replicas.begin(config.steps if ended else start)
        try:
            if not ended:
                train(model, replicas, recipe, report, directory, start, snapshots, arguments)
            export(model, report, directory, manifest)
            draw(model, report, directory, snapshots, arguments.anim_path)
        except KeyboardInterrupt:
            again = shlex.join(["python", "-m", "tf_gen.train", *(argv or sys.argv[1:])])
            with contextlib.suppress(BrokenPipeError):  # the output may be closed
                print(f"stopped; to continue: {again}")
            raise
        if arguments.tensorboard:
            print(f"or: tensorboard --logdir {cli.typed(arguments.tensorboard)}")
    return 0


def parse(argv):
    """Parse the command line without TensorFlow; return the arguments and the Config as a dict."""
    parser = cli.Parser(prog="tf_gen.train", description="Train one of the models.")
    commands = flags.subcommands(parser)
    for name, (command, outline) in commands.items():
        flags.add(command, outline)
        flags.add_data(command, outline)
        command.option("--run-dir", cli.path, f"directory of the run (default: runs/{name})")
        words = (
            "updates between two checkpoints; a checkpoint is written at the end of a call of up "
            "to 100 updates or of log-every (default: 1000, and at least 5 seconds apart)"
        )
        command.option("--checkpoint-every", Count, words, metavar="INT")
        words = "draw an animation of the training: .gif, .webp or .mp4 (which needs ffmpeg)"
        command.option("--anim-path", cli.path, words, metavar="FILE")
        words = "updates between two frames of the animation (default: as --log-every)"
        command.option("--anim-every", Count, words, metavar="INT")
        words = "write the graph of the training step, the log and samples for TensorBoard to DIR"
        command.option("--tensorboard", cli.path, words, metavar="DIR")
        words = (
            "train on several devices, each of which computes an equal part of every batch: "
            "mirrored, on all GPUs of this machine; multi-worker, on the machines that the "
            "environment variable TF_CONFIG names, with the same command on each. Not for models "
            "whose update is not a mean over examples. XLA is not used"
        )
        command.add_argument("--strategy", choices=strategies.STRATEGIES, help=words)
        flags.add_no_jit(command)
        command.set_defaults(usage_error=command.error)
    arguments = parser.parse_args(argv)
    command, outline = commands[arguments.model]
    settings = flags.chosen(command, outline, arguments)
    if arguments.anim_every and not arguments.anim_path:
        command.error("argument --anim-every: needs --anim-path")
    if arguments.anim_path and arguments.anim_path.suffix.lower() not in ANIMATIONS:
        command.error(
            f"argument --anim-path: must end in {', '.join(ANIMATIONS)}, not "
            f"{arguments.anim_path.name!r}"
        )
    if arguments.anim_path and not arguments.anim_every:
        arguments.anim_every = settings["log_every"]
    if arguments.strategy:
        if reason := outline.Config(**settings).whole_batch:
            command.error(f"argument --strategy: a batch cannot be split: {reason}")
        if arguments.strategy == "multi-worker":
            try:
                strategies.read()
            except ValueError as error:
                command.error(f"argument --strategy: multi-worker: {error}")
    return arguments, settings


def check_animation(path):
    """Raise UserError if an animation could not be written to `path` after the training."""
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise UserError(
            f"--anim-path {path}: not a file in an existing directory that can be written"
        )
    if path.suffix.lower() == ".mp4" and not shutil.which("ffmpeg"):
        raise UserError(
            f"--anim-path {path}: .mp4 needs the program ffmpeg (apt install ffmpeg, brew install "
            "ffmpeg, conda install ffmpeg); or ask for a .gif"
        )


def optimizers_of(model):
    """The optimisers of `model` with their schedules: a dict.

    Nothing else in an update may depend on `config.steps`.
    """
    settings = model.get_compile_config()
    for optimizer in settings.values():
        if isinstance(optimizer, dict):
            del optimizer["config"]["name"]  # Keras numbers the names
    return settings


def calls(recipe, report, start, arguments):
    """`loop.calls` from step `start` to the last one."""
    from tf_gen import loop

    # A call should not go far beyond a checkpoint or a picture that was asked for.
    pictures_every = samples_every(report) if arguments.tensorboard else report.config.steps
    longest = min(arguments.checkpoint_every or report.config.steps, pictures_every)
    lines = 1 if arguments.strategy else max(1, longest // report.config.log_every)
    blocks = recipe.blocks(report.config, report.source)
    return loop.calls(blocks, report, start, arguments.anim_every, lines)


def samples_every(report):
    """The number of updates between two pictures for TensorBoard."""
    from tf_gen import tensorboard

    return max(report.config.log_every, report.config.steps // tensorboard.SAMPLES)


def shared_settings(report, arguments):
    """The settings that all workers must share, or their calls would differ: a dict."""
    intervals = [arguments.anim_every, arguments.checkpoint_every, bool(arguments.tensorboard)]
    settings = dataclasses.asdict(report.config)
    data = report.source and report.source.sha256
    return {"model": arguments.model, "config": settings, "data": data, "intervals": intervals}


def help_chief(replicas, recipe, report, arguments):
    """Compute this worker's part of each update of the chief's run."""
    from tf_gen import loop

    step = replicas.begin()
    schedule = calls(recipe, report, step, arguments)
    program, log_every = replicas.program(), report.config.log_every
    with replicas.stop as stop:
        for _ in loop.updates(replicas.model, program, schedule, step, log_every):
            if stop.requested:
                print("stopped")
                raise stop.requested


def train(model, replicas, recipe, report, directory, start, snapshots, arguments):
    """Train `model` from step `start` to the last step, or until it reaches a limit of its report.

    If there are several devices, `replicas` make the updates; otherwise it is None. `snapshots` are
    the frames of the animation up to `start`; this function appends to them. After a first SIGINT
    or SIGTERM, the state is saved and then the signal's exception is raised. Raises UserError if
    the model diverges.
    """
    from tf_gen import loop, plots, tensorboard

    total, log_every, anim_every = (
        report.config.steps,
        report.config.log_every,
        arguments.anim_every,
    )
    pause = 0.0 if arguments.checkpoint_every else SECONDS_BETWEEN_CHECKPOINTS
    log, frames = loop.Clock(log_every, start), loop.Clock(anim_every or total, start)
    samples = loop.Clock(samples_every(report), start)
    checkpoints = loop.Clock(arguments.checkpoint_every or 1000, start, pause)
    program = replicas.program(report.observe) if replicas else loop.program(model, report.observe)
    if arguments.tensorboard:
        board = tensorboard.Writer(arguments.tensorboard)
        if not replicas:  # their program is more than one graph
            program = board.watch(program)
    schedule = calls(recipe, report, start, arguments)
    between = anim_every and start < total and start % anim_every
    if between and snapshots and snapshots[-1]["step"] == start:
        snapshots.pop()  # the last frame of a shorter run; this run has none at this step
    stop_request = replicas.stop if replicas else cli.StopRequest()
    with stop_request as stop, loop.Progress(total, start, unit="update") as progress:

        def show(text):
            with stop.showing():  # so that nothing unsaved is lost after `| head`
                progress.print(text)

        for stretches in loop.updates(model, program, schedule, start, log_every):
            step = stretches[-1].step

            # The log.
            rows = write_log(stretches, log, report, directory, show)
            reached = report.reached(rows[-1]) if rows else ""
            ending = bool(reached) or step == total

            # TensorBoard.
            if rows and arguments.tensorboard:
                board.rows(rows)
                if samples.due(step, ending):
                    board.samples(report, model, step)

            # Pictures of the progress.
            if rows and report.progress:
                plots.save(report.progress(model), directory.pictures / f"samples-{step:06d}.png")

            # Frames of the animation.
            if arguments.anim_path and frames.due(step, ending):
                snapshots.append({**report.snapshot(model), "step": step})

            # Checkpoints.
            if checkpoints.due(step, ending or bool(stop.requested)):
                check_weights(model, step, directory)
                directory.save(model, step, snapshots)

            # The end.
            if stop.requested:
                raise stop.requested
            with stop.showing():
                progress.update(step, f"{step} of {total} updates")
            if reached:
                show(f"stopping at step {step} of {total}: {reached}")
                return


def write_log(stretches, log, report, directory, show):
    """Write and `show` the rows of the log that are due in a call; return them, a list of dicts.

    If the model diverges, this writes the rows before that and raises UserError.
    """
    rows = []
    try:
        for stretch in stretches:
            check_finite(stretch.losses, stretch.step, directory)
            if log.due(stretch.step, ending=stretch.step == report.config.steps):
                row = {"step": stretch.step, **stretch.losses, **report.measure(stretch.seen)}
                check_finite(row, stretch.step, directory)
                rows.append({**row, "updates_per_second": stretch.updates_per_second})
    finally:
        if rows:
            directory.log(rows)
            show("\n".join(report.log_line.format(**row) for row in rows))
    return rows


def check_weights(model, step, directory):
    """Raise UserError if a weight is not finite."""
    import tensorflow as tf

    sums = {variable.path: float(tf.reduce_sum(variable)) for variable in model.trainable_variables}
    check_finite(sums, step, directory)


def check_finite(values, step, directory):
    """Raise UserError if one of `values`, a dict of floats, is not finite."""
    for name, value in values.items():
        if not math.isfinite(value):
            raise UserError(
                f"{name} is {value} at step {step}; earlier checkpoints are in "
                f"{directory.checkpoints}. Try a lower learning rate or another --seed, in "
                "another --run-dir"
            )


def export(model, report, directory, manifest):
    """Write the SavedModel. This comes before the pictures, so that their failure does no harm."""
    latent_map = report.latent_map(model) if report.latent_map else None
    with directory.new_saved_model() as path:
        savedmodel.write(model, path, manifest, latent_map)
    print(f"history:     {directory.history}")
    print(f"checkpoints: {directory.checkpoints}")
    print(f"SavedModel:  {directory.saved_model}")


def draw(model, report, directory, snapshots, anim_path):
    """Draw the pictures of a trained model and print where they are.

    Raises UserError if a picture or the animation failed. The run is finished all the same.
    """
    try:
        names = draw_pictures(model, report, directory)
        print(f"pictures:    {directory.pictures} ({', '.join(names)})")
        if anim_path:
            if not snapshots:  # the run had ended except for its pictures
                step = int(directory.read_history()[-1]["step"])
                snapshots.append({**report.snapshot(model), "step": step})
            animate(report, snapshots, anim_path)
        write_explorer(report, directory, snapshots)
    except Exception as error:  # from matplotlib, Pillow, ffmpeg or the disk
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"the model is trained and safe in {directory.saved_model}, but drawing failed: "
            f"{reason}; the same command draws again"
        ) from error
    directory.drawn()
    flags = report.sample_flags
    print(f"next: python -m tf_gen.sample {cli.typed(directory.saved_model)} {flags}")


def draw_pictures(model, report, directory):
    """Draw the final pictures; return their names."""
    from tf_gen import plots

    pictures = report.pictures(model, directory.read_history())
    for name, picture in pictures.items():
        plots.save(picture, directory.pictures / name)
    names = list(pictures)
    course = sorted(directory.pictures.glob("samples-*.png"), key=lambda p: (len(p.name), p.name))
    if report.progress_animation and course:  # the user may have deleted them
        frames = (plots.read(path) for path in course)
        plots.animation(frames, directory.pictures / report.progress_animation, fps=5)
        names.append(report.progress_animation)
    return names


def write_explorer(report, directory, snapshots):
    """Write the explorer's page for the model and print where it is."""
    from tf_gen import explorer

    page = directory.path / "explorer.html"
    course = report.course(snapshots) if report.course and snapshots else None
    name = cli.typed(directory.path)
    try:
        explorer.write(directory.saved_model, page, name, report.source, course)
    except UserError as error:  # the page does not know an operation of a network
        cli.warn(f"no page to explore the model: {error}")
    else:
        print(f"open:        {page.absolute().as_uri()}")


def animate(report, snapshots, path):
    """Write the animation of all `snapshots` to `path` and print where it is."""
    from tqdm import tqdm

    from tf_gen import plots

    frames = report.frames(snapshots)
    plots.animation(tqdm(frames, "animation", len(snapshots), disable=None, leave=False), path)
    print(f"animation:   {path} ({len(snapshots)} frames)")


def answer_finished(model, report, directory, arguments):
    """Say that a run is finished; draw pictures that are missing, and an animation if wanted."""
    from tf_gen import rundir

    print(
        f"{directory.path}: finished already, nothing to train; another run needs another --run-dir"
    )
    if not directory.drawing and not arguments.anim_path:
        return
    _, snapshots, damaged = rundir.restore(model, directory.path)
    cli.warn(*(f"checkpoint {newer} is damaged and left out" for newer in damaged))
    if directory.drawing:
        draw(model, report, directory, snapshots, arguments.anim_path)
    elif snapshots:
        animate(report, snapshots, arguments.anim_path)
    else:
        print("this run kept no frames of its training; to get an animation, train again")


if __name__ == "__main__":
    cli.run(main)
