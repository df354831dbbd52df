"""Export a run's model as a SavedModel: `python -m tf_gen.export RUN_DIR OUT`."""

from tf_gen import cli, files, flags, savedmodel
from tf_gen.errors import UserError


def main(argv=None):
    parser = cli.Parser(
        prog="tf_gen.export", description="Export the newest checkpoint of a run as a SavedModel."
    )
    parser.option("run_dir", cli.path, "directory of a run, such as runs/vae")
    parser.option("out", cli.path, "directory to write, which must not exist yet")
    flags.add_no_jit(parser)
    arguments = parser.parse_args(argv)
    if not (arguments.run_dir / "config.json").is_file():
        raise UserError(f"{arguments.run_dir}: no run directory (config.json is missing)")
    if arguments.out.exists():
        raise UserError(f"{arguments.out}: exists already; remove it or name another one")
    files.check_directory(arguments.out)
    cli.import_tensorflow(lean=True)
    from tf_gen import base, rundir, tasks

    base.use_xla = arguments.jit
    manifest, recipe, config = rundir.identify(arguments.run_dir)
    model = recipe.build(config)
    step, _, damaged = rundir.restore(model, arguments.run_dir)
    cli.warn(*(f"checkpoint {directory} is damaged and left out" for directory in damaged))
    # It is made from the data, which may be missing here. A finished run has it.
    saved_model = arguments.run_dir / "saved_model"
    savedmodel.verify(saved_model)
    latent_map = savedmodel.read_latent_map(saved_model, model.latent_dim)
    savedmodel.write(model, arguments.out, manifest, latent_map)
    print(f"step {step} of {arguments.run_dir} exported: {arguments.out}")
    words = tasks.report(recipe, config).sample_flags
    print(f"next: python -m tf_gen.sample {cli.typed(arguments.out)} {words}")


if __name__ == "__main__":
    cli.run(main)
