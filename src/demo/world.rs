//! The shop at rest: clouds, nodes with their wrong clocks, instances with their resources, operations found by name.

use std::collections::HashMap;

use opentelemetry_proto::tonic::{
    common::v1::{InstrumentationScope, KeyValue},
    resource::v1::Resource,
};
use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{
    catalogue::{Cloud, Language, Operation, SERVICES, STORES, Service, Step, Store, Trigger},
    estimate,
    values::{int, pick, string, text, texts, uuid},
};

const NODES_PER_CLOUD: usize = 8;
const CLOUDS: [Cloud; 3] = [Cloud::Aws, Cloud::Gcp, Cloud::Azure];

/// A machine; everything that runs on it reads its clock.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) cloud: Cloud,
    pub(super) zone: String,
    pub(super) address: String,
    /// What its clock shows minus the truth. Most are a few milliseconds off, some up to two seconds.
    pub(super) skew_nano: i64,
}

/// A place of a service on a node: one pod at a time, replaced by each rollout.
#[derive(Debug)]
pub(super) struct Instance {
    pub(super) service: usize,
    /// Position among the instances of its service.
    pub(super) replica: usize,
    pub(super) node: usize,
    /// Resource of its first pod.
    resource: Resource,
}

/// One pod of an instance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Pod {
    pub(super) instance: usize,
    /// How often the pods of the service have been replaced.
    pub(super) generation: u32,
    /// How many releases the service is ahead of the version in the catalogue.
    pub(super) release: u32,
}

/// Who sends an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    Pod(Pod),
    /// The agent that looks after a node.
    Node(usize),
    /// A batch job on a node, seen by that agent.
    Neighbour(usize),
}

impl From<Pod> for Source {
    fn from(pod: Pod) -> Self {
        Self::Pod(pod)
    }
}

/// An operation of a service, by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct OperationId {
    pub(super) service: usize,
    pub(super) operation: usize,
}

/// A [`Step`] with names resolved.
#[derive(Debug)]
pub(super) enum Action {
    Call { target: OperationId, chance: f64, required: bool },
    Together(Vec<Self>),
    Query { store: &'static Store, verb: &'static str, table: &'static str, median_ms: f64 },
    Peer { host: &'static str, method: &'static str, path: &'static str, median_ms: f64 },
    Publish { topic: &'static str, consumers: Vec<OperationId> },
}

/// The shop. Depends on its seed only.
#[derive(Debug)]
pub(super) struct World {
    pub(super) seed: u64,
    pub(super) nodes: Vec<Node>,
    pub(super) instances: Vec<Instance>,
    /// Instances of each service.
    pub(super) instances_of: Vec<Vec<usize>>,
    scopes: Vec<InstrumentationScope>,
    /// Actions of each operation of each service.
    actions: Vec<Vec<Vec<Action>>>,
    /// Operations that traces begin with, each with the sum of weights up to and including its own.
    entries: Vec<(f64, OperationId)>,
    /// Spans of an average trace, with those that its messages lead to.
    pub(super) spans_per_trace: f64,
    /// Nodes whose pods have a part in at least a third of the calls of some user-facing operation.
    pub(super) felt_nodes: Vec<usize>,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let nodes = nodes(&mut rng);
        let mut instances = Vec::new();
        let mut instances_of = Vec::new();
        for (service, described) in SERVICES.iter().enumerate() {
            let first = instances.len();
            for replica in 0..described.replicas {
                // Every third replica stands in another cloud.
                let home = CLOUDS.iter().position(|c| *c == described.home).unwrap_or(0);
                let cloud = CLOUDS[(home + usize::from(replica % 3 == 2)) % CLOUDS.len()];
                let near: Vec<usize> = (0..nodes.len()).filter(|n| nodes[*n].cloud == cloud).collect();
                let node = pick(&mut rng, &near);
                let resource = resource(described, &nodes[node], &mut rng);
                instances.push(Instance { service, replica, node, resource });
            }
            instances_of.push((first..instances.len()).collect());
        }
        let index = Index::new();
        let actions = SERVICES
            .iter()
            .map(|s| s.operations.iter().map(|o| o.steps.iter().map(|step| index.action(step)).collect()).collect())
            .collect();
        let mut sum = 0.0;
        let entries = all_operations()
            .filter(|(_, o)| o.weight > 0.0)
            .map(|(id, o)| {
                sum += o.weight;
                (sum, id)
            })
            .collect();
        let scopes = SERVICES.iter().map(|s| scope(s.language)).collect();
        let mut world = Self {
            seed,
            nodes,
            instances,
            instances_of,
            scopes,
            actions,
            entries,
            spans_per_trace: 0.0,
            felt_nodes: Vec::new(),
        };
        world.spans_per_trace = estimate::spans_per_trace(&world);
        world.felt_nodes = estimate::felt_nodes(&world);
        world
    }

    pub(super) fn service(&self, service: usize) -> &'static Service {
        &SERVICES[service]
    }

    pub(super) fn operation(&self, id: OperationId) -> &'static Operation {
        &SERVICES[id.service].operations[id.operation]
    }

