//! What follows from the catalogue without making a single trace: sizes of traces, and how much of the shop a node carries.

use std::collections::HashMap;

use super::{
    catalogue::Cloud,
    fault::Place,
    objectives::JOURNEYS,
    world::{Action, OperationId, World, all_operations},
};

/// Share of calls that stay in the caller's cloud.
pub(super) const NEAR: f64 = 0.9;
/// A node is felt when this share of the calls of some journey passes through its pods.
const FELT: f64 = 0.34;

/// Spans of an average trace, with those of the traces that its messages begin.
pub(super) fn spans_per_trace(world: &World) -> f64 {
    let mut known = HashMap::new();
    world.entries().map(|(id, share)| share * spans_of(world, id, &mut known)).sum()
}

fn spans_of(world: &World, id: OperationId, known: &mut HashMap<OperationId, f64>) -> f64 {
    if let Some(spans) = known.get(&id) {
        return *spans;
    }
    let spans = 1.0 + world.actions(id).iter().map(|action| spans_of_action(world, action, known)).sum::<f64>();
    known.insert(id, spans);
    spans
}

fn spans_of_action(world: &World, action: &Action, known: &mut HashMap<OperationId, f64>) -> f64 {
    match action {
        Action::Call { target, chance, .. } => chance * (1.0 + spans_of(world, *target, known)),
        Action::Together(actions) => actions.iter().map(|action| spans_of_action(world, action, known)).sum(),
        Action::Query { .. } | Action::Peer { .. } => 1.0,
        Action::Publish { consumers, .. } => 1.0 + consumers.iter().map(|id| spans_of(world, *id, known)).sum::<f64>(),
    }
}

/// Operations that have objectives.
fn journeys(world: &World) -> impl Iterator<Item = OperationId> {
    all_operations()
        .filter(|(id, operation)| JOURNEYS.contains(&(world.service(id.service).name, operation.name)))
        .map(|(id, _)| id)
}

/// Journeys that cannot be made without what is broken, or for a node: in which its pods have a considerable part.
pub(super) fn journeys_through(world: &World, place: Place) -> Vec<OperationId> {
    let through = |id: &OperationId| match place {
        Place::Node(node) => touched(world, node, *id) >= FELT,
        _ => leads_to(world, *id, place),
    };
    journeys(world).filter(through).collect()
}

fn leads_to(world: &World, id: OperationId, place: Place) -> bool {
    let here = match place {
        Place::Service(service) => id.service == service,
        Place::Operation(operation) => id == operation,
        Place::Store(..) | Place::Peer(..) | Place::Node(_) => false,
    };
    here || world.actions(id).iter().any(|action| action_leads_to(world, action, place))
}

fn action_leads_to(world: &World, action: &Action, place: Place) -> bool {
    match action {
        Action::Call { target, required, .. } => *required && leads_to(world, *target, place),
        Action::Together(actions) => actions.iter().any(|action| action_leads_to(world, action, place)),
        Action::Query { store, .. } => matches!(place, Place::Store(name, _) if name == store.name),
        Action::Peer { host, .. } => matches!(place, Place::Peer(name, _) if name == *host),
        Action::Publish { .. } => false,
    }
}

/// Nodes whose pods have a part in at least [`FELT`] of the calls of some journey; if there is none, the one with most.
pub(super) fn felt_nodes(world: &World) -> Vec<usize> {
    let share = |node: usize| journeys(world).map(|id| touched(world, node, id)).fold(0.0, f64::max);
    let shares: Vec<f64> = (0..world.nodes.len()).map(share).collect();
    let most = shares.iter().copied().fold(0.0, f64::max);
    (0..shares.len()).filter(|node| shares[*node] >= FELT.min(most)).collect()
}

/// Share of the calls of an operation that pass through a pod of the node.
fn touched(world: &World, node: usize, id: OperationId) -> f64 {
    1.0 - untouched(world, node, id, None, &mut HashMap::new())
}

type Known = HashMap<(OperationId, Option<Cloud>), f64>;

/// Chance that a call of `id` from a cloud passes through no pod of the node.
fn untouched(world: &World, node: usize, id: OperationId, from: Option<Cloud>, known: &mut Known) -> f64 {
    if let Some(chance) = known.get(&(id, from)) {
        return *chance;
    }
    let all = &world.instances_of[id.service];
    let near: Vec<usize> =
        all.iter().copied().filter(|i| from.is_none_or(|cloud| world.node_of(*i).cloud == cloud)).collect();
    let near = if near.is_empty() { all.clone() } else { near };
    let share = |instance: &usize| {
        let local = if near.contains(instance) { NEAR / near.len() as f64 } else { 0.0 };
        local + (1.0 - NEAR) / all.len() as f64
    };
    let mut chance = 0.0;
    for instance in all.iter().filter(|i| world.instances[**i].node != node) {
        let cloud = Some(world.node_of(*instance).cloud);
        let below: f64 =
            world.actions(id).iter().map(|action| untouched_action(world, node, action, cloud, known)).product();
        chance += share(instance) * below;
    }
    known.insert((id, from), chance);
    chance
}

fn untouched_action(world: &World, node: usize, action: &Action, from: Option<Cloud>, known: &mut Known) -> f64 {
    match action {
        Action::Call { target, chance, .. } => 1.0 - chance * (1.0 - untouched(world, node, *target, from, known)),
        Action::Together(actions) => {
            actions.iter().map(|action| untouched_action(world, node, action, from, known)).product()
        }
        Action::Query { .. } | Action::Peer { .. } | Action::Publish { .. } => 1.0,
    }
}
