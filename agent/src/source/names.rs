//! What names of files tell.

/// Endings of compressed files. They hold what was read before they were compressed.
pub(crate) const COMPRESSED: [&str; 9] = [".gz", ".zst", ".xz", ".bz2", ".lz4", ".Z", ".zip", ".br", ".tgz"];

/// Whether a file's name says that it is compressed.
pub(crate) fn is_compressed(path: &str) -> bool {
    COMPRESSED.iter().any(|ending| path.ends_with(ending))
}

/// The last component of a path.
pub(crate) fn file_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// The directory of a path.
pub(crate) fn directory(path: &str) -> &str {
    match path.rsplit_once('/') {
        Some(("", _)) => "/",
        Some((dir, _)) => dir,
        None => ".",
    }
}

/// `name` in `dir`.
pub(crate) fn join(dir: &str, name: &str) -> String {
    if dir.ends_with('/') { format!("{dir}{name}") } else { format!("{dir}/{name}") }
}

/// Whether `name` is what a rotation makes of `original`: the same with something added, before or
/// after its extension (`app.log`: `app.log.1`, `app.log-20260101`, `app-20260101.log`, `app.1.log`).
pub(crate) fn is_rotation_of(name: &str, original: &str) -> bool {
    let stem = original.rsplit_once('.').map_or(original, |(stem, _)| stem);
    let stem = if stem.is_empty() { original } else { stem };
    let added = name.strip_prefix(stem).filter(|_| name.len() > original.len());
    added.is_some_and(|rest| rest.starts_with(|c: char| !c.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rotations_are_known_by_their_names() {
        for name in ["app.log.1", "app.log-20260101", "app-20260101.log", "app.1.log", "app.log.bak"] {
            assert!(is_rotation_of(name, "app.log"), "{name}");
        }
        for name in ["app.log", "application.log", "other.log.1", "app"] {
            assert!(!is_rotation_of(name, "app.log"), "{name}");
        }
        assert!(is_rotation_of("syslog.1", "syslog"));
        assert!(!is_rotation_of("app.log", "app.log.1"));
    }
}
