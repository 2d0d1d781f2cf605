"""Three leaf folders as people keep them: a Dockerfile, a script that builds it with its variables, boot files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

BEGIN: Final = """\
# Stage 1: base, time zone, tools
ARG BASE_IMAGE

FROM ${BASE_IMAGE}

WORKDIR /root
ENV SHELL=/bin/sh

# The time zone
RUN echo Asia/Shanghai > /zone
ENV TZ=Asia/Shanghai

ARG TOOLS_PKG
ENV PATH=/root/tools/bin:$PATH
RUN mkdir -p /root/tools/bin && \\
    echo "${TOOLS_PKG}" > /root/tools/name

EXPOSE 22
RUN mkdir -p /init/
COPY ./init/ /init/
RUN chmod 755 /init/boot/*.sh
CMD ["sh", "/init/boot/boot.sh"]
"""
TORCH: Final = """\

# Stage 3: the framework
ARG TORCH_VERSION
ARG TORCH_VERSION_SUFFIX
ARG DOWNLOAD_URL

RUN if [ ! $DOWNLOAD_URL ]; \\
    then \\
        echo "torch==${TORCH_VERSION}${TORCH_VERSION_SUFFIX}" > /framework; \\
    else \\
        echo "torch==${TORCH_VERSION}${TORCH_VERSION_SUFFIX} from ${DOWNLOAD_URL}" > /framework; \\
    fi
"""
FLOW: Final = """\
ARG FLOW_VERSION
RUN echo "flow==${FLOW_VERSION} in $(cat /zone)" > /framework
"""
_SCRIPT: Final = """\
#!/bin/sh

# Choose the base
BASE_IMAGE={base}

PYTHON_VERSION=3.8
TOOLS_PKG={tools}
{variables}
# The tag names the versions
IMAGE_TAG={tag}

docker build \\
    --build-arg BASE_IMAGE=${{BASE_IMAGE}} \\
    --build-arg PYTHON_VERSION=${{PYTHON_VERSION}} \\
    --build-arg TOOLS_PKG=${{TOOLS_PKG}} \\
{arguments}    -t {name}:${{IMAGE_TAG}}\\
    -f ./Dockerfile \\
    .
"""


def script(name: str, tag: str, base: str, *, tools: str = "tools-1.sh", **variables: str) -> str:
    """Return a build script; `tag` names variables as a shell does."""
    return _SCRIPT.format(
        base=base,
        tools=tools,
        name=name,
        tag=tag,
        variables="".join(f"{variable}={value}\n" for variable, value in variables.items()),
        arguments="".join(f"    --build-arg {variable}=${{{variable}}} \\\n" for variable in variables),
    )


def folders(base: str = "debian:12", *, prefix: str = "") -> Mapping[str, str]:
    """Return the files of three folders on a base, whose beginnings are the same; images' names have a prefix."""
    torch = {"TORCH_VERSION": "2.3.0", "TORCH_VERSION_SUFFIX": "", "DOWNLOAD_URL": "https://example.com/whl/cu121"}
    end = "-python${PYTHON_VERSION}-some-base"
    files = {
        "tools/Dockerfile": BEGIN,
        "tools/build-scripts.sh": script(f"{prefix}tools", f"1{end}", base),
        "torch/Dockerfile": BEGIN + TORCH,
        "torch/build-scripts.sh": script(f"{prefix}torch", f"${{TORCH_VERSION}}{end}", base, **torch),
        "flow/Dockerfile": BEGIN + FLOW,
        "flow/build-scripts.sh": script(f"{prefix}flow", f"${{FLOW_VERSION}}{end}", base, FLOW_VERSION="2.15.0"),
    }
    boot = {"init/boot/boot.sh": "#!/bin/sh\nsleep 1\n", "init/bin/supervisord": "binary\n"}
    return {**files, **{f"{name}/{path}": text for name in ("tools", "torch", "flow") for path, text in boot.items()}}


def write(root: Path, files: Mapping[str, str]) -> None:
    """Write files; what begins with `#!` may be executed."""
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(text.encode(errors="surrogateescape"))
        (root / path).chmod(0o755 if text.startswith("#!") else 0o644)
