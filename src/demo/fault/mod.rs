//! What goes wrong in the shop: six kinds of faults, each at one place.
//!
//! A fault is plain data, a pure function of the seed and its number. `schedule` says when, `ailment` what it does to
//! calls, statements and requests, `vitals` what it does to processes and machines. Nobody tells the receiver: the truth
//! ([`Fault::truth`]) is for tests.

mod ailment;
mod schedule;
mod vitals;

use rand::{Rng, SeedableRng, rngs::StdRng, seq::SliceRandom as _};
use serde_json::{Value, json};

pub(super) use self::{
    ailment::{Ailment, Slow, Symptom},
    schedule::{Change, Occurrence, Schedule},
    vitals::{Vitals, node_vitals, vitals},
};
use super::{
    catalogue::{SERVICES, STORES},
    estimate,
    values::pick,
    world::{OperationId, World},
};

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Statements of one store take a hundred times as long; its clients' connection pools run dry.
    SlowDatabase,
    /// A release of one service fails, or is slow, in one operation, until it is rolled back.
    BadDeploy,
    /// A service or somebody outside refuses connections or no longer answers.
    DependencyOutage,
    /// A service has no capacity left because its callers repeat what it does not answer in time.
    RetryStorm,
    /// The processes of one service run out of memory again and again.
    MemoryLeak,
    /// A batch job takes the processors of one node from the pods that are there.
    NoisyNeighbour,
}

pub(super) const KINDS: [Kind; 6] = [
    Kind::SlowDatabase,
    Kind::BadDeploy,
    Kind::DependencyOutage,
    Kind::RetryStorm,
    Kind::MemoryLeak,
    Kind::NoisyNeighbour,
];

/// Where it goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A store and the service that lives on it.
    Store(&'static str, usize),
    /// A host outside and the service that talks to it.
    Peer(&'static str, usize),
    Service(usize),
    Operation(OperationId),
    Node(usize),
}

/// One fault, `[start, end)` in seconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Fault {
    pub(super) kind: Kind,
    pub(super) place: Place,
    pub(super) start: u64,
    pub(super) end: u64,
    /// 0.85 to 1.15: how bad this one is compared with others of its kind.
    severity: f64,
    /// Which of the two ways of its kind: slow instead of failing, silent instead of refusing.
    quiet: bool,
}

const STORE_OWNERS: [(&str, &str); 6] = [
    ("order-db", "order"),
    ("inventory-db", "inventory"),
    ("catalog-mongo", "product-catalog"),
    ("search-index", "search"),
    ("ledger-db", "ledger"),
    ("cart-cache", "cart"),
];
const DEPLOYED: [(&str, &str); 8] = [
    ("checkout", "PlaceOrder"),
    ("pricing", "Quote"),
    ("search", "/search/v2/query"),
    ("inventory", "GetStock"),
    ("payment", "/payments"),
    ("product-catalog", "GetProduct"),
    ("web-storefront", "/product/{id}"),
    ("cart", "AddItem"),
];
const OUTSIDE: [(&str, &str); 1] = [("api.acquirer.example.net", "card-acquirer")];
const UNREACHABLE: [&str; 6] =
    ["tax", "fraud-detection", "pricing", "address-validation", "product-catalog", "inventory"];
const SATURATED: [&str; 5] = ["inventory", "pricing", "product-catalog", "fraud-detection", "search"];
const LEAKING: [&str; 7] = ["pricing", "inventory", "product-catalog", "search", "cart", "web-storefront", "order"];

impl Fault {
    /// The `number`-th fault of a shop.
    pub(super) fn new(world: &World, kind: Kind, number: u64, start: u64, seconds: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(world.seed.rotate_left(17) ^ number.wrapping_mul(0xd6e8_feb8_6659_fd93));
        let place = match kind {
            Kind::SlowDatabase => {
                let (store, owner) = pick(&mut rng, &STORE_OWNERS);
                Place::Store(store, service(owner))
            }
            Kind::BadDeploy => {
                let (name, operation) = pick(&mut rng, &DEPLOYED);
                let service = service(name);
                let operations = SERVICES[service].operations;
                let operation = operations.iter().position(|o| o.name == operation).unwrap_or_default();
                Place::Operation(OperationId { service, operation })
            }
            Kind::DependencyOutage if rng.random_bool(0.3) => {
                let (host, adapter) = pick(&mut rng, &OUTSIDE);
                Place::Peer(host, service(adapter))
            }
            Kind::DependencyOutage => Place::Service(service(pick(&mut rng, &UNREACHABLE))),
            Kind::RetryStorm => Place::Service(service(pick(&mut rng, &SATURATED))),
            Kind::MemoryLeak => Place::Service(service(pick(&mut rng, &LEAKING))),
            Kind::NoisyNeighbour => Place::Node(pick(&mut rng, &world.felt_nodes)),
        };
        let severity = rng.random_range(0.85..1.15);
        let quiet = rng.random_bool(0.5);
        Self { kind, place, start, end: start + seconds, severity, quiet }
    }

