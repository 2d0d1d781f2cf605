"""matrix.toml: the rows it gives, and what is reported about a wrong one."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imagematrix import matrix
from imagematrix.errors import InputError
from imagematrix.model import Destination, Matrix, Site
from imagematrix.text import toml_text

LAYERS = {"system": True, "python": True, "torch": True, "boot": True, "draft": False}

GOOD = """\
schema = 1
registry = "registry.example.com:5000/mlops"

[bases.cuda121]
image = "nvidia/cuda:12.1.0-cudnn8-devel-ubuntu22.04"
cuda = "12.1"
python = "3.10"

[bases.debian13]
bootstrap = "trixie"
python = "3.13"

[families.pytorch]
layers = ["system", "python", "torch", "boot"]
tag = "{torch}-python{python}-{base}"
groups = ["amd", "gpu"]

[families.pytorch.axes]
base = ["cuda121", "debian13"]
torch = ["2.4.1", "2.5.1"]

[[families.pytorch.exclude]]
python = "3.13"
torch = "<2.5"
reason = "no cp313 wheel before 2.5.0"

[[families.pytorch.row]]
base = "cuda121"
torch = "2.3.0"

[facts.torch."2.5.1"]
torchvision = "0.20.1"

[facts.python."3.13"]
jupyterlab = "4.4.1"
"""


def parse(text: str) -> Matrix:
    return matrix.parse(text, layers=LAYERS)


def problems(text: str) -> list[str]:
    """Return what is wrong with a text, each as `LINE: what | hint`."""
    with pytest.raises(InputError) as error:
        parse(text)
    return [f"{problem.line}: {problem.message} | {problem.hint}" for problem in error.value.diagnostics]


def changed(*changes: tuple[str, str]) -> str:
    """Return GOOD with one place of each text replaced."""
    text = GOOD
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text


class TestRows:
    """What a matrix gives."""

    def test_rows_are_the_product_without_what_is_excluded_plus_those_by_hand(self) -> None:
        """Rows are sorted by name."""
        assert [row.name for row in parse(GOOD).rows] == [
            "pytorch:2.3.0-python3.10-cuda121",
            "pytorch:2.4.1-python3.10-cuda121",
            "pytorch:2.5.1-python3.10-cuda121",
            "pytorch:2.5.1-python3.13-debian13",
        ]

    def test_a_row_has_all_that_follows_from_its_values(self) -> None:
        """Facts of the base, of an axis, and of a fact."""
        row = parse(GOOD).rows[-1]
        assert row.axes == {"base": "debian13", "torch": "2.5.1"}
        assert row.values == {
            "platform": "linux/amd64",
            "base": "debian13",
            "torch": "2.5.1",
            "python": "3.13",
            "jupyterlab": "4.4.1",
            "torchvision": "0.20.1",
        }
        assert row.base.bootstrap == "trixie"
        assert row.image == "registry.example.com:5000/mlops/pytorch:2.5.1-python3.13-debian13"
        assert row.directory == "images/pytorch/2.5.1-python3.13-debian13"

    def test_without_registry_an_image_is_family_and_tag(self) -> None:
        """So that it can be run as it is named."""
        first = parse(changed(('registry = "registry.example.com:5000/mlops"', ""))).rows[0]
        assert first.image == first.name

    def test_a_family_may_have_one_base_and_rows_only(self) -> None:
        """`base` of the family is an axis of one value; without axes, rows name their own."""
        text = """
            schema = 1
            bases.deb = {image = "debian:12"}
            families.plain = {layers = ["system"], tag = "{v}", base = "deb", row = [{v = "1"}, {v = "2"}]}
        """
        rows = parse(text).rows
        assert [(row.tag, dict(row.axes)) for row in rows] == [
            ("1", {"base": "deb", "v": "1"}),
            ("2", {"base": "deb", "v": "2"}),
        ]

    def test_site_and_platform(self) -> None:
        """They are passed on as they are."""
        site = '[site]\nnetwork = "host"\nextra_index_urls = ["https://b", "https://a"]\n'
        parsed = parse(changed(("schema = 1\n", 'schema = 1\nplatforms = ["linux/arm64"]\n')) + site)
        assert (parsed.platforms, parsed.site.network) == (("linux/arm64",), "host")
        assert parsed.site.extra_index_urls == ("https://b", "https://a")

    @pytest.mark.parametrize(
        ("condition", "left"),
        [
            ('"2.4.1"', ["2.5.1"]),
            ('">=2.4.1,<2.5"', ["2.5.1"]),
            ('"==2.4.*"', ["2.5.1"]),
            ('"!=2.4.1"', ["2.4.1"]),
            ('"~=2.5"', ["2.4.1"]),
        ],
    )
    def test_an_exclude_compares_versions_or_names_one(self, condition: str, left: list[str]) -> None:
        """Comparisons are those of packaging."""
        text = changed(('python = "3.13"\ntorch = "<2.5"', f"torch = {condition}"), ('torch = "2.3.0"', 'torch = "2"'))
        text = text.replace('[[families.pytorch.row]]\nbase = "cuda121"\ntorch = "2"\n', "")
        text = text if "2.5.1" in left else text.replace('[facts.torch."2.5.1"]\ntorchvision = "0.20.1"', "")
        assert sorted({row.axes["torch"] for row in parse(text).rows}) == left

    def test_an_exclude_settles_what_facts_contradict(self) -> None:
        """A fact that contradicts a base is not a problem if no row has both."""
        pinned = '[facts.torch."2.4.1"]\npython = "3.10"\n'
        assert parse(GOOD + pinned) == parse(GOOD)

    def test_allow(self) -> None:
        """A row says why it is built though it is broken; a rule says it for the rows that meet its conditions."""
        rule = '[[families.pytorch.allow]]\ntorch = "<2.5"\nreason = "patched"\n'
        more = '[[families.pytorch.allow]]\npython = "3.10"\ntorch = "2.4.1"\nreason = "tried"\n'
        text = changed(('torch = "2.3.0"', 'torch = "2.3.0"\nallow = "by hand"'))

        assert [row.allow for row in parse(text).rows] == ["by hand", "", "", ""]
        assert {row.tag: row.allow for row in parse(text + rule + more).rows} == {
            "2.3.0-python3.10-cuda121": "by hand; patched",
            "2.4.1-python3.10-cuda121": "patched; tried",
            "2.5.1-python3.10-cuda121": "",
            "2.5.1-python3.13-debian13": "",
        }
        assert "allow" not in parse(text).rows[0].axes

    def test_places(self) -> None:
        """Each value of a row knows where it is written: its axis, its own line, the fact or base it follows from."""
        text = changed(('torch = "2.3.0"', 'torch = "2.3.0"\nallow = "by hand"'))
        rule = '[[families.pytorch.allow]]\ntorch = "2.5.1"\nreason = "x"\n'
        rows = {row.tag: row for row in parse(text + rule).rows}
        hand, grid = rows["2.3.0-python3.10-cuda121"], rows["2.5.1-python3.13-debian13"]

        assert hand.place("torch") == ("families", "pytorch", "row", 0, "torch")
        assert hand.place("allow") == ("families", "pytorch", "row", 0, "allow")
        assert hand.place("cuda") == ("bases", "cuda121", "cuda")
        assert grid.place("torch") == ("families", "pytorch", "axes", "torch", 1)
        assert grid.place("torchvision") == ("facts", "torch", "2.5.1", "torchvision")
        assert grid.place("allow") == ("families", "pytorch", "allow", 0)
        assert grid.place("cuda") == ()

    def test_a_byte_order_mark_is_no_part_of_the_text(self) -> None:
        """Editors of Windows write one."""
        assert parse("\ufeff" + GOOD) == parse(GOOD)

    def test_an_exclude_compares_releases_to_come(self) -> None:
        """A release candidate is a version like any other."""
        text = changed(
            ('torch = "2.3.0"', 'torch = "2.6.0rc1"'),
            ('"<2.5"', '">=2.5.2"'),
            ('base = "cuda121"', 'base = "debian13"'),
        )
        assert problems(text) == [
            (
                "27: families.pytorch.row: an exclude forbids this row: no cp313 wheel before 2.5.0 (line 22)"
                " | remove the row or narrow the exclude"
            )
        ]

    def test_a_base_by_pattern(self) -> None:
        """Filled with what follows from a row's values, its own facts too; rows with one image share the base."""
        text = changed(("12.1.0-cudnn8", "{cuda}.0-{torch}"))
        parsed = parse(text)
        rows = [row for row in parsed.rows if row.axes["base"] == "cuda121"]
        assert [row.base.image for row in rows] == [
            "nvidia/cuda:12.1.0-2.3.0-devel-ubuntu22.04",
            "nvidia/cuda:12.1.0-2.4.1-devel-ubuntu22.04",
            "nvidia/cuda:12.1.0-2.5.1-devel-ubuntu22.04",
        ]
        assert {row.base.name for row in rows} == {"cuda121"}
        assert parsed.bases["cuda121"].image == "nvidia/cuda:{cuda}.0-{torch}-devel-ubuntu22.04"

        same = parse(changed(("12.1.0-cudnn8", "{cuda}.0"))).rows
        assert len({id(row.base) for row in same if row.axes["base"] == "cuda121"}) == 1

    def test_a_registry_by_pattern(self) -> None:
        """The matrix's own, or a destination's."""
        text = changed(("registry.example.com:5000/mlops", "r{python}.example.com/{base}"))
        assert parse(text).rows[-1].image == "r3.13.example.com/debian13/pytorch:2.5.1-python3.13-debian13"

    def test_a_destination(self) -> None:
        """Its registry counts, its facts are values of the family's rows and may fill in patterns."""
        said = 'registry = "swr.{region}.example.com/team"\nmax_size = "9.5 GB"\nregion = "ap-1"\n'
        facts = '[facts.region."ap-1"]\ncity = "Hong Kong"\n'
        text = changed(
            ('groups = ["amd", "gpu"]', 'destination = "art"'), ("nvidia/cuda:", "swr.{region}.example.com/c:")
        )
        row = parse(text + f"[destinations.art]\n{said}{facts}").rows[0]

        assert row.destination == Destination(
            name="art",
            registries=("swr.{region}.example.com/team",),
            max_bytes=9_500_000_000,
            facts={"region": "ap-1"},
        )
        assert row.values["region"] == "ap-1"
        assert row.values["city"] == "Hong Kong"
        assert row.axes.keys() == {"base", "torch"}
        assert row.image == "swr.ap-1.example.com/team/pytorch:2.3.0-python3.10-cuda121"
        assert row.base.image == "swr.ap-1.example.com/c:12.1.0-cudnn8-devel-ubuntu22.04"
        assert row.place("region") == ("destinations", "art", "region")
        assert parse(GOOD).rows[0].destination is None

    @pytest.mark.parametrize(
        ("nodes", "problem"),
        [
            ("registry.example.com/team/nodes", ""),
            ("https://registry.example.com/nodes", "leave out the scheme"),
            ("registry.example.com/nodes:1", "no registry accepts the name"),
            ("registry.example.com/{python}", "no registry accepts the name"),
            ("registry.baidubce.com/nodes", "Baidu's CCR"),
        ],
    )
    def test_where_nodes_are_kept(self, nodes: str, problem: str) -> None:
        """In one repository, so it is not a pattern."""
        text = changed(("schema = 1\n", f'schema = 1\nnodes = "{nodes}"\n'))
        if problem:
            with pytest.raises(InputError, match=problem) as refused:
                parse(text)
            assert str(refused.value).startswith("matrix.toml:2: error: nodes: ")
        else:
            assert parse(text).nodes == nodes

    def test_how_layers_are_compressed(self) -> None:
        assert parse(GOOD).compression == "gzip"
        assert parse(changed(("schema = 1\n", 'schema = 1\ncompression = "zstd"\n'))).compression == "zstd"
        with pytest.raises(InputError, match="expected gzip or zstd") as refused:
            parse(changed(("schema = 1\n", 'schema = 1\ncompression = "xz"\n')))
        assert str(refused.value).startswith("matrix.toml:2: error: compression: ")

    @pytest.mark.parametrize(
        ("keys", "problem"),
        [
            ('public = "nodes.pub"', ""),
            ('public = "keys/nodes.pub"\nkey = "/etc/nodes.pem"', ""),
            ('public = "nodes.pub"\ncommand = ["sign", "-v", "-v"]', ""),
            ('key = "nodes.pem"', "'public' is missing"),
            ('public = "/etc/nodes.pub"', "leads out of the project"),
            ('public = "../nodes.pub"', "leads out of the project"),
            ('public = "nodes.pub"\nkey = "a"\ncommand = ["b"]', "'key' is given too"),
            ('public = "nodes.pub"\ncommand = "sign"', "must be a list of strings"),
            ('public = "nodes.pub"\ncommand = []', "must be a list of strings"),
            ('public = "nodes.pub"\ncommand = [1]', "must be a list of strings"),
            ('public = "nodes.pub"\nprivate = "a"', "private"),
        ],
    )
    def test_how_nodes_are_signed(self, keys: str, problem: str) -> None:
        text = changed(("schema = 1\n", 'schema = 1\nnodes = "registry.example.com/nodes"\n'))
        if problem:
            with pytest.raises(InputError, match=problem):
                parse(f"{text}\n[signing]\n{keys}\n")
        else:
            signing = parse(f"{text}\n[signing]\n{keys}\n").signing
            assert signing
            assert signing.command == (("sign", "-v", "-v") if "command" in keys else ())
        with pytest.raises(InputError, match="there is nothing to sign"):
            parse(f"{GOOD}\n[signing]\n{keys}\n")

    def test_several_registries(self) -> None:
        """A row goes to each; it is built under its name in the first. What comes to the same is one."""
        row = parse(changed(('"registry.example.com:5000/mlops"', '["a.io/x", "b.io/{base}", "b.io/debian13"]'))).rows[
            -1
        ]
        assert row.image == "a.io/x/pytorch:2.5.1-python3.13-debian13"
        assert row.repositories == ("a.io/x/pytorch", "b.io/debian13/pytorch")
        assert parse(changed(('registry = "registry.example.com:5000/mlops"', ""))).rows[0].repositories == ()

    @pytest.mark.parametrize(
        ("registry", "problem"),
        [
            ("swr.cn-north-1.myhuaweicloud.com", "Huawei's SWR does not accept"),
            ("swr.cn-north-1.myhuaweicloud.com/1team", "Huawei's SWR accepts no organization '1team'"),
            ("swr.cn-north-1.myhuaweicloud.com/team--a", "Huawei's SWR accepts no organization 'team--a'"),
            ("swr.cn-north-1.myhuaweicloud.com/" + "t" * 65, "it has 65 characters | expected 1 to 64 characters"),
            ("swr.cn-north-1.myhuaweicloud.com/t/" + "r" * 121, "it has 129 characters | expected 1 to 128 characters"),
            ("swr.cn-north-1.myhuaweicloud.com/t__m/a/b", ""),
            ("ccr.ccs.tencentyun.com/t", "Tencent's CCR accepts no namespace 't': it has 1 characters"),
            ("ccr.ccs.tencentyun.com/team/deep", "Tencent's CCR accepts no repository 'deep/pytorch'"),
            ("ccr.ccs.tencentyun.com/your_namespace", ""),
            ("registry.baidubce.com/2024", "Baidu's CCR accepts no namespace '2024'"),
            ("registry.baidubce.com/paddle-operator", ""),
        ],
    )
    def test_what_providers_take(self, registry: str, problem: str) -> None:
        """Their own rules hold beside docker's; the line is that of the registry, in a list too."""
        text = changed(('"registry.example.com:5000/mlops"', f'[\n"a.io", "{registry}"]'))
        try:
            parse(text)
            told = ""
        except InputError as error:
            told = "\n".join(f"{each.place}: {each.message} | {each.hint}" for each in error.diagnostics)
        assert problem in told
        assert told.startswith("matrix.toml:3: registry: ") == bool(problem)

    def test_tags_leave_room(self) -> None:
        """For what an immutable tag adds, where rows are published; elsewhere docker's 128 do."""
        long = changed(('tag = "', f'tag = "{"x" * 90}'))
        with pytest.raises(
            InputError, match=r"matrix.toml:15: error: families.pytorch.tag: a tag of 114 characters is too long"
        ):
            parse(long)
        assert parse(long.replace("registry =", "#")).rows

    def test_no_tag_is_another_rows_moving_tag(self) -> None:
        """TAG-latest is the newest image of the row TAG."""
        text = """
            schema = 1
            registry = "a.io"
            bases.deb = {image = "debian:12"}
            families.plain = {layers = ["system"], tag = "{v}", base = "deb", row = [{v = "1"}, {v = "1-latest"}]}
        """
        with pytest.raises(InputError, match="the tag '1-latest' of a row is the moving tag of another: base=deb, v=1"):
            parse(text)

    def test_a_destination_without_a_registry(self) -> None:
        """Images are named with the matrix's own."""
        text = changed(('groups = ["amd", "gpu"]', 'destination = "art"')) + "[destinations.art]\n"
        assert parse(text).rows[0].image == parse(GOOD).rows[0].image

    @pytest.mark.parametrize(
        ("text", "size"),
        [("9.5 GB", 9_500_000_000), ("9 GiB", 9 * 2**30), ("500mb", 500_000_000), ("1 tb", 10**12), ("12 B", 12)],
    )
    def test_sizes(self, text: str, size: int) -> None:
        """A number and a unit, decimal or binary."""
        found = parse(
            changed(('groups = ["amd", "gpu"]', 'destination = "a"')) + f'[destinations.a]\nmax_size = "{text}"\n'
        )
        destination = found.rows[0].destination
        assert destination
        assert destination.max_bytes == size

    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ('rules = ["no-setuid"]', "unknown rule 'no-setuid' | did you mean 'no-new-setuid'?"),
            (
                'rules = ["max-size"]',
                "the rule 'max-size' needs limit | write it as [destinations.art.rules.max-size] limit",
            ),
            ("rules.no-setuid = {}", "unknown rule 'no-setuid' | did you mean 'no-new-setuid'?"),
            ("rules.max-size = {}", "'limit' is missing"),
            ('rules.max-size.limit = "big"', "'big' is not a size"),
            ('rules.max-size = {limit = "1 GB", limits = "2 GB"}', "unknown key | did you mean 'limit'?"),
            ('rules.required-files.paths = "/bin/sh"', "the string '/bin/sh' is not a list of strings"),
            ("rules.max-size = 5", "the number 5 is not a table"),
            ('rules.no-new-setuid = {}\nprotected = ["/a"]', "protected is a parameter of the rule 'base-unchanged'"),
            ('rules = "max-size"', "the string 'max-size' is not a list of strings"),
        ],
    )
    def test_rules_of_a_destination_that_are_none(self, text: str, problem: str) -> None:
        header = len(GOOD.splitlines()) + 1
        found = problems(f"{GOOD}[destinations.art]\n{text}\n")
        assert any(problem in each for each in found)
        assert all(int(each.partition(":")[0]) > header for each in found)
        assert not any("destinations.art.destinations" in each for each in found)

    def test_rules_of_a_destination(self) -> None:
        """In a table, or in a list as earlier versions had them."""
        table = 'official-base.images = ["a/*"]\nno-new-setuid = {}\nmax-size.limit = "1 GB"\n'
        listed = 'rules = ["official-base", "no-new-setuid", "max-size"]\nofficial_bases = ["a/*"]\nmax_size = "1 GB"\n'
        destination = parse(GOOD + f"[destinations.art.rules]\n{table}").destinations["art"]
        assert destination.rules == {
            "official-base": {"images": ("a/*",)},
            "no-new-setuid": {},
            "max-size": {"limit": 10**9},
        }
        assert (destination.max_bytes, destination.facts) == (10**9, {})
        assert parse(GOOD + f"[destinations.art]\n{listed}").destinations["art"] == destination

    def test_an_exclude_by_a_fact_of_the_destination(self) -> None:
        """Is as good as one by a base's."""
        text = changed(
            ('groups = ["amd", "gpu"]', 'destination = "a"'), (EXCLUDE, 'torch = "2.4.1"\nkind = "x"\n' + WHY)
        )
        text += '[destinations.a]\nkind = "x"\n'
        assert {row.axes["torch"] for row in parse(text).rows} == {"2.3.0", "2.5.1"}

    def test_sites(self) -> None:
        """Each with its name, as [site] says it."""
        sites = '[sites.tencent]\nindex_url = "http://m.example.com/simple"\ntrusted_hosts = ["m.example.com"]\n'
        parsed = parse(GOOD + sites + "[sites.home]\n")
        assert parsed.sites == {
            "home": Site(name="home"),
            "tencent": Site(name="tencent", index_url="http://m.example.com/simple", trusted_hosts=("m.example.com",)),
        }
        assert parsed.site == Site()

    @pytest.mark.parametrize(
        ("url", "host"),
        [
            ("http://m.example.com:8080/simple", "m.example.com:8080"),
            ("http://m.example.com:8080/simple", "m.example.com"),
            ("http://[fe80::1]:80/simple", "[fe80::1]"),
            ("http://localhost:3141/root/simple", "other.example.com"),
            ("http://[::1]/simple", "other.example.com"),
        ],
    )
    def test_indexes_without_tls(self, url: str, host: str) -> None:
        """As pip: the host trusted with its port or for all ports; this machine always."""
        site = f'[site]\nindex_url = "{url}"\ntrusted_hosts = ["{host}"]\n'
        assert parse(GOOD + site).site.index_url == url

    def test_impossible(self) -> None:
        """A row says why it is impossible, and where; no rule allows it anything."""
        rule = '[[families.pytorch.allow]]\ntorch = "<2.5"\nreason = "patched"\n'
        row, other, *_ = parse(changed(('torch = "2.3.0"', 'torch = "2.3.0"\nimpossible = "deleted"')) + rule).rows
        assert (row.impossible, row.allow) == ("deleted", "")
        assert (other.impossible, other.allow) == ("", "patched")
        assert row.place("impossible") == ("families", "pytorch", "row", 0, "impossible")
        assert row.axes.keys() == {"base", "torch"}

    @pytest.mark.parametrize("registry", ["localhost", "mirror:5000", "[::1]:5000/a", "mlops", "a.io/b-c/d__e"])
    def test_registries(self, registry: str) -> None:
        """A host, a host with a port, a user of Docker Hub, each with components."""
        assert parse(changed(("registry.example.com:5000/mlops", registry))).registries == (registry,)

    @pytest.mark.parametrize("image", ["debian", "debian:12", "r:5000/a/b:1", "a.io/b@sha256:" + "0" * 64])
    def test_images_of_bases(self, image: str) -> None:
        """Whatever an engine can pull."""
        text = changed(("nvidia/cuda:12.1.0-cudnn8-devel-ubuntu22.04", image))
        assert parse(text).bases["cuda121"].image == image


