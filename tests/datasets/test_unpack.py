import gzip
import shutil
import tarfile

import pytest

from assay.datasets.unpack import unpack
from assay.errors import DownloadError
from tests.datasets.archive_server import member, targz

FILES = {"images/a.jpg": b"first", "images/deep/b.jpg": b"second", "README": b"left out"}


@pytest.fixture(params=["with data filter", "without"])
def either_python(request, monkeypatch):
    """Python before 3.10.12 has no data filter; ours has to refuse all by itself there."""
    if request.param == "without":
        monkeypatch.delattr(tarfile, "data_filter", raising=False)


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    return root


def write(root, data):
    archive = root / "images.tar.gz"
    archive.write_bytes(data)
    return archive


def tree(root):
    return sorted(str(path.relative_to(root)) for path in root.rglob("*"))


@pytest.mark.usefixtures("either_python")
def test_the_folder_and_only_the_folder_appears(root):
    unpack(write(root, targz(FILES, member("images/empty", tarfile.DIRTYPE))), "images")
    assert tree(root) == [
        "images",
        "images.tar.gz",
        "images/a.jpg",
        "images/deep",
        "images/deep/b.jpg",
        "images/empty",
    ]
    assert (root / "images/deep/b.jpg").read_bytes() == b"second"


def test_owner_and_mode_of_the_archive_do_not_matter(root):
    hostile = member("images/x", size=1)
    hostile.mode, hostile.uid = 0o4777, 12345
    unpack(write(root, targz({}, member("images", tarfile.DIRTYPE), hostile)), "images")
    status = (root / "images/x").stat()
    assert status.st_mode & 0o7111 == 0
    assert status.st_uid == root.stat().st_uid
    assert list((root / "images").iterdir())


def test_names_may_begin_with_a_dot(root):
    unpack(write(root, targz({"./images/a.jpg": b"1"})), "images")
    assert (root / "images/a.jpg").read_bytes() == b"1"


SPARSE = {"GNU.sparse.size": str(1 << 20), "GNU.sparse.map": "0,512"}
HOSTILE = {
    "parent": [member("../escaped", size=4)],
    "parent inside": [member("images/../../escaped", size=4)],
    "symlink out": [member("images/link", tarfile.SYMTYPE, "../../escaped")],
    "absolute symlink": [member("images/link", tarfile.SYMTYPE, "/etc")],
    "through a symlink": [
        member("images/link", tarfile.SYMTYPE, "../.."),
        member("images/link/escaped", size=4),
    ],
    "hardlink out": [member("images/link", tarfile.LNKTYPE, "../../outside")],
    "absolute hardlink": [member("images/link", tarfile.LNKTYPE, "/etc/passwd")],
    "character device": [member("images/null", tarfile.CHRTYPE)],
    "block device": [member("images/disk", tarfile.BLKTYPE)],
    "pipe": [member("images/pipe", tarfile.FIFOTYPE)],
    # Its holes unpack to zeros that never pass through gzip, so no limit would see them.
    "sparse file": [member("images/big", size=512, pax=SPARSE)],
    "folder is a link": [member("images", tarfile.SYMTYPE, "..")],
}


@pytest.mark.usefixtures("either_python")
@pytest.mark.parametrize("members", HOSTILE.values(), ids=HOSTILE.keys())
def test_nothing_leaves_the_root(root, members):
    (root.parent / "outside").write_text("untouched")
    files = {} if members[0].name == "images" else {"images/a.jpg": b"1"}
    archive = write(root, targz(files, *members))
    with pytest.raises(DownloadError, match=r"images\.tar\.gz: cannot be unpacked") as caught:
        unpack(archive, "images")
    assert members[0].name in str(caught.value)
    assert tree(root.parent) == ["outside", "root"]
    assert (root.parent / "outside").read_text() == "untouched"


