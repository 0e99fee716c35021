"""The images that all servers have: OCI layouts on disk, and the same files as paths for nginx."""

import dataclasses
import functools
import hashlib
import json
import os
import pathlib

MIB = 1 << 20
SMALL = 2 << 10
LARGE = 64 * MIB
COLD_FILES = 8
UPLOAD = 512 * MIB
IMAGE = "application/vnd.oci.image"
MANIFEST = f"{IMAGE}.manifest.v1+json"
# As many layers as usual images have: the manifest takes about 1.5 KiB with them.
LAYERS = 8


@dataclasses.dataclass
class Image:
    """One image, and the files of its layout."""

    tag: str
    manifest: bytes
    # The config first, then the layers: digest and size.
    blobs: list
    blob_folder: pathlib.Path

    @property
    def digest(self):
        return sha256(self.manifest)

    def file(self, digest):
        return self.blob_folder / digest.removeprefix("sha256:")


class Layout:
    """An OCI image layout that is being written: one repository."""

    def __init__(self, folder, name):
        self.name, self.folder = name, folder / "layouts" / name
        self.blob_folder = self.folder / "blobs" / "sha256"
        self.blob_folder.mkdir(parents=True)
        self.entries = []

    def blob(self, content):
        digest = sha256(content)
        (self.blob_folder / digest.removeprefix("sha256:")).write_bytes(content)
        return digest, len(content)

    def image(self, tag, layers):
        """Adds an image of these layers, each a digest and a size."""
        diffs = [digest for digest, _ in layers]
        config = {"architecture": "amd64", "os": "linux", "config": {"Labels": {"tag": tag}}}
        config["rootfs"] = {"type": "layers", "diff_ids": diffs}
        blobs = [self.blob(json.dumps(config).encode()), *layers]
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(f"{IMAGE}.config.v1+json", *blobs[0]),
            "layers": [descriptor(f"{IMAGE}.layer.v1.tar", *layer) for layer in layers],
        }
        manifest = json.dumps(manifest).encode()
        entry = descriptor(MANIFEST, *self.blob(manifest))
        entry["annotations"] = {"org.opencontainers.image.ref.name": tag}
        self.entries.append(entry)
        return Image(tag, manifest, blobs, self.blob_folder)

    def finish(self):
        index = {"schemaVersion": 2, "manifests": self.entries}
        (self.folder / "index.json").write_text(json.dumps(index))
        (self.folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


class Content:
    """Makes below `folder` what cases ask for, once."""

    def __init__(self, folder):
        self.folder = folder
        self.web = folder / "web"
        self.web.mkdir()

    def layout(self, name):
        return self.folder / "layouts" / name

    @functools.cached_property
    def small(self):
        """The repository `small`: an image with a usual manifest, whose layers have 2 KiB."""
        return self.repository("small", [SMALL] * LAYERS)

    @functools.cached_property
    def large(self):
        """The repository `large`: an image with one layer of 64 MiB."""
        return self.repository("large", [LARGE])

    @functools.cached_property
    def cold(self):
        """The repository `cold`: an image with eight layers of 64 MiB."""
        return self.repository("cold", [LARGE] * COLD_FILES)

    def repository(self, name, sizes):
        layout = Layout(self.folder, name)
        image = layout.image("latest", [layout.blob(os.urandom(size)) for size in sizes])
        layout.finish()
        self.publish(name, image)
        return image

    def publish(self, name, image):
        """Gives the files of an image the paths that a registry has them under: the same files."""
        manifests = self.web / "v2" / name / "manifests"
        blobs = self.web / "v2" / name / "blobs"
        manifests.mkdir(parents=True)
        blobs.mkdir()
        for reference in image.tag, image.digest:
            os.link(image.file(image.digest), manifests / reference)
        for digest, _ in image.blobs:
            os.link(image.file(digest), blobs / digest)

    @functools.lru_cache
    def many(self, count):
        """A repository of so many images, of which each has a config and a layer of its own."""
        layout = Layout(self.folder, f"many-{count}")
        images = [
            layout.image(f"t{number:07}", [layout.blob(b"layer %d" % number)])
            for number in range(count)
        ]
        layout.finish()
        return images

    @functools.cached_property
    def upload(self):
        """A file of 512 MiB to push, and its digest."""
        file = self.folder / "upload"
        hasher = hashlib.sha256()
        with open(file, "wb") as out:
            for _ in range(UPLOAD // MIB):
                piece = os.urandom(MIB)
                hasher.update(piece)
                out.write(piece)
        return file, f"sha256:{hasher.hexdigest()}"


def sha256(content):
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def descriptor(media_type, digest, size):
    return {"mediaType": media_type, "digest": digest, "size": size}
