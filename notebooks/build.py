"""Make notebooks from their sources: `python notebooks/build.py notebooks/01_vae.py`.

Each source is run from top to bottom in a fresh kernel, and written beside itself as .ipynb with
what its cells showed. Without arguments: all, which takes a quarter of an hour on two cores. A
change of prose alone needs no run: `jupytext --update --to ipynb notebooks/01_vae.py`.
"""

import os
import sys
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

from tf_gen import cli, files
from tf_gen.errors import UserError

HERE = Path(__file__).parent


def build(source):
    """Run the notebook of `source`, a path, and write it; its cells' errors are raised."""
    if source.suffix != ".py":
        raise UserError(f"{source}: not a source; name the .py beside it")
    notebook = jupytext.read(source)
    del notebook.metadata["jupytext"]
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"  # not at random, so that what has not changed stays the same
    resources = {"metadata": {"path": source.parent}}
    options = {"timeout": None, "record_timing": False, "coalesce_streams": True}
    environment = {name: v for name, v in os.environ.items() if name != "TF_GEN_BUDGET"}
    NotebookClient(notebook, resources=resources, **options).execute(env=environment)
    del notebook.metadata["language_info"]["version"]
    with files.beside(source.with_suffix(".ipynb")) as temporary:
        nbformat.write(notebook, temporary)


def main():
    every = sorted([*HERE.glob("[0-9]*.py"), *HERE.glob("zh-CN/[0-9]*.py")])
    for source in [Path(name) for name in sys.argv[1:]] or every:
        begin = time.monotonic()
        print(f"running {source}", flush=True)
        build(source)
        seconds = time.monotonic() - begin
        print(f"{source.with_suffix('.ipynb')}: ran for {seconds:.0f} s", flush=True)


if __name__ == "__main__":
    cli.run(main)
