"""Make notebooks from their sources: `python notebooks/build.py notebooks/01_vae.py`.

Each source is run from top to bottom in a fresh kernel, and written beside itself as .ipynb with
what its cells showed. Without arguments: all, which takes a quarter of an hour on two cores.

    --prose                  run nothing: only text has changed, and the outputs stay
    --package                run only the cells that show the package's source: its docstrings or
                             comments have changed, and the other outputs stay
    --repository OWNER/NAME  note in pyproject.toml where on GitHub this project is, and write all
                             notebooks anew, without running them: with badges that open them in
                             Colab, where their first cell installs tf_gen from there, and with
                             links that lead there. README.md gets the badges, too.

Sources leave to this file that a cell tagged `answer` becomes Markdown that is folded up.
"""

import argparse
import copy
import os
import re
import time
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

from tf_gen import cli, files
from tf_gen.errors import UserError

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
COLAB = "https://colab.research.google.com"
# In pyproject.toml, where there is no such table until somebody says it.
URL = re.compile(r'^\[project\.urls\]\nRepository = "https://github\.com/(.+)"\n\n', re.M)
NOWHERE = 'REPOSITORY = ""'  # in the first cell of each source


def repository():
    """Where on GitHub this project is, "owner/name", as pyproject.toml says; "" if it does not."""
    found = URL.search((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return found[1] if found else ""


def read(source):
    """The notebook that `source`, a .py file, describes."""
    if source.suffix != ".py":
        raise UserError(f"{source}: not a source; name the .py beside it")
    notebook = jupytext.read(source)
    del notebook.metadata["jupytext"]
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"  # not at random, so that what has not changed stays the same
    return notebook


def run(notebook, directory):
    """Execute all cells in a fresh kernel that works in `directory`; their errors are raised."""
    resources = {"metadata": {"path": directory}}
    options = {"timeout": None, "record_timing": False, "coalesce_streams": True}
    environment = {name: v for name, v in os.environ.items() if name != "TF_GEN_BUDGET"}
    NotebookClient(notebook, resources=resources, **options).execute(env=environment)
    del notebook.metadata["language_info"]["version"]


def take_outputs(notebook, old):
    """Give the cells of `notebook` the outputs that they have in `old`, which was written before.

    UserError: their code has changed.
    """
    notebook.metadata = old.metadata
    for number, (cell, before) in enumerate(zip(notebook.cells, old.cells, strict=True)):
        if cell.cell_type == "markdown":
            continue
        if is_answer(cell):
            same = f"```python\n{cell.source}\n```" in before.source
            notebook.cells[number] = before
        else:
            same = cell.source == re.sub('^REPOSITORY = ".*"', NOWHERE, before.source, flags=re.M)
            cell.update(outputs=before.outputs, execution_count=before.execution_count)
        if not same:
            raise UserError(f"{cell.id}: its code has changed; build it without --prose")


def show_sources(notebook, directory):
    """Execute the cells that show the package's source, and those that import what they name."""
    install, imports, *others = (cell for cell in notebook.cells if cell.cell_type == "code")
    showing = [cell for cell in others if cell.source.startswith("notebook.source(")]
    only = nbformat.v4.new_notebook(metadata=notebook.metadata)
    only.cells = copy.deepcopy([install, imports, *showing])
    run(only, directory)
    for cell, executed in zip(showing, only.cells[2:], strict=True):
        cell.outputs = executed.outputs
        for output in cell.outputs:
            output.execution_count = cell.execution_count


def is_answer(cell):
    return "answer" in cell.metadata.get("tags", ())


def finish(notebook, source, repository):
    """What readers see of an executed notebook: answers folded, and, if it is known where this
    project is, badge and links.

    Args:
        notebook: of `read`, with outputs; changed in place.
        source: path of its source.
        repository: "owner/name" on GitHub, or "".
    """
    directory = source.resolve().parent.relative_to(ROOT)
    chinese = directory.name == "zh-CN"
    for number, cell in enumerate(notebook.cells):
        if is_answer(cell):
            notebook.cells[number] = folded(cell, "答案" if chinese else "Answer")
        elif cell.cell_type == "markdown" and repository:
            cell.source = with_absolute_links(cell.source, directory, repository)
        elif repository:
            cell.source = cell.source.replace(NOWHERE, f'REPOSITORY = "{repository}"')
    if repository:
        title, _, rest = notebook.cells[0].source.partition("\n")
        link = badge(directory / source.with_suffix(".ipynb").name, repository, chinese)
        notebook.cells[0].source = f"{title}\n\n{link}\n{rest}"


def folded(cell, word):
    """An executed code cell as Markdown, which shows only `word` until it is opened."""
    parts = [f"<details>\n<summary>{word}</summary>", f"```python\n{cell.source}\n```"]
    attachments = {}
    for output in cell.outputs:
        if output.output_type == "stream":
            parts.append(f"```text\n{output.text.rstrip()}\n```")
        elif "image/png" in output.data:
            name = f"{cell.id}-{len(attachments)}.png"
            attachments[name] = {"image/png": output.data["image/png"]}
            parts.append(f"![](attachment:{name})")
        else:
            parts.append(f"```text\n{output.data['text/plain']}\n```")
    text = "\n\n".join([*parts, "</details>"])
    markdown = nbformat.v4.new_markdown_cell(text, id=cell.id)
    if attachments:
        markdown.attachments = attachments
    return markdown


def with_absolute_links(text, directory, repository):
    """Markdown whose links to files of this project work wherever it is shown."""

    def absolute(match):
        target, hash_, fragment = match[1].partition("#")
        if target.startswith(("https:", "attachment:")) or not target:
            return match[0]
        path = os.path.normpath(directory / target).replace(os.sep, "/")
        return f"](https://github.com/{repository}/blob/main/{path}{hash_}{fragment})"

    code_or_math = r"(```.*?```|\$\$.*?\$\$|\$[^$]*\$)"  # which have such brackets, too
    parts = re.split(code_or_math, text, flags=re.S)
    parts[::2] = [re.sub(r"\]\(([^)\s]+)\)", absolute, part) for part in parts[::2]]
    return "".join(parts)


def badge(path, repository, chinese):
    """A badge in Markdown that opens the notebook `path`, below the project's root, in Colab."""
    words = "在 Colab 中打开" if chinese else "Open in Colab"
    link = f"{COLAB}/github/{repository}/blob/main/{path.as_posix()}"
    return f"[![{words}]({COLAB}/assets/colab-badge.svg)]({link})"


def with_badges(readme, repository, chinese):
    """The text of a README whose links to notebooks have badges beside them."""
    without = re.sub(rf" \[!\[[^]]*\]\({COLAB}/[^)]*\)\]\([^)]*\)", "", readme)
    return re.sub(
        r"^\| \[[^]]*\]\((notebooks/\S+\.ipynb)\)",
        lambda match: f"{match[0]} {badge(Path(match[1]), repository, chinese)}",
        without,
        flags=re.M,
    )


def say_where(repository):
    """Write to pyproject.toml and both READMEs where on GitHub this project is."""
    pyproject = ROOT / "pyproject.toml"
    text = URL.sub("", pyproject.read_text(encoding="utf-8"))
    url = f'[project.urls]\nRepository = "https://github.com/{repository}"\n\n'
    files.write_text(pyproject, text.replace("[project.scripts]\n", f"{url}[project.scripts]\n"))
    for name in ("README.md", "README.zh-CN.md"):
        readme = (ROOT / name).read_text(encoding="utf-8")
        files.write_text(ROOT / name, with_badges(readme, repository, "zh" in name))


def main():
    parser = argparse.ArgumentParser(description="Make notebooks from their sources.")
    parser.add_argument("sources", nargs="*", type=Path, help="default: all")
    parser.add_argument("--prose", action="store_true", help="keep the outputs; run nothing")
    words = "run only the cells that show the package's source, and keep the other outputs"
    parser.add_argument("--package", action="store_true", help=words)
    words = "where on GitHub this project is, for badges and links; runs nothing"
    parser.add_argument("--repository", metavar="OWNER/NAME", help=words)
    arguments = parser.parse_args()
    if arguments.repository:
        if arguments.sources or not re.fullmatch(r"[\w.-]+/[\w.-]+", arguments.repository):
            parser.error("argument --repository: needs OWNER/NAME, and no sources")
        say_where(arguments.repository)
    every = sorted([*HERE.glob("[0-9]*.py"), *HERE.glob("zh-CN/[0-9]*.py")])
    for source in arguments.sources or every:
        begin = time.monotonic()
        notebook, path = read(source), source.with_suffix(".ipynb")
        if arguments.prose or arguments.package or arguments.repository:
            take_outputs(notebook, nbformat.read(path, as_version=4))
            if arguments.package:
                show_sources(notebook, source.parent)
        else:
            print(f"running {source}", flush=True)
            run(notebook, source.parent)
        finish(notebook, source, repository())
        with files.beside(path) as temporary:
            nbformat.write(notebook, temporary)
        print(f"{path}: {time.monotonic() - begin:.0f} s", flush=True)


if __name__ == "__main__":
    cli.run(main)
