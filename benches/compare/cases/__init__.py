"""The cases, in the order in which they are measured."""

from .cold import BlobCold
from .large import BlobLarge, BlobLargeCurl
from .push import Push
from .requests import BlobSmall, ManifestDigest, ManifestHead, ManifestTag
from .slow_downloads import SlowDownloads
from .start import Start
from .tags import Tags

ALL = [
    ManifestTag,
    ManifestDigest,
    ManifestHead,
    BlobSmall,
    BlobLarge,
    BlobLargeCurl,
    BlobCold,
    SlowDownloads,
    Push,
    Tags,
    Start,
]
