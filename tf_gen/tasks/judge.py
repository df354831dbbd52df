"""Scores of models of digits, from a classifier and from distances between images and codes.

A score means little without a baseline. So most come with one: the same score of real images, of
raw pixels or of the untrained model.
"""

import hashlib
from functools import cached_property, partial

import keras
import numpy as np
import scipy.linalg
import scipy.special
import scipy.stats
from sklearn.neighbors import KNeighborsClassifier, NearestNeighbors

from tf_gen import files
from tf_gen.base import check_precision
from tf_gen.errors import UserError
from tf_gen.mnist import evenly

SAMPLES = 10_000  # samples of the model, and at most as many real images for the baseline
JUDGE_SEED = 0
JUDGE_EPOCHS = 8
GOOD_JUDGE = 0.985  # do not trust the scores of a judge with a lower accuracy


class Judge:
    """A small convolutional classifier with the images that it was trained and tested on.

    Args:
        source: a `mnist.Source`.
        path: of a .keras file. If it exists, the classifier is read from it; otherwise it is
            trained and written there.
        epochs: Python int, the number of training epochs.

    Attributes:
        source: the `mnist.Source`.
        images, held_out_images: float32 [n, 28, 28] in [0, 1].
        classifier: a `keras.Sequential`, images float32 [n, 28, 28] to logits [n, classes].
        accuracy: its accuracy on the held-out images.
        seed: the seed of its training.

    Raises:
        UserError: `path` holds something else, or a classifier trained on other images; or there
            are too few images; or Keras is set to another precision than float32.
    """

    def __init__(self, source, path, epochs=JUDGE_EPOCHS):
        check_precision()
        if min(len(source.images), len(source.held_out_images)) < 2:
            raise UserError(f"data {source.name}: needs at least 2 images to train and 2 held out")
        self.source = source
        self.images = np.float32(source.images) / 255
        self.held_out_images = np.float32(source.held_out_images) / 255
        if path.exists():
            self.classifier = _read_classifier(path, source)
        else:
            print(f"training the judge, a classifier, for {epochs} epochs")
            self.classifier = _train_classifier(self.images, source, epochs)
            path.parent.mkdir(parents=True, exist_ok=True)
            with files.beside(path) as temporary:
                self.classifier.save(temporary)
        self.seed = int(self.classifier.name.rpartition("_")[2])
        features, logits = self.classifier.layers[-2:]
        self._layers = keras.Model(self.classifier.inputs, [features.output, logits.output])
        self._layers.jit_compile = False  # as in training; Keras would use XLA on a GPU
        right = self.classify(self.held_out_images)[1].argmax(axis=1) == source.held_out_labels
        self.accuracy = float(np.mean(right))
        doubt = "" if self.accuracy >= GOOD_JUDGE else "; too few to rely on its scores"
        print(f"judge: {path}, right on {self.accuracy:.2%} of the held-out images{doubt}")

    def classify(self, images):
        """Features [n, 64] and probabilities [n, classes] of float32 images [n, 28, 28].

        The features are the activations of the last hidden layer.
        """
        features, logits = self._layers.predict(images, batch_size=500, verbose=0)
        return features, scipy.special.softmax(np.float64(logits), axis=1)

    @cached_property
    def sha256(self):
        """Hex digest of its weights."""
        digest = hashlib.sha256()
        for weight in self.classifier.get_weights():
            digest.update(np.ascontiguousarray(weight))
        return digest.hexdigest()

    @cached_property
    def real(self):
        """Baselines for the scores of samples: the same scores of real training images."""
        return _score_samples(evenly(self.images, SAMPLES), self)

    @cached_property
    def features(self):
        """Features of the held-out images: float32 [n, 64]."""
        return self.classify(self.held_out_images)[0]

    def knn(self, layer):
        """1-nearest-neighbour accuracy in a layer, a function from images to float32 [n, d]."""
        features, held_out = (_in_parts(layer, x) for x in (self.images, self.held_out_images))
        labels, held_out_labels = self.source.labels, self.source.held_out_labels
        return nearest_neighbour_accuracy(features, labels, held_out, held_out_labels)

    @cached_property
    def knn_pixels(self):
        """1-nearest-neighbour accuracy of raw pixels."""
        return self.knn(lambda images: images.reshape(len(images), -1))


def _name(source, seed):
    """The classifier's name. It tells which images it was trained on, and its file keeps it."""
    return f"judge_{source.sha256[:16]}_{seed}"


