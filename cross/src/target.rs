//! What is built for whom.

/// A kind of machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    Armv7,
    Aarch64,
    X86_64,
}

/// A program, and how it is built.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Recipe {
    /// What the result is called.
    pub(crate) name: &'static str,
    pub(crate) package: &'static str,
    /// Whether the features that are the default are in it.
    pub(crate) is_whole: bool,
    /// For what is written in C.
    pub(crate) c_flags: &'static str,
}

/// Parts of zstd that no agent uses: its strategies above level 3's, and a second way to decompress, which
/// only `spool export` does there. What is left is the same code with the same output.
const SMALL_ZSTD: &str = "-DZSTD_EXCLUDE_GREEDY_BLOCK_COMPRESSOR -DZSTD_EXCLUDE_LAZY_BLOCK_COMPRESSOR \
    -DZSTD_EXCLUDE_LAZY2_BLOCK_COMPRESSOR -DZSTD_EXCLUDE_BTLAZY2_BLOCK_COMPRESSOR \
    -DZSTD_EXCLUDE_BTOPT_BLOCK_COMPRESSOR -DZSTD_EXCLUDE_BTULTRA_BLOCK_COMPRESSOR \
    -DHUF_FORCE_DECOMPRESS_X1 -DZSTD_FORCE_DECOMPRESS_SEQUENCES_SHORT -DZSTD_STRIP_ERROR_STRINGS";

/// The device's own.
const AGENT: Recipe =
    Recipe { name: "driftlog-agent", package: "driftlog-agent", is_whole: true, c_flags: SMALL_ZSTD };
/// Without TLS, for flash of 8 MB and a network that can be trusted.
const MINIMAL_AGENT: Recipe = Recipe { name: "driftlog-agent-minimal", is_whole: false, ..AGENT };
/// What writes logs in the virtual device.
const WRITER: Recipe = Recipe { name: "driftlog-writer", package: "driftlog-writer", c_flags: "", ..AGENT };

impl Target {
    pub(crate) const ALL: [Self; 3] = [Self::Armv7, Self::Aarch64, Self::X86_64];

    /// What people call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Armv7 => "armv7",
            Self::Aarch64 => "aarch64",
            Self::X86_64 => "x86_64",
        }
    }

    /// What the compiler calls it.
    pub(crate) const fn triple(self) -> &'static str {
        match self {
            Self::Armv7 => "armv7-unknown-linux-musleabihf",
            Self::Aarch64 => "aarch64-unknown-linux-musl",
            Self::X86_64 => "x86_64-unknown-linux-musl",
        }
    }

    /// What is built for it.
    pub(crate) const fn recipes(self) -> &'static [Recipe] {
        match self {
            Self::Armv7 => &[AGENT, MINIMAL_AGENT, WRITER],
            Self::Aarch64 | Self::X86_64 => &[AGENT],
        }
    }
}
