"""Answer one question about the webhook's certificate: JSON in, JSON out. See `worker.ask`, which runs this."""

from __future__ import annotations

import json
import sys

from joulecast_operator.certificates.worker import answer

if __name__ == "__main__":
    json.dump(answer(json.load(sys.stdin)), sys.stdout)
