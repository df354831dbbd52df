"""Sets that have a name: prepared, downloaded, or replaced by the bundled digits."""

import contextlib
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
from tensorflow_datasets.core.download import checksums

from tf_gen import mnist
from tf_gen.errors import UserError
from tf_gen.mnist import named
from tf_gen.mnist.arrays import MNIST_SHA256

pytestmark = pytest.mark.quick
rng = np.random.default_rng(0)
NAMES = ("mnist", "fashion_mnist", "kmnist", "emnist/digits")


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
    """A host that answers, but has no files."""
    monkeypatch.setattr(named, "SILENCE_SECONDS", 0.5)
    host = Host()
    with host.serving() as host.url:
        point_to(host.url, monkeypatch)
        yield host


@pytest.fixture
def files(host, monkeypatch):
    """Small files that the host has, and whose hashes TensorFlow Datasets knows."""
    host.files = {f"{name}.gz": name.encode() for name in MNIST_SHA256}
    for name in NAMES:
        builder = type(tfds.builder(name))
        infos = {
            host.url + file: checksums.UrlInfo(len(content), sha256(content), file)
            for file, content in host.files.items()
        }
        monkeypatch.setattr(builder, "url_infos", infos)
    return host.files


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def point_to(url, monkeypatch):
    """Let TensorFlow Datasets look for each set at `url`."""
    for name in NAMES:
        builder = type(tfds.builder(name))
        known = {url + key.removeprefix(builder.URL): i for key, i in builder.url_infos.items()}
        monkeypatch.setattr(builder, "url_infos", known)
        monkeypatch.setattr(builder, "URL", url)


def prepare(data_dir, name="mnist"):
    """Put a small copy there as TensorFlow Datasets does: its images and labels, by split."""
    builder = tfds.builder(name)
    arrays = {}
    for split, count in (("train", 30), ("test", 5)):
        images = rng.integers(0, 256, [count, 28, 28, 1], np.uint8)
        arrays[split] = {"image": images, "label": np.arange(count) % 10}
    name, _, config = name.partition("/")
    tfds.dataset_builders.store_as_tfds_dataset(
        name=name,
        config=config or None,
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


@pytest.mark.parametrize("name", ["tfds", *NAMES])
def test_a_set_without_network_or_copy_is_refused(data_dir, name):
    with pytest.raises(UserError, match=rf"--data {name}: no prepared copy in .* does not answer"):
        mnist.load(name)
    assert not data_dir.exists()


@pytest.mark.parametrize("name", NAMES)
def test_a_download_is_handed_over_and_what_breaks_is_said(files, monkeypatch, bundled, name):
    found = []

    def broken(builder, download_config):
        for path in Path(download_config.manual_dir).iterdir():
            found.append(path.name)
            assert path.read_bytes() == files[path.name]
        raise ConnectionError("cut off\nin the middle")

    monkeypatch.setattr(type(tfds.builder(name)), "download_and_prepare", broken)
    with pytest.raises(UserError, match=rf"--data {name}: the download failed: cut off$"):
        mnist.load(name)
    assert sorted(found) == sorted(files)
    if name == "mnist":
        source = mnist.load("auto")
        assert source.sha256 == bundled.sha256
        assert "cut off" in source.hint


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
        assert_same(images, labels, arrays[split]["image"][..., 0], arrays[split]["label"])


def assert_same(images, labels, expected_images, expected_labels):
    """The same images with the same labels, in any order, since TensorFlow Datasets shuffles."""
    found = np.lexsort(images.reshape(len(images), -1).T)
    order = np.lexsort(expected_images.reshape(len(images), -1).T)
    np.testing.assert_array_equal(images[found], expected_images[order])
    np.testing.assert_array_equal(labels[found], expected_labels[order])


@pytest.mark.parametrize(
    ("name", "classes"),
    [("fashion_mnist", 10), ("kmnist", 10), ("emnist/digits", 0), ("emnist/letters", 0)],
)
def test_prepared_copies_of_other_sets_are_upright_and_have_their_names(data_dir, name, classes):
    arrays = prepare(data_dir, name)
    source = mnist.load(name)
    assert source.name == name
    images = arrays["train"]["image"][..., 0]
    if name.startswith("emnist"):  # "rotated 90 degrees anti-clockwise and flipped", says its page
        images = np.stack([np.fliplr(np.rot90(image, -1)) for image in images])
    assert_same(source.images, source.labels, images, arrays["train"]["label"])
    assert len(source.classes) == classes
    if name == "fashion_mnist":
        assert source.class_name(9) == "Ankle boot"


def test_damaged_copy_is_refused_by_its_directory(data_dir):
    prepare(data_dir)
    (path,) = data_dir.rglob("*train.tfrecord*")
    path.write_bytes(path.read_bytes()[:-100])
    for spec in ("tfds", "auto"):
        with pytest.raises(UserError, match="cannot be read") as error:
            mnist.load(spec)
        assert str(path.parent) in str(error.value)
        assert "\n" not in str(error.value)


def test_a_download_that_falls_silent_is_given_up(files, bundled):
    for name in files:
        files[name] = None
    with pytest.raises(UserError, match=r"the download failed.*timed out"):
        mnist.load("tfds")
    assert mnist.load("auto").sha256 == bundled.sha256


def test_a_download_of_something_else_is_refused(files, data_dir):
    files["t10k-labels-idx1-ubyte.gz"] = b"<html>"
    with pytest.raises(UserError, match="is not the file that TensorFlow Datasets knows"):
        mnist.load("tfds")
    assert not data_dir.exists()


@pytest.mark.usefixtures("data_dir")
def test_probe_gives_up_on_a_host_that_is_silent(monkeypatch):
    monkeypatch.setattr(named, "PROBE_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        point_to(f"http://127.0.0.1:{server.getsockname()[1]}/", monkeypatch)
        begin = time.monotonic()
        with pytest.raises(UserError, match="does not answer"):
            mnist.load("tfds")
        assert 0.4 < time.monotonic() - begin < 2


@pytest.mark.usefixtures("data_dir")
def test_probe_gives_up_on_a_name_that_nobody_looks_up(monkeypatch):
    monkeypatch.setattr(named, "PROBE_SECONDS", 0.2)
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
    assert host.asked[0] == ("HEAD", "t10k-labels-idx1-ubyte.gz")  # the smallest
    assert (len(host.asked) > 1) == (status == 200)
