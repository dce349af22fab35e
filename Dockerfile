# The gateway, its locked packages, a user without rights. No pip, no build tools, no shell scripts.
ARG BASE=python:3.13-slim

FROM ${BASE} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
RUN python3 -m venv /opt/tollgate
COPY requirements-runtime.lock ./
RUN /opt/tollgate/bin/pip install --quiet --require-hashes -r requirements-runtime.lock
COPY pyproject.toml README.md LICENSE ./
COPY gateway ./gateway
RUN /opt/tollgate/bin/pip install --quiet --no-deps --no-build-isolation . \
    && /opt/tollgate/bin/pip uninstall --quiet --yes setuptools pip

FROM ${BASE}
LABEL org.opencontainers.image.title="tollgate" \
      org.opencontainers.image.description="An OpenAI-compatible LLM gateway: cheap models first, better ones when needed, never over budget" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/opt/tollgate/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
COPY --from=build /opt/tollgate /opt/tollgate
WORKDIR /app
COPY config ./config
# Only the embedded ledger writes here; with a Redis of your own the whole filesystem can be read-only.
RUN install -d -o 10001 -g 10001 .tollgate
USER 10001:10001
EXPOSE 4000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python3", "-c", "from urllib.request import *; build_opener(ProxyHandler({})).open('http://127.0.0.1:4000/livez', timeout=2)"]
ENTRYPOINT ["tollgate"]
CMD ["serve", "--config", "config/gateway.yaml", "--host", "0.0.0.0"]
