"""Measure a model: `python -m tf_gen.evaluate gaussian_gan --seeds 100`.

A single run of a GAN says little; a distribution over many seeds says more. All seeds use the same
compiled program and input pipeline; only their variables are set anew for each seed. So a hundred
small runs take less than a minute. With `--workers` or `--scheduler`, several processes share the
seeds. With `--run DIR`, the command measures a run of `tf_gen.train` instead. Unlike the runs made
here, such a run can be stopped and continued.
"""

import argparse
import contextlib
import csv
import errno
import functools
import io
import os
import re
import shlex
import sys
from pathlib import Path

from tf_gen import cli, cluster, device, files, flags
from tf_gen.errors import UserError
from tf_gen.models import load
from tf_gen.settings import Count

COLUMNS = ("mean", "sd", "min", "10 %", "median", "90 %", "max")


def main(argv=None):
    arguments, settings = parse(argv)
    files.check_directory(arguments.out or Path("runs"))
    if arguments.judge:
        check_judge(arguments.judge)
    client = contextlib.nullcontext()
    if arguments.workers or arguments.scheduler:  # before TensorFlow, which takes seconds
        client = cluster.connected(arguments.scheduler, arguments.workers)
    with client as client:
        cli.import_tensorflow(lean=True, one_thread=flags.is_small(settings, arguments.data))
        from tf_gen import base

        base.use_xla = arguments.jit
        if arguments.run:
            measure_run(arguments)
        else:
            measure_seeds(arguments, settings, argv or sys.argv[1:], client)
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


def measure_seeds(arguments, settings, argv, client=None):
    """Train from many seeds and measure each one; scores that exist already are only read.

    If there is a `client`, from `cluster.connected`, its workers train the seeds.
    """
    from tf_gen import rundir, tasks

    recipe = load(arguments.model)
    config = recipe.Config(**settings)
    source = tasks.source_for(recipe, arguments.data, arguments.resize, arguments.invert)
    settings.pop("seed")
    report = tasks.report(recipe, config, source, load_judge(source, arguments))
    manifest = {**rundir.manifest(arguments.model, settings, source), "evaluation": True}
    if report.judge:
        manifest["judge"] = report.judge.sha256  # stored scores must come from the same judge
    # On a cluster we expect one worker per core.
    threads = device.threads(device.cores() if arguments.scheduler else arguments.workers or 1)
    manifest["versions"]["threads"] = threads  # their number changes bits, as versions do
    out = arguments.out or Path("runs", f"evaluate-{arguments.model}-{arguments.preset}")
    with rundir.RunDirectory(out, manifest) as directory:
        cli.warn(*directory.warnings)
        seeds = arguments.seeds
        print(
            f"training {len(seeds)} seeds of {arguments.model}, {seeds[0]} to {seeds[-1]}; results "
            f"go to {out}"
        )
        try:
            train = None
            if client:
                job = cluster_job(arguments, settings, report, threads)
                train = functools.partial(cluster.scores, client, job)
            scores = train_seeds(recipe, report, out / "seeds", seeds, train)
        except KeyboardInterrupt:
            again = shlex.join(["python", "-m", "tf_gen.evaluate", *argv])
            print(f"stopped; to go on with the remaining seeds: {again}")
            raise
        summary = summarise(scores)
        write(report, dict(zip(seeds, scores, strict=True)), summary, table_of(summary), out)
        run_dir = Path("runs", f"{out.name.removeprefix('evaluate-')}-{seeds[0]}")
        command = train_command(arguments, settings)
        print(f"next: {command} --seed {seeds[0]} --run-dir {cli.typed(run_dir)}")


def cluster_job(arguments, settings, report, threads):
    """The `cluster.Job` that a command line describes."""
    from tf_gen.mnist import named

    data, sha256, judge = arguments.data, None, None
    if report.source:
        sha256, judge = report.source.sha256, judge_path(report.source, arguments).read_bytes()
        if data not in {"auto", "bundled", *named.SETS}:
            data = str(Path(data).absolute())
    return cluster.Job(
        arguments.model,
        tuple(settings.items()),
        data,
        arguments.resize,
        arguments.invert,
        sha256,
        judge,
        arguments.jit,
        cluster.identity_here(threads),
    )


def load_judge(source, arguments):
    """The `judge.Judge` for a model of images; None for other models."""
    if source is None:
        return None
    from tf_gen.tasks import judge

    return judge.Judge(source, judge_path(source, arguments))


def judge_path(source, arguments):
    """The path of the judge's .keras file, which may not exist yet."""
    return arguments.judge or Path("runs", f"judge-{source.sha256[:8]}.keras")


def check_judge(path):
    """Raise OSError if `path` is not a file and no file can be written there."""
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not path.exists():
        files.check_directory(path.parent)


def train_command(arguments, settings):
    """The command that trains one of the seeds as a run, without its `--seed`."""
    outline = flags.read(arguments.model)
    command = f"python -m tf_gen.train {flags.command_line(outline, arguments.preset, settings)}"
    if outline.with_images:
        command += f" --data {cli.typed(arguments.data)}"
    return command + " --resize" * arguments.resize + " --invert" * arguments.invert


