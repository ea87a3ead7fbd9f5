#!/usr/bin/env python3
"""Reads segment files with pyarrow and DuckDB and compares what both see.

    read_segments.py FILE...      exit code 0: every file is plain Parquet to both

Prints one JSON line a file: rows, columns, and per attribute column the number of values.
Needs: pip install pyarrow duckdb pytz
"""

import json
import sys

import duckdb
import pyarrow.parquet as parquet


def read(path: str) -> dict:
    file = parquet.ParquetFile(path)
    metadata = {key.decode(): value.decode() for key, value in file.metadata.metadata.items()}
    described = json.loads(metadata["rootline.segment"])
    table = file.read()
    table.validate(full=True)
    rows = duckdb.execute("SELECT count(*) FROM read_parquet(?)", [path]).fetchone()[0]
    assert table.num_rows == rows == described["row_count"], (table.num_rows, rows, described)

    time = "start_time" if described["table"] == "spans" else "timestamp"
    least, most = duckdb.execute(
        f"SELECT epoch_ns(min({time})), epoch_ns(max({time})) FROM read_parquet(?)", [path]
    ).fetchone()
    assert (least, most) == (described["min_unix_nano"], described["max_unix_nano"]), (least, most, described)

    # All rows and all columns, not only those that an aggregate touches. DuckDB takes names without regard to case.
    names = [name for name, *_ in duckdb.execute("DESCRIBE SELECT * FROM read_parquet(?)", [path]).fetchall()]
    whole = duckdb.sql("SELECT * FROM read_parquet(?)", params=[path]).to_arrow_table()
    assert whole.num_rows == rows and len(names) == table.num_columns, (whole.num_rows, names)
    for mine, theirs in zip(table.columns, whole.columns):
        assert mine.null_count == theirs.null_count

    attributes = {name: rows - table.column(name).null_count for name in table.column_names if "attributes." in name}
    return {"path": path, "table": described["table"], "rows": rows, "columns": table.num_columns, "attributes": attributes}


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    for path in sys.argv[1:]:
        print(json.dumps(read(path)))
