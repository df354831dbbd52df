"""How soon the explorer answers: `python -m tests.benchmarks.explorer [PAGE ...]`.

Opens each page in Chromium, moves the pointer over its plane five hundred times, and prints how
long the page decoded and painted, in milliseconds, how long it took from the event to the picture,
and the size of the file. A browser delivers the moves of a pointer once a frame, and the wait for
the frame is part of the second time. Without a page it writes and measures those of the trained
models of images. `--pictures DIR` keeps a picture of each page at 1440 x 900.
"""

import argparse
import shutil
import statistics
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

MOVES = 500


def main():
    parser = argparse.ArgumentParser(prog="tests.benchmarks.explorer", description=__doc__)
    parser.add_argument("pages", nargs="*", type=Path, metavar="PAGE")
    parser.add_argument("--data", default="auto", help="as for tf_gen.explore (default: auto)")
    parser.add_argument("--pictures", type=Path, metavar="DIR", help="where to keep pictures")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory, sync_playwright() as playwright:
        pages = arguments.pages or written(Path(directory), arguments.data)
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        print("| page | MB | decoded and painted, ms | event to picture, ms |\n|---|---|---|---|")
        for path in pages:
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.goto(path.absolute().as_uri())
            page.wait_for_timeout(3000)  # until the plane is drawn
            medians = [statistics.median(times) for times in moved(page)]
            size = path.stat().st_size / 1e6
            print(f"| {path.stem} | {size:.2f} | {medians[0]:.1f} | {medians[1]:.1f} |")
            if arguments.pictures:
                arguments.pictures.mkdir(parents=True, exist_ok=True)
                page.screenshot(path=arguments.pictures / f"{path.stem}.png")
        browser.close()


def written(directory, data):
    """The pages of the trained models of images, written to `directory`: a list of paths."""
    from tf_gen import explore

    paths = [directory / f"{name}.html" for name in ("vae", "ali")]
    for path in paths:
        explore.main([path.stem, "--out", str(path), "--data", data])
    return paths


def moved(page):
    """Move the pointer over the plane: milliseconds of each picture, painting and in all."""
    plane = page.locator("#plane")
    plane.scroll_into_view_if_needed()
    box = plane.bounding_box()
    for k in range(MOVES):
        x, y = 0.2 + 0.6 * (k % 100) / 100, 0.3 + 0.4 * k / MOVES
        page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
    page.wait_for_timeout(200)
    return page.evaluate("() => [explorer.paintMs, explorer.frameMs].map((ms) => Array.from(ms))")


if __name__ == "__main__":
    main()
