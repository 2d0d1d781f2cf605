"""What a destination's review finds in an image: made tars in, offences out."""

import gzip
import io
import json
import os
import tarfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
import zstandard
from tests import projects

from imagematrix import audit
from imagematrix.audit import Rule
from imagematrix.errors import InputError
from imagematrix.model import Matrix, RuleParameters
from imagematrix.verify import filesystem

Asked = Mapping[str, RuleParameters]
ART: Asked = {"base-unchanged": {"files": ("/etc/ld.so.conf", "/home/*/*.sh")}, "no-new-setuid": {}}
Made = Mapping[str, str | tuple[str, int] | tuple[str, int, int] | None]
"""Path -> content, content and mode, these and its owner, or None for a directory.

`a -> b` is a symbolic link, `a => b` a hard one.
"""

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
    "home/worker/utils.sh": "theirs",
    "etc/shadow": "root:*:19000:0:99999:7:::\n",
}


def tar(files: Made) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        for path, said in files.items():
            content, mode, *owner = said if isinstance(said, tuple) else (said or "", 0o644)
            member = tarfile.TarInfo(path)
            member.uid = sum(owner)
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


def offences(
    *own: Made, asked: Asked = ART, base: Sequence[Made] = (BASE,), command: Sequence[str] = ()
) -> Mapping[str, Sequence[str]]:
    rules = loaded(asked)
    layers = filesystem.read(iter(saved(*map(tar, (*base, *own)))), rules)
    return audit.judge(rules, layers, base="swr.example.com/base:1", below=len(base), command=command)


def loaded(asked: Asked) -> Mapping[str, Rule]:
    return {name: audit.load(audit.stock()[name], parameters) for name, parameters in asked.items()}


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
        ({"home/worker/utils.sh": "mine", "home/me/utils.sh": "mine"}, ["/home/worker/utils.sh changed"]),
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
        ({"opt/run": ("run", 0o4755, 1000)}, []),  # it runs as its owner, who is not root
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
    [("swr.example.com/*", ()), ("swr.*/base:2", ("swr.example.com/base:1 is not an official base (swr.*/base:2)",))],
)
def test_the_base_must_be_an_official_one(name: str, found: tuple[str, ...]) -> None:
    asked: Asked = {"official-base": {"images": (name,)}}
    assert offences({}, asked=asked)["official-base"] == found


HIDDEN = ", which a later layer only hides"
KEY = "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1r\n-----END OPENSSH PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    ("path", "text", "what"),
    [
        ("root/.ssh/id_ed25519", KEY, "a private key"),
        ("etc/ssh/ssh_host_rsa_key", KEY.replace("OPENSSH", "RSA"), "a private key"),
        ("srv/tls.pem", KEY.replace("OPENSSH ", ""), "a private key"),
        ("etc/shadow", "root:$y$j9T$abc:19000:0:99999:7:::\n", "a password, or an empty one"),
        ("etc/shadow", "root:*:19000::::::\nguest::19000::::::\n", "a password, or an empty one"),
        ("root/.netrc", "machine a login b password c\n", "a password"),
        ("home/me/.pypirc", "[pypi]\npassword = pypi-c\n", "a password"),
        ("etc/pip.conf", "[global]\nindex-url = https://me:c@example.com/simple\n", "a login in an address"),
        ("opt/python/pip.conf", "[global]\nindex-url = https://me:c@example.com/simple\n", "a login in an address"),
        ("etc/apt/sources.list.d/a.list", "deb http://me:c@example.com/ stable main\n", "a login in an address"),
        ("root/.docker/config.json", '{"auths": {"example.com": {"auth": "YWJj"}}}', "a registry's login"),
        ("root/.aws/credentials", "[default]\naws_secret_access_key = c\n", "a cloud's key"),
        ("etc/sync_passwd", "root:c\n", "a secret of the build or of a destination"),
        ("run/secrets/token", "c", "a secret of the build or of a destination"),
    ],
)
def test_a_credential_is_found_in_every_layer(path: str, text: str, what: str) -> None:
    asked: Asked = {"no-credentials": {}}
    folder, _, name = path.rpartition("/")
    gone = {f"{folder}/.wh.{name}": ""}

    assert offences({path: text}, asked=asked)["no-credentials"] == (f"/{path} has {what}",)
    assert offences({path: text}, gone, asked=asked)["no-credentials"] == (f"/{path} has {what}{HIDDEN}",)
    # What the base has already is the base's.
    assert offences({path: text}, base=[BASE, {path: text}], asked=asked)["no-credentials"] == ()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("etc/shadow", "root:*:19000::::::\nsshd:!:19000::::::\nwork:!!:19000::::::\n"),
        ("etc/ssl/certs/ca.pem", "-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n"),
        ("usr/lib/python3/test/key.pem", KEY),
        ("etc/pip.conf", "[global]\nindex-url = https://example.com/simple\n"),
        ("root/.docker/config.json", '{"auths": {}}'),
        ("run/secrets/ca", ""),
    ],
)
def test_what_is_no_credential(path: str, text: str) -> None:
    asked: Asked = {"no-credentials": {}}
    assert offences({path: text}, asked=asked)["no-credentials"] == ()


