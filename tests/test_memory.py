"""Millions of draws: what fits is made in parts, and what does not fit is refused at once."""

import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
from helpers import one_line

from tf_gen import memory, sample, savedmodel
from tf_gen.errors import UserError
from tf_gen.models import gaussian_gan, vae


@pytest.fixture(scope="module")
def saved_model(tmp_path_factory):
    """The export of an untrained VAE."""
    directory = tmp_path_factory.mktemp("export") / "vae"
    savedmodel.write(vae.build(vae.Config(hidden_dim=8)), directory, {"model": "vae"})
    return directory


@pytest.fixture(scope="module")
def saved_gan(tmp_path_factory):
    """The export of an untrained GAN on a line."""
    directory = tmp_path_factory.mktemp("export") / "gan"
    settings = {"config": {"data_mean": 4.0, "data_std": 0.5}}
    savedmodel.write(gaussian_gan.build(gaussian_gan.Config()), directory, settings)
    return directory


def test_available_memory_is_some_of_what_the_machine_has():
    whole = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert 1e8 < memory.available() <= whole


def test_available_memory_is_infinite_where_nothing_tells(monkeypatch):
    def nothing(*arguments):
        raise OSError

    monkeypatch.setattr(memory.os, "sysconf", nothing)
    monkeypatch.setattr(memory.Path, "read_text", nothing)
    assert memory.available() == float("inf")
    memory.check(10**18, "all")


def test_a_container_has_less(monkeypatch):
    limits = {"/sys/fs/cgroup/memory.max": "5000\n", "/proc/meminfo": "MemAvailable:  7 kB\n"}
    monkeypatch.setattr(memory.Path, "read_text", lambda path: limits.get(str(path), "max\n"))
    assert memory.available() == 5000
    limits["/sys/fs/cgroup/memory.max"] = "max\n"
    assert memory.available() == 7 * 1024
    memory.check(7168, "a")
    with pytest.raises(UserError, match="a: needs 7,169 bytes of memory, but 7,168 are available"):
        memory.check(7169, "a")


@pytest.mark.parametrize("kind", ["saved_model", "saved_gan"])
@pytest.mark.parametrize("count", [1, 10, 11, 12, 95])
def test_many_are_decoded_in_parts(request, command, tmp_path, monkeypatch, kind, count):
    directory = request.getfixturevalue(kind)
    model = tf.saved_model.load(str(directory))
    outputs = model.signatures["sample"](count=tf.constant(count), seed=tf.constant([3, 0]))
    outputs = outputs["images" if kind == "saved_model" else "x"]
    sizes = []
    decode = savedmodel.Generator.decode

    def noted(self, z):
        sizes.append(len(z))
        return decode(self, z)

    monkeypatch.setattr(sample, "PART", 10)
    monkeypatch.setattr(savedmodel.Generator, "decode", noted)
    out = tmp_path / "a.npy"
    arguments = [directory, "--count", count, "--seed", "3", "--out"]
    status, _, err = command(sample.main, *arguments, out)
    assert (status, err) == (0, "")
    if count <= 10:
        np.testing.assert_array_equal(np.load(out), outputs)
    np.testing.assert_allclose(np.load(out), outputs, atol=1e-6)
    assert sum(sizes[1:]) == count  # the first tries the model out
    assert count == 1 or 2 <= min(sizes) <= max(sizes) <= 10
    np.save(tmp_path / "b.npy", np.load(out))
    assert out.read_bytes() == (tmp_path / "b.npy").read_bytes()
    assert command(sample.main, *arguments, tmp_path / "a.png")[0] == 0


def test_progress_is_printed_where_there_is_no_terminal(
    command, saved_model, tmp_path, monkeypatch
):
    monkeypatch.setattr(sample, "PART", 2)
    monkeypatch.setattr(sample, "SECONDS_BETWEEN_LINES", -1)
    _, printed, err = command(sample.main, saved_model, "--count", 4, "--out", tmp_path / "a.npy")
    assert err == ""
    first, last, *_ = printed.splitlines()
    assert first.startswith("2 of 4 images, ")
    assert last == "4 of 4 images, 00:00 left"


@pytest.mark.parametrize(("out", "size"), [("a.npy", 16 * 2), ("a.png", 16 * 2 + 12 * 784)])
def test_what_does_not_fit_into_memory_is_refused(
    command, saved_model, tmp_path, monkeypatch, out, size
):
    monkeypatch.setattr(memory, "available", lambda: 1000.0 * size - 1)
    arguments = [saved_model, "--out", tmp_path / out, "--count"]
    status, printed, err = command(sample.main, *arguments, 1000)
    assert (status, printed) == (1, "")
    assert one_line(err, "1,000 draws", f"{1000 * size:,} bytes of memory", f"{1000 * size - 1:,}")
    assert not list(tmp_path.iterdir())
    assert command(sample.main, *arguments, 999)[0] == 0


def test_what_does_not_fit_on_the_disk_is_refused(command, saved_model, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)._replace(free=4 * 784 * 100)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage)
    arguments = [saved_model, "--out", tmp_path / "a.npy", "--count"]
    status, printed, err = command(sample.main, *arguments, 101)
    assert (status, printed) == (1, "")
    assert one_line(err, "a.npy", f"{4 * 784 * 101:,} bytes", f"{4 * 784 * 100:,} left")
    assert not list(tmp_path.iterdir())
    assert command(sample.main, *arguments, 100)[0] == 0


def test_a_disk_that_gets_full_is_an_error(command, saved_model, tmp_path, monkeypatch):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        status, printed, err = command(
            sample.main, saved_model, "--count", 100, "--out", tmp_path / "a.npy"
        )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (status, printed) == (1, "")
    assert one_line(err, f"error: File too large: {tmp_path / 'a.npy'}")
    assert not list(tmp_path.iterdir())


def test_large_mosaics_have_small_pixels(command, saved_model, tmp_path):
    for count, side in ((7056, 84 * 28 * 4), (7057, 85 * 28 * 3)):
        command(sample.main, saved_model, "--count", count, "--out", tmp_path / "a.png")
        header = (tmp_path / "a.png").read_bytes()[16:20]
        assert int.from_bytes(header, "big") == side


PEAK = """
import resource, sys
from tf_gen import cli, sample
cli.import_tensorflow()
def peak():
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
sample.main([sys.argv[1], "--count", "100", "--out", "a.npy"])
before = peak()
sample.main([sys.argv[1], "--count", sys.argv[2], "--out", "a.npy"])
print(peak() - before)
"""


@pytest.mark.slow  # writes 600 MB
def test_memory_stays_small_however_many_there_are(process, saved_model, tmp_path):
    pytest.importorskip("resource")
    ran = process("-c", PEAK, saved_model, 200_000)
    assert ran.returncode == 0, ran.stderr
    size = (tmp_path / "a.npy").stat().st_size
    assert size > 600e6
    assert int(ran.stdout.splitlines()[-1]) < size / 2
    images = np.load(tmp_path / "a.npy", mmap_mode="r")
    z = vae.build(vae.Config(hidden_dim=8)).prior(200_000, [0, 0])
    model = vae.build(vae.Config(hidden_dim=8))
    np.testing.assert_allclose(images[-100:], model.decode(z[-100:]), atol=1e-6)
    (tmp_path / "a.npy").unlink()
