# The gateway, its locked packages and a user without rights. What it has no use for is not in it:
# no pip, no compiler, no debugging symbols.
ARG BASE=python:3.13.15-slim-trixie@sha256:7c61056e61ac89e852de05f3dc6fa51a6dd2181797bceed46aa725dd7cb2cd3b

FROM ${BASE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
# A tool of this stage only, of whatever version Debian has.
# hadolint ignore=DL3008
RUN apt-get update -qq && apt-get install -qq --yes --no-install-recommends binutils && rm -rf /var/lib/apt/lists/*
RUN python3 -m venv /opt/tollgate
COPY requirements-runtime.lock ./
RUN /opt/tollgate/bin/pip install --quiet --no-compile --require-hashes --only-binary :all: -r requirements-runtime.lock \
    && find /opt/tollgate -name "*.so" -exec strip --strip-unneeded {} +
# The table of OpenAI's tokenizer, which tiktoken would fetch while it runs: from a wheel that has it,
# pinned by its lock, and the file itself checked again.
COPY requirements-clients.lock ./
RUN sed -n '/^llama-index-core==/,/[^\\]$/p' requirements-clients.lock > table.lock \
    && /opt/tollgate/bin/pip download --quiet --require-hashes --only-binary :all: --no-deps -r table.lock -d wheel \
    && python3 -m zipfile -e wheel/*.whl unpacked \
    && install -D -m 0644 -t /opt/tables \
        unpacked/llama_index/core/_static/tiktoken_cache/fb374d419588a4632f3f557e76b4b70aebbca790 \
    && echo "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d  /opt/tables/fb374d419588a4632f3f557e76b4b70aebbca790" > table.sha256 \
    && sha256sum --check --strict table.sha256
COPY pyproject.toml README.md LICENSE ./
COPY gateway ./gateway
# Compiled whole: the first start below is a demo's, which does not import what a server does.
RUN /opt/tollgate/bin/pip install --quiet --no-deps --no-build-isolation . \
    && /opt/tollgate/bin/pip uninstall --quiet --yes setuptools pip

FROM ${BASE} AS whole
ENV PATH=/opt/tollgate/bin:$PATH
WORKDIR /app
COPY --from=build /opt /opt
COPY config ./config
COPY deploy/image/first_start.py /srv/
# Only the embedded ledger writes to .tollgate; with a Redis of your own all can be read-only.
RUN python3 /srv/first_start.py && rm -rf .tollgate && install -d -o 10001 -g 10001 .tollgate
# The tree of the image: that of the base without installers, headers and manuals.
WORKDIR /image
RUN cp -a /app /bin /etc /lib* /opt /sbin /usr . \
    && install -d dev home proc root run sys var && install -d -m 1777 tmp var/tmp \
    && rm -rf usr/local/include usr/local/bin/pip* usr/share/doc usr/share/man usr/share/locale \
        usr/local/lib/python3*/site-packages/pip* \
        usr/lib/python3*/ensurepip usr/local/lib/python3*/ensurepip \
        usr/lib/python3*/idlelib usr/local/lib/python3*/idlelib \
        usr/lib/python3*/pydoc_data usr/local/lib/python3*/pydoc_data

FROM scratch
COPY --from=whole /image /
# hadolint takes the TOKEN in the name of tiktoken's folder for a secret.
# hadolint ignore=DL3064
ENV PATH=/opt/tollgate/bin:/usr/local/bin:/usr/bin:/bin \
    LANG=C.UTF-8 \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    TIKTOKEN_CACHE_DIR=/opt/tables
WORKDIR /app
USER 10001:10001
EXPOSE 4000
# Without urllib, which would be ten times the work, every ten seconds.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python3", "-ISc", "import socket, sys; s = socket.create_connection(('127.0.0.1', 4000), 2); s.sendall(b'GET /livez HTTP/1.1\\r\\nhost: localhost\\r\\nconnection: close\\r\\n\\r\\n'); sys.exit(b' 200 ' not in s.recv(64))"]
ARG REVISION=unknown
LABEL org.opencontainers.image.title="tollgate" \
      org.opencontainers.image.description="An OpenAI-compatible LLM gateway: cheap models first, better ones when needed, never over budget" \
      org.opencontainers.image.version="0.1.0" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"
ENTRYPOINT ["tollgate"]
CMD ["serve", "--config", "config/gateway.yaml", "--host", "0.0.0.0"]
