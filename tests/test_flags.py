"""Settings as flags: their names, defaults, help and presets, and what bad ones are answered."""

import dataclasses
import inspect
import json
import re
import shlex
from typing import Literal

import pytest

from tf_gen import cli, evaluate, export, flags, tasks, train
from tf_gen.errors import UserError
from tf_gen.models import NAMES, load
from tf_gen.settings import Count, Location, Rate, Settings

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


@pytest.mark.parametrize(
    ("main", "words"),
    [(train.main, ["vae"]), (evaluate.main, ["tiny_gan"]), (export.main, [])],
)
def test_help_says_what_it_costs_to_do_without_xla(command, main, words):
    status, out, _ = command(main, *words, "--help")
    assert status == 0
    text = re.sub(r"\s+", " ", out).partition("--no-jit ")[2]
    assert all(word in text for word in ("XLA", "slower", "bits may differ"))


def test_help_tells_where_presets_differ(command):
    text = re.sub(r"\s+", " ", command(train.main, "gaussian_gan", "--help")[1])
    assert "(default: 4; stable: 8)" in text
    assert "(default: 12; listing: 8; stable: 256)" in text
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
        (["gaussian_gan", "--pack", "0"], ["--pack", "at least 1"]),
        (["gaussian_gan", "--pack", "5"], ["--batch-size", "multiple of pack"]),
        (["gaussian_gan", "--noise", "foo"], ["--noise", "stratified, uniform"]),
        (["gaussian_gan", "--num-steps", "0"], ["--steps", "at least 1"]),
        (
            ["tiny_gan", "--inputs", "foo"],
            ["--inputs", "raw, squares, differences, moments, sorted"],
        ),
        (["tiny_gan", "--batch-size", "1"], ["--batch-size", "at least 2"]),
        (["tiny_gan", "--d-steps", "0"], ["--d-steps", "at least 1"]),
        (["tiny_gan", "--g-steps", "0"], ["--g-steps", "at least 1"]),
        (["tiny_gan", "--data-std", "-1"], ["--data-std", "positive"]),
        (["tiny_gan", "--d-activation", "softplus"], ["--d-activation"]),
    ],
)
def test_usage_errors_are_one_line_and_status_2(refused, arguments, words):
    refused(train.main, arguments, words)


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
    if "pack" in others:
        others["pack"] = 1  # of which every batch is a multiple
    assert len(others) > 3
    for changed in (settings, {**settings, **others}):
        assert read(flags.command_line(outline, preset, changed)) == changed
    assert flags.command_line(outline, preset, settings) == f"{name} --preset {preset}"


@pytest.mark.parametrize("main", [train.main, evaluate.main])
def test_flags_of_images_are_of_models_that_learn_from_images(command, refused, main):
    for flag in ("--data ", "--resize", "--invert"):
        assert flag in command(main, "vae", "--help")[1]
        assert flag not in command(main, "tiny_gan", "--help")[1]
    refused(main, ["tiny_gan", "--resize"], ["--resize"])


@pytest.mark.parametrize("name", NAMES)
def test_outline_says_what_the_recipe_says(name):
    outline, recipe = flags.read(name), load(name)
    assert (outline.name, outline.task) == (name, recipe.TASK)
    assert outline.summary == recipe.__doc__.splitlines()[0]
    presets = {preset: vars(config) for preset, config in recipe.PRESETS.items()}
    assert {preset: vars(config) for preset, config in outline.presets.items()} == presets


def test_reading_imports_nothing_heavy_and_finds_what_the_recipes_have(process):
    code = (
        "import dataclasses, json, sys\n"
        "from tf_gen import flags, models\n"
        "found = {}\n"
        "for name in models.NAMES:\n"
        "    presets = flags.read(name).presets\n"
        "    found[name] = {key: dataclasses.asdict(value) for key, value in presets.items()}\n"
        "heavy = {'tensorflow', 'keras', 'numpy', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "print(json.dumps(found))\n"
    )
    result = process("-c", code)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout) == {
        name: {preset: vars(config) for preset, config in load(name).PRESETS.items()}
        for name in NAMES
    }


