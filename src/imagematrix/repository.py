"""The committed tree of a project: read once, written atomically, pruned only where a file carries our mark."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from imagematrix import tree
from imagematrix.diagnostics import Diagnostic
from imagematrix.disk import disk_words, telling
from imagematrix.errors import Collector, FlagError, InputError
from imagematrix.matrix import service
from imagematrix.model import File, LayerSource, Service, Sources
from imagematrix.planning import apt_locks, keys, requirements
from imagematrix.planning.render.sources import TEMPLATE_SUFFIX
from imagematrix.text import formatting
from imagematrix.tree import Tree

MANIFEST: Final = ".generated"
"""In each leaf: the paths we wrote there. What it does not list is never deleted."""
MATRIX: Final = "matrix.toml"
LOCK: Final = "matrix.lock"
LOCKS: Final = "locks"
LAYERS: Final = "common/layers"
RULES: Final = "common/rules"
COMPANIONS: Final = "common/leaf"
SERVICES: Final = "common/services"
IMAGES: Final = "images"
COMPAT: Final = "compat"
_BIG: Final = 8 * 2**20
"""Bytes up to which a file of a layer is held in memory; a text may not have more."""
_MOST_OF_FILE: Final = 20 * 10**9
"""Bytes that a file of a layer may have: each command hashes it, a gigabyte a second."""
_BOOTSTRAP: Final = "common/bootstrap/debian.sh"
_LOCK_FILE: Final = re.compile(r"[^/]+/[^/]+\.txt")
_TEMPLATE: Final = "Dockerfile.j2"


def nearest_matrix() -> str:
    """Return the matrix file of the current folder, else of the nearest folder above, as invoke finds its tasks."""
    here = Path.cwd()
    candidates = (folder / MATRIX for folder in (here, *here.parents))
    return str(next((path for path in candidates if path.exists()), here / MATRIX))


class Repository:
    """A project: the folder of its matrix file, and everything committed below it."""

    def __init__(self, matrix_file: Path) -> None:
        self.matrix_file = matrix_file
        self.root = matrix_file.parent
        self._tree = Tree(self.root)

    def matrix_text(self) -> str:
        """Return the text of the matrix file. Raises InputError when it cannot be read."""
        try:
            return tree.decoded(_read_named(self.matrix_file), self.matrix_file.name, encoding="utf-8-sig")
        except OSError as error:
            hint = "run this in a project's root, or name its matrix with --file"
            problem = Diagnostic(file=str(self.matrix_file), message=disk_words(error), hint=hint, code="unreadable")
            raise InputError([problem]) from None

    def in_repository(self, path: str) -> str:
        """Return a path of the project as CI names it: relative to the root of the git repository around it."""
        root = self.root.resolve()
        repository = next((folder for folder in (root, *root.parents) if (folder / ".git").exists()), root)
        return (root.relative_to(repository) / path).as_posix()

    def matrix_source(self) -> str:
        """Return the text of the matrix file exactly as on the disk, with line ends and byte order mark."""
        self.matrix_text()  # says what is wrong with it
        return self.matrix_file.read_bytes().decode()

    def replace_matrix(self, old: str, new: str) -> None:
        """Replace the text of the matrix file. Raises FlagError when it was changed in the meantime."""
        if self.matrix_source() != old:
            raise FlagError(
                f"{self.matrix_file.name} was changed in the meantime and is left unchanged: run the command again"
            )
        path = self.matrix_file.resolve()  # a link stays one
        with telling():
            tree.replace(path, File(path=path.name, content=new.encode(), executable=_is_executable(path)))

    def lock_text(self) -> str:
        """Return the text of matrix.lock, empty when there is none."""
        return self._tree.text(LOCK) if self._tree.is_file(LOCK) else ""

    def write_lock(self, text: str) -> None:
        """Replace matrix.lock."""
        with telling():
            self._tree.replace(LOCK, File(path=LOCK, content=text.encode()))

    def locks(self) -> Mapping[str, str]:
        """Return the requirement locks, path -> text: those that we wrote."""
        found = (path for path in self._tree.files(LOCKS) if _LOCK_FILE.fullmatch(path))
        texts = {f"{LOCKS}/{path}": self._tree.text(f"{LOCKS}/{path}") for path in found}
        return {path: text for path, text in texts.items() if requirements.is_ours(text)}

    def apt_locks(self) -> Mapping[str, str]:
        """Return the apt locks, path -> text: those that we wrote."""
        paths = (f"{apt_locks.FOLDER}/{path}" for path in self._tree.files(apt_locks.FOLDER) if path.endswith(".txt"))
        texts = {path: self._tree.text(path) for path in paths}
        return {path: text for path, text in texts.items() if apt_locks.is_ours(text)}

    def write_apt_locks(self, locks: Mapping[str, str]) -> tuple[str, ...]:
        """Make the apt locks these; return the paths touched. What we did not write stays."""
        return self._make(locks, found=self.apt_locks(), folder=apt_locks.FOLDER)

    def corrections(self) -> Mapping[str, str]:
        """Return what corrects the catalogue of versions, path -> text."""
        names = self._tree.files(COMPAT, skip=lambda name: not name.endswith(".toml"))
        return {path: self._tree.text(path, encoding="utf-8-sig") for path in (f"{COMPAT}/{name}" for name in names)}

    def public_keys(self, path: str) -> str:
        """Return the text of a file of the project that holds public keys. Raises FlagError when there is none."""
        if not self._tree.is_file(path):
            raise FlagError(f"[signing] public: there is no file {path}\n    make one, and commit it: docs/security.md")
        return self._tree.text(path)

    def write_locks(self, locks: Mapping[str, str]) -> tuple[str, ...]:
        """Make the requirement locks these; return the paths touched. What we did not write stays."""
        return self._make(locks, found=self.locks(), folder=LOCKS)

    def _make(self, locks: Mapping[str, str], *, found: Mapping[str, str], folder: str) -> tuple[str, ...]:
        """Make the files of a folder that are found these."""
        changed = [path for path, text in locks.items() if found.get(path) != text]
        obsolete = found.keys() - locks.keys()
        self._tree.check([*changed, *obsolete])
        with telling():
            for path in changed:
                self._tree.replace(path, File(path=path, content=locks[path].encode()))
            self._tree.delete(folder, {path.removeprefix(f"{folder}/") for path in obsolete})
        return tuple(sorted([*changed, *obsolete]))

    def add_locks(self, locks: Mapping[str, str]) -> tuple[str, ...]:
        """Write requirement locks that are not there yet; return the paths touched."""
        found = self.locks()
        return self.write_locks({**found, **locks})

    def texts(self, paths: Iterable[str]) -> Mapping[str, str]:
        """Return those of some files that exist, as text."""
        return {path: self._tree.read(path).decode(errors="replace") for path in paths if self._tree.is_file(path)}

    def layers(self) -> Mapping[str, bool]:
        """Return the folders of common/layers, and whether each has a template."""
        return {name: self._tree.is_file(f"{LAYERS}/{name}/{_TEMPLATE}") for name in self._tree.folders(LAYERS)}

    def rules(self) -> Mapping[str, str]:
        """Return the rules for platforms that the monorepo brings: file -> text."""
        files = [
            f"{RULES}/{name}"
            for name in sorted(self._tree.files(RULES, skip=lambda name: name == "__pycache__"))
            if name.endswith(".py")
        ]
        return {file: self._tree.text(file) for file in files}

    checks_folder: Final = LAYERS
    """Where pytest looks for conftest.py, and no higher."""

    def check_fixtures(self) -> str:
        """Return what the checks of layers share: the texts of conftest.py, the one for all layers first."""
        paths = (LAYERS, *(f"{LAYERS}/{layer}" for layer in self.layers()))
        found = (f"{path}/conftest.py" for path in paths)
        return "".join(self._tree.text(path) for path in found if self._tree.is_file(path))

    def check_file(self, layer: str) -> str:
        """Return where a layer keeps its checks, relative to the root."""
        return f"{LAYERS}/{layer}/test_{layer}.py"

    def checks(self) -> Mapping[str, str]:
        """Return the texts of the layers' checks, by layer."""
        paths = {layer: self.check_file(layer) for layer in self.layers()}
        return {layer: self._tree.text(path) for layer, path in paths.items() if self._tree.is_file(path)}

    def sources(self) -> Sources:
        """Read everything that people wrote under common/. Raises InputError with every file that cannot be read."""
        found, script = Collector(), self._tree.is_file(_BOOTSTRAP)
        layers = {
            name: layer
            for name, whole in self.layers().items()
            if whole and (layer := found.attempt(partial(self._layer, name)))
        }
        init = found.attempt(lambda: self._read_all("common/init", prefix="init/")) or ()
        leaf = found.attempt(lambda: self._read_all(COMPANIONS)) or ()
        services = [found.attempt(partial(self._service, name, layers)) for name in self._tree.folders(SERVICES)]
        if found.diagnostics:
            raise InputError(found.diagnostics)
        return Sources(
            layers=layers,
            init=init,
            leaf=leaf,
            services=tuple(sorted(filter(None, services), key=lambda service: service.port)),
            bootstrap=File(path="bootstrap.sh", content=self._tree.read(_BOOTSTRAP), executable=True)
            if script
            else None,
        )

    def _service(self, name: str, layers: Collection[str]) -> Service:
        folder = f"{SERVICES}/{name}"
        declaration = f"{folder}/{service.FILE}"
        if not self._tree.is_file(declaration):
            what, hint = f"there is no {service.FILE}", "it declares the service: see docs/services.md"
            raise InputError([Diagnostic(code="unsafe_path", file=folder, message=what, hint=hint)])
        files = self._read_all(folder, prefix=f"services/{name}/")
        others = tuple(file for file in files if not file.path.endswith(f"/{service.FILE}"))
        return service.parse(self._tree.text(declaration), name, layers=layers, files=others, file=declaration)

    def _layer(self, name: str) -> LayerSource:
        template = f"{LAYERS}/{name}/{_TEMPLATE}"
        self._refuse_big([template])
        return LayerSource(
            name=name,
            template=self._tree.text(template),
            template_path=template,
            files=self._read_all(f"{LAYERS}/{name}/files"),
            leaf=self._read_all(f"{LAYERS}/{name}/leaf"),
        )

    def _read_all(self, folder: str, prefix: str = "") -> tuple[File, ...]:
        """Return all files below a folder; without editors' and Python's droppings."""
        paths = {path: f"{folder}/{path}" for path in self._tree.files(folder, skip=_is_dropping)}
        self._refuse_big(paths.values(), most=_MOST_OF_FILE)
        self._refuse_big(at for at in paths.values() if at.endswith((TEMPLATE_SUFFIX, ".md")))
        return tuple(self._file(prefix + path, at) for path, at in paths.items())

    def _file(self, path: str, at: str) -> File:
        """Return a file of the repository as one of a leaf; a big one is hashed, and not read into memory."""
        executable = self._tree.is_executable(at)
        if self._tree.size(at) > _BIG:
            return File(path=path, stored=self._tree.stored(at), executable=executable)
        return File(path=path, content=self._tree.read(at), executable=executable)

    def _refuse_big(self, texts: Iterable[str], *, most: int = _BIG) -> None:
        if problems := [_oversized(at, size, most) for at in texts if (size := self._tree.size(at)) > most]:
            raise InputError(problems)

    def stale(self, leaves: Mapping[str, Sequence[File]], *, keep: Collection[str]) -> Iterator[str]:
        """Yield each difference between rendered leaves (directory -> files) and the disk, worst first told.

        `keep` are the directories of all rows of the matrix: other generated ones are leftovers.
        """
        for directory, files in leaves.items():
            wanted = (*files, _listing(files))
            found = ((file, self._difference(directory, file)) for file in wanted)
            yield from (f"{directory}/{file.path}{what}" for file, what in found if what)
            listed = {file.path for file in wanted}
            extra = (path for path in self._tree.files(directory, skip=_is_dropping) if path not in listed)
            yield from (f"{directory}/{path}: is not part of the leaf: remove it" for path in extra)
        yield from (f"{directory}: no row of the matrix makes this leaf" for directory in self._leftovers(keep))

    def write_leaves(self, leaves: Mapping[str, Sequence[File]], *, keep: Collection[str]) -> tuple[str, ...]:
        """Write what differs, delete generated files no longer wanted; return the directories touched.

        Files that are already right keep their mtime; files that are not ours stay. Raises InputError, before anything
        is written, for a path that leads through a link or to something else than a file.
        """
        changes = {directory: self._changes(directory, files) for directory, files in leaves.items()}
        obsolete = {directory: gone for directory, (_, gone) in changes.items()}
        leftovers = {directory: self._listed(directory) | {MANIFEST} for directory in self._leftovers(keep)}
        self._tree.check(
            f"{directory}/{path}" for found in (obsolete, leftovers) for directory in found for path in found[directory]
        )
        with telling():
            written = [directory for directory, change in changes.items() if self._write_leaf(directory, *change)]
            for directory, paths in leftovers.items():
                self._tree.delete(directory, paths)
            return (*written, *leftovers)

    def write_leaf(self, directory: str, files: Sequence[File]) -> bool:
        """Write one leaf and touch no other; return whether anything was to be done."""
        return bool(self.write_leaves({directory: files}, keep=self._leaves()))

    def _write_leaf(self, directory: str, changed: Sequence[File], obsolete: Collection[str]) -> bool:
        if obsolete:  # first: a file may have become a folder
            self._tree.delete(directory, obsolete)
        self._tree.clear_remains(directory)
        for file in changed:
            self._tree.replace(f"{directory}/{file.path}", file)
        return bool(changed or obsolete)

    def _changes(self, directory: str, files: Sequence[File]) -> tuple[Sequence[File], Collection[str]]:
        """Return which files of a leaf must be written, and what was generated in it and is no longer rendered.

        Raises InputError where a file cannot be written.
        """
        obsolete = self._listed(directory) - {file.path for file in files}
        gone = {f"{directory}/{path}" for path in obsolete}
        # The listing comes last: a killed run leaves the old one, which still lists what must go.
        changed = [file for file in (*files, _listing(files)) if self._difference(directory, file)]
        problems = [problem for file in changed if (problem := self._tree.problem(f"{directory}/{file.path}"))]
        in_the_way = [problem for problem in problems if not self._goes(problem.file, gone)]
        if in_the_way:
            raise InputError(in_the_way)
        return changed, obsolete

    def _goes(self, path: str, gone: set[str]) -> bool:
        """Whether everything at a path is deleted first: a file that became a folder, or a folder a file."""
        return path in gone or (
            self._tree.is_folder(path) and {f"{path}/{one}" for one in self._tree.files(path)} <= gone
        )

    def _listed(self, directory: str) -> set[str]:
        """Return what a leaf's listing names, but nothing outside the leaf: the listing may come from anywhere."""
        path = f"{directory}/{MANIFEST}"
        text = self._tree.read(path).decode(errors="replace") if self._tree.is_file(path) else ""
        return {name for name in text.split("\n") if tree.is_inside(name)}

    def _leaves(self) -> list[str]:
        """Return the directories of all generated leaves, sorted."""
        families = (f"{IMAGES}/{family}" for family in self._tree.folders(IMAGES))
        found = (f"{family}/{leaf}" for family in families for leaf in self._tree.folders(family))
        return [directory for directory in found if self._tree.is_file(f"{directory}/{MANIFEST}")]

    def _leftovers(self, keep: Collection[str]) -> list[str]:
        return [directory for directory in self._leaves() if directory not in keep]

    def _difference(self, directory: str, file: File) -> str:
        """Return how a file on disk differs from the rendered one, empty when it does not."""
        path = f"{directory}/{file.path}"
        try:
            if file.stored or (self._tree.is_file(path) and self._tree.size(path) > _BIG):
                return self._difference_of_big(path, file)
            content = self._tree.read(path)
        except FileNotFoundError:
            return ": is missing"
        except InputError as error:
            (problem,) = error.diagnostics
            return (
                f": {problem.message}" if problem.file == path else f": is missing ({problem.file} {problem.message})"
            )
        if content != file.content:
            return _first_difference(content, file.content)
        return self._difference_of_mode(path, file)

    def _difference_of_big(self, path: str, file: File) -> str:
        size, wanted = self._tree.size(path), file.stored.bytes if file.stored else len(file.content)
        if size != wanted:
            return f": has {size:,} bytes, should have {wanted:,}"
        sha256 = file.stored.sha256 if file.stored else keys.sha256_of([file.content])
        if self._tree.stored(path).sha256 != sha256:
            return ": has another content"
        return self._difference_of_mode(path, file)

    def _difference_of_mode(self, path: str, file: File) -> str:
        if self._tree.is_executable(path) != file.executable:
            return f": should {'' if file.executable else 'not '}be executable"
        return ""


