//! Why is this service in trouble?
//!
//! `load` asks the tables for the `facts` of a window and the time before it. Everything after that is pure: `plan` says
//! what is compared with what, `forest` who called whom, `tally` counts, `compare` and `meters` find what moved, `rank`
//! calibrates it, explains it away along calls and orders the services, `explain` puts it into a [`Report`]. The same
//! facts give the same report, to the byte.
//!
//! Sources: design notes distilled from Nezha (ESEC/FSE 2023), BARO (FSE 2024), PetShop (CLeaR 2024).

mod ask;
mod changed;
mod compare;
mod drill;
mod explain;
mod facts;
mod finding;
mod forest;
mod impact;
mod incident;
mod kept;
mod load;
mod markdown;
mod meaning;
mod meters;
mod nodes;
mod number;
mod plan;
mod proof;
mod rank;
mod report;
mod symptom;
mod tally;
mod template;
mod window;
mod words;

pub use self::report::{Candidate, Effort, Evidence, Impact, Indicator, Outcome, Report, Scope, Span, Table, Texts};
pub use self::{ask::Request, incident::Explainer, kept::Kept};

#[cfg(test)]
mod tests;
