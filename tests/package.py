"""Builds wheel and sdist, and tries each in an environment of its own, away from the repository: `make package`.

torch and the other dependencies are those of the Python that runs this: they are put behind the new environment's own
packages, so that nothing of a gigabyte is downloaded. The repository is not on any path.
"""

import subprocess
import sys
import sysconfig
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
TINY = "--people 3 --variants 2 --steps 2 --seeds 1"
WHERE = "import reidgen; print(reidgen.__file__)"
BUILDER = "hatchling"


def run(*words, cwd):
    """Run a command; its output, or an end with what it said."""
    done = subprocess.run([*map(str, words)], cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))}\n{done.stdout}{done.stderr}")
    return done.stdout


def environment(folder):
    """A new environment, behind whose packages those of this Python come; its folder of programs."""
    venv.create(folder, with_pip=True)
    programs = folder / ("Scripts" if sys.platform == "win32" else "bin")
    own = run(programs / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip()
    (Path(own) / "behind.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
    return programs


def build(folder):
    """The wheel and the sdist of the repository."""
    programs = environment(folder / "builder")
    run(programs / "python", "-m", "pip", "install", "--quiet", BUILDER, cwd=folder)
    run(programs / "python", "-m", BUILDER, "build", "-d", folder / "dist", cwd=ROOT)
    ((wheel,), (sdist,)) = ((folder / "dist").glob("*.whl"), (folder / "dist").glob("*.tar.gz"))
    return wheel, sdist


def installed(folder, archive):
    """An environment with an archive of reidgen and nothing of the repository; its folder of programs."""
    programs = environment(folder)
    run(programs / "python", "-m", "pip", "install", "--quiet", BUILDER, cwd=folder)  # for an sdist
    pip = (programs / "python", "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation")
    run(*pip, archive, cwd=folder)
    where = run(programs / "python", "-c", WHERE, cwd=folder).strip()
    assert Path(where).is_relative_to(folder), f"{where} is not of the new environment"
    return programs


def main():
    """Build both, install each, and run the quick start with the wheel."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name).resolve()
        wheel, sdist = build(folder)
        programs = installed(folder / "wheel", wheel)
        away = folder / "away"
        away.mkdir()
        print(run(programs / "reidgen", "--version", cwd=away).strip(), wheel.name)
        run(programs / "reidgen", "quickstart", *TINY.split(), "--out", "quickstart", cwd=away)
        assert (away / "quickstart" / "report" / "index.html").is_file()
        print("quick start: a page")
        print(run(programs / "reidgen", "doctor", cwd=away).splitlines()[0])
        other = installed(folder / "sdist", sdist)
        print(run(other / "reidgen", "--version", cwd=away).strip(), sdist.name)


if __name__ == "__main__":
    main()
