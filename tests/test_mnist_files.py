"""Lists of image files and folders of them, as people write them."""

import numpy as np
import pytest
import tensorflow as tf
from helpers import one_line
from PIL import Image

from tf_gen import mnist
from tf_gen.errors import UserError

pytestmark = pytest.mark.quick
rng = np.random.default_rng(0)


@pytest.fixture
def image_list(tmp_path):
    """The article's form: a text file of lines `path label`."""
    images = rng.integers(0, 256, [30, 28, 28], np.uint8)
    (tmp_path / "mnist images").mkdir()
    lines = []
    for i, image in enumerate(images):
        suffix, encode = (".png", tf.io.encode_png) if i else (".jpg", tf.io.encode_jpeg)
        name = f"mnist images/{i}{suffix}"
        (tmp_path / name).write_bytes(encode(image[..., None]).numpy())
        lines.append(f"{name} {i % 10}")
    path = tmp_path / "train_labels.txt"
    path.write_text("\n".join(lines) + "\n\n")
    return path, lines, images


def test_image_list(image_list):
    path, _, images = image_list
    source = mnist.load(str(path))
    assert source.name == "list"
    assert source.labels.tolist() == 2 * list(range(10))
    assert source.held_out_labels.tolist() == list(range(10))
    np.testing.assert_array_equal(source.images[1:], images[1:20])
    np.testing.assert_array_equal(source.held_out_images, images[20:])
    assert np.mean(np.abs(source.images[0] - np.float32(images[0]))) < 20  # a JPEG


# The same list as people write it: a function of path and label to a line, and what goes before.
FORMS = {
    "spaces": (lambda p, n: f"{p}   {n} ", ""),
    "tabs": (lambda p, n: f"{p}\t{n}", ""),
    "commas": (lambda p, n: f"{p},{n}", ""),
    "commas and spaces": (lambda p, n: f"{p}, {n}", ""),
    "semicolons": (lambda p, n: f"{p};{n}", ""),
    "header": (lambda p, n: f"{p},{n}", "path,label\n"),
    "header the other way": (lambda p, n: f"{n},{p}", "Label,Filename\n"),
    "header of three": (lambda p, n: f"7,{p},{n}", "id,image,class\n"),
    "header with tabs": (lambda p, n: f"{p}\t{n}", "file\tdigit\n"),
    "header with a space": (lambda p, n: f"{p} {n}", "path label\n"),
    "quotes": (lambda p, n: f'"{p}" {n}', ""),
    "single quotes": (lambda p, n: f"'{p}' {n}", ""),
    "quotes and commas": (lambda p, n: f'"{p}","{n}"', '"path","label"\n'),
    "backslashes": (lambda p, n: f"{p}".replace("/", "\\") + f" {n}", ""),
    "comments": (lambda p, n: f"{p} {n}  # a note", "# path label, 30 images\n\n#\n"),
    "dots": (lambda p, n: f"./{p} {n}", ""),
    "BOM": (lambda p, n: f"{p} {n}", "\ufeff"),
    "BOM and header": (lambda p, n: f"{p},{n}", "\ufeffpath,label\n"),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("end", "encoding"), [("\n", "utf-8"), ("\r\n", "utf-8"), ("\n", "utf-16")]
)
def test_a_list_may_be_written_in_many_ways(image_list, form, end, encoding):
    path, lines, _ = image_list
    expected = mnist.load(str(path)).sha256
    line, before = FORMS[form]
    text = before + "\n".join(line(*entry.rsplit(" ", 1)) for entry in lines)
    path.write_bytes(text.replace("\n", end).encode(encoding))
    assert mnist.load(str(path)).sha256 == expected


def test_a_list_may_have_absolute_paths_and_a_home(image_list, monkeypatch):
    path, lines, _ = image_list
    expected = mnist.load(str(path)).sha256
    monkeypatch.setenv("HOME", str(path.parent))
    lines[1::2] = [f"~/{line}" for line in lines[1::2]]
    lines[::2] = [f"{path.parent}/{line}" for line in lines[::2]]
    path.write_text("\n".join(lines))
    assert mnist.load(str(path)).sha256 == expected
    assert mnist.load(f"~/{path.name}").sha256 == expected


def test_a_hash_in_a_name_is_no_comment(image_list):
    path, lines, _ = image_list
    expected = mnist.load(str(path)).sha256
    (path.parent / "mnist images" / "1.png").rename(path.parent / "a#b.png")
    lines[1] = "a#b.png 1"
    path.write_text("\n".join(lines))
    assert mnist.load(str(path)).sha256 == expected


def test_labels_may_be_words(image_list):
    path, lines, _ = image_list
    words = ["ant", "bee", "Öre", "10", "2", "a b", "x", "y", "z", "_"]
    path.write_text("\n".join(f"{line[:-2]},{words[int(line[-1])]}" for line in lines))
    source = mnist.load(str(path))
    assert sorted(words) == list(source.classes)
    assert [source.class_name(label) for label in source.labels] == 2 * words


