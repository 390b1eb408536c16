"""Opens a state directory after a fault and compares it with what was said of it."""

import json
from collections.abc import Sequence
from pathlib import Path

from leasegrid.local.state import StateDirectory
from tasklet_runner.wire.errors import LeaseGridError
from tasklet_runner.wire.signed import public_text
from tests.soak.driving import Scenario
from tests.soak.state_child import JOB
from tests.soak.tally import Findings, doubled, lost, wrong

VOLUMES = {"l-job": 1, "l-data": 2}


def judge(directory: Path, said: Sequence[str]) -> Findings:
    """What was said of keys, terms and Block leases is durable: a power cut is judged as a kill is."""
    kept = {(line["what"], line["which"]) for line in map(json.loads, said)}
    try:
        state = StateDirectory(directory / "leasegrid")
        state.reap()
        try:
            return _leases(state, kept) + _key(state, kept) + _term(state, kept)
        finally:
            state.close()
    except LeaseGridError as error:
        return lost([f"the state directory cannot be used: {error}"])


def _leases(state: StateDirectory, kept: set[tuple[str, str | int]]) -> Findings:
    live = {row.uid: row for row in state.books.live()}
    findings = Findings()
    for uid, count in VOLUMES.items():
        found = [path for each in live[uid].directories if (path := state.root / each).is_dir()] if uid in live else []
        if ("deleted", uid) in kept:
            findings += doubled([f"{uid} is there, and was deleted"] if uid in live else [])
        elif ("lease", uid) in kept and not _under_way(state, kept, uid):
            whole = [path for path in found if (path / "store" / "data").exists()]
            findings += lost([f"{uid} has {len(whole)} of {count} volumes"] if len(whole) != count else [])
    return findings + wrong(f"{path.relative_to(state.root)} belongs to nobody" for path in state.strays())


def _under_way(state: StateDirectory, kept: set[tuple[str, str | int]], uid: str) -> bool:
    """True when the third command had its turn: it was about to delete, and may have done so in part."""
    return uid == "l-job" and ("term", 3) in kept


def _key(state: StateDirectory, kept: set[tuple[str, str | int]]) -> Findings:
    known = [str(which) for what, which in kept if what == "key"]
    return lost(["the fabric's key is another"] if known and known != [public_text(state.key)] else [])


def _term(state: StateDirectory, kept: set[tuple[str, str | int]]) -> Findings:
    """Each holder has a term above all before, as long as the volume is there."""
    known = max((int(which) for what, which in kept if what == "term"), default=0)
    if ("deleted", "l-job") in kept or not (state.job_path(*JOB) / "term").exists():
        return Findings()
    volume = state.hold_job(*JOB)
    volume.release()
    return doubled([f"term {volume.term} was given out twice"] if volume.term <= known else [])


STATE = Scenario("tests.soak.state_child:run", judge, judge)
"""The fabric's key, terms of a job, Block leases on one and two volumes, renewals, a deletion."""
