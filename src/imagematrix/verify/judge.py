"""What is to be checked of an image, from what is remembered by the time that it is made."""

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Final

from imagematrix.model import Destination, Key, Row
from imagematrix.planning import checks
from imagematrix.planning.checks import Settled, Subject
from imagematrix.project import Project

_PLUGIN: Final = (
    *("plugin.py", "given.py", "containers.py", "shell_backend.py"),
    *("interpreter.py", "companions.py", "cuda.py", "environment.py"),
)
_AUDITOR: Final = (
    "filesystem.py",
    "../engine/saved.py",
    "../audit/contents.py",
    "../audit/layers.py",
    "../audit/rule.py",
)


class Judge:
    """Lists the checks of an image, from what is remembered when it is made."""

    def __init__(self, project: Project) -> None:
        self._texts = checks.Texts(
            files=project.repository.common.checks(),
            plugin="".join(map(_text, _PLUGIN)) + project.repository.common.check_fixtures(),
            rules={name: rule.text for name, rule in project.matrix.rules.items()},
            auditor="".join(map(_text, _AUDITOR)),
        )
        self._known = checks.Known(project.state.settled())

    def knowing(self, shared: Iterable[Settled]) -> "Judge":
        """Return one that knows of more that is settled."""
        other = copy.copy(self)
        other._known = self._known.joined(shared)  # noqa: SLF001  (another one of this class)
        return other

    def subject(self, row: Row, key: Key, image: str, *, also: Destination | None = None) -> Subject:
        """Return the checks of a row's image (by its id), and which of them are settled."""
        return checks.decide(
            row,
            key,
            image,
            texts=self._texts,
            destinations=tuple({one.name: one for one in (row.destination, also) if one}.values()),
            known=self._known,
        )


def _text(name: str) -> str:
    return (Path(__file__).parent / name).read_text(encoding="utf-8")
