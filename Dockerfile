# The agent as an image: slim, not root, compiled, and installed from the hash locks alone.
# Every step works in /app by relative paths, so tests/container can replay it without an engine.

FROM python:3.13-slim AS build
WORKDIR /app
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ROOT_USER_ACTION=ignore UV_LINK_MODE=copy UV_PYTHON_DOWNLOADS=never
COPY requirements/build.txt requirements/runtime.txt requirements/
RUN python3 -m venv .tools && .tools/bin/python -m pip install --quiet --no-cache-dir --require-hashes -r requirements/build.txt
RUN python3 -m venv --without-pip .venv && .tools/bin/uv pip install --quiet --no-cache --python .venv/bin/python --require-hashes -r requirements/runtime.txt
COPY pyproject.toml README.md ./
COPY bot bot
COPY storage storage
COPY trading trading
RUN .tools/bin/hatchling build -t wheel -d dist && .tools/bin/uv pip install --quiet --no-cache --no-deps --offline --python .venv/bin/python dist/*.whl
# Compiled once here, but for tests and ccxt's blocking half, which an agent never imports; a start
# without .pyc files takes three times as long.
RUN .venv/bin/python -m compileall -q -j 0 -x '/tests?/|/ccxt/[^_/][^/]*[.]py$' .venv/lib && mkdir -p data

FROM python:3.13-slim
WORKDIR /app
ENV PATH=/app/.venv/bin:$PATH PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HOME=/app/data UMBRA_DATA_DIR=/app/data
COPY --from=build /app/.venv .venv
COPY --from=build --chown=10001:10001 /app/data data
USER 10001:10001
VOLUME /app/data
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 CMD [".venv/bin/umbra", "health"]
STOPSIGNAL SIGTERM
CMD [".venv/bin/umbra", "run"]
