"""Migrations of the store, one module per version of the tables; Alembic runs them."""
