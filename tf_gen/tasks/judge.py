"""Models of digits, judged: by a classifier, and by the distances of images and codes.

A figure means something only beside its baseline, so most come with one: the same figure of real
images, of raw pixels or of the untrained model.
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

SAMPLES = 10_000  # of the model, and at most so many real images where they take their place
JUDGE_SEED = 0
JUDGE_EPOCHS = 8
GOOD_JUDGE = 0.985  # accuracy below which its figures should not be trusted


class Judge:
    """A small convolutional classifier, and the images on which it was trained and is tested.

    Args:
        source: a `mnist.Source`.
        path: of a .keras file; the classifier is read from there, or trained and written there.
        epochs: Python int, how often training goes through the images.

    Attributes:
        source: the `mnist.Source`.
        images, held_out_images: float32 [n, 28, 28] in [0, 1].
        classifier: a `keras.Sequential`, images float32 [n, 28, 28] to logits [n, classes].
        accuracy: its share of right answers on the held-out images.
        seed: of its training.

    Raises:
        UserError: `path` holds something else, or a classifier trained on other images; or there
            are too few images; or Keras is set to another precision than float32.
    """

    def __init__(self, source, path, epochs=JUDGE_EPOCHS):
        check_precision()
        if min(len(source.images), len(source.held_out_images)) < 2:
            raise UserError(f"data {source.name}: at least 2 images to train and 2 held out needed")
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
        self._layers.jit_compile = False  # as in its training; else Keras would, but only on a GPU
        right = self.classify(self.held_out_images)[1].argmax(axis=1) == source.held_out_labels
        self.accuracy = float(np.mean(right))
        doubt = "" if self.accuracy >= GOOD_JUDGE else "; too few to rely on what it says"
        print(f"judge: {path}, right on {self.accuracy:.2%} of the held-out images{doubt}")

    def classify(self, images):
        """Of float32 images [n, 28, 28] the features [n, 64] and probabilities [n, classes].

        The features are the activations of the last hidden layer.
        """
        features, logits = self._layers.predict(images, batch_size=500, verbose=0)
        return features, scipy.special.softmax(np.float64(logits), axis=1)

    @cached_property
    def sha256(self):
        """Hex digest over its weights."""
        digest = hashlib.sha256()
        for weight in self.classifier.get_weights():
            digest.update(np.ascontiguousarray(weight))
        return digest.hexdigest()

    @cached_property
    def real(self):
        """Baselines of figures of samples, with real training images in the place of samples."""
        return _score_samples(evenly(self.images, SAMPLES), self)

    @cached_property
    def features(self):
        """Features of the held-out images: float32 [n, 64]."""
        return self.classify(self.held_out_images)[0]

    def knn(self, layer):
        """1-nearest-neighbour accuracy in a layer, a function of images to float32 [n, d]."""
        features, held_out = (_in_parts(layer, x) for x in (self.images, self.held_out_images))
        labels, held_out_labels = self.source.labels, self.source.held_out_labels
        return nearest_neighbour_accuracy(features, labels, held_out, held_out_labels)

    @cached_property
    def knn_pixels(self):
        """The same of raw pixels."""
        return self.knn(lambda images: images.reshape(len(images), -1))


def _name(source, seed):
    """The classifier's name, which tells, and travels in its file, what it was trained on."""
    return f"judge_{source.sha256[:16]}_{seed}"


def _train_classifier(images, source, epochs):
    keras.utils.set_random_seed(JUDGE_SEED)
    layers = keras.layers
    # Named, since a setting of Keras's may be another, which the ops of a CPU do not know.
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
    # Not through XLA, whose convolutions took five times as long on a CPU.
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
        raise UserError(f"{path}: no judge trained on these images; move it away to train one")
    return classifier


# ---- Figures -------------------------------------------------------------------------------------


def frechet_distance(a, b):
    """Fréchet distance between two Gaussians with the mean and covariance of a and of b.

    |m_a - m_b|^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)), Heusel et al., arXiv:1706.08500, equation 6;
    a is float [n, d], b [m, d].
    """
    a, b = np.float64(a), np.float64(b)
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    # The product of two covariances has real eigenvalues >= 0; the trace of its root is the sum of
    # their roots. The root itself is not defined where a covariance is singular.
    eigenvalues = scipy.linalg.eigvals(cov_a @ cov_b).real
    root = np.sum(np.sqrt(np.maximum(eigenvalues, 0)))
    return float(np.sum((a.mean(0) - b.mean(0)) ** 2) + np.trace(cov_a + cov_b) - 2 * root)


