use super::*;

fn door() -> Door {
    Door {
        destination: "chaos@10.0.0.11".into(),
        port: Some(2222),
        identity: Some("~/.ssh/chaos key".into()),
        options: vec!["ProxyJump=gate.example.org".into(), "ConnectTimeout=3".into()],
    }
}

#[test]
fn what_ssh_is_given_cannot_ask_and_keeps_its_connection() {
    let words = arguments(&door(), Some(Path::new("/run/x/7")));
    assert_eq!(
        words.join(" "),
        "-T -a -x -p 2222 -i ~/.ssh/chaos key -o BatchMode=yes -o ControlMaster=auto -o ControlPath=/run/x/7 \
         -o ControlPersist=60 -o ProxyJump=gate.example.org -o ConnectTimeout=3 -o ConnectTimeout=10 \
         -o ServerAliveInterval=5 -o ServerAliveCountMax=3"
    );
    let plain = Door {
        destination: "storage-01".into(),
        port: None,
        identity: None,
        options: Vec::new(),
    };
    assert_eq!(
        arguments(&plain, None).join(" "),
        "-T -a -x -o BatchMode=yes -o ControlPath=none -o ConnectTimeout=10 -o ServerAliveInterval=5 \
         -o ServerAliveCountMax=3"
    );
}

#[test]
fn commands_follow_each_other_as_long_as_they_succeed() {
    let commands = [["a", "b c"], ["d", "e;f"]].map(|words| words.map(str::to_owned).to_vec());
    assert_eq!(line_of(&commands), "'a' 'b c' && 'd' 'e;f'");
}

fn sh(script: &str, within_ms: u64) -> Result<Said, Failed> {
    let mut command = Command::new("sh");
    command.arg("-c").arg(script);
    run(command, b"word".to_vec(), Duration::from_millis(within_ms))
}

#[test]
fn what_a_program_says_is_heard_and_it_has_its_time() {
    let said = sh("cat; echo one >&2; printf '\\033two\\n\\n' >&2; exit 3", 60_000).unwrap();
    assert_eq!((said.code, said.answer.as_slice()), (3, b"word".as_slice()));
    assert_eq!(said.complaint, "two");
    // Longer than a pipe holds, both ways.
    let said = sh("head -c 300000 /dev/zero", 60_000).unwrap();
    assert_eq!(said.answer.len(), 300_000);
    for late in ["exec sleep 60", "exec >&- 2>&-; exec sleep 60"] {
        let started = Instant::now();
        assert!(matches!(sh(late, 100), Err(Failed::Late)), "{late}");
        assert!(started.elapsed() < Duration::from_secs(30), "it was ended");
    }
    let missing = run(Command::new("/nonexistent/x"), Vec::new(), END_WITHIN);
    assert!(matches!(missing, Err(Failed::NotStarted(_))));
    // Who holds the pipe for complaints keeps nobody waiting.
    let started = Instant::now();
    assert_eq!(sh("sleep 5 >&- & exit 0", 60_000).unwrap().code, 0);
    assert!(started.elapsed() < Duration::from_secs(4));
}

#[test]
fn errors_name_the_node_and_what_to_do() {
    let line = Line::new("storage-01", &door(), None);
    let commands = [vec!["systemctl".to_owned(), "stop".to_owned()]];
    let said = Said {
        code: 5,
        answer: Vec::new(),
        complaint: "Unit x not loaded.".into(),
    };
    assert_eq!(
        line.refused(&commands, &said).to_string(),
        "node storage-01: `'systemctl' 'stop'` failed on chaos@10.0.0.11 with exit code 5 (Unit x not loaded.); run it there by hand"
    );
}
