# syntax=docker/dockerfile:1
# Both processes of joulecast and its command line, without torch (`make image`):
#   docker build --target operator --tag joulecast .
# What EnergyCalibrations run on GPU nodes, with torch (`make image-calibration`):
#   docker build --target calibration --tag joulecast-torch .
# What is in them, as CycloneDX documents (`make sbom`):
#   docker build --target sbom --output type=local,dest=dist .
# Another base: --build-arg BUILD_BASE=… --build-arg BASE=…; both with the same Python (3.11 or later) at the same path.
# An index of your own: --secret id=pip,src=/etc/pip.conf; an authority of your own: --secret id=ca,src=/etc/ssl/certs/ca-certificates.crt
ARG BUILD_BASE=docker.io/library/python:3.13-slim
ARG BASE=docker.io/library/python:3.13-slim

# What builds, by hash; it stays behind.
FROM ${BUILD_BASE} AS tools
ENV PIP_DISABLE_PIP_VERSION_CHECK=1
COPY requirements/image.txt /source/requirements/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv /opt/build \
    && /opt/build/bin/pip install --require-hashes --only-binary :all: -r /source/requirements/image.txt

FROM tools AS wheel
COPY pyproject.toml README.md LICENSE /source/
COPY estimator /source/estimator
COPY operator /source/operator
RUN /opt/build/bin/pip wheel --no-deps --no-index --no-build-isolation --wheel-dir /opt/wheels /source

# What runs, by hash too: an environment without pip and without tests, compiled once, with its bill of materials.
# The typed objects of the Kubernetes client are not compiled: a handful of hundreds is imported, and it would add some 40 MB.
FROM tools AS build
COPY requirements/operator.txt requirements/zones.txt /source/requirements/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv --without-pip /opt/joulecast \
    && /opt/build/bin/pip --python /opt/joulecast/bin/python install --no-compile --require-hashes --only-binary :all: -r /source/requirements/operator.txt
# Of codecarbon its table of countries alone, for the carbon of zones: neither its code nor what that needs.
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=cache,target=/root/.cache/pip \
    /opt/build/bin/pip --python /opt/joulecast/bin/python install --no-compile --no-deps --require-hashes --only-binary :all: -r /source/requirements/zones.txt \
    && find /opt/joulecast -type f '(' -path '*/codecarbon/*' ! -name global_energy_mix.json -o -path '*/bin/c*arbon*' ')' -delete
COPY --from=wheel /opt/wheels /opt/wheels
RUN /opt/build/bin/pip --python /opt/joulecast/bin/python install --no-compile --no-deps --no-index /opt/wheels/joulecast-*.whl \
    && /opt/build/bin/cyclonedx-py environment --output-reproducible --output-file /opt/joulecast/sbom.cdx.json /opt/joulecast/bin/python \
    && find /opt/joulecast -type d '(' -name tests -o -path '*/onnx/backend/test' ')' -prune -exec rm -r {} + \
    && /opt/joulecast/bin/python -m compileall -q -f --invalidation-mode unchecked-hash -x 'kubernetes/(aio/)?client/(models|api)/[^_]' /opt/joulecast/lib

# The same with torch, whose own test helpers include a module for Python 3.12 alone.
FROM tools AS build-calibration
COPY requirements/calibration.txt /source/requirements/
RUN --mount=type=secret,id=pip,target=/etc/pip.conf --mount=type=secret,id=ca,target=/etc/ssl/certs/ca-certificates.crt \
    --mount=type=cache,target=/root/.cache/pip \
    python3 -m venv --without-pip /opt/joulecast \
    && /opt/build/bin/pip --python /opt/joulecast/bin/python install --no-compile --require-hashes --only-binary :all: -r /source/requirements/calibration.txt
COPY --from=wheel /opt/wheels /opt/wheels
RUN /opt/build/bin/pip --python /opt/joulecast/bin/python install --no-compile --no-deps --no-index /opt/wheels/joulecast-*.whl \
    && /opt/build/bin/cyclonedx-py environment --output-reproducible --output-file /opt/joulecast/sbom.cdx.json /opt/joulecast/bin/python \
    && find /opt/joulecast -type d '(' -name tests -o -path '*/onnx/backend/test' ')' -prune -exec rm -r {} + \
    && /opt/joulecast/bin/python -m compileall -q -f --invalidation-mode unchecked-hash -x 'torch/testing/_internal/' /opt/joulecast/lib

FROM scratch AS sbom
COPY --from=build /opt/joulecast/sbom.cdx.json /joulecast.cdx.json

FROM scratch AS sbom-calibration
COPY --from=build-calibration /opt/joulecast/sbom.cdx.json /joulecast-torch.cdx.json

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

FROM ${BASE} AS operator
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
