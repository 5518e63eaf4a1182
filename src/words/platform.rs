//! The platforms, one row each: everything that differs between two of them stands in this table.

use super::{Expected, Word};

/// An operating system, as addresses spell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Os {
    /// `windows`
    Windows,
    /// `macos`
    Macos,
    /// `linux`
    Linux,
}

/// A processor architecture, as addresses spell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arch {
    /// `arm64`
    Arm64,
    /// `x86_64`
    X86_64,
}

/// What one installer runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs, reason = "the table below says it")]
pub enum Platform {
    WindowsX86_64,
    MacosArm64,
    MacosX86_64,
    LinuxX86_64,
    LinuxArm64,
}

struct Row {
    platform: Platform,
    id: &'static str,
    os: Os,
    arch: Arch,
    /// The folder of the path form of a download address.
    folder: &'static str,
    /// The query that names the platform in V2 and V1, which do not show Linux.
    query: Option<&'static str>,
    /// The name in the Active API.
    active_id: &'static str,
    /// What people call it.
    label: &'static str,
}

const ROWS: [Row; 5] = [
    Row {
        platform: Platform::WindowsX86_64,
        id: "windows-x86_64",
        os: Os::Windows,
        arch: Arch::X86_64,
        folder: "windows",
        query: Some("platform=windows"),
        active_id: "windows-amd64",
        label: "Windows",
    },
    Row {
        platform: Platform::MacosArm64,
        id: "macos-arm64",
        os: Os::Macos,
        arch: Arch::Arm64,
        folder: "macos/arm64",
        query: Some("platform=macos&arch=arm64"),
        active_id: "darwin-arm64",
        label: "macOS, Apple silicon",
    },
    Row {
        platform: Platform::MacosX86_64,
        id: "macos-x86_64",
        os: Os::Macos,
        arch: Arch::X86_64,
        folder: "macos/x86_64",
        query: Some("platform=macos&arch=x86_64"),
        active_id: "darwin-amd64",
        label: "macOS, Intel",
    },
    Row {
        platform: Platform::LinuxX86_64,
        id: "linux-x86_64",
        os: Os::Linux,
        arch: Arch::X86_64,
        folder: "linux/x86_64",
        query: None,
        active_id: "linux-amd64",
        label: "Linux, x86-64",
    },
    Row {
        platform: Platform::LinuxArm64,
        id: "linux-arm64",
        os: Os::Linux,
        arch: Arch::Arm64,
        folder: "linux/arm64",
        query: None,
        active_id: "linux-arm64",
        label: "Linux, ARM64",
    },
];

impl Platform {
    /// Every platform, in the order of the table (the order of the enum).
    pub const ALL: [Platform; 5] = [ROWS[0].platform, ROWS[1].platform, ROWS[2].platform, ROWS[3].platform, ROWS[4].platform];

    /// Every platform, in the order in which the Active API shows them.
    pub const ACTIVE_ORDER: [Platform; 5] =
        [Platform::MacosArm64, Platform::MacosX86_64, Platform::LinuxX86_64, Platform::LinuxArm64, Platform::WindowsX86_64];

    const fn row(self) -> &'static Row {
        match self {
            Platform::WindowsX86_64 => &ROWS[0],
            Platform::MacosArm64 => &ROWS[1],
            Platform::MacosX86_64 => &ROWS[2],
            Platform::LinuxX86_64 => &ROWS[3],
            Platform::LinuxArm64 => &ROWS[4],
        }
    }

    /// The name in manifests, such as `macos-arm64`.
    pub const fn id(self) -> &'static str {
        self.row().id
    }

    /// The operating system.
    pub const fn os(self) -> Os {
        self.row().os
    }

    /// The architecture.
    pub const fn arch(self) -> Arch {
        self.row().arch
    }

    /// The folder in the path form of its download addresses: `windows`, `macos/arm64`.
    pub const fn folder(self) -> &'static str {
        self.row().folder
    }

    /// The query that names it in V2 and V1; `None` where those do not show it.
    pub const fn query(self) -> Option<&'static str> {
        self.row().query
    }

    /// The name in the Active API: `windows-amd64`, `darwin-arm64`.
    pub const fn active_id(self) -> &'static str {
        self.row().active_id
    }

    /// The name for people: `macOS, Apple silicon`.
    pub const fn label(self) -> &'static str {
        self.row().label
    }

    /// The platform of a name in the Active API.
    pub fn from_active_id(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|platform| platform.active_id() == id)
    }

    /// The platform of a path form's folders; `arch` is `None` where the form has only one folder.
    pub fn from_folders(os: Os, arch: Option<&str>) -> Option<Self> {
        Self::ALL.into_iter().find(|platform| {
            let mut folders = platform.folder().split('/');
            folders.next() == Some(os.as_str()) && folders.next() == arch
        })
    }
}

impl Os {
    /// The word in addresses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Os::Windows => "windows",
            Os::Macos => "macos",
            Os::Linux => "linux",
        }
    }
}

impl Arch {
    /// The word in addresses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Arch::Arm64 => "arm64",
            Arch::X86_64 => "x86_64",
        }
    }
}

impl Word for Platform {
    fn parse(text: &str) -> Result<Self, Expected> {
        Self::ALL
            .into_iter()
            .find(|platform| platform.id() == text)
            .ok_or("one of windows-x86_64, macos-arm64, macos-x86_64, linux-x86_64, linux-arm64")
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.id())
    }
}

impl serde::Serialize for Platform {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.id())
    }
}
