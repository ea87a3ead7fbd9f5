//! A server under load that survives faults, round after round, and the figures of it.

use std::{fmt::Write as _, time::Duration};

use rand::{Rng as _, SeedableRng as _, rngs::StdRng};

use super::oracle::{Load, scrub};
use crate::support::{Server, Setup, Stopwatch};

const CLIENTS_PER_SIGNAL: usize = 2;

pub(super) struct Run {
    name: &'static str,
    pub(super) server: Server,
    pub(super) load: Load,
    pub(super) chance: StdRng,
    rounds: usize,
    ready_after: Vec<Duration>,
    /// More to say about the run.
    pub(super) notes: String,
}

impl Run {
    pub(super) async fn start(name: &'static str, setup: Setup, seed: u64) -> Self {
        let server = Server::start_with(setup).await;
        let load = Load::start(&server, CLIENTS_PER_SIGNAL);
        let chance = StdRng::seed_from_u64(seed);
        Self { name, server, load, chance, rounds: 0, ready_after: Vec::new(), notes: String::new() }
    }

    /// Lets clients work until each has got on, and a random time more.
    pub(super) async fn work(&mut self, longest: Duration) {
        self.load.goes_on().await;
        Stopwatch::start().reaches(self.chance.random_range(Duration::ZERO..longest)).await;
    }

    /// Ends the server for good, if it still runs, starts it again after `while_down`, and compares.
    pub(super) async fn rise(&mut self, while_down: impl AsyncFnOnce()) -> Vec<String> {
        self.server.kill();
        // Answers that the old process still sent are received until here.
        let pause = self.load.pause().await;
        while_down().await;
        let stopwatch = Stopwatch::start();
        if let Err(why) = self.server.try_restart().await {
            return self.named(vec![why]);
        }
        self.ready_after.push(stopwatch.elapsed());
        let faults = self.load.faults(&self.server).await;
        pause.end(&self.server);
        self.rounds += 1;
        self.named(faults)
    }

    /// Compares without a restart.
    pub(super) async fn compare(&mut self) -> Vec<String> {
        let pause = self.load.pause().await;
        let faults = self.load.faults(&self.server).await;
        pause.end(&self.server);
        self.rounds += 1;
        self.named(faults)
    }

    /// The end of it: everything is flushed, compared, started once more, compared and read to the last page. Prints the
    /// figures.
    pub(super) async fn end(mut self) -> Vec<String> {
        self.load.goes_on().await;
        self.load.finish().await;
        self.server.flush().await;
        let mut faults = self.load.faults(&self.server).await;
        let status = self.server.terminate().await;
        if !status.success() {
            faults.push(format!("it ended with {status}"));
        }
        if let Err(why) = self.server.try_restart().await {
            faults.push(why);
            return self.named(faults);
        }
        faults.extend(self.load.faults(&self.server).await);
        faults.extend(scrub(&self.server).await);
        faults.extend(panics(&self.server));
        eprintln!("{}", self.figures(faults.len()));
        self.named(faults)
    }

    fn named(&self, faults: Vec<String>) -> Vec<String> {
        faults.into_iter().map(|fault| format!("{}, round {}: {fault}", self.name, self.rounds)).collect()
    }

    fn figures(&self, faults: usize) -> String {
        let mut figures = format!(
            "FIGURES {}: {} rounds, {} items acknowledged, {} requests refused for later, {faults} faults",
            self.name,
            self.rounds,
            self.load.acknowledged(),
            self.load.refusals()
        );
        let mut ready_after = self.ready_after.clone();
        ready_after.sort_unstable();
        if let (Some(median), Some(longest)) = (ready_after.get(ready_after.len() / 2), ready_after.last()) {
            let _ = write!(figures, "; ready after {median:.2?} (median), {longest:.2?} (longest)");
        }
        if !self.notes.is_empty() {
            let _ = write!(figures, "; {}", self.notes);
        }
        figures
    }
}

/// A panic that somebody caught is still one.
pub(super) fn panics(server: &Server) -> Vec<String> {
    server.log().lines().filter(|line| line.contains("panicked at")).map(str::to_owned).collect()
}
