//! The accent of the catalog, made readable on light and on dark (WCAG 2.2, contrast of at least 4.5 : 1).

use serde::Serialize;

/// What text needs at least.
const READABLE: f64 = 4.5;
/// The darkest surface of a light page that text in the accent stands on, and the lightest of a dark one.
const LIGHT: Colour = Colour([0xf3, 0xf4, 0xf6]);
const DARK: Colour = Colour([0x26, 0x29, 0x30]);
const WHITE: Colour = Colour([0xff; 3]);
const BLACK: Colour = Colour([0; 3]);
/// Steps from a colour to black or white.
const STEPS: u8 = 32;

/// The accent, and what it becomes where it would not be seen.
#[derive(Clone, Serialize)]
pub(super) struct Accent {
    base: String,
    /// Text on the accent.
    ink: String,
    /// The accent as text on a light page.
    on_light: String,
    /// The accent as text on a dark page.
    on_dark: String,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Colour([u8; 3]);

impl Accent {
    /// Of `#rrggbb`.
    pub(super) fn of(text: &str) -> Option<Self> {
        let base = Colour::parse(text)?;
        let ink = if contrast(base, WHITE) >= contrast(base, BLACK) { WHITE } else { BLACK };
        let towards = |end: Colour, ground: Colour| {
            let mut steps = (0..=STEPS).map(|step| base.mixed(end, step));
            steps.find(|colour| contrast(*colour, ground) >= READABLE).unwrap_or(end).hex()
        };
        Some(Self { base: base.hex(), ink: ink.hex(), on_light: towards(BLACK, LIGHT), on_dark: towards(WHITE, DARK) })
    }
}

impl Colour {
    fn parse(text: &str) -> Option<Self> {
        let value = u32::from_str_radix(text.strip_prefix('#')?, 16).ok()?;
        let [_, rest @ ..] = value.to_be_bytes();
        Some(Self(rest))
    }

    fn hex(self) -> String {
        let [red, green, blue] = self.0;
        format!("#{red:02x}{green:02x}{blue:02x}")
    }

    /// So many of [`STEPS`] towards another colour.
    fn mixed(self, other: Self, step: u8) -> Self {
        let part = |(from, to): (u8, u8)| {
            let (from, to, step, all) = (i32::from(from), i32::from(to), i32::from(step), i32::from(STEPS));
            u8::try_from(from + (to - from) * step / all).unwrap_or(u8::MAX)
        };
        let [a, b, c] = self.0;
        let [d, e, f] = other.0;
        Self([part((a, d)), part((b, e)), part((c, f))])
    }

    /// Relative luminance.
    fn luminance(self) -> f64 {
        let linear = self.0.map(|part| {
            let part = f64::from(part) / 255.0;
            if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) }
        });
        let [red, green, blue] = linear;
        0.2126 * red + 0.7152 * green + 0.0722 * blue
    }
}

fn contrast(a: Colour, b: Colour) -> f64 {
    let (a, b) = (a.luminance() + 0.05, b.luminance() + 0.05);
    if a > b { a / b } else { b / a }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_accent_becomes_readable() {
        for text in ["#0b6e4f", "#ffff00", "#000000", "#ffffff", "#7f7f7f", "#ff0000", "#0000ff", "#2b6cb0"] {
            let accent = Accent::of(text).expect("a colour");
            let at_least = |colour: &str, ground: Colour| {
                assert!(contrast(Colour::parse(colour).expect("a colour"), ground) >= READABLE, "{text}: {colour}");
            };
            at_least(&accent.on_light, LIGHT);
            at_least(&accent.on_dark, DARK);
            at_least(&accent.ink, Colour::parse(text).expect("a colour"));
        }
        assert_eq!(Accent::of("#0b6e4f").map(|accent| accent.on_light).as_deref(), Some("#0b6e4f"));
    }
}
