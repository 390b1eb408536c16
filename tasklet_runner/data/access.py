"""What it takes to reach data: given by the surroundings, never by a plan."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tasklet_runner.data.found import Storage


@dataclass(frozen=True)
class Access:
    """Options of the places of data by URI scheme, and logins of registries.

    `options`: for `s3` the names of the environment (AWS_ACCESS_KEY_ID …) or of obstore's S3Config, for all others
    what their fsspec file system takes. What is not given comes from the environment. `docker_configs`: documents of
    the form of ~/.docker/config.json (as in a Secret of type kubernetes.io/dockerconfigjson) by the name that a
    module's pullSecretRef has; the empty name stands for modules without one. `user_logins`: read the user's own
    ~/.docker/config.json where none of these is given. `files`: what stands in place of this machine's files (None:
    they do): a coordinator on a leased member must not read those of its pod. `objects`: what came with the order of a
    run, by URI.
    """

    options: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    docker_configs: Mapping[str, bytes] = field(default_factory=dict)
    user_logins: bool = True
    files: Storage | None = None
    objects: Mapping[str, bytes] = field(default_factory=dict)


ENVIRONMENT = Access()
"""All from the environment of this process."""
