"""What an import speaks of: files found, calls that build them, the images that come of both."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from imagematrix.model import File


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundTree:
    """A folder that is to be imported."""

    path: str
    """Its path in messages."""
    within: str | None
    """Its path relative to the matrix file; None: it is outside the repository."""
    files: Mapping[str, File]
    """All its files, by their paths in it; a file may be read when it is asked for."""
    bake: Mapping[str, str]
    """What `docker buildx bake --print` says of its bake files: path -> JSON."""
    unread: Mapping[str, str] = field(default_factory=dict)
    """Bake files of which it says nothing: path -> why."""

    def shown(self, path: str) -> str:
        """Return a path of it as messages show it."""
        return path if self.path == "." else f"{self.path}/{path}"

    def text(self, path: str) -> str:
        """Return the text of a file, with one kind of line end; what is not UTF-8 is replaced."""
        text = self.files[path].content.decode(errors="replace")
        return text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildCall:
    """One image that is built: the Dockerfile, and what it is built with."""

    file: str
    """Where that is written, from the root of the tree; the Dockerfile itself, where nothing calls it."""
    line: int
    dockerfile: str
    """Its path in the tree."""
    context: str
    """The path of its context in the tree; `.`: the tree itself."""
    target: str = ""
    arguments: Mapping[str, str] = field(default_factory=dict)
    """Build arguments."""
    images: tuple[str, ...] = ()
    """The names that it is given, registry and tag included."""
    pattern: str = ""
    """The tag of the first name, with {ARGUMENT} in the place of values that are also build arguments."""
    contexts: Mapping[str, str] = field(default_factory=dict)
    """Named contexts: the path of a folder in the tree, or what takes the place of an image: `docker-image://…`."""
    platforms: tuple[str, ...] = ()
    """The Docker platforms that it is built for; none is named: that of the machine."""
    name: str = ""
    """What bake calls it."""

    @property
    def folders(self) -> Mapping[str, str]:
        """The named contexts that are folders."""
        return {name: value for name, value in self.contexts.items() if not is_image(value)}


def is_image(context: str) -> bool:
    """Whether a named context is an image, another target or something remote, and no folder."""
    return "://" in context or context.startswith(("target:", "git@"))
