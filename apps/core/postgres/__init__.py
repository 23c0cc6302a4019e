"""PostgreSQL without an installation: the server of a wheel, kept by a small process of ours."""
