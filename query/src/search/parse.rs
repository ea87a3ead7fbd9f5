//! Search text -> [`Filter`], or an error that says where and what to write instead.

use super::{Comparison, Field, Filter, Operator, Severity, Subject, Text, Value};

/// Longest search text in bytes.
const MAX_LENGTH: usize = 16 * 1024;
/// Deepest nesting of groups and negations: parsing and planning are recursive.
const MAX_DEPTH: usize = 64;
/// Most terms of one search.
const MAX_TERMS: usize = 500;

/// What is wrong with a search text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{detail}")]
pub struct SearchError {
    /// Where, in characters from the beginning.
    pub position: usize,
    /// What was found.
    pub detail: String,
    /// What to write instead.
    pub hint: Option<String>,
}

/// Reads a search text. Nothing but white space holds on every row.
///
/// # Errors
/// For an unknown field, a value that its field cannot have, unbalanced groups and quotes, and texts beyond the limits.
pub fn parse(text: &str, subject: Subject) -> Result<Filter, SearchError> {
    let mut parser = Parser { text, at: 0, subject, terms: 0 };
    if text.len() > MAX_LENGTH {
        return Err(parser.error(0, format!("the search is longer than {MAX_LENGTH} bytes"), None));
    }
    let filter = parser.alternatives(0)?;
    parser.skip_space();
    if parser.at < text.len() {
        // `alternatives` only stops early at a closing parenthesis.
        return Err(parser.error(parser.at, "this closing parenthesis has no opening one", Some("remove it")));
    }
    Ok(filter)
}

struct Parser<'a> {
    text: &'a str,
    /// Byte offset of what is read next.
    at: usize,
    subject: Subject,
    terms: usize,
}

impl<'a> Parser<'a> {
    /// `a b OR c`
    fn alternatives(&mut self, depth: usize) -> Result<Filter, SearchError> {
        let mut alternatives = vec![self.conjunction(depth)?];
        while self.keyword("OR") {
            alternatives.push(self.operand("OR", |parser| parser.conjunction(depth))?);
        }
        Ok(if alternatives.len() == 1 { alternatives.remove(0) } else { Filter::Or(alternatives) })
    }

    /// `a AND b c`
    fn conjunction(&mut self, depth: usize) -> Result<Filter, SearchError> {
        let mut filter = Filter::All;
        loop {
            let explicit = self.keyword("AND");
            if explicit {
                filter = filter.and(self.operand("AND", |parser| parser.negation(depth))?);
            } else if self.at_end() || self.peek_keyword("OR") {
                return Ok(filter);
            } else {
                filter = filter.and(self.negation(depth)?);
            }
        }
    }

    /// What follows a keyword: there must be something.
    fn operand(
        &mut self,
        keyword: &str,
        read: impl FnOnce(&mut Self) -> Result<Filter, SearchError>,
    ) -> Result<Filter, SearchError> {
        if self.at_end() || self.peek_keyword("OR") || self.peek_keyword("AND") {
            return Err(self.error(
                self.at,
                format!("nothing follows {keyword}"),
                Some(&format!("to search for the word itself, write \"{keyword}\"")),
            ));
        }
        read(self)
    }

    /// `NOT a`, `-a`, `(a)`, or a term.
    fn negation(&mut self, depth: usize) -> Result<Filter, SearchError> {
        self.skip_space();
        let start = self.at;
        if depth >= MAX_DEPTH {
            return Err(self.error(start, format!("groups nest deeper than {MAX_DEPTH}"), None));
        }
        if self.keyword("NOT") {
            return self
                .operand("NOT", |parser| parser.negation(depth + 1))
                .map(|filter| Filter::Not(Box::new(filter)));
        }
        let rest = &self.text[self.at..];
        if rest.starts_with('-') && rest[1..].starts_with(|c: char| !c.is_whitespace() && c != '-' && c != ')') {
            self.at += 1;
            return Ok(Filter::Not(Box::new(self.negation(depth + 1)?)));
        }
        if rest.starts_with('(') {
            self.at += 1;
            let filter = self.alternatives(depth + 1)?;
            self.skip_space();
            if !self.text[self.at..].starts_with(')') {
                return Err(self.error(start, "this parenthesis is not closed", Some("add \")\" or put it in quotes")));
            }
            self.at += 1;
            return Ok(filter);
        }
        self.term()
    }

