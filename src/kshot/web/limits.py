"""How much a request, a task and a tenant may have, and how long a request may take. Next: everything in this folder."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """What the service takes.

    Attributes:
        body_bytes: Of a request.
        picture_pixels: Of a picture, known from its header, before it is decoded.
        text_characters: Of a text.
        numbers: Of a row of numbers.
        inputs: Of a request for predictions.
        examples: Of a task.
        classes: Of a task.
        descriptions: Sentences of a class.
        tasks: Of a tenant.
        request_seconds: From the end of the header to the answer; then 503.
        header_seconds: For the first byte and the header of a request; then the connection is closed.
        body_seconds: For the body of a request; then 408.
        opening_seconds: For a learner or an encoder to be opened, the first time; then 503, and the work goes on.
        waiting: Inputs that wait for the network; then 503.
        waiting_of_tenant: Inputs of one tenant that wait or are answered; then 429.
        changes: Writes that wait to be learned; then 503.
        cache_bytes: Adapted states in memory.
    """

    body_bytes: int = 32 * 2**20
    picture_pixels: int = 25_000_000
    text_characters: int = 20_000
    numbers: int = 10_000
    inputs: int = 256
    examples: int = 2_000
    classes: int = 500
    descriptions: int = 50
    tasks: int = 100_000
    request_seconds: float = 60.0
    header_seconds: float = 15.0
    body_seconds: float = 30.0
    opening_seconds: float = 50.0
    waiting: int = 4_096
    waiting_of_tenant: int = 2_048
    changes: int = 128
    cache_bytes: int = 256 * 2**20
