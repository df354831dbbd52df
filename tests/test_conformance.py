"""What the frame relies on, for every model of the registry."""

import dataclasses
import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_gen import config, run, sample
from tf_gen.models import NAMES, load

PRESETS = [(name, preset) for name in NAMES for preset in load(name).PRESETS]


@pytest.fixture(params=PRESETS, ids="-".join)
def model_file(request):
    """The module of a model and one of its presets; wide layers are made narrow, to save time."""
    name, preset = request.param
    module = load(name)
    settings = module.PRESETS[preset]
    if hasattr(settings, "hidden_dim"):
        settings = dataclasses.replace(settings, hidden_dim=32)
    return module, settings


@pytest.fixture
def source(model_file, bundled):
    """What the model learns from: digits, or nothing where it draws its data."""
    module, _ = model_file
    return bundled if module.NEEDS_IMAGES else None


def elements(module, settings, source, count, start=0):
    return list(module.batches(settings, source, start).take(count).as_numpy_iterator())


def stacked(module, settings, source, count, start=0):
    return next(iter(module.batches(settings, source, start).batch(count)))


def state(model):
    return [v.numpy() for v in model.state]


def same(a, b):
    return len(a) == len(b) and all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


@pytest.mark.parametrize("name", NAMES)
def test_config_is_read_without_tensorflow_as_the_model_file_means_it(name):
    module, source = load(name), config.read(name)
    assert dataclasses.asdict(source.Config()) == dataclasses.asdict(module.Config())
    assert list(source.presets) == list(module.PRESETS)
    assert module.PRESETS["article"] == module.Config()
    for field in dataclasses.fields(module.Config):
        assert source.help[field.name], f"{field.name} has no comment"


def test_config_survives_json(model_file):
    module, settings = model_file
    text = json.dumps(dataclasses.asdict(settings))
    assert module.Config(**json.loads(text)) == settings


def test_weights_are_a_function_of_the_seed(model_file):
    module, settings = model_file
    assert same(state(module.build(settings)), state(module.build(settings)))
    other = dataclasses.replace(settings, seed=settings.seed + 1)
    for a, b in zip(module.build(settings).weights, module.build(other).weights, strict=True):
        a, b = a.numpy(), b.numpy()
        constant = np.ptp(a) == 0  # biases that start at 0, scales that start at 1
        assert constant or not np.array_equal(a, b)


def test_state_is_all_that_a_checkpoint_holds(model_file, tmp_path):
    module, settings = model_file
    model = module.build(settings)
    with run.RunDirectory(tmp_path, {"versions": {}}) as directory:
        directory.save(model, 0)
    (checkpoint,) = run.list_checkpoints(tmp_path)
    shapes = tf.train.load_checkpoint(str(checkpoint / "state")).get_variable_to_shape_map()
    saved = [tuple(shape) for name, shape in shapes.items() if name.startswith("state/")]
    assert sorted(saved) == sorted(tuple(variable.shape) for variable in model.state)


@pytest.mark.parametrize("start", [1, 69, 70, 71, 1000])
def test_batches_start_anywhere(model_file, source, start):
    module, settings = model_file  # 4,500 images in batches of 64: epoch 2 begins in batch 70
    whole = elements(module, settings, source, start + 2)
    part = elements(module, settings, source, 2, start)
    for a, b in zip(whole[start:], part, strict=True):
        assert a.keys() == b.keys()
        assert all(np.array_equal(a[key], b[key]) for key in a)


def test_batches_differ_between_steps_and_seeds(model_file, source):
    module, settings = model_file
    other = dataclasses.replace(settings, seed=settings.seed + 1)
    first, second = elements(module, settings, source, 2)
    (third,) = elements(module, other, source, 1)
    for key in first:
        assert not np.array_equal(first[key], second[key])
        assert not np.array_equal(first[key], third[key])


def test_update_is_deterministic_and_reports_scalars(model_file, source):
    module, settings = model_file
    (batch,) = elements(module, settings, source, 1)
    a, b = module.build(settings), module.build(settings)
    before = state(a)
    losses = a.update(batch)
    assert tuple(losses) == a.losses_reported
    assert all(value.shape == () and np.isfinite(value) for value in losses.values())
    b.update(batch)
    assert same(state(a), state(b))
    assert not same(state(a), before)


def test_many_updates_in_one_program_are_single_ones_to_the_bit(model_file, source):
    module, settings = model_file
    a, b = module.build(settings), module.build(settings)
    stack = stacked(module, settings, source, 6)
    program = tf.function(a.train_step, jit_compile=True)
    mean = program(stack)
    program = tf.function(b.train_step, jit_compile=True)
    single = [program({key: value[k : k + 1] for key, value in stack.items()}) for k in range(6)]
    assert same(state(a), state(b))
    for name, value in mean.items():
        np.testing.assert_allclose(value, np.mean([s[name] for s in single]), rtol=1e-5)


