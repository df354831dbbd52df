"""The trained models in saved_models/ are whole, and what their cards say of them is true."""

import json
import os
import re

import numpy as np
import pytest
import tensorflow as tf
from helpers import ROOT, blocks, commands, outputs_alone
from scipy import special, stats
from sklearn.neighbors import KNeighborsClassifier

from tf_gen import evaluate, mnist, tasks, train
from tf_gen.models import NAMES, load
from tf_gen.tasks import judge

SAVED = ROOT / "saved_models"
IMAGE_MODELS = ("vae", "ali")
SIGNATURES = {
    "vae": {"decode", "sample", "encode", "reconstruct", "serving_default"},
    "gaussian_gan": {"decode", "sample", "discriminate", "serving_default"},
    "tiny_gan": {"decode", "sample", "discriminate", "serving_default"},
    "ali": {"decode", "sample", "encode", "reconstruct", "discriminate", "serving_default"},
}


def read(name, file):
    return json.loads((SAVED / name / file).read_text())


def card(name):
    return SAVED / name / "README.md"


class Exported:
    """A SavedModel with the methods of a model, as far as its signatures offer them."""

    weights = ()  # what `judge.score` looks at to see whether all is finite

    def __init__(self, name):
        self.model = tf.saved_model.load(str(SAVED / name))
        self.kind = "images" if name in IMAGE_MODELS else "x"

    def call(self, signature, **inputs):
        function = self.model.signatures[signature]
        specs = function.structured_input_signature[1]
        return function(**{key: tf.cast(inputs[key], specs[key].dtype) for key in specs})

    def prior(self, count, seed):
        return self.call("sample", count=count, seed=seed)["z"]

    def decode(self, z):
        return self.call("decode", z=z)[self.kind]

    def encode(self, images):
        codes = self.call("encode", images=images)
        return codes["z_mean" if "z_mean" in codes else "z"]

    def __call__(self, images):
        return self.call("reconstruct", images=images)["images"]


