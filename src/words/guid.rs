//! A release's stable identifier in the Active API: a UUID in Crockford's base 32.

use super::{Expected, Word};

const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// `rel_` and 26 lower-case base-32 digits of a 128-bit UUID, the first digit 0–7.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guid(u128);

impl Guid {
    /// The guid of this UUID.
    pub const fn from_uuid(uuid: u128) -> Self {
        Self(uuid)
    }
}

impl Word for Guid {
    fn parse(text: &str) -> Result<Self, Expected> {
        const EXPECTED: Expected = "`rel_` and 26 lower-case base-32 digits, the first of them 0 to 7";
        let digits = text.strip_prefix("rel_").ok_or(EXPECTED)?;
        if digits.len() != 26 || !digits.starts_with(|c: char| matches!(c, '0'..='7')) {
            return Err(EXPECTED);
        }
        digits
            .bytes()
            .try_fold(0u128, |uuid, byte| {
                let value = DIGITS.iter().position(|digit| *digit == byte)?;
                Some(uuid << 5 | u128::try_from(value).ok()?)
            })
            .map(Self)
            .ok_or(EXPECTED)
    }
}

impl std::fmt::Display for Guid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("rel_")?;
        (0..26u32).rev().try_for_each(|place| {
            let index = usize::try_from(self.0 >> place.saturating_mul(5) & 31).unwrap_or_default();
            write!(f, "{}", DIGITS.get(index).copied().map_or('0', char::from))
        })
    }
}

impl serde::Serialize for Guid {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_vector_of_the_contract() {
        let guid = Guid::from_uuid(0x018d_671d_7400_7123_8123_4567_89ab_cdef);
        assert_eq!(guid.to_string(), "rel_01hnkhtx00e4hr28t5cy4tqkff");
        assert_eq!(Guid::parse("rel_01hnkhtx00e4hr28t5cy4tqkff"), Ok(guid));
        assert!(Guid::parse("rel_01hgw2bbg0000000000000001").is_err(), "25 digits");
    }
}
