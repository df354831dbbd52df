"""How fast the updates are, side by side: `python -m tests.benchmarks`.

Trains each of the four systems, with the sizes of its article, in tf_gen and in other ways, all in
one run, each in a process of its own, taking turns, so that what slows the machine down for a while
slows down all of them. Prints the median time of an update and how many times as long as tf_gen's
each other takes. Needs `pip install -e '.[benchmarks]'`; what is missing is left out.

tf_gen is timed as the whole command `python -m tf_gen.train`, with the making of its batches, log,
checkpoints and pictures of the course, from the end of the first fifth of its steps, or the first
line of its log, to the last line; start, compilation, final pictures and export lie outside.
The others get their batches, noise and all, as float32 in memory, log nothing and keep nothing;
their first ten losses must agree with tf_gen's before time is taken.

`--quick` takes a few minutes: two short turns, with fewer updates, and only JAX and the limit.

`--seeds 100` compares only this: `python -m tf_gen.evaluate gaussian_gan --preset listing
--minibatch` over so many seeds with JAX, which trains all of them at once, by `vmap`. Both are
timed as whole processes.
"""

import argparse
import importlib.util
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks import cases
from tests.benchmarks.worker import DISAGREES

OTHERS = (  # title, module, variant, what it needs
    ("TensorFlow 1: Session, feed_dict", "v1_session", "", "tensorflow"),
    ("Keras: fit, a batch a step", "keras_fit", "", "keras"),
    ("PyTorch, eager", "pytorch", "eager", "torch"),
    ("PyTorch, torch.compile", "pytorch", "compiled", "torch"),
    ("JAX: lax.scan", "jax_scan", "", "jax"),
    ("limit: the loop alone", "limits", "loop", "tensorflow"),
    ("limit: matrix products, TensorFlow", "limits", "tensorflow", "tensorflow"),
    ("limit: matrix products, NumPy", "limits", "numpy", "numpy"),
    ("limit: matrix products, PyTorch", "limits", "pytorch", "torch"),
    ("limit: matrix products, JAX", "limits", "jax", "jax"),
)
QUICK = ("JAX: lax.scan", "limit: the loop alone", "limit: matrix products, JAX")


def main():
    parser = argparse.ArgumentParser(prog="tests.benchmarks", description=__doc__.splitlines()[0])
    names = [case.name for case in cases.CASES]
    parser.add_argument(
        "--model", action="append", choices=names, help="only this one; may be given again"
    )
    parser.add_argument("--data", default="auto", help="as for tf_gen.train (default: auto)")
    words = "a few minutes for all models: few updates and short turns, only JAX and the limit"
    parser.add_argument("--quick", action="store_true", help=words)
    words = "of each process (default: 5; with --quick: 2)"
    parser.add_argument("--turns", type=int, help=words)
    words = "of a turn (default: 2; with --quick: 0.5)"
    parser.add_argument("--seconds", type=float, help=words)
    words = (
        "compare tf_gen.evaluate over so many seeds of gaussian_gan with JAX, and nothing else; "
        "--model, --data and --seconds mean nothing then"
    )
    parser.add_argument("--seeds", type=int, help=words)
    arguments = parser.parse_args()
    if arguments.turns is None:
        arguments.turns = 2 if arguments.quick else 5
    if arguments.seconds is None:
        arguments.seconds = 0.5 if arguments.quick else 2.0
    if arguments.turns < 1:
        parser.error("argument --turns: must be at least 1")
    if arguments.seeds is not None and arguments.seeds < 1:
        parser.error("argument --seeds: must be at least 1")
    chosen = [case for case in cases.CASES if not arguments.model or case.name in arguments.model]
    print(f"{machine()}, {time.strftime('%Y-%m-%d')}, {versions()}")
    with tempfile.TemporaryDirectory() as directory:
        if arguments.seeds:
            compare_seeds(arguments.seeds, arguments.turns, Path(directory))
            return
        for case in chosen:
            compare(case, arguments, Path(directory))


