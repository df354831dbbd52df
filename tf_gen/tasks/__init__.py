"""The tasks. A task holds what all models of one kind of data share.

The task called `name` is the module `tf_gen.tasks.<name>`. It defines the class `Report`, which
measures and draws its models (`tf_gen.tasks.task` has the contract), and `blocks`, which makes
their batches.
"""

import importlib

NAMES = ("digits", "gaussian")
WITH_IMAGES = ("digits",)  # tasks whose models learn from images, which the user can choose


def source_for(recipe, spec, resize=False, invert=False):
    """Load and print what models of `recipe` learn from: a `mnist.Source` (see `mnist.load`).

    Returns None if the task draws its data.
    """
    if recipe.TASK not in WITH_IMAGES:
        return None
    from tf_gen import mnist

    source = mnist.load(spec, resize, invert)
    print(source)
    return source


def report(recipe, config, source=None, judge=None):
    """Return the `Report` for models of `recipe`: the recipe's own, or its task's if it has none.

    Models that learn from images need `source`, a `mnist.Source`; their scores also need `judge`, a
    `judge.Judge`.
    """
    module = recipe
    if not hasattr(recipe, "Report"):
        module = importlib.import_module(f"tf_gen.tasks.{recipe.TASK}")
    return module.Report(config, source, judge)
