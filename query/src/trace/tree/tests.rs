use proptest::prelude::*;

use super::*;

const MS: i64 = 1_000_000;

fn node<'a>(span_id: &'a str, parent: Option<&'a str>, start_ms: i64, duration_ms: i64) -> Node<'a> {
    Node {
        span_id,
        parent_span_id: parent,
        start_unix_nano: start_ms * MS,
        duration_nano: duration_ms * MS,
        clock_domain: 0,
        kind: Kind::Other,
    }
}

fn ids<'a>(nodes: &[Node<'a>], tree: &Tree) -> Vec<&'a str> {
    tree.order.iter().map(|i| nodes[*i].span_id).collect()
}

#[test]
fn parents_come_first_and_siblings_by_start() {
    let nodes = [
        node("c", Some("a"), 20, 10),
        node("a", None, 0, 100),
        node("b", Some("a"), 10, 5),
        node("d", Some("b"), 11, 1),
    ];
    let tree = tree(&nodes);
    assert_eq!(ids(&nodes, &tree), ["a", "b", "d", "c"]);
    assert_eq!(tree.places.iter().map(|p| p.depth).collect::<Vec<_>>(), [1, 0, 1, 2]);
    assert_eq!(tree.duration_nano, 100 * MS);
    assert!(tree.notes.is_empty());
}

#[test]
fn self_time_is_what_no_child_covers() {
    // Children overlap, and one outlives its parent.
    let nodes = [
        node("a", None, 0, 100),
        node("b", Some("a"), 10, 30),
        node("c", Some("a"), 20, 30),
        node("d", Some("a"), 90, 50),
    ];
    let tree = tree(&nodes);
    assert_eq!(tree.places[0].self_nano, (100 - 40 - 10) * MS);
    assert_eq!(tree.places[3].self_nano, 50 * MS);
    assert_eq!(tree.duration_nano, 140 * MS);
}

#[test]
fn the_critical_path_follows_what_finished_last() {
    let nodes = [
        node("root", None, 0, 100),
        node("fast", Some("root"), 0, 30),
        node("slow", Some("root"), 0, 60),
        node("inner", Some("slow"), 10, 40),
        node("last", Some("root"), 60, 35),
    ];
    let tree = tree(&nodes);
    let critical: Vec<_> = nodes.iter().zip(&tree.places).filter(|(_, p)| p.critical).map(|(n, _)| n.span_id).collect();
    assert_eq!(critical, ["root", "slow", "inner", "last"]);
}

#[test]
fn a_child_on_another_clock_is_moved_inside_its_caller() {
    let mut nodes = [
        node("client", None, 1000, 100),
        node("server", Some("client"), 400, 60),
        node("work", Some("server"), 410, 20),
        node("back", Some("work"), 1050, 5),
    ];
    nodes[0].kind = Kind::Client;
    nodes[1].kind = Kind::Server;
    for i in [1, 2] {
        nodes[i].clock_domain = 7;
    }
    let tree = tree(&nodes);
    let offsets: Vec<_> = tree.places.iter().map(|p| p.start_offset_nano / MS).collect();
    // 100 ms around 60 ms: 20 ms of network on each side; its own child moves along; the caller's host stays.
    assert_eq!(offsets, [0, 20, 30, 50]);
    assert_eq!(tree.places[1].clock_shift_nano, 620 * MS);
    assert_eq!(tree.duration_nano, 100 * MS);
    assert!(tree.notes[0].contains("2 spans were moved"), "{:?}", tree.notes);
}

#[test]
fn handed_over_work_may_outlive_its_producer() {
    let mut nodes = [node("producer", None, 0, 10), node("consumer", Some("producer"), 500, 100)];
    nodes[1].clock_domain = 1;
    let tree = tree(&nodes);
    assert_eq!(tree.places[1].clock_shift_nano, 0);
    assert_eq!(tree.gaps, [Gap { start_offset_nano: 10 * MS, duration_nano: 490 * MS }]);
}

#[test]
fn cycles_are_cut_and_said() {
    let nodes = [
        node("self", Some("self"), 5, 1),
        node("a", Some("c"), 10, 1),
        node("b", Some("a"), 20, 1),
        node("c", Some("b"), 30, 1),
        node("d", Some("b"), 40, 1),
    ];
    let tree = tree(&nodes);
    assert_eq!(ids(&nodes, &tree), ["self", "a", "b", "c", "d"]);
    assert_eq!(tree.notes, ["cycle cut at span self", "cycle cut at span a"]);
    assert!(tree.places[1].cycle_cut && tree.places[1].parent.is_none());
}

#[test]
fn orphans_and_repeated_ids_are_kept_and_said() {
    let nodes = [node("a", Some("gone"), 0, 1), node("b", Some("a"), 0, 1), node("a", None, 3, 1)];
    let tree = tree(&nodes);
    assert_eq!(tree.order, [0, 1, 2]);
    assert!(tree.places[0].orphan);
    assert_eq!(tree.notes.len(), 2);
}

#[test]
fn a_chain_of_a_hundred_thousand_spans_is_no_problem() {
    let ids: Vec<String> = (0..100_000).map(|i| format!("{i:016x}")).collect();
    let nodes: Vec<Node<'_>> = (0..ids.len())
        .map(|i| node(&ids[i], (i > 0).then(|| ids[i - 1].as_str()), i as i64, 200_000 - 2 * i as i64))
        .collect();
    let tree = tree(&nodes);
    assert_eq!(tree.places[99_999].depth, 99_999);
    assert!(tree.places[99_999].critical);
}

#[test]
fn no_spans_make_an_empty_tree() {
    assert_eq!(tree(&[]).order, Vec::<usize>::new());
}

proptest! {
    /// Whatever the links and times: every span appears once, after its parent, and times stay within bounds.
    #[test]
    fn every_span_appears_once(
        spans in proptest::collection::vec((0usize..12, proptest::option::of(0usize..14), 0i64..1000, 0i64..500, 0u64..3, 0u8..3), 0..40)
    ) {
        let ids: Vec<String> = (0..14).map(|i| format!("{i:016x}")).collect();
        let nodes: Vec<Node<'_>> = spans
            .iter()
            .map(|(id, parent, start, duration, domain, kind)| Node {
                span_id: &ids[*id],
                parent_span_id: parent.map(|p| ids[p].as_str()),
                start_unix_nano: *start,
                duration_nano: *duration,
                clock_domain: *domain,
                kind: [Kind::Client, Kind::Server, Kind::Other][usize::from(*kind)],
            })
            .collect();
        let tree = tree(&nodes);
        let mut position = vec![usize::MAX; nodes.len()];
        for (at, i) in tree.order.iter().enumerate() {
            position[*i] = at;
        }
        prop_assert!(position.iter().all(|at| *at != usize::MAX));
        prop_assert_eq!(tree.order.len(), nodes.len());
        for (i, place) in tree.places.iter().enumerate() {
            if let Some(parent) = place.parent {
                prop_assert!(position[parent] < position[i]);
                prop_assert_eq!(tree.places[parent].depth + 1, place.depth);
            }
            prop_assert!(0 <= place.self_nano && place.self_nano <= nodes[i].duration_nano);
            prop_assert!(0 <= place.start_offset_nano);
            prop_assert!(place.start_offset_nano + nodes[i].duration_nano <= tree.duration_nano);
        }
    }
}
