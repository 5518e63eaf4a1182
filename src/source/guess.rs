//! Guessing: the platform that a file's name speaks of.

use crate::words::Platform;

/// Endings of what is published beside installers: signatures, checksums, bills of materials.
const BESIDE: [&str; 14] =
    [".sig", ".asc", ".minisig", ".pem", ".crt", ".sha1", ".sha256", ".sha512", ".md5", ".sum", ".txt", ".md", ".json", ".xml"];

/// The platform that a file name speaks of; the error, read after the name, says what is missing.
pub fn guess(name: &str) -> Result<Platform, &'static str> {
    let lower = name.to_ascii_lowercase().replace("x86_64", "x86-64");
    let words: Vec<&str> = lower.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let has = |candidates: &[&str]| words.iter().any(|word| candidates.contains(word));
    let ends = |endings: &[&str]| endings.iter().any(|ending| lower.ends_with(ending));
    let windows = ends(&[".msi", ".exe", ".msix"]) || has(&["windows", "win", "win32", "win64"]);
    let macos = ends(&[".pkg", ".dmg"]) || has(&["macos", "darwin", "osx", "mac"]);
    let linux = ends(&[".deb", ".rpm", ".appimage"]) || has(&["linux"]);
    let arm = has(&["arm64", "aarch64"]);
    let intel = has(&["amd64", "x64", "intel"]) || lower.contains("x86-64");
    let is_32_bit = has(&["386", "i386", "i486", "i586", "i686", "ia32", "armv6", "armv7", "armhf"])
        || lower.replace("x86-64", "").split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == "x86");
    match (windows, macos, linux) {
        _ if ends(&BESIDE) => Err("its name is that of something beside an installer, which --attach is for"),
        _ if is_32_bit => Err("there is no platform of 32 bits"),
        (true, false, false) if has(&["arm"]) => Err("there is no Windows platform for arm"),
        (true, false, false) if arm => Err("there is no Windows platform for arm64"),
        (true, false, false) => Ok(Platform::WindowsX86_64),
        (false, true, false) if arm != intel => Ok(if arm { Platform::MacosArm64 } else { Platform::MacosX86_64 }),
        (false, false, true) if arm != intel => Ok(if arm { Platform::LinuxArm64 } else { Platform::LinuxX86_64 }),
        (false, true, false) | (false, false, true) => Err("its name does not say for which architecture it is"),
        _ => Err("its name does not say for which platform it is"),
    }
}
