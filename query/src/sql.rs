//! A statement from outside becomes a plan.

use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::DataType,
};
use datafusion::{
    dataframe::DataFrame,
    logical_expr::{LogicalPlan, LogicalPlanBuilder},
    prelude::SessionContext,
    sql::parser::Statement,
};

use crate::{
    Error, Result, SqlRequest,
    error::from_datafusion,
    guard::{self, Bounds, Checked},
};

/// Checks and plans a statement. Runs on the query runtime, whose threads have room for deep statements.
pub(crate) async fn plan(context: &SessionContext, request: &SqlRequest, bounds: Bounds) -> Result<DataFrame> {
    let (plan, explain) = logical(context, request, bounds).await?;
    let plan = if explain { explained(plan)? } else { plan };
    Ok(DataFrame::new(context.state(), plan))
}

/// The plans of a statement, as rows of text.
pub(crate) async fn explain(context: &SessionContext, request: &SqlRequest, bounds: Bounds) -> Result<DataFrame> {
    let (plan, _) = logical(context, request, bounds).await?;
    Ok(DataFrame::new(context.state(), explained(plan)?))
}

async fn logical(context: &SessionContext, request: &SqlRequest, bounds: Bounds) -> Result<(LogicalPlan, bool)> {
    let Checked { statement, explain } = guard::check(&request.text, &request.params, bounds)?;
    let readable = |error| from_datafusion(error, Some(&request.text));
    let statement = Statement::Statement(Box::new(statement));
    let plan = context.state().statement_to_plan(statement).await.map_err(readable)?;
    read_only(&plan)?;
    let plan = match request.limit {
        Some(limit) => LogicalPlanBuilder::from(plan)
            .limit(0, Some(limit))
            .and_then(LogicalPlanBuilder::build)
            .map_err(readable)?,
        None => plan,
    };
    Ok((plan, explain))
}

fn explained(plan: LogicalPlan) -> Result<LogicalPlan> {
    LogicalPlanBuilder::from(plan)
        .explain(false, false)
        .and_then(LogicalPlanBuilder::build)
        .map_err(|error| from_datafusion(error, None))
}

/// The second look, at the plan: whatever the statement was, this only reads.
fn read_only(plan: &LogicalPlan) -> Result<()> {
    use datafusion::common::tree_node::TreeNodeRecursion;
    let mut refused = None;
    let walked = plan.apply_with_subqueries(|node| {
        refused = match node {
            LogicalPlan::Ddl(_) => Some("would create or drop something"),
            LogicalPlan::Dml(_) => Some("would change rows"),
            LogicalPlan::Copy(_) => Some("would write a file"),
            LogicalPlan::Statement(_) => Some("would change the session"),
            LogicalPlan::Analyze(_) => Some("would run the statement it explains"),
            LogicalPlan::Extension(_) => Some("has a part that is not known to only read"),
            _ => None,
        };
        Ok(if refused.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    match (refused, walked) {
        (Some(why), _) => Err(Error::impossible(format!("the statement {why}"))),
        (None, Err(error)) => Err(from_datafusion(error, None)),
        (None, Ok(_)) => Ok(()),
    }
}

/// The text of an explanation's rows.
pub(crate) fn explanation(batches: &[RecordBatch]) -> Result<String> {
    let mut text = String::new();
    for batch in batches {
        for row in 0..batch.num_rows() {
            for column in batch.columns() {
                let DataType::Utf8 = column.data_type() else {
                    return Err(Error::internal("an explanation that is no text"));
                };
                text.push_str(column.as_string::<i32>().value(row));
                text.push('\n');
            }
        }
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
