# The `journey` command, as a worker unless told otherwise. The image holds no server and no credentials.

# The release that the tests run on.
FROM python:3.11-slim-bookworm AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore

# No pip in it: nothing is installed where the worker runs.
RUN python -m venv --without-pip /opt/journey

WORKDIR /src

# What is depended on changes seldom, the code at every build: this layer is made of the two files that say it.
COPY pyproject.toml constraints.txt ./
RUN python -c "import pathlib, tomllib; \
pyproject = tomllib.loads(pathlib.Path('pyproject.toml').read_text()); \
pathlib.Path('/tmp/build.txt').write_text('\n'.join(pyproject['build-system']['requires'])); \
pathlib.Path('/tmp/run.txt').write_text('\n'.join(pyproject['project']['dependencies']))" \
    && pip install --requirement /tmp/build.txt \
    && pip --python /opt/journey/bin/python install --constraint constraints.txt --requirement /tmp/run.txt

COPY README.md ./
COPY supabase/migrations/ supabase/migrations/
COPY contract/ contract/
COPY workflows/ workflows/
COPY activities/ activities/
COPY worker/ worker/
COPY starter/ starter/
RUN pip wheel --no-deps --no-build-isolation --wheel-dir /tmp/dist . \
    && pip --python /opt/journey/bin/python install --no-deps /tmp/dist/*.whl \
    && pip --python /opt/journey/bin/python check


FROM python:3.11-slim-bookworm

# By number, so that an orchestrator which refuses root can see that this is not root.
RUN groupadd --system --gid 10001 journey \
    && useradd --system --uid 10001 --gid journey --no-create-home --shell /usr/sbin/nologin journey

# At the same path: a virtual environment does not survive being moved.
COPY --from=build /opt/journey /opt/journey

ENV PATH=/opt/journey/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1

USER 10001:10001
STOPSIGNAL SIGTERM
ENTRYPOINT ["journey"]
CMD ["worker"]