@pytest.mark.usefixtures("either_python")
def test_an_absolute_path_is_refused_even_below_the_root(root):
    archive = write(root, targz({"images/a.jpg": b"1", f"{root}/images/b.jpg": b"2"}))
    with pytest.raises(DownloadError, match=r"images/b\.jpg' points outside of it"):
        unpack(archive, "images")
    assert tree(root) == []


GOOD = targz({f"images/{i}.jpg": bytes([i]) * 5000 for i in range(20)})
LARGE = targz({"images/a.txt": "".join(map(str, range(20_000))).encode()})
DAMAGED = {
    "empty": b"",
    "text": b"<html>moved</html>",
    "cut off": GOOD[: len(GOOD) // 2],
    "cut off within the checksum": GOOD[:-4],
    "a byte lost": GOOD[:60] + GOOD[61:],
    "bytes overwritten": LARGE[:9000] + bytes(99) + LARGE[9099:],
    "checksum wrong": GOOD[:-8] + b"\0\0\0\0" + GOOD[-4:],
    "no tar inside": gzip.compress(b"hello" * 500),
    "tar cut off": gzip.compress(gzip.decompress(GOOD)[:3000]),
    "no such folder": targz({"pictures/a.jpg": b"1"}),
    "folder is a file": targz({"images": b"1"}),
    "file used as folder": targz({"images/a": b"1", "images/a/b": b"2"}),
    "file used as path": targz({"images/a": b"1", "images/a/b/c": b"2"}),
    "folder used as file": targz({"images/a/b": b"1", "images/a": b"2"}),
    "null byte in a name": targz(
        {"images/a": b"1"}, member("images/b", pax={"path": "images/b\0"})
    ),
}


@pytest.mark.parametrize("data", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_archive_is_removed_and_leaves_nothing(root, data):
    archive = write(root, data)
    with pytest.raises(DownloadError, match="has been removed; call again") as caught:
        unpack(archive, "images")
    assert "\n" not in str(caught.value)
    assert tree(root) == []


def test_an_archive_that_swells_is_stopped(root):
    archive = write(root, targz({"images/zeros": bytes(50_000_000)}))
    assert archive.stat().st_size < 100_000
    with pytest.raises(DownloadError, match="it unpacks to more than 1000000 bytes"):
        unpack(archive, "images", limit_bytes=1_000_000)
    assert tree(root) == []


def test_headers_count_towards_the_limit(root):
    archive = write(root, targz({f"images/{i}": b"" for i in range(2000)}))
    with pytest.raises(DownloadError, match="it unpacks to more than 100000 bytes"):
        unpack(archive, "images", limit_bytes=100_000)


def test_too_many_files_are_stopped(root):
    archive = write(root, targz({f"images/{i}": b"" for i in range(11)}))
    with pytest.raises(DownloadError, match="it holds more than 10 files"):
        unpack(archive, "images", limit_files=10)
    assert tree(root) == []


def test_an_interrupted_unpack_leaves_only_the_archive(root, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    archive = write(root, GOOD)
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfileobj", interrupted)
        with pytest.raises(KeyboardInterrupt):
            unpack(archive, "images")
    assert tree(root) == ["images.tar.gz"]
    unpack(archive, "images")
    assert len(list((root / "images").iterdir())) == 20


def test_what_a_killed_unpack_left_does_not_get_in(root):
    (root / ".unpack-images" / "images").mkdir(parents=True)
    (root / ".unpack-images" / "images" / "stale.jpg").write_text("x")
    unpack(write(root, GOOD), "images")
    assert not (root / "images" / "stale.jpg").exists()
    assert tree(root)[0] == "images"


def test_a_folder_in_the_way_keeps_its_files_and_the_archive_stays(root):
    (root / "images").mkdir()
    (root / "images" / "mine.jpg").write_text("x")
    archive = write(root, GOOD)
    with pytest.raises(DownloadError, match=r"cannot be unpacked \(Directory not empty\)"):
        unpack(archive, "images")
    assert tree(root) == ["images", "images.tar.gz", "images/mine.jpg"]
