"""Runs one implementation of one system in a process of its own; started by `__main__`.

It prints a line `@ready DEVIATION`, the largest relative one of its first losses from tf_gen's (0
for `limits`, which compute none).
Then, for each line `go SECONDS` that it reads, it trains for about so long and prints `@time` and
the microseconds of an update.
"""

import importlib
import pickle
import sys
import time
from pathlib import Path

import numpy as np

TOLERANCE = 1e-3  # relative, of the losses of the first updates
DISAGREES = 3  # exit status


def main(module, variant, name, path):
    content = pickle.loads(Path(path).read_bytes())
    make = getattr(importlib.import_module(f"tests.benchmarks.{module}"), name)
    arguments = {"variant": variant} if variant else {}
    run = make(content["weights"], content["batches"], **arguments)
    deviation = 0.0
    if module != "limits":
        found = np.array([run(k, 1) for k in range(len(content["losses"]))])
        deviation = np.max(np.abs(found / content["losses"] - 1))
        if not deviation <= TOLERANCE:
            print(f"losses {found.tolist()} instead of {content['losses']}", file=sys.stderr)
            sys.exit(DISAGREES)
    count = len(next(iter(content["batches"].values())))
    run(0, count)
    print(f"@ready {deviation:.1e}", flush=True)
    for line in sys.stdin:
        seconds = float(line.split()[1])
        updates, begin = 0, time.perf_counter()
        while time.perf_counter() - begin < seconds:
            losses = run(0, count)
            updates += count
        if module != "limits" and not np.isfinite(losses).all():
            sys.exit(f"losses {losses}")
        print(f"@time {(time.perf_counter() - begin) / updates * 1e6}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
