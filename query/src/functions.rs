//! SQL functions beyond DataFusion's, and the same as expressions for plans built by code.

use std::sync::Arc;

use datafusion::{
    logical_expr::{Expr, ScalarUDF, expr::ScalarFunction},
    prelude::lit,
};

use crate::{
    table::{
        attributes::{Asked, Json, Keys, lookup},
        retype,
    },
    text::Match,
};

pub(crate) mod bounded;

/// Every function of ours by its SQL name; some replace DataFusion's by a form that cannot exhaust memory.
pub(crate) fn all() -> Vec<Arc<ScalarUDF>> {
    let mut functions: Vec<Arc<ScalarUDF>> = Asked::ALL.map(lookup).into();
    functions.extend([Arc::new(Keys::new().into()), Arc::new(Json::new().into()), Match::udf()]);
    functions.extend(bounded::all());
    functions
}

/// `map['key']` as text; NULL where the map has no such key. Arrays and maps are JSON.
pub fn attribute(map: Expr, key: &str) -> Expr {
    retype::attribute(map, lit(key), Asked::Text)
}

/// `map['key']` as a double; NULL where the value is no number.
pub fn attribute_double(map: Expr, key: &str) -> Expr {
    retype::attribute(map, lit(key), Asked::Double)
}

/// `map['key']` as an integer; NULL where the value is no number.
pub fn attribute_int(map: Expr, key: &str) -> Expr {
    retype::attribute(map, lit(key), Asked::Int)
}

/// `map['key']` as a truth value; NULL where the value is none.
pub fn attribute_bool(map: Expr, key: &str) -> Expr {
    retype::attribute(map, lit(key), Asked::Bool)
}

/// The keys of a map, sorted, as a list.
pub fn attribute_keys(map: Expr) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(Keys::new().into()), vec![map]))
}

/// The map as JSON text.
pub fn attributes_json(map: Expr) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(Arc::new(Json::new().into()), vec![map]))
}

/// `match(text, query)`; the syntax is that of [`text::parse`](crate::text::parse). Check `query` with it first: here an
/// error in it would show only when rows are read.
pub fn matches(text: Expr, query: &str) -> Expr {
    Expr::ScalarFunction(ScalarFunction::new_udf(Match::udf(), vec![text, lit(query)]))
}
