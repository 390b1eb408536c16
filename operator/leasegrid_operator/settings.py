"""What the operator is told when it starts: each setting has a flag and a variable, and the flag goes first.

`broker_port` is `--broker-port` and `LEASEGRID_BROKER_PORT`. All faults are told at once.
"""

import argparse
import re
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, get_type_hints
from urllib.parse import urlsplit

from leasegrid.api.loading import load_documents
from leasegrid.api.pool import InstancePool, InstancePoolSpec
from leasegrid_operator.errors import SettingsError

PREFIX = "LEASEGRID_"
OWN_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_WILDCARDS = ("", "0.0.0.0", "::")  # noqa: S104 - compared with, not bound to
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class LogLevel(StrEnum):
    """The least important line that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """One JSON object a line, or text for people."""

    JSON = "json"
    TEXT = "text"


class PullPolicy(StrEnum):
    """When a node pulls the members' image."""

    ALWAYS = "Always"
    IF_NOT_PRESENT = "IfNotPresent"
    NEVER = "Never"


class TlsMode(StrEnum):
    """What broker and members speak: HTTP, or HTTPS by an own authority or by files that somebody else renews."""

    OFF = "off"
    SELF_MADE = "self-made"
    FILES = "files"


def _names(text: str) -> tuple[str, ...]:
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    for name in names:
        if not _NAMESPACE.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a namespace: write names with commas between, or nothing for all")
    return names


def _hosts(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _port(text: str) -> int:
    if text.startswith("tcp://"):
        raise ValueError(
            f"{text!r} comes from a Service of that name: set enableServiceLinks: false in the pod, or this variable"
        )
    if not text.isdecimal() or not 0 <= int(text) <= 65535:
        raise ValueError(f"{text!r} is no port: write a number from 0 (any that is free) to 65535")
    return int(text)


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"{text!r} is no whole number of at least 1")
    return int(text)


def _path(text: str) -> Path | None:
    return Path(text) if text else None


