"""What kshot logs, as one text: pytest's own `caplog`, which is off because it costs a millisecond per test."""

import logging


class Logged(logging.Handler):
    """Keeps every message of the logger that it is added to, one per line in `text`."""

    def __init__(self) -> None:
        super().__init__()
        self.text = ""

    def emit(self, record: logging.LogRecord) -> None:
        self.text += self.format(record) + "\n"
