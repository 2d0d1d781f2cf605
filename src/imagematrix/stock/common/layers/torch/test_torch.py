"""PyTorch: the row's version and build, that it learns, and what people do with it and its companions."""

from collections.abc import Mapping

import pytest
from testinfra.host import Host

from imagematrix.compat.architectures import runs
from imagematrix.testing import Image, Interpreter, companions, cuda

TRAINING = """\
import torch
torch.manual_seed(0)
x = torch.randn(256, 4)
y = x @ torch.tensor([[1.0], [-2.0], [3.0], [0.5]])
model = torch.nn.Linear(4, 1)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
losses = []
for _ in range(30):
    loss = ((model(x) - y) ** 2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(float(loss))
assert losses[-1] < losses[0] / 100, losses
result = [str(each) for each in (torch.__version__, torch.version.cuda, torch.backends.cudnn.version()) if each]
# What torch.cuda.get_arch_list() returns; without a GPU, that of older releases returns nothing.
result += (torch._C._cuda_getArchFlags() or "").split() if torch.version.cuda else []
"""

ARRAYS = """\
import importlib.util
if not importlib.util.find_spec("numpy"):
    raise Skipped("the image has no NumPy")
import numpy, torch
array = numpy.arange(6.0).reshape(2, 3)
assert numpy.array_equal(torch.from_numpy(array).numpy(), array)
assert numpy.array_equal(torch.tensor([1.0, 2.0]).numpy(), [1.0, 2.0])
"""

SAVED = """\
import os, tempfile, torch
model, again = torch.nn.Linear(4, 1), torch.nn.Linear(4, 1)
with tempfile.TemporaryDirectory() as folder:
    torch.save(model.state_dict(), os.path.join(folder, "model.pt"))
    again.load_state_dict(torch.load(os.path.join(folder, "model.pt")))
assert torch.equal(again.weight, model.weight)
"""

LOADED = """\
import torch
from torch.utils.data import DataLoader, TensorDataset
loader = DataLoader(TensorDataset(torch.arange(64)), batch_size=8, shuffle=True, num_workers=2)
assert sorted(int(each) for (batch,) in loader for each in batch) == list(range(64))
"""

COMPILED = """\
import torch
if not hasattr(torch, "compile"):
    raise Skipped("PyTorch before 2.0 has no torch.compile")
def formula(x):
    return torch.relu(x) * 2 + 1
x = torch.linspace(-1, 1, 64)
try:
    found = torch.compile(formula, backend={backend!r})(x)
except RuntimeError as error:
    if "supported" in str(error) and "Python 3" in str(error):  # this Python is too new for this torch.compile
        raise Skipped(str(error))
    raise
assert torch.allclose(found, formula(x))
"""

HAS_COMPILER = """\
import os, shutil, sysconfig
if not shutil.which(os.environ.get("CXX", "g++")):
    raise Skipped("the default backend of torch.compile needs a C++ compiler, and the image has none")
if not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")):
    raise Skipped("the default backend of torch.compile needs Python.h, and the image has none")
"""

OPERATOR = """\
import torch
from torchvision.ops import nms
boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [1.0, 1.0, 10.0, 10.0], [20.0, 20.0, 30.0, 30.0]])
assert nms(boxes, torch.tensor([0.7, 0.9, 0.8]), 0.5).tolist() == [1, 2]
"""

MODEL = """\
import torch, torchvision
model = torchvision.models.resnet18().eval()
with torch.no_grad():
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 1000)
"""

AUDIO_FILE = """\
import importlib.util, os, tempfile, torchaudio, wave
if hasattr(torchaudio, "list_audio_backends"):
    if not torchaudio.list_audio_backends():
        raise Skipped("torchaudio finds nothing that reads files (SoX, soundfile, FFmpeg) in the image")
elif not importlib.util.find_spec("torchcodec"):
    raise Skipped("torchaudio from 2.9 on reads files with torchcodec, which the image does not have")
with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "sound.wav")
    with wave.open(path, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(bytes([0, 64]) * 800)  # 800 times one half
    samples, rate = torchaudio.load(path)
assert (tuple(samples.shape), rate, float(samples[0, 400])) == ((1, 800), 8000, 0.5)
"""

RESAMPLED = """\
import math, torch, torchaudio
def tone(rate):
    return torch.sin(2 * math.pi * 100 * torch.arange(rate // 2) / rate)
found = torchaudio.transforms.Resample(16000, 8000)(tone(16000))
assert found.shape == (4000,)
assert torch.allclose(found[100:-100], tone(8000)[100:-100], atol=0.01)
"""

COMPANIONS = ("torchvision", "torchaudio")


