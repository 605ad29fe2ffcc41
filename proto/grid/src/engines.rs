//! Which engine does the work: the fast ones, if each has shown on known inputs that it makes the bytes of its reference.
//!
//! A node checks once, before it uses any, logs what it found, and exports it as a metric. A fast engine that fails its check is not
//! used: slow and right beats fast and wrong, and the files of a wrong code would be lost for good.

use crate::{
    erasure::{self, ErasureChoice, ErasureEngine},
    lanes,
    params::Coding,
    sealing::{self, SealingEngine},
};

/// How the engine in use was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// The fast engine agrees with the reference and is used.
    Agree,
    /// The fast engine disagrees with the reference, which is used instead: worth a warning.
    Differ,
    /// The fast engine cannot run on this processor.
    Unsupported,
    /// The operator asked for the reference.
    Chosen,
}

impl Check {
    /// For logs and metric labels.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Agree => "agree",
            Self::Differ => "differ",
            Self::Unsupported => "unsupported",
            Self::Chosen => "chosen",
        }
    }
}

pub use lanes::Kernel as HashingEngine;

/// [`EngineStatus::what`] of the erasure code.
pub const ERASURE: &str = "erasure";

/// One line of the report for logs and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EngineStatus {
    /// `sealing`, `erasure` or `hashing`.
    pub what: &'static str,
    /// The name of the engine in use.
    pub engine: &'static str,
    /// How it was chosen.
    pub check: Check,
}

/// The fast erasure engine was demanded but fails its check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the simd erasure engine computes a different {coding} code than the reference on this machine: set the engine to auto or novelpoly"
)]
pub struct SimdRefused {
    /// The first shape on which they differ.
    pub coding: Coding,
}

/// The engines in use. Small and copied to whoever codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Engines {
    /// Who seals.
    pub sealing: SealingEngine,
    /// Who codes.
    pub erasure: ErasureEngine,
    /// Who hashes; chosen inside [`crate::merkle`], here for the report.
    pub hashing: HashingEngine,
    checks: [Check; 3],
}

impl Engines {
    /// Checks all engines against their references. Takes about 20 ms, most of it for tables that coding needs anyway.
    ///
    /// # Errors
    /// [`SimdRefused`] if the operator insists on an engine that fails its check.
    pub fn select(choice: ErasureChoice) -> Result<Self, SimdRefused> {
        let disagreement = match choice {
            ErasureChoice::Novelpoly => None,
            ErasureChoice::Auto | ErasureChoice::Simd => {
                erasure::first_disagreement().expect("the shapes of the check are valid")
            }
        };
        let (erasure, erasure_check) = choose_erasure(choice, disagreement)?;
        let (sealing, sealing_check) = choose_sealing(sealing::engines_agree());
        let (hashing, hashing_check) = choose_hashing(lanes::choice());
        Ok(Self {
            sealing,
            erasure,
            hashing,
            checks: [sealing_check, erasure_check, hashing_check],
        })
    }

    /// The references for sealing and coding, whatever the machine can do.
    #[must_use]
    pub fn reference() -> Self {
        let (hashing, hashing_check) = choose_hashing(lanes::choice());
        Self {
            sealing: SealingEngine::Reference,
            erasure: ErasureEngine::Novelpoly,
            hashing,
            checks: [Check::Chosen, Check::Chosen, hashing_check],
        }
    }

    /// What to log and export.
    #[must_use]
    pub const fn report(&self) -> [EngineStatus; 3] {
        let [sealing, erasure, hashing] = self.checks;
        [
            EngineStatus {
                what: "sealing",
                engine: self.sealing.name(),
                check: sealing,
            },
            EngineStatus {
                what: ERASURE,
                engine: self.erasure.name(),
                check: erasure,
            },
            EngineStatus {
                what: "hashing",
                engine: self.hashing.name(),
                check: hashing,
            },
        ]
    }
}

fn choose_erasure(
    choice: ErasureChoice,
    disagreement: Option<Coding>,
) -> Result<(ErasureEngine, Check), SimdRefused> {
    match (choice, disagreement) {
        (ErasureChoice::Novelpoly, _) => Ok((ErasureEngine::Novelpoly, Check::Chosen)),
        (_, None) => Ok((ErasureEngine::Simd, Check::Agree)),
        (ErasureChoice::Simd, Some(coding)) => Err(SimdRefused { coding }),
        (ErasureChoice::Auto, Some(_)) => Ok((ErasureEngine::Novelpoly, Check::Differ)),
    }
}

const fn choose_sealing(agree: bool) -> (SealingEngine, Check) {
    if agree {
        (SealingEngine::Fast, Check::Agree)
    } else {
        (SealingEngine::Reference, Check::Differ)
    }
}

fn choose_hashing(choice: lanes::Choice) -> (HashingEngine, Check) {
    let check = match choice {
        lanes::Choice { differed: true, .. } => Check::Differ,
        lanes::Choice {
            kernel: HashingEngine::Portable,
            ..
        } => Check::Unsupported,
        lanes::Choice { .. } => Check::Agree,
    };
    (choice.kernel, check)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fast_engine_that_fails_its_check_is_not_used() {
        let coding = Coding::new(3, 10).expect("valid");
        assert_eq!(
            choose_erasure(ErasureChoice::Auto, Some(coding)),
            Ok((ErasureEngine::Novelpoly, Check::Differ))
        );
        assert_eq!(
            choose_erasure(ErasureChoice::Simd, Some(coding)),
            Err(SimdRefused { coding })
        );
        assert_eq!(choose_sealing(false), (SealingEngine::Reference, Check::Differ));
        let chosen = |kernel, differed| choose_hashing(lanes::Choice { kernel, differed });
        assert_eq!(
            chosen(HashingEngine::Avx2, true),
            (HashingEngine::Avx2, Check::Differ)
        );
        assert_eq!(
            chosen(HashingEngine::Avx512, false),
            (HashingEngine::Avx512, Check::Agree)
        );
        assert_eq!(
            chosen(HashingEngine::Portable, false),
            (HashingEngine::Portable, Check::Unsupported)
        );
    }

    #[test]
    fn the_operator_may_choose_the_reference() {
        let engines = Engines::select(ErasureChoice::Novelpoly).expect("never refused");
        assert_eq!(engines.erasure, ErasureEngine::Novelpoly);
        let [_, erasure, _] = engines.report();
        assert_eq!(
            (erasure.what, erasure.engine, erasure.check),
            ("erasure", "novelpoly", Check::Chosen)
        );
    }

    #[test]
    fn the_fast_engines_pass_here() {
        let engines = Engines::select(ErasureChoice::Simd).expect("they agree");
        assert_eq!(
            (engines.sealing, engines.erasure),
            (SealingEngine::Fast, ErasureEngine::Simd)
        );
        assert!(
            engines
                .report()
                .iter()
                .all(|status| status.check != Check::Differ)
        );
    }
}
