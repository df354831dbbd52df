"""Reads the `Config` of a model file without running the rest of it.

Importing a model file imports TensorFlow, which takes seconds; `--help` and a mistyped flag must
answer at once. A `Config` uses nothing but the standard library and has one field a line, whose
comment is the help text of the flag:

    batch_size: int = 64  # images an update
"""

import argparse
import ast
from dataclasses import asdict, dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class ConfigSource:
    """What a model file says about its settings.

    Attributes:
        Config: the dataclass, like `tf_gen.models.<name>.Config` but another object.
        presets: dict of preset name to `Config`.
        help: dict of field name to its comment.
        needs_images: whether the model learns from images, which the user may choose.
        summary: first line of the model file's docstring.
    """

    Config: type
    presets: dict
    help: dict
    needs_images: bool
    summary: str


def read(name):
    """Return the `ConfigSource` of the model called `name`, one of `tf_gen.models.NAMES`."""
    path = Path(__file__).parent / "models" / f"{name}.py"
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    wanted = [node for node in tree.body if _is_config(node)]
    namespace = {"__name__": f"tf_gen.models.{name}"}
    exec(compile(ast.Module(wanted, []), path, "exec"), namespace)
    lines = source.splitlines()
    (config,) = (node for node in wanted if isinstance(node, ast.ClassDef))
    ends = {n.target.id: n.end_lineno for n in config.body if isinstance(n, ast.AnnAssign)}
    comments = {field: lines[end - 1].partition("  # ")[2] for field, end in ends.items()}
    summary = ast.get_docstring(tree).splitlines()[0]
    return ConfigSource(
        namespace["Config"], namespace["PRESETS"], comments, namespace["NEEDS_IMAGES"], summary
    )


def add_flags(parser, source, without=()):
    """Add to `parser` `--preset` and a flag for each field of `source.Config` but some.

    A flag of a field that is not given stays absent from what the parser returns.
    """
    parser.add_argument(
        "--preset",
        choices=list(source.presets),
        default="article",
        help="settings to start from; the flags below change them (default: article)",
    )
    for field in fields(source.Config):
        if field.name in without:
            continue
        flags = ["--" + field.name.replace("_", "-")]
        if field.name == "steps":
            flags.append("--num-steps")  # its name in the article on gaussian_gan
        defaults = {name: getattr(preset, field.name) for name, preset in source.presets.items()}
        text = f"default: {field.default}"
        others = [f"{name}: {v}" for name, v in defaults.items() if v != field.default]
        text = "; ".join([text, *others])
        options = {"type": field.type, "metavar": field.type.__name__.upper()}
        if field.type is bool:
            options = {"action": argparse.BooleanOptionalAction}
        parser.add_argument(
            *flags,
            default=argparse.SUPPRESS,
            help=f"{source.help[field.name]} ({text})".replace("%", "%%"),
            **options,
        )


def chosen(parser, source, arguments):
    """The settings that a parsed command line means, as a dict; a usage error if they are bad."""
    preset = asdict(source.presets[arguments.preset])
    settings = {name: getattr(arguments, name, value) for name, value in preset.items()}
    try:
        source.Config(**settings)
    except ValueError as error:
        field, _, complaint = str(error).partition(" ")
        parser.error(f"argument --{field.replace('_', '-')}: {complaint}")
    return settings


def _is_config(node):
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = (
            [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module]
        )
        return set(names) <= {"dataclasses", "math"}
    if isinstance(node, ast.ClassDef):
        return node.name == "Config"
    target = getattr(node, "target", None) or getattr(node, "targets", [None])[0]
    return isinstance(target, ast.Name) and target.id in ("PRESETS", "NEEDS_IMAGES")