    pub(super) fn actions(&self, id: OperationId) -> &[Action] {
        &self.actions[id.service][id.operation]
    }

    pub(super) fn node_of(&self, instance: usize) -> &Node {
        &self.nodes[self.instances[instance].node]
    }

    /// What the clock of the instance's node shows at `unix_nano`.
    pub(super) fn shown(&self, instance: usize, unix_nano: u64) -> u64 {
        unix_nano.saturating_add_signed(self.node_of(instance).skew_nano)
    }

    /// The resource of whoever sends.
    pub(super) fn resource(&self, source: Source) -> Resource {
        match source {
            Source::Pod(pod) if pod.generation == 0 => self.instances[pod.instance].resource.clone(),
            Source::Pod(pod) => self.later_pod(pod),
            Source::Node(node) => Resource { attributes: self.nodes[node].attributes(), ..Default::default() },
            Source::Neighbour(node) => {
                let mut attributes = self.nodes[node].attributes();
                attributes.push(text("k8s.namespace.name", "batch"));
                attributes.push(text("k8s.job.name", "feature-backfill"));
                attributes.push(text("k8s.pod.name", format!("feature-backfill-{:05x}", self.seed & 0xf_ffff)));
                Resource { attributes, ..Default::default() }
            }
        }
    }

    /// The instrumentation scope of whoever sends.
    pub(super) fn scope(&self, source: Source) -> InstrumentationScope {
        match source {
            Source::Pod(pod) => self.scopes[self.instances[pod.instance].service].clone(),
            Source::Node(_) | Source::Neighbour(_) => InstrumentationScope {
                name: "github.com/open-telemetry/opentelemetry-collector-contrib/receiver/hostmetricsreceiver"
                    .to_owned(),
                version: "0.140.0".to_owned(),
                ..Default::default()
            },
        }
    }

    /// As the first pod's, with the names and the version that a rollout changes.
    fn later_pod(&self, pod: Pod) -> Resource {
        let Instance { service, resource, .. } = &self.instances[pod.instance];
        let rollout = self.seed ^ ((*service as u64) << 32 | u64::from(pod.generation));
        let replica_set: u32 = StdRng::seed_from_u64(rollout).random();
        let mut rng = StdRng::seed_from_u64(rollout ^ (pod.instance as u64) << 48);
        let mut resource = resource.clone();
        for attribute in &mut resource.attributes {
            let value = match attribute.key.as_str() {
                "service.version" => version(self.service(*service), pod.release),
                "service.instance.id" | "k8s.pod.uid" => uuid(&mut rng),
                "k8s.pod.name" => {
                    format!("{}-{replica_set:08x}-{:05x}", self.service(*service).name, rng.random::<u32>() & 0xf_ffff)
                }
                _ => continue,
            };
            attribute.value = Some(string(value));
        }
        resource
    }

    /// The operations that traces begin with, and the share of traces that begin with each.
    pub(super) fn entries(&self) -> impl Iterator<Item = (OperationId, f64)> {
        let sum = self.entries.last().map_or(1.0, |(sum, _)| *sum);
        self.entries.iter().map(move |(_, id)| (*id, self.operation(*id).weight / sum))
    }

