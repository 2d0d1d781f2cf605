"""It starts from an image that the destination lets one start from."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Annotated

from imagematrix.audit import Evidence, Globs


def offences(
    evidence: Evidence, *, images: Annotated[Globs, "Globs of image names that it may start from."]
) -> Iterator[str]:
    if not any(fnmatchcase(evidence.base_name, pattern) for pattern in images):
        yield f"{evidence.base_name} is not an official base ({', '.join(images) or 'none is declared'})"
