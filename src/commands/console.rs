//! Printing: results to stdout, everything about them to stderr. A reader that has gone is not an error.

use agent_releases::problem::{Problem, Severity};
use agent_releases::publish::Event;
use std::io::{ErrorKind, IsTerminal, Write, stderr, stdout};
use std::sync::atomic::{AtomicBool, Ordering};

/// `1 release`, `2 releases`.
pub(super) fn counted(count: usize, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// Whether a result was lost on its way: on a full disk, say.
static LOST: AtomicBool = AtomicBool::new(false);

fn note(written: std::io::Result<()>) {
    if written.is_err_and(|error| error.kind() != ErrorKind::BrokenPipe) {
        LOST.store(true, Ordering::Relaxed);
    }
}

fn in_words(event: &Event<'_>) -> String {
    match event {
        Event::Waiting { by, generation } => format!("{by} is publishing generation {generation}; waiting for it to end"),
        Event::TakesOver { by, generation } => format!("{by} gave up on generation {generation}; taking over"),
        Event::Staged { addresses } => format!("staged: {addresses} addresses asked, every answer is right"),
        Event::Artifacts { done, total } => format!("artifacts: {done} of {total}"),
        Event::Documents { stage, documents } => format!("{stage}: {}", counted(*documents, "document")),
        Event::Claimed { generation } => format!("generation {generation} is claimed"),
        Event::Settling { seconds } => format!("edges take it up: {seconds} s"),
        Event::Live { generation, .. } => format!("generation {generation} is live\n"),
        Event::NotPutBack { why } => {
            format!(
                "somebody else came first, and what this run wrote could not be put back: {why}; `publish --repair` does it\n"
            )
        }
        Event::Removed { objects } => format!("removed: {}\n", counted(*objects, "object")),
        Event::Followed { generation, id, fetched } => {
            format!("generation {generation}, snapshot {}: {fetched} fetched\n", id.get(..16).unwrap_or(id))
        }
    }
}

/// The terminal, or whatever stands in for it.
#[derive(Clone, Copy)]
pub(super) struct Console;

impl Console {
    /// A line of the result.
    pub(super) fn result(self, line: &str) {
        note(writeln!(stdout(), "{line}"));
    }

    /// The result as it is.
    pub(super) fn raw(self, bytes: &[u8]) {
        let mut out = stdout();
        note(out.write_all(bytes).and_then(|()| out.flush()));
    }

    /// Whether everything that was to be printed could be.
    pub(super) fn is_complete(self) -> bool {
        note(stdout().flush());
        !LOST.load(Ordering::Relaxed)
    }

    /// A line about what happens.
    pub(super) fn say(self, line: &str) {
        let _ = writeln!(stderr(), "{line}");
    }

    /// A line that the next one replaces; only on a terminal.
    pub(super) fn progress(self, line: &str) {
        if stderr().is_terminal() {
            let _ = write!(stderr(), "\r\x1b[2K{line}").and_then(|()| stderr().flush());
        }
    }

    /// What happens on the way to a target: a line that is replaced on a terminal, elsewhere a JSON object a line.
    pub(super) fn event(self, event: &Event<'_>) {
        let json = serde_json::to_string(event).unwrap_or_default();
        if stderr().is_terminal() { self.progress(&in_words(event)) } else { self.say(&json) }
    }

    /// Every problem, and what became of the command.
    pub(super) fn problems(self, problems: &[Problem]) {
        self.warnings(problems);
        let count = problems.iter().filter(|problem| problem.severity() != Severity::Warning).count();
        self.say(&format!("{}; nothing was written", counted(count, "problem")));
    }

    /// Problems, without a conclusion.
    pub(super) fn warnings(self, problems: &[Problem]) {
        for problem in problems {
            self.say(&problem.render());
        }
    }
}
