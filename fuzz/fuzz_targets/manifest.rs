//! Whatever bytes are a manifest or a catalog: no panic, problems that can be shown, and what is accepted becomes a site.

#![no_main]

use agent_releases::answer::questions;
use agent_releases::problem::Problem;
use agent_releases::source::edit::{Edit, Plain, edit};
use agent_releases::source::{CATALOG, Sources, read_source, reread};
use agent_releases::words::is_hidden;
use agent_releases_fuzz::{Asked, compile, sources};
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use std::fs;
use tempfile::TempDir;

/// The release whose manifest the bytes are; the others are as they were written.
const MANIFEST: &str = "1.8.3.yaml";

/// Sources that are changed and mended again and again, and a folder for the bytes.
struct Bench {
    sources: Sources,
    folder: TempDir,
}

thread_local! {
    static BENCH: RefCell<Bench> = RefCell::new(Bench { sources: sources("bad/_base"), folder: tempfile::tempdir().expect("a folder") });
}

fuzz_target!(|bytes: &[u8]| {
    BENCH.with_borrow_mut(|bench| {
        let path = bench.folder.path().join(MANIFEST);
        fs::write(&path, bytes).expect("written");
        let Ok(text) = read_source(&path) else { return };
        for name in [MANIFEST, CATALOG] {
            let original = bench.text(name);
            if bench.takes(name, &text) {
                bench.site();
                if name == MANIFEST {
                    bench.edited_and_taken_back(&text);
                }
            }
            assert!(bench.takes(name, &original), "what was written is read");
        }
    });
});

impl Bench {
    fn text(&self, name: &str) -> String {
        let catalog = self.sources.catalog.as_ref().map(|catalog| &catalog.file);
        let manifest = self.sources.manifests.iter().map(|manifest| &manifest.file).find(|file| file.path.ends_with(name));
        let file = if name == CATALOG { catalog } else { manifest };
        file.expect("a file").text.clone()
    }

    /// Whether a file's text is accepted by itself; a refusal can be shown.
    fn takes(&mut self, name: &str, text: &str) -> bool {
        reread(&mut self.sources, name, text).map_err(|problems| shown(&problems)).is_ok()
    }

    /// The id of the sources' snapshot, whose site answers every question; `None` when they break a rule.
    fn site(&self) -> Option<String> {
        let compiled = compile(&self.sources)?;
        let asked = Asked::new(&compiled, false);
        for question in questions(&asked.site) {
            asked.get(&question);
        }
        Some(compiled.index.id)
    }

    /// Edits say what they mean, and taken back they leave nothing.
    fn edited_and_taken_back(&mut self, text: &str) {
        let before = self.site();
        let manifest =
            self.sources.manifests.iter().find(|manifest| manifest.version.value.as_str() == "1.8.3").expect("it is there");
        let (yanked, beta) = (manifest.yanked.is_some(), manifest.channels.iter().any(|at| at.value.as_str() == "beta"));
        let reason = Plain::Text("it crashes: \"often\"".to_owned());
        let yank = (Edit::Set(vec!["yanked".into()], reason), Edit::Remove(vec!["yanked".into()]));
        let promote = (Edit::Push("channels".into(), "beta".into()), Edit::Pull("channels".into(), "beta".into()));
        for (there, (forth, back)) in [(yanked, yank), (beta, promote)] {
            if there {
                continue;
            }
            // Some texts can't be edited, and are left alone.
            let Ok(edited) = edit(text, &[forth]) else { continue };
            assert!(self.takes(MANIFEST, &edited), "an edit is read again:\n{edited}");
            self.site();
            let Ok(mended) = edit(&edited, &[back]) else { continue };
            assert!(self.takes(MANIFEST, &mended), "an edit that was taken back is read again:\n{mended}");
            assert_eq!(self.site(), before, "an edit that was taken back left something:\n{mended}");
        }
    }
}

/// Each problem can be shown, hides nothing of what it says, and a terminal obeys nothing of the line that it shows.
fn shown(problems: &[Problem]) {
    assert!(!problems.is_empty(), "a refusal has a reason");
    for problem in problems {
        assert!(!problem.message().chars().any(is_hidden), "{:?}", problem.message());
        let text = problem.render();
        assert!(!text.chars().any(|c| is_obeyed(c) && c != '\n'), "{text:?}");
    }
}

/// A control character, or one that turns the direction of writing.
fn is_obeyed(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}
