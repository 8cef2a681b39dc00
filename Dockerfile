# The daemon as an image. Mount the configuration and the certificates, keep the volume: it holds the ledger.
#
#     docker build -t oicp-adapter .
#     docker run --init --stop-timeout 45 \
#         -v ./config:/etc/oicp-adapter:ro -v ./export:/export:ro -v oicp-ledger:/var/lib/oicp-adapter oicp-adapter
#
# Another verb in the same container: docker exec NAME oicp-adapter status
ARG PYTHON=python:3.13-slim

FROM ${PYTHON} AS build
RUN python3 -m venv /app
WORKDIR /build
COPY requirements/run.lock ./
RUN /app/bin/pip install --no-cache-dir --only-binary :all: --require-hashes -r run.lock
COPY pyproject.toml README.md ./
COPY oicp_adapter oicp_adapter
# Nothing is installed into the image later on, so what installs stays behind.
RUN /app/bin/pip install --no-cache-dir --no-deps --no-build-isolation . \
    && /app/bin/pip uninstall -y setuptools pip

FROM ${PYTHON}
# The ledger's place wins over the configuration file, so that it is never lost with the container.
ENV PATH=/app/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    OICP_ADAPTER_CONFIG=/etc/oicp-adapter/adapter.toml \
    OICP_ADAPTER__LEDGER__URL=sqlite:////var/lib/oicp-adapter/ledger.db
RUN useradd --uid 10001 --home-dir /var/lib/oicp-adapter --no-create-home oicp-adapter \
    && install -d -o oicp-adapter -g oicp-adapter /var/lib/oicp-adapter
COPY --from=build /app /app
USER 10001
WORKDIR /var/lib/oicp-adapter
VOLUME /var/lib/oicp-adapter
# Is the daemon working? Not: is Hubject up? A restart would not bring Hubject back. The first answer may take a moment.
HEALTHCHECK --interval=30s --timeout=10s --start-period=20s --retries=3 CMD oicp-adapter health || exit 1
# A push in flight is given [daemon] grace (30 s) to end, so stop with more than that: docker stop -t 45
STOPSIGNAL SIGTERM
ENTRYPOINT ["oicp-adapter"]
CMD ["run"]
