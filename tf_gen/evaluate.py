"""Measure a model: `python -m tf_gen.evaluate gaussian_gan --seeds 100`.

One run of a GAN says nothing; the distribution over seeds does. All runs go through one compiled
program, whose variables are set anew for each seed, so that a hundred small runs take a minute.
With `--run DIR` a run of `tf_gen.train` is measured instead, which unlike the runs made here can be
stopped on its way.
"""

import csv
import dataclasses
import io
import json
import shlex
import sys
import time
from pathlib import Path

from tf_gen import cli, config, files
from tf_gen.models import NAMES, load

COLUMNS = ("mean", "sd", "min", "10 %", "median", "90 %", "max")


def main(argv=None):
    arguments, settings = parse(argv)
    cli.import_tensorflow()
    if arguments.run:
        measure_run(arguments)
    else:
        measure_seeds(arguments, settings, argv or sys.argv[1:])
    return 0


def measure_run(arguments):
    """Measure the newest checkpoint of a run of `tf_gen.train`."""
    from tf_gen import data, run, train

    settings, module, model_config = run.described(arguments.run)
    if settings["model"] != arguments.model:
        raise cli.UserError(f"{arguments.run}: a run of {settings['model']}")
    source = None
    if module.NEEDS_IMAGES:
        spec = arguments.data
        source = data.load(train.same_data(arguments.run) if spec == "auto" else spec)
        print(source)
        if source.sha256 != settings["data"]["sha256"]:
            raise cli.UserError(
                f"{arguments.run}: trained on other images ({settings['data']['source']}); name "
                "them with --data"
            )
    model = module.build(model_config)
    step, _, damaged = run.restore(model, arguments.run)
    for directory in damaged:
        print(f"warning: checkpoint {directory} is damaged and left out", file=sys.stderr)
    out = arguments.out or Path("runs", f"evaluate-{arguments.run.resolve().name}-step-{step}")
    judge = load_judge(source, arguments)
    with run.RunDirectory(out, {**settings, "evaluation": True, "step": step}) as directory:
        warn(directory.warnings)
        print(f"measuring step {step} of {arguments.run}; results go to {out}")
        score = module.score(model, model_config, judge)
        figures = plain(score)
        lines = [f"| {arguments.model}, step {step} | |", "|---|---|"]
        for name, value in figures.items():
            lines.append(f"| {name} | {value if isinstance(value, bool) else f'{value:.4g}'} |")
        summary = {"step": step, **figures}
        report(module, model_config, {model_config.seed: score}, summary, lines, judge, out)
        if (arguments.run / "saved_model").exists():
            flags = module.sample_flags(model_config)
            print(f"next: python -m tf_gen.sample {shlex.quote(str(arguments.run))} {flags}")


def measure_seeds(arguments, settings, argv):
    """Train from many seeds and measure each; what is there already is only read."""
    from tf_gen import data, run

    module = load(arguments.model)
    model_config = module.Config(**settings)
    source = None
    if module.NEEDS_IMAGES:
        source = data.load(arguments.data)
        print(source)
    settings.pop("seed")
    judge = load_judge(source, arguments)
    described = run.settings(arguments.model, settings, source)
    described["evaluation"] = True
    if judge:
        described["judge"] = judge.sha256  # scores that are kept must be of the same one
    out = arguments.out or Path("runs", f"evaluate-{arguments.model}-{arguments.preset}")
    with run.RunDirectory(out, described) as directory:
        warn(directory.warnings)
        print(f"training {arguments.seeds} seeds of {arguments.model}; results go to {out}")
        try:
            scores = train_seeds(
                module, model_config, source, judge, out / "seeds", arguments.seeds
            )
        except KeyboardInterrupt:
            again = shlex.join(["python", "-m", "tf_gen.evaluate", *argv])
            print(f"stopped; to go on with the seeds that are left: {again}")
            raise
        summary = summarise(scores)
        by_seed = dict(enumerate(scores))
        report(module, model_config, by_seed, summary, table_of(summary), judge, out)
        flags = train_flags(arguments, settings, module)
        run_dir = Path("runs", f"{out.name.removeprefix('evaluate-')}-0")
        print(
            f"next: python -m tf_gen.train {flags} --seed 0 --run-dir {shlex.quote(str(run_dir))}"
        )