BLOCKS = GOOD.split("\n\n")


@given(st.randoms(use_true_random=False))
def test_the_order_of_the_file_does_not_matter(rng: random.Random) -> None:
    """Tables, keys and axis values in any order give the same matrix."""
    head, *tables = (block.splitlines() for block in BLOCKS)
    blocks = []
    for name, *pairs in tables:
        rng.shuffle(pairs)
        blocks.append("\n".join([name, *pairs]))
    rng.shuffle(blocks)
    text = "\n".join([*head, *blocks])
    for values in (['"2.4.1"', '"2.5.1"'], ['"amd"', '"gpu"'], ['"cuda121"', '"debian13"']):
        shuffled = rng.sample(values, 2)
        text = text.replace(", ".join(values), ", ".join(shuffled))
    parsed, expected = parse(text), parse(GOOD)
    assert parsed == expected
    assert [list(row.values) for row in parsed.rows] == [list(row.values) for row in expected.rows]
    assert [list(row.axes) for row in parsed.rows] == [list(row.axes) for row in expected.rows]


QUOTE = "versions are strings, put it in quotes: without them 3.10 is the number 3.1"
PATH_RULE = "lower case letters and digits, parted by one '.', one or two '_' or any number of '-'"
TAG_RULE = "a tag has 1 to 128 of A-Z a-z 0-9 _ . - and begins with none of . -"
AGREE = "make them agree, or exclude the rows that have both"

