"""Download one file over HTTP, so that a download which broke off goes on where it stopped.

What has arrived is kept in ``<target>.part`` and moved to the target when it is complete. Beside
it, ``<target>.part.etag`` names the version of the file on the server that the bytes belong to.
RFC 9110 defines the headers: Range (14.2), Content-Range (14.4), If-Range (13.1.5).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from assay.errors import DownloadError

TIMEOUT_S = 30.0
CHUNK_BYTES = 1 << 18

# Called with the bytes received so far and, if the server told, the bytes to come in all.
Progress = Callable[[int, "int | None"], None]


def fetch(
    url: str,
    target: Path,
    *,
    timeout_s: float = TIMEOUT_S,
    on_progress: Progress = lambda received, total: None,
) -> None:
    """Download ``url`` to ``target``, going on from an earlier attempt where the server can.

    ``timeout_s`` bounds each wait for the server, not the whole. Raises DownloadError, naming the
    URL, for an answer other than success, a silent server, or a connection that breaks off: then
    what has arrived stays, and calling again resumes. Also for a disk that cannot be written.
    """
    if not url.startswith(("http://", "https://")):
        raise DownloadError(f"{url}: not an http:// or https:// address; correct the base URL")
    partial = _Partial.of(target)
    try:
        reply = _ask(url, partial, timeout_s)
        if reply is not None:
            with reply.response:
                _save(url, reply, partial, on_progress)
        partial.data.replace(target)
        partial.validator.unlink(missing_ok=True)
    except DownloadError:
        raise
    except OSError as error:
        raise DownloadError(
            f"{partial.data}: cannot be written ({error.strerror or error}); "
            "make room or choose another directory, then call again to resume"
        ) from error


@dataclass(frozen=True)
class _Partial:
    """What an earlier attempt left behind."""

    data: Path
    validator: Path

    @staticmethod
    def of(target: Path) -> _Partial:
        data = target.with_name(target.name + ".part")
        return _Partial(data, data.with_name(data.name + ".etag"))

    def size(self) -> int:
        return self.data.stat().st_size if self.data.is_file() else 0

    def version(self) -> str | None:
        return self.validator.read_text() if self.validator.is_file() else None

    def headers(self) -> dict[str, str]:
        if not self.size():
            return {}
        version = self.version()
        return {
            "Range": f"bytes={self.size()}-",
            **({"If-Range": version} if version is not None else {}),
        }

    def restart(self, version: str | None) -> None:
        self.data.write_bytes(b"")
        self.validator.unlink(missing_ok=True)
        if version is not None:
            self.validator.write_text(version)


@dataclass(frozen=True)
class _Reply:
    """A body that starts at byte ``start`` of a file of ``total`` bytes (None: not told)."""

    response: Any
    start: int
    total: int | None


def _ask(url: str, partial: _Partial, timeout_s: float) -> _Reply | None:
    """Ask for the bytes that are missing; None if none are. All of them if ranges do not work."""
    offset = partial.size()
    response = _request(url, partial.headers(), timeout_s)
    if offset:
        start, total = _content_range(response.headers)
        versions = {partial.version(), _version(response.headers)} - {None}
        partly = response.status == HTTPStatus.PARTIAL_CONTENT
        beyond = response.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
        if partly and start == offset and len(versions) <= 1:
            return _Reply(response, offset, total)
        if partly or beyond:
            response.close()
            if beyond and total == offset:
                return None
            response = _request(url, {}, timeout_s)
    if response.status != HTTPStatus.OK:
        response.close()
        raise DownloadError(
            f"{url}: the server answered {response.status} {response.reason}; "
            "check the address, or try again later"
        )
    partial.restart(_version(response.headers))
    length = response.headers.get("Content-Length", "")
    return _Reply(response, 0, int(length) if length.isdecimal() else None)


def _request(url: str, headers: dict[str, str], timeout_s: float) -> Any:
    identity = {"User-Agent": "assay", "Accept-Encoding": "identity"}
    try:
        return urlopen(Request(url, headers={**identity, **headers}), timeout=timeout_s)
    except HTTPError as error:
        return error
    except (OSError, HTTPException, ValueError) as error:
        reason = error.reason if isinstance(error, URLError) else error
        raise DownloadError(
            f"{url}: cannot be reached ({reason or type(error).__name__}); "
            "check the network, then call again"
        ) from error


def _version(headers: Message) -> str | None:
    """Return what If-Range may hold: a strong entity tag, else the time of the last change."""
    tag = headers.get("ETag")
    return tag if tag and not tag.startswith("W/") else headers.get("Last-Modified")


def _content_range(headers: Message) -> tuple[int | None, int | None]:
    """Return first byte and total of ``bytes 3-9/10`` or ``bytes */10``; None: not told."""
    match = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(?:(\d+)|\*)", headers.get("Content-Range", ""))
    if match is None:
        return None, None
    return int(match[1]) if match[1] else None, int(match[2]) if match[2] else None


def _save(url: str, reply: _Reply, partial: _Partial, on_progress: Progress) -> None:
    received, total = reply.start, reply.total
    with partial.data.open("ab") as file:
        on_progress(received, total)
        while True:
            try:
                # read1 hands over what has come in, so that a time-out later loses none of it.
                chunk = reply.response.read1(CHUNK_BYTES)
            except (OSError, HTTPException) as error:
                raise _broken_off(url, received, total, error) from error
            if not chunk:
                break
            file.write(chunk)
            received += len(chunk)
            on_progress(received, total)
    if total is not None and received != total:
        raise _broken_off(url, received, total, "the connection was closed")


def _broken_off(url: str, received: int, total: int | None, reason: object) -> DownloadError:
    amount = f"{received} bytes" if total is None else f"{received} of {total} bytes"
    return DownloadError(f"{url}: broke off after {amount} ({reason}); call again to resume")
