//! What the edge has counted, in Prometheus's text format 0.0.4.

use super::serve::Shared;
use super::tally::{BUCKETS, Overdue, STATUSES, Tally, V1_ADDRESSES};
use crate::answer::Family;
use std::fmt::{Display, Write};
use std::sync::atomic::Ordering::Relaxed;
use std::time::{SystemTime, UNIX_EPOCH};

/// Everything, as it is now.
pub(super) fn exposition(shared: &Shared) -> String {
    let mut page = Page::default();
    requests(&mut page, shared);
    durations(&mut page, shared);
    downloads(&mut page, shared);
    snapshot(&mut page, shared);
    connections(&mut page, shared);
    process(&mut page, shared);
    page.0
}

/// The lines so far.
#[derive(Default)]
struct Page(String);

impl Page {
    /// Begins a metric.
    fn metric(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// A sample of the metric that has begun. Names and values of labels are the edge's own words, versions, or digits.
    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    /// A metric with one sample.
    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.metric(name, kind, help);
        self.sample(name, &[], value);
    }
}

/// The sum of a number over all cores.
fn sum(shared: &Shared, number: impl Fn(&Tally) -> u64) -> u64 {
    shared.tallies.iter().map(|tally| number(tally)).fold(0, u64::wrapping_add)
}

fn requests(page: &mut Page, shared: &Shared) {
    let name = "agent_releases_requests_total";
    page.metric(name, "counter", "Answers by family of addresses and status.");
    for family in Family::ALL {
        let statuses = STATUSES.iter().map(u16::to_string).chain(["other".to_owned()]);
        for (place, status) in statuses.enumerate() {
            let count = sum(shared, |tally| tally.requests(family, place));
            page.sample(name, &[("family", family.name()), ("status", &status)], count);
        }
    }
    let name = "agent_releases_v1_requests_total";
    page.metric(name, "counter", "Requests to the legacy addresses of V1, whatever was answered.");
    for (place, address) in V1_ADDRESSES.into_iter().enumerate() {
        page.sample(name, &[("address", address)], sum(shared, |tally| tally.v1_requests(place)));
    }
    let name = "agent_releases_panics_total";
    page.single(
        name,
        "counter",
        "Requests whose answering panicked; each was answered 500.",
        sum(shared, |tally| tally.panics.get()),
    );
    let name = "agent_releases_log_lines_dropped_total";
    let help = "Lines that were not written because nobody read the log.";
    page.single(name, "counter", help, sum(shared, |tally| tally.lines_dropped.get()));
}

fn durations(page: &mut Page, shared: &Shared) {
    let name = "agent_releases_request_duration_seconds";
    page.metric(
        name,
        "histogram",
        "From a request's whole head to the last byte of its answer; artifacts, which take as long as their clients, aside.",
    );
    let mut count = 0u64;
    for (place, bound) in BUCKETS.iter().enumerate() {
        count = count.wrapping_add(sum(shared, |tally| tally.durations(place)));
        page.sample(&format!("{name}_bucket"), &[("le", &seconds(bound.saturating_mul(1000)))], count);
    }
    count = count.wrapping_add(sum(shared, |tally| tally.durations(BUCKETS.len())));
    page.sample(&format!("{name}_bucket"), &[("le", "+Inf")], count);
    page.sample(&format!("{name}_sum"), &[], seconds(sum(shared, Tally::nanoseconds)));
    page.sample(&format!("{name}_count"), &[], count);
}

fn downloads(page: &mut Page, shared: &Shared) {
    let name = "agent_releases_downloads_total";
    page.metric(name, "counter", "Downloads by version and platform: the newest 50 versions, all others together.");
    for (version, platform, count) in shared.serving.load().downloads.all() {
        page.sample(name, &[("version", version), ("platform", platform)], count);
    }
}

