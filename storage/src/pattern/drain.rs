//! Drain: patterns in a tree of fixed depth, by number of words and by their first two words.
//!
//! Source: He, Zhu, Zheng, Lyu: Drain, An Online Log Parsing Approach with Fixed Depth Tree, ICWS 2017. Masked texts come
//! in, not lines: a form of line is mined once. Short texts are never put together: in "connection refused" and
//! "connection reset" the one word that differs is what the line says. Why not a crate: `docs/decisions/008`.

use bytes::Bytes;
use hashbrown::HashMap;
use serde::{Deserialize, Serialize};

use super::{MASK, PatternMiner, pattern_id};
use crate::{
    error::{Error, Result},
    rollup::OTHER,
};

/// Texts of fewer words are patterns of their own.
const MIN_WORDS: usize = 5;
/// Share of a text's words that may differ from its pattern's.
const MAX_DIFFERENT: f64 = 0.4;
/// Words by which texts are told apart; the rest of a longer one is its last word. And patterns compared for one text: a
/// leaf of more has texts that are all alike at their beginning. Both keep what one text may cost bounded.
const MAX_WORDS: usize = 64;
const MAX_LEAF: usize = 64;

/// Patterns, and the tree that finds them.
#[derive(Debug)]
pub struct Drain {
    patterns: Vec<Pattern>,
    /// Places by number of words and the first two words.
    leaves: HashMap<(usize, [Box<str>; 2]), Vec<u32>>,
    max_patterns: usize,
}

#[derive(Debug, Serialize, Deserialize)]
struct Pattern {
    id: u64,
    words: Vec<Box<str>>,
}

impl Pattern {
    /// Words of `words` that are not the pattern's and not masked there; both have as many words.
    fn difference(&self, words: &[&str]) -> usize {
        self.words.iter().zip(words).filter(|(own, word)| own.as_ref() != **word && own.as_ref() != MASK).count()
    }

    /// Masks the words in which `words` differs.
    fn generalize(&mut self, words: &[&str]) {
        for (own, _) in self.words.iter_mut().zip(words).filter(|(own, word)| own.as_ref() != **word) {
            *own = MASK.into();
        }
    }
}

impl Drain {
    /// Without patterns, and never with more than `max_patterns`: texts that would need more share one.
    pub fn new(max_patterns: usize) -> Self {
        let mut drain = Self { patterns: Vec::new(), leaves: HashMap::new(), max_patterns };
        drain.clear();
        drain
    }

    /// Back to the one pattern of what is left out, at place 0.
    fn clear(&mut self) {
        self.leaves.clear();
        self.patterns.clear();
        self.patterns.push(Pattern { id: pattern_id(OTHER), words: vec![OTHER.into()] });
    }

    fn add(&mut self, pattern: Pattern) -> u32 {
        let words: Vec<&str> = pattern.words.iter().map(AsRef::as_ref).collect();
        let (leaf, place) = (leaf(&words), self.patterns.len() as u32);
        self.leaves.entry(leaf).or_default().push(place);
        self.patterns.push(pattern);
        place
    }

    /// The pattern of the leaf that differs least, if that is little enough; of equals the oldest.
    fn nearest(&self, words: &[&str]) -> Option<(u32, usize)> {
        let allowed = if words.len() < MIN_WORDS { 0 } else { (words.len() as f64 * MAX_DIFFERENT) as usize };
        let places = self.leaves.get(&leaf(words))?;
        places
            .iter()
            .take(MAX_LEAF)
            .map(|place| (*place, self.patterns[*place as usize].difference(words)))
            .min_by_key(|(_, difference)| *difference)
            .filter(|(_, difference)| *difference <= allowed)
    }
}

fn leaf(words: &[&str]) -> (usize, [Box<str>; 2]) {
    let step = |i: usize| match words.get(i) {
        Some(word) if word.contains(MASK) => MASK.into(),
        Some(word) => (*word).into(),
        None => Box::default(),
    };
    (words.len(), [step(0), step(1)])
}

impl PatternMiner for Drain {
    fn assign(&mut self, masked: &str) -> (u32, bool) {
        let words: Vec<&str> = masked.splitn(MAX_WORDS, ' ').collect();
        match self.nearest(&words) {
            Some((place, 0)) => (place, false),
            Some((place, _)) => {
                self.patterns[place as usize].generalize(&words);
                (place, true)
            }
            None if self.patterns.len() > self.max_patterns => {
                metrics::counter!("rootline_patterns_left_out_total").increment(1);
                (0, false)
            }
            None => {
                let words = words.into_iter().map(Into::into).collect();
                (self.add(Pattern { id: pattern_id(masked), words }), true)
            }
        }
    }

    fn id(&self, place: u32) -> u64 {
        self.patterns[place as usize].id
    }

    fn template(&self, place: u32) -> String {
        self.patterns[place as usize].words.join(" ")
    }

    fn save(&self) -> Result<Bytes> {
        let json = serde_json::to_vec(&self.patterns[1..]);
        Ok(json.map_err(|error| Error::internal("log patterns").with_source(error))?.into())
    }

    fn load(&mut self, state: &[u8]) -> Result<()> {
        let patterns: Vec<Pattern> =
            serde_json::from_slice(state).map_err(|error| Error::corrupt("log patterns").with_source(error))?;
        self.clear();
        for pattern in patterns {
            self.add(pattern);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn templates(texts: &[&str]) -> Vec<String> {
        let mut drain = Drain::new(100);
        let places: Vec<u32> = texts.iter().map(|text| drain.assign(text).0).collect();
        places.into_iter().map(|place| drain.template(place)).collect()
    }

    #[test]
    fn names_that_vary_become_marks() {
        let found = templates(&[
            "user alice logged in from office",
            "user bob logged in from office",
            "user carol logged out of office",
            "order <*> paid by card of alice",
        ]);
        // The first two words lead to the leaf: names at the very start keep texts apart.
        assert_eq!(found[0], "user alice logged in from office");
        let found = templates(&["session of user alice has ended now", "session of user bob has ended now"]);
        assert_eq!(found, ["session of user <*> has ended now"; 2]);
    }

    #[test]
    fn short_texts_are_what_they_say() {
        let found = templates(&[
            "connection refused",
            "connection reset",
            "payment of order declined",
            "payment of order failed",
        ]);
        assert_eq!(
            found,
            ["connection refused", "connection reset", "payment of order declined", "payment of order failed"]
        );
    }

    #[test]
    fn patterns_survive_a_restart_with_their_ids() {
        let mut drain = Drain::new(100);
        let (place, is_new) = drain.assign("session of user alice has ended now");
        assert!(is_new);
        let id = drain.id(place);
        assert!(drain.assign("session of user bob has ended now").1, "the template became more general");
        assert!(!drain.assign("session of user carol has ended now").1);
        let mut again = Drain::new(100);
        again.load(&drain.save().unwrap()).unwrap();
        let (place, is_new) = again.assign("session of user dave has ended now");
        assert!(!is_new);
        assert_eq!((again.id(place), again.template(place)), (id, "session of user <*> has ended now".to_owned()));
        assert!(again.load(b"nonsense").is_err());
    }

    #[test]
    fn there_are_never_more_patterns_than_allowed() {
        let mut drain = Drain::new(3);
        let texts: Vec<String> = ('a'..='z').map(|letter| format!("only {letter}")).collect();
        let places: std::collections::BTreeSet<u32> = texts.iter().map(|text| drain.assign(text).0).collect();
        assert_eq!(places.len(), 4);
        assert_eq!(drain.template(0), OTHER);
    }
}