KERNEL = """\
import torch
x = torch.ones(256, 256, device="cuda")
assert float((x @ x).sum()) == 256.0**3
"""


@pytest.fixture(scope="module")
def build(python: Interpreter) -> list[str]:
    """Train; return PyTorch's version, and CUDA, cuDNN and GPU architectures of a build for GPUs."""
    found: list[str] = python.run("training", TRAINING)
    return found


@pytest.mark.slow
def test_it_trains_at_the_rows_exact_version(build: list[str], row: Mapping[str, str]) -> None:
    assert build[0].partition("+")[0] == row["torch"]


@pytest.mark.slow
def test_tensors_become_arrays_and_arrays_tensors(python: Interpreter) -> None:
    python.run("arrays", ARRAYS)


@pytest.mark.slow
def test_a_saved_model_is_loaded(python: Interpreter) -> None:
    python.run("saved", SAVED)


@pytest.mark.slow
def test_workers_load_data(python: Interpreter) -> None:
    python.run("loaded", LOADED)


@pytest.mark.slow
def test_torch_compile_captures_a_function(python: Interpreter) -> None:
    """As far as no compiler is needed: what follows is the next check's."""
    python.run("captured", COMPILED.format(backend="aot_eager"))


@pytest.mark.slow
def test_torch_compile_compiles_a_function(python: Interpreter) -> None:
    python.run("compiled", HAS_COMPILER + COMPILED.format(backend="inductor"))


@pytest.mark.slow
def test_companions_are_imported_at_the_rows_versions(
    python: Interpreter, row: Mapping[str, str], image: Image
) -> None:
    wanted = companions.named(row, image.locked, COMPANIONS)
    assert companions.imported(python, wanted) == wanted


@pytest.mark.slow
def test_an_operator_of_torchvision_runs(python: Interpreter, row: Mapping[str, str]) -> None:
    _needs("torchvision", row)
    python.run("operator", OPERATOR)


@pytest.mark.slow
def test_a_model_of_torchvision_runs(python: Interpreter, row: Mapping[str, str]) -> None:
    _needs("torchvision", row)
    python.run("model", MODEL)


@pytest.mark.slow
def test_torchaudio_loads_a_file(python: Interpreter, row: Mapping[str, str]) -> None:
    _needs("torchaudio", row)
    python.run("audio file", AUDIO_FILE)


@pytest.mark.slow
def test_torchaudio_resamples(python: Interpreter, row: Mapping[str, str]) -> None:
    _needs("torchaudio", row)
    python.run("resampled", RESAMPLED)


def _needs(companion: str, row: Mapping[str, str]) -> None:
    if companion not in row:
        pytest.skip(f"the row names no {companion}")


@pytest.mark.slow
def test_its_build_fits_the_rows_cuda(build: list[str], image: Image) -> None:
    """It brings CUDA along: what the base has does not matter, and is a note of `check`."""
    made_for = build[1] if build[1:] else ""
    assert cuda.promised(image.cuda["torch"], made_for), f"it is built for CUDA {made_for or 'none'}"


def test_the_image_asks_for_the_driver_of_the_cuda_that_it_brings(image: Image) -> None:
    """By the CUDA of the check above; a base that has CUDA asks for itself."""
    assert cuda.driver_settings(image.driver_requirement).items() <= image.environment.items()


@pytest.mark.slow
def test_what_it_loads_on_a_gpu_is_found(host: Host, build: list[str]) -> None:
    """What its libraries are linked with, also those that it loads when it needs them; and the parts of its cuDNN."""
    assert cuda.unlinked(host, "torch") == ""
    if build[2:]:  # 8902 is 8.9.2, 90100 is 9.1.0
        major = build[2][:-4] if len(build[2]) > 4 else build[2][:-3]
        assert cuda.missing(host, cuda.cudnn_libraries(major)) == ""


@pytest.mark.slow
def test_it_has_code_for_the_rows_gpus(build: list[str], row: Mapping[str, str]) -> None:
    """Asked of PyTorch itself, what `check` knows from the catalogue."""
    if "gpus" not in row or not build[1:]:
        pytest.skip("the row names no GPUs" if build[1:] else "a build for CPUs")
    code = [each for each in build if each.startswith(("sm_", "compute_"))]
    assert [gpu for gpu in row["gpus"].split() if not runs(code, gpu)] == [], f"it has {' '.join(code)}"


@pytest.mark.slow
def test_a_kernel_runs_on_a_gpu(gpu: Host, build: list[str]) -> None:
    if not build[1:]:
        pytest.skip("a build for CPUs")
    ran = gpu.run(f"python - <<'END'\n{KERNEL}END")
    assert ran.succeeded, ran.stderr[-3000:]
