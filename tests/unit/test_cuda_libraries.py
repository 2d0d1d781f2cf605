"""Which libraries of CUDA a framework loads, and which of them the loader does not find."""

import os
from pathlib import Path

import pytest
import testinfra

from imagematrix.verify import cuda


@pytest.mark.parametrize(
    ("release", "cudnn", "expected"),
    [
        ("12.1", "8.9.2", {"libcudnn.so.8", "libcudnn_cnn_infer.so.8", "libcudnn_ops_train.so.8"}),
        ("10.0", "7", {"libcudart.so.10.0", "libcublas.so.10.0", "libcudnn.so.7"}),
        ("10.1", "7", {"libcudart.so.10.1", "libcublas.so.10", "libcudnn.so.7"}),
        ("11.0", "8", {"libcudart.so.11.0", "libcusolver.so.10", "libcudnn.so.8"}),
        ("11.8", "8.6.0", {"libcudart.so.11.0", "libcusolver.so.11", "libcublasLt.so.11", "libcudnn.so.8"}),
        ("12.5.1", "9", {"libcudart.so.12", "libcufft.so.11", "libcudnn.so.9", "libcudnn_graph.so.9"}),
    ],
)
def test_names_are_those_of_the_cuda_it_was_built_for(release: str, cudnn: str, expected: set[str]) -> None:
    assert expected <= set(cuda.libraries(release, cudnn))


def test_a_build_for_cpus_loads_none() -> None:
    assert cuda.libraries("", "") == ()


def test_what_the_loader_does_not_find_is_named() -> None:
    said = cuda.missing(testinfra.get_host("local://"), ("libc.so.6", "libcudnn.so.8"))
    assert said.startswith("libcudnn.so.8: cannot open shared object file")
    assert "libc.so" not in said


@pytest.mark.parametrize(("others", "told"), [("", False), ("libgfortran.so.5", True)])
def test_what_a_library_is_linked_with_matters_if_something_loads_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, others: str, told: bool
) -> None:
    """PyPI's torch 2.15.0 holds a libgfortran.so.5 that nothing loads, and no libquadmath.so.0 for it."""
    library = tmp_path / "framework/lib/libgfortran.so.5"
    files = {
        "framework/__init__.py": "",
        "framework/lib/libgfortran.so.5": "libnosuch.so.0",
        "framework/lib/libtorch.so": f"libcuda.so.1 {others}",
        "bin/ldd": f"#!/bin/sh\necho {library}:\nprintf '\\t%s => not found\\n' libnosuch.so.0 libcuda.so.1\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "bin/ldd").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    said = cuda.unlinked(testinfra.get_host("local://"), "framework")

    assert said.startswith("libnosuch.so.0: cannot open shared object file") is told
    assert "libcuda" not in said