    fn term(&mut self) -> Result<Filter, SearchError> {
        self.terms += 1;
        if self.terms > MAX_TERMS {
            return Err(self.error(self.at, format!("more than {MAX_TERMS} terms"), None));
        }
        let start = self.at;
        if self.text[start..].starts_with('"') {
            let phrase = self.quoted()?;
            return self.phrase(start, phrase);
        }
        match self.field_and_operator()? {
            Some((field, operator, negated)) => {
                let filter = self.values(&field, operator)?;
                Ok(if negated { Filter::Not(Box::new(filter)) } else { filter })
            }
            None => self.word(),
        }
    }

    /// `name:`, `name>=`, `attributes."odd key"=`; `None` leaves the reader where it was: it is a word.
    fn field_and_operator(&mut self) -> Result<Option<(Field, Operator, bool)>, SearchError> {
        let start = self.at;
        let is_name = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '/' | '@' | '[' | ']' | '$');
        if !self.text[start..].starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '@') {
            return Ok(None);
        }
        let mut name = self.take_while(is_name).to_owned();
        if name.ends_with('.') && self.text[self.at..].starts_with('"') {
            name.push_str(&self.quoted()?);
        }
        let Some((operator, negated, length)) = operator_at(&self.text[self.at..]) else {
            self.at = start;
            return Ok(None);
        };
        // An address is text: `http://…`, `redis://…`.
        if self.text[self.at..].starts_with("://") {
            self.at = start;
            return Ok(None);
        }
        let Some(field) = self.subject.field(&name) else {
            let hint = if name.contains('.') {
                format!("write attributes.{name} or resource.{name}; to search for the text, put it in quotes")
            } else {
                format!(
                    "fields are {}, attributes.KEY, resource.KEY, scope.KEY; to search for the text, put it in quotes",
                    self.subject.field_names()
                )
            };
            return Err(self.error(start, format!("unknown field {name:?}"), Some(&hint)));
        };
        if matches!(&field, Field::Attribute { key, .. } if key.is_empty()) {
            return Err(self.error(start, "the attribute has no key", Some("write attributes.KEY:value")));
        }
        self.at += length;
        Ok(Some((field, operator, negated)))
    }

    /// One value, or `(a OR b)`.
    fn values(&mut self, field: &Field, operator: Operator) -> Result<Filter, SearchError> {
        let start = self.at;
        if !self.text[start..].starts_with('(') {
            return self.value(field, operator);
        }
        self.at += 1;
        let mut alternatives = Vec::new();
        loop {
            self.skip_space();
            if self.text[self.at..].starts_with(')') && !alternatives.is_empty() {
                self.at += 1;
                return Ok(if alternatives.len() == 1 { alternatives.remove(0) } else { Filter::Or(alternatives) });
            }
            if self.at >= self.text.len() {
                return Err(self.error(start, "this parenthesis is not closed", Some("write field:(a OR b)")));
            }
            if !alternatives.is_empty() {
                if !self.keyword("OR") {
                    return Err(self.error(self.at, "expected OR between values", Some("write field:(a OR b)")));
                }
                self.skip_space();
            }
            self.terms += 1;
            if self.terms > MAX_TERMS {
                return Err(self.error(self.at, format!("more than {MAX_TERMS} terms"), None));
            }
            alternatives.push(self.value(field, operator)?);
        }
    }

    fn value(&mut self, field: &Field, operator: Operator) -> Result<Filter, SearchError> {
        let start = self.at;
        let value = if self.text[start..].starts_with('"') {
            Value::Exact(self.quoted()?)
        } else {
            let bare = self.take_while(|c| !c.is_whitespace() && !matches!(c, '(' | ')' | '"')).to_owned();
            if bare.is_empty() {
                return Err(self.error(
                    start,
                    "the value is missing",
                    Some("write field:value or field:\"some text\""),
                ));
            }
            bare_value(bare)
        };
        let value = checked_value(field, operator, value).map_err(|(detail, hint)| self.error(start, detail, hint))?;
        Ok(Filter::Compare(Comparison { field: field.clone(), operator, value }))
    }

    fn word(&mut self) -> Result<Filter, SearchError> {
        let start = self.at;
        let word = self.take_while(|c| !c.is_whitespace() && !matches!(c, '(' | ')' | '"'));
        if word == "*" {
            return Ok(Filter::All);
        }
        let (stem, prefix) = word.strip_suffix('*').map_or((word, false), |stem| (stem, true));
        if stem.contains('*') {
            return Err(self.error(
                start,
                "in text, * stands only at the end of a word",
                Some("write part*, or compare a field: name:*part*"),
            ));
        }
        if !prefix {
            return self.phrase(start, stem.to_owned());
        }
        // `a-b*` holds where a word `a` and a word that begins with `b` occur.
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let split =
            stem.rfind(|c| !is_word(c)).map_or(0, |at| at + stem[at..].chars().next().map_or(1, char::len_utf8));
        let (before, last) = stem.split_at(split);
        if last.is_empty() {
            return self.phrase(start, stem.to_owned());
        }
        let prefix = Filter::Text(Text::Prefix(last.to_owned()));
        Ok(if before.contains(is_word) { self.phrase(start, before.to_owned())?.and(prefix) } else { prefix })
    }

    fn phrase(&self, start: usize, phrase: String) -> Result<Filter, SearchError> {
        if phrase.contains(|c: char| c.is_alphanumeric() || c == '_') {
            return Ok(Filter::Text(Text::Phrase(phrase)));
        }
        Err(self.error(start, format!("{phrase:?} has no word to search for"), Some("words are letters, digits and _")))
    }

    /// A quoted text with `\"` and `\\`; the reader stands at its opening quote.
    fn quoted(&mut self) -> Result<String, SearchError> {
        let start = self.at;
        let mut out = String::new();
        let mut characters = self.text[start + 1..].char_indices();
        while let Some((i, c)) = characters.next() {
            match c {
                '"' => {
                    self.at = start + 1 + i + 1;
                    return Ok(out);
                }
                '\\' => match characters.next() {
                    Some((_, escaped @ ('"' | '\\'))) => out.push(escaped),
                    Some((_, other)) => out.extend(['\\', other]),
                    None => break,
                },
                c => out.push(c),
            }
        }
        Err(self.error(start, "this quote is not closed", Some("add \"")))
    }

    fn take_while(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let rest = &self.text[self.at..];
        let taken = &rest[..rest.find(|c| !wanted(c)).unwrap_or(rest.len())];
        self.at += taken.len();
        taken
    }

    fn skip_space(&mut self) {
        self.take_while(char::is_whitespace);
    }

    /// Whether a group or the text ends here.
    fn at_end(&mut self) -> bool {
        self.skip_space();
        self.at >= self.text.len() || self.text[self.at..].starts_with(')')
    }

    fn peek_keyword(&mut self, keyword: &str) -> bool {
        self.skip_space();
        self.text[self.at..].strip_prefix(keyword).is_some_and(|rest| {
            rest.is_empty() || rest.starts_with(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | '"'))
        })
    }

    fn keyword(&mut self, keyword: &str) -> bool {
        let found = self.peek_keyword(keyword);
        if found {
            self.at += keyword.len();
        }
        found
    }

    fn error(&self, at: usize, detail: impl Into<String>, hint: Option<&str>) -> SearchError {
        let position = self.text[..at].chars().count();
        SearchError { position, detail: detail.into(), hint: hint.map(str::to_owned) }
    }
}

