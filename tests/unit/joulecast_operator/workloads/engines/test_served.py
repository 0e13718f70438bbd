"""Which language model a pod serves, from the command lines that people write."""

from __future__ import annotations

import random

import pytest

from joulecast_operator.workloads.engines.commands import LONGEST_LINE
from joulecast_operator.workloads.engines.served import kept, served_models

HUB = "meta-llama/Llama-3.1-8B-Instruct"


def container(*args, command=None, image="vllm/vllm-openai:v0.24.0", **more):
    return {"name": "server", "image": image, "args": list(args), **({"command": command} if command else {}), **more}


def served(*args, volumes=(), **more):
    found = served_models({"containers": [container(*args, **more)], "volumes": list(volumes)})
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("words", "cards", "is_divided"),
    [
        ((), 1, False),
        (("-tp", "4"), 4, False),
        (("-tp", "8", "--pipeline-parallel-size=2"), 16, True),
        (("-tp", "2", "-dp", "4"), 8, True),
        (("-tp", "8", "-dp", "8", "--enable-dp-attention"), 8, True),
        (("-dp=1", "-pp=1"), 1, False),
        (("-tp", "$(GPUS)"), None, False),
        (("-dp", "$(RANKS)"), None, True),
        (("-dp", "9" * 400), None, True),
    ],
)
def test_the_degrees_of_a_command_tell_its_cards(words, cards, is_divided):
    found = served(HUB, *words)
    assert (found.cards, found.is_divided) == (cards, is_divided)


def test_an_engine_that_takes_what_it_sees_says_no_number_of_cards():
    assert served("--model-id", HUB, image="ghcr.io/huggingface/text-generation-inference:3").cards is None
    sharded = served("--model-id", HUB, "--num-shard=2", image="ghcr.io/huggingface/text-generation-inference:3")
    assert sharded.cards == 2


def test_a_part_of_a_request_or_of_a_group_is_told():
    assert not served(HUB).is_part
    assert served(HUB, "--kv-transfer-config", "{}").is_part
    mode = {"command": ["python", "-m", "sglang.launch_server", "--model-path", HUB, "--disaggregation-mode"]}
    assert [served(each, **mode).is_part for each in ("prefill", "null")] == [True, False]
    assert served(HUB, "--headless").is_spread


@pytest.mark.parametrize(
    "given",
    [
        {"command": ["vllm", "serve", HUB, "--tensor-parallel-size", "2"]},
        {"command": ["/usr/local/bin/vllm", "serve"], "args": [HUB, "-tp=2"]},
        {"command": ["vllm", "serve", "--tensor_parallel_size=2", "--trust-remote-code", HUB]},
        {"command": ["python3", "-m", "vllm.entrypoints.openai.api_server"], "args": ["--model", HUB, "-tp", "2"]},
        {"command": ["python3.12", "-u", "-m", "vllm.entrypoints.openai.api_server", f"--model={HUB}", "-tp", "2"]},
        {"args": ["--model", HUB, "--tensor-parallel-size=2"]},
        {"args": [HUB, "--tensor-parallel-size=2"]},
        {"command": ["/bin/sh", "-c", f"exec vllm serve {HUB} -tp 2"]},
        {
            "command": ["bash", "-lc"],
            "args": [f"pip list; vllm serve '{HUB}' \\\n  --tensor-parallel-size 2 | tee log"],
        },
        {"command": ["sh", "-c", f"MODEL={HUB} && vllm serve $MODEL -tp 2"]},
        {"command": ["sh", "-c", "vllm serve ${MODEL} -tp $TP"], "env": [("MODEL", HUB), ("TP", "2")]},
        {"command": ["vllm"], "args": ["serve", "$(MODEL)", "-tp", "$(TP)"], "env": [("MODEL", HUB), ("TP", "2")]},
        {"command": ["bash", "-c", f"bash -c 'vllm serve {HUB} -tp 2'"]},
    ],
    ids=str,
)
def test_vllm_is_read_however_it_is_started(given):
    env = [{"name": name, "value": value} for name, value in given.pop("env", [])]
    own = {"name": "server", "image": "vllm/vllm-openai:v0.24.0", "env": env, **given}
    (found,) = served_models({"containers": [own]})
    assert (found.engine, found.runtime, found.container) == ("vLLM", "vllm", "server")
    assert (found.place.source, found.place.uri, found.tensor_parallel) == ("uri", f"hf://{HUB}", 2)


