"""The registry. A model called `name` is the module `tf_gen.models.<name>`.

A model file is the whole recipe of one article. It defines

    Config, PRESETS       settings: a frozen dataclass of plain values with one field and one
                          comment a line; a ValueError of it begins with the field's name
    LOG_LINE              the article's line of the log, a format string of the row in history.csv
    build(config)         a built and compiled `Generative`, its weights drawn from config.seed
    batches(config, source, start=0)
                          endless tf.data.Dataset; element k holds all, data and noise, that
                          update start + k consumes, as a function of (config.seed, start + k)
    measure(model, config, source)
                          dict of floats for each line of the log
    draw_progress(model, directory, step), draw_report(model, source, directory, history)
                          pictures for each line of the log and at the end
    sample_flags(config)  what to try first with `python -m tf_gen.sample`

and a subclass of `tf_gen.base.Generative` with `update(batch)`, one iteration of the article's
loop; `encode`, `decode`, `prior(count, seed)`; and `signatures()`, what the SavedModel offers.
"""

import importlib

NAMES = (
    "vae",  # tanh/sigmoid variational autoencoder on MNIST
    "gaussian_gan",  # softplus/tanh GAN on a 1-D Gaussian, with minibatch discrimination
    "tiny_gan",  # the "50 lines" GAN on a 1-D Gaussian, whose discriminator sees a whole batch
)


def load(name):
    """Import and return the module of the model called `name`.

    Not done for all of them at once, since that imports TensorFlow and `--help` must not.
    """
    return importlib.import_module(f"tf_gen.models.{name}")