    /// The service at whose instances it happens; `None`: at the pods of a node.
    pub(super) fn service(&self) -> Option<usize> {
        match self.place {
            Place::Store(_, service) | Place::Peer(_, service) | Place::Service(service) => Some(service),
            Place::Operation(id) => Some(id.service),
            Place::Node(_) => None,
        }
    }

    /// It is slow or silent where others of its kind fail or refuse.
    pub(super) const fn quiet(&self) -> bool {
        self.quiet
    }

    /// It is an outage of processes that cannot start.
    const fn crashes(&self) -> bool {
        matches!((self.kind, self.place), (Kind::DependencyOutage, Place::Service(_))) && !self.quiet
    }

    pub(super) fn lasts(&self, second: u64) -> bool {
        (self.start..self.end).contains(&second)
    }

    /// What a right answer names, for tests only: `culprits` lists everything that one may rightly call it, the best
    /// name first; `indicator` is a kind of the cause report and a part of its name; `entries` are the operations with
    /// objectives that cannot do without what is broken.
    pub(super) fn truth(&self, world: &World) -> Value {
        let name = |service: usize| SERVICES[service].name.to_owned();
        let culprits = match self.place {
            Place::Store(store, owner) => {
                let described = STORES.iter().find(|s| s.name == store).expect("the tables above name stores");
                let whole = format!("{}/{store}", described.system);
                vec![store.to_owned(), whole, described.address.to_owned(), name(owner)]
            }
            Place::Peer(host, adapter) => vec![host.to_owned(), name(adapter)],
            Place::Service(service) => vec![name(service)],
            Place::Operation(id) => vec![name(id.service)],
            Place::Node(node) => {
                let on_it = world.instances.iter().filter(|i| i.node == node).map(|i| name(i.service));
                let mut names: Vec<String> = on_it.collect();
                names.sort_unstable();
                names.dedup();
                names.insert(0, world.nodes[node].name.clone());
                names
            }
        };
        let (indicator, part) = match self.kind {
            Kind::SlowDatabase => ("operation", String::new()),
            Kind::BadDeploy => ("change", "deploy".to_owned()),
            Kind::DependencyOutage => ("operation", String::new()),
            Kind::RetryStorm => ("latency", String::new()),
            Kind::MemoryLeak => ("metric", "memory".to_owned()),
            Kind::NoisyNeighbour => ("resource", culprits[0].clone()),
        };
        let journeys = estimate::journeys_through(world, self.place);
        let entries: Vec<Value> = journeys
            .into_iter()
            .map(|id| json!({"service": name(id.service), "operation": world.operation(id).name}))
            .collect();
        json!({
            "kind": self.kind.name(),
            "entries": entries,
            "culprits": culprits,
            "indicator": {"kind": indicator, "name": part},
            "start": self.start,
            "end": self.end,
        })
    }
}

impl Kind {
    /// As on the command line.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::SlowDatabase => "slow-database",
            Self::BadDeploy => "bad-deploy",
            Self::DependencyOutage => "dependency-outage",
            Self::RetryStorm => "retry-storm",
            Self::MemoryLeak => "memory-leak",
            Self::NoisyNeighbour => "noisy-neighbour",
        }
    }

    /// The kind of the `number`-th fault: all six in an order that the seed and the round decide.
    fn of(seed: u64, number: u64) -> Self {
        let round = number / KINDS.len() as u64;
        let order = |round: u64| {
            let mut kinds = KINDS;
            // Rotated so that the default seed begins with the fault that people know best: a bad deployment.
            let chance = seed.rotate_left(10) ^ round.wrapping_mul(0xa076_1d64_78bd_642f);
            kinds.shuffle(&mut StdRng::seed_from_u64(chance));
            kinds
        };
        let mut kinds = order(round);
        // Not the same kind twice in a row, where one round ends and the next begins.
        if round > 0 && order(round - 1)[KINDS.len() - 1] == kinds[0] {
            kinds.swap(0, 1);
        }
        kinds[(number % KINDS.len() as u64) as usize]
    }
}

/// Position of a service that this module names.
fn service(name: &str) -> usize {
    SERVICES.iter().position(|s| s.name == name).expect("the tables above name services of the catalogue")
}
