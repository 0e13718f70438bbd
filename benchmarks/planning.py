"""A plan of a language model: accelerators × requests at once × numbers of cards, every combination forecast."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

RUNS = 5
CARDS, CONCURRENCIES, DEGREES = 20, (1, 2, 4, 8, 16, 32, 64, 128), (1, 2, 4)
LLAMA_3_8B = {
    "model_type": "llama", "architectures": ["LlamaForCausalLM"], "hidden_size": 4096, "intermediate_size": 14336,
    "num_attention_heads": 32, "num_hidden_layers": 32, "num_key_value_heads": 8, "vocab_size": 128256,
    "max_position_embeddings": 8192, "torch_dtype": "bfloat16",
}  # fmt: skip
"""config.json of meta-llama/Meta-Llama-3-8B, which one card of most kinds holds."""

_PLAN = """
import json, time
import joulecast
from joulecast.accelerators.catalogue import installed
fetched, cards = joulecast.fetch({folder!r}), sorted(installed().values(), key=lambda card: -card.power_limit_watts)
start = time.process_time()
plan = joulecast.plan(fetched, cards[:{cards}], concurrencies={concurrencies}, tensor_parallel={degrees})
seconds = time.process_time() - start
print(json.dumps({{"seconds": seconds, "found": len(plan.candidates), "excluded": len(plan.excluded)}}))
"""


def section() -> str:
    """The Markdown table: processor seconds of a plan in a process of its own, the fastest of ``RUNS``."""
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "config.json").write_text(json.dumps(LLAMA_3_8B))
        runs = [_run(folder) for _ in range(RUNS)]
    least = min(runs, key=lambda run: run["seconds"])
    size = f"{CARDS} accelerators × {len(CONCURRENCIES)} concurrencies × {len(DEGREES)} degrees"
    return "\n".join(
        [
            "| plan of Llama-3-8B | forecast | excluded | processor time | wanted |",
            "|---|---:|---:|---:|---:|",
            f"| {size} | {least['found']:.0f} | {least['excluded']:.0f} | {least['seconds']:.2f} s | ≤ 1 s |",
        ]
    )


def _run(folder: str) -> dict[str, float]:
    program = _PLAN.format(folder=folder, cards=CARDS, concurrencies=CONCURRENCIES, degrees=DEGREES)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"the plan failed: {done.stderr}")
    found: dict[str, float] = json.loads(done.stdout)
    if found["found"] + found["excluded"] != CARDS * len(CONCURRENCIES) * len(DEGREES):
        raise SystemExit(f"the plan lost combinations: {found}")
    return found
