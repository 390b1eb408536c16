"""Why a pod does not come up, or how it ended: read from its status, in the kubelet's own words.

https://kubernetes.io/docs/concepts/workloads/pods/pod-lifecycle/
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from leasegrid.rules.reasons import WarmupFailure

LONGEST_WORDS = 300
"""A log's last words are cut from their front: what went wrong stands at the end."""

_IMAGE = frozenset(
    {"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"}
    | {"ImageInspectError", "SignatureValidationFailed"}
)
_STARTING = frozenset({"", "ContainerCreating", "PodInitializing"})
_REFUSED_BY_NODE = ("OutOf", "NodeAffinity", "UnexpectedAdmissionError")


@dataclass(frozen=True)
class Trouble:
    """What went wrong, and the sentence that says it."""

    reason: WarmupFailure
    message: str


def trouble_of(status: Mapping[str, Any]) -> Trouble | None:
    """What keeps a pod from being ready, or ended it; None while all goes well, and for an end without fault."""
    if status.get("phase") == "Failed":
        return _failed(status)
    return _waiting(status) or _unscheduled(status)


def _failed(status: Mapping[str, Any]) -> Trouble:
    """The pod as a whole was refused or evicted, or its process ended."""
    reason, message = str(status.get("reason", "")), str(status.get("message", ""))
    if reason.startswith(_REFUSED_BY_NODE):
        return Trouble(WarmupFailure.UNSCHEDULABLE, f"the node refused it: {message or reason}")
    if reason:
        return Trouble(WarmupFailure.CRASH, f"it was ended by its node ({reason}): {_last(message)}")
    ended = _container(status).get("terminated") or {}
    why = str(ended.get("reason", ""))
    how = f"it ended with exit code {ended.get('exitCode', 'unknown')}"
    if why not in {"", "Error", "Completed"}:
        how += f" ({why})"
    words = _last(str(ended.get("message", "")))
    return Trouble(WarmupFailure.CRASH, f"{how}: {words}" if words else how)


def _waiting(status: Mapping[str, Any]) -> Trouble | None:
    waiting = _container(status).get("waiting") or {}
    reason, message = str(waiting.get("reason", "")), _last(str(waiting.get("message", "")))
    if reason in _STARTING:
        return None
    said = f"{reason}: {message}" if message else reason
    return Trouble(WarmupFailure.IMAGE if reason in _IMAGE else WarmupFailure.CRASH, said)


def _unscheduled(status: Mapping[str, Any]) -> Trouble | None:
    for one in status.get("conditions") or ():
        if one.get("type") == "PodScheduled" and one.get("reason") == "Unschedulable":
            return Trouble(WarmupFailure.UNSCHEDULABLE, _last(str(one.get("message", ""))) or "no node has room for it")
    return None


def _container(status: Mapping[str, Any]) -> Mapping[str, Any]:
    """The state of the member's container; it is the only one that we make."""
    statuses = status.get("containerStatuses") or ()
    state: Mapping[str, Any] = (statuses[0].get("state") or {}) if statuses else {}
    return state


def _last(words: str) -> str:
    text = " ".join(words.split())
    return text if len(text) <= LONGEST_WORDS else f"…{text[-LONGEST_WORDS:]}"
