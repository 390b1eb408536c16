"""What pools of one machine have in common, whatever their members are for."""

from leasegrid.api.pool import InstancePoolSpec, Refill

WARMUP_SECONDS = 60
"""A local member is ready after some milliseconds; one that takes this long hangs."""

LOCAL_REFILL = Refill(max_per_second=1000, burst=1000)


def capped(spec: InstancePoolSpec, most: int) -> InstancePoolSpec:
    """The spec with so many live members at most."""
    return spec.model_copy(
        update={
            "target_size": min(spec.target_size, most),
            "min_size": min(spec.least, most),
            "max_size": min(spec.most, most),
        }
    )
