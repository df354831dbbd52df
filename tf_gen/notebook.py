"""What the notebooks share: the package's source and pictures shown, and a small budget for tests.

Imports TensorFlow, without the lines that it prints at its start. Needs IPython, which every
notebook has; nothing else in this package imports it.
"""

import base64
import html
import inspect
import os
import tempfile
import textwrap
from pathlib import Path
from xml.etree import ElementTree

from IPython.display import HTML, Image, Markdown

from tf_gen import cli

cli.import_tensorflow()

from tf_gen import diagrams, labels, plots  # noqa: E402
from tf_gen.mosaic import png  # noqa: E402

# Fonts with Chinese letters: of Debian and Colab, of Windows, of macOS.
CHINESE_FONTS = (
    "Noto Sans CJK SC",
    "WenQuanYi Micro Hei",
    "WenQuanYi Zen Hei",
    "Microsoft YaHei",
    "SimHei",
    "PingFang SC",
    "Heiti TC",
    "Arial Unicode MS",
    "Noto Sans CJK JP",  # the name by which matplotlib finds Debian's fonts-noto-cjk
)


def use_chinese():
    """Label plots in Chinese from now on, or say which font to install, if there is none."""
    import matplotlib
    from matplotlib import font_manager

    there = set(font_manager.get_font_names())
    fonts = [name for name in CHINESE_FONTS if name in there]
    if fonts:
        labels.use("zh-CN")
        matplotlib.rcParams["font.sans-serif"] = [fonts[0], *matplotlib.rcParams["font.sans-serif"]]
        matplotlib.rcParams["axes.unicode_minus"] = False  # some of them have no such minus
    else:
        print(
            "没有找到中文字体，图中的文字为英文。请安装一种，例如在 Debian 或 Colab 中运行"
            " apt-get install fonts-noto-cjk，再删除 Matplotlib 的字体缓存"
            f" {matplotlib.get_cachedir()}，然后重启内核。"
        )


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


def diagram(name, language="en"):
    """The diagram called `name`, one of `diagrams.NAMES`, to be displayed.

    Those called `running_graph_...` are made from the graph of a model that is built for it, which
    takes some seconds.

    Args:
        name, language: see `diagrams.svg`.
    """
    return _Diagram(diagrams.svg(name, language))


class _Diagram:
    # An <img> with the drawing in its address, not `image/svg+xml`, nor <svg> in HTML. JupyterLab
    # shows the former only in notebooks that are trusted, and as an image without alternative text;
    # it and GitHub take the latter out of HTML. An image is shown by these, Colab and VS Code, and
    # keeps its text. No page's style reaches into it: it brings its own light panel for dark ones.
    def __init__(self, svg):
        drawing = ElementTree.fromstring(svg)
        title, description = (drawing.find(f"{{*}}{tag}").text for tag in ("title", "desc"))
        self.text = f"{title}\n{description}"
        self.image = base64.b64encode(svg.encode()).decode()
        self.width = drawing.get("width")

    def _repr_mimebundle_(self, include=None, exclude=None):
        # On a narrow page it shrinks as long as it can be read, then it scrolls.
        style = "min-width: 520px; max-width: 100%; height: auto"
        image = (
            f'<div style="overflow-x: auto"><img src="data:image/svg+xml;base64,{self.image}" '
            f'width="{self.width}" style="{style}" alt="{html.escape(self.text)}"></div>'
        )
        return {"text/html": image, "text/plain": self.text}
