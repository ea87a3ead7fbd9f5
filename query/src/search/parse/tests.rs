use proptest::prelude::*;

use super::*;

fn logs(text: &str) -> Filter {
    parse(text, Subject::Logs).unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

fn spans(text: &str) -> Filter {
    parse(text, Subject::Spans).unwrap_or_else(|error| panic!("{text}: {error:?}"))
}

fn phrase(text: &str) -> Filter {
    Filter::Text(Text::Phrase(text.to_owned()))
}

fn compare(field: Field, operator: Operator, value: Value) -> Filter {
    Filter::Compare(Comparison { field, operator, value })
}

fn service(name: &str) -> Filter {
    compare(Field::Column("service_name"), Operator::Equal, Value::Bare(name.to_owned()))
}

#[test]
fn the_documented_example_is_read() {
    let filter = logs(r#"service:payment level>=warn attributes.user_id:42 "connection refused" -health"#);
    let expected = Filter::And(vec![
        service("payment"),
        compare(Field::Severity, Operator::GreaterOrEqual, Value::Severity(13..=16)),
        compare(
            Field::Attribute { map: "attributes", key: "user_id".to_owned() },
            Operator::Equal,
            Value::Bare("42".to_owned()),
        ),
        phrase("connection refused"),
        Filter::Not(Box::new(phrase("health"))),
    ]);
    assert_eq!(filter, expected);
}

#[test]
fn nothing_and_a_star_hold_everywhere() {
    assert_eq!(logs(""), Filter::All);
    assert_eq!(logs(" \t"), Filter::All);
    assert_eq!(logs("*"), Filter::All);
    assert_eq!(logs("()"), Filter::All);
}

#[test]
fn and_binds_tighter_than_or_and_groups_override() {
    assert_eq!(logs("a b OR c"), Filter::Or(vec![phrase("a").and(phrase("b")), phrase("c")]));
    assert_eq!(logs("a AND (b OR c)"), Filter::And(vec![phrase("a"), Filter::Or(vec![phrase("b"), phrase("c")])]));
    assert_eq!(logs("NOT (a OR b)"), Filter::Not(Box::new(Filter::Or(vec![phrase("a"), phrase("b")]))));
    assert_eq!(logs("android ORACLE"), Filter::And(vec![phrase("android"), phrase("ORACLE")]));
}

#[test]
fn words_with_punctuation_are_phrases_and_addresses_are_text() {
    assert_eq!(logs("order-4711"), phrase("order-4711"));
    assert_eq!(logs("http://shop/cart"), phrase("http://shop/cart"));
    assert_eq!(logs("12:30:05"), phrase("12:30:05"));
    assert_eq!(logs("超时"), phrase("超时"));
    assert_eq!(logs("time*"), Filter::Text(Text::Prefix("time".to_owned())));
    assert_eq!(logs("order-47*"), phrase("order-").and(Filter::Text(Text::Prefix("47".to_owned()))));
}

#[test]
fn values_are_read_as_their_field_wants_them() {
    assert_eq!(spans("duration>1.5s"), compare(Field::Duration, Operator::Greater, Value::DurationNano(1_500_000_000)));
    assert_eq!(
        spans("status:ERROR"),
        compare(Field::Column("status_code"), Operator::Equal, Value::Exact("error".to_owned()))
    );
    assert_eq!(
        spans("operation:GET*"),
        compare(Field::Column("name"), Operator::Equal, Value::Wildcard(vec!["GET".to_owned(), String::new()]))
    );
    assert_eq!(logs("service!=a"), Filter::Not(Box::new(service("a"))));
    assert_eq!(logs("service:(a OR b)"), Filter::Or(vec![service("a"), service("b")]));
    let key = Field::Attribute { map: "resource_attributes", key: "odd key".to_owned() };
    assert_eq!(logs(r#"resource."odd key":*"#), compare(key, Operator::Equal, Value::Any));
    let id = "0123456789ABCDEF0123456789abcdef";
    assert_eq!(
        logs(&format!("trace_id:{id}")),
        compare(Field::Id("trace_id"), Operator::Equal, Value::Exact(id.to_ascii_lowercase()))
    );
}

#[test]
fn errors_say_where_and_what_to_write() {
    let cases = [
        ("a (b", 2, "not closed"),
        ("a b)", 3, "no opening"),
        ("a \"b", 2, "quote"),
        ("超时 nope:1", 3, "unknown field"),
        ("http.route:/x", 0, "unknown field"),
        ("level:loud", 6, "no level"),
        ("a OR", 4, "nothing follows"),
        ("trace_id:12", 9, "no trace_id"),
        ("service:", 8, "missing"),
        ("*a", 0, "only at the end"),
        ("=>", 0, "no word"),
    ];
    for (text, position, part) in cases {
        let error = parse(text, Subject::Logs).expect_err(text);
        assert_eq!(error.position, position, "{text}: {error:?}");
        assert!(error.detail.contains(part), "{text}: {error:?}");
    }
    assert!(parse("duration>200", Subject::Spans).is_err());
    let hint = parse("http.route:/x", Subject::Logs).expect_err("unknown").hint.expect("a hint");
    assert!(hint.contains("attributes.http.route"), "{hint}");
}

#[test]
fn sizes_are_bounded() {
    assert!(parse(&"(".repeat(10_000), Subject::Logs).is_err());
    assert!(parse(&"NOT ".repeat(3_000), Subject::Logs).is_err());
    assert!(parse(&"a ".repeat(600), Subject::Logs).is_err());
    assert!(parse(&"a".repeat(20_000), Subject::Logs).is_err());
}

proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,60}") {
        let _ = parse(&text, Subject::Logs);
        let _ = parse(&text, Subject::Spans);
    }

    #[test]
    fn no_text_of_the_language_panics(
        parts in proptest::collection::vec(
            proptest::sample::select(vec![
                "a", "\"b c\"", "(", ")", "-", "NOT", "OR", "AND", "service:", "level>=", "warn", "*", "x*", "attributes.",
                "\"", "duration>", "1ms", "é", " ", "\\", ":", "!=",
            ]),
            0..20,
        )
    ) {
        let text = parts.concat();
        if let Err(error) = parse(&text, Subject::Spans) {
            prop_assert!(error.position <= text.chars().count());
        }
        let _ = parse(&parts.join(" "), Subject::Logs);
    }
}
