"""Single requests to a server: what is checked before it is measured, and pushes of images."""

import hashlib
import http.client
import urllib.parse

from content import MANIFEST, MIB
from failure import Failure


class Client:
    """One connection, for as long as it is used in a `with`."""

    def __init__(self, address):
        self.connection = http.client.HTTPConnection(*address, timeout=60, blocksize=MIB)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.connection.close()

    def ask(self, method, path, expected, body=None, headers=None):
        headers = {"Accept": MANIFEST} | (headers or {})
        self.connection.request(method, path, body, headers)
        response = self.connection.getresponse()
        if response.status != expected:
            raise Failure(f"{method} {path[:200]} was answered with {response.status}")
        return response

    def get(self, path):
        """The length and the digest of what is at `path`."""
        response = self.ask("GET", path, 200)
        stated, length, hasher = response.headers["Content-Length"], 0, hashlib.sha256()
        while piece := response.read(MIB):
            length += len(piece)
            hasher.update(piece)
        if stated != str(length):
            raise Failure(f"GET {path} said {stated} bytes and sent {length}")
        return length, f"sha256:{hasher.hexdigest()}"

    def start_upload(self, name):
        """Where the bytes of a new upload go."""
        response = self.ask("POST", f"/v2/{name}/blobs/uploads/", 202)
        response.read()
        location = urllib.parse.urlsplit(response.headers["Location"])
        return f"{location.path}?{location.query}&" if location.query else f"{location.path}?"

    def push(self, name, image):
        for digest, size in dict(image.blobs).items():
            upload = self.start_upload(name)
            with open(image.file(digest), "rb") as file:
                headers = {"Content-Length": str(size), "Content-Type": "application/octet-stream"}
                self.ask("PUT", f"{upload}digest={digest}", 201, file, headers).read()
        self.put_manifest(name, image.tag, image)

    def put_manifest(self, name, reference, image):
        headers = {"Content-Type": MANIFEST}
        path = f"/v2/{name}/manifests/{reference}"
        self.ask("PUT", path, 201, image.manifest, headers).read()


def check(server, method, path, size, digest):
    """Compares one answer with what it has to be."""
    with Client(server.address) as client:
        if method == "GET":
            found = client.get(path)
        else:
            headers = client.ask(method, path, 200).headers
            said = headers["Docker-Content-Digest"] if server.says_digests else digest
            found = int(headers["Content-Length"]), said
    if found != (size, digest):
        raise Failure(f"{method} {path} is {found}, and not {(size, digest)}")


def record(address, path, file):
    """Writes the answer to a GET as it came: its head and its body."""
    with Client(address) as client:
        response = client.ask("GET", path, 200)
        lines = [f"{name}: {value}" for name, value in response.headers.items()]
        head = "\r\n".join(["HTTP/1.1 200 OK", *lines, "", ""])
        file.write_bytes(head.encode() + response.read())
