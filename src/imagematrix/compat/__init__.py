"""Which versions go together: a catalogue of facts, and rules that judge a row by it.

`catalogue` reads the facts (`data/*.json`, each with its sources and date), `overlay` what a project corrects of them
(`shapes` says what a fact looks like), `bounds` says what a row is resolved with and judged by beside what packages
declare, `wheels` knows what has wheels for which Python, the modules named after a product hold its rules, `rules` is
the table of all, `diagnosis` groups what they find.
"""

from imagematrix.compat.catalogue import Bound
from imagematrix.compat.cuda import least_driver
from imagematrix.compat.diagnosis import diagnose, idle
from imagematrix.compat.gpu import BroughtBy, CudaUse, cuda_by_framework, cuda_of, driver_requirement
from imagematrix.compat.others import oldest_patch
from imagematrix.compat.rules import findings, of_plugin, read, reasons, subject
from imagematrix.compat.torch import local_version

__all__ = [
    "Bound",
    "BroughtBy",
    "CudaUse",
    "cuda_by_framework",
    "cuda_of",
    "diagnose",
    "driver_requirement",
    "findings",
    "idle",
    "least_driver",
    "local_version",
    "of_plugin",
    "oldest_patch",
    "read",
    "reasons",
    "subject",
]
