"""Tasks on disk: tables, their migrations, and the transactions that read and write them."""
