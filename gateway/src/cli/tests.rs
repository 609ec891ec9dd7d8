use super::*;

fn parse(args: &[&str]) -> Result<Request, Failure> {
    Request::parse(std::iter::once("driftlog-gateway").chain(args.iter().copied()).map(OsString::from))
}

#[test]
fn every_command_is_understood() {
    let file = || Some(PathBuf::from("g.toml"));
    assert_eq!(parse(&["run"]), Ok(Request::Run { config: None }));
    assert_eq!(parse(&["run", "--config", "g.toml"]), Ok(Request::Run { config: file() }));
    assert_eq!(parse(&["check", "--config=g.toml"]), Ok(Request::Check { config: file() }));
    assert_eq!(parse(&["status", "--json"]), Ok(Request::Status { config: None, json: true }));
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
}

#[test]
fn the_help_names_every_command() {
    for command in COMMANDS {
        assert!(HELP.contains(&format!("\n  {command} ")), "{command}");
    }
}
