"""What TensorFlow runs on: how it takes a GPU's memory, and why it uses none.

Imports nothing heavy at first.
"""

import contextlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

# What TensorFlow says where it can use no GPU, from what tells most to what tells least.
TELLING = (
    "failed call to cuInit",
    "Could not load dynamic library",
    "Cannot dlopen some GPU libraries",
    "Could not find cuda drivers",
    "Ignoring visible gpu device",
)
INSTALL = "pip install 'tf_gen[gpu]'"


def cores():
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):  # not everywhere
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def threads(processes=1):
    """How many threads TensorFlow has for an operation on a CPU, and which number changes bits.

    One for each core, or, unless TF_NUM_INTRAOP_THREADS is set, the share of one of `processes`.
    """
    return int(os.environ.get("TF_NUM_INTRAOP_THREADS") or max(1, cores() // processes))


def grow_memory():
    """Let TensorFlow take the memory of GPUs as it needs it, instead of all of it at once.

    Nothing changes where TensorFlow has begun to use them, or where the environment variable
    TF_FORCE_GPU_ALLOW_GROWTH says what it should do.
    """
    import tensorflow as tf

    if "TF_FORCE_GPU_ALLOW_GROWTH" in os.environ:
        return
    for gpu in tf.config.list_physical_devices("GPU"):
        with contextlib.suppress(RuntimeError):  # in use already
            tf.config.experimental.set_memory_growth(gpu, True)


def describe():
    """Name what TensorFlow runs on: GPU, or CPU, and why no GPU where a driver is there."""
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        return "GPU"
    if not has_driver():
        return "CPU"
    with_cuda = tf.sysconfig.get_build_info().get("is_cuda_build", False)
    reason = why_none(os.environ.get("CUDA_VISIBLE_DEVICES"), with_cuda, messages)
    return f"CPU (no GPU: {reason})"


def has_driver():
    """Whether a driver of NVIDIA's seems to be there; only Linux's, which TensorFlow could use."""
    files = (Path("/proc/driver/nvidia/version"), Path("/dev/nvidia0"))
    found = any(file.exists() for file in files) or shutil.which("nvidia-smi")
    return sys.platform == "linux" and bool(found)


def why_none(visible, with_cuda, messages):
    """Why TensorFlow uses no GPU where there is a driver: a clause.

    Args:
        visible: what the environment variable CUDA_VISIBLE_DEVICES says, or None.
        with_cuda: whether this TensorFlow was built with CUDA.
        messages: function without arguments to what TensorFlow wrote when it looked for GPUs;
            called only where the others do not tell.
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
    """What TensorFlow writes when it looks for GPUs, with all that this process keeps quiet.

    From a process of its own, since TensorFlow reads its level of messages only once.
    """
    code = "import tensorflow as tf; tf.config.list_physical_devices('GPU')"
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "0"}
    command = [sys.executable, "-c", code]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    except subprocess.TimeoutExpired:
        return ""
    return done.stderr