/// Operator at the beginning of `text`, whether it negates, and its length.
fn operator_at(text: &str) -> Option<(Operator, bool, usize)> {
    const OPERATORS: [(&str, Operator, bool); 11] = [
        (":>=", Operator::GreaterOrEqual, false),
        (":<=", Operator::LessOrEqual, false),
        (":>", Operator::Greater, false),
        (":<", Operator::Less, false),
        (">=", Operator::GreaterOrEqual, false),
        ("<=", Operator::LessOrEqual, false),
        ("!=", Operator::Equal, true),
        (">", Operator::Greater, false),
        ("<", Operator::Less, false),
        (":", Operator::Equal, false),
        ("=", Operator::Equal, false),
    ];
    OPERATORS
        .into_iter()
        .find(|(sign, ..)| text.starts_with(sign))
        .map(|(sign, operator, negated)| (operator, negated, sign.len()))
}

fn bare_value(text: String) -> Value {
    if text == "*" {
        return Value::Any;
    }
    if text.contains('*') {
        return Value::Wildcard(text.split('*').map(str::to_owned).collect());
    }
    Value::Bare(text)
}

type Complaint = (String, Option<&'static str>);

/// The value as its field understands it.
fn checked_value(field: &Field, operator: Operator, value: Value) -> Result<Value, Complaint> {
    if matches!(value, Value::Any | Value::Wildcard(_)) && operator != Operator::Equal {
        return Err(("* cannot be compared by order".to_owned(), Some("use : or =")));
    }
    let (Value::Exact(text) | Value::Bare(text)) = &value else {
        return match (field, value) {
            (_, Value::Any) => Ok(Value::Any),
            (Field::Severity | Field::Duration | Field::Id(_), _) => {
                Err(("this field has no wildcards".to_owned(), None))
            }
            (_, value) => Ok(value),
        };
    };
    match field {
        Field::Severity => severity_value(text),
        Field::Duration => duration_nano(text).map(Value::DurationNano),
        Field::Id(column) => {
            let length = if *column == "trace_id" { 32 } else { 16 };
            if operator == Operator::Equal && text.len() == length && text.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Ok(Value::Exact(text.to_ascii_lowercase()));
            }
            Err((
                format!("{text:?} is no {column}"),
                Some("a trace id has 32 hex digits, a span id 16; compare with :"),
            ))
        }
        Field::Column("kind") => one_of(text, &["unspecified", "internal", "server", "client", "producer", "consumer"]),
        Field::Column("status_code") => one_of(text, &["unset", "ok", "error"]),
        Field::Column(_) | Field::Attribute { .. } => Ok(value),
    }
}

