"""Django's PostgreSQL engine, plus the embedded server that starts at the first connection."""
