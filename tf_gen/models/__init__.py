"""The registry. A model called `name` is the recipe `tf_gen.models.<name>`, a module.

A recipe is one article. It defines

    Config, PRESETS   settings: a frozen dataclass that derives from `tf_gen.settings.Settings`, one
                      field and one comment a line; and a dict of them, `article` the first. Its
                      `whole_batch` says whether several devices can share an update
    TASK              the name of its task, what the models of one kind of data share:
                      `tf_gen.tasks` lists them
    build(config)     a built and compiled model, its weights drawn from config.seed
    blocks(config, source)
                      all that each update consumes, data and noise, as a function of (config.seed,
                      update): a `tf_gen.batches.Blocks`; `source` is a `mnist.Source`, or None
                      where the task draws its data. The models here have `batches(config, source,
                      start=0)`, too: the same as a `tf.data.Dataset`, for `fit`
    the model         a subclass of `tf_gen.base.Generative` or `Adversarial` with `update(batch)`,
                      one iteration of the article's loop; `decode`, `prior(count, seed)`, and
                      `encode` or `discriminate` where it has such a network
    Report            only where the article shows something of its own: a subclass of its task's

and imports neither matplotlib, Pillow, SciPy nor scikit-learn.
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

    Not done for all of them at once, since that imports TensorFlow and `--help` must not.
    """
    return importlib.import_module(f"tf_gen.models.{name}")
