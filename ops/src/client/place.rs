//! A place in the grid: a cap and a path below it.
//!
//! Owns the way from a place to the path of a request. It says nothing about what is there.

use crate::http::escape;

/// A cap, and the names that lead on from it. Debug output and [`Place::shown`] do not show the cap: it is a secret.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    cap: String,
    path: Vec<String>,
    /// What the user calls the cap: an alias with its colon, or nothing.
    called: String,
}

impl Place {
    /// What `cap` itself stands for.
    #[must_use]
    pub fn of(cap: &str) -> Place {
        Place {
            cap: cap.to_owned(),
            path: Vec::new(),
            called: String::new(),
        }
    }

    /// The same, under the name that the user knows.
    #[must_use]
    pub fn called(cap: &str, called: &str) -> Place {
        Place {
            called: called.to_owned(),
            ..Place::of(cap)
        }
    }

    /// The child `name` of this place.
    #[must_use]
    pub fn child(&self, name: &str) -> Place {
        let mut child = self.clone();
        child.path.push(name.to_owned());
        child
    }

    /// The directory in which this place has its name, and that name; `None` for a cap itself.
    #[must_use]
    pub fn split(&self) -> Option<(Place, &str)> {
        let (name, path) = self.path.split_last()?;
        let parent = Place {
            cap: self.cap.clone(),
            path: path.to_vec(),
            called: self.called.clone(),
        };
        Some((parent, name))
    }

    /// Its last name; `None` for a cap itself.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.path.last().map(String::as_str)
    }

    /// The cap that the path starts from. Secret.
    #[must_use]
    pub fn cap(&self) -> &str {
        &self.cap
    }

    /// Cap and path as one text, percent-encoded, for a path or a parameter.
    #[must_use]
    pub fn escaped(&self) -> String {
        let mut text = escape(&self.cap);
        for name in &self.path {
            text.push('/');
            text.push_str(&escape(name));
        }
        text
    }

    /// Cap and path as one text, as they are.
    #[must_use]
    pub fn plain(&self) -> String {
        let mut text = self.cap.clone();
        for name in &self.path {
            text.push('/');
            text.push_str(name);
        }
        text
    }

    /// The path of a request for it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("/uri/{}", self.escaped())
    }

    /// For people: the alias or the kind of the cap, and the path.
    #[must_use]
    pub fn shown(&self) -> String {
        let root = if self.called.is_empty() {
            let kind = self.cap.split(':').nth(1).unwrap_or("");
            format!("URI:{kind}:…{}", if self.path.is_empty() { "" } else { "/" })
        } else {
            self.called.clone()
        };
        format!("{root}{}", self.path.join("/"))
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_and_caps_are_not_shown() {
        let place = Place::of("URI:DIR2:abc:def")
            .child("a b")
            .child("ü?#%")
            .child("c");
        assert_eq!(place.url(), "/uri/URI:DIR2:abc:def/a%20b/%C3%BC%3F%23%25/c");
        assert_eq!(format!("{place:?}"), "URI:DIR2:…/a b/ü?#%/c");
        let home = Place::called("URI:DIR2:abc:def", "home:").child("x");
        assert_eq!(home.shown(), "home:x");
        let (parent, name) = home.split().unwrap();
        assert_eq!((parent.shown().as_str(), name), ("home:", "x"));
        assert!(parent.split().is_none());
    }
}