def test_options_that_a_forecast_reads_are_told_from_those_that_may_matter():
    found = served(
        HUB, "--revision", "main", "--max-num-seqs", "64", "--max-model-len=8192", "--dtype", "half",
        "--kv-cache-dtype", "fp8", "--quantization", "fp8", "--enforce-eager",
        "--speculative-config", '{"num_speculative_tokens": 3}',
        "--max-num-batched-tokens", "2048", "--port", "8000", "--compilation-config.level", "3",
        command=["vllm", "serve"],
    )  # fmt: skip
    assert found.place.uri == f"hf://{HUB}@main"
    assert (found.most_sequences, found.longest, found.batched_tokens) == (64, 8192, 2048)
    assert (found.dtype, found.quantisation, found.cache_dtype) == ("half", "fp8", "fp8")
    assert found.used == (
        HUB, "--revision", "--max-num-seqs", "--max-model-len", "--dtype", "--kv-cache-dtype", "--quantization",
        "--max-num-batched-tokens",
    )  # fmt: skip
    assert found.ignored == (
        "--enforce-eager",
        '--speculative-config {"num_speculative_tokens": 3}',
        "--compilation-config.level 3",
    )


def test_a_later_option_overrides_an_earlier_one():
    assert served(HUB, "-tp", "2", "-tp", "4").tensor_parallel == 4


@pytest.mark.parametrize(
    ("engine", "given", "place"),
    [
        (
            "SGLang",
            {"command": ["python3", "-m", "sglang.launch_server", "--model-path", HUB, "--tp", "2"]},
            f"hf://{HUB}",
        ),
        ("SGLang", {"command": ["sglang", "serve", "--model-path", "s3://models/llama"]}, "s3://models/llama"),
        (
            "TGI",
            {"image": "ghcr.io/huggingface/text-generation-inference:3", "args": ["--model-id", HUB]},
            f"hf://{HUB}",
        ),
        ("TGI", {"image": "tgi", "command": ["text-generation-launcher", "--model-id", HUB]}, f"hf://{HUB}"),
        ("llama.cpp", {"command": ["/app/llama-server", "-hf", f"{HUB}:Q4_K_M"]}, f"hf://{HUB}"),
        ("llama.cpp", {"image": "ghcr.io/ggml-org/llama.cpp:server", "args": ["-hf", HUB]}, f"hf://{HUB}"),
    ],
)
def test_other_engines_name_their_model_by_their_own_options(engine, given, place):
    (found,) = served_models({"containers": [{"name": "server", **given}]})
    assert (found.engine, found.place.uri) == (engine, place)


def test_an_engine_that_takes_variables_is_read_from_them():
    own = {"name": "tgi", "image": "ghcr.io/huggingface/text-generation-inference:3"}
    env = [{"name": "MODEL_ID", "value": HUB}, {"name": "NUM_SHARD", "value": "4"}]
    (found,) = served_models({"containers": [own | {"env": env}]})
    assert (found.place.uri, found.tensor_parallel, found.used) == (f"hf://{HUB}", 4, ("$MODEL_ID", "$NUM_SHARD"))


def test_a_quantisation_of_the_hub_is_the_path_of_its_file():
    found = served("-hf", f"{HUB}:Q4_K_M", command=["llama-server"])
    assert (found.place.uri, found.place.path) == (f"hf://{HUB}", "Q4_K_M")


