"""The base class of all tasks' reports: what the commands need from a `Report`."""


class Report:
    """Measures and draws a model: for the log, for pictures and for scores.

    A task's `Report` derives from this class. A recipe whose article shows something else derives
    its own `Report` from its task's. A report makes pictures for `plots.save`, but saves no files.

    A subclass also defines

        measure(seen)       a dict of floats for a line of the log; `seen` is the array that
                            `observe` returned, or the model if there is no `observe`
        pictures(model, history)
                            a dict of file names to pictures for the end of a run; `history` is a
                            list of the rows of history.csv, dicts of strings
        snapshot(model)     the data of a frame of an animation, a dict of small arrays
        frames(snapshots)   the frames, uint8 [height, width] or [height, width, 3] each; each
                            snapshot also has its `step`
        score(model)        the scores of a trained model, for `tf_gen.evaluate`: a dict of floats,
                            bools (among them `diverged`) and arrays
        draw_scores(scores) a picture of the scores of many seeds

    Attributes:
        config: the model's `Config`.
        source: a `mnist.Source`, or None if the task draws its data.
        judge: a `judge.Judge`, which `score` needs if there is a source.
        log_line: a line of the log, as a format string for a row of history.csv.
        limits: pairs of a column of the log and a value. A run ends early at the first line where a
            column is at or below its value.
        sample_flags: the flags of `python -m tf_gen.sample` that are worth a first try.
        observe: function from the model to a float32 tensor, or None. It is part of the compiled
            program, so that one call can produce many lines of the log.
        progress: function from the model to a picture for each line of the log, or None.
        progress_animation: the name of a file that shows these pictures as an animation.
        course: function from the snapshots to what the explorer shows of the training, a dict of
            arrays, or None.
        latent_map: function from the model to what `tf_gen.sample` needs for `--digit` and
            `--grid`, or None: {"labels": {"7": [0.5, 2.4], ...}, "axis": [-1.7, ..., 1.7]}. These
            are a z for each label, if there are labels, and the coordinates of a grid, if the
            latent space is a plane.
    """

    log_line = "step {step}: loss {loss:.4f}"
    limits = ()
    sample_flags = "--count 25 --out samples.png"
    observe = None
    progress = None
    progress_animation = None
    course = None
    latent_map = None

    def __init__(self, config, source=None, judge=None):
        self.config = config
        self.source = source
        self.judge = judge

    def reached(self, row):
        """Name the `limits` that a row of the log reaches, such as "w1 is 0.03", or "".

        The values of the row are numbers or strings.
        """
        return ", ".join(
            f"{name} is {float(row[name]):.4g}"
            for name, limit in self.limits
            if float(row[name]) <= limit
        )
