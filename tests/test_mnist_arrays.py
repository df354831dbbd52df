"""IDX files and .npz, good and bad."""

import gzip
import hashlib

import numpy as np
import pytest
from helpers import one_line

from tf_gen import mnist
from tf_gen.errors import UserError
from tf_gen.mnist import arrays as module

pytestmark = pytest.mark.quick
rng = np.random.default_rng(0)


def idx(array):
    header = [0x0800 + array.ndim, *array.shape]
    return np.array(header, ">i4").tobytes() + array.tobytes()


@pytest.fixture
def idx_files(tmp_path):
    """Small data in the form of MNIST: a directory, and what is in its files."""
    arrays = {
        "train-images-idx3-ubyte": rng.integers(0, 256, [20, 28, 28], np.uint8),
        "train-labels-idx1-ubyte": rng.integers(0, 10, [20], np.uint8),
        "t10k-images-idx3-ubyte": rng.integers(0, 256, [5, 28, 28], np.uint8),
        "t10k-labels-idx1-ubyte": rng.integers(0, 10, [5], np.uint8),
    }
    for name, array in arrays.items():
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(idx(array)))
    return tmp_path, arrays


def assert_same(source, arrays):
    np.testing.assert_array_equal(source.images, arrays["train-images-idx3-ubyte"])
    np.testing.assert_array_equal(source.labels, arrays["train-labels-idx1-ubyte"])
    np.testing.assert_array_equal(source.held_out_images, arrays["t10k-images-idx3-ubyte"])
    np.testing.assert_array_equal(source.held_out_labels, arrays["t10k-labels-idx1-ubyte"])
    for array in (source.images, source.labels, source.held_out_images, source.held_out_labels):
        assert array.dtype == np.uint8


def members(content):
    return gzip.compress(content[:50]) + gzip.compress(content[50:])


# Names and contents of the four files as people have them, made of MNIST's name and bytes.
FORMS = {
    "compressed": lambda name, content: (f"{name}.gz", gzip.compress(content)),
    "raw": lambda name, content: (name, content),
    "dotted": lambda name, content: (name.replace("-idx", ".idx"), content),
    "raw named gz": lambda name, content: (f"{name}.gz", content),
    "compressed without gz": lambda name, content: (name, gzip.compress(content)),
    "upper case": lambda name, content: (f"{name.upper()}.GZ", gzip.compress(content)),
    "rubbish behind": lambda name, content: (f"{name}.gz", gzip.compress(content) + b"\0\0more"),
    "several members": lambda name, content: (f"{name}.gz", members(content)),
    "test for t10k": lambda name, content: (f"{name.replace('t10k', 'test')}", content),
    "with a prefix": lambda name, content: (f"my-{name}.gz", gzip.compress(content)),
}


@pytest.mark.parametrize("form", FORMS)
def test_idx_files_are_known_by_their_content(tmp_path, idx_files, form):
    _, arrays = idx_files
    directory = tmp_path / "form"
    directory.mkdir()
    for name, array in arrays.items():
        name, content = FORMS[form](name, idx(array))
        (directory / name).write_bytes(content)
    (directory / "README.txt").write_text("labels of train images")
    source = mnist.load(str(directory))
    assert source.name == "custom"
    assert_same(source, arrays)


def test_of_a_raw_file_and_a_compressed_one_the_raw_is_read(idx_files):
    directory, arrays = idx_files
    path = directory / "train-labels-idx1-ubyte"
    arrays[path.name] = (arrays[path.name] + 1) % 10
    path.write_bytes(idx(arrays[path.name]))
    assert_same(mnist.load(str(directory)), arrays)


def test_labels_of_qmnist_are_the_first_of_eight_numbers(idx_files):
    directory, arrays = idx_files
    for part in ("train", "t10k"):
        labels = arrays[f"{part}-labels-idx1-ubyte"]
        table = np.concatenate([labels[:, None], rng.integers(0, 9999, [len(labels), 7])], axis=1)
        header = bytes([0, 0, 0x0C, 2]) + np.array(table.shape, ">i4").tobytes()
        name = f"{part}-labels-idx2-int.gz"
        (directory / name).write_bytes(gzip.compress(header + table.astype(">i4").tobytes()))
        (directory / f"{part}-labels-idx1-ubyte.gz").unlink()
    assert_same(mnist.load(str(directory)), arrays)


