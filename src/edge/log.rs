//! Events as lines of JSON, and a writer that nobody has to wait for.

use super::conversation::Asked;
use super::limits::{LINES, SHOWN_PATH, SHOWN_VALUE};
use super::{Event, Exchange};
use crate::answer::Field;
use percent_encoding::{CONTROLS, utf8_percent_encode};
use serde_json::{Map, Value, json};
use std::io::Write;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A log that is written on a thread of its own.
pub struct Log {
    lines: SyncSender<String>,
    /// Ends when the last line has been written.
    ended: Receiver<()>,
}

impl Log {
    /// A log that writes lines to `out`. Whoever reads it may have gone; that is no reason to stop.
    pub fn new(mut out: impl Write + Send + 'static) -> Self {
        let (lines, waiting) = sync_channel::<String>(LINES);
        let (end, ended) = sync_channel(0);
        std::thread::spawn(move || {
            let _end = end;
            for line in waiting {
                let _ = out.write_all(line.as_bytes()).and_then(|()| out.flush());
            }
        });
        Self { lines, ended }
    }

    /// Where lines are put; more than one may put them.
    pub fn lines(&self) -> Lines {
        Lines(self.lines.clone())
    }

    /// Writes what is waiting, but does not wait longer than this for a reader that does not read.
    pub fn end(self, most: Duration) {
        drop(self.lines);
        let _ = self.ended.recv_timeout(most);
    }
}

/// Puts lines into a log.
#[derive(Clone)]
pub struct Lines(SyncSender<String>);

impl Lines {
    /// Whether the line was taken; it is not when too many wait.
    pub fn put(&self, line: String) -> bool {
        self.0.try_send(line).is_ok()
    }
}

/// An event as a line, its end included; `None` for those that are no matter of the log.
pub fn line(event: &Event<'_>, now: SystemTime) -> Option<String> {
    let (level, text, more) = match event {
        Event::Listening(_) | Event::AdminListening(_) => return None,
        Event::Narrowed(caps) => (
            "warn",
            "too few descriptors for the usual limits",
            json!({"connections": caps.connections, "streams": caps.streams}),
        ),
        Event::NoStore => ("warn", "downloads are refused: the site has no base_url, and there is no --artifacts", Value::Null),
        Event::NoDirectDownloads => (
            "warn",
            "direct downloads are not possible: without --artifacts the Active API redirects to the storage",
            Value::Null,
        ),
        Event::NobodyKnown => (
            "warn",
            "everybody is refused where credentials are asked for: there are neither --tokens nor a --session-secret",
            Value::Null,
        ),
        Event::NoStorageCredentials => (
            "warn",
            "downloads are answered 503: the storage wants signed addresses, and there are no --storage-credentials",
            Value::Null,
        ),
        Event::SecretsReloaded => ("info", "tokens, keys and secrets reloaded", Value::Null),
        Event::SecretsRefused(error) => {
            ("error", "a file of secrets refused, what it held before is kept", json!({"error": error.to_string()}))
        }
        Event::Reloaded(site) => (
            "info",
            "reloaded",
            json!({"snapshot": site.id(), "generation": site.generation(), "releases": site.release_count()}),
        ),
        Event::Refused(error) => ("error", "snapshot refused, the last good one is kept", json!({"error": error.to_string()})),
        Event::StoreGone(error) => {
            ("error", "the artifacts' folder cannot be opened, the one from before is kept", json!({"error": error.to_string()}))
        }
        Event::Request(exchange) => ("info", "request", request(exchange)),
        Event::Panicked { request } => ("error", "answering panicked", json!({"id": request})),
        Event::Draining => ("info", "draining", Value::Null),
    };
    Some(told(level, text, more, now))
}

/// Where the program panicked, as a line; what it said may hold parts of a request, and is left out.
pub fn panic_line(place: Option<&std::panic::Location<'_>>, now: SystemTime) -> String {
    let place = place.map_or("unknown".to_owned(), |place| format!("{}:{}", place.file(), place.line()));
    told("error", "panic", json!({"place": place}), now)
}

fn told(level: &str, event: &str, more: Value, now: SystemTime) -> String {
    let mut fields = Map::from_iter([
        ("time".to_owned(), time(now).into()),
        ("level".to_owned(), level.into()),
        ("event".to_owned(), event.into()),
    ]);
    if let Value::Object(more) = more {
        fields.extend(more);
    }
    let mut line = ascii(&Value::Object(fields).to_string());
    line.push('\n');
    line
}

