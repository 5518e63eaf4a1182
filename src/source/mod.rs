//! The file formats exactly as written, and the only way in from the disk.

mod catalog_file;
pub mod edit;
mod fields;
mod guess;
pub mod import;
mod load;
mod manifest;
pub mod notes;
mod save;
mod template;
mod yaml;

pub use catalog_file::{AccessPolicy, CatalogFile, ChannelEntry, Export, Page, Presign, Storage, V1};
pub use fields::{At, suggestion};
pub use guess::guess;
pub use load::{CATALOG, Logo, MAX_MANIFEST, Sources, load, read_source};
pub use manifest::{ArtifactEntry, AttachmentEntry, MAX_SIZE, Manifest};
pub use save::{ManifestText, NewFile, reread, write_source};
pub use template::{Template, TemplateFile};
