"""Tasks, their examples, and replies to writes with an Idempotency-Key."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "tasks",
        sa.Column("id", sa.String(40), primary_key=True),
        sa.Column("tenant", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(10), nullable=False, comment="learner or encoder"),
        sa.Column("source", sa.String(500), nullable=False, comment="its name"),
        sa.Column("fingerprint", sa.String(64), nullable=False, comment="of the network: vectors of another one mean nothing"),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.Column("created", sa.Float, nullable=False, comment="seconds since 1970"),
        sa.Column("changed", sa.Float, nullable=False),
        sa.Column("next_example", sa.Integer, nullable=False, comment="the number of the next example"),
        sa.Column("record", sa.Text, nullable=False, comment="classes, descriptions, and what the state needs, as JSON"),
        sa.Column("state", sa.LargeBinary, nullable=False, comment="the arrays of the adapted state, as safetensors"),
    )
    op.create_index("tasks_of_tenant", "tasks", ["tenant", "created", "id"])
    op.create_table(
        "examples",
        sa.Column("task", sa.String(40), sa.ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, comment="the example e7 has the number 7"),
        sa.Column("class", sa.String(200), nullable=False),
        sa.Column("vector", sa.LargeBinary, nullable=False, comment="its features, as safetensors"),
    )
    op.create_table(
        "replies",
        sa.Column("tenant", sa.String(200), primary_key=True),
        sa.Column("key", sa.String(200), primary_key=True),
        sa.Column("digest", sa.String(64), nullable=False, comment="of the request"),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("etag", sa.String(40), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("created", sa.Float, nullable=False),
    )
    op.create_index("replies_by_age", "replies", ["created"])


def downgrade() -> None:
    """Remove the tables."""
    op.drop_table("replies")
    op.drop_table("examples")
    op.drop_table("tasks")