@pytest.mark.parametrize("model_file", [(name, "article") for name in NAMES], indirect=True)
def test_lines_of_the_log_in_one_program_change_no_bit(model_file, source):
    module, settings = model_file
    a, b = module.build(settings), module.build(settings)
    stack = stacked(module, settings, source, 6)
    losses, seen = tf.function(a.train_lines, jit_compile=True, autograph=False)(stack, 3)
    assert all(values.shape == (3,) for values in losses.values())
    program = tf.function(b.train_step, jit_compile=True)
    for line in range(3):
        part = {key: value[2 * line : 2 * line + 2] for key, value in stack.items()}
        for name, value in program(part).items():
            np.testing.assert_allclose(losses[name][line], value, rtol=1e-5)
        np.testing.assert_allclose(seen[line], b.observe(), rtol=1e-5, atol=1e-6)
    assert same(state(a), state(b))


@pytest.mark.parametrize("model_file", [(name, "article") for name in NAMES], indirect=True)
def test_fit_makes_the_same_updates(model_file, source):
    module, settings = model_file
    a, b = module.build(settings), module.build(settings)
    losses = tf.function(a.train_step, jit_compile=True)(stacked(module, settings, source, 6))
    batches = module.batches(settings, source).batch(2)
    history = b.fit(batches, steps_per_epoch=3, verbose=0, shuffle=False).history
    assert same(state(a), state(b))
    for name, value in losses.items():
        np.testing.assert_allclose(history[name], [value], rtol=1e-5)


def test_checkpoint_holds_all_that_training_changes(model_file, source, tmp_path):
    module, settings = model_file
    model = module.build(settings)
    batches = elements(module, settings, source, 4)
    for batch in batches[:2]:
        model.update(batch)
    with run.RunDirectory(tmp_path, {"versions": {}}) as directory:
        directory.save(model, 2)
    resumed = module.build(dataclasses.replace(settings, seed=7))
    assert run.restore(resumed, tmp_path) == (2, [], [])
    for batch in batches[2:]:
        model.update(batch)
        resumed.update(batch)
    assert same(state(model), state(resumed))


def test_keras_file_round_trip(model_file, source, tmp_path):
    module, settings = model_file
    model = module.build(settings)
    (batch,) = elements(module, settings, source, 1)
    model.update(batch)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert same(state(model), state(loaded))
    model.update(batch)
    loaded.update(batch)
    assert same(state(model), state(loaded))


def test_prior_repeats_and_decode_draws_nothing(model_file):
    module, settings = model_file
    model = module.build(settings)
    z = model.prior(5, [1, 2])
    assert z.shape[0] == 5
    np.testing.assert_array_equal(z, model.prior(5, [1, 2]))
    assert not np.array_equal(z, model.prior(5, [1, 3]))
    assert not np.array_equal(z, model.prior(5, [2, 2]))
    graph = tf.function(model.decode).get_concrete_function(z).graph
    assert not [op.type for op in graph.get_operations() if "Random" in op.type]


def test_sample_takes_the_flags_that_training_recommends(model_file):
    module, settings = model_file
    sample.parse(["DIRECTORY", *module.sample_flags(settings).split()])


def test_what_is_logged_and_drawn(model_file, source, tmp_path):
    module, settings = model_file
    model = module.build(settings)
    losses = dict.fromkeys(model.losses_reported, 1.5)
    seen = model.observe().numpy()
    row = {"step": 1000, **losses, **module.measure(model, settings, source, seen)}
    assert all(isinstance(value, float | int) for value in row.values())
    row["updates_per_second"] = 1.5
    assert set(module.stop_at(settings)) <= set(row)
    assert "1000" in module.LOG_LINE.format(**row)
    module.draw_progress(model, tmp_path, 1000)
    progress = [path.name for path in tmp_path.iterdir()]
    assert all("001000" in name for name in progress)
    history = [{key: str(value) for key, value in row.items()}]  # as read from history.csv
    names = module.draw_report(model, settings, source, tmp_path, history)
    assert names
    assert {path.name for path in tmp_path.iterdir()} == {*progress, *names}


def test_frames_are_pictures_of_one_size(model_file):
    module, settings = model_file
    model = module.build(settings)
    snapshots = [{**module.snapshot(model, settings), "step": step} for step in (10, 20, 30)]
    for snapshot in snapshots:
        assert all(np.isfinite(value).all() for value in snapshot.values())
    frames = list(module.frames(snapshots, settings))
    assert len(frames) == 3
    assert {(frame.shape, frame.dtype) for frame in frames} == {(frames[0].shape, frames[0].dtype)}
    assert frames[0].dtype == np.uint8
    assert np.ptp(frames[0]) > 100


def test_score_is_figures_and_flags(model_file, source, request, tmp_path):
    module, settings = model_file
    model = module.build(settings)
    judge = request.getfixturevalue("judge") if module.NEEDS_IMAGES else None
    score = module.score(model, settings, judge)
    assert all(np.all(np.isfinite(value)) for value in score.values())
    assert not score["diverged"]
    for variable in model.weights:
        variable.assign(np.nan * variable)
    assert module.score(model, settings, judge)["diverged"]
    module.draw_scores([score, score], settings, tmp_path / "seeds.png")
    assert (tmp_path / "seeds.png").stat().st_size > 1000
