"""Tables that only grow: the database itself refuses to change, delete or empty their rows."""

from __future__ import annotations

from django.db import migrations

_FUNCTION = """
CREATE OR REPLACE FUNCTION gridloop_refuse_rewriting() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% on % is refused: this table only grows', TG_OP, TG_TABLE_NAME
        USING ERRCODE = 'restrict_violation', HINT = 'Record a new event that corrects the old one.';
END $$;
"""


def append_only(table: str) -> migrations.RunSQL:
    """A migration's operation after which UPDATE, DELETE and TRUNCATE of `table` fail, for everybody.

    A superuser can still switch triggers off. That this leaves traces is the seal's work: see `kernel.sealing`.
    """
    return migrations.RunSQL(
        sql=f"""{_FUNCTION}
        CREATE TRIGGER {table}_only_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
            FOR EACH STATEMENT EXECUTE FUNCTION gridloop_refuse_rewriting();""",
        reverse_sql=f"DROP TRIGGER {table}_only_grows ON {table};",
    )
