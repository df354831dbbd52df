"""Seeds an hour, in one process and by workers: `python -m tests.benchmarks.workers -- vae`.

Takes what is to be trained as `tf_gen.evaluate` does. Each way is that whole command, in turns: one
process as it is by default, one process with one thread for an operation, and workers with one
thread each. Time is taken between scores: from the first one of each process, before which it
starts and compiles, to the last. At the end the tables of one thread are compared, byte by byte.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.__main__ import machine, say, spread, versions


def main():
    parser = argparse.ArgumentParser(prog="tests.benchmarks.workers")
    parser.add_argument("--seeds", type=int, default=8, help="of each way (default: 8)")
    parser.add_argument("--workers", type=int, default=2, help="how many (default: 2)")
    parser.add_argument("--turns", type=int, default=3, help="of each way (default: 3)")
    words = "what to train, after --: ali --steps 2000 --data MNIST, say"
    parser.add_argument("model", nargs="+", help=words)
    arguments = parser.parse_args()
    if arguments.seeds <= arguments.workers:
        parser.error("argument --seeds: must be more than --workers")
    one_thread, workers = {"TF_NUM_INTRAOP_THREADS": "1"}, ["--workers", str(arguments.workers)]
    ways = {  # flags, environment, and how many seeds are trained at once
        "one process": ([], {}, 1),
        "one process, one thread": ([], one_thread, 1),
        f"{arguments.workers} workers, one thread each": (workers, one_thread, arguments.workers),
    }
    print(f"{machine()}, {time.strftime('%Y-%m-%d')}, {versions()}")
    evaluate(arguments.model, 1, [], {})  # trains the judge, which stays in runs/
    seconds, tables = {title: [] for title in ways}, {}
    for turn in range(arguments.turns):
        for title, (flags, environment, at_once) in ways.items():
            say(f"turn {turn + 1} of {arguments.turns}, {title}")
            times, tables[title] = evaluate(arguments.model, arguments.seeds, flags, environment)
            seconds[title].append((times[-1] - times[at_once - 1]) / (len(times) - at_once))
    say("")
    first = statistics.median(seconds["one process"])
    print(f"\n`{' '.join(arguments.model)}`, {arguments.seeds} seeds\n")
    print("| | seeds an hour | s a seed, fastest to slowest turn | times as fast |")
    print("|---|---|---|---|")
    for title, values in seconds.items():
        median = statistics.median(values)
        print(f"| {title} | {3600 / median:.0f} | {spread(values)} | {first / median:.2f} |")
    _, single, shared = tables.values()
    print(f"\nThe tables of one thread are {'the same' if single == shared else 'DIFFERENT'}.")


def evaluate(model, seeds, flags, environment):
    """When each score was kept, in order, in seconds; and the scores.csv, as bytes."""
    with tempfile.TemporaryDirectory() as directory:
        out = Path(directory, "out")
        command = [sys.executable, "-m", "tf_gen.evaluate", *model, "--seeds", str(seeds)]
        command += [*flags, "--out", str(out)]
        done = subprocess.run(
            command, env={**os.environ, **environment}, capture_output=True, text=True
        )
        if done.returncode:
            sys.exit(f"{' '.join(command)}: {done.stderr}")
        times = sorted(path.stat().st_mtime for path in out.glob("seeds/*.npz"))
        return times, (out / "scores.csv").read_bytes()


if __name__ == "__main__":
    main()
