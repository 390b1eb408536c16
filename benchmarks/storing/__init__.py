"""The store beside a plain copy and a bare HTTP server."""
