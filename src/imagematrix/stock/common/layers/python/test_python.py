"""The distribution's Python."""

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
