"""Existing Dockerfiles imported, and built: the images are what the Dockerfiles built themselves."""

import io
import subprocess
import tarfile
from pathlib import Path
from typing import Final

from tests.integration.monorepo import Monorepo
from tests.leaf_folders import folders, write

from imagematrix.engine import buildx_command

STAND_IN: Final = "imagematrix/base:bookworm"
"""An image that needs no registry."""
APP: Final = f"""\
ARG V=0
FROM {STAND_IN} AS build
ARG V
WORKDIR /src
COPY . .
RUN --mount=type=bind,target=/context cat /context/src/*.txt > /out.txt && echo "v$V" >> /out.txt && ls -A >> /out.txt
FROM {STAND_IN}
COPY --from=build /out.txt /out.txt
COPY --from=0 /src/src /src
COPY <<END /hello.txt
hello
END
CMD ["cat", "/out.txt", "/hello.txt"]
"""


def listing(monorepo: Monorepo, image: str) -> list[tuple[str, int, int, int, int]]:
    """Return the files of an image: path, mode, size, user, group."""
    container = monorepo.client.containers.create(image)
    try:
        content = b"".join(container.export())
    finally:
        container.remove()
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        return sorted((each.name, each.mode, each.size, each.uid, each.gid) for each in archive)


def original(monorepo: Monorepo, folder: Path, **arguments: str) -> str:
    """Build a Dockerfile as its author did; return the image."""
    name = f"{monorepo.family}-original:{folder.name}"
    given = [word for pair in arguments.items() for word in ("--build-arg", "=".join(pair))]
    argv = [
        buildx_command(monorepo.engine),
        "build",
        "--quiet",
        "--provenance=false",
        *given,
        "--tag",
        name,
        str(folder),
    ]
    environment = {"PATH": "/usr/bin:/bin", "DOCKER_HOST": monorepo.host, "BUILDX_BUILDER": "default"}
    subprocess.run(argv, check=True, env=environment, stdout=subprocess.DEVNULL)
    return name


def test_imported_images_are_what_they_were(monorepo: Monorepo) -> None:
    """Three leaf folders as the seeds have them, and a Dockerfile that is not taken apart."""
    prefix = f"{monorepo.family}-"
    write(monorepo.root / "old", folders(STAND_IN, prefix=prefix))
    app = {"app/Dockerfile": APP, "app/.dockerignore": "*.log\n", "app/x.log": "x\n", "app/src/a.txt": "a\n"}
    script = {"build.sh": f"docker build -t {prefix}app:3 --build-arg V=3 app\n"}
    write(monorepo.root / "old", {**app, **script})

    done = monorepo.run("import", "old")
    assert (done.code, done.err) == (0, "")
    assert monorepo.run("render").code == 0
    built, report = monorepo.build("--only", f"{prefix}*")
    assert built.code == 0, built.out + built.err
    assert len(report["nodes"]) == 5  # the beginning with the labels of its own row, and without; three on it

    torch = {"TORCH_VERSION": "2.3.0", "DOWNLOAD_URL": "https://example.com/whl/cu121", "TOOLS_PKG": "tools-1.sh"}
    for image, folder, arguments in (
        (f"{prefix}torch:2.3.0-python3.8-some-base", "torch", {"BASE_IMAGE": STAND_IN, **torch}),
        (f"{prefix}app:3", "app", {"V": "3"}),
    ):
        other = original(monorepo, monorepo.root / "old" / folder, **arguments)
        assert listing(monorepo, image) == listing(monorepo, other)
        ours, theirs = (monorepo.client.images.get(name).attrs["Config"] for name in (image, other))
        for key in ("Cmd", "Env", "ExposedPorts", "WorkingDir"):
            assert ours.get(key) == theirs.get(key)
    assert monorepo.output(f"{prefix}app:3").split() == ["a", "v3", ".dockerignore", "Dockerfile", "src", "hello"]
