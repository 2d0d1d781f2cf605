"""Puts packages that were installed below FOLDER into place below ROOT: compiled, of one TIME, with the usual modes.

CACHE keeps bytecode by what it follows from, the path and the text of a module: the same packages are installed again
for other rows, and compiling takes longer than all else of it. Where ROOT has one of the files, all stay below FOLDER,
and FOLDER/twice names it.
"""

import hashlib
import importlib.util
import marshal
import multiprocessing
import os
import sys
import tempfile
import warnings

FOLDER, ROOT, TIME, CACHE = sys.argv[1], sys.argv[2].rstrip("/"), int(sys.argv[3]), sys.argv[4]
MAGIC = importlib.util.MAGIC_NUMBER


def bytecode(path: str, source: bytes) -> bytes:
    """Return the code of a module."""
    kept = os.path.join(CACHE, hashlib.sha256(MAGIC + path.encode() + b"\0" + source).hexdigest())
    if os.path.exists(kept):
        with open(kept, "rb") as file:
            digest, code = file.read(32), file.read()
        if hashlib.sha256(code).digest() == digest:  # a machine that lost its power may have kept a part
            return code
    code = marshal.dumps(compile(source, path, "exec", dont_inherit=True))
    with tempfile.NamedTemporaryFile(dir=CACHE, delete=False) as made:
        made.write(hashlib.sha256(code).digest() + code)
    os.replace(made.name, kept)
    return code


def compiled(module: str) -> None:
    """Write the bytecode of a module; one for another Python has none."""
    with open(module, "rb") as file:
        source = file.read()
    try:
        code = bytecode(module[len(FOLDER) :], source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return
    made = importlib.util.cache_from_source(module)
    os.makedirs(os.path.dirname(made), exist_ok=True)
    with open(made, "wb") as file:
        file.write(MAGIC + bytes(4) + TIME.to_bytes(4, "little") + len(source).to_bytes(4, "little") + code)


def installed() -> "tuple[list[str], list[str]]":
    """Return folders, each before what is in it, and files; a link is a file."""
    folders, files = [], []
    for folder, inner, names in os.walk(FOLDER):
        folders.append(folder)
        links = [name for name in inner if os.path.islink(os.path.join(folder, name))]
        files += [os.path.join(folder, name) for name in names + links]
    return folders[1:], files


def placed(path: str) -> str:
    """Return where what is below the folder belongs."""
    return ROOT + path[len(FOLDER) :]


def settle(path: str) -> None:
    """Give a file or folder the time, the usual mode and the usual owner."""
    if not os.path.islink(path):
        is_open = os.path.isdir(path) or os.stat(path).st_mode & 0o111
        os.chmod(path, 0o755 if is_open else 0o644)
    os.chown(path, 0, 0, follow_symlinks=False)
    os.utime(path, (TIME, TIME), follow_symlinks=False)


def move(folders: "list[str]", files: "list[str]") -> None:
    """Move what is installed, file by file: a folder that is moved gets a mark of the filesystem."""
    for folder in folders:
        os.makedirs(placed(folder), exist_ok=True)
    for path in files:
        os.rename(path, placed(path))
    for folder in reversed(folders):
        os.rmdir(folder)
        settle(placed(folder))
    os.rmdir(FOLDER)


warnings.simplefilter("ignore")
os.makedirs(CACHE, exist_ok=True)
with multiprocessing.get_context("fork").Pool() as pool:
    pool.map(compiled, [path for path in installed()[1] if path.endswith(".py") and os.path.isfile(path)], 16)
folders, files = installed()
for path in (*files, *reversed(folders)):
    settle(path)
twice = [placed(path) for path in files if os.path.lexists(placed(path))]
if twice:
    with open(os.path.join(FOLDER, "twice"), "w") as file:
        file.write("".join(path + "\n" for path in twice))
else:
    move(folders, files)
