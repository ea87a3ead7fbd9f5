//! What a text search asks for, and whether a text answers it.

use super::words::{visit_words, words};

/// A search over one text. Words are compared case folded; see [`words`](super::words()).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum TextQuery {
    /// Every text.
    All,
    /// Texts with this word.
    Word(String),
    /// Texts with a word that begins so.
    Prefix(String),
    /// Texts with these words one after another.
    Phrase(Vec<String>),
    /// Texts that answer every part. No parts: every text.
    And(Vec<Self>),
    /// Texts that answer at least one part. No parts: no text.
    Or(Vec<Self>),
    /// Texts that do not answer the part.
    Not(Box<Self>),
}

impl TextQuery {
    /// What a person means by this text: its words in order. No word at all: every text.
    pub fn text(text: &str) -> Self {
        let mut found: Vec<String> = words(text).map(Into::into).collect();
        match found.len() {
            0 => Self::All,
            1 => Self::Word(found.swap_remove(0)),
            _ => Self::Phrase(found),
        }
    }

    /// What a person means by this text followed by `*`. With more than one word, the last is the prefix.
    pub fn prefix(text: &str) -> Self {
        let mut found: Vec<String> = words(text).map(Into::into).collect();
        // "foo-" ends a word: there is nothing left to be a prefix of.
        let open = text.chars().last().is_some_and(|last| last.is_alphanumeric() || last == '_');
        match found.pop() {
            Some(last) if open => {
                let prefix = Self::Prefix(last);
                if found.is_empty() { prefix } else { Self::And(vec![Self::text(&found.join(" ")), prefix]) }
            }
            _ => Self::text(text),
        }
    }

    /// Whether `text` answers this search. Use a [`Matcher`] for many texts.
    pub fn matches(&self, text: &str) -> bool {
        self.matcher().matches(text)
    }

    /// This search made ready for many texts.
    pub fn matcher(&self) -> Matcher {
        let mut matcher = Matcher {
            tree: Tree::Constant(true),
            terms: Vec::new(),
            prefixes: Vec::new(),
            lengths: Vec::new(),
            states: Vec::new(),
            buffer: String::new(),
        };
        matcher.tree = matcher.add(self);
        matcher.terms.sort();
        matcher
    }
}

/// A [`TextQuery`] made ready for many texts. Each text is split into words once, whatever the query's size.
#[derive(Clone, Debug)]
pub struct Matcher {
    tree: Tree,
    /// Words to look for, sorted: word, leaf, position of the word in that leaf's phrase.
    terms: Vec<(String, usize, usize)>,
    /// Prefixes to look for: prefix, leaf.
    prefixes: Vec<(String, usize)>,
    /// Words in each leaf's phrase.
    lengths: Vec<usize>,
    states: Vec<State>,
    buffer: String,
}

#[derive(Clone, Debug)]
enum Tree {
    Constant(bool),
    Leaf(usize),
    And(Vec<Self>),
    Or(Vec<Self>),
    Not(Box<Self>),
}

/// Progress of one leaf through one text.
#[derive(Clone, Debug, Default)]
struct State {
    found: bool,
    /// Lengths of the phrase beginnings that end in the word before the present one, and in the present one.
    open: Vec<usize>,
    next: Vec<usize>,
}

impl Matcher {
    /// Whether `text` answers the search.
    pub fn matches(&mut self, text: &str) -> bool {
        for state in &mut self.states {
            state.found = false;
            state.open.clear();
        }
        let Self { terms, prefixes, lengths, states, buffer, .. } = self;
        visit_words(text, buffer, |word, _| {
            let from = terms.partition_point(|(term, ..)| term.as_str() < word);
            for (_, leaf, position) in terms[from..].iter().take_while(|(term, ..)| term == word) {
                let state = &mut states[*leaf];
                if *position == 0 || state.open.contains(position) {
                    state.found |= position + 1 == lengths[*leaf];
                    state.next.push(position + 1);
                }
            }
            for (prefix, leaf) in prefixes.iter() {
                states[*leaf].found |= word.starts_with(prefix.as_str());
            }
            for (state, length) in states.iter_mut().zip(lengths.iter()) {
                if *length > 1 {
                    std::mem::swap(&mut state.open, &mut state.next);
                }
                state.next.clear();
            }
        });
        evaluate(&self.tree, &self.states)
    }

