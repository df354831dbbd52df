"""The registry. A model called `name` is the module `tf_gen.models.<name>`.

A model file is the whole recipe of one article. It defines

    Config, PRESETS       settings: a frozen dataclass of plain values with one field and one
                          comment a line; a ValueError of it begins with the field's name
    NEEDS_IMAGES          whether it learns from images; if not, its source is None
    LOG_LINE              the article's line of the log, a format string of the row in history.csv
    build(config)         a built and compiled `Generative`, its weights drawn from config.seed
    batches(config, source, start=0)
                          endless tf.data.Dataset; element k holds all, data and noise, that
                          update start + k consumes, as a function of (config.seed, start + k)
    measure(model, config, source, seen)
                          dict of floats for each line of the log; `seen` is what `model.observe`
                          gave there, an array. Without images several lines may share a call, at
                          whose end the model then is already
    stop_at(config)       dict of columns of the log to values at or below which a run may end early
    score(model, config, judge)
                          what `tf_gen.evaluate` tells of a trained model: dict of floats, bools
                          (`diverged` among them) and arrays; judge is a `digits.Judge` for models
                          of images, else None
    draw_scores(scores, config, path)
                          a picture of the scores of many seeds
    draw_progress(model, directory, step), draw_report(model, config, source, directory, history)
                          pictures, if any, for each line of the log at the end of a call, and at
                          the end of all
    snapshot(model, config), frames(snapshots, config)
                          what a frame of the animation shows, a dict of small arrays, and the
                          frames themselves, uint8 [height, width] or [height, width, 3]
    sample_flags(config)  what to try first with `python -m tf_gen.sample`
    latent_map(model, config, source)
                          what that command needs for `--digit` and `--grid`, kept beside the
                          SavedModel: {"labels": {"7": [0.5, 2.4], ...}, "axis": [-1.7, ..., 1.7]},
                          a z for each label and the coordinates of a grid on a latent plane, each
                          if there is one

and a subclass of `tf_gen.base.Generative` or `Adversarial` with `update(batch)`, one iteration of
the article's loop; `observe`, if `measure` wants it; `decode`, `prior(count, seed)`, and `encode`
or `discriminate` where it has such a network; and `signatures()`, what the SavedModel offers.
"""

import importlib

NAMES = (
    "vae",  # tanh/sigmoid variational autoencoder on MNIST
    "gaussian_gan",  # softplus/tanh GAN on a 1-D Gaussian, with minibatch discrimination
    "tiny_gan",  # the "50 lines" GAN on a 1-D Gaussian, whose discriminator sees a whole batch
    "ali",  # adversarially learned inference on MNIST
)


def load(name):
    """Import and return the module of the model called `name`.

    Not done for all of them at once, since that imports TensorFlow and `--help` must not.
    """
    return importlib.import_module(f"tf_gen.models.{name}")
