# The service: docker build -t holdfast . && docker run -e HOLDFAST_BUS=… holdfast

FROM python:3.13-slim AS build
WORKDIR /build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
# Every file is checked against the lock here; the installs below take nothing else.
COPY requirements.lock ./
RUN pip download --require-hashes --dest wheels --requirement requirements.lock \
    && pip install --no-index --find-links wheels hatchling
COPY pyproject.toml README.md ./
COPY protocol protocol
COPY backends backends
COPY agents agents
RUN pip wheel --no-deps --no-build-isolation --wheel-dir wheels . \
    && python -m venv /opt/holdfast \
    && /opt/holdfast/bin/pip install --no-index --find-links wheels 'holdfast[server]'

FROM python:3.13-slim
RUN useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin holdfast
COPY --from=build /opt/holdfast /opt/holdfast
ENV PATH=/opt/holdfast/bin:$PATH PYTHONDONTWRITEBYTECODE=1
USER 10001
# SIGTERM: finish what was taken, answer, acknowledge, exit 0.
STOPSIGNAL SIGTERM
ENTRYPOINT ["holdfast"]
CMD ["serve"]
