"""A `Config` as a command line, without running the rest of its recipe.

Importing a recipe imports TensorFlow, which takes seconds. `--help` and the answer to a mistyped
flag must come at once. So `Config`, `PRESETS` and `TASK` may use only `dataclasses`, `math`,
`typing`, `tf_gen.settings` and choices named `X = Literal[...]`, and no other name of their file. A
`Config` has one field on each line, and its comment is the help text of the flag.
"""

import argparse
import ast
import dataclasses
import shlex
from pathlib import Path

from tf_gen import cli, tasks
from tf_gen.errors import UserError
from tf_gen.models import NAMES
from tf_gen.settings import plain_type


@dataclasses.dataclass(frozen=True)
class Outline:
    """The settings of a recipe, read from its source text."""

    name: str  # of the model
    Config: type  # like `tf_gen.models.<name>.Config`, but another object
    presets: dict  # of preset name to `Config`
    task: str
    comments: dict  # of field name to its comment
    summary: str  # first line of the recipe's docstring

    @property
    def with_images(self):
        """Whether the model learns from images, which the user can choose."""
        return self.task in tasks.WITH_IMAGES


def read(name):
    """Return the `Outline` of the model called `name`, one of `tf_gen.models.NAMES`."""
    path = Path(__file__).parent / "models" / f"{name}.py"
    text = path.read_text(encoding="utf-8")
    tree = ast.parse(text)
    wanted = [node for node in tree.body if _says_settings(node)]
    namespace = {"__name__": f"tf_gen.models.{name}"}
    exec(compile(ast.Module(wanted, []), path, "exec"), namespace)
    lines = text.splitlines()
    (config,) = (node for node in wanted if isinstance(node, ast.ClassDef))
    ends = {n.target.id: n.end_lineno for n in config.body if isinstance(n, ast.AnnAssign)}
    comments = {field: lines[end - 1].partition("  # ")[2] for field, end in ends.items()}
    summary = ast.get_docstring(tree).splitlines()[0]
    if namespace.get("TASK") not in tasks.NAMES:
        raise UserError(f"{path}: TASK must be one of {', '.join(tasks.NAMES)}")
    settings = (namespace[key] for key in ("Config", "PRESETS", "TASK"))
    return Outline(name, *settings, comments, summary)


def subcommands(parser):
    """Add a command for each model to `parser`.

    Returns a dict of the names of models to the command's parser and the model's `Outline`.
    """
    subparsers = parser.add_subparsers(dest="model", metavar="MODEL", required=True)
    found = {}
    for name in NAMES:
        outline = read(name)
        command = subparsers.add_parser(name, help=outline.summary, description=outline.summary)
        found[name] = command, outline
    return found


def add(parser, outline, without=()):
    """Add `--preset`, and a flag for each field of `outline.Config` except those in `without`.

    If a flag is not given, the parser returns no value for its field.
    """
    parser.add_argument(
        "--preset",
        choices=list(outline.presets),
        default="article",
        help="settings to start from; the flags below change them (default: article)",
    )
    for field in dataclasses.fields(outline.Config):
        if field.name in without:
            continue
        flags = [_flag(field.name)]
        if field.name == "steps":
            flags.append("--num-steps")  # its name in the article on gaussian_gan
        defaults = {name: getattr(preset, field.name) for name, preset in outline.presets.items()}
        text = f"default: {field.default}"
        others = [f"{name}: {v}" for name, v in defaults.items() if v != field.default]
        text = "; ".join([text, *others])
        kind = plain_type(field.type)
        options = {"type": kind, "metavar": kind.__name__.upper()}
        if kind is bool:
            options = {"action": argparse.BooleanOptionalAction}
        parser.add_argument(
            *flags,
            default=argparse.SUPPRESS,
            help=f"{outline.comments[field.name]} ({text})".replace("%", "%%"),
            **options,
        )


def add_no_jit(parser):
    """Add `--no-jit` to `parser`, for machines where XLA does not work: `jit` is then False."""
    words = (
        "do not use TensorFlow's compiler XLA, if it does not work on your machine; this is "
        "slower, rounds differently, and bits may differ between two processes"
    )
    parser.add_argument("--no-jit", dest="jit", action="store_false", help=words)


def add_data(parser, outline):
    """Add the flags that choose images to `parser`, if the model learns from images."""
    parser.set_defaults(data=None, resize=False, invert=False)
    if outline.with_images:
        add_images(parser)


def add_images(parser):
    """Add the flags that choose images to `parser`."""
    words = (
        "images to use: bundled; mnist, fashion_mnist, kmnist, emnist/digits and its other kinds; "
        "a directory of IDX files or of LABEL/*.png; a .npz file; or a list of image files. "
        "README.md has a table (default: auto, which is MNIST if TensorFlow Datasets has it or can "
        "download it, else bundled)"
    )
    parser.option("--data", cli.expanded, words, default="auto")
    words = "scale images of other sizes to 28 x 28 and keep their aspect ratio"
    parser.add_argument("--resize", action="store_true", help=words)
    words = "exchange black and white, for images that are black on white"
    parser.add_argument("--invert", action="store_true", help=words)


def chosen(parser, outline, arguments):
    """The settings of a parsed command line, a dict. Invalid settings are a usage error."""
    preset = dataclasses.asdict(outline.presets[arguments.preset])
    settings = {name: getattr(arguments, name, value) for name, value in preset.items()}
    try:
        outline.Config(**settings)
    except ValueError as error:
        name, _, complaint = str(error).partition(" ")
        parser.error(f"argument {_flag(name)}: {complaint}")
    return settings


def is_small(settings, data):
    """Whether one core is enough for `settings`, a dict: an update uses few points, no images."""
    return data is None and settings.get("batch_size", 1) <= 500


def command_line(outline, preset, settings):
    """The arguments that mean `settings`, a dict: a string. This is the inverse of `chosen`."""
    words = [outline.name, "--preset", preset]
    start = dataclasses.asdict(outline.presets[preset])
    for name, value in settings.items():
        if value == start[name]:
            continue
        if isinstance(value, bool):
            words.append(_flag(name) if value else _flag(f"no_{name}"))
        elif str(value).startswith("-") and "e" in str(value):  # argparse takes -1e-05 for a flag
            words.append(f"{_flag(name)}={value}")
        else:
            words += [_flag(name), str(value)]
    return shlex.join(words)


def _flag(name):
    return f"--{name.replace('_', '-')}"


def _says_settings(node):
    if isinstance(node, ast.Import):
        return all(alias.name in ("dataclasses", "math") for alias in node.names)
    if isinstance(node, ast.ImportFrom):
        return node.module in ("dataclasses", "typing", "tf_gen.settings")
    if isinstance(node, ast.ClassDef):
        return node.name == "Config"
    if not isinstance(node, ast.Assign):
        return False
    return ast.unparse(node.value).startswith("Literal[") or (
        ast.unparse(node.targets[0]) in ("PRESETS", "TASK")
    )
