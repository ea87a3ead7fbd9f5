use storage::segment::TextQuery;

use super::parse;
use crate::ErrorKind;

fn word(text: &str) -> TextQuery {
    TextQuery::Word(text.to_owned())
}

#[test]
fn precedence_and_groups() {
    let parsed = parse("a b OR NOT (c AND \"d e\") f*").unwrap();
    let expected = TextQuery::Or(vec![
        TextQuery::And(vec![word("a"), word("b")]),
        TextQuery::And(vec![
            TextQuery::Not(Box::new(TextQuery::And(vec![
                word("c"),
                TextQuery::Phrase(vec!["d".to_owned(), "e".to_owned()]),
            ]))),
            TextQuery::Prefix("f".to_owned()),
        ]),
    ]);
    assert_eq!(parsed, expected);
}

#[test]
fn lower_case_operators_are_words_and_nothing_is_everything() {
    assert_eq!(parse("not and").unwrap(), TextQuery::And(vec![word("not"), word("and")]));
    assert_eq!(parse("  ").unwrap(), TextQuery::All);
}

#[test]
fn what_cannot_be_read_says_where() {
    for (query, position) in [
        ("*", 0),
        ("foo *bar", 4),
        ("fo*o", 2),
        ("*^2", 0),
        ("a (b", 2),
        ("a)", 1),
        ("()", 1),
        ("a AND", 5),
        ("OR b", 0),
        ("é \"x", 2),
        ("NOT", 3),
    ] {
        let error = parse(query).unwrap_err();
        assert_eq!((error.kind(), error.position()), (ErrorKind::Invalid, Some(position)), "{query}: {error}");
    }
}

#[test]
fn size_is_bounded() {
    assert_eq!(parse(&"a ".repeat(10_000)).unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(parse(&"(".repeat(10_000)).unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(parse(&"NOT ".repeat(10_000)).unwrap_err().kind(), ErrorKind::TooLarge);
    assert!(parse(&"a ".repeat(1_000)).is_ok());
}
