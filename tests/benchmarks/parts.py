"""Where the time of `train` goes: `python -m tests.benchmarks.parts vae --data MNIST`.

Takes the arguments of `tf_gen.train`, and times each part of an update by itself, several times in
turns, so that what slows the machine down for a while slows down all of them. Prints the median of
each in microseconds an update. The parts together are more than an update takes where one of them
runs on one core while another one runs on the other.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

from tf_gen import cli, flags, train
from tf_gen.models import load

TURNS = 7
UPDATES = 10_000  # in a turn; a tenth of them with images


def main():
    arguments, settings = train.parse(sys.argv[1:])
    cli.import_tensorflow(lean=True, one_thread=flags.is_small(settings, arguments.data))
    import tensorflow as tf

    from tf_gen import base, loop, plots, rundir, tasks

    base.use_xla = arguments.jit
    recipe = load(arguments.model)
    config = recipe.Config(**settings)
    data = arguments.data or "auto"
    source = tasks.source_for(recipe, data, arguments.resize, arguments.invert)
    report, model = tasks.report(recipe, config, source), recipe.build(config)
    blocks = recipe.blocks(config, source)
    lines, size, stack = next(loop.calls(blocks, report))
    updates, log_every = lines * size, config.log_every
    repeats = max(1, UPDATES // (10 if source else 1) // updates)
    bare, whole = loop.program(model, None), loop.program(model, report.observe)
    stacks = blocks.stacks(0, iter(lambda: updates, None))

    def the_loop():
        for _ in range(repeats):
            bare(stack, 1, tf.constant(updates))[0]["loss"].numpy()

    def with_figures():
        for _ in range(repeats):
            results = whole(stack, lines, tf.constant(size))
            tf.nest.map_structure(lambda tensor: tensor.numpy(), results)

    def batches():
        for _ in range(repeats):
            next(stacks)

    def train_on_batches():
        schedule = ((lines, size, next(stacks)) for _ in range(repeats))
        for _ in loop.updates(model, whole, schedule, 0, log_every):
            pass

    with tempfile.TemporaryDirectory() as temporary:
        manifest = rundir.manifest(arguments.model, settings, source)
        with rundir.RunDirectory(Path(temporary, "run"), manifest) as directory:
            (stretches,) = loop.updates(model, whole, [(lines, size, stack)], 0, log_every)
            count = len(stretches) if report.observe else 1

            def lines_of_the_log():
                log = loop.Clock(1)
                train.write_log(stretches[:count], log, report, directory, lambda text: None)

            def pictures():
                plots.save(report.progress(model), Path(temporary, "picture.png"))

            # Name, function, and how many updates it belongs to.
            parts = [
                ("the compiled loop, on the same batches", the_loop, repeats * updates),
                ("making batches", batches, repeats * updates),
                ("both at once, as `train` does", train_on_batches, repeats * updates),
                ("lines of the log and their figures", lines_of_the_log, count * log_every),
            ]
            if report.observe:
                name = "the same with the figures in the program"
                parts.insert(1, (name, with_figures, repeats * updates))
            if report.progress:
                parts.append(("pictures of the course", pictures, log_every))
            for _, part, _ in parts:
                part()  # compiles
            times = {name: [] for name, _, _ in parts}
            for _ in range(TURNS):
                for name, part, belongs_to in parts:
                    begin = time.perf_counter()
                    part()
                    times[name].append((time.perf_counter() - begin) / belongs_to * 1e6)
    print("\n| | µs an update |\n|---|---|")
    for name, values in times.items():
        print(f"| {name} | {statistics.median(values):.1f} |")


if __name__ == "__main__":
    main()
