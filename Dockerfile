# syntax=docker/dockerfile:1
# Both processes of joulecast and its command line, without torch:
#   docker build --tag joulecast .
# What EnergyCalibrations run on GPU nodes, with torch:
#   docker build --target calibration --tag joulecast-torch .
# Another base: --build-arg BUILD_BASE=… --build-arg BASE=…; both with the same Python (3.11 or later) at the same path.
ARG BUILD_BASE=docker.io/library/python:3.13-slim
ARG BASE=docker.io/library/python:3.13-slim

FROM ${BUILD_BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements/operator.txt requirements/demo.txt /source/requirements/
# what runs, by hash
RUN python -m venv /opt/joulecast \
    && /opt/joulecast/bin/pip install --require-hashes --only-binary :all: -r /source/requirements/operator.txt
# what builds, by hash too; it stays behind in this stage
RUN python -m venv /opt/build \
    && /opt/build/bin/pip install --require-hashes --only-binary :all: -r /source/requirements/demo.txt
COPY pyproject.toml README.md LICENSE /source/
COPY estimator /source/estimator
COPY operator /source/operator
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /opt/wheels /source \
    && /opt/joulecast/bin/pip install --no-deps --no-index /opt/wheels/joulecast-*.whl

FROM ${BUILD_BASE} AS build-calibration
ENV PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements/calibration.txt /source/requirements/
RUN python -m venv /opt/joulecast \
    && /opt/joulecast/bin/pip install --no-cache-dir --require-hashes --only-binary :all: -r /source/requirements/calibration.txt
COPY --from=build /opt/wheels /opt/wheels
RUN /opt/joulecast/bin/pip install --no-deps --no-index /opt/wheels/joulecast-*.whl

FROM ${BASE} AS calibration
LABEL org.opencontainers.image.title="joulecast-torch" \
      org.opencontainers.image.description="Measures the energy of neural networks on a GPU" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build-calibration /opt/joulecast /opt/joulecast
# NVIDIA's container runtime mounts the driver: compute for CUDA, utility for NVML; which GPU, the device plugin says
ENV PATH=/opt/joulecast/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 USER=joulecast HOME=/tmp \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 65532:65532
WORKDIR /tmp
ENTRYPOINT ["joulecast"]

FROM ${BASE}
LABEL org.opencontainers.image.title="joulecast" \
      org.opencontainers.image.description="Forecasts the energy of neural networks per batch on a GPU" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /opt/joulecast /opt/joulecast
# kopf asks for the user's name, which a bare UID does not have
ENV PATH=/opt/joulecast/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 USER=joulecast HOME=/tmp
USER 65532:65532
WORKDIR /tmp
ENTRYPOINT ["python", "-m", "joulecast_operator"]
CMD ["controller"]
