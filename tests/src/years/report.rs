//! The table and the plot that are written down: what was simulated, beside what the closed form says.

use std::fmt::Write as _;
use std::time::Duration;

use super::markov::{load, mending, years_of_a_file};
use super::{Outcome, Params};

/// When a keeper begins to repair what a dead disk held: the grace time, and half of a minute to list and to settle.
const NOTICED: Duration = Duration::from_secs(15 * 60 + 35);

/// Rates at which disks die in earnest, times a year: a good one, an old one, a bad one, and a notebook that moves away.
const EARNEST: [f64; 4] = [0.015, 0.05, 0.2, 1.0];

const MIB: f64 = 1_048_576.0;

/// One run.
#[derive(Clone, Debug)]
pub struct Cell {
    /// What was simulated.
    pub params: Params,
    /// What came of it.
    pub outcome: Outcome,
}

impl Cell {
    fn rate(&self) -> f64 {
        self.params.bytes_per_second.get() as f64 / MIB
    }

    /// Files lost in a thousand file-years.
    fn losses(&self) -> f64 {
        self.outcome.lost as f64 * 1000.0 / self.outcome.file_years
    }
}

/// The whole text.
#[must_use]
pub fn text(base: &Params, cells: &[Cell], bandwidths: &[Params]) -> String {
    format!(
        "# Durability, simulated\n\nWritten by `cargo test --release -p truckee-tests --test sim -- --ignored years`; how it is \
         simulated stands in `tests/src/years/mod.rs`.\n\n{} nodes with {:.1} TB each, {} files of {} shares of {:.1} GB, any {} \
         enough, {:.1} years of them in each row, seed {}. Each node is away {} times a year, from 6 hours to 4 days, which the \
         grace time of 15 minutes does not wait for.\n\n**Disks die here some hundred times as often as real ones, so that losses \
         are seen at all.**\n\n{}\n*Load*: what mending each lost share by itself would take, relative to the bandwidth there is; \
         beyond 1 repairs fall behind, until files that lack several shares are mended at once. *Time to full redundancy*: from \
         the loss of a first share until none is missing. The closed form is two to four times too hopeful of it: it takes losses for \
         independent, and here several nodes go at one hour of the day.\n\n![Files lost by bandwidth](durability.svg)\n\n## Real disks\n\n\
         File-years to the loss of one file, from the closed form alone (`tests/src/years/markov.rs`), for the same grid; it \
         knows of no fires and no mistakes, and what it says beyond some 10^9 means: something else will be the reason.\n\n{}",
        base.nodes,
        base.disk_bytes() / 1e12,
        base.files,
        base.coding.n(),
        base.share_bytes as f64 / 1e9,
        base.coding.k(),
        base.years(),
        base.seed,
        base.absences_per_year,
        table(cells),
        extrapolation(base, bandwidths),
    )
}

/// The table of all runs.
#[must_use]
pub fn table(cells: &[Cell]) -> String {
    let mut text = String::from(
        "| a disk dies, times a year | repair bandwidth of a node, MiB/s | load | files lost | in file-years | file-years to \
         a loss, closed form | fewest shares left | mean time to full redundancy | closed form | moved by a node, TB a year | \
         copies of a share |\n|---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for Cell { params, outcome } in cells {
        let closed = mending(params, NOTICED);
        let lasts = closed.map(|after| years_of_a_file(params.coding, params.deaths_per_year, after));
        let moved = outcome.moved_bytes as f64 / 1e12 / params.nodes as f64 / params.years();
        let _written = writeln!(
            text,
            "| {} | {:.1} | {:.2} | {} | {:.0} | {} | {} | {} | {} | {moved:.1} | {:.2} |",
            params.deaths_per_year,
            params.bytes_per_second.get() as f64 / MIB,
            load(params),
            outcome.lost,
            outcome.file_years,
            lasts.map_or("—".to_owned(), number),
            outcome.least_shares,
            outcome.mean_mending().map_or("—".to_owned(), span),
            closed.map_or("falls behind".to_owned(), span),
            outcome.copies,
        );
    }
    text
}

/// What the closed form says of rates at which nothing would be seen in any simulation: file-years to a loss.
#[must_use]
pub fn extrapolation(base: &Params, bandwidths: &[Params]) -> String {
    let mut text = String::from("| a disk dies, times a year |");
    for params in bandwidths {
        let _written = write!(text, " {:.1} MiB/s |", params.bytes_per_second.get() as f64 / MIB);
    }
    text += &format!("\n|---|{}\n", "---|".repeat(bandwidths.len()));
    for deaths_per_year in EARNEST {
        let _written = write!(text, "| {deaths_per_year} |");
        for params in bandwidths {
            let params = Params {
                deaths_per_year,
                bytes_per_second: params.bytes_per_second,
                ..*base
            };
            let lasts =
                mending(&params, NOTICED).map(|after| years_of_a_file(params.coding, deaths_per_year, after));
            let _written = write!(text, " {} |", lasts.map_or("falls behind".to_owned(), number));
        }
        text.push('\n');
    }
    text
}

