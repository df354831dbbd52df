"""The training loop: many updates per compiled call, and clocks for what happens between calls."""

import math
import time
from typing import Any, NamedTuple

import tensorflow as tf
from tqdm import tqdm

from tf_gen.base import compiled, repeat

# The largest number of updates in one call from Python into TensorFlow; fewer if batches are large.
# A call costs half a millisecond, as much as one update with images, or twenty without.
UPDATES_PER_CALL, UPDATES_PER_CALL_WITH_IMAGES = 1000, 100
BYTES_PER_CALL = 2**25
SECONDS_BETWEEN_LINES = 10  # between two lines with the time left, if there is no bar


class Stretch(NamedTuple):
    """Consecutive updates up to a line of the log or to the end of a call."""

    step: int  # total number of updates at its end
    losses: dict  # of floats, means over these updates
    seen: Any  # the array that `report.observe` returned at `step`; without `observe`, the model
    updates_per_second: float  # since the last line of the log, not counting the making of batches


def program(model, observe):
    """Compile many updates, in one or several stretches, into one program.

    If the log has a line every few updates, returning to Python for each line would take longer
    than the training.

    Args:
        model: a `base.Generative`.
        observe: function from the model to a float32 tensor, called at the end of each stretch; or
            None.

    Returns:
        A function of `batches`, a structure of tensors [stretches * K, ...]; `stretches`, a Python
        int; and K, int32 [] (see `repeat`). It returns a tuple of a dict of float32 [stretches],
        the means of the losses, and, with `observe`, float32 [stretches, ...].
    """
    on_gpu = bool(tf.config.list_physical_devices("GPU"))
    specs = (dict.fromkeys(model.losses_reported, tf.float32), *([tf.float32] if observe else []))

    def all_stretches(batches, stretches, size):
        # Hide K from XLA, so that a call of one update is rounded like the others (see `repeat`).
        # Not with images, and not on a GPU: it has no small loops (see `base`) and would ask the
        # CPU in each iteration.
        count = size if model.generates == "x" and not on_gpu else None

        def stretch(part):
            losses, _ = repeat(model.update, part, model.losses_reported, count)
            return (losses, observe(model)) if observe else (losses,)

        parts = tf.nest.map_structure(
            lambda stack: tf.reshape(stack, [stretches, -1, *stack.shape[1:]]), batches
        )
        return tf.map_fn(stretch, parts, fn_output_signature=specs)

    return compiled(all_stretches)


def updates(model, program, schedule, start, log_every):
    """Train `model` from step `start` with its `program`; `schedule` comes from `calls`.

    Yields:
        A list of `Stretch` for each call. The model is then at the step of the last one.
    """
    step, count, seconds = start, 0, 0.0
    for stretches, size, stack in schedule:
        begin = time.monotonic()
        results = program(stack, stretches, tf.constant(size))
        results = tf.nest.map_structure(lambda tensor: tensor.numpy(), results)
        seconds += time.monotonic() - begin
        count += stretches * size
        # Without `observe`, a call has one stretch (see `calls`).
        losses, seen = results if len(results) == 2 else (results[0], [model])
        yield [
            Stretch(
                step + (i + 1) * size,
                {name: float(values[i]) for name, values in losses.items()},
                seen[i],
                round(count / seconds, 1),
            )
            for i in range(stretches)
        ]
        step += stretches * size
        if step % log_every == 0:
            count, seconds = 0, 0.0


def calls(blocks, report, start=0, anim_every=None, lines_per_call=None, log_every=None):
    """Plan the calls from step `start` to the last step.

    Several lines of the log share a call if they fit into it and only `observe` looks at the model
    in between.

    Args:
        blocks: the `batches.Blocks` of a recipe.
        report: the `Report` for its model.
        start: Python int.
        anim_every: updates between two frames of an animation, where a call must end; or None.
        lines_per_call: the largest number of lines of the log that share a call, or None.
        log_every: updates between two lines of the log; by default that of the config.

    Yields:
        For each call: the number of stretches, the number of updates in each, and their batches,
        stacked.
    """
    total, log_every = report.config.steps, log_every or report.config.log_every
    intervals = [log_every, anim_every or log_every]
    at_most = UPDATES_PER_CALL_WITH_IMAGES if report.source else UPDATES_PER_CALL
    at_most = max(1, min(at_most, BYTES_PER_CALL // blocks.bytes_each))
    several = min(at_most // log_every, lines_per_call or at_most)
    if not report.observe or anim_every or report.limits:
        several = 1
    several = even(total // log_every, several)

    def sizes():
        step = start
        while step < total:
            if several > 1 and step % log_every == 0 and total - step >= log_every:
                lines = min(several, (total - step) // log_every)
                yield lines, log_every
                step += lines * log_every
                continue
            # The size depends only on the step, so a resumed run makes the same calls. There are
            # few different sizes, since XLA compiles the program again for each: equal ones, or
            # powers of two if the two intervals leave gaps of many lengths. Only the last size
            # depends on `total`, so a longer run makes the same calls up to there.
            begin = max(step - step % interval for interval in intervals)
            end = min(step - step % interval + interval for interval in intervals)
            part = even(end - begin, at_most)
            if max(intervals) % min(intervals):
                size = 1 << (min(part, end - step).bit_length() - 1)
            else:  # to the end of a part, even if a shorter run ended inside this part
                size = min(part - (step - begin) % part, end - step)
            size = min(size, total - step)
            yield 1, size
            step += size

    stacks = blocks.stacks(start, (lines * size for lines, size in sizes()))
    for (lines, size), stack in zip(sizes(), stacks, strict=True):
        yield lines, size, stack


def even(count, at_most):
    """The size of equal parts of `count`, at most `at_most`; the last part may be smaller.

    XLA compiles a program for each size, so a few more parts are better than two sizes.
    """
    fewest = math.ceil(count / max(1, at_most))
    for parts in range(max(1, fewest), 2 * fewest + 1):
        if count % parts == 0:
            return count // parts
    return max(1, math.ceil(count / max(1, fewest)))


class Clock:
    """Says when something is due: at each multiple of `every` steps, at least `seconds` apart."""

    def __init__(self, every, start=0, seconds=0.0):
        self.every, self.step = every, start
        self.seconds, self.time = seconds, time.monotonic()

    def due(self, step, ending=False):
        """Whether it is due at `step`; if so, not again at this step. Always true if `ending`."""
        passed = step // self.every > self.step // self.every
        if not ending and not (passed and time.monotonic() - self.time >= self.seconds):
            return False
        self.step, self.time = step, time.monotonic()
        return True


class Progress:
    """A `tqdm` bar on stderr, or lines on stdout if stderr is not a terminal."""

    def __init__(self, total, start=0, **bar):
        self.total, self.step = total, start
        self.bar = tqdm(total=total, initial=start, disable=None, **bar)
        self.first = None  # step and time of the first report, when all is compiled

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.bar.close()

    def update(self, step, words):
        """Show that `step` is done. A line has `words` and the time left."""
        self.bar.update(step - self.step)
        self.step = step
        if self.first is None:
            self.first = step, time.monotonic()
            self.clock = Clock(1, step, SECONDS_BETWEEN_LINES)
        elif self.bar.disable and self.clock.due(step):
            pace = (time.monotonic() - self.first[1]) / (step - self.first[0])
            print(f"{words}, {tqdm.format_interval(pace * (self.total - step))} left")

    def print(self, text):
        """Print `text` above the bar."""
        self.bar.write(text)
