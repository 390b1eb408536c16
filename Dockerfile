# One image for operator and members. `docker build .` is enough where Docker has a package index within reach; else make
# the wheels outside and name their folder: `make image`.
ARG BASE_IMAGE=python:3.11-slim

FROM ${BASE_IMAGE} AS build
# A folder of this context with all wheels, made for the Python of the base image; empty: they are fetched.
ARG WHEELS=""
WORKDIR /source
COPY . .
RUN python3 -m venv --without-pip /opt/leasegrid
RUN if [ -n "$WHEELS" ]; then set -- --no-index --find-links "$WHEELS" "leasegrid[s3]"; else set -- ".[s3]"; fi \
 && python3 -m pip --disable-pip-version-check --python /opt/leasegrid/bin/python install --no-cache-dir --no-compile \
    --constraint constraints.txt "$@"
# The root file system is read-only: what is not compiled now is compiled at each start. That saves 34 MB where nothing is
# ever imported: the Kubernetes client has a class for each group of the API, and all of it twice.
RUN /opt/leasegrid/bin/python -m compileall -q -j 0 --invalidation-mode unchecked-hash \
    -x 'kubernetes/((aio/)?client/api/(?!core_v1_api|__init__)|client/models/)' /opt/leasegrid/lib
# Members load native code from here as it is, so it belongs to root and nobody may write it (docs/adr/0013).
RUN /opt/leasegrid/bin/python -m tasklet_runner precompile --into /opt/precompiled

FROM ${BASE_IMAGE}
ARG VERSION=0.1.0
ARG REVISION=""
LABEL org.opencontainers.image.title="LeaseGrid" \
      org.opencontainers.image.description="Operator, members and command line of LeaseGrid" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
COPY --from=build /opt/precompiled /opt/precompiled
COPY --from=build /opt/leasegrid /opt/leasegrid
ENV PATH=/opt/leasegrid/bin:/usr/local/bin:/usr/bin:/bin \
    HOME=/tmp \
    USER=leasegrid \
    LEASEGRID_PRECOMPILED=/opt/precompiled \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
USER 65532:65532
WORKDIR /tmp
CMD ["leasegrid", "--help"]
