use serde_json::json;

use super::*;

const BOUNDS: Bounds = Bounds { bytes: 256 << 10, depth: 128 };

fn kind(text: &str) -> Option<ErrorKind> {
    check(text, &[], BOUNDS).err().map(|error| error.kind())
}

#[test]
fn reading_is_allowed() {
    for text in [
        "SELECT 1",
        "select * from logs where body like '%x%' -- note",
        "WITH a AS (SELECT 1) SELECT * FROM a UNION ALL SELECT 2;",
        "VALUES (1), (2)",
        "EXPLAIN SELECT 1",
        "(SELECT 1)",
    ] {
        assert_eq!(kind(text), None, "{text}");
    }
}

#[test]
fn what_changes_something_is_refused() {
    for text in [
        "COPY logs TO '/tmp/x'",
        "COPY (SELECT 1) TO '/tmp/x.parquet'",
        "CREATE TABLE t AS SELECT 1",
        "CREATE VIEW v AS SELECT 1",
        "SET datafusion.execution.batch_size = 1",
        "INSERT INTO logs VALUES (1)",
        "UPDATE logs SET body = ''",
        "DELETE FROM logs",
        "DROP TABLE logs",
        "EXPLAIN ANALYZE SELECT 1",
        "EXPLAIN DROP TABLE logs",
        "PREPARE p AS SELECT 1",
        "EXECUTE p",
        "SELECT 1 INTO t",
        "SELECT * FROM logs FOR UPDATE",
        "SELECT 1; SELECT 2",
        "SELECT 1; DROP TABLE logs",
        "BEGIN",
        "SHOW TABLES",
        "WITH a AS (DELETE FROM logs) SELECT 1",
        "WITH a AS (INSERT INTO logs VALUES (1)) SELECT 1",
    ] {
        assert!(
            matches!(kind(text), Some(ErrorKind::Impossible | ErrorKind::Invalid)),
            "{text}: {:?}",
            check(text, &[], BOUNDS)
        );
    }
}

#[test]
fn size_and_depth_are_bounded_before_parsing() {
    for text in [
        format!("SELECT 1{}", "+1".repeat(100_000)),
        format!("SELECT * FROM logs WHERE a=0{}", " OR a=0".repeat(20_000)),
        format!("SELECT 1{}", " UNION ALL SELECT 1".repeat(3_000)),
        format!("SELECT {}1{}", "(".repeat(10_000), ")".repeat(10_000)),
        format!("SELECT {}", "[".repeat(10_000)),
        format!("SELECT {}1{}", "(".repeat(100), "+1+1+1+1+1)".repeat(100)),
        format!("SELECT {}1{}", "abs(1, ".repeat(100), "+1+1+1+1+1)".repeat(100)),
        format!("SELECT 1{}", format!(", 1{}", "+1".repeat(300)).repeat(20)),
        format!("SELECT {}1", "NOT ".repeat(10_000)),
        format!("SELECT {}1", "- ".repeat(10_000)),
        format!("SELECT '{}'", "x".repeat(1 << 20)),
        format!("SELECT CASE {} END", "WHEN 1 THEN CASE ".repeat(10_000)),
    ] {
        let error = check(&text, &[], BOUNDS).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{}: {error}", &text[..40]);
    }
}

#[test]
fn errors_tell_where() {
    let error = check("SELECT\n  * FORM logs", &[], BOUNDS).unwrap_err();
    assert_eq!((error.kind(), error.position()), (ErrorKind::Invalid, Some(11)), "{error}");
    let error = check("SELECT 'é", &[], BOUNDS).unwrap_err();
    assert_eq!(error.position(), Some(7), "{error}");
    assert_eq!(check("  ", &[], BOUNDS).unwrap_err().position(), Some(0));
}

#[test]
fn parameters_are_values_and_nothing_else() {
    let bound = |text: &str, params: &[serde_json::Value]| check(text, params, BOUNDS).map(|c| c.statement.to_string());
    assert_eq!(
        bound("SELECT $1, $2, $3, $4, $5", &[json!("a'; DROP"), json!(-1.5), json!(true), json!(null), json!(7)])
            .unwrap(),
        "SELECT 'a''; DROP', (-1.5), true, NULL, 7"
    );
    assert_eq!(bound("SELECT 1 - $1", &[json!(-1)]).unwrap(), "SELECT 1 - (-1)");
    for (text, params) in
        [("SELECT $2", vec![json!(1)]), ("SELECT $0", vec![]), ("SELECT $x", vec![]), ("SELECT $1", vec![json!([1])])]
    {
        assert_eq!(bound(text, &params).unwrap_err().kind(), ErrorKind::Invalid, "{text}");
    }
}
