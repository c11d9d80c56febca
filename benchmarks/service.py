"""Time `kshot serve` beside a naive server, with the client on the same machine.

    python -m benchmarks.service [--quick]

Both servers are asked by the same client (`benchmarks.service_load`), which is lean, because it takes its work from the same cores.

The floor comes first: what one drawing costs without any server. Then, for both servers in one run: predict with a cached task at 200
requests per second, and as many as possible. Then, for `kshot serve` alone: making a task of 5 classes of 5 drawings; the same latencies
with 100 and with 100,000 stored tasks, of which each request names another one; beside 1,000 slow and broken clients; memory; and the time
from the start until it is ready.

A drawing is one of Omniglot in its own form, 105 × 105 pixels of one bit, which the learner reads at 28 × 28. Any other picture of ink is
found, thinned and drawn again first, which takes some milliseconds more (`benchmarks.read_pictures`), here and at the naive server alike.
"""

import argparse
import base64
import io
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.service_load import Link, closed_loop, in_turn, open_loop, request_of
from kshot.data.pictures.omniglot_archive import EMBEDDED, unpack
from kshot.web.store.engine import WRITES, open_engine
from kshot.web.store.rows import new_id
from kshot.web.store.store import Store, _values
from kshot.web.store.tables import EXAMPLES, TASKS

WAY, RATE = 5, 200.0
MARKS = {"p50": 5.0, "p99": 25.0, "times": 5.0, "adapt": 30.0, "many": 1.5, "memory": 1.5, "ready": 5.0, "slow": 2.0}


