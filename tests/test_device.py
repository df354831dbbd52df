"""What TensorFlow runs on, with GPUs, drivers and messages that are only pretended."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import tensorflow as tf

from tf_gen import device

pytestmark = pytest.mark.quick

MESSAGES = """\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1795642257.156860   20060 port.cc:153] oneDNN custom operations are on.
{}
I0000 00:00:1795642257.238954   20060 cpu_feature_guard.cc:227] This TensorFlow binary is
"""
DLOPEN = (
    "W0000 00:00:1795642257.1   20060 gpu_device.cc:2343] Cannot dlopen some GPU libraries. Please "
    "make sure the missing libraries mentioned above are installed properly if you would like to "
    "use GPU. Follow the guide at https://www.tensorflow.org/install/gpu.\n"
    "Skipping registering GPU devices..."
)
NO_LIBRARY = (
    "2024-06-19 16:06:44.1: W tensorflow/stream_executor/platform/default/dso_loader.cc:60] Could "
    "not load dynamic library 'libcudnn.so.9'; dlerror: libcudnn.so.9: no such file"
)
CU_INIT = (
    "E0000 00:00:1795642262.4   20060 cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA "
    "error: Failed call to cuInit: CUDA_ERROR_NO_DEVICE: no CUDA-capable device is detected"
)
NO_DRIVERS = (
    "I0000 00:00:1795642257.1   20060 cudart_stub.cc:31] Could not find cuda drivers on your "
    "machine, GPU will not be used."
)


def not_asked():
    raise AssertionError("costs seconds")


@pytest.mark.parametrize("visible", ["", "-1", "-1,0", " ", "none", "NoDevFiles"])
def test_hidden_gpus_are_the_first_reason(visible):
    reason = device.why_none(visible, False, not_asked)
    assert reason == f"CUDA_VISIBLE_DEVICES={visible!r} hides them"


@pytest.mark.parametrize("visible", [None, "0", "1,2", "GPU-8932f937", "MIG-8932f937"])
def test_a_tensorflow_without_cuda_is_the_next(visible):
    reason = device.why_none(visible, False, not_asked)
    assert reason == "this TensorFlow was built without CUDA: pip install 'tf_gen[gpu]'"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (DLOPEN, "Cannot dlopen some GPU libraries: pip install 'tf_gen[gpu]'"),
        (
            f"{NO_LIBRARY}\n{DLOPEN}",
            "Could not load dynamic library 'libcudnn.so.9'; dlerror: libcudnn.so.9: no such file: "
            "pip install 'tf_gen[gpu]'",
        ),
        (
            f"{NO_DRIVERS}\n{CU_INIT}",
            "failed call to cuInit: INTERNAL: CUDA error: Failed call to cuInit: "
            "CUDA_ERROR_NO_DEVICE: no CUDA-capable device is detected",
        ),
        (NO_DRIVERS, "Could not find cuda drivers on your machine, GPU will not be used"),
        ("", "TensorFlow does not say why"),
    ],
)
def test_else_the_message_that_tells_most(said, reason):
    assert device.why_none(None, True, lambda: MESSAGES.format(said)) == reason
    assert device.why_none("0", True, lambda: MESSAGES.format(said)) == reason


def test_messages_are_those_of_tensorflow(monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    assert "cpu_feature_guard" in device.messages()


def test_messages_that_do_not_come(monkeypatch):
    def run(*arguments, **options):
        raise subprocess.TimeoutExpired(*arguments, options["timeout"])

    monkeypatch.setattr(subprocess, "run", run)
    assert device.messages() == ""


@pytest.fixture
def pretend(monkeypatch):
    """Pretend that there are so many GPUs, and a driver or none; returns what grows."""
    grown = []

    def there_are(gpus, driver=True, with_cuda=True):
        found = [SimpleNamespace(name=f"/physical_device:GPU:{i}") for i in range(gpus)]
        kinds = {"GPU": found}
        monkeypatch.setattr(tf.config, "list_physical_devices", kinds.get)
        monkeypatch.setattr(tf.sysconfig, "get_build_info", lambda: {"is_cuda_build": with_cuda})
        monkeypatch.setattr(device, "has_driver", lambda: driver)
        grow = lambda gpu, enable: grown.append((gpu, enable))  # noqa: E731
        monkeypatch.setattr(tf.config.experimental, "set_memory_growth", grow)
        return found

    there_are.grown = grown
    monkeypatch.delenv("TF_FORCE_GPU_ALLOW_GROWTH", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return there_are


def test_a_gpu_and_a_machine_without_driver_need_no_words(pretend, monkeypatch):
    monkeypatch.setattr(device, "messages", not_asked)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    pretend(gpus=1)
    assert device.describe() == "GPU"
    pretend(gpus=0, driver=False)
    assert device.describe() == "CPU"


def test_a_driver_in_vain_has_its_reason(pretend, monkeypatch):
    monkeypatch.setattr(device, "messages", lambda: MESSAGES.format(DLOPEN))
    pretend(gpus=0)
    words = "Cannot dlopen some GPU libraries: pip install 'tf_gen[gpu]'"
    assert device.describe() == f"CPU (no GPU: {words})"
    pretend(gpus=0, with_cuda=False)
    assert "built without CUDA" in device.describe()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert device.describe() == "CPU (no GPU: CUDA_VISIBLE_DEVICES='-1' hides them)"


@pytest.mark.parametrize("path", ["/proc/driver/nvidia/version", "/dev/nvidia0", "nvidia-smi"])
def test_what_shows_that_there_is_a_driver(path, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(Path, "exists", lambda self: False)
    assert not device.has_driver()
    monkeypatch.setattr(Path, "exists", lambda self: str(self) == path)
    program = tmp_path / "nvidia-smi"
    if path == "nvidia-smi":
        program.touch(mode=0o755)
    assert device.has_driver()
    monkeypatch.setattr(sys, "platform", "win32")  # whose TensorFlow could not use it
    assert not device.has_driver()


def test_memory_grows_on_every_gpu(pretend):
    gpus = pretend(gpus=2)
    device.grow_memory()
    assert pretend.grown == [(gpu, True) for gpu in gpus]


def test_gpus_in_use_are_left_alone(pretend, monkeypatch):
    def refuse(gpu, enable):
        raise RuntimeError("Physical devices cannot be modified after being initialized")

    pretend(gpus=2)
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", refuse)
    device.grow_memory()


@pytest.mark.parametrize("choice", ["true", "false"])
def test_memory_grows_as_the_environment_says(pretend, monkeypatch, choice):
    monkeypatch.setenv("TF_FORCE_GPU_ALLOW_GROWTH", choice)
    pretend(gpus=2)
    device.grow_memory()
    assert not pretend.grown
