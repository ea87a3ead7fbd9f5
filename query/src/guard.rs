//! May this statement from outside run?
//!
//! Pure: text and parameters in, one read-only statement out. Size and depth are checked on the tokens, before anything
//! recursive sees them; what a statement does is decided by an allowlist of what only reads.

use datafusion::sql::sqlparser::{
    ast::{Expr, Query, SetExpr, Statement, Visit, Visitor},
    dialect::GenericDialect,
    keywords::Keyword,
    parser::Parser,
    tokenizer::{Location, Token, TokenWithSpan, Tokenizer, Word},
};
use std::ops::ControlFlow;

use crate::{Error, ErrorKind, Result};

/// Operators in one expression: a run of them (`1 + 1 + …`) nests the plan one level deeper each, and planning takes time
/// with the square of the depth: 400 a fraction of a second, 2,000 half a minute, in which nothing can stop it.
const MAX_OPERATORS: usize = 400;
/// Operators in one statement.
const MAX_ALL_OPERATORS: usize = 4_000;
/// Parts of one UNION, INTERSECT or EXCEPT: each is planned like a statement.
const MAX_SET_PARTS: usize = 64;
/// Tables and subqueries joined in one statement: join order is worked out over all of them.
const MAX_RELATIONS: usize = 64;

/// What a statement may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bounds {
    /// Bytes of text at most.
    pub(crate) bytes: usize,
    /// Nested parentheses, brackets and subqueries at most.
    pub(crate) depth: usize,
}

/// A statement that only reads.
#[derive(Debug, PartialEq)]
pub(crate) struct Checked {
    pub(crate) statement: Statement,
    /// `EXPLAIN` was asked for in the text.
    pub(crate) explain: bool,
}

/// Reads and judges a statement. `$1`, `$2`, … stand for `params`.
///
/// # Errors
/// `TooLarge` for size and depth, `Invalid` with the position for syntax and parameters, `Impossible` for what would
/// change something.
pub(crate) fn check(text: &str, params: &[serde_json::Value], bounds: Bounds) -> Result<Checked> {
    if text.len() > bounds.bytes {
        return Err(Error::too_large(format!(
            "the statement has {} bytes, at most {} are allowed",
            text.len(),
            bounds.bytes
        )));
    }
    let dialect = GenericDialect {};
    let mut tokens = Tokenizer::new(&dialect, text)
        .tokenize_with_location()
        .map_err(|error| Error::invalid(error.message).at(position(text, error.location)))?;
    tokens.retain(|token| !matches!(token.token, Token::Whitespace(_)));
    check_shape(text, &tokens, bounds)?;
    let tokens = bind(text, tokens, params)?;
    let mut parser =
        Parser::new(&dialect).with_recursion_limit(bounds.depth.saturating_mul(4)).with_tokens_with_locations(tokens);
    let mut statements = parser.parse_statements().map_err(|error| syntax_error(text, &error))?;
    let statement = match (statements.pop(), statements.len()) {
        (Some(statement), 0) => statement,
        (None, _) => return Err(Error::invalid("the statement is empty").at(0)),
        (Some(_), _) => return Err(Error::impossible("only one statement at a time is answered")),
    };
    judge(statement)
}

/// Characters before a location.
pub(crate) fn position(text: &str, location: Location) -> usize {
    let (Ok(line), Ok(column)) = (usize::try_from(location.line), usize::try_from(location.column)) else { return 0 };
    let before: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(|line| line.chars().count()).sum();
    before + column.saturating_sub(1)
}

fn syntax_error(text: &str, error: &datafusion::sql::sqlparser::parser::ParserError) -> Error {
    use datafusion::sql::sqlparser::parser::ParserError;
    match error {
        ParserError::RecursionLimitExceeded => Error::too_large("the statement nests too deep"),
        ParserError::ParserError(message) | ParserError::TokenizerError(message) => located(text, message),
    }
}

/// An error from a parser's message, which ends in " at Line: 1, Column: 8".
pub(crate) fn located(text: &str, message: &str) -> Error {
    let Some((message, place)) = message.rsplit_once(" at Line: ") else { return Error::invalid(lower(message)) };
    let mut numbers = place.split(", Column: ").map(|n| n.trim().parse::<u64>().ok());
    match (numbers.next().flatten(), numbers.next().flatten()) {
        (Some(line), Some(column)) => Error::invalid(lower(message)).at(position(text, Location { line, column })),
        _ => Error::invalid(lower(message)),
    }
}

