"""What checks of layers import: `common/layers/LAYER/test_LAYER.py`, run by `invoke verify`.

Fixtures (`image`, `row`, `host`, `python`, `job`, `machine`, `restricted`, `start`, `gpu`) come from the plugin
`imagematrix.verify.plugin`, which `verify` loads. This module, `imagematrix.plugins`,
`imagematrix.tasks.collection` and the documented JSON are the public interface; everything else may change.
"""

from imagematrix.verify import companions, cuda
from imagematrix.verify.given import Ended, Image, Job, Machine, Starter, eventually
from imagematrix.verify.interpreter import Interpreter

__all__ = ["Ended", "Image", "Interpreter", "Job", "Machine", "Starter", "companions", "cuda", "eventually"]
