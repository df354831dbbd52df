"""Sources of images, good and bad, and the order in which training sees them."""

import gzip
import hashlib
import http.server
import socket
import threading
import time
from typing import ClassVar

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from tf_gen import data
from tf_gen.cli import UserError

rng = np.random.default_rng(0)


# ---- Order --------------------------------------------------------------------------------------


def stream(batch_size, count, seed, steps):
    batch = tf.function(lambda step: data.examples_at(step, batch_size, count, seed))
    return np.concatenate([batch(tf.constant(step, tf.int64)) for step in steps])


@pytest.mark.parametrize(("batch_size", "count"), [(64, 4500), (7, 50), (64, 10), (1, 3), (5, 1)])
def test_each_epoch_holds_each_example_once(batch_size, count):
    epochs = 3
    rows = stream(batch_size, count, 0, range(-(-epochs * count // batch_size)))
    for epoch in np.split(rows[: epochs * count], epochs):
        assert sorted(epoch) == list(range(count))


@pytest.mark.parametrize("count", [500, 4500, 60000])
def test_orders_are_uncorrelated(count):
    """As those of independent permutations, whose correlations have standard deviation n^-1/2."""

    def correlation(a, b):
        return abs(np.corrcoef(a, b)[0, 1]) * np.sqrt(len(a))

    epochs = [stream(count, count, seed, [epoch]) for seed in (0, 1) for epoch in (0, 1, 2)]
    for i, order in enumerate(epochs):
        assert correlation(order, np.arange(count)) < 5
        assert correlation(order[:-1], order[1:]) < 5
        for other in epochs[:i]:
            assert correlation(order, other) < 5


def test_many_updates_at_once_use_the_same_examples():
    steps = tf.range(40, 60, dtype=tf.int64)
    block = data.examples_at(steps, 7, 50, 3)
    assert block.shape == (20, 7)
    np.testing.assert_array_equal(np.ravel(block), stream(7, 50, 3, range(40, 60)))


def test_blocks_begin_anywhere():
    def block(steps):
        assert steps.shape == (data.BLOCK,)
        return {"step": steps, "square": steps**2}

    for start in (0, 1, 99, 100, 250):
        rows = list(data.in_blocks(block, start).take(120).as_numpy_iterator())
        assert [row["step"] for row in rows] == list(range(start, start + 120))
        assert all(row["square"] == row["step"] ** 2 for row in rows)


def test_noise_seeds_differ():
    seeds = {
        tuple(data.noise_seed(tf.constant(step, tf.int64), seed).numpy())
        for step in range(100)
        for seed in range(3)
    }
    assert len(seeds) == 300


# ---- Sources ------------------------------------------------------------------------------------


def test_bundled_is_balanced_and_fixed(bundled):
    assert bundled.images.shape == (4500, 28, 28)
    assert bundled.images.dtype == np.uint8
    assert np.bincount(bundled.labels).tolist() == [450] * 10
    assert np.bincount(bundled.held_out_labels).tolist() == [50] * 10
    assert bundled.images.max() == 255
    everything = np.concatenate([bundled.images, bundled.held_out_images]).reshape(5000, -1)
    assert len(np.unique(everything, axis=0)) > 4990
    assert data.load("bundled").sha256 == bundled.sha256


def test_hash_depends_on_every_part(bundled):
    parts = [bundled.images, bundled.labels, bundled.held_out_images, bundled.held_out_labels]
    hashes = {bundled.sha256}
    for i in range(4):
        changed = [part.copy() for part in parts]
        changed[i].flat[0] ^= 1
        hashes.add(data.Source("", *changed).sha256)
    assert len(hashes) == 5


def test_auto_without_network_is_bundled_and_says_how_to_get_more(monkeypatch, bundled):
    monkeypatch.setattr(data, "_is_prepared", lambda builder: False)
    monkeypatch.setattr(data, "_answers", lambda url: False)
    source = data.load("auto")
    assert source.sha256 == bundled.sha256
    line = str(source)
    assert "\n" not in line
    for word in ("bundled", "4,500", "500", "70,000", "--data DIRECTORY"):
        assert word in line


def test_tfds_without_network_or_copy_is_refused(monkeypatch):
    monkeypatch.setattr(data, "_is_prepared", lambda builder: False)
    monkeypatch.setattr(data, "_answers", lambda url: False)
    with pytest.raises(UserError, match="does not answer"):
        data.load("tfds")


def test_auto_falls_back_when_the_download_breaks(monkeypatch, bundled):
    def broken(builder):
        raise ConnectionError("cut off\nin the middle")

    monkeypatch.setattr(data, "_is_prepared", lambda builder: False)
    monkeypatch.setattr(data, "_answers", lambda url: True)
    monkeypatch.setattr(data, "_download", broken)
    source = data.load("auto")
    assert source.sha256 == bundled.sha256
    assert "cut off" in source.hint
    with pytest.raises(UserError, match=r"the download failed: cut off$"):
        data.load("tfds")


@pytest.mark.parametrize("spec", ["tfds", "auto"])
def test_prepared_copy_is_used(monkeypatch, spec):
    monkeypatch.setattr(data, "_is_prepared", lambda builder: True)
    with tfds.testing.mock_data(num_examples=30):
        source = data.load(spec)
    assert source.name == "tfds"
    assert source.images.shape == (30, 28, 28)
    assert source.held_out_labels.dtype == np.uint8


class Files(http.server.BaseHTTPRequestHandler):
    """Serves what is in `files`; where the content is None, falls silent in the middle of it."""

    files: ClassVar = {}

    def do_HEAD(self):
        self.send_response(200)
        self.end_headers()

    def do_GET(self):
        content = self.files[self.path.strip("/")]
        self.send_response(200)
        self.send_header("Content-Length", str(len(content or b"12345")))
        self.end_headers()
        if content is None:
            time.sleep(3)
        else:
            self.wfile.write(content)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def download_host(monkeypatch, tmp_path):
    """A local host in the place of the real one, and an empty directory for prepared copies."""
    monkeypatch.setattr(data, "SILENCE_SECONDS", 0.5)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Files) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        builder = tfds.builder("mnist", data_dir=tmp_path / "tfds")
        monkeypatch.setattr(type(builder), "URL", url)
        monkeypatch.setattr(tfds, "builder", lambda name: builder)
        yield tmp_path / "tfds"
        server.shutdown()


def test_a_download_that_falls_silent_is_given_up(download_host, monkeypatch, bundled):
    monkeypatch.setattr(Files, "files", dict.fromkeys(f"{n}.gz" for n in data.MNIST_SHA256))
    with pytest.raises(UserError, match=r"the download failed.*timed out"):
        data.load("tfds")
    assert data.load("auto").sha256 == bundled.sha256


def test_a_download_of_something_else_is_refused(download_host, idx_files, monkeypatch):
    directory, _ = idx_files
    files = {path.name: path.read_bytes() for path in directory.glob("*.gz")}
    monkeypatch.setattr(Files, "files", files)
    with pytest.raises(UserError, match="is not MNIST's file"):
        data.load("tfds")
    files["train-images-idx3-ubyte.gz"] = b"<html>"
    with pytest.raises(UserError, match="the download failed"):
        data.load("tfds")
    assert not download_host.exists()


def test_probe_gives_up_on_a_host_that_is_silent():
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert not data._answers(f"http://127.0.0.1:{server.getsockname()[1]}/")


@pytest.mark.parametrize(("status", "expected"), [(200, True), (403, False)])
def test_probe_asks_for_the_file(status, expected):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_response(status)
            self.end_headers()

        def log_message(self, *arguments):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        assert data._answers(f"http://127.0.0.1:{server.server_port}/") is expected
        server.shutdown()


# ---- IDX files ----------------------------------------------------------------------------------


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


@pytest.mark.parametrize("raw", [False, True])
def test_idx_directory(idx_files, raw):
    directory, arrays = idx_files
    if raw:
        for path in list(directory.iterdir()):
            path.with_suffix("").write_bytes(gzip.decompress(path.read_bytes()))
            path.unlink()
    source = data.load(str(directory))
    assert source.name == "custom"
    np.testing.assert_array_equal(source.images, arrays["train-images-idx3-ubyte"])
    np.testing.assert_array_equal(source.labels, arrays["train-labels-idx1-ubyte"])
    np.testing.assert_array_equal(source.held_out_images, arrays["t10k-images-idx3-ubyte"])
    np.testing.assert_array_equal(source.held_out_labels, arrays["t10k-labels-idx1-ubyte"])


def test_original_files_are_recognised_by_their_hash(idx_files, monkeypatch):
    directory, arrays = idx_files
    hashes = {name: hashlib.sha256(idx(array)).hexdigest() for name, array in arrays.items()}
    monkeypatch.setattr(data, "MNIST_SHA256", hashes)
    assert data.load(str(directory)).name == "mnist"
    for name, array in arrays.items():
        changed = array.copy()
        changed.flat[-1] ^= 1
        (directory / f"{name}.gz").write_bytes(gzip.compress(idx(changed)))
        assert data.load(str(directory)).name == "custom"
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
        data.load(str(directory))
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
            source = data.load(str(directory))
        except UserError:
            continue
        np.testing.assert_array_equal(source.held_out_labels, arrays["t10k-labels-idx1-ubyte"])


# ---- Lists of images ----------------------------------------------------------------------------


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
    source = data.load(str(path))
    held_out = np.arange(30) % 10 == 9
    np.testing.assert_array_equal(source.images[1:], images[~held_out][1:])
    np.testing.assert_array_equal(source.held_out_images, images[held_out])
    assert source.labels.tolist() == (np.arange(30) % 10)[~held_out].tolist()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("missing.png 3", "missing.png"),
        ("mnist images/4.png", "path label"),
        ("mnist images/4.png x", "path label"),
        ("mnist images/4.png 256", "path label"),
        ("mnist images/4.png -1", "path label"),
        ("small.png 3", "14x20 pixels"),
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
    with pytest.raises(UserError, match="line 7") as error:
        data.load(str(path))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00binary", b"a.png 1\n"])
def test_file_that_is_no_list_is_refused(tmp_path, content):
    path = tmp_path / "list.txt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"list\.txt"):
        data.load(str(path))


def test_spec_that_is_nothing_is_refused(tmp_path):
    with pytest.raises(UserError, match="neither auto, tfds, bundled"):
        data.load(str(tmp_path / "nothing"))