AXES = '[families.pytorch.axes]\nbase = ["cuda121", "debian13"]\ntorch = ["2.4.1", "2.5.1"]\n'
GROUPS = 'groups = ["amd", "gpu"]\n\n[families.pytorch.axes]'
WHY = 'reason = "x"\n'
EXCLUDE = 'python = "3.13"\ntorch = "<2.5"\nreason = "no cp313 wheel before 2.5.0"\n'
ROW = '[[families.pytorch.row]]\nbase = "cuda121"\ntorch = "2.3.0"\n'

SYNTAX = {
    "version without quotes": (
        ('"2.3.0"', "2.3.0"),
        (
            "29: TOML syntax: Expected newline or end of document after a statement (near column 12)"
            ' | versions must be quoted: "2.3.0"'
        ),
    ),
    "version without quotes in a list": (
        ('"2.4.1", ', "2.4.1, "),
        '20: TOML syntax: Unclosed array (near column 13) | versions must be quoted: "2.4.1"',
    ),
    "true in capitals": (
        ('"trixie"', "True"),
        "10: TOML syntax: Invalid value (near column 13) | true/false are lower case: true",
    ),
    "key twice": (
        ('cuda = "12.1"', 'cuda = "12.1"\ncuda = "12"'),
        "7: TOML syntax: Cannot overwrite a value (near column 12) | the same key or table is already defined above",
    ),
    "open at the end": (
        ('jupyterlab = "4.4.1"', 'jupyterlab = ["4.4.1"'),
        "35: TOML syntax: Unclosed array | is a comma or a closing bracket missing here, or in a line above?",
    ),
}

