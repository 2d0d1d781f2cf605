"""Templates of an unreviewed checkout: they make text, and cannot reach the Python that runs them."""

from pathlib import Path

import pytest
from tests import projects

from imagematrix.errors import InputError
from imagematrix.project import Selection

REACHING = (
    "''.__class__.__mro__[1].__subclasses__()",
    "family.__class__.__init__.__globals__",
    "site.driver.__globals__",
    "site.__dict__",
    "cycler.__init__.__globals__.os.popen('touch reached').read()",
    "lipsum.__globals__['os'].system('touch reached')",
    "namespace.__init__.__globals__",
    "self.__init__.__globals__",
    "'{0.__class__}'.format(family)",
    "'{x.__class__}'.format_map({'x': family})",
    "family|attr('__class__')",
    "[family]|map(attribute='__class__')|first",
    "(lipsum|attr('__globals__')).os",
)
ENDLESS = (
    "range(10 ** 9)|list",
    "'x' * 10 ** 12",
    "[0] * 10 ** 12",
    "9 ** 9 ** 9",
    "'%999999999999999d' % 1",
    "'x'.ljust(10 ** 15)",
)


def refused(root: Path, expression: str) -> InputError:
    files = {**projects.FILES, "common/layers/system/Dockerfile.j2": f"RUN true\nRUN echo {{{{ {expression} }}}}\n"}
    project = projects.project(root, files=files)
    with pytest.raises(InputError) as caught:
        project.leaves(project.rows(Selection()))
    return caught.value


@pytest.mark.parametrize("expression", [*REACHING, *ENDLESS])
def test_a_template_only_makes_text(tmp_path: Path, expression: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    problems = refused(tmp_path, expression).diagnostics
    assert {(problem.file, problem.line) for problem in problems} == {("common/layers/system/Dockerfile.j2", 2)}
    assert not (tmp_path / "reached").exists()
