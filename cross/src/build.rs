//! Building for one target: cargo with zig as C compiler and linker, and Rust's library from source.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::place::{Place, run};
use crate::target::{Recipe, Target};

/// A program that was built.
#[derive(Clone, Debug)]
pub(crate) struct Built {
    pub(crate) name: &'static str,
    /// As it is shipped.
    pub(crate) stripped: PathBuf,
    /// The same with its symbols, for the report and for what a debugger asks.
    pub(crate) symbols: PathBuf,
}

/// Builds these for a target.
pub(crate) fn build(place: &Place, target: Target, recipes: &[&Recipe]) -> io::Result<Vec<Built>> {
    let folder = place.cross.join(target.name());
    fs::create_dir_all(&folder)?;
    let build = |recipe: &&Recipe| {
        let binary = compile(place, target, recipe)?;
        let name = recipe.name;
        let (stripped, symbols) = (folder.join(name), folder.join(format!("{name}.symbols")));
        fs::copy(binary, &symbols)?;
        strip(place, &symbols, &stripped)?;
        Ok(Built { name, stripped, symbols })
    };
    recipes.iter().map(build).collect()
}

/// Compiles one program; where it lies, with its symbols.
fn compile(place: &Place, target: Target, recipe: &Recipe) -> io::Result<PathBuf> {
    let folder = place.cross.join("build");
    let profile = recipe.profile.name();
    let mut command = Command::new(place.cross.join("tools/bin/cargo-zigbuild"));
    command.current_dir(&place.root).args(["zigbuild", "--locked", "--quiet"]);
    command.args(["--package", recipe.package, "--profile", profile, "--target", target.triple()]);
    command.arg("--target-dir").arg(&folder);
    command.args(recipe.profile.library()).args(recipe.features);
    // Stripped afterwards, so that the symbols are there for the report.
    command.arg("--config").arg(format!("profile.{profile}.strip=false"));
    prepare(&mut command, place, target, recipe)?;
    run(&mut command, &format!("{} for {} cannot be built", recipe.package, target.name()))?;
    Ok(folder.join(target.triple()).join(profile).join(recipe.package))
}

/// The environment: nothing of the caller's flags, and no path of this machine in what comes out.
fn prepare(command: &mut Command, place: &Place, target: Target, recipe: &Recipe) -> io::Result<()> {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(Path::new(&env::var_os("HOME")?).join(".cargo")));
    let home = home.ok_or_else(|| io::Error::other("neither CARGO_HOME nor HOME is set"))?;
    // The last that fits counts: the results lie below the sources, or elsewhere.
    let maps = [
        (home.as_path(), "/cargo"),
        (&place.cross, "/build"),
        (&place.root, "/driftlog"),
        (&sysroot(place)?, "/rust"),
    ];
    let mut rust = "-C link-self-contained=no -C target-feature=+crt-static".to_owned();
    let mut c = recipe.c_flags.to_owned();
    for (path, name) in maps {
        rust += &format!(" --remap-path-prefix={}={name}", path.display());
        c += &format!(" -ffile-prefix-map={}={name}", path.display());
    }
    let path = env::var_os("PATH").unwrap_or_default();
    let tools = place.cross.join("tools/bin");
    let path =
        env::join_paths(std::iter::once(tools).chain(env::split_paths(&path))).map_err(io::Error::other)?;
    // Building the library is not stable; the compiler stays the one of rust-toolchain.toml.
    command.env("RUSTC_BOOTSTRAP", "1").env("PATH", path).env("RUSTFLAGS", rust).env("CFLAGS", c.trim());
    // What is built by its own configure and make does not ask for the compiler of one target, and would find
    // this machine's libraries.
    let c = target.of_c();
    command.env("CC", format!("python-zig cc -target {c}")).env("CXX", format!("python-zig c++ -target {c}"));
    command.env("AR", "python-zig ar").env("RANLIB", "python-zig ranlib").env("PKG_CONFIG", "false");
    // librdkafka names functions of its tests in the shared library that it links beside the static one.
    command.env("LDFLAGS", "-Wl,--undefined-version");
    command.env("HOST_CC", "cc").env("HOST_CXX", "c++").env("HOST_AR", "ar").env("HOST_RANLIB", "ranlib");
    command.env_remove("CARGO_ENCODED_RUSTFLAGS").env_remove("CARGO_BUILD_TARGET");
    Ok(())
}

/// Leaves symbols out, by the tool that comes with the compiler.
fn strip(place: &Place, from: &Path, to: &Path) -> io::Result<()> {
    let tool = sysroot(place)?.join("lib/rustlib").join(host(place)?).join("bin/rust-objcopy");
    run(Command::new(tool).arg("--strip-all").arg(from).arg(to), "symbols cannot be left out")
}

fn sysroot(place: &Place) -> io::Result<PathBuf> {
    Ok(PathBuf::from(ask_compiler(place, &["--print", "sysroot"])?.trim()))
}

fn host(place: &Place) -> io::Result<String> {
    let said = ask_compiler(place, &["--version", "--verbose"])?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| io::Error::other("rustc does not say for which host it is"))
}

fn ask_compiler(place: &Place, args: &[&str]) -> io::Result<String> {
    // In the repository, so that it is the compiler of rust-toolchain.toml.
    let output = Command::new("rustc").args(args).current_dir(&place.root).output()?;
    String::from_utf8(output.stdout).map_err(io::Error::other)
}