/// Our messages begin in lower case.
fn lower(message: &str) -> String {
    let mut characters = message.chars();
    match (characters.next(), characters.clone().next()) {
        // Abbreviations stay as they are.
        (Some(first), second) if !second.is_some_and(char::is_uppercase) => {
            first.to_lowercase().chain(characters).collect()
        }
        _ => message.to_owned(),
    }
}

/// Bounds on nesting, on runs of operators and on set operations, without recursion.
fn check_shape(text: &str, tokens: &[TokenWithSpan], bounds: Bounds) -> Result<()> {
    #[derive(Default)]
    struct Level {
        /// Operators since the last comma or clause, with those in parentheses.
        operators: usize,
        /// The most before it.
        most: usize,
        sets: usize,
    }
    impl Level {
        fn next_part(&mut self) {
            self.most = self.most.max(self.operators);
            self.operators = 0;
        }
    }
    let at = |token: &TokenWithSpan, error: Error| error.at(position(text, token.span.start));
    let mut levels = vec![Level::default()];
    let (mut set_parts, mut relations, mut all_operators) = (0, 0, 0);
    for token in tokens {
        let depth = levels.len();
        let Some(level) = levels.last_mut() else { break };
        match &token.token {
            Token::LParen | Token::LBracket | Token::LBrace => {
                levels.push(Level::default());
                if levels.len() > bounds.depth {
                    let message = format!("the statement nests deeper than {} levels", bounds.depth);
                    return Err(at(token, Error::too_large(message)));
                }
            }
            Token::RParen | Token::RBracket | Token::RBrace if depth > 1 => {
                let inner = level.operators.max(level.most);
                levels.pop();
                if let Some(outer) = levels.last_mut() {
                    outer.operators += inner;
                }
            }
            Token::Comma => level.next_part(),
            Token::Word(Word { keyword, .. }) => match keyword {
                Keyword::UNION | Keyword::INTERSECT | Keyword::EXCEPT => {
                    level.sets += 1;
                    set_parts += 1;
                }
                Keyword::SELECT | Keyword::FROM | Keyword::WHERE | Keyword::GROUP | Keyword::ORDER => {
                    level.next_part();
                    relations += usize::from(*keyword == Keyword::FROM);
                }
                Keyword::JOIN => relations += 1,
                Keyword::AND
                | Keyword::OR
                | Keyword::NOT
                | Keyword::LIKE
                | Keyword::ILIKE
                | Keyword::IS
                | Keyword::IN
                | Keyword::BETWEEN
                | Keyword::WHEN
                | Keyword::CASE => {
                    level.operators += 1;
                    all_operators += 1;
                }
                _ => {}
            },
            Token::Plus
            | Token::Minus
            | Token::Mul
            | Token::Div
            | Token::Mod
            | Token::StringConcat
            | Token::Eq
            | Token::Neq
            | Token::Lt
            | Token::LtEq
            | Token::Gt
            | Token::GtEq
            | Token::DoubleColon
            | Token::Ampersand
            | Token::Pipe
            | Token::Caret
            | Token::Tilde
            | Token::ExclamationMark => {
                level.operators += 1;
                all_operators += 1;
            }
            _ => {}
        }
        let Some(level) = levels.last() else { break };
        if level.operators > MAX_OPERATORS {
            let message = format!("more than {MAX_OPERATORS} operators in one expression");
            return Err(at(token, Error::too_large(message).hint("to compare with many values use IN (…)")));
        }
        if all_operators > MAX_ALL_OPERATORS {
            let message = format!("more than {MAX_ALL_OPERATORS} operators in one statement");
            return Err(at(token, Error::too_large(message)));
        }
        if level.sets >= MAX_SET_PARTS || set_parts >= 4 * MAX_SET_PARTS {
            return Err(at(token, Error::too_large(format!("more than {MAX_SET_PARTS} parts of UNION"))));
        }
        if relations > MAX_RELATIONS {
            return Err(at(token, Error::too_large(format!("more than {MAX_RELATIONS} tables in one statement"))));
        }
    }
    Ok(())
}