SLIPS = {
    'layers = ["a" "b"]': "comma",
    'x = { a = "1" b = "2" }': "comma",
    'x = { a = "1", b = "2"': "closing bracket",
    'layers = ["a",\nx = "b"': "closing bracket",
    'torch =< "2.5"': "condition",
    "torch = <2.5": "condition",
    "image = \u201cdebian:12\u201d": "quotes",
    'layers = ["a"\uff0c "b"]': "Chinese",
    'image = "debian:12': "quote missing",
    "[bases.d\nx = 1": "]",
    "image = debian:12": "quoted",
    'image: "debian:12"': "with =",
}
"""A line, and what its hint speaks of."""


@pytest.mark.parametrize("line", SLIPS)
def test_slips_get_a_hint(line: str) -> None:
    """As those in SYNTAX; good lines with the same signs in texts and comments are read."""
    with pytest.raises(InputError) as caught:
        toml_text.read(f"schema = 1\n{line}\n", file="matrix.toml")
    [found] = caught.value.diagnostics
    assert any(word in found.hint for word in SLIPS[line].split("|"))


def test_signs_in_texts_and_comments_are_no_slips() -> None:
    """The hint is about the line as TOML sees it."""
    with pytest.raises(InputError) as caught:
        toml_text.read('x = "“a”, b" "c"  # =<\n', file="matrix.toml")
    assert "comma" in caught.value.diagnostics[0].hint


def test_the_simplest_family_is_one_line() -> None:
    """A base and layers: one row, whose tag is the base."""
    text = 'schema = 1\nbases.d.image = "debian:12"\nfamilies.x = { base = "d", layers = ["system"] }\n'
    [row] = matrix.parse(text, layers={"system": True}).rows
    assert (row.name, row.family.layers) == ("x:d", ("system",))
    with pytest.raises(InputError, match="unknown base 'e'"):
        matrix.parse(text.replace('"d",', '"e",'), layers={"system": True})


def test_one_line_each_changes_names_language_and_time_of_all_images() -> None:
    """A registry has names of its own, and a base may say another language."""
    head = 'schema = 1\nprefix = "team"\nlanguage = "en_US.UTF-8"\ntimezone = "Europe/Berlin"\n'
    text = 'bases.d.image = "debian:12"\nbases.e = { image = "debian:13", language = "C.UTF-8" }\n'
    rows = '[families.x]\nlayers = ["system"]\ntag = "{base}"\naxes.base = ["d", "e"]\n'
    one, other = matrix.parse(head + text + rows, layers={"system": True}).rows
    assert (one.image, one.values["language"], one.values["timezone"]) == ("team/x:d", "en_US.UTF-8", "Europe/Berlin")
    assert (other.values["language"], other.values["timezone"]) == ("C.UTF-8", "Europe/Berlin")
    published = matrix.parse(f'registry = "r.example.com/a"\n{head}{text}{rows}', layers={"system": True}).rows[0]
    assert published.image == "r.example.com/a/x:d"


@pytest.mark.parametrize("line", ['language = "german"', 'timezone = "here; rm"', 'prefix = "Team"'])
def test_what_people_meet_has_a_grammar(line: str) -> None:
    """It stands in Dockerfiles and in names."""
    text = f'schema = 1\n{line}\nbases.d.image = "debian:12"\nfamilies.x = {{ base = "d", layers = ["system"] }}\n'
    with pytest.raises(InputError) as caught:
        matrix.parse(text, layers={"system": True})
    assert [each.line for each in caught.value.diagnostics] == [2]


