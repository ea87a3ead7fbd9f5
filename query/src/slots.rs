//! Stable numbers of services, from which their colours follow.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use xxhash_rust::xxh3::xxh3_64;

/// Colours that can be told apart; slot numbers beyond repeat them in another style.
const COLOURS: u32 = 8;

/// Which service has which number. A number follows from the name, so it is the same after a restart, unless another
/// service was first to have it.
#[derive(Debug, Default)]
pub(crate) struct Slots(Mutex<HashMap<String, u32>>);

impl Slots {
    /// The service's number, from 0; its own from the first time on.
    pub(crate) fn slot(&self, service: &str) -> u32 {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(service) {
            return *slot;
        }
        let preferred = (xxh3_64(service.as_bytes()) % u64::from(COLOURS)) as u32;
        // The colour of its hash if no other service has it, else the next free one; then the next style.
        let taken: std::collections::HashSet<u32> = slots.values().copied().collect();
        let slot = (0..)
            .step_by(COLOURS as usize)
            .flat_map(|style| (0..COLOURS).map(move |i| style + (preferred + i) % COLOURS))
            .find(|slot| !taken.contains(slot))
            .unwrap_or(preferred);
        slots.insert(service.to_owned(), slot);
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_keeps_its_slot_and_nobody_shares_it() {
        let slots = Slots::default();
        let names: Vec<String> = (0..47).map(|i| format!("service-{i}")).collect();
        let first: Vec<u32> = names.iter().map(|name| slots.slot(name)).collect();
        let again: Vec<u32> = names.iter().map(|name| slots.slot(name)).collect();
        assert_eq!(first, again);
        let different: std::collections::HashSet<u32> = first.iter().copied().collect();
        assert_eq!(different.len(), 47);
        assert!(first.iter().all(|slot| *slot < 48));
    }
}
