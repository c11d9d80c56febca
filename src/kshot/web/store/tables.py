"""The tables of the store, for SQLite and PostgreSQL alike. `migrations/` makes them; a test compares the two.

    tasks      one row per task: what it is made with, its classes, and its adapted state
    examples   one row per example: its class and its vector
    replies    one row per write that had an Idempotency-Key: what was answered

n is the number of examples of a task. Next: `kshot.web.store.store`.
"""

from sqlalchemy import BigInteger, Column, Float, ForeignKey, Index, Integer, LargeBinary, MetaData, String, Table, Text

METADATA = MetaData()

TASKS = Table(
    "tasks",
    METADATA,
    Column("id", String(40), primary_key=True),
    Column("tenant", String(200), nullable=False),
    Column("kind", String(10), nullable=False, comment="learner or encoder"),
    Column("source", String(500), nullable=False, comment="its name"),
    Column("fingerprint", String(64), nullable=False, comment="of the network: vectors of another one mean nothing"),
    Column("version", BigInteger, nullable=False),
    Column("created", Float, nullable=False, comment="seconds since 1970"),
    Column("changed", Float, nullable=False),
    Column("next_example", Integer, nullable=False, comment="the number of the next example"),
    Column("record", Text, nullable=False, comment="classes, descriptions, and what the state needs, as JSON"),
    Column("state", LargeBinary, nullable=False, comment="the arrays of the adapted state, as safetensors"),
    Index("tasks_of_tenant", "tenant", "created", "id"),
)

EXAMPLES = Table(
    "examples",
    METADATA,
    Column("task", String(40), ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True),
    Column("number", Integer, primary_key=True, comment="the example e7 has the number 7"),
    Column("class", String(200), nullable=False),
    Column("vector", LargeBinary, nullable=False, comment="its features, as safetensors"),
)

REPLIES = Table(
    "replies",
    METADATA,
    Column("tenant", String(200), primary_key=True),
    Column("key", String(200), primary_key=True),
    Column("digest", String(64), nullable=False, comment="of the request"),
    Column("status", Integer, nullable=False),
    Column("etag", String(40), nullable=False),
    Column("body", Text, nullable=False),
    Column("created", Float, nullable=False),
    Index("replies_by_age", "created"),
)
