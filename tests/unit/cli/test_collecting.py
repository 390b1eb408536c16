"""What `leasegrid gc` says."""

import pytest

from leasegrid.cli.collecting import document, lines
from leasegrid.local.garbage import Collected, Remnant

LEASE = Remnant("lease words (outputs of job words)", "it has expired", ("/s/jobs/default/words",), 3 << 20)
RUN = Remnant("run directory /run/leasegrid-1-ab", "its run is dead", ("/run/leasegrid-1-ab",), 1 << 20)
USED = Remnant("lease build (cache of results)", "it has expired", ("/s/caches/build",), 1 << 10, process=17)


@pytest.mark.parametrize(
    ("collected", "dry_run", "expected"),
    [
        pytest.param(Collected((), ()), False, ["nothing to delete"], id="nothing is there"),
        pytest.param(
            Collected((LEASE, RUN), ()),
            False,
            [
                "lease words (outputs of job words): it has expired: 3 MiB freed",
                "run directory /run/leasegrid-1-ab: its run is dead: 1 MiB freed",
                "4 MiB freed",
            ],
            id="each thing with its bytes, and the sum",
        ),
        pytest.param(
            Collected((RUN,), (), 1, 2048),
            True,
            [
                "run directory /run/leasegrid-1-ab: its run is dead: 1 MiB would be freed",
                "1 MiB would be freed; 1 lease with 2 KiB has not expired (leasegrid leases)",
            ],
            id="a dry run says that nothing was done",
        ),
        pytest.param(
            Collected((), (USED,), 2, 2048),
            False,
            [
                "kept: lease build (cache of results): it has expired, and it is in use by process 17",
                "nothing to delete; 2 leases with 2 KiB have not expired (leasegrid leases)",
            ],
            id="what is in use is named with who uses it",
        ),
    ],
)
def test_what_is_said(collected: Collected, dry_run: bool, expected: list[str]) -> None:
    assert list(lines(collected, dry_run=dry_run)) == expected


def test_the_document_says_the_same() -> None:
    said = document(Collected((LEASE,), (USED,), 1, 2048), "/s", dry_run=True)
    assert (said["dryRun"], said["bytes"], said["leasesLeft"], said["bytesLeft"]) == (True, 3 << 20, 1, 2048)
    assert said["deleted"] == [
        {
            "what": LEASE.what,
            "why": LEASE.why,
            "directories": ("/s/jobs/default/words",),
            "bytes": 3 << 20,
            "process": 0,
        }
    ]