@pytest.fixture(scope="module", params=NAMES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def exported(name):
    return Exported(name)


@pytest.fixture(scope="module")
def alone(bundled, tmp_path_factory):
    """Outputs of each signature of all models, computed where tf_gen and Keras are missing."""
    directory = tmp_path_factory.mktemp("alone")
    rng = np.random.default_rng(0)
    images = np.float32(bundled.images[::450] / 255)  # one of each digit
    given = {"images": images, "count": np.int32(10), "seed": np.int32([1, 2])}
    inputs = {}
    for name in NAMES:
        latent_dim = {"vae": 2, "ali": 20}.get(name, 1)
        points = {"gaussian_gan": 128, "tiny_gan": 100}.get(name, 0)  # two packs, a batch
        z = {"z": rng.uniform(-1, 1, [10, latent_dim]), "x": rng.normal(4, 1, [points, 1])}
        inputs[str(SAVED / name)] = {**given, **{k: np.float32(v) for k, v in z.items()}}
    return outputs_alone(inputs, directory)


def test_signatures_work_where_tf_gen_and_keras_cannot_be_imported(alone, name):
    outputs = {key[1:]: value for key, value in alone.items() if key[0] == str(SAVED / name)}
    assert {signature for signature, _ in outputs} == SIGNATURES[name]
    shape = {"z": (10, 1), "x": (10, 1), "probability": (1,) if name == "tiny_gan" else (2, 1)}
    if name in IMAGE_MODELS:
        latent = (10, 2) if name == "vae" else (10, 20)
        shape = {"images": (10, 28, 28), "probability": (10,)}
        shape |= dict.fromkeys(("z", "z_mean", "z_log_var"), latent)
    for (signature, output), value in outputs.items():
        assert (value.shape, value.dtype) == (shape[output], np.float32), (signature, output)
        assert np.all(np.isfinite(value))
        if output in ("images", "probability"):
            assert np.all((value >= 0) & (value <= 1))
    kind = "images" if name in IMAGE_MODELS else "x"
    np.testing.assert_array_equal(outputs["decode", kind], outputs["serving_default", kind])


def test_ranges_of_codes(name, exported):
    z = exported.prior(1000, [1, 2]).numpy()
    low, high = {"gaussian_gan": (-8, 8), "tiny_gan": (0, 1), "ali": (-1, 1)}.get(name, (-6, 6))
    assert low <= z.min() < z.max() <= high
    uniform = stats.uniform(low, high - low)
    expected = stats.norm() if name == "vae" else uniform
    assert stats.kstest(z.ravel(), expected.cdf).pvalue > 1e-3
    assert not np.array_equal(z, exported.prior(1000, [1, 3]))


def test_settings_are_what_the_cards_command_builds(name):
    trains = (c[3:] for c in commands(card(name)) if c[:3] == ["python", "-m", "tf_gen.train"])
    arguments, settings = train.parse(next(trains))
    assert arguments.model == name
    saved = read(name, "config.json")
    assert saved["model"] == name
    assert saved["config"] == settings
    recipe = load(name)
    built = [tuple(v.shape) for v in recipe.build(recipe.Config(**settings)).weights]
    stored = tf.train.list_variables(str(SAVED / name / "variables" / "variables"))
    stored = [tuple(shape) for key, shape in stored if key.endswith("VARIABLE_VALUE")]
    assert sorted(stored) == sorted(built)
    if recipe.TASK in tasks.WITH_IMAGES:
        assert saved["data"]["source"] == "mnist"
        assert (saved["data"]["train"], saved["data"]["held_out"]) == (60_000, 10_000)


def test_figures_of_the_card_are_those_of_metrics_json(name):
    metrics, text = read(name, "metrics.json"), card(name).read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| (-?[\d.]+) \|", text, re.MULTILINE)
    baselines = re.findall(r"(-?[\d.]+) \(`(\w+)`\)", text)
    assert len(rows) >= 6
    for figure, value in [*rows, *((figure, value) for value, figure in baselines)]:
        places = len(value.partition(".")[2])
        assert f"{metrics[figure]:.{places}f}" == value, figure


def test_python_of_the_card_runs(name, monkeypatch):
    monkeypatch.chdir(ROOT)
    scope = {}
    exec(blocks(card(name), "python")[0], scope)
    result = scope["images" if name == "vae" else "again" if name == "ali" else "x"].numpy()
    assert np.all(np.isfinite(result))


def test_bodies_for_tensorflow_serving_are_what_the_signatures_take(name, exported):
    bodies = [json.loads(c[-1]) for c in commands(card(name)) if c[0] == "curl"]
    assert {body["signature_name"] for body in bodies} == {"decode", "sample"}
    for body in bodies:
        outputs = exported.call(body["signature_name"], **body["inputs"])
        assert all(np.all(np.isfinite(value)) for value in outputs.values())


def recipe(name, library, directory, monkeypatch):
    """What the program of the card that imports `library` leaves behind; it runs in `directory`."""
    (directory / "saved_models").symlink_to(SAVED)
    monkeypatch.chdir(directory)
    (program,) = (text for text in blocks(card(name), "python") if f"import {library}\n" in text)
    scope = {}
    exec(program, scope)
    return scope


def test_recipe_for_keras(name, exported, tmp_path, monkeypatch):
    scope = recipe(name, "keras", tmp_path, monkeypatch)
    z = exported.prior(100, [1, 2])
    np.testing.assert_array_equal(scope["decoder"](z)[exported.kind], exported.decode(z))
    assert scope[exported.kind].shape[0] == 4


@pytest.mark.slow  # needs tf2onnx, onnx and onnxruntime
def test_recipe_for_onnx(name, exported, tmp_path, monkeypatch):
    for library in ("tf2onnx", "onnxruntime"):
        pytest.importorskip(library)
    scope = recipe(name, "onnxruntime", tmp_path, monkeypatch)
    z = exported.prior(100, [1, 2]).numpy()
    (found,) = scope["session"].run(None, {"z": z})
    np.testing.assert_allclose(found, exported.decode(z), rtol=1e-5, atol=1e-5)
    assert scope[exported.kind].shape[0] == 4


@pytest.mark.slow  # needs ai-edge-litert, and converts
def test_recipe_for_litert(name, exported, tmp_path, monkeypatch):
    pytest.importorskip("ai_edge_litert")
    (tmp_path / "saved_models").symlink_to(SAVED)
    monkeypatch.chdir(tmp_path)
    scope = {}
    exec(blocks(card(name), "python")[-1], scope)
    z = exported.prior(7, [1, 2]).numpy()
    (lite,) = scope["decode"](z=z).values()
    np.testing.assert_allclose(lite, exported.decode(z), atol=1e-4)


def test_all_together_are_small_and_name_no_path():
    paths = [path for path in SAVED.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in paths) < 20e6
    for path in paths:
        if path.suffix in (".pb", ".json"):
            content = path.read_bytes()
            assert not re.search(rb"/(home|root|tmp|Users|work)/", content), path


def test_sample_by_name_gives_a_picture_at_once(name, process, tmp_path):
    ran = process("-m", "tf_gen.sample", name, "--out", "a.png")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert tf.io.decode_png((tmp_path / "a.png").read_bytes()).shape[0] >= 28 * 4


# ---- Figures -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gaussian_gan", "tiny_gan"])
def test_figures_of_generated_points(name):
    metrics, config = read(name, "metrics.json"), read(name, "config.json")["config"]
    exported = Exported(name)
    z = exported.prior(10_000, [0, 0])
    if name == "gaussian_gan":  # the article's picture has no noise
        z = np.linspace(-8, 8, 10_000, dtype=np.float32)[:, None]
    x = np.float64(exported.decode(z))[:, 0]
    normal = stats.norm(config["data_mean"], config["data_std"])
    found = {
        "mean": x.mean(),
        "std": x.std(),
        "skew": stats.skew(x),
        "kurtosis": stats.kurtosis(x),
        "ks": stats.kstest(x, normal.cdf).statistic,
    }
    for figure, value in found.items():
        assert metrics[figure] == pytest.approx(value, abs=2e-4), figure
    # Against quantiles instead of draws, whose own distance is some hundredths.
    quantiles = normal.ppf((np.arange(10_000) + 0.5) / 10_000)
    w1 = stats.wasserstein_distance(x, quantiles)
    assert metrics["w1"] == pytest.approx(w1, abs=0.03 * config["data_std"])
    assert metrics["close"] == (metrics["w1"] <= config["data_std"] / 5)


def log_likelihood(images, decoded):
    """What the article's loss takes for log p(x|z), in float64: float [n] from two [n, 28, 28]."""
    images, decoded = np.float64(images), np.float64(decoded)
    log_x, log_not_x = np.log(1e-10 + decoded), np.log(1e-10 + 1 - decoded)
    return np.sum(images * log_x + (1 - images) * log_not_x, axis=(1, 2))


def negative_elbo(exported, images, seed=0):
    """The article's loss of each image, one draw of epsilon, and the KL in it: two float [n]."""
    codes = exported.call("encode", images=images)
    mean, log_var = (np.float64(codes[key]) for key in ("z_mean", "z_log_var"))
    epsilon = np.random.default_rng(seed).normal(size=mean.shape)
    decoded = exported.decode(mean + np.exp(log_var / 2) * epsilon)
    kl = -0.5 * np.sum(1 + log_var - mean**2 - np.exp(log_var), axis=1)
    return kl - log_likelihood(images, decoded), kl


def test_the_vae_is_trained(bundled):
    images = np.float32(np.concatenate([bundled.images, bundled.held_out_images]) / 255)
    loss, kl = negative_elbo(Exported("vae"), images)
    metrics = read("vae", "metrics.json")
    assert metrics["held_out_loss"] == pytest.approx(loss.mean(), abs=5)
    assert metrics["held_out_kl"] == pytest.approx(kl.mean(), abs=0.5)


def test_ali_reconstructs(bundled):
    images = np.float32(np.concatenate([bundled.images, bundled.held_out_images]) / 255)
    error = np.mean((images - Exported("ali")(images)) ** 2)
    # All of these images are in the training set, on which the error is smaller than held out.
    assert 0.75 < error / read("ali", "metrics.json")["reconstruction_mse"] < 1


@pytest.mark.parametrize("name", IMAGE_MODELS)
def test_each_digit_lies_where_the_map_says(name, bundled):
    labels = read(name, "latent_map.json")["labels"]
    assert list(labels) == [str(digit) for digit in range(10)]
    images = np.asarray(Exported(name).decode(np.float32(list(labels.values()))))
    classifier = KNeighborsClassifier(5).fit(bundled.images.reshape(-1, 784) / 255, bundled.labels)
    assert list(classifier.predict(images.reshape(-1, 784))) == list(range(10))


@pytest.fixture(scope="module")
def whole():
    """All of MNIST."""
    directory = os.environ.get("TF_GEN_MNIST")
    if not directory:
        pytest.skip("TF_GEN_MNIST names no directory with MNIST")
    return mnist.load(directory)


@pytest.mark.slow
@pytest.mark.parametrize("name", IMAGE_MODELS)
def test_figures_of_digits(name, whole, tmp_path):
    exported, metrics = Exported(name), read(name, "metrics.json")
    images = np.float32(whole.held_out_images) / 255
    error = np.mean((images - exported(images)) ** 2)
    assert metrics["reconstruction_mse"] == pytest.approx(error, rel=1e-3)
    if name == "vae":
        loss, kl = negative_elbo(exported, images)
        assert metrics["held_out_loss"] == pytest.approx(loss.mean(), abs=0.2)
        assert metrics["held_out_kl"] == pytest.approx(kl.mean(), abs=1e-3)
    trained = judge.Judge(whole, tmp_path / "judge.keras")
    layers = {"z": lambda model, images: model.encode(images)}
    found = evaluate.plain(judge.score(exported, exported, layers, trained))
    for figure, value in found.items():
        if not figure.endswith("untrained"):
            # On the judge, which is trained anew, depends what it sees.
            assert metrics[figure] == pytest.approx(value, rel=0.05, abs=0.003), figure


@pytest.mark.slow
def test_importance_bound_of_the_vae(whole):
    exported = Exported("vae")
    images = np.float32(whole.held_out_images) / 255
    codes = exported.call("encode", images=images)
    mean, log_var = (np.float64(codes[key]) for key in ("z_mean", "z_log_var"))
    rng = np.random.default_rng(0)
    log_weights = []
    for _ in range(100):
        z = rng.normal(mean, np.exp(log_var / 2))
        log_x = log_likelihood(images, exported.decode(z))
        log_prior = stats.norm.logpdf(z).sum(axis=1)
        log_q = stats.norm.logpdf(z, mean, np.exp(log_var / 2)).sum(axis=1)
        log_weights.append(log_x + log_prior - log_q)
    bound = np.mean(special.logsumexp(log_weights, axis=0) - np.log(100))
    assert read("vae", "metrics.json")["importance_loss_100"] == pytest.approx(-bound, abs=0.1)
