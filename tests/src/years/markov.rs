//! How long a file lasts, in closed form: a birth and death chain.
//!
//! State i: i of the n shares are missing. From i a further one is lost at the rate a(i) = (n − i)·λ, λ being the rate at
//! which a disk dies, and one of the missing is made again at the rate b(i). State n − k + 1 is the end: too few are left.
//! The mean time from state 0 to the end is
//!
//! ```text
//! T = Σ (i = 0 … n−k) Σ (j = 0 … i)  1/a(j) · Π (l = j+1 … i) b(l)/a(l)
//! ```
//!
//! the mean time to absorption of a birth and death process (S. Karlin and H. M. Taylor, A First Course in Stochastic
//! Processes, 2nd edition, 1975, chapter 4, section 7). For n = 2, k = 1 it is the mean time to data loss of a mirrored
//! pair, (3λ + μ) / 2λ² (D. A. Patterson, G. Gibson, R. H. Katz, A Case for Redundant Arrays of Inexpensive Disks, 1988).
//!
//! The healer makes all missing shares of a file in one repair, the most endangered files first; so b(i) = i·μ, with 1/μ
//! the mean time until a share is made again, is on the safe side of it. What the chain does not know: that disks die
//! together, and that a repairer with too much to do falls behind for good.

use std::time::Duration;

use truckee_grid::params::Coding;

use super::{Params, YEAR_SECONDS};

/// Mean time from no loss to one too many, in the unit of which `births` and `deaths` are rates: `births[i]` from i losses to
/// i + 1, `deaths[i]` from i to i − 1; `deaths[0]` does not count.
///
/// # Panics
/// If there are not as many of the ones as of the others.
#[must_use]
pub fn mean_time_to_loss(births: &[f64], deaths: &[f64]) -> f64 {
    assert_eq!(births.len(), deaths.len(), "one of each for each state");
    let mut sum = 0.0;
    // The inner sum of i is that of i − 1 times b(i)/a(i), and 1/a(i).
    let mut inner = 0.0;
    for (birth, death) in births.iter().zip(deaths) {
        inner = inner * death / birth + 1.0 / birth;
        sum += inner;
    }
    sum
}

/// Mean years that a file lasts when disks die `deaths_per_year` times a year and a missing share is made again after `mending`
/// on average.
#[must_use]
pub fn years_of_a_file(coding: Coding, deaths_per_year: f64, mending: Duration) -> f64 {
    let states = coding.recovery() + 1;
    let births: Vec<f64> = (0..states)
        .map(|lost| (coding.n() - lost) as f64 * deaths_per_year)
        .collect();
    let per_year = YEAR_SECONDS / mending.as_secs_f64();
    let deaths: Vec<f64> = (0..states).map(|lost| lost as f64 * per_year).collect();
    mean_time_to_loss(&births, &deaths)
}

/// What repairs would have to move in a second for each node, if each loss of a share were mended by itself, relative to
/// what they may move. A node that is away for longer than the grace time costs as much as one that died, at least at
/// first. From 1 on repairs fall behind, until files that lack several shares are mended at once.
#[must_use]
pub fn load(params: &Params) -> f64 {
    let away_per_year = params.deaths_per_year + params.absences_per_year;
    let lost_per_second = away_per_year * params.disk_bytes() / YEAR_SECONDS;
    lost_per_second * (params.coding.k() + 1) as f64 / params.bytes_per_second.get() as f64
}

/// Mean time until a share is made again of which the disk died: until that is noticed, and half of the time that all nodes
/// together take for the shares of one disk, lengthened by what they have to do at the same time. `None` if it is too much.
#[must_use]
pub fn mending(params: &Params, noticed: Duration) -> Option<Duration> {
    let load = load(params);
    if load >= 1.0 {
        return None;
    }
    let bytes = params.disk_bytes() * (params.coding.k() + 1) as f64;
    let alone = bytes / (params.nodes as f64 * params.bytes_per_second.get() as f64);
    Some(noticed + Duration::from_secs_f64(alone / 2.0 / (1.0 - load)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(found: f64, expected: f64) {
        assert!((found / expected - 1.0).abs() < 1e-9, "{found} is not {expected}");
    }

    #[test]
    fn without_repair_it_is_the_sum_of_the_waits() {
        near(
            mean_time_to_loss(&[10.0, 9.0, 8.0], &[0.0; 3]),
            1.0 / 10.0 + 1.0 / 9.0 + 1.0 / 8.0,
        );
    }

    #[test]
    fn a_mirrored_pair_lasts_as_long_as_the_paper_says() {
        for (lambda, mu) in [(0.1, 50.0), (2.0, 1.0), (1.0, 8766.0)] {
            let found = mean_time_to_loss(&[2.0 * lambda, lambda], &[0.0, mu]);
            near(found, (3.0 * lambda + mu) / (2.0 * lambda * lambda));
        }
    }

    #[test]
    fn double_parity_lasts_as_long_as_solving_the_equations_says() {
        // T0 = 1/a0 + T1; T1 = 1/(a1 + b1) + a1/(a1 + b1)·T2 + b1/(a1 + b1)·T0; T2 likewise, with T3 = 0.
        let (a, b) = ([4.0, 3.0, 2.0], [0.0, 70.0, 90.0]);
        let found = mean_time_to_loss(&a, &b);
        // Backwards: T(i) = T(i+1) + h(i), h(0) = 1/a0, h(i) = 1/a(i) + b(i)/a(i)·h(i−1).
        let h0 = 1.0 / a[0];
        let h1 = 1.0 / a[1] + b[1] / a[1] * h0;
        let h2 = 1.0 / a[2] + b[2] / a[2] * h1;
        let (t2, t1) = (h2, h2 + h1);
        near(found, h0 + t1);
        near(
            t1,
            1.0 / (a[1] + b[1]) + a[1] / (a[1] + b[1]) * t2 + b[1] / (a[1] + b[1]) * found,
        );
        near(t2, 1.0 / (a[2] + b[2]) + b[2] / (a[2] + b[2]) * t1);
    }

    #[test]
    fn more_shares_and_faster_repairs_last_longer() {
        let day = Duration::from_secs(86_400);
        let years = |k, n, mending| years_of_a_file(Coding::new(k, n).expect("a code"), 1.0, mending);
        assert!(years(3, 10, day) > 1000.0 * years(3, 6, day));
        assert!(years(3, 10, day / 2) > 50.0 * years(3, 10, day));
    }
}
