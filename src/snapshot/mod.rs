//! The snapshot: every file of the site with its headers, hashed into one id.

#[cfg(feature = "cli")]
mod build;
mod index;
mod read;
#[cfg(feature = "cli")]
mod write;

#[cfg(feature = "cli")]
pub use build::{Built, Snapshot};
pub use index::{Encoding, Encodings, Form, Headers, Index, Row, is_hashed, is_page, may_be_kept};
pub use read::{Damage, Files, is_intact, read_by_index, read_files, read_index};
#[cfg(feature = "cli")]
pub use write::{Previous, Written, finish_swap, set_generation, write};

/// The name of the index.
pub const INDEX: &str = "snapshot.json";
/// The name of the redirect map.
pub const REDIRECTS: &str = "redirects.json";
/// The table that the edge makes its own indexes from.
pub const SITE: &str = "private/site.json";
/// The active releases.
pub const ACTIVE: &str = "private/active.json";
/// Every version ever published, with what may never change of it.
pub const LEDGER: &str = "private/ledger.json";
