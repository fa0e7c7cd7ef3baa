# The `journey` command: a worker by default, a gateway if asked. The image holds no server and no credentials.

# The Python release that the tests run on.
FROM python:3.11-slim-bookworm AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore

# Without pip: nothing is installed later in the image that runs.
RUN python -m venv --without-pip /opt/journey

WORKDIR /src

# Dependencies change seldom, the code at every build: this layer needs only the two files that name the dependencies.
COPY pyproject.toml constraints.txt ./
RUN python -c "import pathlib, tomllib; \
project = tomllib.loads(pathlib.Path('pyproject.toml').read_text())['project']; \
pathlib.Path('/tmp/client.txt').write_text('\n'.join(project['dependencies']))" \
    && pip install --constraint constraints.txt pip \
    && pip --python /opt/journey/bin/python install --constraint constraints.txt --requirement /tmp/client.txt --group http \
    && pip --python /opt/journey/bin/python check

COPY starter/journey /opt/journey/bin/journey


FROM python:3.11-slim-bookworm

# User and group by number, so that an orchestrator that refuses root can see that this is not root.
RUN groupadd --system --gid 10001 journey \
    && useradd --system --uid 10001 --gid journey --no-create-home --shell /usr/sbin/nologin journey

# At the same path: a virtual environment does not survive being moved.
COPY --from=build /opt/journey /opt/journey

# The packages of a production system: neither the embedded servers nor the benchmark.
COPY supabase/migrations/ /app/supabase/migrations/
COPY journeys/ /app/journeys/
COPY stores/ /app/stores/
COPY workflows/ /app/workflows/
COPY activities/ /app/activities/
COPY worker/ /app/worker/
COPY starter/ /app/starter/

ENV PATH=/opt/journey/bin:$PATH \
    PYTHONPATH=/app \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

USER 10001:10001
STOPSIGNAL SIGTERM
ENTRYPOINT ["journey"]
CMD ["worker"]
