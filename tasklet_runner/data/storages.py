"""Which storage a path or URI is of."""

import re
from dataclasses import dataclass, field

from tasklet_runner.data import given
from tasklet_runner.data.access import ENVIRONMENT, Access
from tasklet_runner.data.buckets import SCHEMES, BucketStorage
from tasklet_runner.data.filesystems import FileSystemStorage
from tasklet_runner.data.found import Storage

OCI = "oci"
"""The scheme of what is no storage: `registries` pulls it."""

_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/]*)")


@dataclass
class Storages:
    """The storages of one run, made when they are first needed; for any thread."""

    access: Access = ENVIRONMENT
    _known: dict[str, Storage] = field(default_factory=dict)

    def of(self, location: str) -> Storage:
        """The storage of an absolute path or URI.

        Raises ImportError when a package is missing for it, ValueError for an unknown scheme or bad options.
        """
        scheme, host = scheme_of(location)
        if scheme == "file" and self.access.files is not None:
            return self.access.files
        if scheme in given.SCHEMES:
            return given.GivenStorage(self.access.objects)
        name = f"{scheme}://{host}" if scheme in SCHEMES else scheme
        if name not in self._known:
            options = self.access.options.get(scheme, {})
            made = BucketStorage if scheme in SCHEMES else FileSystemStorage
            self._known[name] = made(name, options)
        return self._known[name]


def scheme_of(location: str) -> tuple[str, str]:
    """Scheme and host (or bucket) of a URI; `file` for a path."""
    found = _URI.match(location)
    return (found[1].lower(), found[2]) if found else ("file", "")
