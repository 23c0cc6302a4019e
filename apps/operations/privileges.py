"""What the application's own database role may do in production, where an owner role migrates.

The owner of a table may switch its triggers and policies off; a role that only holds these rights can not. So the
wall between merchants and the append-only tables hold even against SQL typed with the application's password.
"""

from __future__ import annotations

from django.db import connection
from psycopg import sql

#: Rows of these are never changed or removed, not even by the portal itself.
APPEND_ONLY = """
SELECT DISTINCT c.relname FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
WHERE t.tgname IN ('append_only', 'append_only_truncate') AND NOT t.tgisinternal
"""


def grant_role(name: str) -> list[str]:
    """Give the existing role ``name`` what the portal needs and take everything else; the append-only tables' names.

    Run as the owner, after each migration. Raises ProgrammingError when there is no such role.
    """
    role = sql.Identifier(name)
    with connection.cursor() as cursor:
        cursor.execute(APPEND_ONLY)
        guarded = sorted(str(row[0]) for row in cursor.fetchall())
        statements = [
            sql.SQL("REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {}").format(role),
            sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(role),
            sql.SQL(
                "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {}"
            ).format(role),
            sql.SQL("GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO {}").format(role),
            sql.SQL("GRANT EXECUTE ON FUNCTION portal_make_months(date, integer) TO {}").format(
                role
            ),
            *(
                sql.SQL("REVOKE UPDATE, DELETE ON {} FROM {}").format(sql.Identifier(table), role)
                for table in guarded
            ),
        ]
        for statement in statements:
            cursor.execute(statement)
    return guarded