def test_numbers_beyond_ten_are_labels(image_list):
    path, lines, _ = image_list
    path.write_text("\n".join(f"{line[:-1]}{int(line[-1]) * 28}" for line in lines))
    source = mnist.load(str(path))
    assert source.labels.max() == 252
    assert source.class_name(252) == "252"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("missing.png 3", "missing.png"),
        ("mnist images/4.png", "path label"),
        ("4.png", "path label"),
        ("4.png,", "path label"),
        (",4", "path label"),
        ("a,b,4", "path label"),
        ("mnist images/4.png x", "path label"),
        ("mnist images/4.png 256", "path label"),
        ("mnist images/4.png -1", "path label"),
        ("mnist images/4.png 1.0", "path label"),
        ("small.png 3", "14x20 pixels, not 28x28; --resize"),
        ("torn.png 3", "no readable"),
        ("empty.png 3", "no readable"),
        ("mnist images 3", "mnist images"),
        ("mnist\0images 3", "null"),
    ],
)
def test_bad_line_is_refused_by_number(image_list, line, message):
    path, lines, images = image_list
    small = tf.io.encode_png(images[0, :20, :14, None]).numpy()
    (path.parent / "small.png").write_bytes(small)
    (path.parent / "torn.png").write_bytes(small[:60])
    (path.parent / "empty.png").write_bytes(b"")
    lines[6] = line
    path.write_text("\n".join(lines))
    with pytest.raises(UserError, match=r"train_labels\.txt, line 7: ") as error:
        mnist.load(str(path))
    assert one_line(str(error.value), message)


@pytest.mark.parametrize(
    "content",
    [b"", b"# nothing\n", b"\xff\xfe\x00binary", b"\x89PNG\r\n", b"a.png 1\n", b"path,label\n"],
)
def test_file_that_is_no_list_is_refused(tmp_path, content):
    path = tmp_path / "list.txt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"list\.txt"):
        mnist.load(str(path))


# ---- Folders ------------------------------------------------------------------------------------


def write_folders(directory, images, labels):
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        folder = directory / str(label)
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / f"{number:02}.png")


@pytest.fixture
def images():
    return rng.integers(0, 256, [30, 28, 28], np.uint8)


def test_folders_are_labels_and_each_is_split(tmp_path, images):
    write_folders(tmp_path, images, np.arange(30) % 10)
    source = mnist.load(str(tmp_path))
    assert (source.name, source.classes) == ("folders", ())
    assert source.labels.tolist() == [digit for digit in range(10) for _ in range(2)]
    np.testing.assert_array_equal(source.images[:4], images[[0, 10, 1, 11]])
    np.testing.assert_array_equal(source.held_out_images, images[20:])


@pytest.mark.parametrize(("train", "test"), [("train", "test"), ("Training", "val")])
def test_folders_may_have_two_parts(tmp_path, images, train, test):
    write_folders(tmp_path / train, images[:20], 2 * list("abcdefghij"))
    write_folders(tmp_path / test, images[20:], "abcdefghij")
    source = mnist.load(str(tmp_path))
    assert len(source.images) == 20
    assert "".join(source.classes) == "abcdefghij"
    np.testing.assert_array_equal(source.held_out_images, images[20:])
    assert len(mnist.load(str(tmp_path / train)).images) == 10


def test_a_train_folder_without_a_test_folder_is_split(tmp_path, images):
    write_folders(tmp_path / "train", images, np.arange(30) % 10)
    assert len(mnist.load(str(tmp_path)).held_out_images) == 10


def test_folders_may_have_other_files_and_images_of_other_kinds(tmp_path, images):
    write_folders(tmp_path, images, np.arange(30) % 10)
    expected = mnist.load(str(tmp_path)).sha256
    (tmp_path / ".DS_Store").touch()
    (tmp_path / "__MACOSX" / "0").mkdir(parents=True)
    (tmp_path / "LICENSE").touch()
    (tmp_path / "3" / "Thumbs.db").touch()
    (tmp_path / "3" / "._03.png").touch()
    for suffix in ("BMP", "webp", "tiff", "gif", "pgm"):
        path = tmp_path / "4" / "04.png"
        with Image.open(path) as image:
            options = {"lossless": True} if suffix == "webp" else {}
            image.save(path.with_suffix(f".{suffix}"), **options)
        path.unlink()
        source = mnist.load(str(tmp_path))
        assert source.sha256 == expected, suffix
        assert source.hint == "1 other files left out"
        with Image.open(path.with_suffix(f".{suffix}")) as image:
            image.convert("L").save(path)
        path.with_suffix(f".{suffix}").unlink()


def test_more_than_256_classes_are_refused(tmp_path):
    image = np.eye(28, dtype=np.uint8)
    write_folders(tmp_path, [image] * 514, np.arange(514) % 257)
    with pytest.raises(UserError, match="257 classes"):
        mnist.load(str(tmp_path))


def test_folders_have_one_background(tmp_path):
    for part, ink in (("train", 0), ("test", 255)):  # of which most are black
        for number in range(10 if part == "train" else 2):
            layers = np.full([28, 28, 4], ink, np.uint8)
            layers[..., 3] = rng.integers(0, 256, [28, 28])
            folder = tmp_path / part / str(number % 2)
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(layers).save(folder / f"{number}.png")
    with pytest.raises(UserError, match="all held-out images are blank"):
        mnist.load(str(tmp_path))


def test_a_test_folder_without_a_train_folder_is_refused(tmp_path, images):
    write_folders(tmp_path / "test", images, np.arange(30) % 10)
    with pytest.raises(UserError, match="no folder train beside it"):
        mnist.load(str(tmp_path))


@pytest.mark.parametrize(
    "inside", [[], ["a.png"], ["train/a.png"], ["0/a.txt"], ["train/0/a.txt"], ["0/1/a.png"]]
)
def test_a_directory_without_labelled_images_is_refused(tmp_path, inside):
    for name in inside:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    with pytest.raises(UserError) as error:
        mnist.load(str(tmp_path))
    assert one_line(str(error.value), "--data", str(tmp_path), "LABEL/NAME.png")


def test_a_bad_image_in_a_folder_is_named(tmp_path, images):
    write_folders(tmp_path, images, np.arange(30) % 10)
    (tmp_path / "3" / "03.png").write_bytes(b"")
    with pytest.raises(UserError) as error:
        mnist.load(str(tmp_path))
    assert one_line(str(error.value), str(tmp_path / "3" / "03.png"), "no readable image")