    /// An operation that users, partners or timers begin with.
    pub(super) fn entry(&self, rng: &mut StdRng) -> OperationId {
        let sum = self.entries.last().map_or(0.0, |(sum, _)| *sum);
        let drawn = rng.random::<f64>() * sum;
        self.entries[self.entries.partition_point(|(sum, _)| *sum <= drawn).min(self.entries.len() - 1)].1
    }

    /// Traffic of this second relative to the average: a slow wave and a faster one.
    pub(super) fn traffic(unix_second: u64) -> f64 {
        let angle = |period: f64| std::f64::consts::TAU * (unix_second as f64 % period) / period;
        1.0 + 0.2 * angle(5400.0).sin() + 0.08 * angle(420.0).sin()
    }
}

/// Every operation of every service.
pub(super) fn all_operations() -> impl Iterator<Item = (OperationId, &'static Operation)> {
    SERVICES.iter().enumerate().flat_map(|(service, s)| {
        s.operations.iter().enumerate().map(move |(operation, o)| (OperationId { service, operation }, o))
    })
}

struct Index {
    operations: HashMap<(&'static str, &'static str), OperationId>,
    stores: HashMap<&'static str, &'static Store>,
}

impl Index {
    fn new() -> Self {
        Self {
            operations: all_operations().map(|(id, o)| ((SERVICES[id.service].name, o.name), id)).collect(),
            stores: STORES.iter().map(|s| (s.name, s)).collect(),
        }
    }

    fn action(&self, step: &'static Step) -> Action {
        match *step {
            Step::Call { service, operation, chance } => {
                Action::Call { target: self.operations[&(service, operation)], chance, required: true }
            }
            Step::Try { service, operation, chance } => {
                Action::Call { target: self.operations[&(service, operation)], chance, required: false }
            }
            Step::Together(steps) => Action::Together(steps.iter().map(|s| self.action(s)).collect()),
            Step::Peer { host, method, path, median_ms } => Action::Peer { host, method, path, median_ms },
            Step::Query { store, verb, table, median_ms } => {
                Action::Query { store: self.stores[store], verb, table, median_ms }
            }
            Step::Publish(topic) => Action::Publish {
                topic,
                consumers: all_operations()
                    .filter(|(_, o)| o.trigger == Trigger::Message && o.name == topic)
                    .map(|(id, _)| id)
                    .collect(),
            },
        }
    }
}

/// The version of a service that is so many releases ahead of the catalogue's.
pub(super) fn version(service: &Service, release: u32) -> String {
    let (line, last) = service.version.rsplit_once('.').unwrap_or(("0", service.version));
    format!("{line}.{}", last.parse::<u32>().unwrap_or_default() + release)
}

impl Node {
    /// What the agent of a node says about it: there is no `service.name`.
    fn attributes(&self) -> Vec<KeyValue> {
        let (provider, platform, region, _) = self.cloud.facts();
        vec![
            text("host.name", self.name.as_str()),
            text("k8s.node.name", self.name.as_str()),
            text("k8s.cluster.name", format!("shop-{provider}")),
            text("cloud.provider", provider),
            text("cloud.platform", platform),
            text("cloud.region", region),
            text("cloud.availability_zone", self.zone.as_str()),
            text("os.type", "linux"),
        ]
    }
}

impl Cloud {
    /// `cloud.provider`, `cloud.platform`, `cloud.region` and the letters of its zones.
    const fn facts(self) -> (&'static str, &'static str, &'static str, [&'static str; 3]) {
        match self {
            Self::Aws => ("aws", "aws_eks", "eu-west-1", ["eu-west-1a", "eu-west-1b", "eu-west-1c"]),
            Self::Gcp => {
                ("gcp", "gcp_kubernetes_engine", "us-central1", ["us-central1-a", "us-central1-b", "us-central1-f"])
            }
            Self::Azure => ("azure", "azure.aks", "germanywestcentral", ["1", "2", "3"]),
        }
    }
}

