"""A server as one writes it in an afternoon: FastAPI, one `kshot.Classifier` per task in a dictionary, one request at a time.

    python -m benchmarks.naive_service PORT

It embeds and compares each request by itself. It keeps nothing, checks nothing and asks nobody for a key: what it saves by that counts for
it. `benchmarks.service` measures it beside `kshot serve`.
"""

import base64
import io
import secrets
import sys
import threading
from typing import Any

import uvicorn
from fastapi import FastAPI
from PIL import Image

from kshot.saved.shipped import open_saved
from kshot.tasks.classifier import Classifier

app = FastAPI()
TASKS: dict[str, Classifier] = {}
ONE = threading.Lock()
SAVED = open_saved("omniglot-protonet")


def picture(example: dict[str, str]) -> Image.Image:
    """Open the picture of an example."""
    return Image.open(io.BytesIO(base64.b64decode(example["image"])))


@app.get("/readyz")
def ready() -> dict[str, str]:
    """Answer that the server is ready."""
    return {"status": "ready"}


@app.post("/v1/tasks", status_code=201)
def create(body: dict[str, Any]) -> dict[str, str]:
    """Adapt the learner to a task."""
    with ONE:
        task = Classifier(SAVED, {name: [picture(one) for one in some] for name, some in body["classes"].items()})
    TASKS[found := secrets.token_urlsafe(16)] = task
    return {"id": found}


@app.post("/v1/tasks/{task}/predict")
def predict(task: str, body: dict[str, Any]) -> dict[str, Any]:
    """Answer inputs with a task."""
    with ONE:
        answers = TASKS[task].predict([picture(one) for one in body["inputs"]])
    return {"predictions": [{"label": one.label, "probability": one.probability} for one in answers]}


if __name__ == "__main__":
    uvicorn.run(app, port=int(sys.argv[1]), log_level="warning", access_log=False)
