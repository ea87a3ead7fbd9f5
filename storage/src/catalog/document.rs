//! Small state of other rooms: JSON documents that change together, in one transaction.

/// A JSON document that another room keeps here. What is in it only that room knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// Its name, one of its kind.
    pub id: String,
    /// Orders documents of one kind, and tells retention how old it is. Chosen by its room.
    pub updated_unix_nano: i64,
    /// JSON.
    pub body: String,
}

/// One change of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DocumentChange {
    /// The document is this one now, whether or not there was one of its name.
    Put {
        /// What sort of document it is: `alert`, `incident`, …
        kind: &'static str,
        /// The document.
        document: Document,
    },
    /// Of one sort, those older than `before_unix_nano` and those beyond the newest `keep` are gone.
    Forget {
        /// What sort of document.
        kind: &'static str,
        /// Documents updated before this go.
        before_unix_nano: i64,
        /// How many stay at most.
        keep: usize,
    },
    /// There is no such document any more.
    Remove {
        /// What sort of document it was.
        kind: &'static str,
        /// Its name.
        id: String,
    },
}
