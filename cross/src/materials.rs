//! What a program is made of: a bill of materials (CycloneDX 1.5) and the licences of all of it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use serde_json::{Value, json};

use crate::place::Place;
use crate::target::{Recipe, Target};

/// Writes `PROGRAM.cdx.json` and `PROGRAM.licences.txt`, for what any of the targets takes in.
pub(crate) fn write(place: &Place, recipe: &Recipe, targets: &[Target], folder: &Path) -> io::Result<()> {
    let program = recipe.name;
    let mut parts = BTreeMap::new();
    for target in targets {
        let metadata = ask_cargo(place, recipe, *target)?;
        parts.extend(metadata.parts_of(program)?);
    }
    let text = serde_json::to_string_pretty(&bill(program, parts.values()))?;
    fs::write(folder.join(format!("{program}.cdx.json")), text + "\n")?;
    fs::write(folder.join(format!("{program}.licences.txt")), licences(program, parts.values())?)
}

fn ask_cargo(place: &Place, recipe: &Recipe, target: Target) -> io::Result<Metadata> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["metadata", "--format-version", "1", "--locked", "--filter-platform", target.triple()]);
    command.args(recipe.features);
    let output = command.current_dir(&place.root).output()?;
    if !output.status.success() {
        return Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

#[derive(Clone, Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    license: Option<String>,
    source: Option<String>,
    manifest_path: PathBuf,
}

#[derive(Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    deps: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    pkg: String,
    dep_kinds: Vec<Kind>,
}

#[derive(Deserialize)]
struct Kind {
    kind: Option<String>,
}

impl Metadata {
    /// A program and what it links, by name and version; what only builds or tests is left out, but
    /// for the source of a C library, whose package has that name.
    fn parts_of(&self, program: &str) -> io::Result<BTreeMap<(String, String), Package>> {
        let root = self.packages.iter().find(|package| package.name == program);
        let root = root.ok_or_else(|| io::Error::other(format!("no package {program}")))?;
        let mut seen = BTreeSet::new();
        let mut next = vec![root.id.as_str()];
        while let Some(id) = next.pop() {
            // The source of a C library is linked; what its package has beside that only builds it.
            let is_source =
                self.packages.iter().any(|package| package.id == id && package.name.ends_with("-src"));
            if !seen.insert(id) || is_source {
                continue;
            }
            let nodes = self.resolve.nodes.iter().filter(|node| node.id == id);
            let is_linked = |dependency: &&Dependency| {
                dependency.name.ends_with("_src")
                    || dependency.dep_kinds.iter().any(|kind| kind.kind.is_none())
            };
            next.extend(
                nodes.flat_map(|node| node.deps.iter().filter(is_linked)).map(|dep| dep.pkg.as_str()),
            );
        }
        let parts = self.packages.iter().filter(|package| seen.contains(package.id.as_str()));
        Ok(parts.map(|part| ((part.name.clone(), part.version.clone()), part.clone())).collect())
    }
}

fn bill<'a>(program: &str, parts: impl Iterator<Item = &'a Package>) -> Value {
    let component = |part: &Package| {
        let Package { name, version, license, source, .. } = part;
        let mut component = json!({
            "type": if name == program { "application" } else { "library" },
            "name": name,
            "version": version,
            "licenses": [{ "expression": license.as_deref().unwrap_or("unknown").replace('/', " OR ") }],
        });
        if source.is_some() {
            component["purl"] = format!("pkg:cargo/{name}@{version}").into();
        }
        component
    };
    let (own, others): (Vec<Value>, Vec<Value>) =
        parts.map(component).partition(|component| component["type"] == "application");
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": own.first() },
        "components": others,
    })
}

fn licences<'a>(program: &str, parts: impl Iterator<Item = &'a Package>) -> io::Result<String> {
    let mut list = format!("{program} contains:\n\n");
    // Most have the same text: each stands here once, with whose it is.
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for part in parts {
        let title = format!("{} {}", part.name, part.version);
        list += &format!("  {title}: {}\n", part.license.as_deref().unwrap_or("unknown"));
        let Some(folder) = part.manifest_path.parent() else { continue };
        // C libraries lie whole in their packages, with licences of their own.
        let depth = if part.source.is_some() { 2 } else { 0 };
        for text in licence_texts(folder, depth)? {
            texts.entry(text).or_default().push(title.clone());
        }
    }
    let rule = "-".repeat(80);
    for (text, whose) in texts {
        list += &format!("\n{rule}\n{}\n{rule}\n\n{}\n", whose.join(", "), text.trim_end());
    }
    Ok(list)
}

/// Of a folder, and of so many levels of folders below it.
fn licence_texts(folder: &Path, depth: usize) -> io::Result<BTreeSet<String>> {
    let mut texts = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().to_uppercase();
        let is_licence =
            ["LICENSE", "LICENCE", "COPYING", "NOTICE"].iter().any(|word| name.starts_with(word));
        let kind = entry.file_type()?;
        if is_licence && kind.is_file() {
            texts.insert(String::from_utf8_lossy(&fs::read(entry.path())?).into_owned());
        } else if kind.is_dir() && depth > 0 {
            texts.append(&mut licence_texts(&entry.path(), depth - 1)?);
        }
    }
    Ok(texts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata() -> Metadata {
        let package = |name: &str| {
            json!({ "id": name, "name": name, "version": "1.0.0", "license": "MIT/Apache-2.0", "source": "registry",
                    "manifest_path": "/nowhere/Cargo.toml" })
        };
        let needs = |name: &str, kind: Value| json!({ "name": name.replace('-', "_"), "pkg": name, "dep_kinds": [{ "kind": kind }] });
        let node = |name: &str, deps: Vec<Value>| json!({ "id": name, "deps": deps });
        let text = json!({
            "packages": (["agent", "log", "cc", "c-src", "proptest", "other"].map(package)),
            "resolve": { "nodes": [
                node("agent", vec![needs("log", Value::Null), needs("cc", "build".into()), needs("proptest", "dev".into())]),
                node("log", vec![needs("c-src", "build".into())]), node("c-src", vec![needs("cc", Value::Null)]), node("other", vec![]),
            ] },
        });
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn a_bill_names_what_is_linked_and_not_what_builds_or_tests() {
        let parts = metadata().parts_of("agent").unwrap();
        let bill = bill("agent", parts.values());
        assert_eq!(bill["metadata"]["component"]["name"], "agent");
        let names = ["c-src", "log"].map(|name| format!("pkg:cargo/{name}@1.0.0"));
        let components = bill["components"].as_array().unwrap();
        assert!(components.iter().map(|component| &component["purl"]).eq(&names));
        assert_eq!(bill["components"][0]["licenses"][0]["expression"], "MIT OR Apache-2.0");
    }

    #[test]
    fn the_licences_of_this_repository_are_found() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        assert!(licence_texts(&root, 0).unwrap().len() >= 2);
    }
}
