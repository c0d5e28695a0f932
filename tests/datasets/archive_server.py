"""A small HTTP server on loopback that can misbehave the ways real ones do."""

import hashlib
import io
import re
import tarfile
import threading
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Site:
    """What the server offers and how it behaves; may be changed between requests."""

    url: str
    files: dict[str, bytes] = field(default_factory=dict)
    honours_range: bool = True
    honours_if_range: bool = True
    validator: str = "ETag"  # or "Last-Modified", "weak ETag", ""
    tells_length: bool = True
    chunked: bool = False
    break_after: int | None = None  # bytes of the next body only
    stall_after: int | None = None  # likewise, but the connection stays open
    shift_range: int = 0
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    sent_bytes: int = 0
    released: threading.Event = field(default_factory=threading.Event)

    def validators(self, body: bytes) -> dict[str, str]:
        digest = hashlib.sha256(body).hexdigest()[:16]
        second = int(digest, 16) % 60
        return {
            "ETag": {"ETag": f'"{digest}"'},
            "weak ETag": {"ETag": f'W/"{digest}"'},
            "Last-Modified": {"Last-Modified": f"Sat, 06 Aug 2022 10:00:{second:02} GMT"},
            "": {},
        }[self.validator]


class _Handler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self):
        site = self.site
        site.requests.append((self.path, dict(self.headers)))
        body = site.files.get(self.path)
        if body is None:
            self.send_error(404)
            return
        validators = site.validators(body)
        start = self._start(body, validators)
        if start >= len(body) > 0:
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(body)}")
            self.end_headers()
            return
        if start:
            self.send_response(206)
            start += site.shift_range
            self.send_header("Content-Range", f"bytes {start}-{len(body) - 1}/{len(body)}")
        else:
            self.send_response(200)
        for name, value in validators.items():
            self.send_header(name, value)
        if site.chunked:
            self.send_header("Transfer-Encoding", "chunked")
        elif site.tells_length:
            self.send_header("Content-Length", str(len(body) - start))
        self.end_headers()
        self._send(body[start:])

    def _start(self, body, validators):
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        changed = condition is not None and condition not in validators.values()
        if asked is None or not self.site.honours_range:
            return 0
        return 0 if changed and self.site.honours_if_range else int(asked[1])

    def _send(self, body):
        site = self.site
        stop, stall = site.break_after, site.stall_after
        site.break_after = site.stall_after = None
        part = body[: next((n for n in (stop, stall) if n is not None), len(body))]
        site.sent_bytes += len(part)
        if site.chunked:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            if len(part) == len(body):
                self.wfile.write(b"0\r\n\r\n")
        else:
            self.wfile.write(part)
        self.wfile.flush()
        if stall is not None:
            site.released.wait(20)

    def log_message(self, *_):
        pass


@contextmanager
def serve():
    """Run a server until the block ends, and hand out its Site."""
    handler = type("Handler", (_Handler,), {"protocol_version": "HTTP/1.1"})
    # One request a connection, as with `Connection: close`: a broken body is then a closed socket.
    handler.handle = lambda self: self.handle_one_request()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    handler.site = Site(f"http://127.0.0.1:{server.server_port}/pets")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield handler.site
    finally:
        handler.site.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


def targz(files, *members):
    """Pack a dict of names and bytes, then bare TarInfo members, as ``.tar.gz`` bytes."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
        for member in members:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return buffer.getvalue()


def member(name, kind=tarfile.REGTYPE, link="", size=0, pax=None):
    """Make a member that no well-meaning tool would pack."""
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    info.pax_headers = pax or {}
    return info
