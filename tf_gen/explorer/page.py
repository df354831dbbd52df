"""The page as one file: the template with its style, scripts and content filled in.

The page must not load anything from outside, and only its own scripts may run. So the content
security policy allows only the style and script with the hashes below. The content is JSON without
`<`, so it cannot close its element, and the scripts insert its text only as text.
"""

import base64
import hashlib
import html
import json
import re
from pathlib import Path

import numpy as np

from tf_gen.errors import UserError

HERE = Path(__file__).parent
SCRIPTS = ("words.js", "network.js", "draw.js", "digits.js", "line.js", "app.js")


def fill(content):
    """The page with `content`, a dict for JSON that may hold NumPy arrays: a string of HTML."""
    style = (HERE / "style.css").read_text(encoding="utf-8")
    script = "\n".join((HERE / name).read_text(encoding="utf-8") for name in SCRIPTS)
    policy = (
        f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; "
        "base-uri 'none'; form-action 'none'"
    )
    try:
        model = json.dumps(_plain(content), separators=(",", ":"), allow_nan=False)
    except ValueError as error:
        raise UserError(f"{content['name']}: a setting is not finite") from error
    parts = {
        "<!--CSP-->": f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        "<!--TITLE-->": html.escape(content["name"]),
        "/*STYLE*/": style,
        "/*SCRIPT*/": script,
        "/*MODEL*/": model.replace("<", "\\u003c"),
    }
    page = (HERE / "page.html").read_text(encoding="utf-8")
    # All at once, since a name could look like one of the places.
    places = "|".join(map(re.escape, parts))
    return re.sub(places, lambda place: parts[place[0]], page)


def _hash(text):
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _plain(value):
    """Convert `value` for JSON; an array becomes {"shape", "type", "data"}, with base64 data."""
    if isinstance(value, np.ndarray):
        name, kind = ("u8", "<u1") if value.dtype == np.uint8 else ("f32", "<f4")
        return {"shape": list(value.shape), "type": name, "data": _base64(value.astype(kind))}
    if isinstance(value, dict):
        if "integers" in value:
            return _rounded_layer(value)
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.item() if isinstance(value, np.generic) else value


def _rounded_layer(step):
    """A dense step whose kernel is stored as integers of few bits and a scale for each row."""
    rest = {k: v for k, v in step.items() if k not in ("kernel", "integers", "scale", "bits")}
    kernel = {
        "shape": list(step["kernel"].shape),
        "type": "integers",
        "bits": step["bits"],
        "scale": _plain(step["scale"]),
        "data": _base64(_without_gaps(step["integers"], step["bits"])),
    }
    return {**_plain(rest), "kernel": kernel}


def _without_gaps(integers, bits):
    """The lowest `bits` bits of the integers, packed without gaps into bytes: uint8 [n]."""
    each = (integers.reshape(-1, 1) >> np.arange(bits) & 1).astype(np.uint8)
    return np.packbits(each, bitorder="little")


def _base64(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
