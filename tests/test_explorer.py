"""The explorer: networks as steps, and a page that no text can break out of."""

import base64
import dataclasses
import hashlib
import json
import re

import numpy as np
import pytest
import tensorflow as tf

from tf_gen import explorer, models, savedmodel
from tf_gen.errors import UserError
from tf_gen.explorer import networks, page

pytestmark = pytest.mark.quick

rng = np.random.default_rng(0)
PRESETS = [(name, preset) for name in models.NAMES for preset in models.load(name).PRESETS]


def concrete(function, inputs, outputs):
    """As a signature of a loaded SavedModel: dicts of tensors by their names."""

    def named(**tensors):
        results = function(*(tensors[spec.name] for spec in inputs))
        results = results if isinstance(results, tuple) else (results,)
        return dict(zip(outputs, results, strict=True))

    specs = {spec.name: spec for spec in inputs}
    return tf.function(named, autograph=False).get_concrete_function(**specs)


def signature(function, *shapes):
    """That of a function of tensors a, b, ... to a tensor or several."""
    inputs = [tf.TensorSpec(s, name=n) for n, s in zip("abc", shapes, strict=False)]
    count = len(tf.nest.flatten(function(*(tf.ones([k or 3 for k in s]) for s in shapes))))
    return concrete(function, inputs, [f"y{k}" for k in range(count)])


def both(function, *shapes, batch=3):
    """What the signature and its steps make of the same random arrays: pairs of arrays."""
    called = signature(function, *shapes)
    network = networks.read(called, batch)
    values = {
        item["name"]: rng.uniform(0.1, 2, item["shape"]).astype(np.float32)
        for item in network["inputs"]
    }
    expected = called(**{name: tf.constant(value) for name, value in values.items()})
    found = networks.run(network, values)
    assert found.keys() == expected.keys()
    return network, [(found[name], expected[name].numpy()) for name in found]


# ---- From a graph to steps -----------------------------------------------------------------------


