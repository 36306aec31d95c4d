"""Packages: what may be a pipeline is found, what would grow or climb is refused."""

import gzip
import io
import stat
import tarfile
import zipfile

import pytest

from cairn.errors import InputRefused, SpecError, TooLarge
from cairn.pipelines import packages
from cairn.pipelines.packages import read_package

TEXT = "pipelineInfo: {name: demo}\n"


def zipped(*members, **more):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in (*members, *more.items()):
            archive.writestr(name, text)
    return file.getvalue()


def tarred(*members, mode="w:gz"):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:
        for name, text in members:
            found = name if isinstance(name, tarfile.TarInfo) else tarfile.TarInfo(name)
            found.size = len(text)
            archive.addfile(found, io.BytesIO(text.encode()))
    return file.getvalue()


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize(
    "members",
    [
        [("pipeline.yaml", TEXT)],
        [("demo.yml", TEXT), ("README.md", "x")],
        [("below/demo.json", TEXT)],
        [("pipeline.yaml", TEXT), ("other.yaml", "x")],
    ],
)
def test_the_pipeline_is_found(pack, members):
    assert read_package(pack(*members), origin="demo") == TEXT


def test_text_is_taken_as_it_is():
    assert read_package(b"\xef\xbb\xbf" + TEXT.encode(), origin="demo.yaml") == TEXT


@pytest.mark.parametrize("pack", [zipped, tarred])
@pytest.mark.parametrize("members", [[], [("README.md", "x")], [("a.yaml", TEXT), ("b.yaml", TEXT)]])
def test_without_one_pipeline_it_is_refused(pack, members):
    content = pack(*members) if members else pack(("x", ""))
    with pytest.raises(SpecError, match=r"\.yaml or \.json"):
        read_package(content, origin="demo")


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_a_tar_are_refused(kind):
    link = tarfile.TarInfo("pipeline.yaml")
    link.type, link.linkname = kind, "/etc/passwd"
    with pytest.raises(SpecError, match="link or a device"):
        read_package(tarred((link, "")), origin="demo")


def test_links_in_a_zip_are_refused():
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        link = zipfile.ZipInfo("pipeline.yaml")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(SpecError, match="link or a device"):
        read_package(file.getvalue(), origin="demo")


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_too_many_members_are_refused(pack):
    with pytest.raises(TooLarge):
        read_package(pack(*((f"{number}.txt", "x") for number in range(packages.MAX_MEMBERS + 1))), origin="demo")


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_what_grows_too_much_is_refused(pack):
    with pytest.raises(TooLarge):
        read_package(pack(("pipeline.yaml", "x" * (8 << 20))), origin="demo")
    with pytest.raises(TooLarge):
        read_package(pack(("pipeline.yaml", "x" * (packages.MAX_BYTES + 1))), origin="demo")


def test_a_header_that_says_it_is_huge_is_not_believed():
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 1 << 40
    content = gzip.compress(header.tobuf(format=tarfile.GNU_FORMAT) + b"\0" * (1 << 20))
    with pytest.raises(InputRefused):
        read_package(content, origin="demo")


def test_a_large_file_beside_the_pipeline_is_refused():
    with pytest.raises(TooLarge):
        read_package(tarred(("big.bin", "x" * (packages.MAX_UNPACKED + 1)), ("pipeline.yaml", TEXT)), origin="demo")


@pytest.mark.parametrize(
    "content",
    [
        b"PK\x03\x04nonsense",
        zipped(("pipeline.yaml", TEXT))[:-30],
        tarred(("pipeline.yaml", TEXT * 1000))[:-40],
        b"\x1f\x8bnonsense",
        gzip.compress(TEXT.encode(), mtime=0),
        b"\xff\xfe",
    ],
)
def test_what_is_damaged_is_refused(content):
    with pytest.raises(InputRefused):
        read_package(content, origin="demo")


def test_an_encrypted_member_is_refused():
    content = bytearray(zipped(("pipeline.yaml", TEXT)))
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    with pytest.raises(SpecError, match="encrypted"):
        read_package(bytes(content), origin="demo")