UNKNOWN = {
    "key": (("registry =", "registy ="), "2: registy: unknown key | did you mean 'registry'?"),
    "key of a family": (
        ("groups =", "group ="),
        "16: families.pytorch.group: unknown key | did you mean 'groups'?",
    ),
    "layer": (
        ('"python", "torch"', '"pyton", "torch"'),
        "14: families.pytorch.layers: unknown layer 'pyton' | did you mean 'python'?",
    ),
    "layer without template": (
        ('"boot"', '"draft"'),
        "14: families.pytorch.layers: layer 'draft' has no template | write common/layers/draft/Dockerfile.j2",
    ),
    "layer twice": (
        ('"boot"', '"torch"'),
        "14: families.pytorch.layers: 'torch' is given twice | remove one of them",
    ),
    "reserved layer": (
        ('"boot"', '"base"'),
        (
            "14: families.pytorch.layers: 'base' is not a valid name for a layer | a Dockerfile names a stage with"
            " a-z 0-9 _ . -, a letter first; base, context, init, scratch, sources, wheelhouse are taken"
        ),
    ),
    "layer named like a folder of every leaf": (
        ('"boot"', '"init"'),
        (
            "14: families.pytorch.layers: 'init' is not a valid name for a layer | a Dockerfile names a stage with"
            " a-z 0-9 _ . -, a letter first; base, context, init, scratch, sources, wheelhouse are taken"
        ),
    ),
    "base of an axis": (
        ('["cuda121", "debian13"]', '["cuda121", "debian13", "cuda112"]'),
        "19: families.pytorch.axes.base: unknown base 'cuda112' | did you mean 'cuda121'?",
    ),
    "base of a row": (
        ('base = "cuda121"', 'base = "cuda112"'),
        "28: families.pytorch.row.base: unknown base 'cuda112' | did you mean 'cuda121'?",
    ),
    "axis of a row": (
        (ROW, ROW + 'pyton = "3"\n'),
        "30: families.pytorch.row.pyton: unknown axis | known: base, torch",
    ),
    "axis of an exclude": (
        ('torch = "<2.5"', 'trch = "<2.5"'),
        "24: families.pytorch.exclude.trch: unknown axis or fact | did you mean 'torch'?",
    ),
    "name in the tag": (
        ("{torch}-", "{torhc}-"),
        "15: families.pytorch.tag: unknown name {torhc} | did you mean 'torch'?",
    ),
    "destination of a family": (
        (GROUPS, 'destination = "tencnet"\n[destinations.tencent]\n[families.pytorch.axes]'),
        "16: families.pytorch.destination: unknown destination 'tencnet' | did you mean 'tencent'?",
    ),
    "destination by its former name": (
        (GROUPS, 'platform = "ti"\n\n[families.pytorch.axes]'),
        (
            "16: families.pytorch.platform: platform is now destination"
            " | rename the key, and [platforms.NAME] to [destinations.NAME]"
        ),
    ),
    "destinations by their former name": (
        (ROW, ROW + '[platforms.ti]\nmax_size = "9 GB"\n[platforms.ti.rules]\nno-new-setuid = {}\n[platforms.b]\n'),
        (
            "30: platforms: [platforms] is now [destinations]"
            " | rename the tables to [destinations.NAME], and the key platform of families to destination"
        ),
    ),
    "destination where there is none": (
        (GROUPS, 'destination = "ti"\n\n[families.pytorch.axes]'),
        "16: families.pytorch.destination: unknown destination 'ti' | none is declared",
    ),
    "key of a site": (
        (GROUPS, '[sites.x]\nindex_uri = "x"\n[families.pytorch.axes]'),
        "17: sites.x.index_uri: unknown key | did you mean 'index_url'?",
    ),
    "name in an image": (
        ("12.1.0", "{cudda}"),
        "5: bases.cuda121.image: unknown name {cudda} | did you mean 'cuda'?",
    ),
    "name in the registry": (
        ("com:5000", "{pyton}"),
        "2: registry: unknown name {pyton} | did you mean 'python'?",
    ),
    "axis of facts": (
        ("[facts.torch.", "[facts.trch."),
        "31: facts.trch.\"2.5.1\": nothing uses these facts: no row has an axis or fact 'trch' | did you mean 'torch'?",
    ),
    "value of facts": (
        ('[facts.torch."2.5.1"]', '[facts.torch."2.5.11"]'),
        "31: facts.torch.\"2.5.11\": nothing uses these facts: no row has torch = '2.5.11' | did you mean '2.5.1'?",
    ),
}

TYPES = {
    "number in an axis": (
        ('["2.4.1", "2.5.1"]', '[2.4, "2.5.1"]'),
        f"20: families.pytorch.axes.torch: the number 2.4 is not a string | {QUOTE}",
    ),
    "number in a base": (
        ('python = "3.10"', "python = 3.10"),
        f"7: bases.cuda121.python: the number 3.1 is not a string | {QUOTE}",
    ),
    "number in a row": (
        ('torch = "2.3.0"', "torch = 2"),
        f"29: families.pytorch.row.torch: the number 2 is not a string | {QUOTE}",
    ),
    "number in facts": (
        ('"4.4.1"', "4.4"),
        f'35: facts.python."3.13".jupyterlab: the number 4.4 is not a string | {QUOTE}',
    ),
    "version of facts without quotes": (
        ('[facts.torch."2.5.1"]', "[facts.torch.2.5.1]"),
        (
            "31: facts.torch.2.5.1: without quotes, a version is read as nested tables"
            ' | quote the version: [facts.torch."2.5.1"]'
        ),
    ),
    "string for a list": (
        ('["amd", "gpu"]', '"gpu"'),
        "16: families.pytorch.groups: the string 'gpu' is not a list of strings | write it in brackets: [\"gpu\"]",
    ),
    "boolean for a string": (
        ('"12.1"', "true"),
        "6: bases.cuda121.cuda: true is not a string | expected a string",
    ),
    "list for a table": (
        ('[facts.python."3.13"]\njupyterlab = "4.4.1"', "[facts]\npython = []"),
        "35: facts.python: a list is not a table | expected a table",
    ),
    "table for a list of tables": (
        ("[[families.pytorch.row]]", "[families.pytorch.row]"),
        (
            "27: families.pytorch.row: a table is not a list of tables"
            " | expected a list of tables, [[families.pytorch.row]]"
        ),
    ),
    "schema": (("schema = 1", "schema = 2"), "1: schema: 2 is not supported | this version reads schema = 1"),
    "schema as a boolean": (
        ("schema = 1", "schema = true"),
        "1: schema: True is not supported | this version reads schema = 1",
    ),
    "no schema": (("schema = 1", ""), "0: 'schema' is missing | begin the file with: schema = 1"),
}

