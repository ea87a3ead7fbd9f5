//! `match(column, 'query')`: words, "phrases", prefix*, AND, OR, NOT and parentheses.
//!
//! Terms side by side must all be found. AND binds tighter than OR. What a word is, is decided by the tokenizer that
//! builds the index (`storage::segment::text`), so that index and scan agree.

use std::sync::Arc;

use arrow::{
    array::{Array, AsArray, BooleanBuilder},
    datatypes::DataType,
};
use datafusion::{
    common::{Result as PlanResult, exec_err, plan_err},
    logical_expr::{ColumnarValue, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature, Volatility},
};
use storage::segment::TextQuery;

use crate::{Error, Result};

/// Terms in one query at most.
const MAX_TERMS: usize = 1_000;
/// Nested groups and negations at most.
const MAX_DEPTH: usize = 32;

/// Reads a text query.
///
/// # Errors
/// `Invalid` with the position in `query`, `TooLarge` beyond 1,000 terms.
pub fn parse(query: &str) -> Result<TextQuery> {
    let mut parser = Parser { tokens: tokens(query)?, next: 0, depth: 0, end: query.chars().count() };
    if parser.tokens.is_empty() {
        return Ok(TextQuery::All);
    }
    let parsed = parser.any()?;
    match parser.peek() {
        None => Ok(parsed),
        Some((position, _)) => Err(Error::invalid("closing parenthesis without an opening one").at(position)),
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Open,
    Close,
    And,
    Or,
    Not,
    Term(TextQuery),
}

fn tokens(query: &str) -> Result<Vec<(usize, Token)>> {
    let mut tokens = Vec::new();
    let mut characters = query.chars().enumerate().peekable();
    let mut terms = 0;
    while let Some((position, character)) = characters.next() {
        let token = match character {
            ' ' | '\t' | '\n' | '\r' => continue,
            '(' => Token::Open,
            ')' => Token::Close,
            '"' => {
                let mut phrase = String::new();
                loop {
                    match characters.next() {
                        Some((_, '"')) => break,
                        Some((_, '\\')) => phrase.extend(characters.next().map(|(_, c)| c)),
                        Some((_, c)) => phrase.push(c),
                        None => return Err(Error::invalid("a phrase that does not end").at(position).hint("add a \"")),
                    }
                }
                if characters.next_if(|(_, c)| *c == '*').is_some() {
                    Token::Term(TextQuery::prefix(&phrase))
                } else {
                    Token::Term(TextQuery::text(&phrase))
                }
            }
            '*' => {
                return Err(Error::invalid("a word cannot begin with *")
                    .at(position)
                    .hint("a prefix is written word*; to find a part of a word use LIKE"));
            }
            first => {
                let mut word = String::from(first);
                while let Some((_, c)) =
                    characters.next_if(|(_, c)| !matches!(c, ' ' | '\t' | '\n' | '\r' | '(' | ')' | '"' | '*'))
                {
                    word.push(c);
                }
                match characters.next_if(|(_, c)| *c == '*') {
                    Some((star, _)) => {
                        if characters.peek().is_some_and(|(_, c)| !matches!(c, ' ' | '\t' | '\n' | '\r' | ')')) {
                            return Err(Error::invalid("* is allowed only at the end of a word").at(star));
                        }
                        Token::Term(TextQuery::prefix(&word))
                    }
                    None => match word.as_str() {
                        "AND" => Token::And,
                        "OR" => Token::Or,
                        "NOT" => Token::Not,
                        _ => Token::Term(TextQuery::text(&word)),
                    },
                }
            }
        };
        if matches!(token, Token::Term(_)) {
            terms += 1;
            if terms > MAX_TERMS {
                return Err(Error::too_large(format!("a text query has at most {MAX_TERMS} terms")).at(position));
            }
        }
        tokens.push((position, token));
    }
    Ok(tokens)
}

struct Parser {
    tokens: Vec<(usize, Token)>,
    next: usize,
    depth: usize,
    end: usize,
}

impl Parser {
    fn peek(&self) -> Option<(usize, &Token)> {
        self.tokens.get(self.next).map(|(position, token)| (*position, token))
    }

    fn skip_if(&mut self, wanted: &Token) -> bool {
        let found = self.peek().is_some_and(|(_, token)| token == wanted);
        self.next += usize::from(found);
        found
    }

    /// `a b OR c`: at least one side.
    fn any(&mut self) -> Result<TextQuery> {
        let mut parts = vec![self.all()?];
        while self.skip_if(&Token::Or) {
            parts.push(self.all()?);
        }
        Ok(if parts.len() == 1 { parts.swap_remove(0) } else { TextQuery::Or(parts) })
    }

    /// `a AND b c`: every part.
    fn all(&mut self) -> Result<TextQuery> {
        let mut parts = vec![self.one()?];
        loop {
            let and = self.skip_if(&Token::And);
            if !and && !matches!(self.peek(), Some((_, Token::Open | Token::Not | Token::Term(_)))) {
                break;
            }
            parts.push(self.one()?);
        }
        Ok(if parts.len() == 1 { parts.swap_remove(0) } else { TextQuery::And(parts) })
    }

    fn one(&mut self) -> Result<TextQuery> {
        let Some((position, token)) = self.tokens.get(self.next).cloned() else {
            return Err(Error::invalid("the query ends where a word was expected").at(self.end));
        };
        self.next += 1;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Error::too_large(format!("groups nest deeper than {MAX_DEPTH}")).at(position));
        }
        let parsed = match token {
            Token::Term(term) => term,
            Token::Not => TextQuery::Not(Box::new(self.one()?)),
            Token::Open => {
                let inner = self.any()?;
                if !self.skip_if(&Token::Close) {
                    return Err(Error::invalid("a group that does not end").at(position).hint("add a )"));
                }
                inner
            }
            Token::Close => return Err(Error::invalid("an empty group or an unexpected )").at(position)),
            Token::And | Token::Or => {
                return Err(Error::invalid("a word is missing before AND or OR")
                    .at(position)
                    .hint("to search the word itself, write it in lower case or in quotes"));
            }
        };
        self.depth -= 1;
        Ok(parsed)
    }
}

