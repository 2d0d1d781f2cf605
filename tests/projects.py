"""Small monorepos in a folder: matrix text and the files of common/ in, a project, its keys or its plan out."""

from collections.abc import Collection, Mapping
from pathlib import Path

from imagematrix.commands.build.recorder import record
from imagematrix.model import EngineImage, Key, Plan, node_ref
from imagematrix.planning.graph import Dag
from imagematrix.planning.trust import Bond
from imagematrix.project import Project, Selection, open_project
from imagematrix.repository import STOCK

MATRIX = """\
schema = 1

[bases.cuda]
image = "nvidia/cuda:12.1.0-devel-ubuntu22.04"
os = "ubuntu22.04"

[bases.debian]
bootstrap = "bookworm"
os = "debian12"

[families.pytorch]
layers = ["system", "python", "torch", "boot"]
tag = "{torch}-python{python}-{base}"
groups = ["gpu"]

[families.pytorch.axes]
base = ["cuda", "debian"]
python = ["3.10", "3.11"]
torch = ["2.3.0", "2.4.1"]

[families.plain]
layers = ["system", "python", "boot"]
tag = "{python}-{base}"

[families.plain.axes]
base = ["debian"]
python = ["3.11"]
"""

FILES: Mapping[str, str] = {
    "common/bootstrap/debian.sh": "#!/bin/sh\necho make\n",
    "common/init/boot.sh": "#!/bin/sh\nexec sleep 1\n",
    "common/init/banner.txt": "hello\n",
    "common/layers/system/Dockerfile.j2": "# for {{ os }}\nRUN --mount=type=secret,id=apt apt-get install -y ssh\n",
    "common/layers/python/Dockerfile.j2": "COPY --link python/profile.sh /etc/profile.d/\nENV VERSION={{ python }}\n",
    "common/layers/python/files/profile.sh": "PATH=/opt/python/bin:$PATH\n",
    "common/layers/python/files/unread.txt": "nobody copies this\n",
    "common/layers/torch/Dockerfile.j2": (
        "RUN --mount=type=secret,id=uv \\\n"
        "    --mount=type=bind,source=torch/requirements.txt,target=/r.txt \\\n"
        "    uv pip install -r /r.txt\n"
    ),
    "common/layers/torch/files/requirements.txt.j2": "torch=={{ torch }}\nnumpy<3\n",
    "common/layers/boot/Dockerfile.j2": "COPY --link init/ /init/\n",
}

_COMMON = STOCK / "common"


def machine_files() -> Mapping[str, str]:
    """Return FILES with copies of the package's layer `boot`, its services and all that it puts beside Dockerfiles."""
    layers = ("notebook", "paddle", "tensorflow")
    folders = (_COMMON / "leaf", _COMMON / "services", _COMMON / "layers/boot", *(_COMMON / "layers").glob("*/leaf"))
    paths = (path for folder in folders for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {
        **FILES,
        "common/init/profile/banner.sh": "#!/bin/sh\n",
        **{f"common/layers/{layer}/Dockerfile.j2": "ENV LAYER=1\n" for layer in layers},
        **{str(path.relative_to(_COMMON.parent)): path.read_text(encoding="utf-8") for path in paths},
    }


CUDA = "nvidia/cuda:12.1.0-devel-ubuntu22.04"
"""The base that is pulled."""
PYTORCH = "pytorch:2.3.0-python3.10-cuda"
"""A row on a pulled base."""
PLAIN = "plain:3.11-debian"
"""A row on a bootstrapped base."""


def write(root: Path, *, matrix: str = MATRIX, files: Mapping[str, str] = FILES, lock: str = "") -> Path:
    """Write a monorepo; what begins with `#!` may be executed. Return its matrix file."""
    for name, text in {**files, "matrix.toml": matrix, "matrix.lock": lock}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o755 if text.startswith("#!") else 0o644)
    return root / "matrix.toml"


def project(root: Path, *, matrix: str = MATRIX, files: Mapping[str, str] = FILES, lock: str = "") -> Project:
    """Write a monorepo and open it."""
    return open_project(str(write(root, matrix=matrix, files=files, lock=lock)))


def lock(bases: Mapping[str, str] | None = None, *, epoch: str = "") -> str:
    """Return the text of a matrix.lock: image of a base -> a letter that its digest is made of."""
    digests = "".join(f'"{image}" = "sha256:{letter * 64}"\n' for image, letter in (bases or {}).items())
    return f'schema = 1\nepoch = "{epoch}"\n\n[bases]\n{digests}'


def dag(opened: Project, *only: str) -> Dag:
    """Return the DAG of the rows that match, of all rows without a pattern; less the impossible ones."""
    rows = opened.rows(Selection(only=only))
    return opened.dag(opened.leaves(row for row in rows if not row.impossible))


def keys(opened: Project) -> Mapping[tuple[str, str], Key]:
    """Return the key of each (row, layer)."""
    made = dag(opened)
    rows = made.rows_by_node()
    return {(row, node.layer): key for key, node in made.nodes.items() for row in rows[key]}


def plan(opened: Project, *only: str, images: Collection[EngineImage] = ()) -> Plan:
    """Return the plan for an engine that has these images."""
    return opened.plan(dag(opened, *only), images)


def build(opened: Project, *only: str) -> tuple[EngineImage, ...]:
    """Do as a build would that succeeds: remember every node; return the images the engine then has."""
    steps = plan(opened, *only).steps
    with opened.state.sole_builder(waiting=lambda: None):
        for step in steps:
            opened.state.remember(record(step, 1.0))
    return believe(opened, *(image(step.node.key) for step in steps))


def believe(opened: Project, *images: EngineImage) -> tuple[EngineImage, ...]:
    """Record that images are the nodes of their keys; return them."""
    opened.state.bind(*(Bond(key=each.key, digest=each.id) for each in images))
    return images


def image(key: Key) -> EngineImage:
    """Return a node's image as an engine lists it."""
    return EngineImage(id=f"sha256:{key}", key=key, bytes=1, names=(node_ref(key),))
