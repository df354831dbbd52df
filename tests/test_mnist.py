"""Sources of images, good and bad."""

import contextlib
import gzip
import hashlib
import http.server
import socket
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

from tf_gen import mnist
from tf_gen.errors import UserError

pytestmark = pytest.mark.quick
rng = np.random.default_rng(0)


# ---- Sources ------------------------------------------------------------------------------------


def test_bundled_is_balanced_and_fixed(bundled):
    assert bundled.images.shape == (4500, 28, 28)
    assert bundled.images.dtype == np.uint8
    assert np.bincount(bundled.labels).tolist() == [450] * 10
    assert np.bincount(bundled.held_out_labels).tolist() == [50] * 10
    assert bundled.images.max() == 255
    everything = np.concatenate([bundled.images, bundled.held_out_images]).reshape(5000, -1)
    assert len(np.unique(everything, axis=0)) > 4990
    assert mnist.load("bundled").sha256 == bundled.sha256


def test_hash_depends_on_every_part(bundled):
    parts = [bundled.images, bundled.labels, bundled.held_out_images, bundled.held_out_labels]
    hashes = {bundled.sha256}
    for i in range(4):
        changed = [part.copy() for part in parts]
        changed[i].flat[0] ^= 1
        hashes.add(mnist.Source("", *changed).sha256)
    assert len(hashes) == 5


def test_evenly_takes_from_everywhere():
    rows = np.arange(100)
    assert mnist.evenly(rows, 4).tolist() == [0, 33, 66, 99]
    assert mnist.evenly(rows, 1).tolist() == [0]
    for count in (100, 1000):
        assert mnist.evenly(rows, count).tolist() == rows.tolist()


# ---- TensorFlow Datasets ------------------------------------------------------------------------


class Host:
    """A local host in the place of the real one.

    Attributes:
        files: what it has, a dict of names to bytes, or None: it falls silent in the middle.
        status: its answer to HEAD.
        asked: the requests, pairs of method and name.
    """

    def __init__(self):
        self.files, self.status, self.asked = {}, 200, []

    @contextlib.contextmanager
    def serving(self):
        """Yield its URL."""
        host = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_HEAD(self):
                host.asked.append(("HEAD", self.path.strip("/")))
                self.send_response(host.status)
                self.end_headers()

            def do_GET(self):
                name = self.path.strip("/")
                host.asked.append(("GET", name))
                if name not in host.files:
                    self.send_error(404)
                    return
                content = host.files[name]
                self.send_response(200)
                self.send_header("Content-Length", str(len(content or b"12345")))
                self.end_headers()
                if content is None:
                    time.sleep(3)
                else:
                    self.wfile.write(content)

            def log_message(self, *arguments):
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
            yield f"http://127.0.0.1:{server.server_port}/"
            server.shutdown()


@pytest.fixture
def data_dir(monkeypatch, tmp_path):
    """An empty directory in the place of the one where prepared copies are, and a dead host."""
    builder = tfds.builder
    monkeypatch.setattr(tfds, "builder", lambda name: builder(name, data_dir=tmp_path / "tfds"))
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
    point_to(url, monkeypatch)  # where nobody listens any more
    return tmp_path / "tfds"


@pytest.fixture
def host(monkeypatch, data_dir):
    """A host that answers."""
    monkeypatch.setattr(mnist, "SILENCE_SECONDS", 0.5)
    host = Host()
    with host.serving() as url:
        point_to(url, monkeypatch)
        yield host


def point_to(url, monkeypatch):
    """Let TensorFlow Datasets look for MNIST at `url`."""
    monkeypatch.setattr(type(tfds.builder("mnist")), "URL", url)


def prepare(data_dir):
    """Put a small copy there as TensorFlow Datasets does: its images and labels, by split."""
    builder = tfds.builder("mnist")
    arrays = {}
    for split, count in (("train", 30), ("test", 5)):
        images = rng.integers(0, 256, [count, 28, 28, 1], np.uint8)
        arrays[split] = {"image": images, "label": np.arange(count) % 10}
    tfds.dataset_builders.store_as_tfds_dataset(
        name="mnist",
        version=str(builder.version),
        features=builder.info.features,
        split_datasets={k: tf.data.Dataset.from_tensor_slices(v) for k, v in arrays.items()},
        data_dir=data_dir,
    )
    return arrays


def test_auto_without_network_is_bundled_and_says_how_to_get_more(data_dir, bundled):
    source = mnist.load("auto")
    assert source.sha256 == bundled.sha256
    line = str(source)
    assert "\n" not in line
    for word in ("bundled", "4,500", "500", "70,000", "does not answer", "--data DIRECTORY"):
        assert word in line
    assert not data_dir.exists()


def test_tfds_without_network_or_copy_is_refused(data_dir):
    with pytest.raises(UserError, match=r"no prepared copy in .* does not answer"):
        mnist.load("tfds")


