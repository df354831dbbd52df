"""Training and scoring many seeds of a model with one compiled program."""

import copy
import dataclasses
import functools
import itertools
from collections import deque
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow as tf

from tf_gen import loop, tasks

BUILT_AHEAD = 10  # models to build ahead: as many as are built while the program is compiled


class Trainer:
    """Trains a model from one seed after another and scores each.

    Args:
        recipe, report: a module of `tf_gen.models` and a `Report` for its models; the seed of the
            report's config is replaced.
    """

    def __init__(self, recipe, report):
        self.recipe, self.report = recipe, report
        self.model = recipe.build(report.config)
        self.program = loop.program(self.model, report.observe)
        self.seed = tf.Variable(0, dtype=tf.int64)  # of the batches
        config = copy.copy(report.config)
        object.__setattr__(config, "seed", self.seed)  # `Config` is frozen and takes only numbers
        self.blocks = recipe.blocks(config, report.source)  # one program for all seeds

    def scores(self, seeds):
        """Yield each of `seeds`, Python ints, with its score, a dict.

        While one model trains, the next ones are built, only for their weights.
        """
        configs = [dataclasses.replace(self.report.config, seed=seed) for seed in seeds]
        states = initial_states(self.recipe, configs)
        for config, initial in zip(configs, states, strict=True):
            for variable, value in zip(self.model.state, initial, strict=True):
                variable.assign(value)
            self.seed.assign(config.seed)
            report = tasks.report(self.recipe, config, self.report.source, self.report.judge)
            yield config.seed, train_seed(report, self.model, self.program, self.blocks)


def initial_states(recipe, configs):
    """A generator of the `initial_state` of each of `configs`; some are made ahead."""
    build = functools.partial(initial_state, recipe)
    later = iter(configs)
    builder = ThreadPoolExecutor(1)
    try:
        upcoming = deque(builder.submit(build, c) for c in itertools.islice(later, BUILT_AHEAD))
        while upcoming:
            initial = upcoming.popleft().result()
            upcoming.extend(builder.submit(build, c) for c in itertools.islice(later, 1))
            yield initial
    finally:
        builder.shutdown(cancel_futures=True)  # do not wait for all of them after Ctrl-C


def initial_state(recipe, config):
    """The `state` of a new model with `config`: a list of NumPy arrays.

    Each model is built in a new thread, where Keras starts numbering the names of layers from the
    beginning. So the names of variables repeat, and TensorFlow reuses the operations that make
    them; making new ones takes half of the time of a build.
    """
    with ThreadPoolExecutor(1) as thread:
        model = thread.submit(recipe.build, config).result()
    return [variable.numpy() for variable in model.state]


def train_seed(report, model, program, blocks):
    """Train `model` from its first step with `program`, its compiled `loop.program`.

    `blocks` are those of the recipe, for this seed. Returns the model's score.
    """
    config = report.config
    finite, steps = True, config.steps
    # Without limits, nothing is measured during training, so calls are as large as possible.
    log_every = config.log_every if report.limits else config.steps
    schedule = loop.calls(blocks, report, log_every=log_every)
    with loop.Progress(steps, unit="update", leave=False, delay=10) as progress:
        for stretches in loop.updates(model, program, schedule, 0, log_every):
            (last,) = stretches
            finite = finite and all(np.isfinite(value) for value in last.losses.values())
            progress.update(last.step, f"seed {config.seed}: {last.step} of {steps} updates")
            measured = report.limits and last.step % config.log_every == 0
            if measured and report.reached(report.measure(last.seen)):
                steps = last.step
                break
    score = report.score(model)
    score["diverged"] = score["diverged"] or not finite
    return {**score, "steps": steps} if report.limits else score