def test_a_path_lies_in_the_image_volume_that_is_mounted_around_it():
    found = served(
        "/models/llama/8b",
        volumes=[{"name": "model", "image": {"reference": "registry.example/llama:1"}}],
        volumeMounts=[{"name": "model", "mountPath": "/models/llama"}, {"name": "other", "mountPath": "/models"}],
    )
    assert (found.place.source, found.place.image, found.place.path) == ("image", "registry.example/llama:1", "/8b")


def test_a_part_of_a_volume_is_named_from_its_root():
    found = served(
        "/models",
        volumes=[{"name": "model", "image": {"reference": "registry.example/llama:1"}}],
        volumeMounts=[{"name": "model", "mountPath": "/models/", "subPath": "weights/8b"}],
    )
    assert found.place.path == "/weights/8b"


def test_a_path_on_no_volume_lies_in_the_image_of_the_container():
    found = served("--model", "./model", image="registry.example/vllm-llama:1", workingDir="/srv")
    assert (found.place.source, found.place.image, found.place.path) == (
        "image",
        "registry.example/vllm-llama:1",
        "/srv/model",
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"command": ["vllm", "serve", "$(MODEL)"]},
            "takes the model from '$(MODEL)', whose value the pod does not state",
        ),
        ({"command": ["sh", "-c", "vllm serve $MODEL"]}, "whose value the pod does not state"),
        ({"command": ["sh", "-c", "vllm serve $(cat /model)"]}, "whose value the pod does not state"),
        ({"command": ["sh", "-c", "vllm serve `cat /model`"]}, "whose value the pod does not state"),
        ({"command": ["vllm", "serve"]}, "names no model to vLLM"),
        ({"command": ["vllm", "serve", "gs://bucket/llama"]}, "a store that is not read"),
        ({"command": ["vllm", "serve", "gpt2"]}, "neither a path nor ORGANISATION/NAME"),
        ({"command": ["vllm", "serve", "a/.."]}, "neither a path nor ORGANISATION/NAME"),
        ({"command": ["vllm", "serve", "a/../b"]}, "neither a path nor ORGANISATION/NAME"),
        ({"command": ["vllm", "serve", HUB, "--revision", "a b"]}, "neither a path nor"),
        (
            {"args": ["--model", "/data/m"], "volumeMounts": [{"name": "disk", "mountPath": "/data"}]},
            "on a volume of kind persistentVolumeClaim, which is not read",
        ),
    ],
)
def test_what_cannot_be_known_says_why_and_what_to_do(given, said):
    own = {"name": "server", "image": "vllm/vllm-openai", **given}
    pod = {"containers": [own], "volumes": [{"name": "disk", "persistentVolumeClaim": {"claimName": "models"}}]}
    (found,) = served_models(pod)
    assert found.place.source == "unknown"
    assert said in found.place.problem
    assert "spec.model" in found.place.problem


def test_a_value_from_a_secret_or_a_config_map_is_not_known():
    env = [{"name": "MODEL", "valueFrom": {"configMapKeyRef": {"name": "a", "key": "b"}}}]
    assert served("serve", "$(MODEL)", command=["vllm"], env=env).place.source == "unknown"


@pytest.mark.parametrize(
    "given",
    [
        {"image": "nginx:1", "args": ["--model", HUB]},
        {"image": "vllm/vllm-openai", "command": ["sleep", "infinity"]},
        {"image": "vllm/vllm-openai", "command": ["vllm", "bench", HUB]},
        {"image": "x", "command": ["python3", "server.py", "--model", HUB]},
        {"image": "x", "command": ["sh", "-c", "echo 'vllm serve a/b"]},
        {"image": "x", "command": ["echo", "vllm", "serve", HUB]},
        {},
    ],
)
def test_other_containers_serve_nothing_known(given):
    assert served_models({"containers": [{"name": "server", **given}]}) == ()


def test_several_containers_are_all_named():
    pod = {"containers": [container(HUB), {"name": "proxy", "image": "envoy:1"}, container("a/b") | {"name": "second"}]}
    assert [found.container for found in served_models(pod)] == ["server", "second"]


