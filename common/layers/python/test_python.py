"""The row's Python, at one place for every kind of shell, with exactly what the locks say."""

import json
from collections.abc import Mapping

from testinfra.host import Host

from imagematrix.verify.plugin import Image

INSTALLED = """\
import json, re, importlib.metadata as metadata
print(json.dumps({re.sub("[-_.]+", "-", d.metadata["Name"]).lower(): d.version for d in metadata.distributions()}))
"""


def test_its_version_is_the_rows(host: Host, row: Mapping[str, str]) -> None:
    found = host.check_output("python -c 'import sys; print(*sys.version_info[:3], sep=\".\")'")
    assert (found + ".").startswith(row["python"] + ".")


def test_it_is_at_one_place_for_all_shells(host: Host) -> None:
    place = host.check_output("command -v python")
    assert host.check_output("bash -lc 'command -v python'") == place
    assert host.check_output("env -i HOME=/root TERM=dumb bash -lc 'command -v python'") == place  # as ssh does
    assert host.check_output("bash -lc 'command -v pip'").rpartition("/")[0] == place.rpartition("/")[0]


def test_pip_installs_into_it(host: Host) -> None:
    where = host.check_output("python -c 'import sys; print(sys.prefix)'")
    assert f"from {where}/" in host.check_output("pip --version")


def test_what_is_installed_fits_together(host: Host) -> None:
    found = host.run("python -m pip check")
    assert found.succeeded, found.stdout


def test_every_package_has_the_version_that_its_lock_names(host: Host, image: Image) -> None:
    installed = json.loads(host.check_output(f"python - <<'END'\n{INSTALLED}END"))
    found = {name: installed.get(name, "missing") for name in image.locked}
    assert found == image.locked
