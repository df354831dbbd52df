"""The tasks: what models of one kind of data share.

A task called `name` is the module `tf_gen.tasks.<name>`. It defines the class `Report`, what its
models have in common (`tf_gen.tasks.task` has the contract), and `blocks` for them.
"""

import importlib

NAMES = ("digits", "gaussian")
WITH_IMAGES = ("digits",)  # tasks whose models learn from images, which the user may choose


def source_for(recipe, spec, resize=False, invert=False):
    """What models of `recipe` learn from: a `mnist.Source`, as `mnist.load` finds it, and printed.

    None for a task that draws its data.
    """
    if recipe.TASK not in WITH_IMAGES:
        return None
    from tf_gen import mnist

    source = mnist.load(spec, resize, invert)
    print(source)
    return source


def report(recipe, config, source=None, judge=None):
    """What reports on models of `recipe`: its own `Report`, or its task's if it has none.

    `source` is a `mnist.Source`, for models that learn from images, `judge` a `judge.Judge`, for
    scores of such models.
    """
    module = recipe
    if not hasattr(recipe, "Report"):
        module = importlib.import_module(f"tf_gen.tasks.{recipe.TASK}")
    return module.Report(config, source, judge)
