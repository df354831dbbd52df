"""Calls of many updates, what is told of them, and the clocks of what happens in between."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from helpers import Adder, Counting, Observed

from tf_gen import loop, models, tasks
from tf_gen.tasks import task

pytestmark = pytest.mark.quick


@pytest.fixture
def clock(monkeypatch):
    """A clock in the place of `time.monotonic`, which stands still unless a test moves it."""
    clock = SimpleNamespace(now=1000.0)
    monkeypatch.setattr(time, "monotonic", lambda: clock.now)
    return clock


def report(steps, log_every, images=False, observed=True):
    """What reports on a model of numbers, or of images."""
    config = SimpleNamespace(steps=steps, log_every=log_every)
    kind = Observed if observed else task.Report
    return kind(config, source=object() if images else None)


# ---- Calls ---------------------------------------------------------------------------------------


def planned(steps, log_every, anim_every=None, start=0, lines_per_call=None, **kind):
    """What `calls` yields, with the batches as a list of numbers."""
    reported = report(steps, log_every, **kind)
    found = loop.calls(Counting.blocks(), reported, start, anim_every, lines_per_call)
    return [(lines, size, stack.numpy().astype(int).tolist()) for lines, size, stack in found]


CASES = [  # images, steps, log_every, anim_every
    (True, 1000, 1000, None),
    (True, 2345, 1000, None),
    (True, 600, 150, None),
    (True, 7, 3, None),
    (True, 1997, 997, None),
    (True, 1000, 250, 50),
    (True, 1000, 100, 1000),
    (True, 700, 100, 40),
    (True, 50, 10, 7),
    (True, 9, 100, 100),
    (False, 5000, 10, None),
    (False, 1205, 10, None),
    (False, 7001, 1000, None),
    (False, 4000, 600, None),
    (False, 1000, 100, 40),
    (False, 3, 10, None),
]


@pytest.mark.parametrize(("images", "steps", "log_every", "anim_every"), CASES)
def test_calls_are_even_and_a_function_of_the_step(images, steps, log_every, anim_every):
    kind = {"images": images, "observed": not images}
    whole = planned(steps, log_every, anim_every, **kind)
    for lines, size, stack in whole:
        assert len(stack) == lines * size
        assert lines == 1 or not (images or anim_every)
    assert [k for *_, stack in whole for k in stack] == list(range(steps))
    ends = [stack[-1] + 1 for *_, stack in whole]
    lines = [stack[k] + 1 for _, n, stack in whole for k in range(n - 1, len(stack), n)]
    assert set(range(log_every, steps, log_every)) | {steps} <= set(lines)
    assert set(range(anim_every or steps, steps, anim_every or steps)) | {steps} <= set(ends)
    at_most = loop.UPDATES_PER_CALL_WITH_IMAGES if images else loop.UPDATES_PER_CALL
    assert max(len(stack) for *_, stack in whole) <= at_most
    if not anim_every:
        assert len({(lines, size) for lines, size, _ in whole}) <= 4
        assert len(whole) <= 4 + 2 * steps / min(at_most, max(log_every, at_most / 2))
    for i in range(0, len(ends), 3):
        assert planned(steps, log_every, anim_every, start=ends[i], **kind) == whole[i + 1 :]


def test_calls_of_a_very_long_run_are_planned_in_parts():
    found = planned(10_002, 1, images=True, observed=False)
    assert found == [(1, 1, [k]) for k in range(10_002)]


@pytest.mark.parametrize("steps", [5000, 1205])
def test_lines_that_share_a_call_can_be_limited(steps):
    limited = planned(steps, 10, lines_per_call=7)
    assert [k for *_, stack in limited for k in stack] == list(range(steps))
    assert all(lines <= 7 for lines, *_ in limited)
    assert max(lines for lines, *_ in limited) > 3


def test_lines_share_no_call_where_one_may_end_the_run_or_looks_at_the_model():
    limited = report(1000, 10)
    limited.limits = [("w1", 0.1)]
    for reported in (limited, report(1000, 10, observed=False)):
        assert {lines for lines, *_ in loop.calls(Counting.blocks(), reported)} == {1}


def test_large_batches_make_short_calls():
    recipe = models.load("tiny_gan")
    config = recipe.PRESETS["moments"]
    _, size, stack = next(iter(loop.calls(recipe.blocks(config), tasks.report(recipe, config))))
    assert sum(array.numpy().nbytes for array in stack.values()) <= loop.BYTES_PER_CALL
    assert size == config.log_every


def test_a_batch_larger_than_a_call_makes_calls_of_one_update(monkeypatch):
    monkeypatch.setattr(loop, "BYTES_PER_CALL", 3)
    assert [size for _, size, _ in planned(5, 5)] == [1] * 5


@pytest.mark.parametrize(
    ("count", "at_most", "size"),
    [
        (1000, 1000, 1000),
        (1000, 999, 500),
        (1000, 300, 250),
        (7, 3, 3),  # 3, 3, 1: even parts would be seven
        (11, 5, 4),  # 4, 4, 3
        (997, 100, 100),
        (1, 100, 1),
        (0, 100, 1),
        (10, 0, 1),
    ],
)
def test_even_parts(count, at_most, size):
    assert loop.even(count, at_most) == size


# ---- Updates -------------------------------------------------------------------------------------


def run(model, reported, start=0):
    """What `updates` yields: for each call a list of `Stretch`."""
    program = loop.program(model, reported.observe)
    schedule = loop.calls(Counting.blocks(), reported, start)
    return loop.updates(model, program, schedule, start, reported.config.log_every)


@pytest.mark.parametrize("start", [0, 3, 10])
def test_updates_tell_of_each_line_of_the_log(start):
    model = Adder()
    reported = report(25, 5)
    calls = list(run(model, reported, start))
    begins = [start, *range(start - start % 5 + 5, 25, 5)]
    lines = [line for call in calls for line in call]
    assert len(lines) == len(begins)
    assert max(map(len, calls)) > 1  # several lines a call
    total = 0
    for line, begin in zip(lines, begins, strict=True):
        batches = np.arange(begin, min(begin - begin % 5 + 5, 25))
        total += batches.sum()
        assert line.step == batches[-1] + 1
        expected = {"loss": batches.mean(), "square": np.mean(batches**2)}
        assert line.losses == pytest.approx(expected)
        assert all(type(value) is float for value in line.losses.values())
        assert line.seen.tolist() == [total, -total]
        assert line.updates_per_second > 0
    assert float(model.total) == total


def test_where_nothing_observes_the_model_itself_is_seen():
    model = Adder()
    steps = []
    for lines in run(model, report(25, 10, observed=False)):
        (line,) = lines
        assert line.seen is model
        assert float(model.total) == sum(range(line.step))  # it is at this step
        steps.append(line.step)
    assert steps == [10, 20, 25]


def test_speed_is_that_since_the_last_line_of_the_log_without_the_making_of_batches(clock):
    seconds = iter([0.5, 1.5, 4.0])

    def schedule():
        for size in (3, 2, 5):  # a call ends between two lines of the log
            clock.now += 100  # to make batches
            yield 1, size, tf.zeros([size])

    def compiled(stack, lines, size):
        clock.now += next(seconds)
        return ({"loss": tf.zeros([lines])},)

    found = loop.updates(Adder(), compiled, schedule(), 0, log_every=5)
    assert [(line.step, line.updates_per_second) for (line,) in found] == [
        (3, 6.0),
        (5, 2.5),  # 5 updates in 2 seconds
        (10, 1.2),  # 5 updates in 4 seconds, rounded
    ]


# ---- Clock ---------------------------------------------------------------------------------------


def due(clock, steps, **more):
    return [step for step in steps if clock.due(step, **more)]


@pytest.mark.parametrize("start", [0, 4, 5])
def test_due_once_after_each_multiple(start):
    steps = [step for step in range(1, 21) if step > start for _ in range(3)]
    assert due(loop.Clock(5, start), steps) == [s for s in (5, 10, 15, 20) if s > start]


@pytest.mark.parametrize(("start", "expected"), [(0, [7, 12, 31, 35]), (5, [12, 31, 35])])
def test_due_at_the_first_step_past_a_multiple(start, expected):
    assert due(loop.Clock(5, start), [7, 9, 12, 31, 32, 35]) == expected


def test_due_always_at_the_end_and_then_not_again():
    clock = loop.Clock(10, seconds=1e9)
    assert not clock.due(10)
    assert clock.due(11, ending=True)
    assert not clock.due(11)
    assert clock.due(12, ending=True)


def test_not_due_more_often_than_every_few_seconds(clock):
    ours = loop.Clock(10, seconds=5.0)
    found = []
    for step in range(1, 101):
        clock.now += 0.1  # 10 steps a second
        if ours.due(step):
            found.append(step)
    assert found == [50, 100]
    clock.now += 100
    assert not ours.due(109)  # time alone does not make it due
    assert ours.due(110)


def test_what_is_put_off_is_made_up_for_at_the_next_call(clock):
    ours = loop.Clock(10, seconds=5.0)
    assert not ours.due(10)  # too early
    clock.now += 5
    assert ours.due(13)  # since 10 was passed
    assert not ours.due(14)


# ---- Progress ------------------------------------------------------------------------------------


def test_without_a_terminal_a_line_tells_every_ten_seconds_how_much_time_is_left(clock, capsys):
    with loop.Progress(1000, start=100, unit="update") as progress:
        for step in range(101, 1001):
            clock.now += 600 if step == 101 else 0.5  # first of all is compiled
            progress.update(step, f"{step} of 1000 updates")
        progress.print("done")
    out, err = capsys.readouterr()
    *lines, last = out.splitlines()
    assert (last, err) == ("done", "")
    steps = range(121, 1001, 20)  # every ten seconds
    assert lines == [
        f"{step} of 1000 updates, {seconds // 60:02d}:{seconds % 60:02d} left"
        for step, seconds in ((step, (1000 - step) // 2) for step in steps)
    ]


def test_a_short_run_tells_nothing_of_its_progress(clock, capsys):
    with loop.Progress(20) as progress:
        for step in range(1, 21):
            clock.now += 0.4
            progress.update(step, "words")
    assert capsys.readouterr() == ("", "")


def test_on_a_terminal_there_is_a_bar_on_stderr_and_no_line(clock, capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)
    with loop.Progress(1000, start=100, unit="update") as progress:
        for step in (200, 500, 1000):
            clock.now += 60
            progress.update(step, "words")
        progress.print("a line of the log")
    out, err = capsys.readouterr()
    assert out == "a line of the log\n"
    assert "1000/1000" in err
    assert "words" not in out + err
