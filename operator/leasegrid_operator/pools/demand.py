"""What waiting leases lack, by the pool that makes members for them."""

from collections import Counter

from leasegrid.leasing.parts import Parts


def waiting_by_pool(parts: Parts) -> Counter[str]:
    """So many members are waited for. A lease's first pool makes them, and what has no room there the next."""
    lacking: Counter[tuple[str, ...]] = Counter()
    for record in parts.table.wanting():
        lacking[record.pools] += max(0, record.missing - record.binding)
    found: Counter[str] = Counter()
    for names, count in lacking.items():
        left = count
        for name in names:
            pool = parts.pools.get(name)
            if pool is None or pool.draining:
                continue
            taken = min(left, max(0, pool.spec.most - found[name]))
            found[name] += taken
            left -= taken
    return found