def inception_score(probabilities):
    """exp of the mean KL(p(y|x) || p(y)), from 1 to the number of classes; p(y|x) is [n, classes].

    Salimans et al., arXiv:1606.03498, section 4; here with a classifier of digits.
    """
    marginal = probabilities.mean(axis=0, keepdims=True)
    return float(np.exp(np.mean(scipy.stats.entropy(probabilities, marginal, axis=1))))


def nearest_distances(a, b):
    """Euclidean distance of each row of `a`, float [n, d], to the nearest of `b` [m, d]: [n]."""
    neighbours = NearestNeighbors(n_neighbors=1, algorithm="brute").fit(b)
    return neighbours.kneighbors(a)[0][:, 0]


def nearest_neighbour_accuracy(features, labels, held_out_features, held_out_labels):
    """The share of held-out points, [m, d], whose nearest of `features` [n, d] has their label."""
    classifier = KNeighborsClassifier(1, algorithm="brute").fit(features, labels)
    return float(classifier.score(held_out_features, held_out_labels))


def score(model, untrained, layers, judge):
    """What `tf_gen.evaluate` tells of a model that encodes and decodes digits.

    Args:
        model: has `prior(count, seed)`, `decode(z)` and, as a call, reconstructs images.
        untrained: the same before its training, for baselines.
        layers: dict of name to function of a model and images, float32 [n, 28, 28], to the
            activations of a layer, float32 [n, d].
        judge: a `Judge`.

    Returns:
        dict of `diverged`, the array `samples`, uint8 [10, 28, 28], and, unless it has, floats:
        `knn_LAYER`: 1-nearest-neighbour accuracy of the held-out images in each layer, with
        `knn_LAYER_untrained` and `knn_pixels` as baselines.
        `reconstruction_error`: mean Euclidean distance of held-out images from their
        reconstructions; `reconstruction_relative`: the same in units of the mean distance of random
        other images from these reconstructions, as the BiGAN authors' code has it, so that
        reconstructions that tell nothing of the image have 1, however blurred they are;
        `reconstruction_mse`: mean squared error a pixel.
        `same_digit`: share of held-out images whose reconstruction the judge gives their label;
        `same_digit_real`: of the images themselves, the judge's accuracy.
        Of 10,000 samples, each with the same of real images, on which the judge was trained, as
        `..._real`: `frechet`, the Fréchet distance to the held-out images in the judge's features;
        `inception_score` by the judge; `nearest`, the mean distance of a held-out image to the
        nearest of as many samples as there are real images; `class_NAME`, the share of each class.
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
    """Figures of what became of the held-out images, float32 [n, 28, 28]: see `score`."""
    images = judge.held_out_images
    # Each image's other one is the next of a random order, so that none is its own.
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
    """Figures of images in [0, 1], float32 [n, 28, 28]: see `score`."""
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
    """`function` of all `inputs`, a thousand at a time."""
    starts = range(0, len(inputs), 1000)
    return np.concatenate([np.asarray(function(inputs[i : i + 1000])) for i in starts])


# ---- Where each digit lies ----------------------------------------------------------------------


def codes_of_labels(decode, z, images, labels, neighbours=50, at_most=100):
    """For each label codes of its images whose decoded images show it.

    That is, most of the images nearest to the decoded one have the label. From a latent space where
    fours and nines overlap, only those codes of fours are taken that do not become nines.

    Args:
        decode: function of codes, float32 [m, d], to images [m, height, width].
        z: float32 [n, d], codes of `images`, or draws of their posteriors.
        images: float32 [n, height, width].
        labels: int [n].
        neighbours: Python int, how many images to look at, fewer where n is smaller.
        at_most: Python int, codes of each label; three times as many are decoded.

    Returns:
        dict of label to float32 [m, d], in an order that tells nothing; m is at least 1, since the
        best code is always among them.
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
    """For each label the code of one of its images that shows it best.

    Such a code has its own kind around it twice: among the nearest codes, and among the images
    nearest to what the decoder makes of it, since a code that lies among fours may still decode to
    what looks like a nine. The two shares are multiplied.

    Args:
        decode: function of codes, float32 [m, d], to images [m, height, width].
        z: float32 [n, d], the codes of `images`.
        images: float32 [n, height, width].
        labels: int [n].
        neighbours: Python int, how many to look at, fewer where n is smaller.
        candidates: Python int; of each label so many are decoded, those with the best first share.

    Returns:
        dict of label to float32 [d]; of equally good points the nearest to the label's mean.
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
    """Which share of the points nearest to each of `queries`, [m, d], has `label`: float [m]."""
    return np.mean(labels[near.kneighbors(queries, return_distance=False)] == label, axis=1)
