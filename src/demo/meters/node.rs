//! What the agent of each node measures.

use opentelemetry_proto::tonic::metrics::v1::{Metric, metric::Data, number_data_point::Value};
use rand::{SeedableRng, rngs::StdRng};

use super::point::{gauge, metric};
use crate::demo::{
    conditions::Conditions,
    fault::node_vitals,
    values::text,
    world::{Source, World},
};

/// Gauges of every node, and of a batch job where one runs.
pub(super) fn read(world: &World, conditions: &Conditions, now_unix_nano: u64, out: &mut Vec<(Source, Metric)>) {
    for (node, described) in world.nodes.iter().enumerate() {
        let mut rng = StdRng::seed_from_u64(world.seed.rotate_left(8) ^ now_unix_nano ^ node as u64);
        let vitals = node_vitals(conditions.fault.as_ref(), node, &mut rng);
        let now = now_unix_nano.saturating_add_signed(described.skew_nano);
        let mut add = |name: &str, unit: &str, data: Data| out.push((Source::Node(node), metric(name, unit, data)));
        let idle = 1.0 - vitals.user - vitals.system - vitals.wait - vitals.steal;
        let modes = [
            ("user", vitals.user),
            ("system", vitals.system),
            ("iowait", vitals.wait),
            ("steal", vitals.steal),
            ("idle", idle),
        ];
        for (mode, share) in modes {
            let data = gauge(vec![text("cpu.mode", mode)], now, Value::AsDouble(share));
            add("system.cpu.utilization", "1", data);
        }
        add("system.cpu.load_average.1m", "{thread}", gauge(vec![], now, Value::AsDouble(vitals.load)));
        let used = vec![text("system.memory.state", "used")];
        add("system.memory.utilization", "1", gauge(used, now, Value::AsDouble(vitals.memory)));
        let disk = vec![text("system.filesystem.state", "used"), text("system.filesystem.mountpoint", "/")];
        add("system.filesystem.utilization", "1", gauge(disk, now, Value::AsDouble(vitals.disk)));
        if let Some(processors) = vitals.neighbour {
            let data = gauge(vec![], now, Value::AsDouble(processors));
            out.push((Source::Neighbour(node), metric("container.cpu.usage", "{cpu}", data)));
        }
    }
}
