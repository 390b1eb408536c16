"""Which pool is the default one of a namespace. Pure."""

from collections.abc import Mapping

from leasegrid.rules.pool_state import Complaint
from leasegrid.rules.reasons import PoolReason


def default_pool(marked: Mapping[str, bool]) -> tuple[str, Complaint | None]:
    """Its name, of all pools with whether they are marked; empty when there is none.

    With several none of them is: work must not move to another pool because somebody marked one more.
    """
    names = sorted(name for name, is_default in marked.items() if is_default)
    if len(names) > 1:
        message = (
            f"{', '.join(names)} are all marked as the default pool, so leases that name no pool are refused: "
            "take the annotation leasegrid.dev/is-default-pool from all but one"
        )
        return "", Complaint(PoolReason.SEVERAL_DEFAULTS, message)
    return (names[0] if names else ""), None
