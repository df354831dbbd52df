"""A list of images, folders and IDX files, damaged 300 times each: refused in a line, or the same.

What a list says cannot be checked against anything, so a list that was changed may be read as what
it says now. Its source then has another SHA-256, and no run goes on with it.
"""

import gzip

import numpy as np
import pytest
from helpers import one_line
from PIL import Image

from tf_gen import mnist
from tf_gen.errors import UserError

pytestmark = pytest.mark.slow
COUNT = 300


def damaged(path, rng):
    """Flip a bit of a file, cut it off, or delete it; return its bytes as they were."""
    whole = path.read_bytes()
    kind = rng.choice(["flip", "truncate", "delete"], p=[0.6, 0.3, 0.1])
    if kind == "delete":
        path.unlink()
    elif kind == "truncate":
        path.write_bytes(whole[: rng.integers(len(whole))])
    else:
        content = bytearray(whole)
        position = rng.integers(8 * len(whole))
        content[position // 8] ^= 1 << position % 8
        path.write_bytes(content)
    return whole


def as_list(directory, images):
    lines = []
    for number, image in enumerate(images):
        Image.fromarray(image).save(directory / f"{number}.png")
        lines.append(f"{number}.png {number % 10}\n")
    (directory / "list.txt").write_text("".join(lines))
    return directory / "list.txt"


def as_folders(directory, images):
    for number, image in enumerate(images):
        (directory / f"{number % 10}").mkdir(exist_ok=True)
        Image.fromarray(image).save(directory / f"{number % 10}" / f"{number}.png")
    return directory


def as_idx(directory, images):
    for part, rows in (("train", images[:20]), ("t10k", images[20:])):
        header = np.array([0x803, *rows.shape], ">i4").tobytes()
        content = gzip.compress(header + rows.tobytes())
        (directory / f"{part}-images-idx3-ubyte.gz").write_bytes(content)
        header = np.array([0x801, len(rows)], ">i4").tobytes()
        labels = np.arange(len(rows), dtype=np.uint8) % 10
        content = gzip.compress(header + labels.tobytes())
        (directory / f"{part}-labels-idx1-ubyte.gz").write_bytes(content)
    return directory


@pytest.mark.parametrize("form", [as_list, as_folders, as_idx])
def test_damaged_images_are_refused_in_a_line_or_the_same(tmp_path, bundled, form):
    rng = np.random.default_rng(0)
    spec = form(tmp_path, bundled.images[::150])
    expected = mnist.load(str(spec))
    files = sorted(path for path in tmp_path.rglob("*") if path.is_file())
    answers = {"refused": 0, "same": 0, "other": 0}
    for _ in range(COUNT):
        path = files[rng.integers(len(files))]
        whole = damaged(path, rng)
        try:
            source = mnist.load(str(spec))
        except UserError as error:
            assert one_line(str(error), "--data")
            answers["refused"] += 1
        else:
            answers["same" if source.sha256 == expected.sha256 else "other"] += 1
            if source.sha256 != expected.sha256:
                assert path.name == "list.txt" or not path.exists(), path
        path.write_bytes(whole)
    print(form.__name__, answers)
    assert answers["refused"] > COUNT / 2