def _train_classifier(images, source, epochs):
    keras.utils.set_random_seed(JUDGE_SEED)
    layers = keras.layers
    # Explicit, since Keras may be set to channels_first, which operations on a CPU do not support.
    form = {"data_format": "channels_last"}
    classifier = keras.Sequential(
        [
            keras.Input([28, 28]),
            layers.Reshape([28, 28, 1]),
            layers.Conv2D(16, 5, strides=2, padding="same", activation="relu", **form),
            layers.Conv2D(32, 5, strides=2, padding="same", activation="relu", **form),
            layers.Flatten(**form),
            layers.Dropout(0.25),
            layers.Dense(64, activation="relu"),
            layers.Dense(int(source.labels.max()) + 1),
        ],
        name=_name(source, JUDGE_SEED),
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # Without XLA, whose convolutions took five times as long on a CPU.
    classifier.compile("adam", loss, jit_compile=False)
    classifier.fit(images, source.labels, batch_size=100, epochs=epochs, verbose=2)
    return classifier


def _read_classifier(path, source):
    try:
        classifier = keras.models.load_model(path)
    except Exception as error:  # damage can look like anything to zipfile and Keras
        raise UserError(
            f"{path}: cannot be read as a classifier; move it away to train another"
        ) from error
    if not classifier.name.startswith(_name(source, "")):
        raise UserError(f"{path}: not a judge trained on these images; move it away to train one")
    return classifier


# ---- Scores --------------------------------------------------------------------------------------


def frechet_distance(a, b):
    """Fréchet distance between two Gaussians with the means and covariances of a and b.

    |m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)), Heusel et al., arXiv:1706.08500, equation 6;
    a is float [n, d], b is float [m, d].
    """
    a, b = np.float64(a), np.float64(b)
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    # The product of two covariances has real eigenvalues >= 0. The trace of its square root is the
    # sum of their square roots. A singular covariance has no such matrix root.
    eigenvalues = scipy.linalg.eigvals(cov_a @ cov_b).real
    root = np.sum(np.sqrt(np.maximum(eigenvalues, 0)))
    return float(np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(cov_a + cov_b) - 2 * root)


def inception_score(probabilities):
    """exp of the mean KL(p(y|x) || p(y)), from 1 to the number of classes; p(y|x) is [n, classes].

    Salimans et al., arXiv:1606.03498, section 4. The classifier here is one of digits.
    """
    marginal = probabilities.mean(axis=0, keepdims=True)
    return float(np.exp(np.mean(scipy.stats.entropy(probabilities, marginal, axis=1))))


def nearest_distances(a, b):
    """Euclidean distance [n] of each row of `a`, float [n, d], to the nearest row of `b` [m, d]."""
    neighbours = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(b)
    return neighbours.kneighbors(a)[0][:, 0]


def nearest_neighbour_accuracy(features, labels, held_out_features, held_out_labels):
    """The share of held-out points [m, d] with the label of the nearest of `features` [n, d]."""
    classifier = KNeighborsClassifier(1, algorithm="brute").fit(features, labels)
    return float(classifier.score(held_out_features, held_out_labels))


def score(model, untrained, layers, judge):
    """The scores of a model that encodes and decodes digits, for `tf_gen.evaluate`.

    Args:
        model: has `prior(count, seed)` and `decode(z)`, and reconstructs images when called.
        untrained: the same model before its training, for baselines.
        layers: dict of names to functions from a model and images, float32 [n, 28, 28], to the
            activations of a layer, float32 [n, d].
        judge: a `Judge`.

    Returns:
        dict of the bool `diverged` and the array `samples`, uint8 [10, 28, 28]. If the model has
        not diverged, it also has these floats.
        `knn_LAYER`: 1-nearest-neighbour accuracy of the held-out images in each layer, with
        `knn_LAYER_untrained` and `knn_pixels` as baselines.
        `reconstruction_error`: mean Euclidean distance between held-out images and their
        reconstructions.
        `reconstruction_relative`: that distance divided by the mean distance between these
        reconstructions and other images chosen at random, as in the BiGAN authors' code. It is 1 if
        the reconstructions say nothing about the images, however blurred they are.
        `reconstruction_mse`: mean squared error per pixel.
        `same_digit`: share of held-out images whose reconstruction the judge assigns to the image's
        label; `same_digit_real`: the same of the images themselves, which is the judge's accuracy.
        The other scores are of 10,000 samples. With the suffix `_real` they are the same scores of
        real images, on which the judge was trained. `frechet`: Fréchet distance to the held-out
        images in the judge's features. `inception_score`: by the judge. `nearest`: mean distance
        from a held-out image to the nearest sample, of as many samples as there are real images.
        `class_NAME`: share of each class.
    """
    samples = _in_parts(model.decode, model.prior(SAMPLES, [0, 0]))
    reconstructions = _in_parts(model, judge.held_out_images)
    if not all(np.all(np.isfinite(v)) for v in (*model.weights, samples, reconstructions)):
        return {"samples": np.zeros([10, 28, 28], np.uint8), "diverged": True}
    figures = {}
    for name, layer in layers.items():
        figures[f"knn_{name}"] = judge.knn(partial(layer, model))
        figures[f"knn_{name}_untrained"] = judge.knn(partial(layer, untrained))
    figures["knn_pixels"] = judge.knn_pixels
    figures |= _score_reconstructions(reconstructions, judge)
    for name, value in _score_samples(samples, judge).items():
        figures[name] = value
        figures[f"{name}_real"] = judge.real[name]
    return {**figures, "samples": np.uint8(np.rint(255 * samples[:10])), "diverged": False}


def _score_reconstructions(reconstructions, judge):
    """Scores of reconstructions of the held-out images, float32 [n, 28, 28]: see `score`."""
    images = judge.held_out_images
    # Each image is paired with the next in a random order, so that none is paired with itself.
    order = np.random.default_rng(0).permutation(len(images))
    others = np.empty_like(images)
    others[order] = images[np.roll(order, 1)]
    distance = np.mean(np.linalg.norm(images - reconstructions, axis=(1, 2)))
    other_distance = np.mean(np.linalg.norm(others - reconstructions, axis=(1, 2)))
    answers = judge.classify(reconstructions)[1].argmax(axis=1)
    return {
        "reconstruction_error": float(distance),
        "reconstruction_relative": float(distance / other_distance),
        "reconstruction_mse": float(np.mean((images - reconstructions) ** 2)),
        "same_digit": float(np.mean(answers == judge.source.held_out_labels)),
        "same_digit_real": judge.accuracy,
    }


def _score_samples(images, judge):
    """Scores of samples in [0, 1], float32 [n, 28, 28]: see `score`."""
    features, probabilities = judge.classify(images)
    classes = probabilities.shape[1]
    shares = np.bincount(probabilities.argmax(axis=1), minlength=classes) / len(images)
    held_out = judge.held_out_images.reshape(len(judge.held_out_images), -1)
    as_many = images[: len(judge.images)].reshape(-1, held_out.shape[1])
    return {
        "frechet": frechet_distance(features, judge.features),
        "inception_score": inception_score(probabilities),
        "nearest": float(np.mean(nearest_distances(held_out, as_many))),
        **{
            f"class_{judge.source.class_name(label)}": float(share)
            for label, share in enumerate(shares)
        },
    }


def _in_parts(function, inputs):
    """Apply `function` to `inputs`, a thousand at a time."""
    starts = range(0, len(inputs), 1000)
    return np.concatenate([np.asarray(function(inputs[i : i + 1000])) for i in starts])


# ---- The place of each digit in the latent space ------------------------------------------------


def codes_of_labels(decode, z, images, labels, neighbours=50, at_most=100):
    """Codes of each label's images that decode to images of that label.

    A decoded image counts as one of the label if most of the images nearest to it have the label.
    So if fours and nines overlap in the latent space, codes of fours that decode to nines are left
    out.

    Args:
        decode: function from codes, float32 [m, d], to images [m, height, width].
        z: float32 [n, d], codes of `images`, or draws of their posteriors.
        images: float32 [n, height, width].
        labels: int [n].
        neighbours: Python int, number of nearest images to look at; fewer if n is smaller.
        at_most: Python int, largest number of codes for a label; three times as many are decoded.

    Returns:
        dict of labels to float32 [m, d], in random order; m is at least 1, since the best code is
        always among them.
    """
    neighbours = min(neighbours, len(z))
    near_images = NearestNeighbors(n_neighbors=neighbours).fit(images.reshape(len(images), -1))
    order = np.random.default_rng(0).permutation(len(z))
    codes = {}
    for label in np.unique(labels):
        some = z[order[labels[order] == label]][: 3 * at_most]
        decoded = np.reshape(decode(some), [len(some), -1])
        share = _share(near_images, decoded, labels, label)
        codes[int(label)] = some[share >= min(0.5, share.max())][:at_most]
    return codes


def clearest_points(decode, z, images, labels, neighbours=50, candidates=100):
    """For each label, the code of one of its images that shows it best.

    Two shares measure this: how many of the nearest codes have the label, and how many of the
    images nearest to the decoded image have it. The second is needed since a code among those of
    fours may still decode to something like a nine. The best code has the largest product of both.

    Args:
        decode: function from codes, float32 [m, d], to images [m, height, width].
        z: float32 [n, d], the codes of `images`.
        images: float32 [n, height, width].
        labels: int [n].
        neighbours: Python int, number of neighbours to look at; fewer if n is smaller.
        candidates: Python int, number of codes of each label that are decoded: those with the
            largest first share.

    Returns:
        dict of labels to float32 [d]; of equally good codes, the one nearest to the label's mean.
    """
    neighbours = min(neighbours, len(z))
    near_codes = NearestNeighbors(n_neighbors=neighbours).fit(z)
    near_images = NearestNeighbors(n_neighbors=neighbours).fit(images.reshape(len(images), -1))

    points = {}
    for label in np.unique(labels):
        own = z[labels == label]
        purity = _share(near_codes, own, labels, label)
        distance = np.linalg.norm(own - own.mean(axis=0), axis=1)
        best = np.lexsort((distance, -purity))[:candidates]
        decoded = np.reshape(decode(own[best]), [len(best), -1])
        shown = _share(near_images, decoded, labels, label)
        points[int(label)] = own[best[np.argmax(purity[best] * shown)]]
    return points


def _share(near, queries, labels, label):
    """The share of the points nearest to each of `queries` [m, d] that have `label`: float [m]."""
    return np.mean(labels[near.kneighbors(queries, return_distance=False)] == label, axis=1)
