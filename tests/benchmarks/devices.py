"""From which size on a second worker pays: `python -m tests.benchmarks.devices`.

Times updates of `vae` in three ways, which take turns: in one process with one thread; in one
process with two threads; and in two processes with one thread each, which compute half of every
batch and exchange gradients by the loopback address, as `train --strategy multi-worker` does. One
process compiles with XLA, as `train` does; two cannot. Batches lie in memory, and nothing is
measured or kept on the way. Needs two idle cores.
"""

import argparse
import dataclasses
import json
import os
import socket
import statistics
import subprocess
import sys
import time

import numpy as np

from tests.benchmarks.__main__ import machine, say
from tf_gen import strategies

WAYS = {"one thread": (1, 1), "two threads": (1, 2), "two workers": (2, 1)}  # processes, threads
OPERATIONS_PER_SECOND = 1e10  # about what a core makes, to choose how many updates are timed


def main():
    parser = argparse.ArgumentParser(
        prog="tests.benchmarks.devices", description=__doc__.splitlines()[0]
    )
    words = "sizes of the hidden layers (default: 128 512 2048)"
    parser.add_argument("--hidden-dim", type=int, nargs="+", default=[128, 512, 2048], help=words)
    words = "images an update (default: 64 256 1024 4096)"
    parser.add_argument(
        "--batch-size", type=int, nargs="+", default=[64, 256, 1024, 4096], help=words
    )
    parser.add_argument("--turns", type=int, default=3, help="of each way (default: 3)")
    words = "about how long to time a size in each turn (default: 3)"
    parser.add_argument("--seconds", type=float, default=3.0, help=words)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    sizes = [(h, b) for h in arguments.hidden_dim for b in arguments.batch_size]
    if arguments.worker:
        strategy = strategies.start("multi-worker") if "TF_CONFIG" in os.environ else None
        for size in sizes:
            print(milliseconds(*size, arguments.seconds, strategy), flush=True)
        return
    times = {way: [] for way in WAYS}  # a list of those of all sizes for each turn
    for turn in range(arguments.turns):
        for way in WAYS:
            say(f"turn {turn + 1} of {arguments.turns}: {way}")
            times[way].append(run(*WAYS[way], sys.argv[1:]))
    say("")
    print(f"{machine()}, {time.strftime('%Y-%m-%d')}\n")
    titles = [f"{way}, ms an update" for way in WAYS]
    titles += ["speed-up of two workers over one thread", "over two threads"]
    print("|".join(["", "hidden-dim", "batch-size", *titles, ""]))
    print("|---" * (2 + len(titles)) + "|")
    for number, (hidden_dim, batch_size) in enumerate(sizes):
        one, two, workers = (statistics.median(turn[number] for turn in times[way]) for way in WAYS)
        figures = (one, two, workers, one / workers, two / workers)
        columns = [hidden_dim, batch_size, *(f"{figure:.2f}" for figure in figures)]
        print(f"| {' | '.join(map(str, columns))} |")


def run(processes, threads, argv):
    """The milliseconds of an update for all sizes, a list, in so many processes and threads."""
    with socket.create_server(("127.0.0.1", 0)) as a, socket.create_server(("127.0.0.1", 0)) as b:
        addresses = [f"127.0.0.1:{server.getsockname()[1]}" for server in (a, b)]
    command = [sys.executable, "-m", "tests.benchmarks.devices", "--worker", *argv]
    environment = {
        **os.environ,
        "TF_NUM_INTRAOP_THREADS": str(threads),
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    running = []
    for number in range(processes):
        if processes > 1:
            task = {"type": "worker", "index": number}
            environment["TF_CONFIG"] = json.dumps({"cluster": {"worker": addresses}, "task": task})
        running.append(
            subprocess.Popen(
                command,
                env=dict(environment),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        )
    outputs = [process.communicate()[0] for process in running]
    if any(process.returncode for process in running):
        sys.exit(f"{' '.join(command)}: failed")
    return [float(line) for line in outputs[0].splitlines() if line[0].isdecimal()]


def milliseconds(hidden_dim, batch_size, seconds, strategy=None):
    """How long an update takes in this process, or in all of a strategy: a float."""
    import tensorflow as tf

    from tf_gen import distributed, loop
    from tf_gen.models import vae

    config = dataclasses.replace(vae.Config(), hidden_dim=hidden_dim, batch_size=batch_size)
    operations = 6 * batch_size * 2 * 28 * 28 * hidden_dim
    count = max(2, min(100, round(seconds / 3 * OPERATIONS_PER_SECOND / operations)))
    draws = np.random.default_rng(0)
    batches = {
        "images": tf.constant(draws.integers(0, 256, [count, batch_size, 28, 28], np.uint8)),
        "epsilon": tf.constant(draws.normal(size=[count, batch_size, 2]), tf.float32),
    }
    if strategy:
        replicas = distributed.Replicas(strategy, lambda: vae.build(config), {})
        replicas.begin()
        program = replicas.program()
    else:
        program = loop.program(vae.build(config), None)
    times = []
    for _ in range(4):  # the first compiles
        begin = time.perf_counter()
        losses = program(batches, 1, tf.constant(count))[0]
        assert np.isfinite(float(losses["loss"][0]))
        times.append(1000 * (time.perf_counter() - begin) / count)
    return statistics.median(times[1:])


if __name__ == "__main__":
    main()