def compare(case, arguments, directory):
    """Time one system in all ways, and print its table."""
    path = directory / f"{case.name}.pickle"
    # In a process of its own: TensorFlow would keep its threads here.
    code = "import sys; from tests.benchmarks import cases; cases.prepare(*sys.argv[1:])"
    subprocess.run([sys.executable, "-c", code, case.name, arguments.data, path], check=True)
    workers, notes = {}, []
    for title, module, variant, needed in OTHERS:
        if module == "limits" and (variant == "loop") == case.images:
            continue
        if arguments.quick and title not in QUICK:
            continue
        if not importlib.util.find_spec(needed):
            notes.append(f"{title}: left out, {needed} is not installed")
            continue
        say(f"{case.title}: preparing {title}")
        worker = Worker(module, variant, case.name, path)
        if worker.process.returncode == DISAGREES:
            sys.exit(f"{title}: {case.name}: {worker.error}")
        if worker.error:
            notes.append(f"{title}: left out, {worker.error}")
        else:
            workers[title] = worker
    times, runs = {title: [] for title in workers}, []
    steps = case.quick_steps if arguments.quick else case.steps
    for turn in range(arguments.turns):
        say(f"{case.title}: turn {turn + 1} of {arguments.turns}")
        runs.append(train(case, steps, arguments, directory))
        for title, worker in workers.items():
            times[title].append(worker.turn(arguments.seconds))
    for worker in workers.values():
        worker.close()
    say("")
    ours = statistics.median(run["update"] for run in runs)
    print(f"\n{case.title}\n")
    print("| | median, µs an update | fastest to slowest turn | times tf_gen's | losses agree to |")
    print("|---|---|---|---|---|")
    print(
        f"| **tf_gen.train** | **{ours:.1f}** | {spread([run['update'] for run in runs])} | 1 | |"
    )
    for title, values in times.items():
        median, deviation = statistics.median(values), workers[title].deviation
        agree = "" if title.startswith("limit") else f"{deviation:.0e}"
        ratio = f"{median / ours:.2f}"
        print(f"| {title} | {median:.1f} | {spread(values)} | {ratio} | {agree} |")
    limits = [statistics.median(times[title]) for title in times if title.startswith("limit")]
    print(
        f"\nThe fastest limit is {min(limits):.1f} µs: tf_gen.train is at {min(limits) / ours:.0%}."
    )
    command = " ".join(["python -m tf_gen.train", *case.arguments, "--steps", str(steps)])
    first = statistics.median(run["first_line"] for run in runs)
    print(f"`{command}`: first line of the log after {first:.1f} s.")
    if not arguments.quick:
        whole = statistics.median(run["whole"] for run in runs)
        memory = statistics.median(run["memory"] for run in runs)
        print(f"All of it takes {whole:.1f} s, and at most {memory:.2f} GB of memory.")
    for note in notes:
        print(note)
    sys.stdout.flush()


def compare_seeds(count, turns, directory):
    """Time `evaluate` and JAX over `count` seeds, and print a table."""
    out = directory / "seeds"
    ours = ["tf_gen.evaluate", "gaussian_gan", "--preset", "listing", "--minibatch"]
    ways = {
        "tf_gen.evaluate": [*ours, "--seeds", str(count), "--out", str(out)],
        "JAX: vmap over seeds of lax.scan": ["tests.benchmarks.many_seeds", str(count)],
    }
    seconds, medians = {title: [] for title in ways}, {}
    for turn in range(turns):
        for title, arguments in ways.items():
            say(f"{count} seeds: turn {turn + 1} of {turns}, {title}")
            shutil.rmtree(out, ignore_errors=True)
            command = [sys.executable, "-m", *arguments]
            begin = time.perf_counter()
            done = subprocess.run(command, capture_output=True, text=True)
            seconds[title].append(time.perf_counter() - begin)
            if done.returncode:
                sys.exit(f"{' '.join(command)}: {done.stderr}")
            if found := re.search("@medians (.*) (.*)", done.stdout):
                medians[title] = [float(number) for number in found.groups()]
            else:
                summary = json.loads((out / "summary.json").read_text())
                medians[title] = [summary[name]["median"] for name in ("w1", "ks")]
    say("")
    first = statistics.median(seconds["tf_gen.evaluate"])
    print(f"\n{count} seeds of gaussian_gan, listing with minibatch discrimination\n")
    print("| | median, s | fastest to slowest turn | times tf_gen's | median W1 | median KS |")
    print("|---|---|---|---|---|---|")
    for title, values in seconds.items():
        median, (w1, ks) = statistics.median(values), medians[title]
        print(
            f"| {title} | {median:.1f} | {spread(values)} | {median / first:.2f} | {w1:.2f} | "
            f"{ks:.2f} |"
        )