def _is_dropping(name: str) -> bool:
    """Whether editors or Python leave files or folders of this name."""
    return name == "__pycache__" or name.endswith(("~", ".swp", ".pyc"))


def _read_named(path: Path) -> bytes:
    """Return the content of the matrix file, which a user names: a link is followed, a FIFO is not waited for."""
    if path.exists() and not path.is_file():
        raise InputError([Diagnostic(code="unsafe_path", file=path.name, message="is not a regular file")])
    return path.read_bytes()


def _is_executable(path: Path) -> bool:
    return bool(path.stat().st_mode & 0o100)


def _listing(files: Sequence[File]) -> File:
    return File(path=MANIFEST, content="".join(f"{file.path}\n" for file in files).encode())


def _first_difference(found: bytes, wanted: bytes) -> str:
    old, new = found.decode(errors="replace").split("\n"), wanted.decode(errors="replace").split("\n")
    line = next(
        (at for at, pair in enumerate(zip(old, new, strict=False)) if pair[0] != pair[1]), min(len(old), len(new))
    )
    has = repr(old[line]) if line < len(old) else "nothing"
    wants = repr(new[line]) if line < len(new) else "nothing"
    return f":{line + 1}: has {has}, should have {wants}"


def _oversized(path: str, size: int, most: int) -> Diagnostic:
    return Diagnostic(
        file=path,
        message=f"has {formatting.size(size)}, and may have {formatting.size(most)}",
        hint="copy what is not a template as it is, or download it in a step of the layer, checked by its hash",
        code="oversized_file",
    )
