"""Measure a model: `python -m tf_gen.evaluate gaussian_gan --seeds 100`.

One run of a GAN says nothing; the distribution over seeds does. All runs go through one compiled
program and one pipeline, whose variables are set anew for each seed, so that a hundred small runs
take less than a minute.
With `--run DIR` a run of `tf_gen.train` is measured instead, which unlike the runs made here can be
stopped on its way.
"""

import argparse
import copy
import csv
import dataclasses
import errno
import functools
import io
import itertools
import os
import re
import shlex
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tf_gen import cli, files, flags
from tf_gen.errors import UserError
from tf_gen.models import load

BUILT_AHEAD = 10  # models for the next seeds: as many as are built while the program is compiled
COLUMNS = ("mean", "sd", "min", "10 %", "median", "90 %", "max")


def main(argv=None):
    arguments, settings = parse(argv)
    files.check_directory(arguments.out or Path("runs"))
    if arguments.judge:
        check_judge(arguments.judge)
    cli.import_tensorflow(lean=True, one_thread=flags.is_small(settings, arguments.data))
    from tf_gen import base

    base.use_xla = arguments.jit
    if arguments.run:
        measure_run(arguments)
    else:
        measure_seeds(arguments, settings, argv or sys.argv[1:])
    return 0


def measure_run(arguments):
    """Measure the newest checkpoint of a run of `tf_gen.train`."""
    from tf_gen import rundir, tasks

    manifest, recipe, config = rundir.identify(arguments.run)
    if manifest["model"] != arguments.model:
        raise UserError(f"{arguments.run}: a run of {manifest['model']}")
    data = rundir.data_of(arguments.run, arguments.data)
    source = tasks.source_for(recipe, data, arguments.resize, arguments.invert)
    if source and source.sha256 != manifest["data"]["sha256"]:
        raise UserError(
            f"{arguments.run}: trained on other images ({manifest['data']['source']}); name "
            "them with --data, and --resize or --invert if it had them"
        )
    model = recipe.build(config)
    step, _, damaged = rundir.restore(model, arguments.run)
    cli.warn(*(f"checkpoint {directory} is damaged and left out" for directory in damaged))
    out = arguments.out or Path("runs", f"evaluate-{arguments.run.resolve().name}-step-{step}")
    report = tasks.report(recipe, config, source, load_judge(source, arguments))
    with rundir.RunDirectory(out, {**manifest, "evaluation": True, "step": step}) as directory:
        cli.warn(*directory.warnings)
        print(f"measuring step {step} of {arguments.run}; results go to {out}")
        score = report.score(model)
        figures = plain(score)
        lines = [f"| {arguments.model}, step {step} | |", "|---|---|"]
        for name, value in figures.items():
            lines.append(f"| {name} | {value if isinstance(value, bool) else f'{value:.4g}'} |")
        summary = {"step": step, **figures}
        write(report, {config.seed: score}, summary, lines, out)
        if (arguments.run / "saved_model").exists():
            run = cli.typed(arguments.run)
            print(f"next: python -m tf_gen.sample {run} {report.sample_flags}")


def measure_seeds(arguments, settings, argv):
    """Train from many seeds and measure each; what is there already is only read."""
    from tf_gen import rundir, tasks

    recipe = load(arguments.model)
    config = recipe.Config(**settings)
    source = tasks.source_for(recipe, arguments.data, arguments.resize, arguments.invert)
    settings.pop("seed")
    report = tasks.report(recipe, config, source, load_judge(source, arguments))
    manifest = {**rundir.manifest(arguments.model, settings, source), "evaluation": True}
    if report.judge:
        manifest["judge"] = report.judge.sha256  # scores that are kept must be of the same one
    out = arguments.out or Path("runs", f"evaluate-{arguments.model}-{arguments.preset}")
    with rundir.RunDirectory(out, manifest) as directory:
        cli.warn(*directory.warnings)
        seeds = arguments.seeds
        print(
            f"training {len(seeds)} seeds of {arguments.model}, {seeds[0]} to {seeds[-1]}; results "
            f"go to {out}"
        )
        try:
            scores = train_seeds(recipe, report, out / "seeds", seeds)
        except KeyboardInterrupt:
            again = shlex.join(["python", "-m", "tf_gen.evaluate", *argv])
            print(f"stopped; to go on with the seeds that are left: {again}")
            raise
        summary = summarise(scores)
        write(report, dict(zip(seeds, scores, strict=True)), summary, table_of(summary), out)
        run_dir = Path("runs", f"{out.name.removeprefix('evaluate-')}-{seeds[0]}")
        train = train_command(arguments, settings)
        print(f"next: {train} --seed {seeds[0]} --run-dir {cli.typed(run_dir)}")


