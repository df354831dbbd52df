"""Training one model on several devices or machines: TF_CONFIG, strategies, workers that end.

TensorFlow is imported only when it is needed.
"""

import contextlib
import json
import os
import re
import signal
import threading

from tf_gen.errors import UserError

STRATEGIES = ("mirrored", "multi-worker")


def read():
    """Read the environment variable TF_CONFIG, in the form that TensorFlow documents.

    Returns:
        The cluster, a dict of the names of jobs to the addresses of their tasks, and the job and
        the number of this process.

    Raises:
        ValueError: it is missing or wrong.
    """
    try:
        content = json.loads(os.environ["TF_CONFIG"])
        jobs = {name: list(addresses) for name, addresses in content["cluster"].items()}
        job, number = content["task"]["type"], content["task"]["index"]
    except KeyError as error:
        raise ValueError(f"{error} is missing") from error
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError(f"TF_CONFIG cannot be read: {error}") from error
    addresses = [address for tasks in jobs.values() for address in tasks]
    if not jobs.keys() <= {"chief", "worker"} or len(jobs.get("chief", [])) > 1:
        raise ValueError("TF_CONFIG must name only workers and at most one chief")
    for address in addresses:
        if not re.fullmatch(r"\S+:\d+", str(address)) or addresses.count(address) > 1:
            raise ValueError(f"TF_CONFIG: each address must be a different host:port: {address!r}")
    if job not in jobs or type(number) is not int or not 0 <= number < len(jobs[job]):
        raise ValueError(f"TF_CONFIG: its task, {job} {number}, is not in its cluster")
    return jobs, job, number


def start(strategy):
    """Start TensorFlow on the devices of `strategy`, one of STRATEGIES; return a `tf` strategy.

    No device may have been used before. With `multi-worker` this waits for all workers. During the
    wait, Ctrl-C ends the process at once.

    Raises UserError if another worker ended or cannot be reached.
    """
    import tensorflow as tf

    if strategy == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    jobs, job, number = read()
    print(f"{job} {number}, {jobs[job][number]}, waits for the other workers that TF_CONFIG names")
    with _killed_by_sigint(), explained():
        return tf.distribute.MultiWorkerMirroredStrategy()


@contextlib.contextmanager
def explained():
    """In `with`, the errors that TensorFlow raises when another worker ends become a UserError."""
    import tensorflow as tf

    try:
        yield
    except (
        tf.errors.AbortedError,
        tf.errors.CancelledError,
        tf.errors.DeadlineExceededError,
        tf.errors.InternalError,
        tf.errors.UnavailableError,
    ) as error:
        reason = error.message.partition("aborted by: ")[2] or error.message
        task = re.search(r"/job:(\w+)/(?:replica:\d+/)?task:(\d+)", reason)
        who = f"{task[1]} {task[2]}" if task else "a worker"
        reason = reason.splitlines()[0].rstrip(":")
        raise UserError(
            f"{who} has ended or cannot be reached ({reason}); start the same command on all "
            "workers again, and it continues from the last checkpoint"
        ) from error


@contextlib.contextmanager
def _killed_by_sigint():
    """In `with`, SIGINT ends the process. A Python handler would wait until TensorFlow returns."""
    handler = signal.getsignal(signal.SIGINT)
    ignored = handler == signal.SIG_IGN  # as in the background of a shell
    if ignored or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