def any_pods(number):
    choose = random.Random(7)
    parts = (
        "vllm serve -- - -tp --model = == a/b /m $X ${X} $( ` ' \" \\ ; && | \n sh -c python3 -m sglang.launch_server"
        " --model-path é \0 x*50 2 -1 99999999999999 --tensor-parallel-size"
    ).split(" ")
    for _ in range(number):
        words = [choose.choice(parts) for _ in range(choose.randrange(12))]
        given = {"command": choose.choice([words, ["sh", "-c", " ".join(words)], [3], "vllm serve a", None])}
        mounts = [{"name": choose.choice("vwx"), "mountPath": choose.choice(["/m", "/", "", "m"]), "readOnly": True}]
        own = {"name": "a", "image": choose.choice(["vllm", "x"]), "args": words, "volumeMounts": mounts, "tty": True}
        yield {
            "containers": [own | given, {"name": "b", "image": "envoy"}],
            "volumes": [{"name": "v", "image": {"reference": "r/m:1"}}, {"name": "w", "emptyDir": {"medium": ""}}],
        }


def test_any_words_give_a_model_or_nothing():
    for pod in any_pods(5000):
        for found in served_models(pod):
            assert found.place.source in ("uri", "image", "unknown")
            assert len(found.place.problem) < 400


def test_the_part_of_a_pod_that_is_kept_serves_the_same():
    for pod in any_pods(5000):
        assert served_models(kept(pod)) == served_models(pod)
    assert kept({"containers": [{"name": "web", "image": "nginx:1", "args": ["a"]}]}) == {
        "containers": [{"image": "nginx:1"}],
        "volumes": [],
    }


def test_values_that_double_with_every_assignment_stay_unknown():
    script = ";".join(["A0=a/b", *(f"A{n + 1}=$A{n}$A{n}" for n in range(100)), "vllm serve $A100"])
    (found,) = served_models({"containers": [{"name": "a", "image": "x", "command": ["sh", "-c", script]}]})
    assert "whose value the pod does not state" in found.place.problem


def test_a_long_value_of_a_variable_is_not_copied_into_words():
    env = [{"name": "A", "value": "a" * 1_000_000}]
    (found,) = served_models({"containers": [container("serve", "$(A)" * 3000, command=["vllm"], env=env)]})
    assert "whose value the pod does not state" in found.place.problem


def test_a_command_line_of_a_megabyte_is_not_read():
    long = container(HUB, "x" * LONGEST_LINE)
    assert served_models({"containers": [long | {"command": ["vllm", "serve"]}]}) == ()
    (found,) = served_models({"containers": [long]})
    assert "has a command line of more than 16384 characters, which is not read" in found.place.problem
    assert served_models(kept({"containers": [long]})) == (found,)
    assert sum(len(word) for word in kept({"containers": [long]})["containers"][0]["args"]) <= LONGEST_LINE


def test_of_a_pod_with_many_long_command_lines_only_the_first_are_read():
    pod = {"containers": [container(HUB, "--x", "x" * 16_000) | {"name": f"c{n}"} for n in range(90)]}
    assert [found.container for found in served_models(pod)] == ["c0", "c1", "c2", "c3"]
    many = {"containers": [container(HUB) | {"name": f"c{n}"} for n in range(90)]}
    assert len(served_models(many)) == 64


def test_of_a_container_with_thousands_of_mounts_only_the_first_are_read():
    mounts = [{"name": "model", "mountPath": f"/m{n}"} for n in range(1000)]
    volumes = [{"name": "model", "image": {"reference": "registry.example/llama:1"}}]
    assert served("/m255", volumes=volumes, volumeMounts=mounts).place.image == "registry.example/llama:1"
    assert served("/m256", volumes=volumes, volumeMounts=mounts).place.image == "vllm/vllm-openai:v0.24.0"
