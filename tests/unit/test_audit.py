"""What a platform's review finds in an image: made tars in, offences out."""

import io
import json
import os
import tarfile
from collections.abc import Mapping, Sequence

import pytest

from imagematrix import audit
from imagematrix.audit import Evidence
from imagematrix.model import Platform
from imagematrix.verify import filesystem

ART = Platform(name="art", rules=("base-unchanged", "no-new-setuid"), protected=("/etc/ld.so.conf",))
Made = Mapping[str, str | tuple[str, int] | None]
"""Path -> content, content and mode, or None for a directory; `a -> b` is a symbolic link, `a => b` a hard one."""

BASE: Made = {
    "usr": None,
    "usr/bin": None,
    "usr/bin/ls": ("ls", 0o755),
    "usr/bin/su": ("su", 0o4755),
    "usr/lib/cuda/libcudart.so": "cuda",
    "usr/lib/cuda/libcublas.so": "blas",
    "bin -> usr/bin": "",
    "etc/ld.so.conf": "include",
    "etc/passwd": "root",
    "opt/tool": "tool",
}


def tar(files: Made) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for path, said in files.items():
            content, mode = said if isinstance(said, tuple) else (said or "", 0o644)
            member = tarfile.TarInfo(path)
            member.mode, member.size = mode, len(content)
            if said is None:
                member.type, member.mode = tarfile.DIRTYPE, 0o755
            for arrow, kind in ((" -> ", tarfile.SYMTYPE), (" => ", tarfile.LNKTYPE)):
                if arrow in path:
                    member.name, _, member.linkname = path.partition(arrow)
                    member.type = kind
            archive.addfile(member, io.BytesIO(content.encode()))
    return stream.getvalue()


def saved(*layers: bytes) -> list[bytes]:
    """Return what `docker save` writes of an image, in chunks; the blobs come in no certain order."""
    names = [f"blobs/sha256/{number}" for number in range(len(layers))]
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        blobs = [*reversed(list(zip(names, layers, strict=True)))]
        blobs += [("manifest.json", json.dumps([{"Layers": names}]).encode()), ("index.json", b"{}")]
        for name, content in blobs:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    whole = stream.getvalue()
    return [whole[at : at + 1000] for at in range(0, len(whole), 1000)]


def offences(*own: Made, platform: Platform = ART, base: Sequence[Made] = (BASE,)) -> Mapping[str, Sequence[str]]:
    layers = filesystem.read(iter(saved(*map(tar, (*base, *own)))), platform)
    evidence = Evidence(base_name="swr.example.com/base:1", base=layers[: len(base)], own=layers[len(base) :])
    return audit.judge(evidence, platform)


@pytest.mark.parametrize(
    ("layer", "found"),
    [
        ({"usr/bin/mine": "new", "opt/tool": "other", "etc/passwd": "root, sshd"}, []),
        ({"usr/bin": None, "usr/bin/ls": ("ls", 0o755)}, []),  # touched, but the same
        ({"usr/bin/ls": ("sl", 0o755)}, ["/usr/bin/ls changed"]),
        ({"usr/bin/ls": ("ls", 0o777)}, ["/usr/bin/ls changed"]),
        ({"./usr/bin/ls": ("sl", 0o755)}, ["/usr/bin/ls changed"]),
        ({"usr/bin/.wh.ls": ""}, ["/usr/bin/ls removed"]),
        ({"usr/lib/.wh.cuda": ""}, ["/usr/lib/cuda/libcublas.so removed", "/usr/lib/cuda/libcudart.so removed"]),
        (
            {"usr/lib/cuda/.wh..wh..opq": "", "usr/lib/cuda/libcublas.so": "blas"},
            ["/usr/lib/cuda/libcudart.so removed"],
        ),
        (
            {"usr/lib/cuda -> /opt/cuda": ""},
            ["/usr/lib/cuda/libcublas.so removed", "/usr/lib/cuda/libcudart.so removed"],
        ),
        ({"bin -> opt/bin": ""}, ["/bin changed"]),
        ({"etc/ld.so.conf": "nothing"}, ["/etc/ld.so.conf changed"]),
        ({"opt/.wh.tool": "", "etc/.wh.passwd": ""}, []),
    ],
)
def test_nothing_of_the_base_may_change(layer: Made, found: list[str]) -> None:
    assert offences(layer)["base-unchanged"] == tuple(found)


def test_what_counts_is_what_is_seen_in_the_end() -> None:
    assert offences({"usr/bin/.wh.ls": ""}, {"usr/bin/ls": ("ls", 0o755)})["base-unchanged"] == ()
    base = [BASE, {"usr/bin/.wh.ls": ""}]
    assert offences({"usr/bin/ls": "mine"}, base=base)["base-unchanged"] == ()  # the base had taken it away itself


def test_a_hard_link_is_the_file_once_more() -> None:
    base = {**BASE, "usr/bin/dir": ("ls", 0o755)}
    assert offences({"usr/bin/ls": ("ls", 0o755), "usr/bin/dir => usr/bin/ls": ""}, base=[base])["base-unchanged"] == ()


@pytest.mark.parametrize(
    ("layer", "found"),
    [
        ({"usr/bin/su": ("su", 0o4755)}, []),  # the base's own
        ({"opt/run": ("run", 0o4755)}, ["/opt/run mode 4755"]),
        ({"opt/run": ("run", 0o2755)}, ["/opt/run mode 2755"]),
        ({"opt/run": ("run", 0o755)}, []),
    ],
)
def test_no_new_file_may_run_as_root(layer: Made, found: list[str]) -> None:
    assert offences(layer)["no-new-setuid"] == tuple(found)


def test_a_file_that_runs_as_root_offends_though_it_was_removed_again() -> None:
    """It is in the image all the same."""
    assert offences({"opt/run": ("run", 0o4755)}, {"opt/.wh.run": ""})["no-new-setuid"] == ("/opt/run mode 4755",)


@pytest.mark.parametrize(
    ("name", "found"),
    [("swr.example.com/*", ()), ("swr.*/base:2", ("swr.example.com/base:1 is none of swr.*/base:2",))],
)
def test_the_base_must_be_an_official_one(name: str, found: tuple[str, ...]) -> None:
    platform = Platform(name="art", rules=("official-base",), official_bases=(name,))
    assert offences({}, platform=platform)["official-base"] == found


def test_the_size_counts_unpacked_and_as_a_registry_has_it() -> None:
    platform = Platform(name="art", rules=("max-size",), max_bytes=3_000_000)
    noise = os.urandom(3_500_000).hex()  # 7 MB that compress to a little more than half

    small, large = ({"opt/data": noise[:2_000_000]}, {"opt/data": noise})

    assert offences(small, platform=platform)["max-size"] == ()
    unpacked, packed = offences(large, platform=platform)["max-size"]
    assert unpacked == "0.01 GB unpacked, allowed are 0.003 GB"
    assert packed == "0.00 GB compressed, as a registry counts, allowed are 0.003 GB"


def test_the_estimate_of_what_a_registry_has_is_near() -> None:
    noise = os.urandom(4_000_000).hex()
    [layer] = filesystem.read(iter(saved(tar({"opt/data": noise}))), ART)
    assert layer.bytes == 8_000_000
    assert layer.packed == pytest.approx(4_500_000, rel=0.05)
