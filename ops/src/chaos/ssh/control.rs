//! How the process of a node is controlled on its machine: as a unit of systemd, or by commands of one's own.
//!
//! Owns the commands, as lists of words. That systemd starts a killed unit again by itself is no obstacle: a kill is
//! followed by a stop, after which it stays down.

use super::keys::{Keys, Problems};

/// Most words of one command.
const WORDS_MAX: usize = 64;

/// What a command is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Kill,
    Stop,
    Freeze,
    Thaw,
    Start,
    /// Only looks whether it runs.
    Runs,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Control {
    Systemd {
        unit: String,
        /// Whether `sudo` is needed for all but looking.
        sudo: bool,
    },
    Commands(Box<Commands>),
}

/// Commands of one's own, each with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Commands {
    kill: Vec<String>,
    stop: Vec<String>,
    freeze: Vec<String>,
    thaw: Vec<String>,
    start: Vec<String>,
    runs: Vec<String>,
}

impl Control {
    /// From the keys of a node; none if they are wrong, which is told.
    pub(super) fn read<'i>(node: &mut Keys<'_, 'i>, problems: &mut Problems<'i>) -> Option<Control> {
        match (node.has(problems, "systemd"), node.has(problems, "commands")) {
            (true, false) => {
                let mut keys = node.table(problems, "systemd")?;
                let unit = keys.needed(problems, "unit");
                let sudo = keys.flag(problems, "sudo");
                if unit.as_ref().is_some_and(|unit| !is_unit(unit)) {
                    keys.wrong(
                        problems,
                        "unit",
                        "must be the name of a unit, such as \"truckee.service\"",
                    );
                }
                keys.finish(problems);
                unit.map(|unit| Control::Systemd { unit, sudo })
            }
            (false, true) => {
                let mut keys = node.table(problems, "commands")?;
                let mut command = |key| command(&mut keys, problems, key);
                let commands = Commands {
                    kill: command("kill"),
                    stop: command("stop"),
                    freeze: command("freeze"),
                    thaw: command("thaw"),
                    start: command("start"),
                    runs: command("runs"),
                };
                keys.finish(problems);
                Some(Control::Commands(Box::new(commands)))
            }
            (true, true) => {
                node.wrong(problems, "commands", "contradicts systemd; remove one of them");
                None
            }
            (false, false) => {
                let what = "it is not said how the node is controlled; give systemd or commands";
                node.wrong_here(problems, what);
                None
            }
        }
    }

    /// The commands that do it, one after the other as long as they succeed.
    pub(super) fn commands(&self, act: Act) -> Vec<Vec<String>> {
        let (unit, sudo) = match self {
            Control::Systemd { unit, sudo } => (unit, *sudo),
            Control::Commands(commands) => {
                let command = match act {
                    Act::Kill => &commands.kill,
                    Act::Stop => &commands.stop,
                    Act::Freeze => &commands.freeze,
                    Act::Thaw => &commands.thaw,
                    Act::Start => &commands.start,
                    Act::Runs => &commands.runs,
                };
                return vec![command.clone()];
            }
        };
        let systemctl = |words: &[&str], sudo: bool| {
            let sudo: &[&str] = if sudo { &["sudo", "-n"] } else { &[] };
            let words = [sudo, &["systemctl"], words, &[unit.as_str()]].concat();
            words.into_iter().map(str::to_owned).collect::<Vec<String>>()
        };
        match act {
            Act::Kill => vec![
                systemctl(&["kill", "-s", "KILL"], sudo),
                systemctl(&["stop"], sudo),
            ],
            Act::Stop => vec![systemctl(&["stop"], sudo)],
            Act::Freeze => vec![systemctl(&["kill", "-s", "STOP"], sudo)],
            Act::Thaw => vec![systemctl(&["kill", "-s", "CONT"], sudo)],
            Act::Start => vec![systemctl(&["start"], sudo)],
            Act::Runs => vec![systemctl(&["is-active", "--quiet"], false)],
        }
    }

    /// The exit code with which looking says that it does not run.
    pub(super) fn is_down_code(&self) -> i32 {
        match self {
            // As systemctl and init scripts have it: the program is not running.
            Control::Systemd { .. } => 3,
            Control::Commands(_) => 1,
        }
    }

    /// Where its log is on its machine.
    pub(super) fn log(&self) -> String {
        match self {
            Control::Systemd { unit, .. } => format!("`journalctl -u {unit}`"),
            Control::Commands(_) => "its log".to_owned(),
        }
    }
}

fn command<'i>(keys: &mut Keys<'_, 'i>, problems: &mut Problems<'i>, key: &'static str) -> Vec<String> {
    keys.needed_texts(problems, key, WORDS_MAX)
}

/// What systemd takes as a name, as far as it matters that it is no option and one word.
fn is_unit(unit: &str) -> bool {
    !unit.starts_with('-')
        && unit
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || ":-_.\\@".contains(c))
}

#[cfg(test)]
mod tests {
    use super::super::quote::quoted;
    use super::*;

    fn lines(control: &Control, act: Act) -> Vec<String> {
        control.commands(act).iter().map(quoted).collect()
    }

    #[test]
    fn a_unit_is_controlled_by_systemctl() {
        let unit = "truckee.service".to_owned();
        let control = Control::Systemd { unit, sudo: true };
        let all = [Act::Stop, Act::Freeze, Act::Thaw, Act::Start, Act::Runs];
        let said: Vec<String> = all.iter().flat_map(|act| lines(&control, *act)).collect();
        assert_eq!(
            said,
            [
                "'sudo' '-n' 'systemctl' 'stop' 'truckee.service'",
                "'sudo' '-n' 'systemctl' 'kill' '-s' 'STOP' 'truckee.service'",
                "'sudo' '-n' 'systemctl' 'kill' '-s' 'CONT' 'truckee.service'",
                "'sudo' '-n' 'systemctl' 'start' 'truckee.service'",
                "'systemctl' 'is-active' '--quiet' 'truckee.service'",
            ]
        );
        let unit = "n@1.service".to_owned();
        let control = Control::Systemd { unit, sudo: false };
        let kill = "'systemctl' 'kill' '-s' 'KILL' 'n@1.service'";
        assert_eq!(
            lines(&control, Act::Kill),
            [kill, "'systemctl' 'stop' 'n@1.service'"]
        );
        assert_eq!(control.is_down_code(), 3);
    }

    #[test]
    fn units_are_told_from_options() {
        for good in ["truckee.service", "truckee@1", "a-b_c:d.service"] {
            assert!(is_unit(good), "{good}");
        }
        for bad in ["-H", "a b", "a;b", "$(x)", "ä"] {
            assert!(!is_unit(bad), "{bad}");
        }
    }
}