def _address(text: str) -> str:
    parts = urlsplit(text)
    if text and (parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/")):
        raise ValueError(f"{text!r} is no address: write http://HOST:PORT")
    return text.rstrip("/")


def _one_of(words: type[StrEnum]) -> Callable[[str], StrEnum]:
    def read(text: str) -> StrEnum:
        if text not in list(words):
            raise ValueError(f"{text!r} is none of {', '.join(words)}")
        return words(text)

    return read


@dataclass(frozen=True)
class _Option:
    """How a setting's text is read (raises ValueError), and what its flag's help says."""

    read: Callable[[str], object]
    told: str


@dataclass(frozen=True)
class Settings:
    """Sizes in bytes and durations in seconds where a name says nothing else. `namespaces`: empty means all."""

    namespaces: Annotated[tuple[str, ...], _Option(_names, "namespaces to serve, with commas between; none: all")] = ()
    own_namespace: Annotated[
        str, _Option(str, "where the operator's own Lease and Secret are; its pod's, by default")
    ] = ""
    identity: Annotated[str, _Option(str, "the name of this replica, no other's; the host's, by default")] = ""
    advertised_address: Annotated[
        str, _Option(_address, "http://HOST:PORT at which members and replicas reach the broker")
    ] = ""
    service_address: Annotated[
        str, _Option(_address, "http://HOST:PORT before all replicas, for members' hints; none: the advertised address")
    ] = ""
    kubeconfig: Annotated[Path | None, _Option(_path, "a kubeconfig; none: the pod's ServiceAccount")] = None
    broker_host: Annotated[str, _Option(str, "the address that the broker listens on")] = "0.0.0.0"  # noqa: S104 - of a pod
    broker_port: Annotated[int, _Option(_port, "the port that the broker listens on")] = 8080
    health_host: Annotated[str, _Option(str, "the address of /healthz, /readyz and /metrics")] = "0.0.0.0"  # noqa: S104 - of a pod
    health_port: Annotated[int, _Option(_port, "the port of /healthz, /readyz and /metrics")] = 8081
    member_image: Annotated[str, _Option(str, "the image of members")] = "ghcr.io/leasegrid/leasegrid:latest"
    member_pull_policy: Annotated[PullPolicy, _Option(_one_of(PullPolicy), "when it is pulled")] = (
        PullPolicy.IF_NOT_PRESENT
    )
    member_priority_class: Annotated[str, _Option(str, "PriorityClass of members whose pool names none")] = ""
    provision_template: Annotated[
        Path | None, _Option(_path, "an InstancePool in YAML: the shape of provisioned members")
    ] = None
    max_members_per_lease: Annotated[int, _Option(_positive, "the most members that one lease may ask for")] = 10_000
    caller_requests_per_second: Annotated[int, _Option(_positive, "what the broker takes of one caller")] = 500
    tls: Annotated[TlsMode, _Option(_one_of(TlsMode), "off, self-made or files: what broker and members speak")] = (
        TlsMode.OFF
    )
    tls_cert: Annotated[Path | None, _Option(_path, "files: the broker's certificate in PEM, with its chain")] = None
    tls_key: Annotated[Path | None, _Option(_path, "files: its private key")] = None
    tls_ca: Annotated[Path | None, _Option(_path, "files: who vouches for it")] = None
    tls_names: Annotated[
        tuple[str, ...], _Option(_hosts, "names in the broker's certificate besides its addresses, with commas between")
    ] = ()
    tls_config_map: Annotated[
        str, _Option(str, "a ConfigMap of its own namespace in which ca.crt is kept for clients; none: nowhere")
    ] = ""
    log_level: Annotated[LogLevel, _Option(_one_of(LogLevel), "debug, info, warning or error")] = LogLevel.INFO
    log_format: Annotated[LogFormat, _Option(_one_of(LogFormat), "json or text")] = LogFormat.JSON

    @property
    def broker_name(self) -> str:
        """What members must read in the broker's certificate; empty: the host that they ask.

        Files are made before a replica has its address, so they name the Service; what is made here names both.
        """
        if self.tls is not TlsMode.FILES:
            return ""
        return self.tls_names[0] if self.tls_names else urlsplit(self.service_address).hostname or ""

    @property
    def hints_address(self) -> str:
        """Where members send their hints: a member outlives the replica that made it."""
        return f"{self.service_address or self.advertised_address}/v1/hints"


_OPTIONS: Mapping[str, _Option] = {
    name: hint.__metadata__[0] for name, hint in get_type_hints(Settings, include_extras=True).items()
}


def add_flags(parser: argparse.ArgumentParser) -> None:
    """A flag for each setting."""
    for name, option in _OPTIONS.items():
        parser.add_argument(_flag(name), dest=name, metavar="VALUE", help=f"{option.told} [{_variable(name)}]")


def read_settings(given: Mapping[str, str | None], environment: Mapping[str, str]) -> Settings:
    """The settings by flags (`given`, by the field's name) and variables; what is in neither has its default.

    Raises:
        SettingsError: with every setting that cannot be used.
    """
    values, faults = _read_all(given, environment)
    values["own_namespace"] = values.get("own_namespace") or _namespace_of_pod()
    values["identity"] = values.get("identity") or socket.gethostname()
    if not faults and not values.get("advertised_address"):
        values["advertised_address"] = _own_address(Settings(**values), faults)
    if not faults:
        faults += _tls_faults(Settings(**values))
    if faults:
        raise SettingsError("; ".join(faults), remedy="correct these settings")
    return Settings(**values)


def provision_spec(settings: Settings) -> InstancePoolSpec:
    """The shape of members that are made for one lease, where no pool gives it.

    Raises:
        SettingsError: the template cannot be read, or is no InstancePool.
    """
    path = settings.provision_template
    if path is None:
        return InstancePoolSpec(target_size=0)
    try:
        loaded = load_documents(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"the template of provisioned members: {error}", remedy="check the mounted file") from error
    pools = [one for one in loaded.objects if isinstance(one, InstancePool)]
    if loaded.faults or len(pools) != 1 or len(loaded.objects) != 1:
        found = "; ".join(map(str, loaded.faults)) or f"{path} has to hold one InstancePool and nothing else"
        raise SettingsError(f"the template of provisioned members: {found}", remedy="correct the file")
    return pools[0].spec


def _read_all(given: Mapping[str, str | None], environment: Mapping[str, str]) -> tuple[dict[str, Any], list[str]]:
    values: dict[str, Any] = {}
    faults: list[str] = []
    for name, option in _OPTIONS.items():
        flag = given.get(name)
        text = environment.get(_variable(name)) if flag is None else flag
        if text is None:
            continue
        try:
            values[name] = option.read(text)
        except ValueError as error:
            faults.append(f"{_variable(name) if flag is None else _flag(name)}: {error}")
    return values, faults


def _own_address(settings: Settings, faults: list[str]) -> str:
    if settings.broker_host in _WILDCARDS:
        faults.append(
            f"--advertised-address or {PREFIX}ADVERTISED_ADDRESS: nobody can be sent to {settings.broker_host!r}; "
            "write http://HOST:PORT with the pod's address"
        )
    return f"{_scheme(settings)}://{settings.broker_host}:{settings.broker_port}"


def _scheme(settings: Settings) -> str:
    return "http" if settings.tls is TlsMode.OFF else "https"


def _tls_faults(settings: Settings) -> list[str]:
    by_files = settings.tls is TlsMode.FILES
    faults = [
        f"{_flag(name)}: {address!r} is not https, as --tls {settings.tls.value} wants: write https://HOST:PORT"
        for name in ("advertised_address", "service_address")
        if settings.tls is not TlsMode.OFF and (address := getattr(settings, name)).startswith("http:")
    ]
    for name in ("tls_cert", "tls_key", "tls_ca"):
        if by_files and getattr(settings, name) is None:
            faults.append(f"{_flag(name)} or {_variable(name)}: --tls files needs it: write the path of a PEM file")
        if not by_files and getattr(settings, name) is not None:
            faults.append(f"{_flag(name)} or {_variable(name)}: only --tls files reads it: leave it out")
    if settings.tls is TlsMode.OFF and settings.tls_config_map:
        faults.append(
            "--tls-config-map or LEASEGRID_TLS_CONFIG_MAP: there is nothing to keep without --tls: leave it out"
        )
    return faults


def _namespace_of_pod() -> str:
    try:
        return OWN_NAMESPACE_FILE.read_text(encoding="utf-8").strip()
    except OSError:
        return "default"


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _variable(name: str) -> str:
    return f"{PREFIX}{name.upper()}"
