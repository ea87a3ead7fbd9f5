//! The server as a process against a failing world: it is killed at any moment and at any system call, its power is cut, its
//! disk fails, fills up and is slow, its files are damaged, crowds hold its connections.
//!
//! Whatever happens, [`oracle`] knows what was promised and compares. Each test is here twice: a few rounds with every
//! `make test`, and as many as one likes with `make torture`, printed as figures. `docs/reliability.md` has the table of all
//! tests and the latest figures; the numbers T1 to T27 are its.

mod crowd;
mod damage;
mod disk;
mod kill;
mod oracle;
mod power;
mod restart;
mod run;
mod stop;

use self::run::Run;
use crate::support::Setup;

/// Segments and merges come often, so that faults meet them too.
const BUSY: &str = "[storage]\nflush_size = \"64KiB\"\nflush_age = \"300ms\"\n[compaction]\ninterval = \"200ms\"\n\
                    grace = \"100ms\"\n[query]\nmax_rows = 1000000000\n";

fn busy() -> Setup {
    Setup::configured(BUSY)
}

/// A number that `make torture` was given.
#[expect(clippy::disallowed_methods, reason = "the tests' own switch, not a setting of the server")]
fn given(variable: &str) -> Option<u64> {
    let value = std::env::var(variable).ok().filter(|value| !value.is_empty())?;
    Some(value.parse().unwrap_or_else(|_| panic!("{variable} is {value:?}, a number is expected")))
}

/// Rounds of a long run: `RL_ROUNDS`, or else so many.
fn rounds(usual: usize) -> usize {
    given("RL_ROUNDS").map_or(usual, |rounds| usize::try_from(rounds).expect("a machine counts that far"))
}

/// Seed of a long run: `RL_SEED`. What the operating system does in between is no function of it.
fn seed() -> u64 {
    given("RL_SEED").unwrap_or(1)
}