fn request(exchange: &Exchange<'_>) -> Value {
    let mut fields = json!({
        "id": exchange.id,
        "client": exchange.client.to_string(),
        "method": exchange.method,
        "target": exchange.target,
        "status": exchange.status,
        "bytes": exchange.bytes,
        "seconds": exchange.duration.as_secs_f64(),
    });
    if let Value::Object(fields) = &mut fields {
        fields.extend(exchange.request_id.map(|id| ("request_id".to_owned(), id.into())));
        fields.extend(exchange.aborted.then(|| ("aborted".to_owned(), true.into())));
    }
    fields
}

/// What the log says of a request: the path, and the parameters that some address takes. Whatever else was sent may be
/// somebody's secret.
pub(super) fn asked<B>(request: &http::Request<B>) -> Asked {
    let mut target = shortened(request.uri().path(), SHOWN_PATH);
    let known = |name: &str| Field::ALL.into_iter().any(|field| field.name() == name);
    let pairs = request.uri().query().unwrap_or_default().split('&').filter_map(|pair| pair.split_once('='));
    for (place, (name, value)) in pairs.filter(|(name, _)| known(name)).take(Field::ALL.len()).enumerate() {
        target.push(if place == 0 { '?' } else { '&' });
        target.push_str(name);
        target.push('=');
        target.push_str(&shortened(value, SHOWN_VALUE));
    }
    let is_id = |id: &&str| id.len() <= SHOWN_VALUE && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b));
    let request_id = request.headers().get("x-request-id").and_then(|id| id.to_str().ok()).filter(is_id);
    Asked { method: shortened(request.method().as_str(), SHOWN_VALUE), target, request_id: request_id.map(str::to_owned) }
}

/// Text of a request as it can be shown: what is not a visible sign of ASCII is percent-encoded, as it should have been.
fn shortened(text: &str, most: usize) -> String {
    let mut text = utf8_percent_encode(text, CONTROLS).to_string();
    if text.len() > most {
        text.truncate(most);
        text.push_str("...");
    }
    text
}

/// JSON in ASCII alone: no character that a terminal or a viewer could take for something else.
fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() && c != '\u{7f}' {
            text.push(c);
        } else {
            text.extend(c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    text
}

/// RFC 3339 in UTC with milliseconds.
fn time(now: SystemTime) -> String {
    let since = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (days, second) = (since.as_secs().div_euclid(86_400), since.as_secs().rem_euclid(86_400));
    let (year, month, day) = date(days);
    let [hour, minute, second] = [second.div_euclid(3600), second.div_euclid(60).rem_euclid(60), second.rem_euclid(60)];
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", since.subsec_millis())
}

/// The civil date of a day since 1970-01-01 (Howard Hinnant's `civil_from_days`, for days that have been).
#[allow(clippy::arithmetic_side_effects, reason = "the clock's days are far from the ends of u64")]
fn date(days: u64) -> (u64, u64, u64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400, "2000-02-29T00:00:00.000Z"),
            (1_706_832_000, "2024-02-02T00:00:00.000Z"),
            (4_107_542_399, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(time(UNIX_EPOCH + Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn hostile_text_stays_within_its_string() {
        let exchange = Exchange {
            id: "b-1-1",
            client: ([127, 0, 0, 1], 1).into(),
            method: Some("GET"),
            target: Some("/\u{202e}\n\"}{\u{1f600}\u{7f}"),
            request_id: None,
            status: 404,
            bytes: 1,
            duration: Duration::from_millis(1),
            aborted: false,
        };
        let line = line(&Event::Request(&exchange), UNIX_EPOCH).unwrap_or_default();
        assert!(line.ends_with("}\n") && line.trim_end().bytes().all(|b| (0x20..0x7f).contains(&b)), "{line}");
        let read: Value = serde_json::from_str(&line).unwrap_or_default();
        assert_eq!(read["target"], "/\u{202e}\n\"}{\u{1f600}\u{7f}");
    }

    #[test]
    fn only_known_parameters_are_shown() {
        let head = |target: &str| {
            let request = http::Request::get(target).header("x-request-id", "a b").body(()).unwrap_or_default();
            asked(&request)
        };
        let shown = head("/a?channel=beta&token=secret&signature=x&platform=macos&channel");
        assert_eq!((&*shown.target, shown.request_id), ("/a?channel=beta&platform=macos", None));
        assert_eq!(head(&format!("/{}", "x".repeat(2000))).target.len(), SHOWN_PATH + 3);
    }
}
