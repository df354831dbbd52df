"""The contract of recipes, for every model of the registry and each of its presets."""

import ast
import dataclasses
import gc
import inspect
import json
import weakref
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from oracles import same

import tf_gen
from tf_gen import flags, loop, plots, rundir, sample, tasks
from tf_gen.base import Adversarial, Generative
from tf_gen.models import NAMES, load
from tf_gen.settings import Settings

quick = pytest.mark.quick

CONTRACT = {"Config", "PRESETS", "TASK", "build", "blocks", "Report"}
PRESETS = [(name, preset) for name in NAMES for preset in load(name).PRESETS]
ARTICLES = [(name, "article") for name in NAMES]
ALL_TASKS = {load(name).TASK for name in NAMES}

# What `.keras` files kept of a model before it had a `Config`, and of its optimiser.
OLDER = {
    "vae": ("hidden_dim", "latent_dim", "seed"),
    "gaussian_gan": (
        "hidden_size", "minibatch", "activation", "scale_weights", "log_floor", "r1", "seed",
    ),
    "tiny_gan": (
        "inputs", "batch_size", "g_hidden_size", "g_activation_1", "g_activation_2",
        "d_hidden_size", "d_activation", "seed",
    ),
    "ali": (
        "hidden_dim", "hidden_layers", "latent_dim", "leak", "batch_norm", "z_layer", "bounded",
        "cycle", "l2", "seed",
    ),
}  # fmt: skip
COMPILED_BY_KERAS = {
    **dict.fromkeys(["loss", "loss_weights", "metrics", "weighted_metrics"]),
    "run_eagerly": False,
    "steps_per_execution": 1,
}


def marked(presets, slower=()):
    """Parameters, those of presets `article` for the quick tests, but of tasks that are slower."""
    return [
        pytest.param(
            (name, preset),
            marks=[quick] if preset == "article" and load(name).TASK not in slower else [],
            id=f"{name}-{preset}",
        )
        for name, preset in presets
    ]


@pytest.fixture(params=marked(PRESETS))
def made(request):
    """A recipe and one of its presets; wide layers are made narrow, to save time."""
    name, preset = request.param
    recipe = load(name)
    config = recipe.PRESETS[preset]
    if hasattr(config, "hidden_dim"):
        config = dataclasses.replace(config, hidden_dim=32)
    return recipe, config


@pytest.fixture
def source(made, bundled):
    """What the model learns from: digits, or nothing where it draws its data."""
    return bundled if made[0].TASK in tasks.WITH_IMAGES else None


@pytest.fixture
def report(made, source):
    return tasks.report(*made, source)


def elements(made, source, count, start=0):
    recipe, config = made
    dataset = recipe.blocks(config, source).dataset(start)
    return list(dataset.take(count).as_numpy_iterator())


def stacked(made, source, count):
    recipe, config = made
    return next(recipe.blocks(config, source).stacks(0, [count]))


def built(made):
    recipe, config = made
    return recipe.build(config)


def state(model):
    return [variable.numpy() for variable in model.state]


@pytest.fixture(scope="module")
def known():
    """What `one_by_one` found for each model: it takes seconds, and several tests need it."""
    return {}


@pytest.fixture
def one_by_one(known, made, source, report):
    """Six updates, each in a call: their losses, what was observed after each, and the state."""
    if made not in known:
        model, stack = built(made), stacked(made, source, 6)
        program = loop.program(model, report.observe)
        losses, observed = [], []
        for k in range(6):
            batch = {key: value[k : k + 1] for key, value in stack.items()}
            means, *seen = program(batch, 1, tf.constant(1))
            losses.append({name: value[0] for name, value in means.items()})
            observed.append(seen[0][0] if seen else None)
        known[made] = losses, observed, state(model)
    return known[made]


def assert_means(means, losses):
    """Of some updates: what is told is the mean of what `one_by_one` found for each."""
    for name, value in means.items():
        np.testing.assert_allclose(value, np.mean([row[name] for row in losses]), rtol=1e-5)


def seen_by(report, model):
    """What `report.measure` is given at a line of the log."""
    return report.observe(model).numpy() if report.observe else model


# ---- The module ----------------------------------------------------------------------------------


def test_recipes_are_imported_without_libraries_that_draw_and_score(process):
    code = (
        "import sys\n"
        "for name in ('matplotlib', 'PIL', 'scipy', 'sklearn'):\n"
        "    sys.modules[name] = None\n"
        "from tf_gen import models, tasks\n"
        "for name in models.NAMES:\n"
        "    recipe = models.load(name)\n"
        "    tasks.report(recipe, recipe.Config())\n"
        "    print(name)\n"
    )
    result = process("-c", code)
    assert result.returncode == 0, result.stderr
    assert tuple(result.stdout.split()) == NAMES


