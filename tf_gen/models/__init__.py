"""The registry of models. The model called `name` is the module `tf_gen.models.<name>`, its recipe.

A recipe implements one article. It defines

    Config, PRESETS   the settings: a frozen dataclass derived from `tf_gen.settings.Settings`, with
                      one field and its comment on each line, and a dict of presets, `article`
                      first. `Config.whole_batch` says why several devices cannot share an update;
                      it is empty if they can
    TASK              the name of the task, which holds what all models of one kind of data share;
                      `tf_gen.tasks` lists the tasks
    build(config)     returns a built and compiled model with weights drawn from config.seed
    blocks(config, source)
                      returns everything that the updates consume, data and noise, as a
                      `tf_gen.batches.Blocks`: a function of (config.seed, update). `source` is a
                      `mnist.Source`, or None if the task draws its data. The models here also have
                      `batches(config, source, start=0)`, the same as a `tf.data.Dataset` for `fit`
    the model         a subclass of `tf_gen.base.Generative` or `Adversarial` with `update(batch)`,
                      one iteration of the article's loop; `decode`; `prior(count, seed)`; and
                      `encode` or `discriminate` if it has such a network
    Report            a subclass of the task's `Report`, if the article shows something of its own

A recipe must not import matplotlib, Pillow, SciPy or scikit-learn.
"""

import importlib

NAMES = (
    "vae",  # tanh/sigmoid variational autoencoder on MNIST
    "gaussian_gan",  # softplus/tanh GAN on a 1-D Gaussian, with minibatch discrimination
    "tiny_gan",  # the "50 lines" GAN on a 1-D Gaussian, whose discriminator sees a whole batch
    "ali",  # adversarially learned inference on MNIST
)


def load(name):
    """Import and return the recipe of the model called `name`.

    Recipes are imported on demand: they import TensorFlow, which `--help` must not do.
    """
    return importlib.import_module(f"tf_gen.models.{name}")
