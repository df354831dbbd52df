"""Export a model as a SavedModel: `python -m tf_gen.export RUN_DIR OUT`.

The SavedModel needs TensorFlow alone, neither tf_gen nor Keras. Its signatures are what
the model's `signatures()` lists; the first of them is `serving_default` too.
"""

import errno
import json
import sys
from pathlib import Path

from tf_gen import cli, files
from tf_gen.sample import read_json


def export(model, directory, settings, latent_map=None):
    """Write `model` as a SavedModel to `directory`.

    Args:
        model: has `signatures()`.
        directory: path, which must not exist yet.
        settings: dict, for config.json.
        latent_map: dict for latent_map.json, which `tf_gen.sample` reads (see `latent_map` in
            `tf_gen.models`); not written if empty.

    Raises:
        OSError: `directory` exists or cannot be written.
    """
    import keras

    directory = Path(directory)
    if directory.exists():
        raise FileExistsError(errno.EEXIST, "will not replace what is there", str(directory))
    directory.parent.mkdir(parents=True, exist_ok=True)
    archive = keras.export.ExportArchive()  # no .track(): that would store each variable twice
    for name, (function, inputs) in model.signatures().items():
        archive.add_endpoint(name, function, inputs)
    with files.beside(directory) as temporary:
        archive.write_out(str(temporary), verbose=False)
        (temporary / "config.json").write_text(json.dumps(settings, indent=2) + "\n")
        if latent_map:
            (temporary / "latent_map.json").write_text(json.dumps(latent_map, indent=2) + "\n")


def main(argv=None):
    parser = cli.Parser(
        prog="tf_gen.export", description="Export the newest checkpoint of a run as a SavedModel."
    )
    parser.add_argument("run_dir", type=Path, help="directory of a run, such as runs/vae")
    parser.add_argument("out", type=Path, help="directory to write, which must not exist yet")
    arguments = parser.parse_args(argv)
    if not (arguments.run_dir / "config.json").is_file():
        raise cli.UserError(f"{arguments.run_dir}: no run directory (config.json is missing)")
    if arguments.out.exists():
        raise cli.UserError(f"{arguments.out}: exists already; remove it or name another one")
    cli.import_tensorflow()
    from tf_gen import run

    settings, module, config = run.described(arguments.run_dir)
    model = module.build(config)
    step, _, damaged = run.restore(model, arguments.run_dir)
    for directory in damaged:
        print(f"warning: checkpoint {directory} is damaged and left out", file=sys.stderr)
    # Made from the data, which may not be at hand now; there if the run is finished.
    latent_map = read_json(arguments.run_dir / "saved_model" / "latent_map.json")
    export(model, arguments.out, settings, latent_map)
    print(f"step {step} of {arguments.run_dir} exported: {arguments.out}")
    print(f"next: python -m tf_gen.sample {arguments.out} {module.sample_flags(config)}")


if __name__ == "__main__":
    cli.run(main)
