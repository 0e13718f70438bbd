"""The image's recipe, by its structure: there is no container runtime to build it with here."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RECIPE = (ROOT / "Dockerfile").read_text()


def instructions() -> list[tuple[str, str]]:
    """Each instruction with its arguments on one line."""
    lines = [line for line in RECIPE.splitlines() if line and not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ")
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines())]


def arguments(word: str) -> list[str]:
    return [rest for found, rest in instructions() if found == word]


def final_stage() -> list[tuple[str, str]]:
    found = instructions()
    start = max(number for number, (word, _) in enumerate(found) if word == "FROM")
    return found[start:]


def test_every_base_is_an_argument_with_a_default() -> None:
    defaults = dict(argument.split("=", 1) for argument in arguments("ARG"))
    bases = [re.match(r"\$\{(\w+)\}", rest) for rest in arguments("FROM")]
    assert all(bases)
    assert {base[1] for base in bases if base} == set(defaults)
    assert all(re.fullmatch(r"[\w./-]+:[\w.-]+", default) for default in defaults.values())


def test_packages_come_from_the_locks_by_hash_and_no_source_is_compiled() -> None:
    installs = re.findall(r"pip install ([^&]+)", "\n".join(arguments("RUN")))
    locked = [install for install in installs if "-r " in install]
    assert len(locked) == 2
    assert all({"--require-hashes", "--only-binary"} <= set(install.split()) for install in locked)
    assert all("--no-deps --no-index" in install for install in installs if install not in locked)


def test_what_runs_is_the_operators_lock_without_torch() -> None:
    assert (
        "/opt/joulecast/bin/pip install --require-hashes --only-binary :all: -r /source/requirements/operator.txt"
        in RECIPE
    )
    pins = re.findall(r"^([\w.-]+)==", (ROOT / "requirements" / "operator.txt").read_text(), re.MULTILINE)
    assert not {"torch", "torchvision", "transformers", "timm", "onnxruntime", "hatchling"} & set(pins)
    assert {"kopf", "prometheus-client", "pydantic", "onnx"} <= set(pins)


def test_it_runs_as_a_user_by_number_that_is_not_root() -> None:
    users = [rest for word, rest in final_stage() if word == "USER"]
    assert len(users) == 1
    assert all(int(part) > 0 for part in users[0].split(":"))
    assert [word for word, _ in final_stage()].index("USER") < [word for word, _ in final_stage()].index("ENTRYPOINT")


def test_the_final_stage_only_takes_what_was_installed() -> None:
    words = [word for word, _ in final_stage()]
    assert "RUN" not in words
    assert "ADD" not in words
    assert [rest for word, rest in final_stage() if word == "COPY"] == ["--from=build /opt/joulecast /opt/joulecast"]


def test_its_user_is_the_charts() -> None:
    helpers = (ROOT / "charts" / "joulecast" / "templates" / "_helpers.tpl").read_text()
    user = next(rest for word, rest in final_stage() if word == "USER")
    assert user == ":".join(re.findall(r"runAs(?:User|Group): (\d+)", helpers))


def test_what_is_copied_exists_and_the_ignore_file_lets_it_in() -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = [part for rest in arguments("COPY") if "--from" not in rest for part in rest.split()[:-1]]
    assert set(copied) == allowed
    assert [name for name in copied if not (ROOT / name).exists()] == []
