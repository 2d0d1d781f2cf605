"""Miniconda's Python."""

import json

from testinfra.host import Host

from imagematrix.testing.environment import (
    test_every_package_has_the_version_that_its_lock_names,
    test_it_is_at_one_place_for_all_shells,
    test_its_version_is_the_rows,
    test_no_copy_of_cuda_lies_idle,
    test_pip_is_its_own,
    test_what_is_installed_fits_together,
)

__all__ = [
    "test_every_package_has_the_version_that_its_lock_names",
    "test_it_is_at_one_place_for_all_shells",
    "test_its_version_is_the_rows",
    "test_no_copy_of_cuda_lies_idle",
    "test_pip_is_its_own",
    "test_what_is_installed_fits_together",
]


def test_it_uses_no_channel_whose_terms_nobody_accepted(host: Host) -> None:
    assert json.loads(host.check_output("conda config --show channels --json")) == {"channels": ["conda-forge"]}
