"""Write all diagrams, to look at them: `python -m tf_gen.diagrams DIRECTORY`."""

from tf_gen import cli, diagrams, files
from tf_gen.diagrams import words


def main(argv=None):
    parser = cli.Parser(prog="python -m tf_gen.diagrams", description=__doc__)
    parser.option("directory", cli.path, "where to write the files NAME.LANGUAGE.svg")
    directory = parser.parse_args(argv).directory
    directory.mkdir(parents=True, exist_ok=True)
    cli.import_tensorflow()
    for name in diagrams.NAMES:
        for language in words.LANGUAGES:
            path = directory / f"{name}.{language}.svg"
            with files.beside(path) as temporary:
                temporary.write_text(diagrams.svg(name, language), encoding="utf-8")
            print(path)


if __name__ == "__main__":
    cli.run(main)
