# Pagerelay as one wheel in a slim image. Build it from the root of the project: docker build -t pagerelay .

FROM python:3.11-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY relay relay
COPY templates templates
COPY config config
COPY examples examples
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /dist . \
 && python -m venv /opt/pagerelay \
 && /opt/pagerelay/bin/pip install --no-cache-dir /dist/*.whl \
 && /opt/pagerelay/bin/pip uninstall --yes pip \
 && /opt/pagerelay/bin/pagerelay --help > /dev/null

FROM python:3.11-slim
COPY --from=build /opt/pagerelay /opt/pagerelay
ENV PATH=/opt/pagerelay/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PAGERELAY_CONFIG_FILE=/etc/pagerelay/relay.yml \
    PAGERELAY_STORAGE_PATH=/data \
    PAGERELAY_WEB_LISTEN_ADDRESS=0.0.0.0:9095 \
    PAGERELAY_WEB_ALLOW_UNAUTHENTICATED=true
# Loopback inside a container reaches nobody, so it listens on every address there, and who reaches it is for `-p`, a
# private network or a network policy to decide. With credentials (docs/operations.md, Doors) set it to false.
# The user needs no name: nothing here asks for one. /data belongs to it, also as a fresh named volume.
RUN install -d -o 65532 -g 65532 -m 0700 /data
USER 65532:65532
VOLUME /data
WORKDIR /data
EXPOSE 9095
HEALTHCHECK --interval=15s --timeout=3s --start-period=10s --retries=3 CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:9095/-/healthy', timeout=2)"]
ENTRYPOINT ["pagerelay"]
CMD ["serve"]