def load_judge(source, arguments):
    """The `judge.Judge` of models of images; None for a model without."""
    if source is None:
        return None
    from tf_gen.tasks import judge

    path = arguments.judge or Path("runs", f"judge-{source.sha256[:8]}.keras")
    return judge.Judge(source, path)


def check_judge(path):
    """Raise OSError if `path` is no file and none can be written there."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not path.exists():
        files.check_directory(path.parent)


def train_command(arguments, settings):
    """The command that makes one of the runs, without its seed."""
    outline = flags.read(arguments.model)
    command = f"python -m tf_gen.train {flags.command_line(outline, arguments.preset, settings)}"
    if outline.with_images:
        command += f" --data {cli.typed(arguments.data)}"
    return command + " --resize" * arguments.resize + " --invert" * arguments.invert


def parse(argv):
    """Parse the command line without TensorFlow; return the arguments and the Config as a dict."""
    parser = cli.Parser(
        prog="tf_gen.evaluate", description="Measure a model, over many seeds or of a run."
    )
    commands = flags.subcommands(parser)
    for name, (command, outline) in commands.items():
        words = (
            "measure the newest checkpoint of this run of tf_gen.train, and train nothing: for "
            "runs that take long, of which nothing is kept here before they are done"
        )
        command.option("--run", cli.path, words, metavar="DIR")
        default = 1 if outline.with_images else 10
        words = f"how many runs, seeds from 0, or their seeds, as 1000-1019 (default: {default})"
        command.add_argument("--seeds", type=seed_range, help=words, metavar="INT[-INT]")
        flags.add(command, outline, without=("seed",))
        flags.add_data(command, outline)
        command.set_defaults(judge=None)
        if outline.with_images:
            words = (
                "the classifier that judges digits, a .keras file; trained and written there if "
                "it is missing (default: runs/judge-DATA.keras)"
            )
            command.option("--judge", cli.path, words, metavar="FILE")
        words = (
            f"where to keep the results (default: runs/evaluate-{name}-PRESET, or "
            "runs/evaluate-RUN-step-STEP); seeds of the same settings there are not trained again"
        )
        command.option("--out", cli.path, words, metavar="DIR")
        flags.add_no_jit(command)
    arguments = parser.parse_args(argv)
    command, outline = commands[arguments.model]
    settings = flags.chosen(command, outline, arguments)
    if arguments.run:
        changed = [name for name in settings if name in arguments]
        if changed or arguments.seeds is not None or arguments.preset != "article":
            command.error("argument --run: has its settings already; give no others")
    elif arguments.seeds is None:
        arguments.seeds = range(1 if outline.with_images else 10)
    if arguments.judge and arguments.judge.suffix != ".keras":
        command.error(f"argument --judge: must end in .keras, not {arguments.judge.name!r}")
    return arguments, settings


def seed_range(text):
    """The range that `--seeds` names: 0 .. N - 1 by "N", FIRST .. LAST by "FIRST-LAST"."""
    numbers = re.fullmatch(r"(?:(\d+)-)?(\d+)", text)
    if not numbers:
        words = f"must be a number of seeds, at least 1, or two as 1000-1019, not {text!r}"
        raise argparse.ArgumentTypeError(words)
    first, last = numbers.groups()
    chosen = range(int(first), int(last) + 1) if first else range(int(last))
    if not chosen:
        words = "at least 1" if first is None else f"two seeds in ascending order, not {text}"
        raise argparse.ArgumentTypeError(f"must be {words}")
    if chosen[-1] >= 2**31:
        raise argparse.ArgumentTypeError(f"must be below 2**31, not {chosen[-1]}")
    return chosen


def train_seeds(recipe, report, directory, seeds):
    """Train and score `seeds`; those that `directory` holds are only read.

    Args:
        recipe, report: a module of `tf_gen.models`, and what reports on its models; the seed of
            its config is replaced.
        directory: path, where each seed's score is kept, in a file of its own.
        seeds: sequence of Python ints.

    Returns:
        list of dicts, the `score` of each seed.
    """
    import numpy as np
    import tensorflow as tf

    from tf_gen import loop, tasks

    directory.mkdir(exist_ok=True)
    files.remove_leftovers(directory)
    paths = {seed: directory / f"{seed:05d}.npz" for seed in seeds}
    scores = {seed: read_score(path) for seed, path in paths.items()}
    missing = [seed for seed, score in scores.items() if score is None]
    if not missing:
        return list(scores.values())
    configs = [dataclasses.replace(report.config, seed=seed) for seed in missing]
    model = recipe.build(report.config)
    program = loop.program(model, report.observe)
    seed_of_batches = tf.Variable(0, dtype=tf.int64)
    blocks = blocks_of(recipe, report, seed_of_batches)
    # The next models are built while one trains, for their weights only.
    with loop.Progress(len(missing), unit="seed") as progress:
        states = initial_states(recipe, configs)
        for done, (config, initial) in enumerate(zip(configs, states, strict=True), 1):
            for variable, value in zip(model.state, initial, strict=True):
                variable.assign(value)
            seed_of_batches.assign(config.seed)
            seed_report = tasks.report(recipe, config, report.source, report.judge)
            scores[config.seed] = score = train_seed(seed_report, model, program, blocks)
            with files.beside(paths[config.seed]) as temporary, temporary.open("wb") as file:
                np.savez(file, **score)
            progress.update(done, f"seed {config.seed} done")
    return list(scores.values())


def initial_states(recipe, configs):
    """The `initial_state` of each of `configs`, of which some are made ahead: a generator."""
    build = functools.partial(initial_state, recipe)
    later = iter(configs)
    builder = ThreadPoolExecutor(1)
    try:
        upcoming = deque(builder.submit(build, c) for c in itertools.islice(later, BUILT_AHEAD))
        while upcoming:
            initial = upcoming.popleft().result()
            upcoming.extend(builder.submit(build, c) for c in itertools.islice(later, 1))
            yield initial
    finally:
        builder.shutdown(cancel_futures=True)  # after Ctrl-C nobody waits for all of them


def initial_state(recipe, config):
    """The `state` of a model that `config` builds: list of NumPy arrays.

    In a thread of its own, since Keras numbers the names of layers and starts anew in each thread.
    TensorFlow keeps the operation that makes a variable of a name, and half of the time of a build
    goes into new ones.
    """
    with ThreadPoolExecutor(1) as thread:
        model = thread.submit(recipe.build, config).result()
    return [variable.numpy() for variable in model.state]


def blocks_of(recipe, report, seed):
    """The `blocks` of `seed`, a `tf.Variable` int64 []: one program makes those of all seeds."""
    config = copy.copy(report.config)
    object.__setattr__(config, "seed", seed)  # `Config` is frozen and takes numbers only
    return recipe.blocks(config, report.source)


def read_score(path):
    """The score kept in `path`, a dict; None if it is not there or damaged."""
    import numpy as np

    if not path.exists():
        return None
    try:
        with np.load(io.BytesIO(path.read_bytes())) as file:
            return {name: value[()] for name, value in file.items()}
    except Exception:  # damage can look like anything to zipfile: encrypted, say
        cli.warn(f"{path} is damaged; training this seed again")
        return None


def train_seed(report, model, program, blocks):
    """Train `model` from its first step with `program`, its compiled `loop.program`.

    `blocks` are a recipe's, of this seed. Returns the model's score.
    """
    import numpy as np

    from tf_gen import loop

    config = report.config
    finite, steps = True, config.steps
    # Without limits nothing is measured on the way, and the calls are as large as they may be.
    log_every = config.log_every if report.limits else config.steps
    schedule = loop.calls(blocks, report, log_every=log_every)
    with loop.Progress(steps, unit="update", leave=False, delay=10) as progress:
        for stretches in loop.updates(model, program, schedule, 0, log_every):
            (last,) = stretches
            finite = finite and all(np.isfinite(value) for value in last.losses.values())
            progress.update(last.step, f"seed {config.seed}: {last.step} of {steps} updates")
            measured = report.limits and last.step % config.log_every == 0
            if measured and report.reached(report.measure(last.seen)):
                steps = last.step
                break
    score = report.score(model)
    score["diverged"] = score["diverged"] or not finite
    return {**score, "steps": steps} if report.limits else score


def plain(score):
    """The figures of a `score`, without its arrays: dict of Python floats and bools."""
    import numpy as np

    return {name: np.asarray(v).item() for name, v in score.items() if np.ndim(v) == 0}


def summarise(scores):
    """Statistics over seeds: dict of a figure's name to a dict of COLUMNS, or to a share.

    Bools become shares, of all seeds. Arrays are left out. Seeds whose figure is not finite, or
    that have none, are left out of its statistics; `diverged` counts them.
    """
    import numpy as np

    summary = {"seeds": len(scores)}
    rows = [plain(score) for score in scores]
    for name in dict.fromkeys(name for row in rows for name in row):
        values = np.array([row[name] for row in rows if name in row])
        if values.dtype == bool:
            summary[name] = float(values.mean())
            continue
        values = values[np.isfinite(values)]
        if len(values):
            quantiles = np.quantile(values, [0, 0.1, 0.5, 0.9, 1])
            row = [values.mean(), values.std(), *quantiles]
            summary[name] = dict(zip(COLUMNS, map(float, row), strict=True))
    return summary


def table_of(summary):
    """The lines of a table in Markdown of what `summarise` returned."""
    lines = [f"| {summary['seeds']} seeds | {' | '.join(COLUMNS)} |"]
    lines.append("|---" * (len(COLUMNS) + 1) + "|")
    shares = []
    for name, value in summary.items():
        if isinstance(value, dict):
            figures = " | ".join(f"{value[column]:.4g}" for column in COLUMNS)
            lines.append(f"| {name} | {figures} |")
        elif name != "seeds":
            shares.append(f"{name} {value:.0%}")
    return [*lines, "", ", ".join(shares)]


def write(report, scores, summary, lines, out):
    """Print a table, write it, the numbers and a picture to `out`, and say where they are.

    `scores` has the score of each seed, `summary` what summary.json says, `lines` the table.
    """
    from tf_gen import plots

    if judge := report.judge:
        summary = {**summary, "judge": {"accuracy": judge.accuracy, "seed": judge.seed}}
        words = f"judge: {judge.accuracy:.2%} of the held-out images, seed {judge.seed}"
        lines = [*lines, "", words]
    table = "\n".join(lines)
    print(table)
    rows = [{"seed": seed, **plain(score)} for seed, score in scores.items()]
    files.write_text(out / "table.md", table + "\n")
    files.write_json(out / "summary.json", summary)
    with files.beside(out / "scores.csv") as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, dict.fromkeys(name for row in rows for name in row))
        writer.writeheader()
        writer.writerows(rows)
    plots.save(report.draw_scores(list(scores.values())), out / "seeds.png")
    print(f"table:    {out / 'table.md'}")
    print(f"numbers:  {out / 'scores.csv'}, {out / 'summary.json'}")
    print(f"picture:  {out / 'seeds.png'}")


if __name__ == "__main__":
    cli.run(main)
