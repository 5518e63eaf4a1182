//! Points in time and days, in the one form that the documents use.

use super::{Expected, Word, text_word};

/// RFC 3339 in UTC with exactly three fraction digits and `Z`: `2026-02-24T21:23:53.082Z`. Text order is time order.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(Box<str>);
text_word!(Timestamp);

/// A day, `2026-03-01`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Date(Box<str>);
text_word!(Date);

/// The form alone; the compiler has checked that the moment exists.
impl Word for Timestamp {
    fn parse(text: &str) -> Result<Self, Expected> {
        if fits(text, "0000-00-00T00:00:00.000Z") {
            Ok(Self(text.into()))
        } else {
            Err("a time such as 2026-02-24T21:23:53.082Z")
        }
    }
}

/// Whether `text` has a digit wherever `form` has a 0, and the same character elsewhere.
fn fits(text: &str, form: &str) -> bool {
    text.len() == form.len() && text.bytes().zip(form.bytes()).all(|(b, f)| if f == b'0' { b.is_ascii_digit() } else { b == f })
}

/// A point in time as a number, for comparing with a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment(u64);

impl Word for Moment {
    /// Reads what [`Timestamp::from_input`] reads, from 1970 on.
    fn parse(text: &str) -> Result<Self, Expected> {
        const EXPECTED: Expected = "a time after 1970, such as 2026-12-31T00:00:00Z";
        let moment = Timestamp::from_input(text)?.moment().ok_or(EXPECTED)?;
        u64::try_from(moment.as_second()).map(Self).map_err(|_| EXPECTED)
    }
}

impl Moment {
    /// Seconds since 1970.
    pub fn unix_seconds(self) -> u64 {
        self.0
    }
}

impl Timestamp {
    /// Reads what a person wrote: an offset instead of `Z`, none to three fraction digits. Comes out normalised.
    pub fn from_input(text: &str) -> Result<Self, Expected> {
        const EXPECTED: Expected = "a time with its zone and at most three fraction digits, such as 2026-02-24T21:23:53.082Z";
        let (clock, offset) = match text.strip_suffix('Z') {
            Some(clock) => (clock, ""),
            None => text.split_at_checked(text.len().checked_sub(6).ok_or(EXPECTED)?).ok_or(EXPECTED)?,
        };
        let shaped = ["", ".0", ".00", ".000"].iter().any(|fraction| fits(clock, &format!("0000-00-00T00:00:00{fraction}")));
        let zoned = offset.is_empty() || fits(offset, "+00:00") || fits(offset, "-00:00");
        if !shaped || !zoned {
            return Err(EXPECTED);
        }
        // jiff folds a leap second into the second before it; a manifest should say neither.
        if clock.get(17..19) == Some("60") {
            return Err("a time without a leap second");
        }
        let local: jiff::civil::DateTime = clock.parse().map_err(|_| EXPECTED)?;
        let utc = local.checked_sub(offset_of(offset).ok_or(EXPECTED)?).map_err(|_| EXPECTED)?;
        Self::parse(&format!("{utc:.3}Z"))
    }

    /// The moment of a clock.
    pub fn from_clock(moment: jiff::Timestamp) -> Result<Self, Expected> {
        Self::parse(&format!("{moment:.3}"))
    }

    /// The moment, for comparing with a clock.
    pub fn moment(&self) -> Option<jiff::Timestamp> {
        self.0.parse().ok()
    }
}

/// `+02:00` as a duration; nothing is UTC.
fn offset_of(offset: &str) -> Option<jiff::SignedDuration> {
    let Some((hours, minutes)) = offset.split_once(':') else { return Some(jiff::SignedDuration::ZERO) };
    let (west, hours) = (hours.starts_with('-'), hours.trim_start_matches(['+', '-']).parse().ok().filter(|hours| *hours < 24)?);
    let minutes = minutes.parse().ok().filter(|minutes| *minutes < 60)?;
    let duration = jiff::SignedDuration::from_hours(hours).checked_add(jiff::SignedDuration::from_mins(minutes))?;
    if west { duration.checked_neg() } else { Some(duration) }
}

impl Date {
    /// The day's first moment in UTC, in seconds since 1970.
    pub fn unix_seconds(&self) -> i64 {
        self.first_moment().map_or(0, jiff::Timestamp::as_second)
    }

    /// The day's first moment as headers show it (RFC 9110 §5.6.7): `Thu, 31 Dec 2026 00:00:00 GMT`.
    pub fn http_date(&self) -> String {
        self.first_moment().map(|moment| moment.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()).unwrap_or_default()
    }

    fn first_moment(&self) -> Option<jiff::Timestamp> {
        format!("{self}T00:00:00Z").parse().ok()
    }
}

impl Word for Date {
    fn parse(text: &str) -> Result<Self, Expected> {
        const EXPECTED: Expected = "a day such as 2026-03-01";
        if !fits(text, "0000-00-00") || text.parse::<jiff::civil::Date>().is_err() {
            return Err(EXPECTED);
        }
        Ok(Self(text.into()))
    }
}
