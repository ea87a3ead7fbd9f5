//! One trace: its spans as a tree.
mod tree;
pub use self::tree::Gap;