RULES = {
    "base of nothing": (
        ('bootstrap = "trixie"', ""),
        (
            "9: bases.debian13: neither image nor bootstrap is given"
            " | give one: image = what to pull, bootstrap = the suite to make it from"
        ),
    ),
    "base of two": (
        ('bootstrap = "trixie"', 'bootstrap = "trixie"\nimage = "debian:13"'),
        (
            "9: bases.debian13: both image and bootstrap are given"
            " | give one: image = what to pull, bootstrap = the suite to make it from"
        ),
    ),
    "suite": (
        ('"trixie"', '"Debian 13"'),
        (
            "10: bases.debian13.bootstrap: 'Debian 13' is not a valid suite | expected a name in"
            ' lower case, like "bookworm"'
        ),
    ),
    "image": (
        ('"nvidia/cuda:12.1.0-cudnn8-devel-ubuntu22.04"', '"NVIDIA/cuda:12.1.0"'),
        (
            "5: bases.cuda121.image: no registry accepts the name 'NVIDIA/cuda:12.1.0'"
            ' | expected "[host/]name[:tag][@sha256:digest]"'
        ),
    ),
    "fact that is not a valid variable": (
        ('cuda = "12.1"', 'cuda-version = "12.1"'),
        (
            "6: bases.cuda121.cuda-version: not a valid name for an axis or fact"
            " | expected letters, digits and '_', not beginning with a digit: templates use it as a variable"
        ),
    ),
    "registry": (
        ('"registry.example.com:5000/mlops"', '"registry.example.com/MLOps"'),
        (
            "2: registry: no registry accepts the name 'registry.example.com/MLOps'"
            f' | expected "host[:port]/path", the path {PATH_RULE}'
        ),
    ),
    "registry with a scheme": (
        ('"registry.example.com:5000/mlops"', '"https://x.io/a"'),
        (
            "2: registry: no registry accepts the name 'https://x.io/a'"
            f' | leave out the scheme: expected "host[:port]/path", the path {PATH_RULE}'
        ),
    ),
    "platform": (
        ("schema = 1", 'schema = 1\nplatforms = ["amd64"]'),
        '2: platforms: \'amd64\' is not a valid Docker platform | expected "os/architecture", like "linux/arm64"',
    ),
    "platform that does not exist": (
        ("schema = 1", 'schema = 1\nplatforms = ["linux/amd65", "linux/arm64"]'),
        "2: platforms: 'linux/amd65' is not a platform of Linux that Docker knows | did you mean 'linux/amd64'?",
    ),
    "platform in the words of uname": (
        ("schema = 1", 'schema = 1\nplatforms = ["linux/aarch64"]'),
        "2: platforms: 'linux/aarch64' is not a platform of Linux that Docker knows | did you mean 'linux/arm64'?",
    ),
    "platform of another system": (
        ("schema = 1", 'schema = 1\nplatforms = ["windows/amd64"]'),
        "2: platforms: 'windows/amd64' is not a platform of Linux that Docker knows | did you mean 'linux/amd64'?",
    ),
    "network": (
        ("[bases.cuda121]", '[site]\nnetwork = "bridge"\n[bases.cuda121]'),
        '5: site.network: \'bridge\' is not a valid network of build steps | expected "host" or "none"',
    ),
    "tag missing": (
        ('tag = "{torch}-python{python}-{base}"', ""),
        "13: families.pytorch: 'tag' is missing | make one of its axes: tag = \"{torch}-python{python}\"",
    ),
    "tag empty": (
        ('"{torch}-python{python}-{base}"', '""'),
        '15: families.pytorch.tag: the tag is empty | make one of its axes: tag = "{torch}-python{python}"',
    ),
    "layers missing": (
        ('layers = ["system", "python", "torch", "boot"]', ""),
        (
            "13: families.pytorch: 'layers' is missing"
            ' | name folders of common/layers in order: layers = ["system", "python"]'
        ),
    ),
    "layers empty": (
        ('["system", "python", "torch", "boot"]', "[]"),
        "14: families.pytorch.layers: the list is empty | name at least one folder of common/layers",
    ),
    "braces": (
        ("-{base}", "-{base"),
        (
            "15: families.pytorch.tag: the braces of '{torch}-python{python}-{base' are wrong"
            " | a pattern is text with {name} of an axis or fact, nothing else in braces"
        ),
    ),
    "name that some rows lack": (
        ("-{base}", "-{base}-{torchvision}"),
        (
            "15: families.pytorch.tag: a row has no torchvision: base=cuda121, torch=2.4.1, and 1 more like it"
            " | give every row a torchvision, as an axis or by facts"
        ),
    ),
    "tag that docker refuses": (
        ('"2.3.0"', '"2.3.0+cu121"'),
        (
            "15: families.pytorch.tag: docker accepts no tag '2.3.0+cu121-python3.10-cuda121':"
            f" base=cuda121, torch=2.3.0+cu121 | {TAG_RULE}"
        ),
    ),
    "tag that begins with a dot": (
        ('"{torch}-', '".{torch}-'),
        (
            "15: families.pytorch.tag: docker accepts no tag '.2.4.1-python3.10-cuda121':"
            f" base=cuda121, torch=2.4.1, and 3 more like it | {TAG_RULE}"
        ),
    ),
    "two rows with one tag": (
        ("{torch}-", ""),
        (
            "15: families.pytorch.tag: two rows have the tag 'python3.10-cuda121':"
            " base=cuda121, torch=2.4.1 and base=cuda121, torch=2.5.1, and 1 more like it | put {torch} into the tag"
        ),
    ),
    "axis without values": (
        ('torch = ["2.4.1", "2.5.1"]', "torch = []"),
        "20: families.pytorch.axes.torch: the axis has no values | give it at least one, or remove it",
    ),
    "value twice": (
        ('"2.5.1"]\n\n[[f', '"2.5.1", "2.4.1"]\n\n[[f'),
        "20: families.pytorch.axes.torch: '2.4.1' is given twice | remove one of them",
    ),
    "base twice": (
        ('groups = ["amd", "gpu"]', 'base = "cuda121"'),
        "16: families.pytorch.base: base is also an axis | keep one of them",
    ),
    "axis named reason": (
        ('"2.5.1"]\n\n[[f', '"2.5.1"]\nreason = ["x"]\n\n[[f'),
        (
            "21: families.pytorch.axes.reason: an axis cannot be named 'reason' | this key is"
            " reserved for the reason of an exclude"
        ),
    ),
    "axis named impossible": (
        ('"2.5.1"]\n\n[[f', '"2.5.1"]\nimpossible = ["x"]\n\n[[f'),
        (
            "21: families.pytorch.axes.impossible: an axis cannot be named 'impossible'"
            " | this key is reserved for the reason why a row is impossible"
        ),
    ),
    "impossible without a reason": (
        ('torch = "2.3.0"', 'torch = "2.3.0"\nimpossible = ""'),
        ('30: families.pytorch.row.impossible: the reason is empty | say why the row is impossible: impossible = "…"'),
    ),
    "impossible that is not a text": (
        ('torch = "2.3.0"', 'torch = "2.3.0"\nimpossible = true'),
        "30: families.pytorch.row.impossible: true is not a string | expected a string",
    ),
    "impossible and allowed": (
        ('torch = "2.3.0"', 'torch = "2.3.0"\nimpossible = "x"\nallow = "y"'),
        ("31: families.pytorch.row.allow: an impossible row is not built | keep one of allow and impossible"),
    ),
    "allow of what is impossible": (
        (ROW, ROW + 'impossible = "x"\n[[families.pytorch.allow]]\ntorch = "2.3.0"\n' + WHY),
        (
            "31: families.pytorch.allow: this allow matches nothing"
            " | no row meets all of its conditions: correct it or remove it"
        ),
    ),
    "impossible row twice": (
        (ROW, ROW + ROW + 'impossible = "x"\n'),
        "30: families.pytorch.row: this row is given twice (line 27) | remove one of them",
    ),
    "tag of what is impossible": (
        ('tag = "{torch}-', 'tag = "'),
        (
            "15: families.pytorch.tag: two rows have the tag 'python3.10-cuda121':"
            " base=cuda121, torch=2.4.1 and base=cuda121, torch=2.5.1, and 1 more like it | put {torch} into the tag"
        ),
    ),
    "braces of an image": (
        ("12.1.0", "{cuda"),
        (
            "5: bases.cuda121.image: the braces of 'nvidia/cuda:{cuda-cudnn8-devel-ubuntu22.04' are wrong"
            " | a pattern is text with {name} of an axis or fact, nothing else in braces"
        ),
    ),
    "braces of an image that nobody uses": (
        (ROW, ROW + '[bases.b]\nimage = "a:{"\n'),
        (
            "31: bases.b.image: the braces of 'a:{' are wrong"
            " | a pattern is text with {name} of an axis or fact, nothing else in braces"
        ),
    ),
    "braces of the registry": (
        ("com:5000", "{}"),
        (
            "2: registry: the braces of 'registry.example.{}/mlops' are wrong"
            " | a pattern is text with {name} of an axis or fact, nothing else in braces"
        ),
    ),
    "braces of a destination that nobody uses": (
        (ROW, ROW + '[destinations.a]\nregistry = "{a-b}"\n'),
        (
            "31: destinations.a.registry: the braces of '{a-b}' are wrong"
            " | a pattern is text with {name} of an axis or fact, nothing else in braces"
        ),
    ),
    "image that some rows lack a name for": (
        ("12.1.0", "{torchvision}"),
        (
            "5: bases.cuda121.image: a row has no torchvision: base=cuda121, torch=2.4.1, and 1 more like it"
            " | give every row a torchvision, as an axis or by facts"
        ),
    ),
    "image that no registry accepts": (
        ("nvidia/cuda", "nvidia/{torch}."),
        (
            "5: bases.cuda121.image: no registry accepts the name 'nvidia/2.4.1.:12.1.0-cudnn8-devel-ubuntu22.04':"
            ' base=cuda121, torch=2.4.1, and 2 more like it | expected "[host/]name[:tag][@sha256:digest]"'
        ),
    ),
    "registry that nothing accepts": (
        ("example.com:5000/mlops", "example.com/{base}-/x"),
        (
            "2: registry: no registry accepts the name 'registry.example.com/cuda121-/x':"
            " base=cuda121, torch=2.4.1, and 3 more like it"
            f' | expected "host[:port]/path", the path {PATH_RULE}'
        ),
    ),
    "destination against base": (
        (GROUPS, 'destination = "a"\n[destinations.a]\ncuda = "12.4"\n[families.pytorch.axes]'),
        f"18: destinations.a.cuda: '12.4' contradicts cuda = '12.1' (line 6) | {AGREE}",
    ),
    "size": (
        (ROW, ROW + '[destinations.a]\nmax_size = "big"\n'),
        ('31: destinations.a.max_size: \'big\' is not a size | expected a number and a unit, like "9.5 GB" or "9 GiB"'),
    ),
    "size of nothing": (
        (ROW, ROW + '[destinations.a]\nmax_size = "0 GB"\n'),
        '31: destinations.a.max_size: \'0 GB\' is not a size | expected a number and a unit, like "9.5 GB" or "9 GiB"',
    ),
    "trusted host with a scheme": (
        (ROW, ROW + '[site]\ntrusted_hosts = ["m.example.com", "http://m.example.com"]\n'),
        (
            "31: site.trusted_hosts: 'http://m.example.com' is not a valid host"
            ' | expected "host" or "host:port", without a scheme'
        ),
    ),
    "mirror of a part of a registry": (
        (ROW, ROW + '[site]\nmirrors = {"docker.io/nvidia" = "m.example.com"}\n'),
        (
            "31: site.mirrors.\"docker.io/nvidia\": 'docker.io/nvidia' is not a valid registry"
            ' | expected "host" or "host:port", like "docker.io"'
        ),
    ),
    "mirror with a scheme": (
        (ROW, ROW + '[sites.a.mirrors]\n"docker.io" = "https://m.example.com"\n'),
        (
            "31: sites.a.mirrors.\"docker.io\": no registry accepts the name 'https://m.example.com'"
            f' | expected "host[:port]/path", the path {PATH_RULE}'
        ),
    ),
    "index without TLS": (
        (ROW, ROW + '[sites.a]\nindex_url = "http://me:x@m.example.com:8080/simple"\n'),
        (
            "31: sites.a.index_url: m.example.com:8080 is used without TLS, which pip refuses"
            ' | trust it: trusted_hosts = ["m.example.com:8080"]'
        ),
    ),
    "further index without TLS": (
        (ROW, ROW + '[site]\nextra_index_urls = ["https://a.io", "http://b.io"]\ntrusted_hosts = ["c.io"]\n'),
        ('31: site.extra_index_urls: b.io is used without TLS, which pip refuses | trust it: trusted_hosts = ["b.io"]'),
    ),
    "size that is a number": (
        (ROW, ROW + "[destinations.a]\nmax_size = 9.5\n"),
        f"31: destinations.a.max_size: the number 9.5 is not a string | {QUOTE}",
    ),
    "name of a destination": (
        (ROW, ROW + "[destinations.Art]\n"),
        f"30: destinations.Art: 'Art' is not a valid name for a destination | expected {PATH_RULE}",
    ),
    "name of a site": (
        (ROW, ROW + "[sites.Home]\n"),
        f"30: sites.Home: 'Home' is not a valid name for a site | expected {PATH_RULE}",
    ),
    "network of a site": (
        (ROW, ROW + '[sites.a]\nnetwork = "bridge"\n'),
        '31: sites.a.network: \'bridge\' is not a valid network of build steps | expected "host" or "none"',
    ),
    "cooldown of a site": (
        (ROW, ROW + '[site]\nexclude_newer = "soon"\n'),
        (
            "31: site.exclude_newer: 'soon' is not an age or a moment"
            ' | expected an age like "7 days" (hours, days or weeks), or a moment like "2026-11-22T00:00:00Z"'
        ),
    ),
    "cooldown of a package": (
        (ROW, ROW + '[site]\nexclude_newer = "7 days"\nexclude_newer_package = {torch = "2026-02-31T00:00:00Z"}\n'),
        (
            "32: site.exclude_newer_package.torch: '2026-02-31T00:00:00Z' is not an age or a moment"
            ' | expected an age like "7 days" (hours, days or weeks), or a moment like "2026-11-22T00:00:00Z"'
        ),
    ),
    "cooldown of no package": (
        (ROW, ROW + '[site]\nexclude_newer = "7 days"\nexclude_newer_package = {Torch = false}\n'),
        (
            "32: site.exclude_newer_package.Torch: 'Torch' is not a valid name of a package"
            ' | expected lower case with hyphens, like "typing-extensions"'
        ),
    ),
    "cooldown of a package alone": (
        (ROW, ROW + "[site]\nexclude_newer_package = {torch = false}\n"),
        '31: site.exclude_newer_package: there is no exclude_newer | say it first: exclude_newer = "7 days"',
    ),
    "axis named allow": (
        ('"2.5.1"]\n\n[[f', '"2.5.1"]\nallow = ["x"]\n\n[[f'),
        (
            "21: families.pytorch.axes.allow: an axis cannot be named 'allow'"
            " | this key is reserved for the reason why a broken row is built"
        ),
    ),
    "allow of a row without a reason": (
        ('torch = "2.3.0"', 'torch = "2.3.0"\nallow = ""'),
        (
            "30: families.pytorch.row.allow: the reason is empty"
            ' | say why the row is built although it is broken: allow = "…"'
        ),
    ),
    "allow of a row that is not a text": (
        ('torch = "2.3.0"', 'torch = "2.3.0"\nallow = true'),
        "30: families.pytorch.row.allow: true is not a string | expected a string",
    ),
    "allow without reason": (
        (ROW, '[[families.pytorch.allow]]\ntorch = "2.4.1"\n'),
        (
            "27: families.pytorch.allow: 'reason' is missing"
            ' | say why such rows are built although they are broken: reason = "…"'
        ),
    ),
    "allow without condition": (
        (ROW, '[[families.pytorch.allow]]\nreason = "x"\n'),
        '27: families.pytorch.allow: this allow has no condition | name an axis or fact: torch = "<2.5"',
    ),
    "allow of an unknown axis": (
        (ROW, '[[families.pytorch.allow]]\ntrch = "2.4.1"\nreason = "x"\n'),
        "28: families.pytorch.allow.trch: unknown axis or fact | did you mean 'torch'?",
    ),
    "allow of no row": (
        (ROW, '[[families.pytorch.allow]]\npython = "3.13"\ntorch = "2.4.1"\nreason = "x"\n'),
        (
            "27: families.pytorch.allow: this allow matches nothing"
            " | no row meets all of its conditions: correct it or remove it"
        ),
    ),
    "exclude without reason": (
        ('reason = "no cp313 wheel before 2.5.0"', ""),
        "22: families.pytorch.exclude: 'reason' is missing | say why such rows are not wanted: reason = \"…\"",
    ),
    "exclude without condition": (
        (EXCLUDE, 'reason = "x"\n'),
        '22: families.pytorch.exclude: this exclude has no condition | name an axis or fact: torch = "<2.5"',
    ),
    "exclude of no value": (
        ('"<2.5"', '"<2.3"'),
        (
            "22: families.pytorch.exclude: this exclude matches nothing"
            " | no row has torch = '<2.3'; torch is one of: 2.3.0, 2.4.1, 2.5.1"
        ),
    ),
    "exclude of no row": (
        ('torch = "<2.5"', 'torch = "<2.5"\ncuda = "12.1"'),
        (
            "22: families.pytorch.exclude: this exclude matches nothing"
            " | no row meets all of its conditions: correct it or remove it"
        ),
    ),
    "comparison": (
        ('"<2.5"', '"<2.5 or so"'),
        (
            "24: families.pytorch.exclude.torch: '<2.5 or so' is not a valid comparison"
            ' | write it like "<2.5", ">=2.3,<2.5" or "==2.4.*"'
        ),
    ),
    "comparison with something that is not a version": (
        ('torch = "<2.5"', 'torch = "<2.5"\nbase = "<cuda122"'),
        (
            "25: families.pytorch.exclude.base: '<cuda122' is not a valid comparison"
            ' | write it like "<2.5", ">=2.3,<2.5" or "==2.4.*"'
        ),
    ),
    "row twice": (
        (ROW, ROW + ROW),
        "30: families.pytorch.row: this row is given twice (line 27) | remove one of them",
    ),
    "row that the axes give": (
        ('"2.3.0"', '"2.4.1"'),
        "27: families.pytorch.row: this row is given twice: the axes already give it (line 18) | remove it",
    ),
    "row that an exclude forbids": (
        ('base = "cuda121"', 'base = "debian13"'),
        (
            "27: families.pytorch.row: an exclude forbids this row: no cp313 wheel before 2.5.0 (line 22)"
            " | remove the row or narrow the exclude"
        ),
    ),
    "row without a value": (
        ('base = "cuda121"\ntorch', "torch"),
        "27: families.pytorch.row: the row has no value for base | a row names a value for each axis",
    ),
    "all rows excluded": (
        (ROW, '[[families.pytorch.exclude]]\ntorch = ">1"\nreason = "x"\n'),
        "13: families.pytorch: the family has no rows | every row is excluded",
    ),
    "fact against fact": (
        ('torchvision = "0.20.1"', 'jupyterlab = "4.0"'),
        f"32: facts.torch.\"2.5.1\".jupyterlab: '4.0' contradicts jupyterlab = '4.4.1' (line 35) | {AGREE}",
    ),
    "fact against base": (
        ('torchvision = "0.20.1"', 'python = "3.13"'),
        f"32: facts.torch.\"2.5.1\".python: '3.13' contradicts python = '3.10' (line 7) | {AGREE}",
    ),
    "fact against axis": (
        ('jupyterlab = "4.4.1"', 'torch = "2.4.1"'),
        f"35: facts.python.\"3.13\".torch: '2.4.1' contradicts torch = '2.5.1' (line 20) | {AGREE}",
    ),
    "fact against itself": (
        ('jupyterlab = "4.4.1"', 'python = "3.12"'),
        "35: facts.python.\"3.13\".python: '3.12' contradicts python = '3.13' (line 11) | make them agree",
    ),
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(change, message, id=f"{group} {name}")
        for group, cases in (("syntax", SYNTAX), ("unknown", UNKNOWN), ("type", TYPES), ("rule", RULES))
        for name, (change, message) in cases.items()
    ],
)
def test_one_mistake_gives_one_message(change: tuple[str, str], message: str) -> None:
    """It is reported exactly so, and causes no other problem."""
    assert problems(changed(change)) == [message]


