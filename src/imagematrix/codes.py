"""The codes of everything that can be wrong: name -> number, what it means, what to do. `invoke explain` prints them.

A number stands for its name for ever: it is never given to another one. IM1… is how a command ends, IM2… what is wrong
in files of a monorepo, IM3… what is known of versions. A finding of a plugin has a name and no number; a wrong command
line has neither, because its message holds all there is to say.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Code:
    """What one code says."""

    number: int
    meaning: str
    remedy: str

    @property
    def id(self) -> str:
        """The code as people write it: `IM2104`."""
        return f"IM{self.number}"


_IN_MATRIX: Final = "The message names what was expected; editors complete the file with matrix.schema.json."
_OF_FACT: Final = "Take one of the versions that the hint names, or correct the catalogue in compat/ if it is wrong."
_ALLOW: Final = "Take one of the versions that the hint names, or say in the row why it is built anyway: allow."
_IN_FILE: Final = "Correct the Dockerfile, at the line that is named."
_IN_STAGE: Final = "Correct the stage in the layer's Dockerfile.j2; the line is that of the template."

ENDS: Final[Mapping[str, Code]] = {
    "UserError": Code(1000, "The command cannot do what was asked.", "The message says why."),
    "NoEngineError": Code(
        1002,
        "No Docker Engine answers, or its buildx cannot be used.",
        "`invoke doctor` says what is missing; on Debian and Ubuntu, `invoke engine start` starts a private engine.",
    ),
    "LostEngineError": Code(
        1003, "The engine went away during the command.", "Run the same command again: what was finished is kept."
    ),
    "NoClusterError": Code(
        1004, "No cluster takes the builds.", "`imagematrix cluster status ADDRESS` lists the machines of one."
    ),
    "NoMachineError": Code(
        1016,
        "The engine does not run the programs of a row's Docker platform.",
        "docs/platforms.md names the ways: a machine of that platform, a run there, or emulation.",
    ),
    "NoIndexError": Code(
        1005, "The package index does not answer.", "`invoke doctor` asks it; index_url in [site] names another one."
    ),
    "RegistryError": Code(1006, "A registry refuses a request.", "The message holds its answer."),
    "SilentRegistryError": Code(
        1007, "A registry does not answer, or is too busy.", "Run the command again later: what was pushed stays."
    ),
    "DeniedError": Code(
        1008, "A registry wants another login.", "Run `docker login HOST` on the machine that runs this."
    ),
    "DoubtError": Code(
        1009,
        "A registry has another image under a name than the one that belongs there.",
        "docs/security.md says what is believed; build the node again.",
    ),
    "MissingError": Code(1010, "A registry has no such image.", "Push it, or correct the name."),
    "StaleError": Code(
        1011, "Committed files differ from what the matrix renders to.", "Run `invoke render`, and commit the result."
    ),
    "ConflictError": Code(
        1015, "Two changes of one file do not go together.", "Resolve them in the file, as in a merge of git."
    ),
    "DiskError": Code(
        1012,
        "The disk refused: it is full, read-only, or the user has no permission.",
        "`invoke gc --dry-run` lists what can go.",
    ),
    "BusyError": Code(
        1013, "Another run of the same kind is under way.", "Wait for it; two nightly runs of a project never overlap."
    ),
    "InterruptedRunError": Code(
        1014, "The run was stopped by Ctrl-C or a signal.", "The same command continues where it stopped."
    ),
}
"""Class of errors -> code."""

FILES: Final[Mapping[str, Code]] = {
    "matrix": Code(2000, "A value in the matrix file is not valid, or contradicts another one.", _IN_MATRIX),
    "syntax": Code(2001, "The file is not valid TOML.", "The hint names the usual slips: a comma, a quote, a bracket."),
    "unknown_key": Code(2002, "A table has a key that does not exist.", "The hint names the nearest one."),
    "missing_key": Code(2003, "A table lacks a key that it must have.", "Write it; the hint shows how."),
    "wrong_type": Code(2004, "A value has another type than expected.", "Versions are strings: write them in quotes."),
    "given_twice": Code(2005, "A list names something twice.", "Remove one of them."),
    "control_character": Code(
        2006, "A text holds a control character, which could add an instruction to a Dockerfile.", "Remove it."
    ),
    "unreadable": Code(2007, "The matrix file cannot be read.", "Run this in the monorepo's folder, or use --file."),
    "unused_fact": Code(
        2008, "No template, pattern or rule reads a fact or an axis.", "Correct the name, or remove it."
    ),
    "service": Code(2050, "The service.toml of a service is not valid.", "docs/services.md describes its keys."),
    "template": Code(2100, "A template cannot be rendered.", "Correct it; the line is that of the template."),
    "undefined": Code(
        2104, "A template reads a value that the row does not have.", "Set it in the row, its base or [facts]."
    ),
    "missing_source": Code(
        2101, "A layer copies a file that it does not have.", "Put it into the layer's files/, or correct the path."
    ),
    "encoding": Code(2102, "A file is not UTF-8.", "Save it as UTF-8."),
    "oversized_file": Code(2103, "A file of a layer is too big.", "Download it in a step, checked by its hash."),
    "dockerfile_directive": Code(
        2110, "A layer has a parser directive, which only a whole Dockerfile can have.", _IN_STAGE
    ),
    "dockerfile_instruction": Code(2111, "A layer has an instruction that a stage cannot have.", _IN_STAGE),
    "dockerfile_from": Code(2116, "A layer has a FROM line, which imagematrix writes.", _IN_STAGE),
    "dockerfile_onbuild": Code(2117, "A layer has ONBUILD, which would act in images of others.", _IN_STAGE),
    "dockerfile_stage": Code(2120, "A stage of a whole Dockerfile is missing, or its name is taken.", _IN_FILE),
    "dockerfile_argument": Code(2121, "A FROM line of a whole Dockerfile names an argument without a value.", _IN_FILE),
    "dockerfile_scratch": Code(
        2122, "A whole Dockerfile is FROM scratch, and its layer is built on an image.", _IN_FILE
    ),
    "dockerfile_cycle": Code(2123, "Stages of a whole Dockerfile are built from one another.", _IN_FILE),
    "dockerfile_parents": Code(2124, "COPY --parents is not supported in a layer.", _IN_FILE),
    "folder": Code(2130, "A folder that a stage copies from is not declared, or cannot be read.", _IN_MATRIX),
    "secret": Code(2131, "A folder that a stage copies from holds what looks like a secret.", "Leave the file out."),
    "changed_copy": Code(
        2132, "The package has changed a layer since it was copied.", "`invoke layers --diff NAME` shows what changed."
    ),
    "dockerfile_unterminated": Code(2112, "An instruction does not end within the layer.", _IN_STAGE),
    "dockerfile_source": Code(2113, "A source is not a plain path of the layer's own files.", _IN_STAGE),
    "dockerfile_arguments": Code(2114, "The flags or arguments of an instruction cannot be read.", _IN_STAGE),
    "dockerfile_origin": Code(
        2115, "`--from` names something other than the layer below, wheelhouse or an image with its tag.", _IN_STAGE
    ),
    "import": Code(2600, "An image cannot be imported.", "The message says why; the others are imported."),
    "import_call": Code(2601, "A build command of a script cannot be read.", "Write its values out."),
    "import_bake": Code(
        2602, "A bake file, or a target of it, cannot be read.", "`docker buildx bake --print` reads it."
    ),
    "import_cycle": Code(2603, "Images that are to be imported are built on one another.", "Build one on a base."),
    "import_nothing": Code(2604, "A folder that is to be imported has no Dockerfile.", "Name one that has some."),
    "import_twice": Code(2605, "Two images that are to be imported have one name.", "Give one another tag."),
    "import_unread": Code(2606, "A line of a build script is not read.", "Do by hand what the builds need from it."),
    "import_difference": Code(2607, "An imported image differs from what it was.", "The message says in what."),
    "lock": Code(2200, "The lock of bases and epochs is not valid.", "`invoke lock` writes it anew."),
    "unlocked": Code(2201, "Requirements have no lock yet.", "Run `invoke lock`, and commit locks/."),
    "unlockable": Code(2202, "A layer's requirements cannot be locked.", "The message names the layer and the reason."),
    "unsolvable": Code(2203, "Requirements contradict each other.", "The message holds uv's explanation: change one."),
    "changed": Code(2300, "A file was changed while the command ran.", "Run it again."),
    "unsafe_path": Code(
        2301, "A path leads through a link, out of the folder, or to something that is not a file.", "Replace it."
    ),
    "foreign_leaf": Code(
        2302, "A leaf belongs to another matrix file.", "Rename the family or the tag of one of them."
    ),
    "not_ours": Code(
        2303, "A file that imagematrix did not write stands where a generated one belongs.", "Move or remove it."
    ),
    "rule": Code(2400, "A module of common/rules is not a rule.", "docs/plugins.md shows one."),
    "plugin": Code(2401, "A plugin cannot be loaded, or has a wrong table.", "docs/plugins.md lists the tables."),
    "correction": Code(2402, "A file in compat/ is not valid.", "docs/compat.md shows such files."),
    "unused_correction": Code(2403, "A correction in compat/ changes nothing.", "Remove it."),
    "too_big_for_machines": Code(
        2500, "A job of this size cannot be sent to the machines of a cluster.", "Download big files in a step instead."
    ),
    "max_size": Code(
        2501,
        "An image is bigger than its destination accepts, by the sizes of its locks.",
        "Take fewer packages, or a smaller base.",
    ),
}
"""Code of a diagnostic -> what it is about: files of a monorepo."""

VERSIONS: Final[Mapping[str, Code]] = {
    "impossible": Code(3000, "The row says itself that it is impossible, and why.", "It is listed, and not built."),
    "allow": Code(3001, "A row allows something that is not known to be broken.", "Remove `allow`."),
    "bound": Code(3002, "A version is outside of what a package needs and does not declare.", _ALLOW),
    "contradiction": Code(3003, "Pins, facts and axes of a row contradict each other.", "Change one of them."),
    "known_breakage": Code(3004, "Upstream is known to be broken with this combination; an issue tells it.", _ALLOW),
    "architecture_is_known": Code(3005, "The catalogue has no facts for this processor.", "The row is not judged."),
    "pins_are_requirements": Code(
        3006, "A pin is not a requirement as pip takes it.", 'Write it like "numpy==1.26.4".'
    ),
    "run_as_is_an_id": Code(3007, "`run_as` is not the number of a user other than root.", 'Write it like "1000".'),
    "python_end": Code(3100, "This Python gets no security fixes any more.", "Take a newer one when you can."),
    "miniconda_of_python": Code(3101, "The Miniconda installer has another Python, or needs another system.", _OF_FACT),
    "base_python": Code(3102, "The row's Python is not the one that its base brings.", _OF_FACT),
    "base_os": Code(3110, "The fact `os` is not what the image of the base is.", "Correct `os` in [bases.NAME]."),
    "package_manager": Code(3111, "A layer installs with a package manager that the base lacks.", "Take another base."),
    "mirror": Code(3112, "The packages of an old distribution have left its mirrors.", "Set apt_mirror or yum_mirror."),
    "musl": Code(3113, "The base has musl, for which frameworks have no wheels.", "Take a base with glibc."),
    "suite_is_known": Code(3114, "No release is known by the name of the suite in `bootstrap`.", "Correct its name."),
    "base_tag": Code(3120, "NVIDIA has no such tag, or has deleted it.", _OF_FACT),
    "base_facts": Code(3121, "Facts of a base do not agree with its NVIDIA tag.", "Correct the facts in [bases.NAME]."),
    "cuda_used": Code(3122, "Which driver hosts need, or a CUDA of the base that nothing loads.", "Good to know."),
    "torch_on_python": Code(3200, "This torch has no wheel for this Python.", _OF_FACT),
    "torch_build": Code(3201, "This build of torch does not exist.", _OF_FACT),
    "torch_index": Code(3202, "PyPI does not have this build of torch.", "Set torch_index."),
    "torch_on_os": Code(3203, "Torch's wheels need a newer glibc.", "Take a newer base, or an older build."),
    "torchvision": Code(3204, "This torchvision is for another torch.", _OF_FACT),
    "torchaudio": Code(3205, "This torchaudio is for another torch.", _OF_FACT),
    "torch_on_gpus": Code(3206, "This build of torch has no code for a GPU of the row.", _OF_FACT),
    "torch_on_arm64": Code(3207, "PyPI has no such torch for arm64.", _OF_FACT),
    "tensorflow_on_python": Code(
        3300, "This TensorFlow has no wheel for this Python, or not as this package.", _OF_FACT
    ),
    "tensorflow_on_os": Code(3301, "TensorFlow's wheels need a newer glibc.", "Take a newer base."),
    "tensorflow_on_cuda": Code(3302, "TensorFlow looks for libraries of another CUDA.", _ALLOW),
    "tensorflow_on_cudnn": Code(3303, "TensorFlow was built with another cuDNN.", _ALLOW),
    "tensorflow_on_gpus": Code(3304, "This TensorFlow has no code for a GPU of the row.", _OF_FACT),
    "tensorflow_on_arm64": Code(3305, "This TensorFlow package does not exist for arm64.", _OF_FACT),
    "tensorrt_on_python": Code(3310, "This TensorRT has no wheel for this Python.", _OF_FACT),
    "tensorrt_on_cuda": Code(3311, "This TensorRT is for other CUDAs.", _OF_FACT),
    "tensorrt_of_tensorflow": Code(3312, "This TensorFlow loads another TensorRT.", _OF_FACT),
    "paddle_package": Code(3400, "Paddle has no package of this name.", "Take paddlepaddle or paddlepaddle-gpu."),
    "paddle_on_python": Code(3401, "This Paddle has no wheel for this Python.", _OF_FACT),
    "paddle_on_pypi": Code(3402, "PyPI has deleted this release of Paddle.", _OF_FACT),
    "paddle_gpu_on_pypi": Code(3403, "PyPI has another GPU build of this Paddle, or none.", _OF_FACT),
    "paddle_without_cuda": Code(3404, "This Paddle loads CUDA from the base, which has none.", _OF_FACT),
    "paddle_on_cuda": Code(3405, "This Paddle was not built for this CUDA or cuDNN.", _OF_FACT),
    "paddle_on_gpus": Code(3406, "This build of Paddle has no code for a GPU of the row.", _OF_FACT),
    "paddle_on_arm64": Code(3407, "This Paddle package does not exist for arm64.", _OF_FACT),
    "numpy_on_python": Code(3500, "This NumPy has no wheel for this Python.", _OF_FACT),
    "numpy_of_pins": Code(3501, "No NumPy that the pins accept has a wheel for this Python.", "Change the pin."),
    "horovod_on_python": Code(3600, "Horovod is not made for this Python.", _ALLOW),
    "horovod_on_cuda": Code(3601, "Upstream never tried this Horovod with this CUDA.", _ALLOW),
    "horovod_with_tensorflow": Code(3602, "Upstream never tried this Horovod with this TensorFlow.", _ALLOW),
    "horovod_with_torch": Code(3603, "Upstream never tried this Horovod with this torch.", _ALLOW),
    "horovod_is_compiled": Code(
        3604, "Horovod is compiled, and the base has no compiler of CUDA.", "Take a devel base."
    ),
    "horovod_after_framework": Code(
        3605, "Horovod is compiled before its framework is installed.", "Order the layers."
    ),
}
"""Code of a diagnostic -> what it is about: versions of a row."""

CODES: Final[Mapping[str, Code]] = {**ENDS, **FILES, **VERSIONS}


def of_error(error: Exception) -> str:
    """Return the code of an error that ends a command, by its class; empty: it has none."""
    name = type(error).__name__
    return ENDS[name].id if name in ENDS else ""


def shown(name: str) -> str:
    """Return how a code is printed: `IM3200 torch_on_python`; of a plugin's finding, its name alone."""
    return f"{CODES[name].id} {name}" if name in CODES else name