GOOD = "[program:a]\ncommand = a\nstdout_logfile = /dev/fd/1\nredirect_stderr = true\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (GOOD, []),
        (GOOD.replace("true", "yes"), []),
        (GOOD.replace("true", "On"), []),
        (GOOD.replace("true", "1"), []),
        (GOOD.replace("true", "no"), ["[program:a] stderr_logfile is AUTO"]),
        ("[supervisord]\nlogfile = /dev/null\n[include]\nfiles = *.conf\n", []),
        ("[program:a]\nstdout_logfile=/dev/stdout\nstderr_logfile=/proc/self/fd/2 ; so\n", []),
        (GOOD.replace("/dev/fd/1", "/var/log/a.log"), ["[program:a] stdout_logfile is /var/log/a.log"]),
        (GOOD.replace("stdout_logfile = /dev/fd/1\n", ""), ["[program:a] stdout_logfile is AUTO"]),
        (GOOD.replace("redirect_stderr = true\n", ""), ["[program:a] stderr_logfile is AUTO"]),
        (GOOD.replace("/dev/fd/1", "NONE"), ["[program:a] stdout_logfile is NONE"]),
        ("command = a\n", ["not a configuration of supervisor: File contains no section headers."]),
    ],
)
@pytest.mark.parametrize("path", ["etc/supervisor/conf.d/a.conf", "init/supervisor/a.conf", "etc/supervisord.d/a.ini"])
def test_services_write_to_standard_output(path: str, text: str, found: Sequence[str]) -> None:
    asked: Asked = {"logs-on-stdout": {}}
    expected = tuple(f"/{path}: {each}{', expected /dev/fd/1' if 'logfile' in each else ''}" for each in found)
    assert offences({path: text}, asked=asked)["logs-on-stdout"] == expected
    # What counts is what is seen in the end.
    assert offences({path: text}, {path: GOOD}, asked=asked)["logs-on-stdout"] == ()
    # What the base brings is the destination's own.
    assert offences({}, asked=asked, base=[{**BASE, path: text}])["logs-on-stdout"] == ()


def test_what_supervisors_package_has_for_its_own_tests_is_not_read() -> None:
    asked: Asked = {"logs-on-stdout": {}}
    path = "usr/lib/python3/dist-packages/supervisor/tests/fixtures/issue-1054.conf"
    assert offences({path: "[program:cat]\ncommand = cat\n"}, asked=asked)["logs-on-stdout"] == ()


@pytest.mark.parametrize(
    ("command", "target"),
    [
        (["sh", "-c", "python train.py > /var/log/train.log 2>&1"], "/var/log/train.log"),
        (["/bin/bash", "-lc", "exec train &>>log"], "log"),
        (["sh", "-c", "exec train 2> errors"], "errors"),
        (["sh", "-c", "exec train > /dev/stdout 2>&1"], ""),
        (["sh", "-c", "probe 2> /dev/null; exec train | tee log"], ""),
        (["python", "-c", "print(2 > 1)"], ""),
    ],
)
def test_what_the_image_runs_writes_to_standard_output(command: Sequence[str], target: str) -> None:
    asked: Asked = {"logs-on-stdout": {}}
    found = offences({}, asked=asked, command=command)["logs-on-stdout"]
    assert [each.partition(": ")[0] for each in found] == ([f"the command writes to {target}"] if target else [])


@pytest.mark.parametrize(
    ("layer", "missing"),
    [
        ({"opt/bin/fetch": "fetch"}, []),
        ({"opt/bin/fetch -> /opt/fetch": ""}, []),
        ({"opt/bin/fetch": "fetch", "home/worker/.wh.utils.sh": ""}, ["/home/*/utils.sh"]),
        ({}, ["/*/bin/fetch"]),
    ],
)
def test_what_a_destinations_tools_need_is_there(layer: Made, missing: Sequence[str]) -> None:
    """Whoever brings it, the base or the image; and a later layer did not take it away."""
    asked: Asked = {"required-files": {"paths": ("/*/bin/fetch", "/home/*/utils.sh")}}
    assert offences(layer, asked=asked)["required-files"] == tuple(f"{each} is missing" for each in missing)


