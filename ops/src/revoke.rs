//! `truckee revoke`: shuts a node out of the mesh for good.
//!
//! Owns what the operator is told and asked before. The introducer finds out whom a name means, and the order itself
//! goes by the id that it gave.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};

use serde_json::json;
use truckee_nodes::Role;
use truckee_nodes::control::{Answer, Ask, Subject};

use crate::cli::operator::RevokeArgs;
use crate::error::CliError;
use crate::operator::{ask, in_cluster, odd};
use crate::output::{bytes_text, print_json, print_line};

/// Runs the command.
pub(crate) fn run(args: &RevokeArgs) -> Result<(), CliError> {
    let dir = introducer(args)?;
    let member = Ask::Member {
        node: args.node.clone(),
    };
    let Answer::Member(subject) = ask(&dir, &member)? else {
        return Err(odd(&dir));
    };
    if !args.json {
        for line in forecast(&subject) {
            print_line(&line)?;
        }
    }
    if !args.yes {
        confirm(&args.node)?;
    }
    let order = Ask::Revoke {
        node_id: subject.node_id.clone(),
    };
    let Answer::Revoked = ask(&dir, &order)? else {
        return Err(odd(&dir));
    };
    if args.json {
        return print_json(&json!({ "revoked": subject }));
    }
    for line in aftermath(&subject, &dir) {
        print_line(&line)?;
    }
    Ok(())
}

fn introducer(args: &RevokeArgs) -> Result<PathBuf, CliError> {
    if let Some(dir) = &args.dir {
        return Ok(dir.clone());
    }
    let found = in_cluster(&args.cluster, |node| {
        node.roles.iter().any(|role| role == "introducer")
    })?;
    found.ok_or_else(|| CliError::NoCluster {
        dir: args.cluster.clone(),
    })
}

/// Who it is, and what will happen.
fn forecast(subject: &Subject) -> Vec<String> {
    let roles: Vec<&str> = subject.roles.iter().map(|role| role.word()).collect();
    let link = if subject.linked { "linked" } else { "not linked" };
    let mut lines = vec![format!(
        "{} is {} ({link}), id {}",
        subject.nickname,
        roles.join(" and "),
        subject.node_id
    )];
    lines.push("revoked, it is shut out for good: no node talks to it any more, and it cannot come back with this id".into());
    if subject.roles.contains(&Role::Storage) {
        lines.push(format!(
            "{} counts as lost at once; {} other storage nodes are linked and make it again",
            holdings(subject),
            subject.other_storage
        ));
        lines.push(
            "if it still works and shall merely go, empty it first with `truckee drain`: that risks nothing"
                .into(),
        );
    }
    lines
}

fn holdings(subject: &Subject) -> String {
    match (subject.shares, subject.used_bytes) {
        (Some(1), Some(bytes)) => format!("the share that it holds ({})", bytes_text(bytes)),
        (Some(shares), Some(bytes)) => format!("what it holds, {shares} shares of {}", bytes_text(bytes)),
        _ => "what it holds".to_owned(),
    }
}

fn aftermath(subject: &Subject, introducer: &Path) -> Vec<String> {
    vec![
        format!(
            "{} is revoked; the others hear of it within moments, those that are off when they are back",
            subject.nickname
        ),
        format!(
            "whoever has its files may know the invite too: to renew that, stop the introducer, remove {}, and start it \
             again; members stay members",
            introducer.join("invite.secret").display()
        ),
    ]
}

/// A person types the name once more; a program must say --yes.
fn confirm(name: &str) -> Result<(), CliError> {
    let input = io::stdin();
    if !input.is_terminal() {
        return Err(CliError::Unconfirmed {
            hint: "say that it is meant with --yes",
        });
    }
    let mut out = io::stdout().lock();
    let asked = write!(out, "type {name} to revoke it: ").and_then(|()| out.flush());
    asked.map_err(CliError::Stdout)?;
    let mut line = String::new();
    let read = input.lock().read_line(&mut line);
    read.map_err(|source| CliError::System {
        action: "read from the terminal",
        source,
    })?;
    if line.trim() == name {
        return Ok(());
    }
    Err(CliError::Unconfirmed {
        hint: "that was not its name",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(roles: &[Role]) -> Subject {
        Subject {
            node_id: "abc".into(),
            nickname: "cellar".into(),
            roles: roles.to_vec(),
            linked: true,
            shares: Some(12),
            used_bytes: Some(3 << 20),
            other_storage: 9,
        }
    }

    #[test]
    fn the_forecast_names_the_node_and_what_is_lost_with_it() {
        let text = forecast(&subject(&[Role::Storage])).join("\n");
        for part in [
            "cellar is storage (linked), id abc",
            "12 shares of 3.00 MiB",
            "9 other storage nodes",
            "truckee drain",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let silent = Subject {
            shares: None,
            used_bytes: None,
            linked: false,
            ..subject(&[Role::Storage])
        };
        let text = forecast(&silent).join("\n");
        assert!(
            text.contains("(not linked)") && text.contains("\nwhat it holds counts as lost"),
            "{text}"
        );
        let text = forecast(&subject(&[Role::Gateway])).join("\n");
        assert!(
            !text.contains("lost") && !text.contains("drain"),
            "a gateway holds nothing: {text}"
        );
    }

    #[test]
    fn afterwards_the_way_to_a_new_invite_is_named() {
        let text = aftermath(&subject(&[Role::Storage]), Path::new("d")).join("\n");
        assert!(text.contains("d/invite.secret"), "{text}");
    }
}