/// The SQL function.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Match(Signature);

impl Match {
    pub(crate) const NAME: &'static str = "match";

    pub(crate) fn udf() -> Arc<ScalarUDF> {
        static UDF: std::sync::LazyLock<Arc<ScalarUDF>> =
            std::sync::LazyLock::new(|| Arc::new(ScalarUDF::from(Match(Signature::any(2, Volatility::Immutable)))));
        Arc::clone(&UDF)
    }
}

impl ScalarUDFImpl for Match {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, arguments: &[DataType]) -> PlanResult<DataType> {
        match arguments {
            [text, query] if is_text(text) && is_text(query) => Ok(DataType::Boolean),
            _ => plan_err!("match takes a text column and a query: match(body, 'connection refused')"),
        }
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> PlanResult<ColumnarValue> {
        let rows = args.number_rows;
        let [text, query] = args.args.as_slice() else {
            return exec_err!("match takes 2 arguments, found {}", args.args.len());
        };
        let ColumnarValue::Scalar(query) = query else {
            return exec_err!("the query of match must be a constant");
        };
        let Some(query) = query.try_as_str().flatten() else {
            return Ok(ColumnarValue::Scalar(datafusion::common::ScalarValue::Boolean(None)));
        };
        let mut matcher = parse(query).map_err(crate::error::into_datafusion)?.matcher();
        let text = arrow::compute::cast(&text.to_array(rows)?, &DataType::Utf8View)?;
        let mut out = BooleanBuilder::with_capacity(text.len());
        for text in text.as_string_view() {
            out.append_option(text.map(|text| matcher.matches(text)));
        }
        Ok(ColumnarValue::Array(Arc::new(out.finish())))
    }
}

fn is_text(data_type: &DataType) -> bool {
    match data_type {
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Null => true,
        DataType::Dictionary(_, values) => is_text(values),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
