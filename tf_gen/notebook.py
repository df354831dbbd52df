"""What the notebooks share: the package's source and pictures shown, and a small budget for tests.

Imports TensorFlow, without the lines that it prints at its start. Needs IPython, which every
notebook has; nothing else in this package imports it.
"""

import html
import inspect
import os
import tempfile
import textwrap
from pathlib import Path

from IPython.display import HTML, Image, Markdown

from tf_gen import cli

cli.import_tensorflow()

from tf_gen import plots  # noqa: E402
from tf_gen.mosaic import png  # noqa: E402


def budget(full, small):
    """How much of something a cell does: `full`, or `small` if TF_GEN_BUDGET is "small".

    The tests run each notebook from top to bottom with the small budget.
    """
    return small if os.environ.get("TF_GEN_BUDGET") == "small" else full


def source(*objects):
    """The source of functions, methods or classes as it stands in the package, to be displayed."""
    return Markdown("\n\n".join(map(_source, objects)))


def _source(object_):
    path = Path(inspect.getsourcefile(object_)).relative_to(Path(__file__).parents[1])
    text = textwrap.dedent(inspect.getsource(object_)).strip()
    return f"`{path.as_posix()}`\n\n```python\n{text}\n```"


def picture(pixels):
    """Pixels, uint8 [height, width] as `mosaic.mosaic` returns them, to be displayed."""
    return Image(png(pixels))


def page(path, height=900):
    """The HTML file `path` in a frame of its own, `height` pixels high, to be displayed.

    The file becomes part of the notebook.
    """
    text = html.escape(path.read_text(encoding="utf-8"))
    # In a div, since IPython warns of an iframe by itself.
    return HTML(f'<div><iframe srcdoc="{text}" width="100%" height="{height}"></iframe></div>')


def animation(frames, fps=10):
    """Frames, uint8 [height, width] or [height, width, 3] each, as an animation to be displayed.

    An animated PNG, which all places that show notebooks can show.
    """
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "animation.png")
        plots.animation(iter(frames), path, fps)
        return Image(path.read_bytes())
