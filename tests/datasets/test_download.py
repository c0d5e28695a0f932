import io
from pathlib import Path

import pytest
from rich.console import Console

from assay.datasets.download import download_oxford_pet
from assay.datasets.oxford_pet import OxfordPet
from assay.errors import DownloadError
from tests.datasets.archive_server import serve, targz
from tests.datasets.pets import write_pets

ANNOTATIONS, IMAGES = "/pets/annotations.tar.gz", "/pets/images.tar.gz"


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def site(tmp_path):
    source = write_pets(tmp_path / "source")
    with serve() as site:
        for path in (ANNOTATIONS, IMAGES):
            folder = Path(path).name.split(".")[0]
            files = {f"{folder}/{f.name}": f.read_bytes() for f in (source / folder).iterdir()}
            site.files[path] = targz(files)
        yield site


@pytest.fixture
def root(tmp_path):
    return tmp_path / "new" / "pets"


def names(root):
    return sorted(path.name for path in root.iterdir())


def paths(site):
    return [path for path, _ in site.requests]


def test_an_empty_place_becomes_a_data_set(site, root):
    download_oxford_pet(root, site.url)
    assert names(root) == ["annotations", "images"]
    pets = OxfordPet(root)
    assert len(pets) == 3
    assert pets[2].data.shape == (224, 224, 3)


def test_what_is_there_is_not_asked_for_again(site, root):
    download_oxford_pet(root, f"{site.url}/")
    download_oxford_pet(str(root), site.url)
    assert paths(site) == [ANNOTATIONS, IMAGES]


def test_only_what_is_missing_is_fetched(site, root):
    write_pets(root)
    for image in (root / "images").iterdir():
        image.unlink()
    download_oxford_pet(root, site.url)
    assert paths(site) == [IMAGES]
    assert len(OxfordPet(root)) == 3


def test_a_broken_download_goes_on_with_the_next_call(site, root):
    download_oxford_pet(root, site.url)
    (root / "images").rename(root.parent / "away")
    site.break_after = 500
    with pytest.raises(DownloadError, match=r"images\.tar\.gz: broke off after 500 of"):
        download_oxford_pet(root, site.url)
    with pytest.raises(Exception, match="images: no such directory"):
        OxfordPet(root)
    download_oxford_pet(root, site.url)
    assert site.requests[-1][1]["Range"] == "bytes=500-"
    assert names(root) == ["annotations", "images"]
    assert len(OxfordPet(root)) == 3


def test_an_archive_that_is_there_is_unpacked_without_a_request(site, root):
    root.mkdir(parents=True)
    (root / "images.tar.gz").write_bytes(site.files[IMAGES])
    download_oxford_pet(root, site.url)
    assert paths(site) == [ANNOTATIONS]


def test_a_damaged_archive_is_fetched_anew_by_the_next_call(site, root):
    good = site.files[IMAGES]
    site.files[IMAGES] = good[:400] + b"????" + good[404:]
    with pytest.raises(DownloadError, match=r"images\.tar\.gz: cannot be unpacked"):
        download_oxford_pet(root, site.url)
    assert names(root) == ["annotations"]
    site.files[IMAGES] = good
    download_oxford_pet(root, site.url)
    assert len(OxfordPet(root)) == 3


def test_a_hostile_archive_unpacks_nothing(site, root):
    site.files[IMAGES] = targz({"images/a.jpg": b"1", "../../escaped": b"2"})
    with pytest.raises(DownloadError, match=r"'\.\./\.\./escaped' points outside"):
        download_oxford_pet(root, site.url)
    assert names(root) == ["annotations"]
    assert not (root.parent.parent / "escaped").exists()


def test_a_missing_archive_names_its_address(site, root):
    del site.files[IMAGES]
    message = f"{site.url}/images.tar.gz: the server answered 404"
    with pytest.raises(DownloadError, match=message):
        download_oxford_pet(root, site.url)


def test_a_silent_server_is_given_up(site, root):
    site.stall_after = 10
    with pytest.raises(DownloadError, match=r"annotations\.tar\.gz: .*timed out"):
        download_oxford_pet(root, site.url, timeout_s=1.0)


def test_an_incomplete_folder_is_left_alone(site, root):
    write_pets(root)
    (root / "annotations" / "test.txt").unlink()
    with pytest.raises(DownloadError, match=r"test\.txt: is missing .*move .*annotations away"):
        download_oxford_pet(root, site.url)
    assert (root / "annotations" / "trainval.txt").exists()
    assert site.requests == []


def test_a_root_that_is_a_file(site, tmp_path):
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(DownloadError, match="file: cannot be used"):
        download_oxford_pet(file, site.url)


def test_progress_names_both_archives(site, root):
    console = Console(file=io.StringIO(), width=100, force_terminal=True)
    download_oxford_pet(root, site.url, console=console)
    shown = console.file.getvalue()
    assert "Unpacked annotations.tar.gz" in shown
    assert "Unpacked images.tar.gz" in shown
