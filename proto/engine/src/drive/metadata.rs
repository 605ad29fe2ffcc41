//! The metadata of a link: what the user says of it, and when it was made and changed.
//!
//! The part under the key `tahoe` is kept here and not by users: `linkcrtime` is when the name was first linked and
//! stays when its child is replaced; `linkmotime` is when it was last. Both are seconds since 1970, with a fraction, as
//! the clients of Tahoe-LAFS expect.

use serde_json::{Map, Number, Value};
use truckee_grid::drive::METADATA_BYTES_MAX;

use super::EditWhy;

const SYSTEM: &str = "tahoe";
const CREATED: &str = "linkcrtime";
const MOVED: &str = "linkmotime";

/// The metadata of a link that is made or replaced now. `before` is that of the child under the same name, `given` what
/// the user says; without it the user's part stays.
pub(super) fn updated(
    before: Option<&str>,
    given: Option<&str>,
    now_unix_ms: u64,
) -> Result<String, EditWhy> {
    let refused = EditWhy::Metadata {
        bytes_max: METADATA_BYTES_MAX,
    };
    // What is there may be of other software: what is no object counts as none.
    let mut old: Map<String, Value> = before
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default();
    let mut system = match old.remove(SYSTEM) {
        Some(Value::Object(system)) => system,
        _ => Map::new(),
    };
    let mut new = match given {
        None => old,
        Some(text) if text.len() <= METADATA_BYTES_MAX => {
            serde_json::from_str(text).map_err(|_| refused.clone())?
        }
        Some(_) => return Err(refused),
    };
    let given_system = new.remove(SYSTEM);
    let now = Number::from_f64(now_unix_ms as f64 / 1000.0).expect("a whole number over 1000 is finite");
    if !system.contains_key(CREATED) {
        // A copy of a tree brings along when its links were made.
        let given = given_system.as_ref().and_then(|system| system.get(CREATED));
        let created = given.filter(|time| time.is_number()).cloned();
        system.insert(CREATED.to_owned(), created.unwrap_or(Value::Number(now.clone())));
    }
    system.insert(MOVED.to_owned(), Value::Number(now));
    new.insert(SYSTEM.to_owned(), Value::Object(system));
    let text = Value::Object(new).to_string();
    if text.len() > METADATA_BYTES_MAX {
        return Err(refused);
    }
    Ok(text)
}

/// The user's part alone, for a link that moves to another name.
pub(super) fn without_system(text: &str) -> String {
    let mut map: Map<String, Value> = serde_json::from_str(text).unwrap_or_default();
    map.remove(SYSTEM);
    Value::Object(map).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn the_creation_time_stays_and_the_users_part_is_replaced_only_when_given() {
        let first = updated(None, Some(r#"{"a": 1, "tahoe": {"x": 2}}"#), 1500).unwrap();
        assert_eq!(
            value(&first),
            value(r#"{"a": 1, "tahoe": {"linkcrtime": 1.5, "linkmotime": 1.5}}"#)
        );
        let second = updated(Some(&first), None, 2500).unwrap();
        assert_eq!(
            value(&second),
            value(r#"{"a": 1, "tahoe": {"linkcrtime": 1.5, "linkmotime": 2.5}}"#)
        );
        let given = r#"{"b": 1, "tahoe": {"linkcrtime": 9.0}}"#;
        let third = updated(Some(&second), Some(given), 3500).unwrap();
        assert_eq!(
            value(&third),
            value(r#"{"b": 1, "tahoe": {"linkcrtime": 1.5, "linkmotime": 3.5}}"#)
        );
        assert_eq!(value(&without_system(&third)), value(r#"{"b": 1}"#));
        let fresh = updated(None, Some(given), 3500).unwrap();
        assert_eq!(value(&fresh)["tahoe"]["linkcrtime"], 9.0);
        let no_time = updated(None, Some(r#"{"tahoe": {"linkcrtime": "x"}}"#), 3500).unwrap();
        assert_eq!(value(&no_time)["tahoe"]["linkcrtime"], 3.5);
    }

    #[test]
    fn what_is_no_object_or_too_long_is_refused() {
        let refused = Err(EditWhy::Metadata {
            bytes_max: METADATA_BYTES_MAX,
        });
        for bad in ["[]", "1", "{", "", "null"] {
            assert_eq!(updated(None, Some(bad), 0), refused, "{bad}");
        }
        let long = format!(r#"{{"a": "{}"}}"#, "x".repeat(METADATA_BYTES_MAX));
        assert_eq!(updated(None, Some(&long), 0), refused);
        let spaces = format!("{{{}}}", " ".repeat(METADATA_BYTES_MAX));
        assert_eq!(updated(None, Some(&spaces), 0), refused, "too long to look at");
        let just = format!(r#"{{"a": "{}"}}"#, "x".repeat(METADATA_BYTES_MAX - 20));
        assert_eq!(updated(None, Some(&just), 0), refused, "the times no longer fit");
        let deep = format!("{}1{}", r#"{"a":"#.repeat(2000), "}".repeat(2000));
        assert_eq!(updated(None, Some(&deep), 0), refused, "too deep to read");
    }
}
