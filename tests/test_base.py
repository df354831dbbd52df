"""What all models share: float32 whatever Keras is set to, and programs with XLA or without."""

import ast
import dataclasses
import hashlib
import json
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from helpers import one_line
from oracles import same

import tf_gen
from tf_gen import base, loop, rundir, tasks, train
from tf_gen.errors import UserError
from tf_gen.models import NAMES, load

# Ten updates of a narrow model in a program of a process, as a user would write it.
TEN_UPDATES = """
import dataclasses, hashlib
import tensorflow as tf
from tf_gen import mnist
from tf_gen.models import NAMES, load

for name in NAMES:
    recipe = load(name)
    config = recipe.Config()
    if hasattr(config, "hidden_dim"):
        config = dataclasses.replace(config, hidden_dim=8)
    source = mnist.load("bundled") if name in ("vae", "ali") else None
    model = recipe.build(config)
    program = tf.function(model.train_step, jit_compile=True, autograph=False)
    program(next(recipe.blocks(config, source).stacks(0, [10])))
    digest = hashlib.sha256()
    for variable in model.state:
        digest.update(variable.numpy().tobytes())
    print(name, digest.hexdigest())
"""


@pytest.fixture
def keras_settings():
    """Keras's global settings may be changed; they are put back."""
    floatx, policy = keras.config.floatx(), keras.config.dtype_policy()
    form, epsilon = keras.config.image_data_format(), keras.config.epsilon()
    yield
    keras.config.set_floatx(floatx)
    keras.config.set_dtype_policy(policy)
    keras.config.set_image_data_format(form)
    keras.config.set_epsilon(epsilon)


def small(name):
    """A recipe and the settings of its article, with narrow layers where they are wide."""
    recipe = load(name)
    config = recipe.Config()
    narrow = {"hidden_dim": 8} if hasattr(config, "hidden_dim") else {}
    return recipe, dataclasses.replace(config, **narrow)


def ten_updates(name, bundled):
    """The state of a model after ten updates, its losses in two halves and what was observed."""
    recipe, config = small(name)
    source = bundled if recipe.TASK in tasks.WITH_IMAGES else None
    report = tasks.report(recipe, config, source)
    model = recipe.build(config)
    batches = next(recipe.blocks(config, source).stacks(0, [10]))
    losses, *observed = loop.program(model, report.observe)(batches, 2, tf.constant(5))
    return model, losses, observed


def values(model):
    return [variable.numpy() for variable in model.state]


@pytest.fixture(scope="module")
def expected(bundled):
    """`ten_updates` of each model where nothing is set."""
    return {name: ten_updates(name, bundled) for name in NAMES}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("", "{ours}"),
        ("--xla_cpu_use_xnnpack=false", "{ours} --xla_cpu_use_xnnpack=false"),  # the last one wins
        ("flags.txt", "flags.txt"),  # a file, which a flag before it would hide
    ],
)
def test_flags_for_xla_are_added_to_those_of_the_user_once(process, before, after):
    code = "import os\nimport tf_gen.base\nprint(os.environ['XLA_FLAGS'])\n"
    ours = "--xla_backend_extra_options=xla_cpu_small_while_loop_byte_threshold=100000"
    expected = after.format(ours=ours)
    for flags in (before, expected):
        result = process("-c", code, XLA_FLAGS=flags)
        assert (result.returncode, result.stdout) == (0, f"{expected}\n"), result.stderr


# ---- Settings of Keras and NumPy -----------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_settings_that_change_no_bit(name, bundled, expected, keras_settings):
    keras.config.set_image_data_format("channels_first")
    keras.config.set_epsilon(0.01)
    with np.errstate(all="raise"), np.printoptions(legacy="1.13"):
        model, *_ = ten_updates(name, bundled)
    assert same(values(model), values(expected[name][0]))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("set_floatx", "float16"),
        ("set_floatx", "float64"),
        ("set_dtype_policy", "mixed_float16"),
        ("set_dtype_policy", "mixed_bfloat16"),
        ("set_dtype_policy", "float64"),
    ],
)
def test_another_precision_is_refused(name, setting, value, keras_settings):
    recipe, config = small(name)
    getattr(keras.config, setting)(value)
    with pytest.raises(UserError) as error:
        recipe.build(config)
    assert one_line(str(error.value), value, f"keras.config.{setting}('float32')")


