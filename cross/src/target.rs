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
    /// The profile of the root `Cargo.toml`.
    pub(crate) profile: Profile,
    /// What cargo is told of its features.
    pub(crate) features: &'static [&'static str],
    /// For what is written in C.
    pub(crate) c_flags: &'static str,
}

/// What a program is optimised for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Small before fast, and a panic aborts.
    Device,
    /// Fast, and a panic unwinds.
    Release,
}

/// Parts of zstd that no agent uses: its strategies above level 3's, and a second way to decompress, which
/// only `spool export` does there. What is left is the same code with the same output.
const SMALL_ZSTD: &str = "-DZSTD_EXCLUDE_GREEDY_BLOCK_COMPRESSOR -DZSTD_EXCLUDE_LAZY_BLOCK_COMPRESSOR \
    -DZSTD_EXCLUDE_LAZY2_BLOCK_COMPRESSOR -DZSTD_EXCLUDE_BTLAZY2_BLOCK_COMPRESSOR \
    -DZSTD_EXCLUDE_BTOPT_BLOCK_COMPRESSOR -DZSTD_EXCLUDE_BTULTRA_BLOCK_COMPRESSOR \
    -DHUF_FORCE_DECOMPRESS_X1 -DZSTD_FORCE_DECOMPRESS_SEQUENCES_SHORT -DZSTD_STRIP_ERROR_STRINGS";

/// The device's own.
pub(crate) const AGENT: Recipe = Recipe {
    name: "driftlog-agent",
    package: "driftlog-agent",
    profile: Profile::Device,
    features: &[],
    c_flags: SMALL_ZSTD,
};
/// Without TLS, for flash of 8 MB and a network that can be trusted.
const MINIMAL_AGENT: Recipe =
    Recipe { name: "driftlog-agent-minimal", features: &["--no-default-features"], ..AGENT };
/// What writes logs in the virtual device.
const WRITER: Recipe = Recipe { name: "driftlog-writer", package: "driftlog-writer", c_flags: "", ..AGENT };
/// What receives a region, on a machine beside the broker.
pub(crate) const GATEWAY: Recipe = Recipe {
    name: "driftlog-gateway",
    package: "driftlog-gateway",
    profile: Profile::Release,
    features: &["--features", "driftlog-gateway/kafka"],
    c_flags: "",
};

impl Profile {
    /// What cargo calls it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::Release => "release",
        }
    }

    /// What cargo is told of Rust's own library.
    pub(crate) const fn library(self) -> &'static [&'static str] {
        match self {
            Self::Device => &["-Zbuild-std=std,panic_abort", "-Zbuild-std-features=optimize_for_size"],
            Self::Release => &["-Zbuild-std=std,panic_unwind"],
        }
    }
}

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

    /// What the C compiler calls it.
    pub(crate) const fn of_c(self) -> &'static str {
        match self {
            Self::Armv7 => "arm-linux-musleabihf",
            Self::Aarch64 => "aarch64-linux-musl",
            Self::X86_64 => "x86_64-linux-musl",
        }
    }

    /// What is built for it.
    pub(crate) const fn recipes(self) -> &'static [Recipe] {
        match self {
            Self::Armv7 => &[AGENT, MINIMAL_AGENT, WRITER],
            Self::Aarch64 | Self::X86_64 => &[AGENT, GATEWAY],
        }
    }

    /// Whether that is built for it.
    pub(crate) fn builds(self, recipe: &Recipe) -> bool {
        self.recipes().iter().any(|built| built.name == recipe.name)
    }
}