@pytest.mark.parametrize(
    ("text", "messages"),
    [
        (
            "",
            [
                "0: 'schema' is missing | begin the file with: schema = 1",
                "0: bases: no base is declared | declare one: [bases.NAME]",
                "0: families: no family is declared | declare one: [families.NAME]",
            ],
        ),
        (
            'schema = 1\nbases.b.image = "x"\n[families.f]\nlayers = ["boot"]\ntag = "1"\n',
            [
                "3: families.f: the family has no rows | give it a base, [families.NAME.axes] or [[families.NAME.row]]",
            ],
        ),
        (
            'schema = 1\nbases.b.image = "x"\n[families.f]\nlayers = ["boot"]\ntag = "{v}"\naxes.v = ["1"]\n',
            ["3: families.f: the rows have no base | add an axis base, or base = NAME to the family; known: b"],
        ),
        (
            'schema = 1\nbases.b.image = "x"\n[families.Torch]\nlayers = ["boot"]\ntag = "1"\naxes.base = ["b"]\n',
            [f"3: families.Torch: no registry accepts the name 'Torch' | a family is named with {PATH_RULE}"],
        ),
        (
            (
                'schema = 1\nbases.b.image = "x"\n[families.f]\nlayers = ["boot"]\ntag = "{v}"\n'
                'axes.base = ["b"]\naxes.v = [2.2]\n'
            ),
            [f"7: families.f.axes.v: the number 2.2 is not a string | {QUOTE}"],
        ),
        ("a = " + "[" * 5000, ["0: values are nested too deeply | "]),
    ],
    ids=["nothing", "no rows", "no base", "name of a family", "an axis of numbers", "nesting"],
)
def test_a_grid_that_is_not_there(text: str, messages: list[str]) -> None:
    """An empty grid says what it lacks."""
    assert problems(text) == messages