def parse(argv):
    """Parse the command line without TensorFlow; return the arguments and the Config as a dict."""
    parser = cli.Parser(
        prog="tf_gen.evaluate", description="Measure a model over many seeds, or measure a run."
    )
    commands = flags.subcommands(parser)
    for name, (command, outline) in commands.items():
        words = (
            "measure the newest checkpoint of this run of tf_gen.train instead of training seeds; "
            "useful for long trainings, since this command keeps a seed only when it is finished"
        )
        command.option("--run", cli.path, words, metavar="DIR")
        default = 1 if outline.with_images else 10
        words = f"number of seeds, from 0 on, or a range such as 1000-1019 (default: {default})"
        command.add_argument("--seeds", type=seed_range, help=words, metavar="INT[-INT]")
        words = (
            "train the seeds in this number of processes on this machine, which share its cores; "
            "needs Dask (pip install 'tf_gen[cluster]')"
        )
        command.option("--workers", Count, words, metavar="INT")
        words = (
            "train the seeds on the workers of a Dask cluster. Workers must have one thread each, "
            "the same versions as this machine, and the images at the same path. Scores are bit by "
            "bit those of one process if all processors are of the same kind and "
            "TF_NUM_INTRAOP_THREADS is the same"
        )
        command.option("--scheduler", address, words, metavar="tcp://HOST:PORT")
        flags.add(command, outline, without=("seed",))
        flags.add_data(command, outline)
        command.set_defaults(judge=None)
        if outline.with_images:
            words = (
                "the classifier that judges digits, a .keras file; if it is missing, it is trained "
                "and written there (default: runs/judge-DATA.keras)"
            )
            command.option("--judge", cli.path, words, metavar="FILE")
        words = (
            f"directory for the results (default: runs/evaluate-{name}-PRESET, or "
            "runs/evaluate-RUN-step-STEP); seeds that it has with the same settings are not "
            "trained again"
        )
        command.option("--out", cli.path, words, metavar="DIR")
        flags.add_no_jit(command)
    arguments = parser.parse_args(argv)
    command, outline = commands[arguments.model]
    settings = flags.chosen(command, outline, arguments)
    if arguments.run:
        changed = [name for name in settings if name in arguments]
        if changed or arguments.seeds is not None or arguments.preset != "article":
            command.error("argument --run: a run has its settings already; give no others")
        if arguments.workers or arguments.scheduler:
            command.error("argument --run: needs no workers; give no --workers or --scheduler")
    elif arguments.seeds is None:
        arguments.seeds = range(1 if outline.with_images else 10)
    if arguments.workers and arguments.scheduler:
        command.error("argument --workers: starts a cluster, so give no --scheduler")
    if arguments.judge and arguments.judge.suffix != ".keras":
        command.error(f"argument --judge: must end in .keras, not {arguments.judge.name!r}")
    return arguments, settings


def address(text):
    """The address of a Dask scheduler."""
    if not re.fullmatch(r"\w+://[^/]+:\d+", text):
        raise argparse.ArgumentTypeError(f"must have the form tcp://HOST:PORT, not {text!r}")
    return text


def seed_range(text):
    """The range that `--seeds` means: "N" is 0 .. N - 1, "FIRST-LAST" is FIRST .. LAST."""
    numbers = re.fullmatch(r"(?:(\d+)-)?(\d+)", text)
    if not numbers:
        words = f"must be a number of seeds, at least 1, or a range as 1000-1019, not {text!r}"
        raise argparse.ArgumentTypeError(words)
    first, last = numbers.groups()
    chosen = range(int(first), int(last) + 1) if first else range(int(last))
    if not chosen:
        words = "at least 1" if first is None else f"two seeds in ascending order, not {text}"
        raise argparse.ArgumentTypeError(f"must be {words}")
    if chosen[-1] >= 2**31:
        raise argparse.ArgumentTypeError(f"must be below 2**31, not {chosen[-1]}")
    return chosen


def train_seeds(recipe, report, directory, seeds, train=None):
    """Train and score `seeds`; scores that `directory` holds already are only read.

    Args:
        recipe, report: a module of `tf_gen.models` and a `Report` for its models; the seed of the
            report's config is replaced.
        directory: path of a directory with one file for the score of each seed.
        seeds: sequence of Python ints.
        train: function that takes the list of the missing seeds and yields each with its score, in
            any order; None to train them in this process.

    Returns:
        list of dicts, the `score` of each seed.
    """
    import numpy as np

    from tf_gen import loop
    from tf_gen.seeds import Trainer

    directory.mkdir(exist_ok=True)
    files.remove_leftovers(directory)
    paths = {seed: directory / f"{seed:05d}.npz" for seed in seeds}
    scores = {seed: read_score(path) for seed, path in paths.items()}
    missing = [seed for seed, score in scores.items() if score is None]
    if not missing:
        return list(scores.values())
    train = train or Trainer(recipe, report).scores
    with loop.Progress(len(missing), unit="seed") as progress:
        for done, (seed, score) in enumerate(train(missing), 1):
            scores[seed] = score
            with files.beside(paths[seed]) as temporary, temporary.open("wb") as file:
                np.savez(file, **score)
            progress.update(done, f"seed {seed} done")
    return list(scores.values())


def read_score(path):
    """The score in the file `path`, a dict; None if the file is missing or damaged."""
    import numpy as np

    if not path.exists():
        return None
    try:
        with np.load(io.BytesIO(path.read_bytes())) as file:
            return {name: value[()] for name, value in file.items()}
    except Exception:  # damage can look like anything to zipfile, even like encryption
        cli.warn(f"{path} is damaged; training this seed again")
        return None


def plain(score):
    """The figures of a `score`, without its arrays: a dict of Python floats and bools."""
    import numpy as np

    return {name: np.asarray(v).item() for name, v in score.items() if np.ndim(v) == 0}


def summarise(scores):
    """Statistics over seeds: a dict from the names of figures to a dict of COLUMNS, or to a share.

    Bools become shares of all seeds. Arrays are left out. The statistics of a figure leave out
    seeds for which it is missing or not finite; `diverged` counts them.
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
    """The output of `summarise` as a Markdown table: a list of lines."""
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
    """Print a table; write it, the numbers and a picture to `out`; and print where they are.

    `scores` has the score of each seed, `summary` the content of summary.json, `lines` the table.
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
