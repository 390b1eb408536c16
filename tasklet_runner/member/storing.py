"""A Memory or Block member put together: the core around a shelf of objects. No slots, no sandbox, single use."""

import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING

from tasklet_runner.member.core import MemberCore, Notifier
from tasklet_runner.member.door import Assembly
from tasklet_runner.member.metrics import store_figures
from tasklet_runner.member.settings import MemberSettings
from tasklet_runner.member.shelf import Shelf
from tasklet_runner.member.states import Identity
from tasklet_runner.member.store_door import StoreDoor

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric


def assemble_store(settings: MemberSettings, notifier: Notifier) -> Assembly:
    """A member that serves `settings.store`. Its incarnation is drawn here, unless its key gave it one."""
    identity = Identity(
        member=settings.name,
        incarnation=settings.incarnation or secrets.token_hex(16),
        slots=0,
        tasklet_memory=0,
        replace_after_use=True,
        role=settings.role,
    )
    shelf = Shelf(settings)
    core = MemberCore(settings, identity, notifier, shelf)

    def figures() -> "Iterator[Metric]":
        return store_figures(shelf.used_bytes, settings.quota)

    return Assembly(core, StoreDoor(core, shelf).routes(), figures)
