"""One Python in an image that runs the parts of many checks: importing a framework takes seconds, a part does not."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import pytest

from imagematrix.shell import EndedError, OpenProgram

_SERVER: Final = r'''
import json, linecache, os, sys, tempfile, traceback

class Skipped(Exception):
    """What a part raises where the image lacks what it needs; the message is the reason."""

def run(name, source):
    """Run a part in a namespace of its own; its `result` is the answer."""
    lines = source.splitlines(True)
    linecache.cache[name] = (len(source), None, lines, name)  # so that a traceback shows them
    inside = {"__name__": name, "Skipped": Skipped}
    try:
        exec(compile(source, name, "exec"), inside)
        return {"result": json.loads(json.dumps(inside.get("result")))}
    except Skipped as reason:
        return {"skipped": str(reason)}
    except BaseException as error:
        line = [one.line for one in traceback.extract_tb(error.__traceback__) if one.filename == name][-1:]
        told = "".join(traceback.format_exception_only(type(error), error)).strip()
        below = error.__traceback__ and error.__traceback__.tb_next  # without this function
        shown = traceback.format_exception(type(error), error, below)
        return {"failed": told, "line": line, "traceback": "".join(shown)}

requests, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
for request in iter(requests.readline, ""):
    with tempfile.TemporaryFile() as said:  # what libraries and children print is not the answer
        os.dup2(said.fileno(), 1)
        os.dup2(said.fileno(), 2)
        answer = run(*json.loads(request))
        sys.stdout.flush()
        sys.stderr.flush()
        said.seek(0)
        answer["said"] = said.read().decode("utf-8", "replace")[-5000:]
    answers.write(json.dumps(answer) + "\n")
    answers.flush()
'''
"""What the image's Python runs; any since 3.6 does."""
_SAID_LINES: Final = 10


@dataclass(slots=True)
class Interpreter:
    """Runs one part after the other in one process, which starts with the first."""

    argv: tuple[str, ...]
    """The image's Python; the program that it runs is added."""
    _program: OpenProgram | None = None

    def run(self, name: str, source: str) -> Any:  # noqa: ANN401  # whatever the part made
        """Run a part; return its `result`. A part that fails fails the check, one that raises `Skipped` skips it.

        Where the process ends meanwhile, that is the failure, and the next part starts another.
        """
        __tracebackhide__ = True
        program, self._program = self._program or OpenProgram((*self.argv, "-c", _SERVER)), None
        try:
            answer = json.loads(program.ask(json.dumps([name, source]).encode()))
        except EndedError as error:
            pytest.fail(f"the image's Python ended: {error}\n{error.words.decode(errors='replace')}", pytrace=False)
        self._program = program
        if "skipped" in answer:
            pytest.skip(answer["skipped"])
        if "failed" in answer:
            pytest.fail(_failure(answer), pytrace=False)
        return answer["result"]

    def close(self) -> None:
        """End the process."""
        if self._program:
            self._program.close()


def _failure(answer: Mapping[str, Any]) -> str:
    """Write what went wrong: the error and the line of the part first, then its output."""
    said = answer["said"].splitlines()[-_SAID_LINES:]
    where = [f"in: {line}" for line in answer["line"]]
    return "\n".join([answer["failed"], *where, *answer["traceback"].splitlines(), *said])