fn one_of(text: &str, allowed: &[&'static str]) -> Result<Value, Complaint> {
    match allowed.iter().find(|name| name.eq_ignore_ascii_case(text)) {
        Some(name) => Ok(Value::Exact((*name).to_owned())),
        None => Err((format!("found {text:?}, expected one of {}", allowed.join(", ")), None)),
    }
}

fn severity_value(text: &str) -> Result<Value, Complaint> {
    if let Some(level) = Severity::parse(text) {
        return Ok(Value::Severity(level.numbers()));
    }
    match text.parse::<i32>() {
        Ok(number @ 0..=24) => Ok(Value::Severity(number..=number)),
        _ => Err((
            format!("{text:?} is no level"),
            Some("levels are trace, debug, info, warn, error, fatal, unspecified, or a number from 0 to 24"),
        )),
    }
}

/// `1.5s`, `200ms`, `3us`: a non-negative decimal number and a unit, in nanoseconds.
fn duration_nano(text: &str) -> Result<i64, Complaint> {
    let complaint = || (format!("{text:?} is no duration"), Some("write a number and a unit: 200ms, 1.5s, 30us, 2m"));
    let unit_at = text.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(complaint)?;
    let (number, unit) = text.split_at(unit_at);
    let nanos_per_unit = match unit {
        "ns" => 1.0,
        "us" | "µs" | "μs" => 1e3,
        "ms" => 1e6,
        "s" => 1e9,
        "m" | "min" => 60e9,
        "h" => 3600e9,
        _ => return Err(complaint()),
    };
    let nanos = number.parse::<f64>().map_err(|_| complaint())? * nanos_per_unit;
    // Below 2^63 - 1, and rounded: the cast is exact enough for a threshold.
    if nanos.is_finite() && nanos < 9.2e18 { Ok(nanos.round() as i64) } else { Err(complaint()) }
}

/// A duration as the search language writes it, for parameters such as `min_duration`.
///
/// # Errors
/// When it is none.
pub fn parse_duration_nano(text: &str) -> Result<i64, SearchError> {
    duration_nano(text).map_err(|(detail, hint)| SearchError { position: 0, detail, hint: hint.map(str::to_owned) })
}

#[cfg(test)]
mod tests;
