//! What pages load: named by a hash, so that it is fetched once for ever; and the two files that others build on, which keep
//! their names.

use super::colours::Accent;
use super::{is_style, problem_of, strict_for_style};
use crate::catalog::Catalog;
use crate::policy::{Access, Policy};
use crate::problem::Problem;
use crate::snapshot::Snapshot;
use crate::source::Template;
use crate::words::Sha256;
use minijinja::value::Serde;
use minijinja::{Error, ErrorKind, context};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

/// Digits of a hash in a name.
const DIGITS: usize = 16;
/// Files that others build on, by the address that does not change.
const STABLE: &[(&str, &str)] =
    &[("agent-downloads.min.js", "agent-downloads.js"), ("agent-releases.d.ts", "agent-releases.d.ts")];
/// A picture is a document too: of a foreign hand, so nothing in it runs.
const NOTHING_RUNS: (&str, &str) = ("Content-Security-Policy", "script-src 'none'; sandbox");

const TYPES: &[(&str, &str)] = &[
    ("css", "text/css; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("mjs", "text/javascript; charset=utf-8"),
    ("ts", "text/plain; charset=utf-8"),
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("webp", "image/webp"),
    ("jpg", "image/jpeg"),
    ("ico", "image/x-icon"),
    ("woff2", "font/woff2"),
];

/// Every asset by its name in the template.
pub(super) struct Assets {
    all: BTreeMap<String, Asset>,
    asked: Asked,
    /// The catalog's; the template may have another of its name.
    logo: Option<(String, Asset)>,
}

/// Names of the assets that templates have asked for: nothing else of their folder is published.
type Asked = Arc<Mutex<BTreeSet<String>>>;

struct Asset {
    /// Without the leading slash.
    address: String,
    bytes: Vec<u8>,
}

impl Assets {
    /// The template's, its style filled in, and the logo.
    pub(super) fn new(catalog: &Catalog, template: &Template) -> Result<Self, Problem> {
        let asset = |name: &str, bytes: Vec<u8>| (name.to_owned(), Asset { address: hashed(name, &bytes), bytes });
        let mut all: BTreeMap<String, Asset> = template.assets().map(|(name, bytes)| asset(name, bytes.to_vec())).collect();
        let asked = Asked::default();
        let accent = catalog.page().accent.as_deref().and_then(Accent::of);
        let mut environment = strict_for_style();
        environment.add_function("asset", function(&all, &asked));
        let styles = || template.filled().filter(|(name, ..)| is_style(name));
        for (name, file, text) in styles() {
            environment.add_template(name, text).map_err(|error| problem_of(template, &file.place, &error))?;
        }
        for (name, file, _) in styles() {
            let filled = environment.get_template(name);
            let filled = filled.and_then(|style| style.render(context! { accent => Serde(&accent) }));
            all.extend([asset(name, filled.map_err(|error| problem_of(template, &file.place, &error))?.into_bytes())]);
        }
        let logo = catalog.logo().map(|logo| asset(logo.filename.as_str(), logo.bytes.clone()));
        Ok(Self { all, asked, logo })
    }

    /// Where the logo lies.
    pub(super) fn logo(&self) -> Option<String> {
        self.logo.as_ref().map(|(_, logo)| format!("/{}", logo.address))
    }

    /// `asset("style.css")` in templates: where it lies.
    pub(super) fn function(&self) -> impl Fn(String) -> Result<String, Error> + Send + Sync + 'static {
        function(&self.all, &self.asked)
    }

    /// Puts them into the snapshot. They say nothing of any release, so anybody may see them.
    pub(super) fn add(self, snapshot: &mut Snapshot) {
        for (name, address) in STABLE {
            if let Some(asset) = self.all.get(*name) {
                snapshot.document(address, asset.bytes.clone(), Policy::File, Access::Public, &[content_type(name)]);
            }
        }
        let asked = std::mem::take(&mut *self.asked.lock().unwrap_or_else(PoisonError::into_inner));
        let asked = self.all.into_iter().filter(|(name, _)| asked.contains(name));
        for (name, asset) in asked.chain(self.logo) {
            let is_picture = name.ends_with(".svg");
            let headers: Vec<_> = std::iter::once(content_type(&name)).chain(is_picture.then_some(NOTHING_RUNS)).collect();
            snapshot.document(&asset.address, asset.bytes, Policy::Asset, Access::Public, &headers);
        }
    }
}

fn function(all: &BTreeMap<String, Asset>, asked: &Asked) -> impl Fn(String) -> Result<String, Error> + Send + Sync + 'static {
    let addresses: BTreeMap<String, String> =
        all.iter().map(|(name, asset)| (name.clone(), format!("/{}", asset.address))).collect();
    let asked = Arc::clone(asked);
    move |name| {
        let known = || addresses.keys().cloned().collect::<Vec<_>>().join(", ");
        let missing = || Error::new(ErrorKind::InvalidOperation, format!("there is no asset `{name}`; there are {}", known()));
        let address = addresses.get(&name).cloned().ok_or_else(missing)?;
        note(&asked, &name);
        Ok(address)
    }
}

fn note(asked: &Asked, name: &str) {
    let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
    if !asked.contains(name) {
        asked.insert(name.to_owned());
    }
}

fn content_type(name: &str) -> (&'static str, &'static str) {
    let ending = name.rsplit_once('.').map_or("", |(_, ending)| ending);
    let known = TYPES.iter().find(|(known, _)| *known == ending).map(|(_, content_type)| *content_type);
    ("Content-Type", known.unwrap_or("application/octet-stream"))
}

/// `assets/style.0123456789abcdef.css`.
fn hashed(name: &str, bytes: &[u8]) -> String {
    let (stem, ending) = name.rsplit_once('.').unwrap_or((name, "bin"));
    let stem = stem.strip_suffix(".min").unwrap_or(stem);
    format!("assets/{stem}.{:.DIGITS$}.{ending}", Sha256::of(bytes))
}