    fn add(&mut self, query: &TextQuery) -> Tree {
        match query {
            TextQuery::All => Tree::Constant(true),
            TextQuery::Word(word) => self.add_phrase(words(word).map(Into::into).collect()),
            TextQuery::Phrase(phrase) => {
                self.add_phrase(phrase.iter().flat_map(|part| words(part)).map(Into::into).collect())
            }
            TextQuery::Prefix(prefix) => {
                let mut folded: Vec<String> = words(prefix).map(Into::into).collect();
                match (folded.pop(), folded.is_empty()) {
                    (None, _) => Tree::Constant(true),
                    (Some(prefix), true) => {
                        let leaf = self.add_leaf(1);
                        self.prefixes.push((prefix, leaf));
                        Tree::Leaf(leaf)
                    }
                    (Some(_), false) => self.add(&TextQuery::prefix(prefix)),
                }
            }
            TextQuery::And(parts) => Tree::And(parts.iter().map(|part| self.add(part)).collect()),
            TextQuery::Or(parts) => Tree::Or(parts.iter().map(|part| self.add(part)).collect()),
            TextQuery::Not(part) => Tree::Not(Box::new(self.add(part))),
        }
    }

    fn add_phrase(&mut self, phrase: Vec<String>) -> Tree {
        if phrase.is_empty() {
            return Tree::Constant(true);
        }
        let leaf = self.add_leaf(phrase.len());
        self.terms.extend(phrase.into_iter().enumerate().map(|(position, word)| (word, leaf, position)));
        Tree::Leaf(leaf)
    }

    fn add_leaf(&mut self, length: usize) -> usize {
        self.lengths.push(length);
        self.states.push(State::default());
        self.states.len() - 1
    }
}

fn evaluate(tree: &Tree, states: &[State]) -> bool {
    match tree {
        Tree::Constant(value) => *value,
        Tree::Leaf(leaf) => states[*leaf].found,
        Tree::And(parts) => parts.iter().all(|part| evaluate(part, states)),
        Tree::Or(parts) => parts.iter().any(|part| evaluate(part, states)),
        Tree::Not(part) => !evaluate(part, states),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(word: &str) -> TextQuery {
        TextQuery::Word(word.to_owned())
    }

    #[test]
    fn words_are_found_whole_and_in_any_case() {
        assert!(word("timeout").matches("Connection TIMEOUT after 30s"));
        assert!(!word("time").matches("Connection TIMEOUT after 30s"));
        assert!(word("TimeOut").matches("timeout"));
        assert!(TextQuery::Prefix("time".to_owned()).matches("Connection TIMEOUT"));
    }

    #[test]
    fn phrases_are_consecutive_words() {
        assert!(TextQuery::text("payment failed").matches("the payment: failed again"));
        assert!(!TextQuery::text("payment failed").matches("payment has failed"));
        assert!(TextQuery::text("a a b").matches("a a a b"));
        assert!(TextQuery::text("支付失败").matches("订单支付失败"));
        assert!(!TextQuery::text("支付失败").matches("支付没有失败"));
    }

    #[test]
    fn parts_combine() {
        let both = TextQuery::And(vec![word("a"), TextQuery::Not(Box::new(word("b")))]);
        assert!(both.matches("a c") && !both.matches("a b") && !both.matches("c"));
        assert!(TextQuery::And(vec![]).matches("") && !TextQuery::Or(vec![]).matches("x"));
        assert!(TextQuery::All.matches("") && TextQuery::text("- -").matches("anything"));
    }

    #[test]
    fn a_star_after_several_words_belongs_to_the_last() {
        assert!(TextQuery::prefix("http err").matches("HTTP errors"));
        assert_eq!(TextQuery::prefix("err-"), word("err"));
    }
}
