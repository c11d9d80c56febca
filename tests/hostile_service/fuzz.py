"""Requests drawn at random from the description of the service, allowed ones and others: no answer is a 5xx, and each is as described.

Schemathesis draws them. In: the address of a server. Out: how many were sent, and how many failed. Next: `hostile_service.__main__`.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


@dataclass(frozen=True)
class Fuzzed:
    """What came of it.

    Attributes:
        requests: How many were sent.
        failures: What was wrong with their answers.
        said: What schemathesis has printed.
    """

    requests: int
    failures: int
    said: str


def fuzz(url: str, folder: Path, *, seconds: int, seed: int = 0, examples: int = 1_000_000, phases: str = "coverage,fuzzing") -> Fuzzed:
    """Send requests for some seconds.

    Args:
        url: The address of the server, ending with a slash.
        folder: Where the report is written.
        seconds: How long.
        seed: Of the requests.
        examples: How many per route at most.
        phases: Which of schemathesis's phases.
    """
    report = folder / "fuzz.ndjson"
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "run", url + "v1/openapi.json"),
        *("--max-time", str(seconds), "--seed", str(seed), "--max-examples", str(examples)),
        *("--checks", CHECKS, "--phases", phases, "--generation-database", "none"),
        *("--report-ndjson-path", str(report), "--continue-on-failure", "--no-shrink", "--warnings", "off", "--no-color"),
        *("--suppress-health-check", "all", "--workers", "1", "--request-timeout", "60"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False, timeout=seconds + 300)
    requests = failures = 0
    for line in report.read_text().splitlines():
        counted, failed = _counted(json.loads(line))
        requests += counted
        failures += failed
    return Fuzzed(requests, failures, done.stdout + done.stderr)


def _counted(event: Any) -> tuple[int, int]:
    recorder = next(iter(event.values())).get("recorder") if isinstance(event, dict) else None
    if not recorder:
        return 0, 0
    checks = [check for some in recorder.get("checks", {}).values() for check in some]
    return len(recorder.get("interactions", {})), sum(check.get("status") == "failure" for check in checks)