/// Two digits and a power of ten.
fn number(value: f64) -> String {
    if value < 10_000.0 {
        format!("{value:.1}")
    } else {
        let exponent = value.log10().floor();
        format!("{:.1}·10^{exponent}", value / 10_f64.powf(exponent))
    }
}

/// A time for people.
fn span(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    match seconds {
        ..7200.0 => format!("{:.0} min", seconds / 60.0),
        ..172_800.0 => format!("{:.1} h", seconds / 3600.0),
        _ => format!("{:.1} d", seconds / 86_400.0),
    }
}

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 400.0;
const LEFT: f64 = 80.0;
const RIGHT: f64 = 560.0;
const TOP: f64 = 50.0;
/// No loss at all has a row of its own under the scale, which has no zero.
const BOTTOM: f64 = 300.0;
const NONE: f64 = 335.0;
/// Colours that people with any sight tell apart on white (M. Okabe, K. Ito, Color Universal Design, 2008).
const COLOURS: [&str; 5] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#000000"];

/// Files lost in a thousand file-years by bandwidth, one line for each rate at which disks die; both axes logarithmic.
#[must_use]
pub fn plot(cells: &[Cell]) -> String {
    let rates = cells.iter().map(Cell::rate);
    let (least, most) = rates.fold((f64::MAX, f64::MIN), |(a, b), x| (a.min(x), b.max(x)));
    let x = |rate: f64| LEFT + (RIGHT - LEFT) * (rate / least).ln() / (most / least).ln();
    let top = cells.iter().map(Cell::losses).fold(10.0, f64::max).log10().ceil();
    let low = -1.0;
    let y = |losses: f64| match losses {
        0.0 => NONE,
        _ => BOTTOM - (BOTTOM - TOP) * (losses.log10() - low).max(0.0) / (top - low),
    };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n<text x=\"{LEFT}\" y=\"28\" \
         font-size=\"15\">Files lost in 1,000 file-years, by repair bandwidth</text>\n"
    );
    let mut power = low;
    while power <= top {
        grid_line(
            &mut svg,
            y(10_f64.powf(power)),
            &format!("{}", 10_f64.powf(power)),
        );
        power += 1.0;
    }
    grid_line(&mut svg, NONE, "none");
    let mut marked = Vec::new();
    for rate in cells.iter().map(Cell::rate) {
        let label = format!("{rate:.1}");
        if !marked.contains(&label) {
            let _written = writeln!(
                svg,
                "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>",
                x(rate),
                NONE + 22.0
            );
            marked.push(label);
        }
    }
    let _written = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">MiB/s that each node reads and writes for repairs</text>",
        f64::midpoint(LEFT, RIGHT),
        NONE + 44.0
    );
    let mut deaths: Vec<f64> = cells.iter().map(|cell| cell.params.deaths_per_year).collect();
    deaths.sort_by(f64::total_cmp);
    deaths.dedup();
    for (index, rate) in deaths.into_iter().enumerate() {
        let line = cells.iter().filter(|cell| cell.params.deaths_per_year == rate);
        let points: Vec<(f64, f64)> = line.map(|cell| (x(cell.rate()), y(cell.losses()))).collect();
        draw_line(&mut svg, index, rate, &points);
    }
    svg + "</svg>\n"
}

fn grid_line(svg: &mut String, y: f64, label: &str) {
    let _written = writeln!(
        svg,
        "<line x1=\"{LEFT}\" x2=\"{RIGHT}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#ddd\"/><text x=\"{}\" y=\"{:.1}\" \
         text-anchor=\"end\">{label}</text>",
        LEFT - 8.0,
        y + 4.0
    );
}

fn draw_line(svg: &mut String, index: usize, rate: f64, points: &[(f64, f64)]) {
    let colour = COLOURS[index % COLOURS.len()];
    let path: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let _written = writeln!(
        svg,
        "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
        path.join(" ")
    );
    for (x, y) in points {
        let _written = writeln!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{colour}\"/>"
        );
    }
    let y = TOP + 20.0 * index as f64 + 10.0;
    let _written = writeln!(
        svg,
        "<text x=\"{}\" y=\"{y}\" fill=\"{colour}\">● dies {rate} × a year</text>",
        RIGHT + 16.0
    );
}
