"""The checks of a row's Python: at one place for every kind of shell, with exactly what the locks say.

Each layer that brings a Python (the distribution's, Miniconda's, that of the base) has these checks.
"""

import json
import re
from collections.abc import Mapping
from typing import Final

from testinfra.host import Host

from imagematrix.verify import cuda
from imagematrix.verify.given import Image

_IDLE: Final = """\
import re
try:
    from importlib.metadata import distributions
except ImportError:  # before Python 3.8
    from pkg_resources import working_set
    needs = {each.project_name: [str(need) for need in each.requires()] for each in working_set}
else:
    needs = {each.metadata["Name"]: each.requires or [] for each in distributions()}
from ctypes.util import find_library
def plain(name):
    return re.sub("[-_.]+", "-", re.match("[A-Za-z0-9._-]+", name).group()).lower()
wheels = {plain(name) for name in needs if re.search("^nvidia-.*-cu[0-9]+$", plain(name))}
has_own = find_library("cudart")
asked = [
    plain(need) for name, all_needs in needs.items() if plain(name) not in wheels for need in all_needs
    if not (has_own and re.search("extra *==", need))
]
used, new = set(), wheels & set(asked)
while new:
    used |= new
    new = {plain(need) for name in needs if plain(name) in new for need in needs[name]} & wheels - used
print(*sorted(wheels - used))
"""
"""What lies idle: NVIDIA's wheels that nothing but each other needs."""

_LISTED: Final = """\
import json
try:
    from importlib.metadata import distributions
except ImportError:  # before Python 3.8
    from pkg_resources import working_set
    found = [(each.project_name, each.version) for each in working_set]
else:
    found = [(each.metadata["Name"], each.version) for each in distributions()]
print(json.dumps(found[::-1]))
"""
"""What is installed, the first that Python would find told last. `pip list` takes many times as long."""


def test_its_version_is_the_rows(host: Host, row: Mapping[str, str]) -> None:
    found = host.check_output("python -c 'import sys; print(*sys.version_info[:3], sep=\".\")'")
    assert (found + ".").startswith(row["python"] + ".")


def test_it_is_at_one_place_for_all_shells(host: Host) -> None:
    place = host.check_output("command -v python")
    assert host.check_output("bash -lc 'command -v python'") == place
    assert host.check_output("env -i HOME=/root TERM=dumb bash -lc 'command -v python'") == place  # as ssh does
    assert host.check_output("bash -lc 'command -v pip'").rpartition("/")[0] == place.rpartition("/")[0]


def test_pip_is_its_own(host: Host) -> None:
    where = host.check_output("python -c 'import os, pip; print(os.path.dirname(pip.__file__))'")
    assert f"from {where} " in host.check_output("pip --version")


def test_what_is_installed_fits_together(host: Host, image: Image) -> None:
    """What a platform has installed beside it is not ours to judge. uv, where it is, takes a tenth of what pip does."""
    found = host.run("if command -v uv > /dev/null; then uv pip check; else python -m pip check; fi")
    assert found.succeeded or "adopt" in image.layers, found.stdout + found.stderr


def test_no_copy_of_cuda_lies_idle(host: Host, row: Mapping[str, str]) -> None:
    """NVIDIA's wheels are for a framework that asks for them; beside a CUDA of the base, an extra does not count."""
    assert host.check_output(f"python - <<'END'\n{_IDLE}END") == ""
    assert cuda.idle(host, for_gpus="cuda" in row) == ""


def test_every_package_has_the_version_that_its_lock_names(host: Host, image: Image) -> None:
    listed = json.loads(host.check_output(f"python - <<'END'\n{_LISTED}END"))
    installed = {re.sub("[-_.]+", "-", name).lower(): version for name, version in listed}
    found = {name: installed.get(name, "missing") for name in image.locked}
    assert found == image.locked