@pytest.mark.parametrize("name", NAMES)
def test_what_the_refusal_says_helps(name, keras_settings, tmp_path):
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("mixed_float16")
    recipe, config = small(name)
    with pytest.raises(UserError):
        recipe.build(config)
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
    model = recipe.build(config)
    assert {variable.dtype for variable in model.weights} == {"float32"}
    model.save(tmp_path / "model.keras")
    keras.config.set_floatx("float64")
    with pytest.raises(UserError, match="float64"):
        keras.models.load_model(tmp_path / "model.keras")


def write_keras_json(directory, **settings):
    directory.mkdir()
    (directory / "keras.json").write_text(json.dumps(settings))
    return {"KERAS_HOME": str(directory)}


def test_a_keras_json_that_changes_no_bit(process, tmp_path, bundled, expected):
    settings = {"epsilon": 0.01, "backend": "jax", "image_data_format": "channels_first"}
    home = write_keras_json(tmp_path / "keras", floatx="float32", **settings)
    result = process("-c", TEN_UPDATES, **home)
    assert result.returncode == 0, result.stderr
    digests = dict(line.split() for line in result.stdout.splitlines())
    for name in NAMES:
        digest = hashlib.sha256()
        for value in values(expected[name][0]):
            digest.update(value.tobytes())
        assert digests[name] == digest.hexdigest()


@pytest.mark.parametrize(
    "settings",
    [{"floatx": "float64"}, pytest.param({"floatx": "float128"}, marks=pytest.mark.slow)],
)
def test_commands_do_not_care_for_a_keras_json(process, command, tmp_path, settings):
    """Nor for one from which Keras would not even start."""
    home = write_keras_json(tmp_path / "keras", **settings)
    arguments = ["gaussian_gan", "--steps", "10", "--run-dir"]
    result = process("-m", "tf_gen.train", *arguments, tmp_path / "a", **home)
    assert (result.returncode, result.stderr) == (0, "")
    assert command(train.main, *arguments, tmp_path / "b")[0] == 0
    recipe, models = load("gaussian_gan"), []
    for run in ("a", "b"):
        models.append(recipe.build(recipe.Config(steps=10)))
        assert rundir.restore(models[-1], tmp_path / run)[0] == 10
    assert same(*map(values, models))


# ---- Without XLA ---------------------------------------------------------------------------------


def without_xla(monkeypatch):
    """As `--no-jit` has it, and so that a program that XLA should compile raises."""
    function = tf.function

    def checked(*arguments, jit_compile=None, **options):
        assert not jit_compile
        return function(*arguments, jit_compile=jit_compile, **options)

    monkeypatch.setattr(tf, "function", checked)
    monkeypatch.setattr(base, "use_xla", False)


def test_one_place_only_decides_on_xla():
    found = []
    for path in Path(tf_gen.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "tf.function":
                found += [path.name for key in node.keywords if key.arg == "jit_compile"]
    assert found == ["base.py"]


@pytest.mark.parametrize("name", NAMES)
def test_first_updates_without_xla_differ_by_rounding(name, bundled, expected, monkeypatch):
    _, losses, observed = expected[name]
    without_xla(monkeypatch)
    _, ours, also_observed = ten_updates(name, bundled)
    assert ours.keys() == losses.keys()
    for key in losses:
        np.testing.assert_allclose(ours[key], losses[key], rtol=1e-4)
    np.testing.assert_allclose(also_observed, observed, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "arguments", [[name] for name in NAMES] + [["gaussian_gan", "--preset", "listing"]]
)
def test_whole_runs_without_xla(arguments, command, tmp_path, monkeypatch):
    recipe = load(arguments[0])
    more = ["--data", "bundled"] if recipe.TASK in tasks.WITH_IMAGES else []
    if hasattr(recipe.Config(), "hidden_dim"):
        more += ["--hidden-dim", "8"]
    without_xla(monkeypatch)
    monkeypatch.setattr(base, "use_xla", True)  # the flag says otherwise
    flags = ["--steps", "20", "--log-every", "10", "--no-jit", "--run-dir", tmp_path]
    status, out, err = command(train.main, *arguments, *more, *flags)
    assert (status, err) == (0, "")
    assert "SavedModel:" in out
