//! Who this device is: random numbers for runs and sessions, and a fingerprint of the hardware by
//! which a spool notices that it woke up elsewhere.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use driftlog_proto::ids::{RunId, SessionId};
use rustix::rand::{GetRandomFlags, getrandom};

/// Random bytes of the kernel. Early in boot it waits until the kernel has some: a run that is not
/// random would be taken for another.
#[must_use]
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    let mut filled = 0;
    while filled < N {
        match getrandom(&mut bytes[filled..], GetRandomFlags::empty()) {
            Ok(count) => filled += count,
            Err(rustix::io::Errno::INTR) => {}
            // Kernels before 3.17.
            Err(_) => {
                File::open("/dev/urandom")
                    .and_then(|mut file| file.read_exact(&mut bytes))
                    .expect("a Linux without getrandom has /dev/urandom");
                return bytes;
            }
        }
    }
    bytes
}

/// A random number that is not 0.
#[must_use]
pub fn random_number() -> u64 {
    loop {
        let number = u64::from_le_bytes(random());
        if number != 0 {
            return number;
        }
    }
}

/// A new run.
#[must_use]
pub fn new_run() -> RunId {
    RunId(random_number())
}

/// A new session.
#[must_use]
pub fn new_session() -> SessionId {
    SessionId(random_number())
}

/// A hash over the machine id, the board's serial number and the addresses of the network
/// interfaces that are built in; 0 when none of them can be read. It changes when a spool is moved
/// to another board and not when a USB adapter is plugged in.
#[must_use]
pub fn hardware() -> u64 {
    fingerprint(Path::new("/"))
}

fn fingerprint(root: &Path) -> u64 {
    let mut facts = Vec::new();
    let serials = [
        "etc/machine-id",
        "sys/firmware/devicetree/base/serial-number",
        "sys/class/dmi/id/product_uuid",
        "sys/class/dmi/id/board_serial",
    ];
    facts.extend(
        serials.iter().filter_map(|name| fact(&root.join(name)).map(|text| format!("{name}={text}"))),
    );
    facts.extend(cpu_serial(root));
    facts.extend(built_in_addresses(&root.join("sys/class/net")));
    if facts.is_empty() {
        return 0;
    }
    let hash = blake3::hash(facts.join("\n").as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    u64::from_le_bytes(first).max(1)
}

fn fact(file: &Path) -> Option<String> {
    let text = fs::read_to_string(file).ok()?;
    let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    (!text.is_empty()).then(|| text.to_owned())
}

/// Older ARM boards show their serial number only here.
fn cpu_serial(root: &Path) -> Option<String> {
    let text = fs::read_to_string(root.join("proc/cpuinfo")).ok()?;
    let line = text.lines().find(|line| line.starts_with("Serial"))?;
    let serial = line.split_once(':')?.1.trim();
    serial.bytes().any(|byte| byte != b'0').then(|| format!("cpu={serial}"))
}

/// Addresses that the hardware brought with it, of interfaces that are not on a USB bus, sorted.
fn built_in_addresses(net: &Path) -> Vec<String> {
    let Ok(interfaces) = fs::read_dir(net) else { return Vec::new() };
    let mut addresses: Vec<_> = interfaces
        .filter_map(|interface| {
            let path = interface.ok()?.path();
            let device = fs::canonicalize(path.join("device")).ok()?;
            let is_built_in = fact(&path.join("addr_assign_type"))? == "0";
            let is_usb =
                device.components().any(|part| part.as_os_str().as_encoded_bytes().starts_with(b"usb"));
            let address = fact(&path.join("address"))?;
            (is_built_in && !is_usb).then(|| format!("mac={address}"))
        })
        .collect();
    addresses.sort();
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(root: &Path, name: &str, text: &str) {
        let file = root.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    }

    fn interface(root: &Path, name: &str, bus: &str, address: &str, assigned: &str) {
        let device = root.join("sys/devices").join(bus).join(name);
        fs::create_dir_all(&device).unwrap();
        let net = format!("sys/class/net/{name}");
        write(root, &format!("{net}/address"), address);
        write(root, &format!("{net}/addr_assign_type"), assigned);
        std::os::unix::fs::symlink(&device, root.join(net).join("device")).unwrap();
    }

    #[test]
    fn another_board_has_another_fingerprint_and_a_usb_adapter_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let root = &dir.path().canonicalize().unwrap();
        assert_eq!(fingerprint(root), 0, "nothing is known");
        write(root, "etc/machine-id", "0123456789abcdef0123456789abcdef\n");
        interface(root, "eth0", "platform", "02:00:00:00:00:01\n", "0\n");
        let here = fingerprint(root);
        assert_ne!(here, 0);
        interface(root, "eth1", "usb1", "02:00:00:00:00:02\n", "0\n");
        interface(root, "wlan0", "platform", "02:00:00:00:00:03\n", "3\n");
        assert_eq!(fingerprint(root), here, "neither a USB adapter nor a made-up address counts");
        write(root, "sys/firmware/devicetree/base/serial-number", "1000000012345678\0");
        let with_serial = fingerprint(root);
        assert_ne!(with_serial, here);
        write(root, "sys/firmware/devicetree/base/serial-number", "1000000012345679\0");
        assert_ne!(fingerprint(root), with_serial);
        write(root, "proc/cpuinfo", "processor\t: 0\nSerial\t\t: 0000000000000000\n");
        let zeros = fingerprint(root);
        write(root, "proc/cpuinfo", "processor\t: 0\nSerial\t\t: 00000000abcdef01\n");
        assert_ne!(fingerprint(root), zeros);
    }

    #[test]
    fn two_runs_are_never_the_same_number() {
        assert_ne!(new_run(), new_run());
        assert_ne!(new_session(), new_session());
    }
}