fn nodes(rng: &mut StdRng) -> Vec<Node> {
    let mut nodes = Vec::new();
    for (c, cloud) in CLOUDS.into_iter().enumerate() {
        let zones = cloud.facts().3;
        for n in 0..NODES_PER_CLOUD {
            let address = format!("10.{}.{}.{}", 10 + c, n % zones.len(), 20 + n);
            let name = match cloud {
                Cloud::Aws => format!("ip-{}.eu-west-1.compute.internal", address.replace('.', "-")),
                Cloud::Gcp => format!("gke-shop-pool-{:08x}-{n:04}", rng.random::<u32>()),
                Cloud::Azure => format!("aks-shop-{:08}-vmss{n:06}", rng.random_range(10_000_000..99_999_999)),
            };
            let skew_nano = if n % 4 == 3 {
                rng.random_range(-2_000_000_000..=2_000_000_000)
            } else {
                rng.random_range(-4_000_000..=4_000_000)
            };
            nodes.push(Node { name, cloud, zone: zones[n % zones.len()].to_owned(), address, skew_nano });
        }
    }
    nodes
}

fn resource(service: &Service, node: &Node, rng: &mut StdRng) -> Resource {
    let (provider, platform, region, _) = node.cloud.facts();
    let pod = format!("{}-{:08x}-{:05x}", service.name, rng.random::<u32>(), rng.random::<u32>() & 0xf_ffff);
    let mut attributes = vec![
        text("service.name", service.name),
        text("service.namespace", "shop"),
        text("service.version", service.version),
        text("service.instance.id", uuid(rng)),
        text("deployment.environment.name", "production"),
        text("cloud.provider", provider),
        text("cloud.platform", platform),
        text("cloud.region", region),
        text("cloud.availability_zone", node.zone.as_str()),
        text("k8s.cluster.name", format!("shop-{provider}")),
        text("k8s.namespace.name", "shop"),
        text("k8s.deployment.name", service.name),
        text("k8s.pod.name", pod),
        text("k8s.pod.uid", uuid(rng)),
        text("k8s.node.name", node.name.as_str()),
        text("host.name", node.name.as_str()),
        texts("host.ip", &[&node.address]),
        text("os.type", "linux"),
        text("container.image.name", format!("registry.shop.example.com/{}", service.name)),
        int("process.pid", 1),
        text("telemetry.sdk.name", "opentelemetry"),
    ];
    attributes.extend(sdk(service.language));
    Resource { attributes, ..Default::default() }
}

fn sdk(language: Language) -> Vec<KeyValue> {
    let (name, version, runtime) = match language {
        Language::Cpp => ("cpp", "1.23.0", None),
        Language::Dotnet => ("dotnet", "1.14.0", Some((".NET", "10.0.0"))),
        Language::Go => ("go", "1.39.0", Some(("go", "go1.25.4"))),
        Language::Java => ("java", "1.56.0", Some(("OpenJDK Runtime Environment", "25.0.1+8"))),
        Language::Nodejs => ("nodejs", "2.2.0", Some(("nodejs", "24.11.1"))),
        Language::Php => ("php", "1.9.0", Some(("fpm-fcgi", "8.5.0"))),
        Language::Python => ("python", "1.39.0", Some(("cpython", "3.14.0"))),
        Language::Ruby => ("ruby", "1.10.0", Some(("ruby", "3.4.7"))),
        Language::Rust => ("rust", "0.31.0", None),
    };
    let mut attributes = vec![text("telemetry.sdk.language", name), text("telemetry.sdk.version", version)];
    if let Some((runtime, version)) = runtime {
        attributes.push(text("process.runtime.name", runtime));
        attributes.push(text("process.runtime.version", version));
    }
    attributes
}

fn scope(language: Language) -> InstrumentationScope {
    let (name, version) = match language {
        Language::Cpp => ("shop.instrumentation", "1.0.0"),
        Language::Dotnet => ("OpenTelemetry.Instrumentation.AspNetCore", "1.14.0"),
        Language::Go => ("go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp", "0.64.0"),
        Language::Java => ("io.opentelemetry.tomcat-10.0", "2.22.0-alpha"),
        Language::Nodejs => ("@opentelemetry/instrumentation-http", "0.208.0"),
        Language::Php => ("io.opentelemetry.contrib.php.slim", "1.2.0"),
        Language::Python => ("opentelemetry.instrumentation.asgi", "0.60b0"),
        Language::Ruby => ("OpenTelemetry::Instrumentation::Rack", "0.27.0"),
        Language::Rust => ("tracing-opentelemetry", "0.32.0"),
    };
    InstrumentationScope { name: name.to_owned(), version: version.to_owned(), ..Default::default() }
}
