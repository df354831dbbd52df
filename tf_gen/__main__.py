"""All commands under one name: `tf-gen train vae` is `python -m tf_gen.train vae`."""

import argparse
import importlib
import sys

from tf_gen import __version__, cli

COMMANDS = {
    "train": "train one of the models",
    "evaluate": "measure a model over many seeds, or measure a run",
    "export": "export the newest checkpoint of a run as a SavedModel",
    "sample": "generate images or points with a SavedModel",
    "explore": "write a web page to explore a model in",
    "import_v1": "import a checkpoint that an article's TensorFlow 1 code wrote",
}


def main(argv=None):
    argv = sys.argv[1:] if argv is None else argv
    lines = [f"  {name:10}{words}" for name, words in COMMANDS.items()]
    parser = cli.Parser(
        prog="tf-gen",
        usage="tf-gen COMMAND ...",
        description="\n".join(["commands:", *lines, "", "tf-gen COMMAND --help tells more."]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"tf_gen {__version__}")
    parser.add_argument("command", nargs="?", choices=COMMANDS, help=argparse.SUPPRESS)
    arguments = parser.parse_args(argv[:1])
    if arguments.command is None:
        parser.print_help()
        return 0
    return importlib.import_module(f"tf_gen.{arguments.command}").main(argv[1:])


def run():
    """The console script `tf-gen`."""
    cli.run(main)


if __name__ == "__main__":
    run()
