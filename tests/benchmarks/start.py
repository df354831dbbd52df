"""How long a user waits at first: `python -m tests.benchmarks.start --data MNIST`.

Starts `tf_gen.train` of each model, in turns, and takes the seconds until the first line of its log
is kept, then `tf_gen.sample` as a whole. Each is a process of its own, so that imports, data and
compilation are included.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.benchmarks.__main__ import machine, say, spread, versions
from tf_gen.models import NAMES


def main():
    parser = argparse.ArgumentParser(prog="tests.benchmarks.start")
    parser.add_argument("--data", default="auto", help="as for tf_gen.train (default: auto)")
    parser.add_argument("--turns", type=int, default=5, help="of each command (default: 5)")
    arguments = parser.parse_args()
    print(f"{machine()}, {time.strftime('%Y-%m-%d')}, {versions()}")
    seconds = {name: ([], []) for name in NAMES}
    for turn in range(arguments.turns):
        for name, (to_first_line, to_sample) in seconds.items():
            say(f"turn {turn + 1} of {arguments.turns}, {name}")
            with tempfile.TemporaryDirectory() as directory:
                to_first_line.append(first_line(name, arguments.data, Path(directory)))
                to_sample.append(sample(name, Path(directory)))
    say("")
    print("\nSeconds, medians, and the fastest and slowest turn\n")
    print("| | first line of `train` | whole `sample` |\n|---|---|---|")
    for name, columns in seconds.items():
        cells = [f"{statistics.median(values):.1f} ({spread(values)})" for values in columns]
        print(f"| {' | '.join([name, *cells])} |")


def first_line(name, data, directory):
    """Seconds from the start of `train` until the first line of its log stands in history.csv."""
    history = directory / "run" / "history.csv"
    images = ["--data", data] if name in ("vae", "ali") else []
    command = [sys.executable, "-m", "tf_gen.train", name, *images, "--run-dir", history.parent]
    begin = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        while process.poll() is None:
            if history.exists() and history.read_text(encoding="utf-8").count("\n") > 1:
                break
            time.sleep(0.01)
        seconds = time.perf_counter() - begin
        process.kill()
    if process.returncode > 0:
        sys.exit(f"train {name} failed before its first line")
    return seconds


def sample(name, directory):
    """Seconds that `sample` takes for a picture of the trained model that comes with tf_gen."""
    command = [sys.executable, "-m", "tf_gen.sample", name, "--count", "100"]
    begin = time.perf_counter()
    file = ["--out", directory / "sample.png"]
    subprocess.run([*command, *file], stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
