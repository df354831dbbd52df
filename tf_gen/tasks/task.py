"""The base of all tasks: what the commands ask of a `Report`."""


class Report:
    """What is measured and shown of a model: in the log, in pictures, in scores.

    A task's `Report` derives from this one, and a recipe's own from its task's, where its article
    shows something else. It makes pictures, as `plots.save` takes them, but saves nothing.

    Besides what stands here, it has

        measure(seen)       dict of floats for a line of the log; `seen` is what `observe` gave
                            there, an array, or the model where there is no `observe`
        pictures(model, history)
                            dict of a file's name to a picture, for the end of a run; `history` is
                            the rows of history.csv, dicts of strings
        snapshot(model)     what a frame of an animation shows, a dict of small arrays
        frames(snapshots)   the frames, uint8 [height, width] or [height, width, 3] each; a
                            snapshot has its `step`, too
        score(model)        what `tf_gen.evaluate` tells of a trained model: a dict of floats, bools
                            (`diverged` among them) and arrays
        draw_scores(scores) a picture of the scores of many seeds

    Attributes:
        config: the model's `Config`.
        source: a `mnist.Source`, or None for a task that draws its data.
        judge: a `judge.Judge`, which `score` needs where there is a source.
        log_line: a line of the log, a format string of a row of history.csv.
        limits: pairs of a column of the log and a value; a run ends early at a line that is at or
            below one of them.
        sample_flags: what to try first with `python -m tf_gen.sample`.
        observe: function of the model to a float32 tensor, or None. It is part of the compiled
            program, so that many lines of the log can share a call.
        progress: function of the model to a picture for each line of the log, or None.
        progress_animation: the name of a file that shows these pictures one after the other.
        course: function of the snapshots to what the explorer shows of the training, a dict of
            arrays, or None.
        latent_map: function of the model to what `tf_gen.sample` needs for `--digit` and `--grid`,
            or None: {"labels": {"7": [0.5, 2.4], ...}, "axis": [-1.7, ..., 1.7]}, a z for each
            label and the coordinates of a grid on a latent plane, each if there is one.
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
        """Which `limits` a row of the log, of numbers or strings, reaches: "w1 is 0.03", or ""."""
        return ", ".join(
            f"{name} is {float(row[name]):.4g}"
            for name, limit in self.limits
            if float(row[name]) <= limit
        )
