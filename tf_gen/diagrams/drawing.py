"""Boxes, arrows and words as SVG, in one style for all diagrams.

A drawing has its own light panel, so that it looks the same on light and dark pages. It uses no
style sheet and no references by id: some viewers of notebooks strip them, and they clash if several
drawings share a page.
"""

import math
from html import escape
from typing import NamedTuple

WIDTH = 640  # width of all drawings, in the units of the text size
TEXT, SMALL = 15, 13
FONTS = (
    "system-ui, 'Segoe UI', 'Helvetica Neue', 'Noto Sans', 'Noto Sans CJK SC', 'PingFang SC', "
    "'Microsoft YaHei', sans-serif"
)
PANEL, INK = "#fcfcfb", "#1b1f24"
# For each kind of box or arrow: the fill, and the colour of its lines and of words beside it.
COLOURS = {
    "data": ("#e6eaef", "#47525d"),
    "network": ("#d9e8fb", "#1b57a0"),
    "random": ("#fcebc2", "#805300"),
    "loss": ("#ecdffa", "#6a30a8"),
    "learns": ("#d3f0db", "#126b2e"),
    "frozen": ("#fcdcd7", "#a8231b"),
    "part": (PANEL, "#8b949e"),  # a frame around boxes
}


class Box(NamedTuple):
    """The place of a box: its upper left corner and its size."""

    x: float
    y: float
    width: float
    height: float

    def left(self, down=0.5):
        """A point on the left side, `down` of the way from the top."""
        return self.x, self.y + down * self.height

    def right(self, down=0.5):
        return self.x + self.width, self.y + down * self.height

    def top(self, along=0.5):
        """A point on the upper side, `along` of the way from the left."""
        return self.x + along * self.width, self.y

    def bottom(self, along=0.5):
        return self.x + along * self.width, self.y + self.height


class Drawing:
    """A panel `WIDTH` wide and `height` high, to draw on."""

    def __init__(self, height):
        self.height = height
        self.parts = []

    def add(self, tag, **attributes):
        """Append an element; `stroke_width=2` becomes `stroke-width="2"`."""
        self.parts.append(f"<{tag} {_attributes(attributes)}/>")

    def text(self, x, y, words, size=TEXT, kind=None, anchor="middle", bold=False):
        """Words on a line with its middle at height `y`, in the colour of `kind` or in INK."""
        attributes = {
            "x": x,
            "y": y + 0.35 * size,
            "font_size": size,
            "text_anchor": anchor,
            "fill": COLOURS[kind][1] if kind else INK,
            "font_weight": 700 if bold else 400,
        }
        self.parts.append(f"<text {_attributes(attributes)}>{escape(words, quote=False)}</text>")

    def box(self, x, y, width, height, kind, title="", *lines, bold=True, size=TEXT):
        """A box with a title and smaller lines in its middle. A frozen box has a dashed border."""
        fill, stroke = COLOURS[kind]
        dashes = {"stroke_dasharray": "7 4"} if kind == "frozen" else {}
        self.add(
            "rect", x=x, y=y, width=width, height=height, rx=7, fill=fill, stroke=stroke,
            stroke_width=1 if kind == "part" else 1.8, **dashes,
        )  # fmt: skip
        steps = [18] * bool(title) + [17] * len(lines)
        middle = y + (height - sum(steps)) / 2 + 9
        for number, words in enumerate([title, *lines] if title else lines):
            first = bool(title) and number == 0
            self.text(
                x + width / 2, middle, words, size if first else min(size, SMALL),
                bold=bold and first,
            )  # fmt: skip
            middle += 17.5
        return Box(x, y, width, height)

    def frame(self, x, y, width, height, title=""):
        """A frame around a part of the drawing, with an optional title in the upper left corner."""
        self.box(x, y, width, height, "part")
        if title:
            self.text(x + 12, y + 18, title, anchor="start", bold=True)

    def arrow(self, *points, kind="data", gradient=False, head=True):
        """An arrow through points. The arrow of a gradient is dashed."""
        colour = COLOURS["loss" if gradient else kind][1]
        dashes = {"stroke_dasharray": "5 4"} if gradient else {}
        (x0, y0), (x1, y1) = points[-2:]
        length = math.hypot(x1 - x0, y1 - y0)
        u, v = (x1 - x0) / length, (y1 - y0) / length
        end = (x1 - 7 * u, y1 - 7 * v) if head else (x1, y1)  # the line ends within its head
        path = " ".join(f"{_number(x)},{_number(y)}" for x, y in [*points[:-1], end])
        self.add("polyline", points=path, fill="none", stroke=colour, stroke_width=1.8, **dashes)
        if head:
            corners = [(x1, y1)] + [
                (x1 - 9 * u + side * 4.5 * v, y1 - 9 * v - side * 4.5 * u) for side in (1, -1)
            ]
            path = " ".join(f"{_number(x)},{_number(y)}" for x, y in corners)
            self.add("polygon", points=path, fill=colour)

    def cross(self, x, y, size=7):
        """A cross that blocks an arrow."""
        for side in (1, -1):
            self.add(
                "line", x1=x - size, y1=y - side * size, x2=x + size, y2=y + side * size,
                stroke=COLOURS["frozen"][1], stroke_width=3, stroke_linecap="round",
            )  # fmt: skip

    def lock(self, x, y):
        """A padlock with its middle at (x, y)."""
        colour = COLOURS["frozen"][1]
        self.add("path", d=f"M{x - 4} {y - 1}v-4a4 4 0 0 1 8 0v4", fill="none", stroke=colour,
                 stroke_width=2)  # fmt: skip
        self.add("rect", x=x - 6, y=y - 1, width=12, height=9, rx=1.5, fill=colour)

    def cells(self, x, y, columns, rows=1, size=12, kind="data", high=None):
        """A grid of numbers."""
        fill, stroke = COLOURS[kind]
        for row in range(rows):
            for column in range(columns):
                self.add(
                    "rect", x=x + column * size, y=y + row * (high or size), width=size,
                    height=high or size, fill=fill, stroke=stroke, stroke_width=0.8,
                )  # fmt: skip
        return Box(x, y, columns * size, rows * (high or size))

    def document(self, title, description, language):
        """The drawing as an SVG document with its alternative text."""
        attributes = {
            "xmlns": "http://www.w3.org/2000/svg",
            "viewBox": f"0 0 {WIDTH} {self.height}",
            "width": WIDTH,
            "height": self.height,
            "role": "img",
            "lang": language,
            "font_family": FONTS,
        }
        panel = {
            "x": 0.5, "y": 0.5, "width": WIDTH - 1, "height": self.height - 1, "rx": 10,
            "fill": PANEL, "stroke": "#d0d7de",
        }  # fmt: skip
        lines = [
            f"<svg {_attributes(attributes)}>",
            f"<title>{escape(title)}</title>",
            f"<desc>{escape(description)}</desc>",
            f"<rect {_attributes(panel)}/>",
            *self.parts,
            "</svg>",
        ]
        return "\n".join(lines) + "\n"


def _number(value):
    return f"{value:.1f}".removesuffix(".0") if isinstance(value, float) else str(value)


def _attributes(attributes):
    names = {name: name.replace("_", "-") for name in attributes}
    return " ".join(f'{names[k]}="{escape(_number(v))}"' for k, v in attributes.items())
