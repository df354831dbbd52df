"""Write a web page to explore a model in: `python -m tf_gen.explore vae --open`.

The page is one HTML file that contains the weights. It opens with a double click, needs no server,
and loads nothing from the network. For a run, it also shows the course of the training, if
snapshots were kept for an animation.
"""

import webbrowser
from pathlib import Path

from tf_gen import cli, files, flags, savedmodel

DIGITS = ("bundled", "mnist", "tfds")  # names of digits of MNIST, which --data auto finds


def main(argv=None):
    arguments = parse(argv)
    directory = savedmodel.find(arguments.model)
    files.check_file(arguments.out)
    savedmodel.verify(directory)  # before printing anything about the data
    cli.import_tensorflow(lean=True)
    from tf_gen import explorer

    source = images_of(directory, arguments)
    course = course_of(arguments.model) if directory == arguments.model / "saved_model" else None
    explorer.write(directory, arguments.out, cli.typed(arguments.model), source, course)
    address = arguments.out.absolute().as_uri()
    print(f"open: {address} ({arguments.out.stat().st_size / 1e6:.1f} MB)")
    if arguments.open:
        webbrowser.open(address)
    return 0


def images_of(directory, arguments):
    """The images to show with the SavedModel in `directory`: a `mnist.Source`, or None."""
    name = savedmodel.read_data(directory).get("source")
    data = arguments.data
    if data == "auto" and name not in (None, *DIGITS):
        from tf_gen.mnist import named

        if name not in named.SETS:
            print(f"trained on your own images ({name}): name them with --data to see some")
            return None
        data = name
    if name is None and data == "auto":
        return None
    from tf_gen import mnist

    source = mnist.load(data, arguments.resize, arguments.invert)
    print(source)
    return source


def course_of(run):
    """The course of the training that the run directory `run` has for the page, or None."""
    from tf_gen import rundir, tasks

    _, recipe, config = rundir.identify(run)
    report, snapshots = tasks.report(recipe, config), rundir.snapshots(run)
    return report.course(snapshots) if report.course and snapshots else None


def parse(argv):
    """Parse the command line without TensorFlow."""
    parser = cli.Parser(
        prog="tf_gen.explore", description="Write a web page to explore a model in."
    )
    parser.option("model", cli.model, cli.MODELS)
    words = "the HTML file to write (default: explorer.html)"
    parser.option("--out", cli.path, words, default=Path("explorer.html"))
    parser.add_argument("--open", action="store_true", help="open the page in a browser")
    flags.add_images(parser)
    arguments = parser.parse_args(argv)
    if arguments.out.suffix.lower() not in (".html", ".htm"):
        parser.error(f"argument --out: must end in .html, not {arguments.out.name!r}")
    return arguments


if __name__ == "__main__":
    cli.run(main)
