//! The wall clock, as far as `Date` needs it: hyper keeps the time of the answers, but never goes back with it.

use http::header::HeaderValue;
use std::cell::{Cell, RefCell};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What one core knows of the wall clock.
pub(super) struct Clock {
    /// The latest that it has shown; hyper's `Date` is about that.
    latest: Cell<SystemTime>,
    /// What `Date` has to say instead, while the clock is behind that.
    date: RefCell<Option<HeaderValue>>,
}

impl Clock {
    pub(super) fn new() -> Self {
        Self { latest: Cell::new(SystemTime::now()), date: RefCell::default() }
    }

    /// Looks at the clock; often enough is a few times a second.
    pub(super) fn look(&self) {
        self.shows(SystemTime::now());
    }

    fn shows(&self, now: SystemTime) {
        let behind = self.latest.get().duration_since(now).unwrap_or_default();
        let is_behind = behind > Duration::from_millis(500);
        if !is_behind {
            self.latest.set(now);
        }
        let date = is_behind.then(|| HeaderValue::try_from(httpdate::fmt_http_date(now)).ok()).flatten();
        self.date.replace(date);
    }

    /// The `Date` of an answer, when hyper's would be wrong.
    pub(super) fn date(&self) -> Option<HeaderValue> {
        self.date.borrow().clone()
    }
}

/// The system's clock, in whole seconds since 1970.
pub(super) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_back_is_believed_at_once() {
        let (clock, start) = (Clock::new(), SystemTime::now());
        clock.shows(start);
        assert_eq!(clock.date(), None);
        clock.shows(start - Duration::from_secs(86_400));
        let yesterday = httpdate::fmt_http_date(start - Duration::from_secs(86_400));
        assert_eq!(clock.date().and_then(|date| date.to_str().map(str::to_owned).ok()), Some(yesterday));
        clock.shows(start + Duration::from_secs(1));
        assert_eq!(clock.date(), None, "hyper is right again");
    }
}