def test_images_of_emnist_are_turned_upright(idx_files):
    directory, arrays = idx_files
    for path in directory.glob("*images*"):
        content = idx(arrays[path.stem].transpose(0, 2, 1).copy())
        (directory / f"emnist-letters-{path.name}").write_bytes(gzip.compress(content))
        path.unlink()
    for path in directory.glob("*labels*"):
        path.rename(directory / f"emnist-letters-{path.name}")
    assert_same(mnist.load(str(directory)), arrays)


def test_two_sets_in_a_directory_are_refused(idx_files):
    directory, _ = idx_files
    for path in list(directory.iterdir()):
        (directory / f"emnist-letters-{path.name}").write_bytes(path.read_bytes())
    with pytest.raises(UserError, match=r"several sets \(\*, emnist-letters-\*\)"):
        mnist.load(str(directory))


@pytest.mark.parametrize("page", [b"<!DOCTYPE html><p>", b" \n<HTML lang='en'>"])
def test_an_html_page_is_called_one(idx_files, page):
    directory, _ = idx_files
    for content in (page, gzip.compress(page)):
        (directory / "train-images-idx3-ubyte.gz").write_bytes(content)
        with pytest.raises(UserError, match=r"train-images-idx3-ubyte\.gz: an HTML page"):
            mnist.load(str(directory))


def test_images_of_another_size_name_the_flag_that_scales_them(idx_files):
    directory, arrays = idx_files
    for part in ("train", "t10k"):
        small = arrays[f"{part}-images-idx3-ubyte"][:, ::2, ::2].copy()
        (directory / f"{part}-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(small)))
    with pytest.raises(UserError, match="14x14 pixels, not 28x28; --resize"):
        mnist.load(str(directory))
    assert mnist.load(str(directory), resize=True).images.shape == (20, 28, 28)


def test_original_files_are_recognised_by_their_hash(idx_files, monkeypatch):
    directory, arrays = idx_files
    hashes = {name: hashlib.sha256(idx(array)).hexdigest() for name, array in arrays.items()}
    monkeypatch.setattr(module, "MNIST_SHA256", hashes)
    assert mnist.load(str(directory)).name == "mnist"
    for name, array in arrays.items():
        changed = array.copy()
        changed.flat[-1] ^= 1
        (directory / f"{name}.gz").write_bytes(gzip.compress(idx(changed)))
        assert mnist.load(str(directory)).name == "custom"
        (directory / f"{name}.gz").write_bytes(gzip.compress(idx(array)))


def damage_truncate(path):
    path.write_bytes(path.read_bytes()[:-20])


def damage_flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def damage_empty(path):
    path.write_bytes(b"")


def damage_remove(path):
    path.unlink()


def damage_magic(path):
    path.write_bytes(gzip.compress(b"\0\0\x08\x02" + gzip.decompress(path.read_bytes())[4:]))


def damage_length(path):
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()) + b"x"))


def damage_header(path):
    path.write_bytes(gzip.compress(b"\0\0\x08"))


def damage_count(path):
    content = gzip.decompress(path.read_bytes())
    array = np.frombuffer(content[16 if b"\x08\x03" in content[:4] else 8 :], np.uint8)
    array = array.reshape(-1, 28, 28) if b"\x08\x03" in content[:4] else array
    path.write_bytes(gzip.compress(idx(array[:-1])))


def damage_shape(path):
    path.write_bytes(gzip.compress(idx(np.zeros([20, 27, 28], np.uint8))))


DAMAGES = [value for name, value in sorted(globals().items()) if name.startswith("damage_")]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("name", ["train-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"])
def test_damaged_idx_files_are_refused_by_name(idx_files, damage, name):
    directory, _ = idx_files
    damage(directory / name)
    with pytest.raises(UserError) as error:
        mnist.load(str(directory))
    message = str(error.value)
    assert "\n" not in message
    part = name.partition("-")[0]
    assert part in message


