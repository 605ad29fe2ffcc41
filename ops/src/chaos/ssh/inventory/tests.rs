use super::*;

/// The example of the handbook.
fn example() -> &'static str {
    let handbook = include_str!("../../../../README.md");
    let (_, after) = handbook
        .split_once("```toml\n# grid.toml")
        .expect("the handbook has an inventory");
    let (text, _) = after.split_once("```").expect("it ends");
    text
}

fn parse(text: &str) -> Result<Inventory, String> {
    Inventory::parse(Path::new("grid.toml"), text)
}

const NODE: &str =
    "[[node]]\nname = \"a\"\nroles = [\"storage\"]\nssh = \"a\"\nsystemd = { unit = \"t.service\" }\n";

fn with(node: &str) -> String {
    format!("gateway = \"http://g:3456\"\n{node}")
}

#[test]
fn the_example_of_the_handbook_is_one() {
    let inventory = parse(example()).unwrap();
    assert!(inventory.gateway.starts_with("http"));
    let post = |name: &str| inventory.posts.iter().find(|post| post.name == name).unwrap();
    let first = post("storage-01");
    assert!(first.is_peer() && first.disk.is_some() && first.metrics.is_some());
    assert!(matches!(&first.control, Control::Systemd { sudo: true, .. }));
    assert!(inventory.posts.iter().any(|post| post.may_wipe));
    assert!(
        inventory
            .posts
            .iter()
            .any(|post| matches!(post.control, Control::Commands(_)))
    );
    let roles: Vec<&str> = inventory
        .posts
        .iter()
        .flat_map(|post| post.roles.iter().map(String::as_str))
        .collect();
    for role in ROLES {
        assert!(roles.contains(&role), "{role} is in the example");
    }
}

#[test]
fn what_is_not_allowed_is_not_done() {
    let with_dir = NODE.replace("ssh =", "dir = \"/d\"\nssh =");
    let may_wipe = with_dir
        .replace("dir =", "may_wipe = true\ndir =")
        .replace("\"a\"", "\"b\"");
    let none = NODE.replace("\"a\"", "\"c\"");
    let inventory = parse(&with(&[with_dir, may_wipe, none].concat())).unwrap();
    let means = inventory.means();
    assert_eq!(means.unwiped, ["a", "c"].map(str::to_owned).into());
    assert_eq!(means.unharmed, ["c".to_owned()].into());
    assert!(means.no_links.is_some() && means.no_small_disks.is_some() && means.no_clocks.is_some());
}

#[test]
fn commands_are_taken_as_they_are() {
    let commands = "commands = { kill = [\"k\", \"a b\"], stop = [\"s\"], freeze = [\"f\"], thaw = [\"t\"], \
                    start = [\"b\"], runs = [\"r\"] }\n";
    let text = with(&NODE.replace("systemd = { unit = \"t.service\" }\n", commands));
    let inventory = parse(&text).unwrap();
    let control = &inventory.posts[0].control;
    use super::super::control::Act;
    assert_eq!(control.commands(Act::Kill), [["k", "a b"].map(str::to_owned)]);
    assert_eq!(control.commands(Act::Runs), [["r"].map(str::to_owned)]);
    assert_eq!(control.is_down_code(), 1);
}

/// Each is told with its line and key.
#[test]
fn every_mistake_is_named() {
    let node = |from: &str, to: &str| with(&NODE.replace(from, to));
    let added = |line: &str| with(&format!("{NODE}{line}\n"));
    let cases = [
        (NODE.to_owned(), "line 1: gateway: is missing"),
        (
            with(""),
            "line 1: node: there must be 1 to 256 nodes, each begun with [[node]]",
        ),
        ("gateway = ".to_owned(), "is not TOML"),
        (
            format!("{}color = 1\n", with("")) + NODE,
            "line 2: color: unknown key; those known here are gateway, node",
        ),
        (added("may_wife = true"), "line 7: node 1.may_wife: unknown key"),
        (node("unit =", "unti ="), "node 1.systemd.unit: is missing"),
        (node("name = \"a\"\n", ""), "line 2: node 1.name: is missing"),
        (
            node("name = \"a\"", "name = 7"),
            "line 3: node 1.name: must be a text, not a whole number",
        ),
        (
            node("name = \"a\"", "name = \"\""),
            "line 3: node 1.name: must not be empty",
        ),
        (
            node("name = \"a\"", "name = \"a\\nb\""),
            "line 3: node 1.name: must not hold control characters",
        ),
        (
            node("[\"storage\"]", "[]"),
            "line 4: node 1.roles: must not be empty",
        ),
        (
            node("[\"storage\"]", "[\"disk\"]"),
            "line 4: node 1.roles: \"disk\" is no role; those are introducer, vdrive, storage, gateway",
        ),
        (
            node("ssh = \"a\"", "ssh = \"-oProxyCommand=x\""),
            "line 5: node 1.ssh: must be user@host, or a Host of ~/.ssh/config",
        ),
        (
            node("t.service", "-H"),
            "node 1.systemd.unit: must be the name of a unit",
        ),
        (
            node("systemd = { unit = \"t.service\" }\n", ""),
            "line 2: node 1: it is not said how the node is controlled; give systemd or commands",
        ),
        (
            added("commands = {}"),
            "line 7: node 1.commands: contradicts systemd; remove one of them",
        ),
        (
            node(
                "systemd = { unit = \"t.service\" }",
                "commands = { kill = [\"k\"], stop = \"s\" }",
            ),
            "node 1.commands.stop: must be a list of texts, not a text",
        ),
        (
            node(
                "systemd = { unit = \"t.service\" }",
                "commands = { kill = [\"k\"] }",
            ),
            "node 1.commands.start: is missing",
        ),
        (
            added("port = 70000"),
            "line 7: node 1.port: must be between 1 and 65535, not 70000",
        ),
        (
            added("options = [\"-v\"]"),
            "line 7: node 1.options: \"-v\" must be of the form",
        ),
        (
            added("options = [\"BatchMode=no\"]"),
            "line 7: node 1.options: BatchMode cannot be given here",
        ),
        (
            added("dir = \"var/lib\""),
            "line 7: node 1.dir: must be a path from the root",
        ),
        (
            added("may_wipe = true"),
            "line 7: node 1.may_wipe: is of no use without dir",
        ),
        (
            added("may_wipe = \"yes\""),
            "line 7: node 1.may_wipe: must be true or false, not a text",
        ),
        (
            with(&[NODE, NODE].concat()),
            "line 8: node 2.name: \"a\" is the name of a node above",
        ),
        (
            with(&[NODE, &NODE.replace("name = \"a\"", "name = \"b\"")].concat()),
            "line 7: node 2: a above is controlled by the same there",
        ),
    ];
    for (text, expected) in cases {
        let said = parse(&text).expect_err(expected);
        assert!(
            said.contains(expected),
            "{expected} is not in\n{said}\nof\n{text}"
        );
        for line in said.lines() {
            assert!(line.starts_with("grid.toml: line "), "{line}");
        }
    }
}

#[test]
fn a_file_that_is_no_inventory_is_not_read_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("grid.toml");
    std::fs::write(&path, vec![b'#'; FILE_BYTES_MAX as usize + 1]).unwrap();
    let error = Inventory::read(&path).unwrap_err();
    assert!(error.to_string().contains("longer than"), "{error}");
    let missing = Inventory::read(&dir.path().join("none")).unwrap_err();
    assert!(matches!(missing, CliError::File { .. }));
}
