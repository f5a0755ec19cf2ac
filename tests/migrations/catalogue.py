"""What a schema consists of, as comparable text."""

from __future__ import annotations

from typing import Any

import asyncpg

__all__ = ["catalogue"]

_QUERIES = {
    "relation": """
        select relname, relkind::text, relpersistence::text, reloptions::text,
               pg_get_partkeydef(pg_class.oid), pg_get_expr(relpartbound, pg_class.oid)
        from pg_class where relnamespace = $1 order by relname""",
    "column": """
        select relname, attnum, attname, format_type(atttypid, atttypmod), attnotnull,
               attidentity::text, attstorage::text, attcompression::text,
               pg_get_expr(adbin, adrelid)
        from pg_class
             join pg_attribute on attrelid = pg_class.oid and attnum > 0
             left join pg_attrdef on adrelid = attrelid and adnum = attnum
        where relnamespace = $1 and relkind in ('r', 'p', 'v') order by 1, 2""",
    "constraint": """
        select relname, conname, pg_get_constraintdef(pg_constraint.oid), convalidated
        from pg_constraint join pg_class on pg_class.oid = conrelid
        where connamespace = $1 order by 1, 2""",
    "index": """
        select relname, pg_get_indexdef(indexrelid), indisvalid, indisunique
        from pg_index join pg_class on pg_class.oid = indexrelid
        where relnamespace = $1 order by 1""",
    "sequence": """
        select relname, format_type(seqtypid, null), seqstart, seqincrement, seqmax, seqmin,
               seqcache, seqcycle
        from pg_sequence join pg_class on pg_class.oid = seqrelid
        where relnamespace = $1 order by 1""",
    "view": """
        select relname, pg_get_viewdef(oid) from pg_class
        where relnamespace = $1 and relkind = 'v' order by 1""",
    "function": """
        select proname, pg_get_function_identity_arguments(oid), pg_get_functiondef(oid)
        from pg_proc where pronamespace = $1 order by 1, 2""",
    "trigger": """
        select tgname, pg_get_triggerdef(pg_trigger.oid)
        from pg_trigger join pg_class on pg_class.oid = tgrelid
        where relnamespace = $1 order by 1""",
}


async def catalogue(connection: asyncpg.Connection[Any], schema: str) -> list[str]:
    """One line for each thing; the name of the schema is left out."""
    oid = await connection.fetchval("select oid from pg_namespace where nspname = $1", schema)
    if oid is None:
        return []
    quoted = await connection.fetchval("select quote_ident($1)", schema)
    lines: list[str] = []
    for kind, query in _QUERIES.items():
        for row in await connection.fetch(query, oid):
            text = " | ".join(str(value) for value in row)
            for name in (quoted, quoted.replace("'", "''"), schema):
                text = text.replace(name, "@")
            lines.append(f"{kind}: {text}")
    lines += [
        f"ledger: {tuple(row)}"
        for row in await connection.fetch(
            f"select version, name, breaking from {quoted}.migration order by 1"
        )
    ]
    return lines