fn snapshot(page: &mut Page, shared: &Shared) {
    let serving = shared.serving.load();
    let name = "agent_releases_snapshot_info";
    page.metric(name, "gauge", "The snapshot that is served, by the first digits of its id.");
    page.sample(name, &[("id", serving.site.short_id())], 1);
    let name = "agent_releases_snapshot_generation";
    page.single(name, "gauge", "Its generation; 0 when it was never published.", serving.site.generation());
    let name = "agent_releases_snapshot_age_seconds";
    page.single(name, "gauge", "How long ago the edge took it up.", format_args!("{:.3}", serving.age().as_secs_f64()));
    let name = "agent_releases_reloads_total";
    page.metric(name, "counter", "New snapshots that were taken up, and that were refused.");
    page.sample(name, &[("result", "accepted")], shared.reloads.accepted.load(Relaxed));
    page.sample(name, &[("result", "refused")], shared.reloads.refused.load(Relaxed));
    let name = "agent_releases_secrets_reloads_total";
    page.metric(name, "counter", "How often tokens, keys and secrets were read again, and how often that was refused.");
    page.sample(name, &[("result", "accepted")], shared.reloads.secrets_accepted.load(Relaxed));
    page.sample(name, &[("result", "refused")], shared.reloads.secrets_refused.load(Relaxed));
    let name = "agent_releases_secrets_refused";
    let refused = u8::from(shared.reloads.secrets_are_refused.load(Relaxed));
    page.single(
        name,
        "gauge",
        "1 while a file of secrets is not as it should be, so that what it held before is still in force.",
        refused,
    );
    let name = "agent_releases_snapshot_refused";
    let refused = u8::from(shared.reloads.is_refused.load(Relaxed));
    page.single(name, "gauge", "1 while the folder holds a snapshot that the edge does not take up.", refused);
}

fn connections(page: &mut Page, shared: &Shared) {
    page.single("agent_releases_connections", "gauge", "Open connections.", shared.connections.taken());
    page.single(
        "agent_releases_connections_limit",
        "gauge",
        "How many connections there may be at a time.",
        shared.connections.most,
    );
    let name = "agent_releases_connections_total";
    page.metric(name, "counter", "Connections that were accepted, and that were turned away because there were too many.");
    page.sample(name, &[("outcome", "accepted")], sum(shared, |tally| tally.accepted.get()));
    page.sample(name, &[("outcome", "refused")], sum(shared, |tally| tally.refused.get()));
    page.single("agent_releases_streams", "gauge", "Artifacts that are being sent.", shared.streams.taken());
    page.single("agent_releases_streams_limit", "gauge", "How many artifacts may be sent at a time.", shared.streams.most);
    let name = "agent_releases_streams_refused_total";
    let refused = sum(shared, |tally| tally.streams_refused.get());
    page.single(name, "counter", "Downloads that were turned away because there were too many.", refused);
    let name = "agent_releases_timeouts_total";
    page.metric(name, "counter", "Connections that were over their time: idle, with a head that did not end, or taking nothing.");
    for why in Overdue::ALL {
        page.sample(name, &[("kind", why.name())], sum(shared, |tally| tally.overdue_so_far(why)));
    }
    page.single("agent_releases_draining", "gauge", "1 once the edge is about to end.", u8::from(shared.is_draining()));
}

fn process(page: &mut Page, shared: &Shared) {
    let name = "agent_releases_build_info";
    page.metric(name, "gauge", "The version of the edge.");
    page.sample(name, &[("version", env!("CARGO_PKG_VERSION"))], 1);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let start = now.saturating_sub(shared.started.elapsed()).as_secs_f64();
    page.single("process_start_time_seconds", "gauge", "When the edge started, since 1970.", format_args!("{start:.3}"));
    page.single("process_cpu_seconds_total", "counter", "Processor time.", seconds(processor_time().unwrap_or_default()));
    let pages = std::fs::read_to_string("/proc/self/statm").ok().and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok());
    let bytes = pages.unwrap_or_default().saturating_mul(u64::try_from(rustix::param::page_size()).unwrap_or_default());
    page.single("process_resident_memory_bytes", "gauge", "Memory that the process holds.", bytes);
    let descriptors = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    page.single("process_open_fds", "gauge", "Open descriptors of the process.", descriptors);
}

/// Nanoseconds that all threads have run: fields 14 and 15 of `/proc/self/stat` (proc(5)), behind the name in brackets.
fn processor_time() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()?.checked_add(fields.get(12)?.parse().ok()?)?;
    ticks.saturating_mul(1_000_000_000).checked_div(rustix::param::clock_ticks_per_second())
}

/// Nanoseconds as seconds, exactly.
fn seconds(nanoseconds: u64) -> String {
    let (whole, rest) = (nanoseconds.div_euclid(1_000_000_000), nanoseconds.rem_euclid(1_000_000_000));
    let text = format!("{whole}.{rest:09}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_exact() {
        for (nanoseconds, text) in [(0, "0"), (50_000, "0.00005"), (1_000_000_000, "1"), (12_345_678_901, "12.345678901")] {
            assert_eq!(seconds(nanoseconds), text);
        }
    }
}
