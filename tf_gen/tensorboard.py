"""TensorBoard files of a run: the graph of the training step, the log and samples."""

import tensorflow as tf

SAMPLES = 20  # pictures per run; drawing one takes longer than writing a number


class Writer:
    """Writes files for TensorBoard.

    Args:
        directory: path, created if it is missing.
    """

    def __init__(self, directory):
        self.writer = tf.summary.create_file_writer(str(directory))

    def watch(self, program):
        """Wrap `program`, a `loop.program`, so that its first call writes its graph."""
        written = False

        def watched(*arguments):
            nonlocal written
            if not written:
                with self.writer.as_default():
                    tf.summary.graph(program.get_concrete_function(*arguments).graph)
                written = True
            return program(*arguments)

        return watched

    def rows(self, rows):
        """Write rows of the log: a scalar for each figure."""
        for row in rows:
            with self.writer.as_default(step=row["step"]):
                for name in row.keys() - {"step"}:
                    tf.summary.scalar(name, row[name])
        self.writer.flush()

    def samples(self, report, model, step):
        """Write the frame that an animation would show now."""
        (frame,) = report.frames([{**report.snapshot(model), "step": step}])
        pixels = frame[None] if frame.ndim == 3 else frame[None, ..., None]
        with self.writer.as_default(step=step):
            tf.summary.image("samples", pixels)
        self.writer.flush()