def test_auto_falls_back_when_the_download_breaks(host, idx_files, monkeypatch, bundled):
    directory, arrays = idx_files
    host.files = {path.name: path.read_bytes() for path in directory.glob("*.gz")}
    hashes = {name: hashlib.sha256(idx(array)).hexdigest() for name, array in arrays.items()}
    monkeypatch.setattr(mnist, "MNIST_SHA256", hashes)
    found = []

    def broken(builder, download_config):
        for path in Path(download_config.manual_dir).iterdir():
            found.append(path.name)
            assert path.read_bytes() == host.files[path.name]
        raise ConnectionError("cut off\nin the middle")

    builder = type(tfds.builder("mnist"))
    monkeypatch.setattr(builder, "download_and_prepare", broken)
    source = mnist.load("auto")
    assert sorted(found) == sorted(host.files)
    assert source.sha256 == bundled.sha256
    assert "cut off" in source.hint
    with pytest.raises(UserError, match=r"the download failed: cut off$"):
        mnist.load("tfds")


@pytest.mark.parametrize("spec", ["tfds", "auto"])
def test_prepared_copy_is_used(data_dir, spec):
    arrays = prepare(data_dir)
    source = mnist.load(spec)
    assert source.name == "tfds"
    for split, images, labels in [
        ("train", source.images, source.labels),
        ("test", source.held_out_images, source.held_out_labels),
    ]:
        assert images.dtype == labels.dtype == np.uint8
        order = np.lexsort(arrays[split]["image"].reshape(len(images), -1).T)  # it shuffles
        found = np.lexsort(images.reshape(len(images), -1).T)
        np.testing.assert_array_equal(images[found], arrays[split]["image"][order][..., 0])
        np.testing.assert_array_equal(labels[found], arrays[split]["label"][order])


def test_damaged_copy_is_refused_by_its_directory(data_dir):
    prepare(data_dir)
    (path,) = data_dir.rglob("*train.tfrecord*")
    path.write_bytes(path.read_bytes()[:-100])
    for spec in ("tfds", "auto"):
        with pytest.raises(UserError, match="cannot be read") as error:
            mnist.load(spec)
        assert str(path.parent) in str(error.value)
        assert "\n" not in str(error.value)


def test_a_download_that_falls_silent_is_given_up(host, bundled):
    host.files = dict.fromkeys(f"{name}.gz" for name in mnist.MNIST_SHA256)
    with pytest.raises(UserError, match=r"the download failed.*timed out"):
        mnist.load("tfds")
    assert mnist.load("auto").sha256 == bundled.sha256


def test_a_download_of_something_else_is_refused(host, data_dir, idx_files):
    directory, _ = idx_files
    host.files = {path.name: path.read_bytes() for path in directory.glob("*.gz")}
    with pytest.raises(UserError, match="is not MNIST's file"):
        mnist.load("tfds")
    host.files["train-images-idx3-ubyte.gz"] = b"<html>"
    with pytest.raises(UserError, match="the download failed"):
        mnist.load("tfds")
    assert not data_dir.exists()


@pytest.mark.usefixtures("data_dir")
def test_probe_gives_up_on_a_host_that_is_silent(monkeypatch):
    monkeypatch.setattr(mnist, "PROBE_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        point_to(f"http://127.0.0.1:{server.getsockname()[1]}/", monkeypatch)
        begin = time.monotonic()
        with pytest.raises(UserError, match="does not answer"):
            mnist.load("tfds")
        assert 0.4 < time.monotonic() - begin < 2


@pytest.mark.usefixtures("data_dir")
def test_probe_gives_up_on_a_name_that_nobody_looks_up(monkeypatch):
    monkeypatch.setattr(mnist, "PROBE_SECONDS", 0.2)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *arguments, **more: time.sleep(3) or [])
    begin = time.monotonic()
    with pytest.raises(UserError, match="does not answer"):
        mnist.load("tfds")
    assert time.monotonic() - begin < 2


@pytest.mark.parametrize(
    ("status", "message"), [(200, "download failed"), (204, "not answer"), (403, "not answer")]
)
def test_probe_asks_for_the_file(host, status, message):
    host.status = status
    with pytest.raises(UserError, match=message):
        mnist.load("tfds")
    assert host.asked[0] == ("HEAD", "train-labels-idx1-ubyte.gz")
    assert (len(host.asked) > 1) == (status == 200)


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
    source = mnist.load(str(directory))
    assert source.name == "custom"
    np.testing.assert_array_equal(source.images, arrays["train-images-idx3-ubyte"])
    np.testing.assert_array_equal(source.labels, arrays["train-labels-idx1-ubyte"])
    np.testing.assert_array_equal(source.held_out_images, arrays["t10k-images-idx3-ubyte"])
    np.testing.assert_array_equal(source.held_out_labels, arrays["t10k-labels-idx1-ubyte"])


def test_original_files_are_recognised_by_their_hash(idx_files, monkeypatch):
    directory, arrays = idx_files
    hashes = {name: hashlib.sha256(idx(array)).hexdigest() for name, array in arrays.items()}
    monkeypatch.setattr(mnist, "MNIST_SHA256", hashes)
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
    source = mnist.load(str(path))
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
        mnist.load(str(path))
    assert message in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe\x00binary", b"a.png 1\n"])
def test_file_that_is_no_list_is_refused(tmp_path, content):
    path = tmp_path / "list.txt"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"list\.txt"):
        mnist.load(str(path))


def test_spec_that_is_nothing_is_refused(tmp_path):
    with pytest.raises(UserError, match="neither auto, tfds, bundled"):
        mnist.load(str(tmp_path / "nothing"))