@quick
@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_has_what_the_contract_says(name):
    recipe = load(name)
    assert set(vars(recipe)) >= CONTRACT - {"Report"}
    assert issubclass(recipe.Config, Settings)
    assert recipe.Config.__module__ == recipe.__name__
    assert next(iter(recipe.PRESETS)) == "article"
    assert recipe.PRESETS["article"] == recipe.Config()
    assert all(type(config) is recipe.Config for config in recipe.PRESETS.values())
    assert list(inspect.signature(recipe.build).parameters) == ["config"]
    _, source, *_ = inspect.signature(recipe.blocks).parameters.values()
    assert source.name == "source"
    assert (source.default is None) == (recipe.TASK not in tasks.WITH_IMAGES)
    home = tasks.report(recipe, recipe.Config())
    task = type(tasks.report(type("recipe", (), {"TASK": recipe.TASK}), recipe.Config()))
    assert isinstance(home, task)
    assert (type(home) is not task) == hasattr(recipe, "Report")


@quick
def test_the_frame_asks_a_recipe_for_nothing_else():
    asked = set()
    package = Path(tf_gen.__file__).parent
    for path in [*package.glob("*.py"), *package.glob("tasks/*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("recipe", "module"):
                asked.add(node.attr)
    assert {"Config", "build", "blocks", "Report"} <= asked <= CONTRACT


@quick
@pytest.mark.parametrize("name", NAMES)
def test_every_setting_has_a_comment_and_a_type_of_ours(name):
    comments = flags.read(name).comments
    for field in dataclasses.fields(load(name).Config):
        assert comments[field.name], f"{field.name} has no comment"
        has_bounds = hasattr(field.type, "__metadata__") or hasattr(field.type, "__args__")
        assert field.type is bool or has_bounds, f"{field.name} has no bounds"


def test_config_survives_json(made):
    recipe, config = made
    text = json.dumps(dataclasses.asdict(config))
    assert recipe.Config(**json.loads(text)) == config


# ---- The model -----------------------------------------------------------------------------------


def test_model_is_of_the_frames_and_says_what_it_generates(made):
    model = built(made)
    assert isinstance(model, Generative)
    assert model.config == made[1]
    optimizers = ["d_optimizer", "g_optimizer"] if isinstance(model, Adversarial) else ["optimizer"]
    assert all(isinstance(getattr(model, name), keras.optimizers.Optimizer) for name in optimizers)
    assert model.losses_reported[0] == "loss"
    z, generated = model.sample(3, [1, 2])
    assert z.shape == (3, model.latent_dim)
    assert generated.shape == {"images": (3, 28, 28), "x": (3, 1)}[model.generates]
    assert (model.generates == "images") == (made[0].TASK in tasks.WITH_IMAGES)
    np.testing.assert_array_equal(generated, model.decode(z))


def test_weights_are_a_function_of_the_seed(made):
    recipe, config = made
    assert same(state(built(made)), state(built(made)))
    other = dataclasses.replace(config, seed=config.seed + 1)
    for a, b in zip(recipe.build(config).weights, recipe.build(other).weights, strict=True):
        a, b = a.numpy(), b.numpy()
        constant = np.ptp(a) == 0  # biases that start at 0, scales that start at 1
        assert constant or not np.array_equal(a, b)


def test_prior_repeats_and_decode_draws_nothing(made):
    model = built(made)
    z = model.prior(5, [1, 2])
    assert z.shape[0] == 5
    np.testing.assert_array_equal(z, model.prior(5, [1, 2]))
    assert not np.array_equal(z, model.prior(5, [1, 3]))
    assert not np.array_equal(z, model.prior(5, [2, 2]))
    graph = tf.function(model.decode).get_concrete_function(z).graph
    assert not [op.type for op in graph.get_operations() if "Random" in op.type]


# ---- Batches -------------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [1, 69, 70, 71])
def test_batches_start_anywhere(made, source, start):
    # 4,500 images in batches of 64: epoch 2 begins in batch 70
    assert_same_batches(elements(made, source, start + 2)[start:], elements(made, source, 2, start))


def test_stacks_for_the_commands_are_those_for_fit(made, source):
    recipe, config = made
    rows = elements(made, source, 5, start=98)
    for stack in recipe.blocks(config, source).stacks(98, [1, 4]):
        count = len(tf.nest.flatten(stack)[0])
        assert_same_batches(
            rows[:count], [{k: v[i] for k, v in stack.items()} for i in range(count)]
        )
        rows = rows[count:]
    assert not rows


@pytest.mark.parametrize("made", marked(PRESETS, slower=ALL_TASKS), indirect=True)
def test_batches_start_far_from_the_beginning(made, source):
    assert_same_batches(elements(made, source, 1002)[1000:], elements(made, source, 2, 1000))


def assert_same_batches(a, b):
    for x, y in zip(a, b, strict=True):
        assert x.keys() == y.keys()
        assert all(np.array_equal(x[key], y[key]) for key in x)


def test_batches_differ_between_steps_and_seeds(made, source):
    recipe, config = made
    other = recipe, dataclasses.replace(config, seed=config.seed + 1)
    first, second = elements(made, source, 2)
    (third,) = elements(other, source, 1)
    for key in first:
        assert not np.array_equal(first[key], second[key])
        assert not np.array_equal(first[key], third[key])


# ---- Training ------------------------------------------------------------------------------------


def test_update_is_deterministic_and_reports_scalars(made, source):
    (batch,) = elements(made, source, 1)
    a, b = built(made), built(made)
    before = state(a)
    losses = a.update(batch)
    assert tuple(losses) == a.losses_reported
    assert all(value.shape == () and np.isfinite(value) for value in losses.values())
    b.update(batch)
    assert same(state(a), state(b))
    assert not same(state(a), before)


@pytest.mark.parametrize("made", marked(PRESETS, slower=ALL_TASKS), indirect=True)
def test_many_updates_in_one_program_are_single_ones_to_the_bit(made, source, one_by_one):
    losses, _, expected = one_by_one
    model = built(made)
    program = tf.function(model.train_step, jit_compile=True)
    assert_means(program(stacked(made, source, 6)), losses)
    assert same(state(model), expected)


@pytest.mark.parametrize("made", marked(ARTICLES), indirect=True)
def test_lines_of_the_log_in_one_program_change_no_bit(made, source, report, one_by_one):
    losses, observed, expected = one_by_one
    model = built(made)
    means, *seen = loop.program(model, report.observe)(stacked(made, source, 6), 3, tf.constant(2))
    assert all(values.shape == (3,) for values in means.values())
    assert len(seen) == bool(report.observe)
    for line in range(3):
        updates = slice(2 * line, 2 * line + 2)
        assert_means({name: values[line] for name, values in means.items()}, losses[updates])
        if seen:
            np.testing.assert_allclose(seen[0][line], observed[updates][-1], rtol=1e-5, atol=1e-6)
    assert same(state(model), expected)


@pytest.mark.parametrize("made", marked(ARTICLES, slower=ALL_TASKS), indirect=True)
def test_fit_makes_the_same_updates(made, source, one_by_one):
    recipe, config = made
    losses, _, expected = one_by_one
    model = built(made)
    batches = recipe.blocks(config, source).dataset().batch(2)
    history = model.fit(batches, steps_per_epoch=3, verbose=0, shuffle=False).history
    assert_means({name: history[name][0] for name in model.losses_reported}, losses)
    assert same(state(model), expected)


# ---- Files ---------------------------------------------------------------------------------------


def test_state_is_all_that_a_checkpoint_holds(made, tmp_path):
    model = built(made)
    with rundir.RunDirectory(tmp_path, {"versions": {}}) as directory:
        directory.save(model, 0)
    (checkpoint,) = rundir.list_checkpoints(tmp_path)
    shapes = tf.train.load_checkpoint(str(checkpoint / "state")).get_variable_to_shape_map()
    saved = [tuple(shape) for name, shape in shapes.items() if name.startswith("state/")]
    assert sorted(saved) == sorted(tuple(variable.shape) for variable in model.state)


def test_checkpoint_holds_all_that_training_changes(made, source, tmp_path):
    recipe, config = made
    model = built(made)
    batches = elements(made, source, 4)
    for batch in batches[:2]:
        model.update(batch)
    with rundir.RunDirectory(tmp_path, {"versions": {}}) as directory:
        directory.save(model, 2)
    resumed = recipe.build(dataclasses.replace(config, seed=7))
    assert rundir.restore(resumed, tmp_path) == (2, [], [])
    for batch in batches[2:]:
        model.update(batch)
        resumed.update(batch)
    assert same(state(model), state(resumed))


def test_keras_file_round_trip(made, source, tmp_path):
    model = built(made)
    (batch,) = elements(made, source, 1)
    model.update(batch)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded) is type(model)
    assert loaded.config == made[1]
    assert same(state(model), state(loaded))
    model.update(batch)
    loaded.update(batch)
    assert same(state(model), state(loaded))


def test_an_older_keras_file_makes_the_same_model(made, tmp_path):
    """Before a model had a `Config`, its file kept fewer settings, and more of Keras's."""
    recipe, config = made
    model = built(made)
    names = OLDER.get(recipe.__name__.rpartition(".")[2])
    if not names:
        pytest.skip("a model without older files")
    if getattr(config, "pack", 1) > 1:
        pytest.skip("files of then had no packs")
    settings = {name: getattr(config, name) for name in names if hasattr(config, name)}
    no_more = dict.fromkeys(set(names) - settings.keys(), 0.0)
    path, older_path = tmp_path / "model.keras", tmp_path / "older.keras"
    model.save(path)
    with zipfile.ZipFile(path) as file, zipfile.ZipFile(older_path, "w") as older_file:
        parts = {name: file.read(name) for name in file.namelist()}
        description = json.loads(parts["config.json"])
        assert description["config"].keys() >= settings.keys()
        description["config"] = {**settings, **no_more}
        if "optimizer" in description["compile_config"]:
            description["compile_config"] |= COMPILED_BY_KERAS
        parts["config.json"] = json.dumps(description).encode()
        for name, part in parts.items():
            older_file.writestr(name, part)
    older = keras.models.load_model(older_path)
    assert older.config == recipe.Config(**settings)
    assert same(state(model), state(older))


# ---- The report ----------------------------------------------------------------------------------


def test_sample_takes_the_flags_that_training_recommends(report):
    sample.parse(["DIRECTORY", *report.sample_flags.split()])


def test_what_is_logged_and_drawn(made, report, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = built(made)
    losses = dict.fromkeys(model.losses_reported, 1.5)
    row = {"step": 1000, **losses, **report.measure(seen_by(report, model))}
    assert all(isinstance(value, float | int) for value in row.values())
    row["updates_per_second"] = 1.5
    assert {name for name, _ in report.limits} <= set(row)
    assert "1000" in report.log_line.format(**row)
    history = [{key: str(value) for key, value in row.items()}]  # as read from history.csv
    pictures = report.pictures(model, history)
    assert pictures
    if report.progress:
        pictures["progress.png"] = report.progress(model)
    assert report.progress or not report.progress_animation
    assert not list(tmp_path.iterdir())  # pictures are made, and somebody else saves them
    for name, picture in pictures.items():
        assert name.endswith(".png")
        plots.save(picture, tmp_path / name)
        assert (tmp_path / name).stat().st_size > 300


def test_a_model_that_is_measured_is_not_kept(made, report):
    model = built(made)
    report.measure(seen_by(report, model))
    report.snapshot(model)
    there = weakref.ref(model)
    del model
    gc.collect()
    assert there() is None


def test_latent_map_is_of_labels_or_there_is_none(made, report):
    if made[0].TASK not in tasks.WITH_IMAGES:
        assert report.latent_map is None
        return
    latent_map = json.loads(json.dumps(report.latent_map(built(made))))
    latent_dim = made[1].latent_dim
    assert {len(z) for z in latent_map["labels"].values()} == {latent_dim}
    assert latent_map["codes"].keys() == latent_map["labels"].keys()
    assert {len(z) for codes in latent_map["codes"].values() for z in codes} == {latent_dim}
    assert ("axis" in latent_map) == (latent_dim == 2)


def test_frames_are_pictures_of_one_size(made, report, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = built(made)
    snapshots = [{**report.snapshot(model), "step": step} for step in (10, 20, 30)]
    for snapshot in snapshots:
        assert all(np.isfinite(value).all() for value in snapshot.values())
    frames = list(report.frames(snapshots))
    assert len(frames) == 3
    assert {(frame.shape, frame.dtype) for frame in frames} == {(frames[0].shape, frames[0].dtype)}
    assert frames[0].dtype == np.uint8
    assert np.ptp(frames[0]) > 100
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("made", marked(PRESETS, slower=tasks.WITH_IMAGES), indirect=True)
def test_score_is_figures_and_flags(made, source, request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = built(made)
    report = tasks.report(*made, source, request.getfixturevalue("judge") if source else None)
    score = report.score(model)
    assert all(np.all(np.isfinite(value)) for value in score.values())
    assert not score["diverged"]
    for variable in model.weights:
        variable.assign(np.nan * variable)
    assert report.score(model)["diverged"]
    picture = report.draw_scores([score, score])
    assert not list(tmp_path.iterdir())
    plots.save(picture, tmp_path / "seeds.png")
    assert (tmp_path / "seeds.png").stat().st_size > 1000
