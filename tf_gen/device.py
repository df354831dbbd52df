"""The devices that TensorFlow runs on: how it allocates GPU memory, and why it uses no GPU.

TensorFlow is imported only when it is needed.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

# TensorFlow's messages if it cannot use a GPU, from the most to the least informative.
TELLING = (
    "failed call to cuInit",
    "Could not load dynamic library",
    "Cannot dlopen some GPU libraries",
    "Could not find cuda drivers",
    "Ignoring visible gpu device",
)
INSTALL = "pip install 'tf_gen[gpu]'"


def cores():
    """The number of cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not on all systems
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads(processes=1):
    """The number of threads that TensorFlow uses for an operation on a CPU. It changes bits.

    It is TF_NUM_INTRAOP_THREADS if that is set, else the share of the cores that one of `processes`
    gets.
    """
    return int(os.environ.get("TF_NUM_INTRAOP_THREADS") or max(1, cores() // processes))


def grow_memory():
    """Let TensorFlow allocate GPU memory as it needs it, instead of all of it at once.

    This does nothing if TensorFlow already uses the GPUs, or if the environment variable
    TF_FORCE_GPU_ALLOW_GROWTH is set.
    """
    import tensorflow as tf

    if "TF_FORCE_GPU_ALLOW_GROWTH" in os.environ:
        return
    for gpu in tf.config.list_physical_devices("GPU"):
        with contextlib.suppress(RuntimeError):  # already in use
            tf.config.experimental.set_memory_growth(gpu, True)


def describe():
    """Name the device: "GPU" or "CPU", with the reason for no GPU if a driver is installed."""
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return "GPU"
    if not has_driver():
        return "CPU"
    with_cuda = tf.sysconfig.get_build_info().get("is_cuda_build", False)
    reason = why_none(os.environ.get("CUDA_VISIBLE_DEVICES"), with_cuda, messages)
    return f"CPU (no GPU: {reason})"


def has_driver():
    """Whether an NVIDIA driver seems to be installed on Linux, where TensorFlow can use it."""
    files = (Path("/proc/driver/nvidia/version"), Path("/dev/nvidia0"))
    found = any(file.exists() for file in files) or shutil.which("nvidia-smi")
    return sys.platform == "linux" and bool(found)


def why_none(visible, with_cuda, messages):
    """Why TensorFlow uses no GPU although there is a driver: a clause.

    Args:
        visible: the value of the environment variable CUDA_VISIBLE_DEVICES, or None.
        with_cuda: whether this TensorFlow was built with CUDA.
        messages: function without arguments that returns what TensorFlow wrote when it looked for
            GPUs; called only if the other two do not explain it.
    """
    if visible is not None and not re.match(r"\s*(\d|GPU-|MIG-)", visible):
        return f"CUDA_VISIBLE_DEVICES={visible!r} hides them"
    if not with_cuda:
        return f"this TensorFlow was built without CUDA: {INSTALL}"
    lines = messages().splitlines()
    for words in TELLING:
        for line in lines:
            if words in line:
                said = line[line.index(words) :].partition(". ")[0].rstrip(".")
                return f"{said}: {INSTALL}" if "librar" in words else said
    return "TensorFlow does not say why"


def messages():
    """What TensorFlow writes when it looks for GPUs, including messages that are silenced here.

    They come from a separate process, since TensorFlow reads its log level only once.
    """
    code = "import tensorflow as tf; tf.config.list_physical_devices('GPU')"
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "0"}
    command = [sys.executable, "-c", code]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        return ""
    return done.stderr
