"""One Python that runs the parts of many checks: what a part answers, and what becomes of one that does not."""

import sys
from collections.abc import Iterator

import pytest

from imagematrix.verify import companions
from imagematrix.verify.interpreter import Interpreter

Failed, Skipped = pytest.fail.Exception, pytest.skip.Exception


@pytest.fixture
def python() -> Iterator[Interpreter]:
    made = Interpreter((sys.executable,))
    yield made
    made.close()


def test_a_part_answers_with_its_result_whatever_it_prints(python: Interpreter) -> None:
    noisy = "import os\nprint('{}')\nos.system('echo {}; echo {} >&2')\nresult = {'a': [1, 'ä']}"

    assert python.run("noisy", noisy) == {"a": [1, "ä"]}
    assert python.run("silent", "x = 1") is None


def test_all_parts_run_in_one_process_and_each_in_its_own_namespace(python: Interpreter) -> None:
    process = "import os\nresult = [os.getpid(), 'left' in globals()]\nleft = 1"

    assert python.run("first", process) == python.run("second", process)


def test_a_part_that_fails_says_why_and_where_and_what_it_printed(python: Interpreter) -> None:
    with pytest.raises(Failed) as failure:
        python.run("part", "import sys\nsys.stderr.write('a hint\\n')\nwanted = 2\nassert 1 == wanted, 'odd'")

    error, line, *more = str(failure.value).splitlines()
    assert (error, line, more[-1]) == ("AssertionError: odd", "in: assert 1 == wanted, 'odd'", "a hint")
    assert python.run("next", "result = 1") == 1


@pytest.mark.parametrize("source", ["(", "import nosuchmodule", "raise SystemExit(0)", "result = object()"])
def test_whatever_a_part_raises_is_a_failure(python: Interpreter, source: str) -> None:
    with pytest.raises(Failed):
        python.run("part", source)


def test_a_part_that_lacks_something_skips_its_check(python: Interpreter) -> None:
    with pytest.raises(Skipped, match="no compiler"):
        python.run("part", "raise Skipped('no compiler')")


def test_a_process_that_ends_fails_one_part(python: Interpreter) -> None:
    with pytest.raises(Failed, match="exit code -9"):
        python.run("part", "import os\nos.kill(os.getpid(), 9)")

    assert python.run("next", "result = 1") == 1


def test_a_python_that_does_not_start_is_a_failure_with_its_words() -> None:
    with pytest.raises(Failed, match=r"exit code 3\nno such image"):
        Interpreter(("sh", "-c", "echo no such image >&2; exit 3")).run("part", "result = 1")


def test_a_row_names_companions_and_pins() -> None:
    row = {"torch": "2.9.1", "torchvision": "0.24.1", "pins": "NumPy<2 other==1"}
    locked = {"numpy": "1.26.4", "torchvision": "0.24.1+cpu", "torch": "2.9.1+cpu"}

    assert companions.named(row, locked, ("torchvision", "torchaudio")) == {"numpy": "1.26.4", "torchvision": "0.24.1"}


def test_what_is_imported_says_its_version_and_what_is_not_why(python: Interpreter) -> None:
    found = companions.imported(python, ["pytest", "nosuch"])

    assert found == {"pytest": pytest.__version__, "nosuch": found["nosuch"]}
    assert found["nosuch"].startswith("PackageNotFoundError")