def load_judge(source, arguments):
    """The `digits.Judge` of models of images; None for a model without."""
    if source is None:
        return None
    from tf_gen import digits

    path = arguments.judge or Path("runs", f"judge-{source.sha256[:8]}.keras")
    return digits.Judge(source, path)


def warn(warnings):
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)


def train_flags(arguments, settings, module):
    """The arguments with which `tf_gen.train` makes one of the runs."""
    preset = dataclasses.asdict(module.PRESETS[arguments.preset])
    words = [arguments.model, "--preset", arguments.preset]
    for name, value in settings.items():
        flag = name.replace("_", "-")
        if value != preset[name]:
            if isinstance(value, bool):
                words.append(f"--{flag}" if value else f"--no-{flag}")
            else:
                words += [f"--{flag}", str(value)]
    if module.NEEDS_IMAGES:
        words += ["--data", arguments.data]
    return shlex.join(words)


def parse(argv):
    """Parse the command line without TensorFlow; return the arguments and the Config as a dict."""
    parser = cli.Parser(
        prog="tf_gen.evaluate", description="Measure a model, over many seeds or of a run."
    )
    subparsers = parser.add_subparsers(dest="model", metavar="MODEL", required=True)
    sources = {name: config.read(name) for name in NAMES}
    for name, source in sources.items():
        flags = subparsers.add_parser(name, help=source.summary, description=source.summary)
        flags.add_argument(
            "--run",
            type=Path,
            metavar="DIR",
            help="measure the newest checkpoint of this run of tf_gen.train, and train nothing: "
            "for runs that take long, of which nothing is kept here before they are done",
        )
        flags.add_argument(
            "--seeds",
            type=int,
            metavar="INT",
            help=f"runs, seeds from 0 (default: {1 if source.needs_images else 10})",
        )
        config.add_flags(flags, source, without=("seed",))
        if source.needs_images:
            flags.add_argument("--data", default="auto", help="as for tf_gen.train (default: auto)")
            flags.add_argument(
                "--judge",
                type=Path,
                metavar="FILE",
                help="the classifier that judges digits, a .keras file; trained and written there "
                "if it is missing (default: runs/judge-DATA.keras)",
            )
        flags.add_argument(
            "--out",
            type=Path,
            metavar="DIR",
            help=f"where to keep the results (default: runs/evaluate-{name}-PRESET, or "
            "runs/evaluate-RUN-step-STEP); seeds of the same settings there are not trained again",
        )
    arguments = parser.parse_args(argv)
    flags, source = subparsers.choices[arguments.model], sources[arguments.model]
    settings = config.chosen(flags, source, arguments)
    if arguments.run:
        changed = [name for name in settings if name in arguments]
        if changed or arguments.seeds is not None or arguments.preset != "article":
            flags.error("argument --run: has its settings already; give no others")
    elif arguments.seeds is None:
        arguments.seeds = 1 if source.needs_images else 10
    elif not 1 <= arguments.seeds < 2**31:
        flags.error(f"argument --seeds: must be at least 1, not {arguments.seeds}")
    if source.needs_images and arguments.judge and arguments.judge.suffix != ".keras":
        flags.error(f"argument --judge: must end in .keras, not {arguments.judge.name!r}")
    return arguments, settings


def train_seeds(module, model_config, source, judge, directory, seeds):
    """Train and score the seeds 0 .. seeds - 1; those that `directory` holds are only read.

    Args:
        module, model_config, source: a model file, its `Config`, whose seed is replaced, on what.
        judge: a `digits.Judge` for models of images, else None.
        directory: path, where each seed's score is kept, in a file of its own.
        seeds: Python int.

    Returns:
        list of dicts, the `score` of each seed.
    """
    import numpy as np
    import tensorflow as tf
    from tqdm import tqdm

    directory.mkdir(exist_ok=True)
    files.remove_leftovers(directory)
    paths = [directory / f"{seed:05d}.npz" for seed in range(seeds)]
    scores = [read_score(path) for path in paths]
    missing = [seed for seed, score in enumerate(scores) if score is None]
    if missing:
        model = module.build(model_config)
        program = tf.function(model.train_lines, jit_compile=True, autograph=False)
    begin = told = time.monotonic()
    for done, seed in enumerate(tqdm(missing, unit="seed", disable=None)):
        seed_config = dataclasses.replace(model_config, seed=seed)
        scores[seed] = train_seed(module, seed_config, source, judge, model, program)
        with files.beside(paths[seed]) as temporary, temporary.open("wb") as file:
            np.savez(file, **scores[seed])
        now = time.monotonic()
        if not sys.stderr.isatty() and now - told >= 10:
            left = (now - begin) / (done + 1) * (len(missing) - done - 1)
            print(f"seed {seed} done, {tqdm.format_interval(left)} left")
            told = now
    return scores