OPERATIONS = {
    "activations": lambda a: tuple(
        f(a - 1)
        for f in (tf.tanh, tf.sigmoid, tf.nn.softplus, tf.nn.elu, tf.nn.relu, tf.nn.leaky_relu)
    ),
    "elementwise": lambda a: (-a, abs(1 - a), tf.exp(a), tf.math.log(a), tf.sqrt(a), a**2, a**0.5),
    "with constants": lambda a: (a + 1, 1 - a, a * 2, 1 / a, a / 3, tf.maximum(a, 1.0)),
    "with each other": lambda a: (a + a[:1], a - a[:, :1], a * a, a / a[0], tf.minimum(a, a[0])),
    "sums": lambda a: (
        tf.reduce_sum(a, 0),
        tf.reduce_mean(a, [-1], keepdims=True),
        tf.add_n([a] * 3),
    ),
    "shapes": lambda a: (
        tf.transpose(a),
        tf.reshape(a, [-1]),
        tf.expand_dims(a, 1),
        tf.squeeze(a[:1], 0),
    ),
    "slices": lambda a: (a[1:], a[:, 0], a[::2, 1:3], a[-1], *tf.unstack(a, axis=1)),
    "joined": lambda a: (tf.concat([a, a * 2], 0), tf.concat([a, a[:, :1]], 1)),
    "sorted": lambda a: (tf.sort(a, direction="DESCENDING"), tf.sort(a)),
    "distances": lambda a: tf.reduce_sum(
        tf.exp(-abs(tf.expand_dims(a, 1) - tf.expand_dims(a, 0))), 2
    ),
    "blocked gradient": lambda a: a - tf.stop_gradient(a) / 2,
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_steps_compute_what_the_graph_does(name):
    _, pairs = both(OPERATIONS[name], [None, 4])
    for found, expected in pairs:
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_several_inputs_keep_their_names():
    network, ((found, expected),) = both(
        lambda a, b: tf.concat([a, 2 * b], 1), [None, 2], [None, 3]
    )
    assert [item["name"] for item in network["inputs"]] == ["a", "b"]
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_what_follows_a_dense_layer_becomes_part_of_it():
    kernel, bias, scale = (tf.constant(rng.normal(size=s), tf.float32) for s in ([4, 5], [5], [5]))

    def layer(a):
        return tf.nn.leaky_relu(3 - ((tf.linalg.matmul(a, kernel) + bias) * scale / 2 - bias), 0.3)

    network, ((found, expected),) = both(layer, [None, 4])
    (step,) = network["steps"]
    assert (step["op"], step["activation"], step["shape"]) == ("dense", "leaky_relu", [3, 5])
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_a_layer_that_something_else_reads_stays_as_it_is():
    kernel = tf.constant(rng.normal(size=[4, 5]), tf.float32)

    def two(a):
        y = a @ kernel
        return tf.tanh(y), y + 1

    _, pairs = both(two, [None, 4])
    for found, expected in pairs:
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_batch_normalisation_disappears_in_the_layer():
    import keras

    keras.utils.set_random_seed(0)
    norm = keras.layers.BatchNormalization()
    dense = keras.layers.Dense(6, use_bias=False)
    norm.build([None, 6])
    for variable in norm.variables:
        variable.assign(rng.uniform(0.5, 2, 6))
    network, ((found, expected),) = both(lambda a: tf.nn.relu(norm(dense(a))), [None, 4])
    assert [step["op"] for step in network["steps"]] == ["dense"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("function", [tf.cumsum, tf.sin, lambda a: a @ tf.transpose(a)])
def test_an_unknown_operation_is_named(function):
    with pytest.raises(UserError, match=r"does not know the operation [A-Z]"):
        networks.read(signature(function, [None, 4]), 3)


@pytest.mark.parametrize(("name", "preset"), PRESETS)
def test_each_network_of_each_preset_is_described(name, preset):
    recipe = models.load(name)
    config = recipe.PRESETS[preset]
    if name == "gaussian_gan" and preset == "listing":
        config = dataclasses.replace(config, minibatch=True)
    model = recipe.build(config)
    for variable in model.weights:  # biases, and batch normalisation's averages, too
        variable.assign(variable + rng.uniform(0, 0.1, variable.shape))
    described = {"decode", "encode", "discriminate"} & model.signatures().keys()
    assert "decode" in described
    for key in described:
        called = concrete(*model.signatures()[key])
        batch = 1 if model.generates == "images" else config.batch_size
        network = networks.read(called, batch)
        values = {
            item["name"]: rng.uniform(0, 1, item["shape"]).astype(np.float32)
            for item in network["inputs"]
        }
        expected = called(**{name: tf.constant(value) for name, value in values.items()})
        for output, value in networks.run(network, values).items():
            np.testing.assert_allclose(value, expected[output], rtol=1e-3, atol=1e-4)


# ---- Fewer bytes ---------------------------------------------------------------------------------


def test_kernels_are_rounded_as_far_as_the_tolerance_allows():
    kernel = tf.constant(rng.normal(size=[100, 50]), tf.float32)
    called = signature(lambda a: a @ kernel, [None, 100])
    network = networks.read(called, 1)
    trials = [{"a": rng.normal(size=[1, 100]).astype(np.float32)} for _ in range(20)]

    def compute(trial):
        return {"y0": trial["a"] @ kernel.numpy()}

    bits, errors = [], []
    for tolerance in (1.0, 0.05, 0.005):
        rounded = networks.compress(network, compute, trials, {"y0": tolerance})
        (step,) = rounded["steps"]
        errors.append(
            max(np.abs(networks.run(rounded, t)["y0"] - compute(t)["y0"]).max() for t in trials)
        )
        assert errors[-1] <= tolerance
        bits.append(step["bits"])
        assert np.abs(step["integers"]).max() == 2 ** (step["bits"] - 1) - 1
    assert bits == sorted(set(bits))  # more bits for less error
    assert networks.compress(network, compute, trials, {"y0": 1e-5})["steps"] == network["steps"]
    with pytest.raises(UserError, match="not finite"):
        networks.compress(network, lambda t: {"y0": np.float32(np.nan)}, trials, {"y0": 0.5})
    with pytest.raises(UserError, match="something else"):
        networks.compress(network, lambda t: {"y0": compute(t)["y0"] + 1}, trials, {"y0": 0.5})


def unpacked(array):
    """What `unpack` of network.js makes of an array of the page, with Python's own integers."""
    octets = base64.b64decode(array["data"])
    if array["type"] != "integers":
        return np.frombuffer(octets, {"u8": "<u1", "f32": "<f4"}[array["type"]]).reshape(
            array["shape"]
        )
    bits, number = array["bits"], int.from_bytes(octets, "little")
    count = np.prod(array["shape"])
    fields = [number >> bits * k & (1 << bits) - 1 for k in range(count)]
    signed = [field - (1 << bits) * (field >> bits - 1) for field in fields]
    return np.reshape(signed, array["shape"]) * unpacked(array["scale"])[:, None]


@pytest.mark.parametrize("bits", networks.BITS)
def test_integers_lie_without_gaps_in_the_page(bits):
    most = 2 ** (bits - 1) - 1
    integers = rng.integers(-most, most, [7, 5], endpoint=True).astype(np.int16)
    integers[0, :2] = -most, most
    scale = rng.uniform(0.5, 2, 7).astype(np.float32)
    step = {"op": "dense", "integers": integers, "scale": scale, "bits": bits}
    step["kernel"] = integers * scale[:, None]
    kernel = page._plain(step)["kernel"]
    np.testing.assert_allclose(unpacked(kernel), step["kernel"], rtol=1e-6)
    assert len(base64.b64decode(kernel["data"])) == -(-7 * 5 * bits // 8)


# ---- The page ------------------------------------------------------------------------------------


CONTENT = {"name": "vae", "settings": {}, "z": np.float32([[1.5, -2]]), "labels": np.uint8([3])}


def test_the_page_has_its_content():
    text = page.fill(CONTENT)
    (model,) = re.findall(r'<script type="application/json" id="model">(.*?)</script>', text, re.S)
    found = json.loads(model)
    np.testing.assert_array_equal(unpacked(found["z"]), CONTENT["z"])
    np.testing.assert_array_equal(unpacked(found["labels"]), CONTENT["labels"])
    assert "<title>vae" in text


def test_no_text_of_a_run_becomes_part_of_the_page():
    evil = "</script><script>alert(1)</script><!--\"'&"
    text = page.fill({**CONTENT, "name": evil, "settings": {evil: evil}, "class_names": [evil]})
    plain = page.fill(CONTENT)
    assert text.count("<script") == plain.count("<script") == 2
    assert text.count("<!--") == plain.count("<!--")
    assert json.loads(re.findall(r'id="model">(.*?)</script>', text, re.S)[0])["name"] == evil


def test_a_name_is_not_taken_for_a_place_in_the_page():
    name = "/*STYLE*/ /*SCRIPT*/ /*MODEL*/ <!--CSP-->"
    text = page.fill({**CONTENT, "name": name})
    assert json.loads(re.findall(r'id="model">(.*?)</script>', text, re.S)[0])["name"] == name


def test_settings_that_are_not_finite_are_refused():
    with pytest.raises(UserError, match="vae: a setting is not finite"):
        page.fill({**CONTENT, "settings": {"learning_rate": float("nan")}})


def test_only_its_own_script_and_style_may_run_and_nothing_be_loaded():
    text = page.fill(CONTENT)
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="(.*?)"', text)
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == rules["base-uri"] == rules["form-action"] == "'none'"
    assert rules.keys() == {"default-src", "script-src", "style-src", "base-uri", "form-action"}
    for tag in ("script", "style"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.S)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert rules[f"{tag}-src"] == f"'sha256-{digest}'"
    assert not re.search(r"https?://(?!www\.w3\.org)|\bsrc=|\bstyle=|\bon[a-z]+=", text)


# ---- What is written -----------------------------------------------------------------------------


def content_of(path):
    return json.loads(re.findall(r'id="model">(.*?)</script>', path.read_text(), re.S)[0])


def test_images_are_told_from_those_that_the_model_has_seen(bundled, tmp_path):
    shipped = savedmodel.SHIPPED[1] / "vae"
    explorer.write(shipped, tmp_path / "a.html", "vae", bundled)
    found = content_of(tmp_path / "a.html")
    assert found["held_out"] is False  # it learned from all of MNIST
    assert found["bounds"] == [-3, 3]
    images, labels = (unpacked(found["examples"][name]) for name in ("images", "labels"))
    assert labels.tolist() == [label for label in range(10) for _ in range(explorer.EXAMPLES)]
    for image, label in zip(images, labels, strict=True):
        rows = np.flatnonzero(bundled.held_out_labels == label)
        assert any(np.array_equal(image, bundled.held_out_images[row]) for row in rows)
    z, labels = (unpacked(found["points"][name]) for name in ("z", "labels"))
    assert z.shape == (500, 2)
    np.testing.assert_array_equal(labels, bundled.held_out_labels)
    encode = tf.saved_model.load(str(shipped)).signatures["encode"]
    expected = encode(images=tf.constant(np.float32(bundled.held_out_images) / 255))["z_mean"]
    np.testing.assert_allclose(z, expected, atol=1e-5)


def test_without_images_there_are_none(tmp_path):
    explorer.write(savedmodel.SHIPPED[1] / "tiny_gan", tmp_path / "a.html", "tiny_gan")
    found = content_of(tmp_path / "a.html")
    assert not found.keys() & {"examples", "points", "held_out", "snapshots"}
    assert found["data"] == {"mean": 4.0, "std": 1.25}
    assert found["networks"]["discriminate"]["inputs"] == [{"name": "x", "shape": [100, 1]}]


@pytest.mark.parametrize(("low", "high"), [(-1, 1), (0, 1), (-8, 8)])
def test_bounds_of_a_uniform_prior(low, high):
    assert explorer.bounds(rng.uniform(low, high, [1000, 3])) == [low, high]


def test_bounds_of_a_normal_prior():
    assert explorer.bounds(rng.normal(size=[10_000, 2])) == [-3, 3]
