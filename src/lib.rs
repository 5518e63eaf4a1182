//! Agent releases: every answer about every release, compiled before anyone asks.
//!
//! ```text
//! releases/*.yaml ┐
//!                 ├ load ─▶ Sources ─ check ─▶ Catalog ─ views ─▶ Snapshot ─ write ─▶ dist/
//! artifacts       ┘  I/O              pure              pure                 I/O        │
//!                                     request ─▶ answer(Site, request) ─▶ Answer ◀── read once, verified
//!                                                 pure
//! ```
//!
//! Data flows one way. Few places touch the world: [`source`] reads and edits manifests, `artifacts` hashes and stores
//! bytes, [`snapshot`] reads and writes sites, [`edge`] listens, `compile` brings them together. The rest are functions of
//! their arguments: they read no clock, no environment and no file, and the same sources make the same bytes on any machine.
//!
//! In reading order: [`words`] (values that are valid by existing), [`source`] (the files as written), [`catalog`] (the
//! rules), [`redirects`] (every download address, planned once), [`views`] (every published document), [`snapshot`]
//! (bytes, headers, one id), [`ledger`] (what may never change), [`answer`] (all behaviour of the service), [`edge`]
//! (sockets), `compile`, `plan` and `publish` (what the commands share), `exports` (other engines). Beside them: [`lists`] and [`policy`], which compiler and edge
//! share, [`site_table`] (what the one writes for the other), [`files`] and [`store`] (opening files that others put there).

pub mod answer;
pub mod edge;
pub mod files;
pub mod lists;
pub mod policy;
pub mod redirects;
pub mod site_table;
pub mod snapshot;
pub mod store;
pub mod words;

#[cfg(feature = "cli")]
pub mod artifacts;
#[cfg(feature = "cli")]
pub mod catalog;
#[cfg(feature = "cli")]
pub mod compile;
#[cfg(feature = "cli")]
pub mod exports;
#[cfg(feature = "cli")]
pub mod ledger;
#[cfg(feature = "cli")]
pub mod plan;
#[cfg(feature = "cli")]
pub mod problem;
#[cfg(feature = "cli")]
pub mod publish;
#[cfg(feature = "cli")]
pub mod source;
#[cfg(feature = "cli")]
pub mod views;