@pytest.mark.parametrize("name", NAMES)
def test_comments_are_what_stands_behind_the_fields(name):
    recipe = load(name)
    source = inspect.getsource(recipe.Config)
    comments = flags.read(name).comments
    assert list(comments) == [field.name for field in dataclasses.fields(recipe.Config)]
    for field, comment in comments.items():
        (line,) = re.findall(rf"(?m)^    {field}: .*$", source)
        assert line.endswith(f"  # {comment}")
        assert comment


class Config(Settings):
    rate: Rate = 0.5
    shift: Location = 0.0
    kind: Literal["one two", "three"] = "three"
    on: bool = False
    off_at_night: bool = True
    steps: Count = 10


@pytest.fixture
def small():
    """An `Outline` with a field of each kind, and a parser of its flags."""
    presets = {"article": Config(), "other": Config(rate=0.1, kind="one two", on=True)}
    comments = {field.name: f"100 % of {field.name}" for field in dataclasses.fields(Config)}
    outline = flags.Outline("small", Config, presets, "gaussian", comments, "A small one.")
    parser = cli.Parser(prog="tool")
    flags.add(parser, outline)
    return outline, parser


@pytest.mark.parametrize("preset", ["article", "other"])
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"rate": 1e-30}, "--rate 1e-30"),
        ({"rate": 0.1 + 0.2}, "--rate 0.30000000000000004"),
        ({"shift": -2.5}, "--shift -2.5"),
        ({"shift": -1e-5}, "--shift=-1e-05"),  # by itself a flag to argparse
        ({"on": True, "off_at_night": False}, "--on --no-off-at-night"),
        ({"on": False, "off_at_night": True}, "--no-on --off-at-night"),
        ({"kind": "one two", "steps": 7}, "--kind 'one two' --steps 7"),
        ({"kind": "three"}, "--kind three"),
    ],
)
def test_each_kind_of_setting_goes_to_a_command_line_and_back(small, preset, changes, words):
    outline, parser = small
    settings = {**vars(outline.presets[preset]), **changes}
    line = flags.command_line(outline, preset, settings)
    given = shlex.split(line)
    assert given[:3] == ["small", "--preset", preset]
    assert flags.chosen(parser, outline, parser.parse_args(given[1:])) == settings
    for name, value in settings.items():
        flag = name.replace("_", "-")
        named = bool({f"--{flag}", f"--no-{flag}"} & {word.partition("=")[0] for word in given})
        assert named == (value != getattr(outline.presets[preset], name))
    parsed = flags.chosen(
        parser, outline, parser.parse_args(["--preset", preset, *shlex.split(words)])
    )
    assert parsed == settings


def test_help_of_each_kind_of_setting(small):
    text = re.sub(r"\s+", " ", small[1].format_help())
    assert "--rate FLOAT 100 % of rate (default: 0.5; other: 0.1)" in text
    assert "--kind STR 100 % of kind (default: three; other: one two)" in text
    assert "--on, --no-on 100 % of on (default: False; other: True)" in text
    assert "--steps INT, --num-steps INT 100 % of steps (default: 10)" in text
    assert "--preset {article,other}" in text


def test_flags_may_be_left_out(small):
    parser = cli.Parser(prog="tool")
    flags.add(parser, small[0], without=["steps", "on"])
    text = parser.format_help()
    assert "--rate" in text
    assert "--steps" not in text
    assert "--on" not in text
    settings = flags.chosen(parser, small[0], parser.parse_args(["--rate", "2"]))
    assert settings == {**vars(Config()), "rate": 2.0}


def test_a_recipe_without_a_task_is_refused_by_name(monkeypatch, tmp_path):
    (tmp_path / "models").mkdir()
    recipe = tmp_path / "models" / "odd.py"
    recipe.write_text('"""Odd."""\n\n\nclass Config:\n    pass\n\n\nPRESETS = {}\n')
    monkeypatch.setattr(flags, "__file__", str(tmp_path / "flags.py"))
    with pytest.raises(UserError, match=r"odd\.py: TASK must be one of digits, gaussian"):
        flags.read("odd")
    recipe.write_text(recipe.read_text() + 'TASK = "digit"\n')
    with pytest.raises(UserError, match="TASK must be one of"):
        flags.read("odd")
