"""Reads the `Config` of a model file without running the rest of it.

Importing a model file imports TensorFlow, which takes seconds; `--help` and a mistyped flag must
answer at once. A `Config` uses nothing but the standard library and has one field a line, whose
comment is the help text of the flag:

    batch_size: int = 64  # images an update
"""

import argparse
import ast
from dataclasses import dataclass, fields
from pathlib import Path


@dataclass(frozen=True)
class ConfigSource:
    """What a model file says about its settings.

    Attributes:
        Config: the dataclass, like `tf_gen.models.<name>.Config` but another object.
        presets: dict of preset name to `Config`.
        help: dict of field name to its comment.
        summary: first line of the model file's docstring.
    """

    Config: type
    presets: dict
    help: dict
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
    return ConfigSource(namespace["Config"], namespace["PRESETS"], comments, summary)


def add_flags(parser, source):
    """Add to `parser` one flag for each field of `source.Config`; a flag not given stays absent."""
    for field in fields(source.Config):
        parser.add_argument(
            "--" + field.name.replace("_", "-"),
            type=field.type,
            default=argparse.SUPPRESS,
            help=f"{source.help[field.name]} (default: {field.default})",
            metavar=field.type.__name__.upper(),
        )


def _is_config(node):
    if isinstance(node, ast.Import | ast.ImportFrom):
        names = (
            [alias.name for alias in node.names] if isinstance(node, ast.Import) else [node.module]
        )
        return set(names) <= {"dataclasses", "math"}
    if isinstance(node, ast.ClassDef):
        return node.name == "Config"
    target = getattr(node, "target", None) or getattr(node, "targets", [None])[0]
    return isinstance(target, ast.Name) and target.id == "PRESETS"
