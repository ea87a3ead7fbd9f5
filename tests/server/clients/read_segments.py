"""Reads segment files as any Parquet tool does, with pyarrow and with DuckDB, and prints what it found as JSON.

Usage: read_segments.py FILE...
"""

import json
import sys

import duckdb
import pyarrow.parquet

found = []
for path in sys.argv[1:]:
    file = pyarrow.parquet.ParquetFile(path)
    table = file.read()
    table.validate(full=True)
    columns = table.column_names
    quoted = path.replace("'", "''")
    connection = duckdb.connect()
    connection.execute(f"CREATE VIEW segment AS SELECT * FROM read_parquet('{quoted}')")
    names = [row[0] for row in connection.execute("DESCRIBE segment").fetchall()]
    assert names == columns, (names, columns)
    time = "start_time" if "start_time" in columns else "timestamp"
    count, services, earliest, latest = connection.execute(
        f"SELECT count(*), list_sort(list(DISTINCT service_name)), epoch_ns(min({time})), epoch_ns(max({time})) FROM segment"
    ).fetchone()
    entry = {
        "path": path,
        "columns": columns,
        "rows": table.num_rows,
        "duckdb_rows": count,
        "services": services,
        "earliest": earliest,
        "latest": latest,
        "row_groups": file.metadata.num_row_groups,
        "created_by": file.metadata.created_by,
        "metadata": sorted(k.decode() for k in (file.metadata.metadata or {})),
    }
    # Strings both ways: what a column says must not depend on who reads it.
    for text in ("body", "name", "metric_name"):
        if text in columns:
            arrow = sorted(str(v) for v in table[text].to_pylist())
            duck = sorted(str(row[0]) for row in connection.execute(f'SELECT "{text}" FROM segment').fetchall())
            assert arrow == duck, text
            entry["texts"] = arrow
            break
    found.append(entry)
json.dump(found, sys.stdout)
