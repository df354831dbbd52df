"""Settings as flags: their names, defaults, help and presets, and what bad ones are answered."""

import re
import shlex

import pytest
from helpers import one_line

from tf_gen import cli, flags, tasks, train
from tf_gen.models import NAMES, load

pytestmark = pytest.mark.quick


@pytest.mark.parametrize("name", NAMES)
def test_help_names_every_field_with_its_defaults(command, name):
    status, out, _ = command(train.main, name, "--help")
    assert status == 0
    text = re.sub(r"\s+", " ", out)
    module = load(name)
    for field, value in vars(module.Config()).items():
        assert re.search(rf"--(\[no-])?{field.replace('_', '-')}\b", text), field
        others = {preset: getattr(c, field) for preset, c in module.PRESETS.items()}
        default = "; ".join([str(value), *(f"{p}: {v}" for p, v in others.items() if v != value)])
        assert f"{flags.read(name).comments[field]} (default: {default})" in text
    others = ["--preset", "--run-dir", "--checkpoint-every", "--anim-path", "--tensorboard"]
    assert all(flag in text for flag in others)
    with_images = module.TASK in tasks.WITH_IMAGES
    assert ("--data {" in text or "--data DATA" in text) == with_images
    assert flags.read(name).with_images == with_images


def test_help_tells_where_presets_differ(command):
    text = re.sub(r"\s+", " ", command(train.main, "gaussian_gan", "--help")[1])
    assert "(default: 4; stable: 16)" in text
    assert "(default: 12; listing: 8; stable: 64)" in text
    assert "(default: 4.0)" in text


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("flag", ["--steps", "--num-steps"])
def test_steps_has_the_name_of_the_articles_too(name, flag):
    assert train.parse([name, flag, "7"])[1] == {**vars(load(name).Config()), "steps": 7}


def test_minibatch_is_a_switch():
    for switch, expected in [(["--minibatch"], True), (["--no-minibatch"], False), ([], False)]:
        assert train.parse(["gaussian_gan", *switch])[1]["minibatch"] is expected


@pytest.mark.parametrize(
    ("name", "preset"), [(name, preset) for name in NAMES for preset in load(name).PRESETS]
)
def test_presets_start_from_their_settings(name, preset):
    settings = train.parse([name, "--preset", preset, "--seed", "5"])[1]
    assert settings == {**vars(load(name).PRESETS[preset]), "seed": 5}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["vae", "--steps", "0"], ["--steps", "at least 1"]),
        (["vae", "--steps", "1e3"], ["--steps", "1e3"]),
        (["vae", "--batch-size", "-1"], ["--batch-size", "-1"]),
        (["vae", "--hidden-dim", "0"], ["--hidden-dim"]),
        (["vae", "--latent-dim", "0"], ["--latent-dim"]),
        (["vae", "--log-every", "0"], ["--log-every"]),
        (["vae", "--learning-rate", "nan"], ["--learning-rate", "nan"]),
        (["vae", "--learning-rate", "inf"], ["--learning-rate"]),
        (["vae", "--learning-rate", "0"], ["--learning-rate"]),
        (["vae", "--decay", "1"], ["--decay"]),
        (["vae", "--seed", "-1"], ["--seed"]),
        (["vae", "--seed", "2147483648"], ["--seed"]),
        (["vae", "--preset", "none"], ["--preset", "article"]),
        (["vae", "--minibatch"], ["--minibatch"]),
        (
            ["gaussian_gan", "--batch-size", "1", "--minibatch"],
            ["--batch-size", "at least 2", "minibatch"],
        ),
        (["gaussian_gan", "--minibatch", "yes"], ["yes"]),
        (["gaussian_gan", "--data-std", "-1"], ["--data-std", "positive"]),
        (["gaussian_gan", "--data-std", "0"], ["--data-std", "positive"]),
        (["gaussian_gan", "--data-std", "inf"], ["--data-std"]),
        (["gaussian_gan", "--data-mean", "nan"], ["--data-mean", "1e6"]),
        (["gaussian_gan", "--activation", "gelu"], ["--activation", "tanh, relu, softplus"]),
        (["gaussian_gan", "--optimizer", "foo"], ["--optimizer", "sgd, adam"]),
        (["gaussian_gan", "--decay", "foo"], ["--decay", "staircase"]),
        (["gaussian_gan", "--stop-at-w1", "-1"], ["--stop-at-w1", "at least 0"]),
        (["gaussian_gan", "--log-floor", "1"], ["--log-floor", "below 1"]),
        (["gaussian_gan", "--r1", "-0.1"], ["--r1"]),
        (["gaussian_gan", "--num-steps", "0"], ["--steps", "at least 1"]),
        (["tiny_gan", "--inputs", "foo"], ["--inputs", "raw, squares, differences, moments"]),
        (["tiny_gan", "--batch-size", "1"], ["--batch-size", "at least 2"]),
        (["tiny_gan", "--d-steps", "0"], ["--d-steps", "at least 1"]),
        (["tiny_gan", "--g-steps", "0"], ["--g-steps", "at least 1"]),
        (["tiny_gan", "--data-std", "-1"], ["--data-std", "positive"]),
        (["tiny_gan", "--d-activation", "softplus"], ["--d-activation"]),
    ],
)
def test_usage_errors_are_one_line_and_status_2(command, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    status, out, err = command(train.main, *arguments)
    assert (status, out) == (2, "")
    assert one_line(err, *words)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("name", "preset"), [(name, preset) for name in NAMES for preset in load(name).PRESETS]
)
def test_command_line_is_the_inverse_of_chosen(name, preset):
    outline = flags.read(name)
    parser = cli.Parser(prog="tool")
    flags.add(parser, outline)

    def read(line):
        words = shlex.split(line)
        assert words[0] == name
        return flags.chosen(parser, outline, parser.parse_args(words[1:]))

    settings = vars(outline.presets[preset])
    others = {
        field: not value if isinstance(value, bool) else value + 1
        for field, value in settings.items()
        if isinstance(value, bool | int)
    }
    assert len(others) > 3
    for changed in (settings, {**settings, **others}):
        assert read(flags.command_line(outline, preset, changed)) == changed
    assert flags.command_line(outline, preset, settings) == f"{name} --preset {preset}"


@pytest.mark.parametrize("name", NAMES)
def test_outline_says_what_the_recipe_says(name):
    outline, recipe = flags.read(name), load(name)
    assert (outline.name, outline.task) == (name, recipe.TASK)
    assert outline.summary == recipe.__doc__.splitlines()[0]
    presets = {preset: vars(config) for preset, config in recipe.PRESETS.items()}
    assert {preset: vars(config) for preset, config in outline.presets.items()} == presets