def test_every_flipped_bit_is_noticed_or_harmless(idx_files):
    directory, arrays = idx_files
    path = directory / "t10k-labels-idx1-ubyte.gz"
    whole = path.read_bytes()
    for position in range(8 * len(whole)):
        content = bytearray(whole)
        content[position // 8] ^= 1 << position % 8
        path.write_bytes(content)
        try:
            source = mnist.load(str(directory))
        except UserError:
            continue
        np.testing.assert_array_equal(source.held_out_labels, arrays["t10k-labels-idx1-ubyte"])


# ---- .npz ---------------------------------------------------------------------------------------


@pytest.fixture
def keras_arrays():
    """What Keras's mnist.npz has, but small."""
    return {
        "x_train": rng.integers(0, 256, [20, 28, 28], np.uint8),
        "y_train": np.arange(20, dtype=np.uint8) % 10,
        "x_test": rng.integers(0, 256, [5, 28, 28], np.uint8),
        "y_test": np.arange(5, dtype=np.uint8),
    }


NPZ_FORMS = {
    "bytes": lambda x, y: (x, y),
    "a channel": lambda x, y: (x[..., None], y[:, None].astype(np.int64)),
    "unit floats": lambda x, y: (np.float32(x) / 255, y.astype(np.int32)),
    "floats": lambda x, y: (np.float64(x), y),
}


@pytest.mark.parametrize("form", NPZ_FORMS)
@pytest.mark.parametrize("name", ["mnist.npz", "renamed"])
def test_npz_as_keras_keeps_it(tmp_path, keras_arrays, form, name):
    made = {}
    for part in ("train", "test"):
        pair = NPZ_FORMS[form](keras_arrays[f"x_{part}"], keras_arrays[f"y_{part}"])
        made[f"x_{part}"], made[f"y_{part}"] = pair
    with (tmp_path / name).open("wb") as file:
        np.savez_compressed(file, **made)
    source = mnist.load(str(tmp_path / name))
    assert (source.name, source.hint) == ("npz", "")
    np.testing.assert_array_equal(source.images, keras_arrays["x_train"])
    np.testing.assert_array_equal(source.held_out_labels, keras_arrays["y_test"])


def test_npz_of_colours_becomes_luminance(tmp_path, keras_arrays):
    for part in ("train", "test"):
        images = rng.integers(0, 256, [len(keras_arrays[f"y_{part}"]), 28, 28, 3], np.uint8)
        keras_arrays[f"x_{part}"] = images
    np.savez(tmp_path / "a.npz", **keras_arrays)
    source = mnist.load(str(tmp_path / "a.npz"))
    expected = keras_arrays["x_train"] @ np.array([0.299, 0.587, 0.114])
    assert np.abs(source.images - expected).max() <= 0.501
    assert source.hint == "colours became their luminance"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"y_test": None}, ["no y_test", "x_train, y_train, x_test"]),
        ({"x_train": np.zeros([20, 28, 28], np.uint8)}, ["images to train are blank"]),
        ({"x_train": np.ones([20, 784], np.uint8)}, ["x_train", "(20, 784)"]),
        ({"x_train": np.full([20, 28, 28], -1.0)}, ["x_train", "float64"]),
        ({"x_train": np.full([20, 28, 28], np.nan)}, ["x_train", "float64"]),
        ({"x_train": np.full([20, 28, 28], "a")}, ["x_train", "<U1"]),
        ({"x_train": np.zeros([20, 32, 32], np.uint8)}, ["32x32 pixels", "--resize"]),
        ({"y_train": np.zeros([20, 10], np.uint8)}, ["y_train", "(20, 10)"]),
        ({"y_train": np.full([20], 256)}, ["y_train", "from 0 to 255"]),
        ({"y_train": np.zeros([19], np.uint8)}, ["19 labels for 20 images"]),
        ({"y_train": np.array([{}] * 20)}, ["a.npz: damaged"]),
    ],
)
def test_bad_npz_is_refused(tmp_path, keras_arrays, changes, words):
    arrays = {key: value for key, value in {**keras_arrays, **changes}.items() if value is not None}
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(UserError) as error:
        mnist.load(str(tmp_path / "a.npz"))
    assert one_line(str(error.value), *words)


def test_damaged_npz_is_refused_or_harmless(tmp_path, keras_arrays):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, **keras_arrays)
    whole, sha256 = path.read_bytes(), mnist.load(str(path)).sha256
    refused = 0
    for position in rng.integers(0, 8 * len(whole), 200):
        content = bytearray(whole)
        content[position // 8] ^= 1 << position % 8
        path.write_bytes(content)
        try:
            assert mnist.load(str(path)).sha256 == sha256
        except UserError as error:
            refused += 1
            assert one_line(str(error))
    assert refused > 100