def test_the_size_counts_unpacked_and_as_a_registry_has_it() -> None:
    asked: Asked = {"max-size": {"limit": 3_000_000}}
    noise = os.urandom(3_500_000).hex()  # 7 MB that compress to a little more than half

    small, large = ({"opt/data": noise[:2_000_000]}, {"opt/data": noise})

    assert offences(small, asked=asked)["max-size"] == ()
    unpacked, packed = offences(large, asked=asked)["max-size"]
    assert unpacked == "0.01 GB unpacked, allowed are 0.003 GB"
    assert packed == "0.00 GB compressed, as a registry counts, allowed are 0.003 GB"


def test_the_estimate_of_what_a_registry_has_is_near() -> None:
    noise = os.urandom(4_000_000).hex()
    [layer] = filesystem.read(iter(saved(tar({"opt/data": noise}))), loaded(ART))
    assert layer.bytes == 8_000_000
    assert layer.packed == pytest.approx(4_500_000, rel=0.05)


@pytest.mark.parametrize("compress", [gzip.compress, zstandard.compress], ids=["gzip", "zstd"])
def test_layers_that_the_engine_keeps_compressed(compress: Callable[[bytes], bytes]) -> None:
    """As containerd's store does: their files are read, and their size is exact."""
    layers = [tar({"opt/data": "x" * 9_000_000, "usr/bin/tool": ("", 0o4755)}), tar({"opt/more": "y"})]
    packed = [compress(layer) for layer in layers]
    plain, small = (filesystem.read(iter(saved(*found)), loaded(ART)) for found in (layers, packed))

    assert [layer.bytes for layer in small] == [layer.bytes for layer in plain]
    assert [layer.packed for layer in small] == [len(blob) for blob in packed]
    assert [layer.kept for layer in small] == [layer.kept for layer in plain]


NO_COMPILERS = '''"""It has no compiler."""

from collections.abc import Iterator
from typing import Annotated

from imagematrix.audit import Entry, Evidence, Globs, matches, stacked


def kept(entry: Entry, *, paths: Globs) -> bool | None:
    return matches(entry.path, paths) or None


def offences(evidence: Evidence, *, paths: Annotated[Globs, "What counts as a compiler."]) -> Iterator[str]:
    yield from (f"/{path} is a compiler" for path in sorted(stacked({}, [*evidence.base, *evidence.own])))
'''


def brought(root: Path, rule: str = NO_COMPILERS, *, said: str = '{ paths = ["/usr/bin/cc"] }') -> Matrix:
    """Return a monorepo's matrix, with a rule of its own in common/rules."""
    matrix = f"{projects.MATRIX}\n[destinations.lean.rules]\nno-compilers = {said}\n"
    return projects.project(root, matrix=matrix, files={**projects.FILES, "common/rules/no-compilers.py": rule}).matrix


def judged(matrix: Matrix, *layers: Made) -> Sequence[str]:
    [(name, parameters)] = matrix.destinations["lean"].rules.items()
    rules = {name: audit.load(matrix.rules[name], parameters)}
    read = filesystem.read(iter(saved(*map(tar, layers))), rules)
    return audit.judge(rules, read, base="debian:12", below=1)[name]


def test_a_monorepo_brings_a_rule_in_one_file(tmp_path: Path) -> None:
    matrix = brought(tmp_path)
    assert judged(matrix, BASE, {"usr/bin/cc": "cc"}) == ("/usr/bin/cc is a compiler",)
    assert judged(matrix, BASE, {"usr/bin/cc": "cc"}, {"usr/bin/.wh.cc": ""}) == ()


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ("def offences(evidence:\n", 1),
        ('"""Nothing."""\n', 1),
        ("def offences(evidence, *, many: int): ...\n", 1),
        ("\ndef offences(\n    evidence, *,\n    many: Annotated[Count, 'how many'],\n): ...\n", 4),
    ],
)
def test_a_file_that_declares_no_rule_is_a_problem_with_its_place(tmp_path: Path, rule: str, line: int) -> None:
    with pytest.raises(InputError) as caught:
        brought(tmp_path, rule)
    assert ("common/rules/no-compilers.py", line) in [(each.file, each.line) for each in caught.value.diagnostics]


def test_check_does_not_run_a_rule(tmp_path: Path) -> None:
    """An unreviewed pull request may bring one."""
    brought(tmp_path, f"open({str(tmp_path / 'ran')!r}, 'w')\n{NO_COMPILERS}")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "line", ["raise KeyError('x')", "import nothing_of_this_name", "def kept(entry, *, paths): return {}[paths]"]
)
def test_a_rule_that_fails_offends_itself(tmp_path: Path, line: str) -> None:
    [offence] = judged(brought(tmp_path, f"{NO_COMPILERS}{line}\n"), BASE, {"usr/bin/cc": "cc"})
    assert offence.startswith("the rule itself failed: ")
    assert offence.endswith(f"(common/rules/no-compilers.py:{NO_COMPILERS.count(chr(10)) + 1})")