def spread(values):
    return f"{min(values):.1f} to {max(values):.1f}"


def say(text):
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


class Worker:
    """A process of `tests.benchmarks.worker`, ready to be timed or with an `error`."""

    def __init__(self, module, variant, name, path):
        command = [sys.executable, "-m", "tests.benchmarks.worker", module, variant, name, path]
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env=environment,
        )
        answer = self.read("@ready")
        self.deviation = float(answer) if answer else None
        self.error = None
        if answer is None:
            self.error = self.last_words()

    def last_words(self):
        self.process.wait()
        self.log.seek(0)
        return (self.log.read().strip().splitlines() or ["it ended"])[-1]

    def read(self, mark):
        for line in self.process.stdout:
            if line.startswith(mark):
                return line.split()[1]
        return None

    def turn(self, seconds):
        print(f"go {seconds}", file=self.process.stdin, flush=True)
        answer = self.read("@time")
        if answer is None:
            sys.exit(self.last_words())
        return float(answer)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def train(case, steps, arguments, directory):
    """Run the command and take its times from its log; with `--quick`, only up to the last line."""
    quick = arguments.quick
    run_dir = directory / "run"
    shutil.rmtree(run_dir, ignore_errors=True)
    command = [sys.executable, "-m", "tf_gen.train", *case.arguments, "--run-dir", run_dir]
    command += ["--steps", str(steps)] + (["--data", arguments.data] if case.images else [])
    begin = time.perf_counter()
    lines = []  # time and step
    with tempfile.TemporaryFile("w+") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        for line in process.stdout:
            if match := re.match(r"(?:step |Epoch |Iter: )?(\d+)(?: ,|:|;)", line):
                lines.append((time.perf_counter() - begin, int(match[1])))
                if quick and lines[-1][1] == steps:
                    process.kill()
        process.stdout.close()
        _, process.returncode, usage = os.wait4(process.pid, 0)
        whole = time.perf_counter() - begin
        if (process.returncode and not quick) or not lines or lines[-1][1] != steps:
            log.seek(0)
            sys.exit(f"{' '.join(map(str, command))}: {log.read()}")
    early = [line for line in lines if line[1] <= max(lines[0][1], steps // 5)][-1]
    update = (lines[-1][0] - early[0]) / (lines[-1][1] - early[1]) * 1e6
    memory = usage.ru_maxrss * 1024 / 1e9  # in KiB on Linux
    return {"update": update, "first_line": lines[0][0], "whole": whole, "memory": memory}


def machine():
    model = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line.split(":")[1].strip() for line in lines if "model name" in line)
    except (OSError, StopIteration):
        pass
    return f"{len(os.sched_getaffinity(0))} cores, {model}"


def versions():
    from importlib import metadata

    found = []
    for name in ("tensorflow", "keras", "torch", "jax", "numpy"):
        if importlib.util.find_spec(name):
            found.append(f"{name} {metadata.version(name)}")
    return ", ".join(found)


if __name__ == "__main__":
    main()
