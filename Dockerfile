# The daemon as an image. Mount the configuration and the certificates, keep the volume: it holds the ledger.
#
#     docker build -t oicp-adapter .
#     docker run -v ./config:/etc/oicp-adapter:ro -v oicp-ledger:/var/lib/oicp-adapter oicp-adapter
#
# Another verb in the same container: docker exec NAME oicp-adapter status
FROM python:3.13-slim AS build
RUN python -m venv /app
WORKDIR /build
COPY requirements/run.lock ./
RUN /app/bin/pip install --no-cache-dir --only-binary :all: --require-hashes -r run.lock
COPY pyproject.toml README.md ./
COPY oicp_adapter oicp_adapter
RUN /app/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /var/lib/oicp-adapter --create-home oicp-adapter
COPY --from=build /app /app
# The ledger's place wins over the configuration file, so that it is never lost with the container.
ENV PATH=/app/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    OICP_ADAPTER_CONFIG=/etc/oicp-adapter/adapter.toml \
    OICP_ADAPTER__LEDGER__URL=sqlite:////var/lib/oicp-adapter/ledger.db
USER 10001
WORKDIR /var/lib/oicp-adapter
VOLUME /var/lib/oicp-adapter
# A push in flight is given [daemon] grace (30 s) to end: docker stop --time 40
STOPSIGNAL SIGTERM
ENTRYPOINT ["oicp-adapter"]
CMD ["run"]