/// Puts the parameters' values where they are named, as literals: a value is never read as SQL.
fn bind(text: &str, tokens: Vec<TokenWithSpan>, params: &[serde_json::Value]) -> Result<Vec<TokenWithSpan>> {
    use serde_json::Value;
    let mut bound = Vec::with_capacity(tokens.len());
    for token in tokens {
        let Token::Placeholder(name) = &token.token else {
            bound.push(token);
            continue;
        };
        let at = position(text, token.span.start);
        let number = name.strip_prefix('$').and_then(|number| number.parse::<usize>().ok());
        let Some(number) = number.filter(|number| *number > 0) else {
            return Err(Error::invalid(format!("{name} is no parameter")).at(at).hint("write $1, $2, …"));
        };
        let Some(value) = params.get(number - 1) else {
            let message = format!("{name} has no value: {} were given", params.len());
            return Err(Error::invalid(message).at(at));
        };
        let word = |word: &str| Token::make_word(word, None);
        let literal = match value {
            Value::Null => vec![word("NULL")],
            Value::Bool(true) => vec![word("TRUE")],
            Value::Bool(false) => vec![word("FALSE")],
            Value::String(text) => vec![Token::SingleQuotedString(text.clone())],
            Value::Number(number) => {
                let digits = number.to_string();
                match digits.strip_prefix('-') {
                    // In parentheses: "- -1" would be a comment.
                    Some(digits) => {
                        vec![Token::LParen, Token::Minus, Token::Number(digits.to_owned(), false), Token::RParen]
                    }
                    None => vec![Token::Number(digits, false)],
                }
            }
            Value::Array(_) | Value::Object(_) => {
                return Err(
                    Error::invalid(format!("the value of {name} is neither text, number, boolean nor null")).at(at)
                );
            }
        };
        bound.extend(literal.into_iter().map(|literal| TokenWithSpan { token: literal, span: token.span }));
    }
    Ok(bound)
}

fn judge(statement: Statement) -> Result<Checked> {
    let (statement, explain) = match statement {
        Statement::Query(query) => (Statement::Query(query), false),
        Statement::Explain { statement, analyze, .. } => match *statement {
            Statement::Query(_) if analyze => {
                return Err(Error::impossible("EXPLAIN ANALYZE is not answered")
                    .hint("run the statement: its answer says what it cost"));
            }
            Statement::Query(query) => (Statement::Query(query), true),
            other => return Err(refuse(&other)),
        },
        other => return Err(refuse(&other)),
    };
    let mut reader = OnlyReads { refused: None };
    let _ = Visit::visit(&statement, &mut reader);
    match reader.refused {
        Some(error) => Err(error),
        None => Ok(Checked { statement, explain }),
    }
}

fn refuse(statement: &Statement) -> Error {
    let text = statement.to_string();
    let verb: String = text.chars().take_while(|c| c.is_ascii_alphabetic() || *c == '_').take(20).collect();
    Error::impossible(format!("only SELECT, WITH, VALUES and EXPLAIN are answered, not {}", verb.to_uppercase()))
}

/// Finds the parts of a query that would change something.
struct OnlyReads {
    refused: Option<Error>,
}

impl OnlyReads {
    fn refuse(&mut self, message: &str) -> ControlFlow<()> {
        self.refused = Some(Error::new(ErrorKind::Impossible, message));
        ControlFlow::Break(())
    }
}

impl Visitor for OnlyReads {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if !query.locks.is_empty() {
            return self.refuse("rows cannot be locked: FOR UPDATE and FOR SHARE are not answered");
        }
        match query.body.as_ref() {
            SetExpr::Insert(_) | SetExpr::Update(_) | SetExpr::Delete(_) | SetExpr::Merge(_) => {
                self.refuse("a query cannot change rows")
            }
            SetExpr::Select(select) if select.into.is_some() => self.refuse("SELECT INTO would create a table"),
            _ => ControlFlow::Continue(()),
        }
    }

    fn pre_visit_statement(&mut self, statement: &Statement) -> ControlFlow<()> {
        if matches!(statement, Statement::Query(_)) {
            ControlFlow::Continue(())
        } else {
            self.refused = Some(refuse(statement));
            ControlFlow::Break(())
        }
    }

    fn pre_visit_expr(&mut self, _: &Expr) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

#[cfg(test)]
mod tests;
