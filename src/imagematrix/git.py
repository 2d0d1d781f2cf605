"""What git knows of the project's files at another revision."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from imagematrix import scratch
from imagematrix.errors import FlagError
from imagematrix.shell import Shell


class GitRepository:
    """The git repository that a project lies in."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._shell = Shell()

    def changed(self, revision: str, folders: Sequence[str]) -> tuple[str, ...]:
        """Return the files of some folders that differ from a revision, new ones too, by paths from the root.

        Raises FlagError where there is no such revision, or no git repository.
        """
        self._refuse_unknown(revision)
        tracked = self._asked("diff", "--name-only", "--no-renames", "--relative", "-z", revision, "--", *folders)
        untracked = self._asked("ls-files", "--others", "--exclude-standard", "-z", "--", *folders)
        return tuple(sorted({*_names(tracked), *_names(untracked)}))

    def texts(self, revision: str, paths: Iterable[str]) -> dict[str, str]:
        """Return files as they are at a revision: path -> text; those that it does not have are left out."""
        wanted = [*paths]
        questions = "".join(f"{revision}:./{path}\n" for path in wanted)
        answer = self._asked("cat-file", "--batch", stdin=questions.encode())
        found, at = {}, 0
        for path in wanted:
            end = answer.index(b"\n", at)
            head = answer[at:end].split()
            at = end + 1
            if head[-1] != b"missing":
                size = int(head[-1])
                found[path] = answer[at : at + size].decode(errors="replace")
                at += size + 1
        return found

    def _refuse_unknown(self, revision: str) -> None:
        code, _ = self._run("rev-parse", "--git-dir")
        if code:
            raise FlagError("there is no git repository here: --summary compares with one of its commits")
        code, _ = self._run("rev-parse", "--quiet", "--verify", f"{revision}^{{commit}}")
        if code:
            raise FlagError(f"{revision!r} is not a commit of this repository (--summary)")

    def _asked(self, *words: str, stdin: bytes = b"") -> bytes:
        code, said = self._run(*words, stdin=stdin)
        if code:
            raise FlagError(f"git {words[0]}: {said.decode(errors='replace').strip()}")
        return said

    def _run(self, *words: str, stdin: bytes = b"") -> tuple[int, bytes]:
        parts: list[bytes] = []
        try:
            code = self._shell.run(["git", "-C", str(self._root), *words], stdin=stdin, sink=parts.append)
        except FileNotFoundError:
            raise FlagError("git is not installed: --summary compares with one of its commits") from None
        return code, b"".join(parts)


def revision(shell: Shell, root: Path) -> str:
    """Return the commit that a folder is at, `-dirty` if it has changes; empty outside a repository, or without git."""
    code, text = shell.capture(["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40", "--match=-"])
    return "" if code else text.strip()


def branch(root: Path) -> str:
    """Return the branch that a folder is at; empty outside a repository, at no branch, or without git."""
    code, text = Shell().capture(["git", "-C", str(root), "symbolic-ref", "--quiet", "--short", "HEAD"])
    return "" if code else text.strip()


def merged(texts: Mapping[str, bytes]) -> tuple[bytes, bool]:
    """Merge two texts that come from a third; return the result, and whether no lines of it are in conflict.

    The texts by their names, in the order ours, original, theirs; conflicts are marked with the names. Raises FlagError
    without git.
    """
    with scratch.folder("merge") as folder:
        paths = [folder / str(number) for number in range(len(texts))]
        for path, content in zip(paths, texts.values(), strict=True):
            path.write_bytes(content)
        parts: list[bytes] = []
        labels = [word for name in texts for word in ("-L", name)]
        try:
            argv = ["git", "merge-file", "--stdout", "--diff3", *labels, *map(str, paths)]
            code = Shell().run(argv, sink=parts.append)
        except FileNotFoundError:
            raise FlagError("git is not installed: it merges the changes") from None
    return b"".join(parts), code == 0


def remotes(root: Path) -> tuple[str, ...]:
    """Return the addresses that a repository is fetched from and pushed to; none without git."""
    code, text = Shell().capture(["git", "-C", str(root), "remote", "--verbose"])
    return () if code else tuple(line.split()[1] for line in text.splitlines() if len(line.split()) > 1)


def _names(listing: bytes) -> list[str]:
    return [name.decode(errors="surrogateescape") for name in listing.split(b"\0") if name]