def test_all_problems_are_told_at_once() -> None:
    """In the order of the file, each section for itself, though the values they speak of are wrong too."""
    text = changed(
        ("registry =", "registy ="),
        ('bootstrap = "trixie"\n', ""),
        ('"boot"]', '"boto"]'),
        ('["cuda121", "debian13"]', '["cuda121", "debian13", "debian31"]'),
        ('"2.4.1", "2.5.1"]', '"2.4.1", "2.5.1", 2.6]'),
        ('torch = "<2.5"', 'trch = "<2.5"'),
        ('torch = "2.3.0"', 'torch = "2.4.1"'),
        ("-{base}", "-{bsae}"),
    )
    assert [problem.split(" | ")[0] for problem in problems(text)] == [
        "2: registy: unknown key",
        "9: bases.debian13: neither image nor bootstrap is given",
        "13: families.pytorch.layers: unknown layer 'boto'",
        "14: families.pytorch.tag: unknown name {bsae}",
        "18: families.pytorch.axes.base: unknown base 'debian31'",
        "19: families.pytorch.axes.torch: the number 2.6 is not a string",
        "23: families.pytorch.exclude.trch: unknown axis or fact",
        "26: families.pytorch.row: this row is given twice: the axes already give it (line 17)",
    ]


@pytest.mark.parametrize(
    ("values", "condition"),
    [
        ('[2.4, "2.5.1"]', 'torch = "2.4.1"'),
        ("[2.4]", 'base = "debian13"'),
    ],
)
def test_what_is_left_out_makes_no_rule_idle(values: str, condition: str) -> None:
    """A value that is wrong may be the one an exclude is for; an axis without one good value has no rows."""
    text = changed(
        ('["2.4.1", "2.5.1"]', values),
        (EXCLUDE, f'{condition}\nreason = "x"\n'),
        ('[facts.python."3.13"]\njupyterlab = "4.4.1"\n', ""),
    )
    assert problems(text) == [f"20: families.pytorch.axes.torch: the number 2.4 is not a string | {QUOTE}"]


def test_a_fact_against_the_base() -> None:
    """Is told for each base, also where it names none."""
    assert problems(changed(('torchvision = "0.20.1"', 'base = "debain"'))) == [
        f"32: facts.torch.\"2.5.1\".base: 'debain' contradicts base = '{base}' (line 19) | {AGREE}"
        for base in ("cuda121", "debian13")
    ]


def test_a_version_without_quotes_still_has_its_facts() -> None:
    """The tag that uses them is not blamed too."""
    text = changed(("-{base}", "-{base}-{tv}"), ('[facts.torch."2.5.1"]\ntorchvision = "0.20.1"\n', ""))
    for version in ("2.3.0", "2.4.1", "2.5.1"):
        text += f'[facts.torch.{version}]\ntv = "1"\n'
    assert [problem.split(" | ")[1] for problem in problems(text)] == [
        f'quote the version: [facts.torch."{version}"]' for version in ("2.3.0", "2.4.1", "2.5.1")
    ]


def test_the_order_of_values_does_not_change_what_is_told() -> None:
    """The example among many rows is always the same."""
    one = changed(("{torch}-", ""))
    assert problems(one) == problems(one.replace('"2.4.1", "2.5.1"', '"2.5.1", "2.4.1"'))


def test_an_error_names_the_file() -> None:
    """As a compiler does, with the hint below."""
    with pytest.raises(InputError) as error:
        matrix.parse(changed(("registry =", "registy =")), layers=LAYERS, file="other.toml")
    assert (
        str(error.value)
        == "other.toml:2: error: registy: unknown key [IM2002 unknown_key]\n    did you mean 'registry'?"
    )


@given(st.integers(0, len(GOOD)), st.integers(0, 12), st.sampled_from(["", "1", '"x"', "[", "]", "\n", "{}", "= "]))
def test_a_damaged_text_is_told_never_a_crash(start: int, length: int, inserted: str) -> None:
    """Whatever is cut out or put in, there is a matrix or a list of problems."""
    text = GOOD[:start] + inserted + GOOD[start + length :]
    try:
        outcome: tuple[object, ...] = parse(text).rows
    except InputError as error:
        outcome = error.diagnostics
    assert outcome


def test_a_comparison_of_what_has_no_version() -> None:
    """It says which value it is, and what to write instead."""
    found = problems(changed(('torch = "<2.5"', 'torch = "<2.5"\nbase = "<12"')))

    assert found
    assert {problem.partition(" | ")[2] for problem in found} == {"give the value itself"}
    assert all("families.pytorch.exclude.base" in problem and "'<12'" in problem for problem in found)
