//! Arguments in the query of a URL.
//!
//! An argument that nobody knows is left alone, as clients of other gateways send some that mean nothing here; one
//! that is known and malformed is refused with its name.

use actix_web::web::Query;
use truckee_engine::drive::Replace;
use truckee_grid::params::Encoding;

use super::error::HttpError;
use crate::config::encoding;

/// More than any client sends.
const ARGUMENTS_MAX: usize = 64;

/// Kinds of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// Immutable.
    Chk,
    /// Mutable, with caps of the kind SSK.
    Sdmf,
    /// Mutable, with caps of the kind MDMF. There is no other difference here.
    Mdmf,
}

/// The arguments of one request, decoded.
#[derive(Debug, Default)]
pub(super) struct Args(Vec<(String, String)>);

impl Args {
    /// Reads the part of a URL after the question mark.
    pub(super) fn parse(query: &str) -> Result<Args, HttpError> {
        let parsed = Query::<Vec<(String, String)>>::from_query(query).map_err(|_| HttpError::BadQuery)?;
        let pairs = parsed.into_inner();
        if pairs.len() > ARGUMENTS_MAX {
            return Err(HttpError::BadQuery);
        }
        Ok(Args(pairs))
    }

    /// An argument's value. If it is given twice the first counts.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
    }

    /// Adds what came by another way, such as a form field; what the URL says counts more.
    pub(super) fn add(&mut self, name: &str, value: String) {
        self.0.push((name.to_owned(), value));
    }

    /// Adds what came in a form; what the URL says counts more.
    pub(super) fn extend(&mut self, form: Args) {
        self.0.extend(form.0);
    }

    /// An argument's value unless it is empty.
    pub(super) fn filled(&self, name: &str) -> Option<&str> {
        self.get(name).filter(|value| !value.is_empty())
    }

    /// The operation, `t`; empty if there is none.
    pub(super) fn operation(&self) -> &str {
        self.get("t").map_or("", str::trim)
    }

    /// A switch; absent is off.
    pub(super) fn flag(&self, name: &'static str) -> Result<bool, HttpError> {
        Ok(self.switch(name)?.unwrap_or(false))
    }

    /// A switch that may be absent.
    pub(super) fn switch(&self, name: &'static str) -> Result<Option<bool>, HttpError> {
        match self.get(name).map(str::to_ascii_lowercase).as_deref() {
            None => Ok(None),
            Some("false" | "f" | "0" | "off") => Ok(Some(false)),
            Some("true" | "t" | "1" | "on") => Ok(Some(true)),
            Some(_) => Err(HttpError::BadArgument {
                name,
                expected: "true or false",
            }),
        }
    }

    /// What to do when a name is taken; none if the request does not say. `overwrite` is an older name of it.
    pub(super) fn replace(&self) -> Result<Option<Replace>, HttpError> {
        let name = if self.get("replace").is_some() {
            "replace"
        } else {
            "overwrite"
        };
        if self
            .get(name)
            .is_some_and(|value| value.eq_ignore_ascii_case("only-files"))
        {
            return Ok(Some(Replace::OnlyFiles));
        }
        let expected = "true, false or only-files";
        let switch = self
            .switch(name)
            .map_err(|_| HttpError::BadArgument { name, expected })?;
        Ok(switch.map(|always| if always { Replace::Always } else { Replace::Never }))
    }

    /// The kind of a new file or directory; none if the request does not say. `mutable=true` is an older way to say
    /// SDMF.
    pub(super) fn format(&self) -> Result<Option<Format>, HttpError> {
        match self.filled("format").map(str::to_ascii_uppercase).as_deref() {
            None if self.flag("mutable")? => Ok(Some(Format::Sdmf)),
            None => Ok(None),
            Some("CHK") => Ok(Some(Format::Chk)),
            Some("SDMF") => Ok(Some(Format::Sdmf)),
            Some("MDMF") => Ok(Some(Format::Mdmf)),
            Some(_) => Err(HttpError::BadArgument {
                name: "format",
                expected: "CHK, SDMF or MDMF",
            }),
        }
    }

    /// Where in a mutable file the body begins.
    pub(super) fn offset(&self) -> Result<Option<u64>, HttpError> {
        self.number("offset")
    }

    fn number(&self, name: &'static str) -> Result<Option<u64>, HttpError> {
        let expected = "a whole number, not negative";
        let parse = |text: &str| {
            text.parse()
                .map_err(|_| HttpError::BadArgument { name, expected })
        };
        self.get(name).map(parse).transpose()
    }

    /// How an upload is to be encoded: the gateway's own way, with what the request says otherwise.
    ///
    /// If the request names k or n but not happy, happy follows n in the proportion that the gateway has configured,
    /// and is at least k.
    pub(super) fn encoding(&self, default: &Encoding) -> Result<Encoding, HttpError> {
        let (k, n, happy) = (self.number("k")?, self.number("n")?, self.number("happy")?);
        if k.is_none() && n.is_none() && happy.is_none() {
            return Ok(*default);
        }
        let (default_k, default_n) = (default.coding().k() as u64, default.coding().n() as u64);
        let (k, n) = (k.unwrap_or(default_k), n.unwrap_or(default_n));
        let happy = happy.unwrap_or_else(|| {
            let scaled = n.saturating_mul(default.happy() as u64).div_ceil(default_n);
            scaled.max(k).min(n.max(1))
        });
        encoding(k, n, happy, u64::from(default.segment_bytes())).map_err(HttpError::BadEncoding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(query: &str) -> Result<(usize, usize, usize), String> {
        let encoding = Args::parse(query).unwrap().encoding(&Encoding::default());
        encoding
            .map(|e| (e.coding().k(), e.coding().n(), e.happy()))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn encodings() {
        assert_eq!(of(""), Ok((3, 10, 7)));
        assert_eq!(of("k=2"), Ok((2, 10, 7)));
        assert_eq!(of("k=8"), Ok((8, 10, 8)));
        assert_eq!(of("n=4"), Ok((3, 4, 3)));
        assert_eq!(of("k=1&n=1"), Ok((1, 1, 1)));
        assert_eq!(of("k=2&n=20&happy=20"), Ok((2, 20, 20)));
        assert_eq!(of("k=255&n=256"), Ok((255, 256, 255)));
        for (query, part) in [
            ("k=4&n=3", "4 shares cannot be needed"),
            ("n=0", "0"),
            ("k=0", "0"),
            ("n=257", "257 shares are too many"),
            ("k=3&n=3", "survives no loss"),
            ("happy=11", "happy = 11"),
            ("happy=0", "happy = 0"),
            ("k=-1", "k must be a whole number"),
            ("n=ten", "n must be a whole number"),
            ("n=99999999999", "too many"),
            ("happy=", "happy must be"),
        ] {
            let error = of(query).unwrap_err();
            assert!(error.contains(part), "{query}: {error}");
        }
    }

    #[test]
    fn switches() {
        let args = Args::parse("a=true&b=OFF&c=maybe&d=1&a=false").unwrap();
        assert!(args.flag("a").unwrap(), "the first counts");
        assert!(!args.flag("b").unwrap());
        assert!(args.flag("c").is_err());
        assert_eq!((args.flag("d").unwrap(), args.flag("e").unwrap()), (true, false));
        assert!(Args::parse(&"a=1&".repeat(65)).is_err());
    }

    #[test]
    fn what_to_do_with_a_taken_name() {
        for (query, expected) in [
            ("", None),
            ("replace=true", Some(Replace::Always)),
            ("replace=0", Some(Replace::Never)),
            ("replace=Only-Files", Some(Replace::OnlyFiles)),
            ("overwrite=false", Some(Replace::Never)),
            ("overwrite=false&replace=t", Some(Replace::Always)),
        ] {
            assert_eq!(
                Args::parse(query).unwrap().replace().unwrap(),
                expected,
                "{query}"
            );
        }
        assert!(Args::parse("replace=perhaps").unwrap().replace().is_err());
        assert!(Args::parse("replace=").unwrap().replace().is_err());
    }

    #[test]
    fn formats() {
        for (query, expected) in [
            ("", None),
            ("mutable=false", None),
            ("mutable=true", Some(Format::Sdmf)),
            ("mutable=true&format=mdmf", Some(Format::Mdmf)),
            ("format=chk", Some(Format::Chk)),
        ] {
            assert_eq!(Args::parse(query).unwrap().format().unwrap(), expected, "{query}");
        }
        assert!(Args::parse("format=XYZ").unwrap().format().is_err());
        assert!(Args::parse("mutable=perhaps").unwrap().format().is_err());
    }
}