def main() -> int:
    """Print the table; return 1 if a mark is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="few requests, 2,000 stored tasks: whether it runs, not what it takes")
    quick = parser.parse_args().quick
    seconds, stored = (2.0, 2_000) if quick else (15.0, 100_000)
    drawings = pictures(400)
    floor(drawings)
    missed = []

    def row(name: str, value: float, unit: str, mark: str, *, at_least: bool = False) -> None:
        met = value >= MARKS[mark] if at_least else value <= MARKS[mark]
        print(f"  {name:66} {value:9.2f} {unit:4} mark {MARKS[mark]:g}{'' if met else '  MISSED'}", flush=True)
        missed.extend([] if met else [name])

    rates = {}
    with tempfile.TemporaryDirectory() as folder:
        starts: dict[str, Callable[[], AbstractContextManager[tuple[int, subprocess.Popen[bytes], float]]]] = {
            "naive": naive,
            "kshot serve --workers 2": lambda: kshot_serve(Path(folder) / "two.db", 2),
            "kshot serve": lambda: kshot_serve(Path(folder) / "tasks.db"),
        }
        for name, start in starts.items():
            with start() as (port, _, ready):
                ids = [create(port, drawings, shift) for shift in range(20)]
                asked = questions(port, ids, drawings, int(RATE * seconds))
                open_loop(port, asked[:200], RATE)
                took = 1000 * np.array(open_loop(port, asked, RATE))
                rates[name] = closed_loop(port, asked, seconds)
                p50, p99 = np.percentile(took, [50, 99])
                print(
                    f"{name}: at {RATE:g} requests/s p50 {p50:.2f} ms, p99 {p99:.2f} ms; at most {rates[name]:.0f} requests/s", flush=True
                )
                if name != "kshot serve":
                    continue
                row("predict, cached task, p50 at 200 requests/s", p50, "ms", "p50")
                row("predict, cached task, p99 at 200 requests/s", p99, "ms", "p99")
                best = max(rates[one] for one in rates if one != "naive")
                row("sustained throughput of one worker or two, times the naive one's", best / rates["naive"], "", "times", at_least=True)
                row("start to ready", ready, "s", "ready")
                times = in_turn(port, [new_task(port, drawings, shift) for shift in range(10 if quick else 60)])
                with slow_clients(port, 100 if quick else 1000):
                    beside = 1000 * np.array(open_loop(port, asked, RATE))
                row("p99 beside slow and broken clients, times that without", float(np.percentile(beside, 99)) / p99, "", "slow")
                row("adapt, 5 classes × 5 drawings, p50", 1000 * float(np.median(times)), "ms", "adapt")
        few, many = Path(folder) / "few.db", Path(folder) / "many.db"
        found = {}
        for file, count in ((few, 100), (many, stored)):
            with kshot_serve(file) as (port, _, _):
                template = create(port, drawings, 0)
            ids = fill(file, template, count)
            with kshot_serve(file) as (port, process, _):
                chosen = np.random.default_rng(1).choice(ids, int(RATE * seconds)).tolist()
                asked = questions(port, chosen, drawings, len(chosen))
                open_loop(port, questions(port, ids[:100], drawings, 200), RATE)
                found[count] = 1000 * np.percentile(open_loop(port, asked, RATE), [50, 99])
                memory = resident(process.pid) / 1e9
            print(f"{count:,} stored tasks: p50 {found[count][0]:.2f} ms, p99 {found[count][1]:.2f} ms, {memory:.2f} GB", flush=True)
        row(f"predict p50, {stored:,} tasks against 100, times", found[stored][0] / found[100][0], "", "many")
        row(f"memory with {stored:,} tasks", memory, "GB", "memory")
    print(f"missed: {', '.join(missed)}" if missed else "every mark was met")
    return int(bool(missed))


def pictures(count: int) -> list[str]:
    """Return drawings of Omniglot as PNG files in base64, 20 of each character."""
    found = []
    for drawing in unpack(EMBEDDED.read_bytes()).ink[:count]:
        file = io.BytesIO()
        Image.fromarray(~drawing.astype(bool)).convert("1").save(file, "PNG")
        found.append(base64.b64encode(file.getvalue()).decode())
    return found


def floor(drawings: list[str]) -> None:
    """Print what a drawing costs without a server: decoding, reading, one pass of the network, alone and in a batch."""
    from kshot.web.sources.learner_source import LearnerSource

    source = LearnerSource("omniglot-protonet", "omniglot-protonet")
    files = [base64.b64decode(one) for one in drawings[:64]]
    items = [source.read(one) for one in files]
    read = least(lambda: [source.read(one) for one in files]) / 64
    alone = least(lambda: [source.vectors([one]) for one in items]) / 64
    together = least(lambda: source.vectors(items)) / 64
    print(f"floor, CPU time per drawing: read {read:.2f} ms; network alone {alone:.2f} ms, in a batch of 64 {together:.2f} ms", flush=True)


def least(work: Callable[[], object]) -> float:
    """Return the least CPU time of some runs, in milliseconds."""
    found = []
    for _ in range(7):
        began = time.process_time()
        work()
        found.append(time.process_time() - began)
    return 1000 * min(found)


def create(port: int, drawings: list[str], shift: int) -> str:
    """Make a task of 5 classes × 5 drawings; return its id."""
    link = Link(port)
    found: str = json.loads(link.ask(new_task(port, drawings, shift)))["id"]
    link.close()
    return found


def new_task(port: int, drawings: list[str], shift: int) -> bytes:
    """Return the request that makes a task of 5 classes × 5 drawings."""
    classes = {f"c{label}": [{"image": drawings[(20 * (label + shift) + one) % len(drawings)]} for one in range(5)] for label in range(WAY)}
    return request_of("/v1/tasks", {"learner": "omniglot-protonet", "classes": classes}, f"127.0.0.1:{port}")


def questions(port: int, ids: list[str], drawings: list[str], count: int) -> list[bytes]:
    """Return requests for predictions, one drawing each."""
    bodies = [{"inputs": [{"image": drawings[(7 * place) % len(drawings)]}]} for place in range(count)]
    return [request_of(f"/v1/tasks/{ids[place % len(ids)]}/predict", body, f"127.0.0.1:{port}") for place, body in enumerate(bodies)]


def fill(file: Path, template: str, count: int) -> list[str]:
    """Store copies of a task, with their examples; return their ids."""
    engine = open_engine(f"sqlite:///{file}")
    found = Store(engine).task_and_examples("", template)
    assert found is not None
    row, examples = found
    ids = [new_id() for _ in range(count)]
    with engine.execution_options(**{WRITES: True}).begin() as connection:
        for start in range(0, count, 1000):
            some = ids[start : start + 1000]
            connection.execute(TASKS.insert(), [_values(replace(row, id=one)) for one in some])
            rows = [{"task": one, "number": ex.number, "class": ex.name, "vector": ex.vector} for one in some for ex in examples]
            connection.execute(EXAMPLES.insert(), rows)
    engine.dispose()
    return ids


@contextmanager
def kshot_serve(file: Path, workers: int = 1) -> Iterator[tuple[int, "subprocess.Popen[bytes]", float]]:
    """Run `kshot serve`; yield port, process, and seconds from the start until it was ready."""
    command = ["-m", "kshot", "serve", "--store", f"sqlite:///{file}", "--workers", str(workers), "--port"]
    with running(lambda port: [*command, str(port)]) as found:
        yield found


@contextmanager
def slow_clients(port: int, count: int) -> Iterator[None]:
    """Hold connections open that say nothing, half a header, half a body, or what is no HTTP; each one says a byte more now and then."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 2 * count + 200)), hard))
    links = [socket.create_connection(("127.0.0.1", port)) for _ in range(count)]
    said = [b"", b"GET / HT", b"POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9999\r\n\r\n{", b"\0\1\2\3"]
    ended = threading.Event()

    def dribble() -> None:
        while not ended.wait(1.0):
            for link in links[::4]:
                with suppress(OSError):
                    link.sendall(b"x")

    for place, link in enumerate(links):
        link.sendall(said[place % len(said)])
    thread = threading.Thread(target=dribble)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        for link in links:
            link.close()


@contextmanager
def naive() -> Iterator[tuple[int, "subprocess.Popen[bytes]", float]]:
    """Run the naive server."""
    with running(lambda port: ["-m", "benchmarks.naive_service", str(port)]) as found:
        yield found


@contextmanager
def running(command: Callable[[int], list[str]]) -> Iterator[tuple[int, "subprocess.Popen[bytes]", float]]:
    """Run a server until the end of the block."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    began = time.perf_counter()
    process = subprocess.Popen([sys.executable, *command(port)], stderr=subprocess.DEVNULL)
    try:
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz") as answer:
                    if answer.status == 200:
                        break
            except OSError:
                assert process.poll() is None, "the server has ended"
                time.sleep(0.02)
        yield port, process, time.perf_counter() - began
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(60)


def resident(pid: int) -> float:
    """Return the bytes that a process holds in memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return float(pages * os.sysconf("SC_PAGE_SIZE"))


if __name__ == "__main__":
    sys.exit(main())
