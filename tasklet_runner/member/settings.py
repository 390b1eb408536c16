"""What a member process is told when it starts."""

from dataclasses import dataclass
from pathlib import Path

from tasklet_runner.wire.member import Role

MEMORY_RESERVE_BYTES = 256 * 1024 * 1024
"""Of a member's memory, what its own processes may use; tasklets share the rest."""


@dataclass(frozen=True)
class MemberSettings:
    """`memory` and `tmpfs` in bytes; `listen`: `host:port` or `unix:///path`; `notify`: where hints go, or empty.

    `store`, `quota`: where a Memory or Block member keeps objects, and how many bytes of them it takes. `life_fd`: the
    read end of a pipe that the fabric's process holds open; -1 when there is none. `replace_after_use`: single use
    (`reuse: Replace`); store members always are. `tls`: serve HTTPS by a key of its own, and then `incarnation` is that
    key's name; else empty, and drawn. `notify_ca`: PEM of the authority that an https `notify` must be proven by, or
    empty for the system's; `notify_name`: the name that its certificate must have, or empty for the host that is asked.
    `compile_seconds`: so much CPU time, over all threads, compiling one module may take.
    """

    name: str
    listen: str
    fabric_key: str
    scratch: Path
    slots: int = 1
    memory: int = 1024 * 1024 * 1024
    tmpfs: int = 256 * 1024 * 1024
    notify: str = ""
    replace_after_use: bool = False
    life_fd: int = -1
    role: Role = Role.CPU
    store: Path = Path()
    quota: int = 0
    tls: bool = False
    incarnation: str = ""
    notify_ca: str = ""
    notify_name: str = ""
    compile_seconds: int = 120

    @property
    def tasklet_memory(self) -> int:
        """The memory that one tasklet may ask for: what tmpfs and the reserve leave, shared among the slots."""
        return max(0, (self.memory - self.tmpfs - MEMORY_RESERVE_BYTES) // self.slots)
