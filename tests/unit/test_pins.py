"""What a row's pins ask for: written as pip takes it, not twice in two ways, and within the bounds of what they pin."""

import pytest
from tests.unit.test_compat import row

from imagematrix import compat
from imagematrix.diagnostics import Severity


def told(**values: str) -> set[tuple[Severity, str, str]]:
    """Return severity, code and subject of each error."""
    found = compat.findings(row(**values))
    return {(each.severity, each.code, each.about) for each in found if each.severity.is_error}


@pytest.mark.parametrize("pin", ["numpy=1.26.4", "numpy==", "numpy>1.2.3.*", "==1.26"])
def test_what_pip_does_not_take(pin: str) -> None:
    """It is reported before a lock is tried."""
    assert (Severity.IMPOSSIBLE, "pins_are_requirements", "pins") in told(torch="2.3.0", pins=f"scipy<1.14 {pin}")


@pytest.mark.parametrize(
    "pins",
    [
        "scipy",
        "scipy==1.13.*",
        "numpy~=1.26",
        "pandas[parquet]>=2,<3",
        "x@https://files.example/x-1-py3-none-any.whl",
        "--no-binary=x",
    ],
)
def test_what_pip_takes(pins: str) -> None:
    assert told(torch="2.3.0", pins=pins) == set()


@pytest.mark.parametrize(
    "values",
    [
        {"pins": "numpy==1.26.4 numpy<1.25"},
        {"pins": "NumPy<1.26 numpy>=1.26"},
        {"pins": "numpy<1.26", "numpy": "1.26.4"},
        {"pins": "torch==2.2.0"},
        {"pins": "torchvision==0.17.0", "torchvision": "0.18.0"},
    ],
)
def test_what_contradicts_itself(values: dict[str, str]) -> None:
    """A pin and another one, a fact or an axis."""
    assert (Severity.IMPOSSIBLE, "contradiction", "pins") in told(torch="2.3.0", **values)


@pytest.mark.parametrize(
    "values",
    [
        {"torch": "2.3.0", "pins": "numpy==1.26.4 numpy<2"},
        {"torch": "2.3.0+cu121", "pins": "torch==2.3.0"},
        {"torch": "2.3.0", "pins": "torch>=2 torchvision<1"},
        {"torch": "2.3.0", "pins": 'numpy<1.25;python_version<"3.9" numpy>=1.26;python_version>="3.9"'},
        {"tensorflow": "2.15", "pins": "tensorflow==2.15.0"},
    ],
)
def test_what_agrees(values: dict[str, str]) -> None:
    """Also where a marker makes one of two pins mean another Python."""
    assert told(**values) == set()


@pytest.mark.parametrize(
    ("values", "about"),
    [
        ({"torch": "2.4.0", "pins": "opencv-python==4.5.5.64 numpy==2.0.0"}, "pins"),
        ({"torch": "2.4.0", "pins": "h5py==3.10.0", "numpy": "2.0.2"}, "numpy"),
        ({"torch": "2.4.0", "pins": "onnxruntime==1.18.0 numpy>=2"}, "pins"),
        ({"torch": "2.4.0", "pins": "torchtext==0.18.0"}, "torch"),
        ({"tensorflow": "2.16.1", "pins": "tensorflow-addons==0.23.0"}, "tensorflow"),
        ({"tensorflow": "2.16.1", "pins": "tensorflow-probability==0.23.0"}, "tensorflow"),
        ({"torch": "2.1.0", "pins": "diffusers==0.21.4 huggingface-hub==0.26.0"}, "pins"),
        ({"torch": "2.1.0", "pins": "pytorch-lightning==1.6.5 torchmetrics==1.0.0"}, "pins"),
        ({"torch": "2.1.0", "pins": "pytorch-lightning==1.4.9 torchmetrics==0.8.2"}, "pins"),
    ],
)
def test_what_a_pinned_package_needs(values: dict[str, str], about: str) -> None:
    """Its bounds hold as those of the framework do; newer ones have none."""
    assert told(python="3.11", **values) == {(Severity.BROKEN, "bound", about)}


@pytest.mark.parametrize(
    "values",
    [
        {"torch": "2.4.0", "pins": "opencv-python==4.10.0.84 h5py==3.11.0 onnxruntime==1.19.0 numpy==2.0.2"},
        {"torch": "2.4.0", "pins": "matplotlib==3.9.0 pyarrow==16.1.0 scikit-learn==1.5.0 numpy==2.0.2"},
        {"torch": "2.3.1", "pins": "torchtext==0.18.0"},
        {"torch": "1.13.1", "pins": "pytorch-lightning==1.4.2 torchmetrics==0.6.0"},
        {"tensorflow": "2.15.1", "pins": "tensorflow-addons==0.23.0 tensorflow-probability==0.23.0"},
    ],
)
def test_what_goes_together(values: dict[str, str]) -> None:
    assert told(python="3.11", **values) == set()


@pytest.mark.parametrize(
    "values",
    [
        {"tensorflow": "2.15.0", "pins": "keras==3.0.0"},
        {"tensorflow": "2.16.1", "keras": "2.15.0"},
        {"tensorflow": "2.12.0", "pins": "protobuf==5.26.1"},
        {"tensorflow": "2.11.0", "pins": "protobuf>=3.20"},
        {"tensorflow": "2.20.0", "pins": "protobuf==3.20.3"},
        {"tensorflow": "2.17.0", "pins": "numpy==2.0.0", "python": "3.11"},
        {"tensorflow": "2.17.1", "pins": "numpy==1.25.2", "python": "3.12"},
    ],
)
def test_what_tensorflow_declares(values: dict[str, str]) -> None:
    """No index is needed to tell; a lock would have no solution."""
    assert (Severity.IMPOSSIBLE, "bound") in {(severity, code) for severity, code, _ in told(**values)}


@pytest.mark.parametrize(
    "values",
    [
        {"tensorflow": "2.15.1", "pins": "keras==2.15.0 protobuf==4.25.9 numpy==1.26.4"},
        {"tensorflow": "2.16.2", "pins": "keras==3.0.0 tf-keras==2.16.0", "python": "3.12"},
        {"tensorflow": "2.8.0", "pins": "protobuf==3.20.3"},
        {"tensorflow": "2.11.0", "pins": "protobuf==3.19.6"},
        {"tensorflow": "2.20.0", "pins": "protobuf==6.33.0 keras==3.12.0"},
    ],
)
def test_what_tensorflow_allows(values: dict[str, str]) -> None:
    assert told(**values) == set()
