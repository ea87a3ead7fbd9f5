//! What a search for a cause is told: plain data, no clock and no store.
//!
//! [`Facts::settle`] brings everything into one order that does not depend on the order of arrival: names are numbered
//! alphabetically, rows sorted. Whatever is computed from settled facts is the same every time.

use std::collections::HashMap;

/// Half-open range of event times in nanoseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    pub from: i64,
    pub to: i64,
}

impl Stretch {
    pub(crate) fn contains(self, time: i64) -> bool {
        (self.from..self.to).contains(&time)
    }

    pub(crate) fn length(self) -> i64 {
        self.to.saturating_sub(self.from)
    }
}

/// A service, operation, template, metric, pod, … by number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Name(u32);

/// Texts by number.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    texts: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Names {
    pub(crate) fn number(&mut self, text: &str) -> Name {
        if let Some(number) = self.numbers.get(text) {
            return Name(*number);
        }
        let number = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        self.texts.push(text.to_owned());
        self.numbers.insert(text.to_owned(), number);
        Name(number)
    }

    pub(crate) fn find(&self, text: &str) -> Option<Name> {
        self.numbers.get(text).map(|number| Name(*number))
    }

    pub(crate) fn text(&self, name: Name) -> &str {
        &self.texts[name.0 as usize]
    }

    /// The same texts in alphabetical order, and for each old number the new one.
    fn sorted(&self) -> (Self, Vec<Name>) {
        let mut order: Vec<usize> = (0..self.texts.len()).collect();
        order.sort_by(|a, b| self.texts[*a].cmp(&self.texts[*b]));
        let mut sorted = Self::default();
        let mut moved = vec![Name(0); order.len()];
        for old in order {
            moved[old] = sorted.number(&self.texts[old]);
        }
        (sorted, moved)
    }
}

/// Which end of a call a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Internal,
    Server,
    Client,
    Producer,
    Consumer,
}

/// Where something ran.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    pub pod: Option<Name>,
    pub node: Option<Name>,
    pub version: Option<Name>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span {
    pub trace: u128,
    pub start: i64,
    pub id: u64,
    /// 0 for a root.
    pub parent: u64,
    pub service: Name,
    pub operation: Name,
    pub kind: Kind,
    /// Nanoseconds, never negative.
    pub duration: i64,
    pub failed: bool,
    /// Database, queue or host that a client span names as its other end.
    pub peer: Option<Name>,
    pub place: Place,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Log {
    pub time: i64,
    pub service: Name,
    pub template: Name,
    /// OpenTelemetry's severity number.
    pub severity: u8,
    /// 0 where the record belongs to no trace.
    pub trace: u128,
    pub span: u64,
}

/// How the values of a series add up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Shape {
    /// A level, or a change since the point before: comparable as it is.
    Level,
    /// A count since the start of the process.
    Cumulative,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Series {
    pub service: Name,
    pub metric: Name,
    pub unit: Name,
    pub shape: Shape,
    pub place: Place,
    /// `key=value` pairs in order, empty for none.
    pub attributes: Name,
    /// Both ends, for the metrics of a call (attributes `client` and `server`).
    pub call: Option<(Name, Name)>,
    /// By time.
    pub points: Vec<(i64, f64)>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Change {
    pub time: i64,
    pub service: Name,
    /// deploy, config, flag, scale, incident
    pub kind: Name,
    pub version: Option<Name>,
    pub message: Option<Name>,
}

/// Everything that is known about a window and the time before it.
#[derive(Clone, Debug)]
pub(crate) struct Facts {
    pub window: Stretch,
    /// What the asker says was normal; spans and logs are compared with it.
    pub baseline: Option<Stretch>,
    /// The service whose trouble is to be explained.
    pub entry: Option<Name>,
    pub names: Names,
    pub spans: Vec<Span>,
    pub logs: Vec<Log>,
    pub series: Vec<Series>,
    pub changes: Vec<Change>,
}

impl Facts {
    pub(crate) fn new(window: Stretch, baseline: Option<Stretch>) -> Self {
        Self {
            window,
            baseline,
            entry: None,
            names: Names::default(),
            spans: Vec::new(),
            logs: Vec::new(),
            series: Vec::new(),
            changes: Vec::new(),
        }
    }

    /// One order, whatever the order of arrival.
    pub(crate) fn settle(&mut self) {
        let (names, moved) = self.names.sorted();
        self.names = names;
        let to = |name: &mut Name| *name = moved[name.0 as usize];
        let place = |place: &mut Place| {
            [&mut place.pod, &mut place.node, &mut place.version].into_iter().flatten().for_each(to)
        };
        self.entry.iter_mut().for_each(to);
        for span in &mut self.spans {
            to(&mut span.service);
            to(&mut span.operation);
            span.peer.iter_mut().for_each(to);
            place(&mut span.place);
        }
        for log in &mut self.logs {
            to(&mut log.service);
            to(&mut log.template);
        }
        for series in &mut self.series {
            [&mut series.service, &mut series.metric, &mut series.unit, &mut series.attributes]
                .into_iter()
                .for_each(to);
            if let Some((client, server)) = &mut series.call {
                to(client);
                to(server);
            }
            place(&mut series.place);
            series.points.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        }
        for change in &mut self.changes {
            to(&mut change.service);
            to(&mut change.kind);
            change.version.iter_mut().for_each(to);
            change.message.iter_mut().for_each(to);
        }
        self.spans.sort_unstable();
        self.spans.dedup_by(|a, b| a.trace == b.trace && a.id == b.id && a.start == b.start);
        self.logs.sort_unstable();
        self.series.sort_by(|a, b| {
            let key = |s: &Series| (s.service, s.metric, s.attributes, s.place, s.call);
            key(a).cmp(&key(b)).then(a.points.len().cmp(&b.points.len()))
        });
        self.changes.sort();
    }

    pub(crate) fn text(&self, name: Name) -> &str {
        self.names.text(name)
    }
}
