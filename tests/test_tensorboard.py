"""What TensorBoard gets: the graph of the training step, each figure of the log, some samples."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from helpers import Adder, Observed, one_line, rows
from tensorflow.core.framework import graph_pb2
from tensorflow.core.util import event_pb2

from tf_gen import loop, tensorboard, train
from tf_gen.tasks import task


def read(path):
    """What is in a file of events.

    Returns:
        A list of graphs; a dict of (step, name) to a float; and a dict of (step, name) to uint8
        [height, width, channels].
    """
    graphs, scalars, images = [], {}, {}
    for record in tf.data.TFRecordDataset(str(path)):
        event = event_pb2.Event.FromString(record.numpy())
        if event.graph_def:
            graphs.append(graph_pb2.GraphDef.FromString(event.graph_def))
        for value in event.summary.value:
            tensor = tf.make_ndarray(value.tensor)
            if value.metadata.plugin_data.plugin_name == "images":
                images[event.step, value.tag] = tf.io.decode_png(tensor[2]).numpy()
            else:
                scalars[event.step, value.tag] = float(tensor)
    return graphs, scalars, images


# ---- The writer ----------------------------------------------------------------------------------


@pytest.fixture
def written(tmp_path):
    """A `Writer`, and a function that reads what it has written."""
    writer = tensorboard.Writer(tmp_path / "new" / "events")

    def written():
        (path,) = (tmp_path / "new" / "events").iterdir()
        return read(path)

    return writer, written


def test_watch_writes_one_graph_and_changes_no_result(written):
    writer, read_back = written
    model, other = Adder(), Adder()
    report = Observed(None)
    watched = writer.watch(loop.program(model, report.observe))
    program = loop.program(other, report.observe)
    for batches, lines in [([1.0, 2.0], 1), ([3.0, 4.0], 2), ([5.0], 1), ([6.0, 7.0], 1)]:
        arguments = tf.constant(batches), lines, tf.constant(len(batches) // lines)
        results = watched(*arguments)
        tf.nest.map_structure(np.testing.assert_array_equal, results, program(*arguments))
    assert float(model.total) == float(other.total) == 28  # the graph is traced, not run once more
    writer.rows([])  # flushes
    graphs, scalars, images = read_back()
    (graph,) = graphs
    functions = {node.op for f in graph.library.function for node in f.node_def}
    assert "AssignAddVariableOp" in functions | {node.op for node in graph.node}
    assert not scalars
    assert not images


def test_each_figure_of_a_row_is_a_scalar_of_its_step(written):
    writer, read_back = written
    writer.rows([{"step": 10, "loss": 0.5, "w1": 2.0}, {"step": 20, "loss": 0.25}])
    writer.rows([{"step": 30, "loss": 0.125, "w1": 1.0}])
    expected = {(10, "loss"): 0.5, (10, "w1"): 2.0, (20, "loss"): 0.25}
    expected |= {(30, "loss"): 0.125, (30, "w1"): 1.0}
    assert read_back() == ([], expected, {})


@pytest.mark.parametrize("shape", [(4, 6), (4, 6, 3)])
def test_samples_are_the_frame_that_an_animation_would_have(written, shape):
    writer, read_back = written
    model = SimpleNamespace(pixels=np.random.default_rng(0).integers(0, 256, shape, np.uint8))
    asked = []

    class Report(task.Report):
        def snapshot(self, model):
            return {"pixels": model.pixels}

        def frames(self, snapshots):
            asked.extend(snapshots)
            return (snapshot["pixels"] for snapshot in snapshots)

    writer.samples(Report(None), model, 7)
    graphs, scalars, images = read_back()
    assert (graphs, scalars, list(images)) == ([], {}, [(7, "samples")])
    np.testing.assert_array_equal(images[7, "samples"].reshape(shape), model.pixels)
    assert [snapshot["step"] for snapshot in asked] == [7]


# ---- Runs ----------------------------------------------------------------------------------------


def test_tensorboard_is_asked_for_before_training(command, tmp_path, monkeypatch):
    monkeypatch.setattr(train.importlib.util, "find_spec", lambda name: None)
    run_dir = tmp_path / "run"
    status, _, err = command(
        train.main, "vae", "--data", "bundled", "--run-dir", run_dir, "--tensorboard", tmp_path
    )
    assert status == 1
    assert one_line(err, "pip install", "tensorboard")
    assert not run_dir.exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["gaussian_gan", "--steps", "60", "--log-every", "1"],
        ["ali", "--data", "bundled", "--hidden-dim", "8", "--steps", "4", "--log-every", "1"],
    ],
)
def test_tensorboard_gets_graph_log_and_samples(command, tmp_path, arguments):
    events = tmp_path / "events"
    run_dir = tmp_path / "run"
    status, out, _ = command(train.main, *arguments, "--run-dir", run_dir, "--tensorboard", events)
    assert status == 0
    assert out.splitlines()[-1] == f"or: tensorboard --logdir {events}"
    (path,) = events.iterdir()
    graphs, scalars, images = read(path)
    (graph,) = graphs
    operations = {node.op for node in graph.node}
    operations |= {node.op for function in graph.library.function for node in function.node_def}
    assert {"StatelessWhile", "MatMul"} <= operations or {"While", "MatMul"} <= operations
    log = rows(run_dir / "history.csv")
    expected = {
        (int(row["step"]), name): float(value)
        for row in log
        for name, value in row.items()
        if name != "step"
    }
    assert scalars == pytest.approx(expected, rel=1e-5)
    every = 3 if arguments[0] == "gaussian_gan" else 1  # twenty pictures a run at most
    steps = {int(row["step"]) for row in log if int(row["step"]) % every == 0}
    assert images.keys() == {(step, "samples") for step in steps}
    assert all(np.ptp(image) > 100 for image in images.values())
