"""Makes a Python environment upon the image's, for a user who may not write to that one.

    python own_python.py PLACE    the directory of the environment, which is made or brought up to date

It is a virtual environment that sees all that the image has. pip, uv and notebooks install into it, what is there
counts before what the image has, and the image's commands run in it.
"""

import json
import shutil
import sys
from pathlib import Path

IMAGE = Path(sys.prefix)
COMMAND = Path(__file__).with_name("own_command.sh")
"""What the image's commands are links to: files of their own could not be run in a directory that is mounted noexec."""
VERSION = f"python{sys.version_info[0]}.{sys.version_info[1]}"
PACKAGES = Path("lib", VERSION, "site-packages")


def main(place: Path) -> None:
    """Make the environment."""
    (place / "bin").mkdir(parents=True, exist_ok=True)
    (place / PACKAGES).mkdir(parents=True, exist_ok=True)
    shutil.copy(IMAGE / "pyvenv.cfg", place)
    # As a line of code, so that the .pth files of the image's packages are read too.
    (place / PACKAGES / "_image.pth").write_text(f"import site; site.addsitedir({str(IMAGE / PACKAGES)!r})\n")
    for name in ("python", "python3", VERSION):
        link(place / "bin" / name, (IMAGE / "bin/python").resolve())
    for command in filter(is_of_python, (IMAGE / "bin").iterdir()):
        link(place / "bin" / command.name, COMMAND)
    add_kernel(place)


def link(path: Path, target: Path) -> None:
    """Make a link, unless what the user has installed is there."""
    if path.is_symlink():
        path.unlink()
    if not path.exists():
        path.symlink_to(target)


def is_of_python(command: Path) -> bool:
    """Whether a command is a script of the image's environment. JupyterLab's stay there, with its extensions."""
    start = b"#!" + bytes(IMAGE / "bin/python")
    return command.is_file() and not command.name.startswith("jupyter") and command.open("rb").read(len(start)) == start


def add_kernel(place: Path) -> None:
    """Let notebooks run in the environment (JUPYTER_PATH)."""
    folder = place / "share/jupyter/kernels/python3"
    folder.mkdir(parents=True, exist_ok=True)
    argv = [str(place / "bin/python"), "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    kernel = {
        "argv": argv,
        "display_name": "Python 3 (ipykernel)",
        "language": "python",
        "metadata": {"debugger": True},
    }
    (folder / "kernel.json").write_text(json.dumps(kernel))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
