//! Words for a shell on another machine.
//!
//! `ssh` joins its arguments with spaces and the shell of the account there takes the line apart again. Every word is
//! quoted, so that such a shell, if it is one of the kind of POSIX, gives back the same words, whatever is in them.

/// One line for a shell of the kind of POSIX that it takes apart into just these words.
pub(super) fn quoted<'w>(words: impl IntoIterator<Item = &'w String>) -> String {
    let quoted: Vec<String> = words.into_iter().map(|word| quote(word)).collect();
    quoted.join(" ")
}

/// Between single quotes nothing means anything but the quote itself.
fn quote(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use proptest::prelude::*;

    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn words_look_as_they_must() {
        assert_eq!(
            quoted(&words(&["systemctl", "kill", "a b"])),
            "'systemctl' 'kill' 'a b'"
        );
        assert_eq!(quoted(&words(&["it's", ""])), r"'it'\''s' ''");
        assert_eq!(quoted(&[]), "");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn a_shell_gives_back_the_same_words(words in proptest::collection::vec("[^\0]{0,20}", 1..6)) {
            let line = format!("printf '%s\\0' {}", quoted(&words));
            let output = Command::new("sh").arg("-c").arg(line).output().unwrap();
            let said: String = words.iter().map(|word| format!("{word}\0")).collect();
            prop_assert_eq!(String::from_utf8_lossy(&output.stdout).into_owned(), said);
        }
    }
}