def read_score(path):
    """The score kept in `path`, a dict; None if it is not there or damaged."""
    import numpy as np

    if not path.exists():
        return None
    try:
        with np.load(io.BytesIO(path.read_bytes())) as file:
            return {name: value[()] for name, value in file.items()}
    except Exception:  # damage can look like anything to zipfile: encrypted, say
        print(f"warning: {path} is damaged; training this seed again", file=sys.stderr)
        return None


def train_seed(module, model_config, source, judge, model, program):
    """Train `model` anew with `program`, its compiled `train_lines`; return its score."""
    import numpy as np
    from tqdm import tqdm

    from tf_gen import train

    for variable, initial in zip(model.state, module.build(model_config).state, strict=True):
        variable.assign(initial)
    finite = True
    limits = module.stop_at(model_config)
    # Without limits nothing is measured on the way, and the calls are as large as they may be.
    schedule = model_config if limits else dataclasses.replace(model_config, log_every=10**9)
    step, total = 0, model_config.steps
    begin = told = time.monotonic()
    bar = tqdm(total=total, unit="update", leave=False, delay=10, disable=None)
    for lines, size, stack in train.calls(module, schedule, source, start=0):
        losses, seen = program(stack, lines)
        finite = finite and all(np.isfinite(values).all() for values in losses.values())
        step += lines * size
        bar.update(lines * size)
        now = time.monotonic()
        if bar.disable and now - told >= 10:
            left = tqdm.format_interval((now - begin) / step * (total - step))
            print(f"seed {model_config.seed}: {step} of {total} updates, {left} left")
            told = now
        if not limits or step % model_config.log_every:
            continue
        measured = module.measure(model, model_config, source, seen[-1].numpy())
        if train.close_enough(measured, limits):
            break
    bar.close()
    score = module.score(model, model_config, judge)
    score["diverged"] = score["diverged"] or not finite
    return {**score, "steps": step} if limits else score


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


def report(module, model_config, scores, summary, lines, judge, out):
    """Print a table, write it, the numbers and a picture to `out`, and say where they are.

    Args:
        module, model_config: a model file, a `Config` of it.
        scores: dict of seeds to their `score`.
        summary: dict, for summary.json.
        lines: list of strings, of the table.
        judge: a `digits.Judge`, or None.
        out: path of a directory.
    """
    if judge:
        summary = {**summary, "judge": {"accuracy": judge.accuracy, "seed": judge.seed}}
        lines = [
            *lines,
            "",
            f"judge: {judge.accuracy:.2%} of the held-out images, seed {judge.seed}",
        ]
    table = "\n".join(lines)
    print(table)
    rows = [{"seed": seed, **plain(score)} for seed, score in scores.items()]
    with files.beside(out / "table.md") as temporary:
        temporary.write_text(table + "\n")
    with files.beside(out / "summary.json") as temporary:
        temporary.write_text(json.dumps(summary, indent=2) + "\n")
    with files.beside(out / "scores.csv") as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, dict.fromkeys(name for row in rows for name in row))
        writer.writeheader()
        writer.writerows(rows)
    module.draw_scores(list(scores.values()), model_config, out / "seeds.png")
    print(f"table:    {out / 'table.md'}")
    print(f"numbers:  {out / 'scores.csv'}, {out / 'summary.json'}")
    print(f"picture:  {out / 'seeds.png'}")


if __name__ == "__main__":
    cli.run(main)
