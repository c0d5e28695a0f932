import random

import pytest

from assay.datasets.fetch import fetch
from assay.errors import DownloadError
from tests.datasets.archive_server import serve

BODY = random.Random(0).randbytes(700_000)
CUT = 300_001


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def site():
    with serve() as site:
        site.files["/pets/file"] = BODY
        yield site


@pytest.fixture
def target(tmp_path):
    return tmp_path / "file"


def leftovers(target):
    return {path.name for path in target.parent.iterdir()} - {target.name}


def break_off(site, target, after=CUT):
    site.break_after = after
    with pytest.raises(DownloadError, match="call again to resume"):
        fetch(f"{site.url}/file", target)
    assert not target.exists()


def test_a_whole_file_arrives_and_nothing_else_stays(site, target):
    fetch(f"{site.url}/file", target)
    assert target.read_bytes() == BODY
    assert leftovers(target) == set()
    assert "Range" not in site.requests[0][1]


def test_progress_tells_bytes_received_and_bytes_in_all(site, target):
    seen = []
    fetch(f"{site.url}/file", target, on_progress=lambda *state: seen.append(state))
    assert seen[0] == (0, len(BODY))
    assert seen[-1] == (len(BODY), len(BODY))
    assert [received for received, _ in seen] == sorted(received for received, _ in seen)


def test_an_early_end_says_how_far_it_came_and_keeps_that(site, target):
    site.break_after = CUT
    message = rf"/pets/file: broke off after {CUT} of {len(BODY)} bytes \(.*\); call again"
    with pytest.raises(DownloadError, match=message):
        fetch(f"{site.url}/file", target)
    assert target.with_name("file.part").read_bytes() == BODY[:CUT]


@pytest.mark.parametrize("validator", ["ETag", "Last-Modified", "weak ETag", ""])
def test_the_next_call_asks_only_for_the_rest(site, target, validator):
    site.validator = validator
    break_off(site, target)
    seen = []
    fetch(f"{site.url}/file", target, on_progress=lambda *state: seen.append(state))
    assert target.read_bytes() == BODY
    assert leftovers(target) == set()
    assert seen[0] == (CUT, len(BODY))
    assert site.sent_bytes == len(BODY)
    headers = site.requests[1][1]
    assert headers["Range"] == f"bytes={CUT}-"
    known = {"ETag", "Last-Modified"} & {validator}
    assert headers.get("If-Range") == (site.validators(BODY)[validator] if known else None)


def test_it_may_break_off_more_than_once(site, target):
    for after in (100, 0, 200_000):
        break_off(site, target, after)
    fetch(f"{site.url}/file", target)
    assert target.read_bytes() == BODY
    assert [headers.get("Range") for _, headers in site.requests] == [
        None,
        "bytes=100-",
        "bytes=100-",
        "bytes=200100-",
    ]


def test_a_server_without_ranges_sends_all_of_it_again(site, target):
    break_off(site, target)
    site.honours_range = False
    fetch(f"{site.url}/file", target)
    assert target.read_bytes() == BODY


@pytest.mark.parametrize("honours_if_range", [True, False])
@pytest.mark.parametrize("validator", ["ETag", "Last-Modified"])
def test_a_file_that_changed_in_between_is_not_pieced_together(
    site, target, honours_if_range, validator
):
    site.validator = validator
    site.honours_if_range = honours_if_range
    break_off(site, target)
    changed = bytes(reversed(BODY))
    assert site.validators(changed) != site.validators(BODY)
    site.files["/pets/file"] = changed
    fetch(f"{site.url}/file", target)
    assert target.read_bytes() == changed


def test_a_range_that_starts_elsewhere_is_not_appended(site, target):
    break_off(site, target)
    site.shift_range = 5
    fetch(f"{site.url}/file", target)
    assert target.read_bytes() == BODY


def test_a_part_that_is_whole_already_costs_no_body(site, target):
    target.with_name("file.part").write_bytes(BODY)
    fetch(f"{site.url}/file", target)
    assert target.read_bytes() == BODY
    assert site.sent_bytes == 0


def test_a_part_longer_than_the_file_starts_anew(site, target):
    target.with_name("file.part").write_bytes(BODY + b"more")
    fetch(f"{site.url}/file", target)
    assert target.read_bytes() == BODY


def test_a_silent_server_is_given_up_and_what_came_is_kept(site, target):
    site.stall_after = CUT
    with pytest.raises(DownloadError, match=rf"{CUT} of {len(BODY)} bytes \(timed out\); call"):
        fetch(f"{site.url}/file", target, timeout_s=1.0)
    assert target.with_name("file.part").read_bytes() == BODY[:CUT]
    fetch(f"{site.url}/file", target)
    assert target.read_bytes() == BODY


def test_chunks_tell_an_early_end_too(site, target):
    site.chunked = True
    site.break_after = CUT
    with pytest.raises(DownloadError, match=rf"broke off after {CUT} bytes \("):
        fetch(f"{site.url}/file", target)
    fetch(f"{site.url}/file", target)
    assert target.read_bytes() == BODY


def test_a_server_that_tells_no_length(site, target):
    site.tells_length = False
    seen = []
    fetch(f"{site.url}/file", target, on_progress=lambda *state: seen.append(state))
    assert target.read_bytes() == BODY
    assert seen[-1] == (len(BODY), None)


def test_an_empty_file(site, target):
    site.files["/pets/file"] = b""
    fetch(f"{site.url}/file", target)
    assert target.read_bytes() == b""


def test_a_refusal_names_address_and_status_and_keeps_the_part(site, target):
    break_off(site, target)
    body = site.files.pop("/pets/file")
    with pytest.raises(DownloadError, match=r"/pets/file: the server answered 404 Not Found"):
        fetch(f"{site.url}/file", target)
    site.files["/pets/file"] = body
    fetch(f"{site.url}/file", target)
    assert target.read_bytes() == BODY
    assert site.sent_bytes == len(BODY)


def test_nobody_listening(target):
    with serve() as site:
        url = f"{site.url}/file"
    with pytest.raises(DownloadError, match=r"/file: cannot be reached \(.*refused\)"):
        fetch(url, target)


@pytest.mark.parametrize("url", ["http://", "http://127.0.0.1:port/file", "http://[::1/file"])
def test_an_address_that_cannot_be_parsed(target, url):
    with pytest.raises(DownloadError, match="cannot be reached"):
        fetch(url, target)


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "/pets/file"])
def test_only_http_is_spoken(target, url):
    with pytest.raises(DownloadError, match="not an http:// or https:// address"):
        fetch(url, target)
    assert leftovers(target) == set()


def test_a_place_that_cannot_be_written(site, tmp_path):
    with pytest.raises(DownloadError, match=r"file\.part: cannot be written"):
        fetch(f"{site.url}/file", tmp_path / "no" / "such" / "file")
