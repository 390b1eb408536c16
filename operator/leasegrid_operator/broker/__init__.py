"""HTTP for programs that hold leases: acquire, watch, renew, resize, release; limits, credentials, refusals."""
