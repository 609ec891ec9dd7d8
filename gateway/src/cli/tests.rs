use super::*;

fn parse(args: &[&str]) -> Result<Request, Failure> {
    Request::parse(std::iter::once("driftlog-gateway").chain(args.iter().copied()).map(OsString::from))
}

#[test]
fn every_command_and_option_is_understood() {
    let command = |args: &[&str]| match parse(args) {
        Ok(Request::Command(command, options)) => (command, options),
        other => panic!("{args:?}: {other:?}"),
    };
    let path = |name: &str| Some(PathBuf::from(name));
    assert_eq!(command(&["run"]), ("run", Options::default()));
    let checked = command(&["check", "--config=g.toml"]);
    assert_eq!(checked, ("check", Options { config: path("g.toml"), ..Options::default() }));
    assert_eq!(command(&["status", "--json"]), ("status", Options { json: true, ..Options::default() }));
    let shown = command(&["cat", "pump-7", "--lane", "urgent", "--follow", "--raw", "--archive", "a"]);
    let expected = Options {
        archive: path("a"),
        device: Some(DeviceId::new("pump-7").unwrap()),
        lane: Some(Lane::Urgent),
        follow: true,
        raw: true,
        ..Options::default()
    };
    assert_eq!(shown, ("cat", expected));
    let (_, audited) = command(&["audit", "--spool", "a.json", "--spool", "b.json"]);
    assert_eq!(audited.spools, [PathBuf::from("a.json"), PathBuf::from("b.json")]);
    let (_, audited) = command(&["audit", "--sink", "kafka", "--sink", "archive"]);
    assert_eq!(audited.sinks, [elsewhere::Elsewhere::of("kafka"), None]);
    let (_, rebuilt) = command(&["rebuild", "--force", "--without-marks"]);
    assert!(rebuilt.force && rebuilt.without_marks);
    for help in [&["--help"][..], &["-h"], &["run", "--help"]] {
        assert_eq!(parse(help), Ok(Request::Help));
    }
    for version in ["--version", "-V"] {
        assert_eq!(parse(&[version]), Ok(Request::Version));
    }
}

#[test]
fn what_is_not_understood_is_named_with_a_hint() {
    let message = |args: &[&str]| {
        let failure = parse(args).unwrap_err();
        assert_eq!(failure.code, 2);
        let (problem, hint) = failure.message.split_once('\n').unwrap();
        assert_eq!(hint, "hint: `driftlog-gateway --help` lists the commands and their options");
        problem.to_owned()
    };
    assert_eq!(message(&[]), "which command?");
    assert_eq!(message(&["start"]), "there is no command `start`");
    assert_eq!(message(&["run", "--jsno"]), "invalid option '--jsno'");
    assert_eq!(message(&["run", "--json"]), "invalid option '--json'");
    assert_eq!(message(&["run", "--config"]), "missing argument for option '--config'");
    assert_eq!(message(&["run", "now"]), "unexpected argument \"now\"");
    assert_eq!(message(&["cat"]), "which device?");
    assert_eq!(message(&["cat", "a", "b"]), "unexpected argument \"b\"");
    assert_eq!(message(&["cat", "a/b"]), "\"a/b\": not a device id (1 to 64 of A-Z a-z 0-9 . _ -)");
    assert_eq!(message(&["cat", "a", "--lane", "fast"]), "there is no lane `fast`: it is bulk or urgent");
    assert_eq!(message(&["cat", "a", "--json", "--raw"]), "--json and --raw are two different forms");
}

#[test]
fn the_help_names_every_command_and_every_option() {
    for (command, options) in COMMANDS {
        assert!(HELP.contains(&format!("\n  {command} ")), "{command}");
        for option in *options {
            assert!(HELP.contains(&format!("--{option}")), "{option}");
        }
    }
}
