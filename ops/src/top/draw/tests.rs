//! What stands on screens of all sizes.

use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::style::{Color, Modifier};

use super::super::plain;
use super::super::series::{Distribution, Series, Timing};
use super::super::testing::{History, cluster, node, view};
use super::super::ui::Key;
use super::*;

fn buffer(view: &View, ui: &Ui, width: u16, height: u16, colours: bool) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let screen = Screen {
        view,
        ui,
        theme: Theme::new(colours),
        age: Duration::from_secs(1),
    };
    terminal.draw(|frame| draw(frame, &screen)).unwrap();
    terminal.backend().buffer().clone()
}

fn lines(buffer: &Buffer) -> Vec<String> {
    let width = usize::from(buffer.area.width).max(1);
    let rows = buffer.content.chunks(width);
    rows.map(|row| row.iter().map(ratatui::buffer::Cell::symbol).collect())
        .collect()
}

fn text(view: &View, keys: &[Key], width: u16, height: u16) -> String {
    let mut ui = Ui::new(2);
    for key in keys {
        ui.press(*key, view);
    }
    lines(&buffer(view, &ui, width, height, true)).join("\n")
}

#[track_caller]
fn has(text: &str, parts: &[&str]) {
    // Columns are spread over the width: how far apart they stand is not what is asked.
    let squeezed = text
        .split(' ')
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    for part in parts {
        assert!(squeezed.contains(part), "{part:?} is missing in\n{text}");
    }
}

#[test]
fn a_large_screen_has_everything() {
    let text = text(&view(&cluster(&["storage-04"])), &[], 140, 40);
    has(
        &text,
        &[
            "truckee top cluster /tmp/c",
            "every 2 s, asked 1 s ago",
            "READY",
            "any 3 of 10 shares are enough",
            "6 more storage nodes may fail",
            "8.58 MiB/s checked",
            "What should I do now? 3 alarms",
            "storage-04 does not answer (connection refused)",
            "Uploads 19.1 MiB/s",
            "4.0 files/s · 2 active",
            "highest 95.4 MiB/s in 0 s",
            "0.5 hedges/s",
            "Nodes 12, by NAME",
            "1 node gone",
            "storage-04 storage gone",
            "storage-07 storage slow",
            "150 ms",
            "introducer introducer up",
            "? more",
        ],
    );
    for column in super::super::columns::Column::ALL {
        has(&text, &[column.heading()]);
    }
}

#[test]
fn a_small_screen_has_what_matters() {
    let text = text(&view(&cluster(&["storage-04"])), &[], 80, 24);
    has(
        &text,
        &[
            "READY",
            "storage-04 does not answer",
            "NAME",
            "STATE",
            "CPU",
            "LATENCY",
            "Uploads",
            "gateway",
        ],
    );
    assert!(!text.contains("P99"), "{text}");
}

#[test]
fn the_smallest_screen_still_has_a_table_and_a_smaller_one_says_so() {
    let cluster = view(&cluster(&["storage-04"]));
    has(
        &text(&cluster, &[], WIDTH_MIN, HEIGHT_MIN),
        &["READY", "NAME", "gateway"],
    );
    for (width, height) in [(WIDTH_MIN - 1, 50), (200, HEIGHT_MIN - 1), (20, 5), (1, 1)] {
        let text = text(&cluster, &[], width, height);
        assert!(!text.contains("READY"), "{text}");
        if width >= 20 {
            let words: Vec<&str> = text.split_whitespace().collect();
            has(&words.join(" "), &["This terminal is too small", "press q"]);
        }
    }
}

#[test]
fn no_size_makes_it_fall_over() {
    let cluster = view(&cluster(&["storage-04", "gateway", "storage-01"]));
    for width in (0..200).step_by(13) {
        for height in (0..60).step_by(3) {
            text(&cluster, &[Key::Last, Key::Char('?')], width, height);
        }
    }
}

#[test]
fn a_grid_of_nobody() {
    let text = text(&view(&[]), &[Key::Down], 100, 30);
    has(&text, &["NO GATEWAY WATCHED", "Nodes 0, by NAME"]);
}

#[test]
fn nothing_to_do_is_said() {
    let mut sound = view(&cluster(&[]));
    sound.alarms.clear();
    has(&text(&sound, &[], 140, 40), &["Nothing: all is well."]);
}

#[test]
fn more_alarms_than_fit_are_counted() {
    let mut sound = view(&cluster(&["storage-04"]));
    let alarm = sound.alarms[0].clone();
    sound.alarms = vec![alarm; 20];
    let text = text(&sound, &[], 140, 40);
    has(&text, &["20 alarms", "and 12 more"]);
}

#[test]
fn names_of_all_scripts_keep_the_columns_straight() {
    let mut nodes = cluster(&[]);
    for (index, name) in [
        "存储节点-一",
        "Speicher-Größe",
        "узел",
        "🦀🦀🦀",
        "e\u{301}le\u{300}ve",
    ]
    .into_iter()
    .enumerate()
    {
        nodes[index + 1].0 = node(name, "storage");
    }
    let view = view(&nodes);
    let ui = Ui::new(2);
    let buffer = buffer(&view, &ui, 140, 40, true);
    let lines = lines(&buffer);
    has(&lines.join("\n"), &["Speicher-Größe", "узел"]);
    // Where the column of roles begins is the same in every row, in cells.
    let starts = (0..40).filter_map(|y| {
        let row: Vec<&str> = (0..140).map(|x| buffer[(x, y)].symbol()).collect();
        (0..133).find(|x| {
            row[*x..x + 7].concat() == "storage" && row[x - 1] == " " && row[x + 7] == " " && y > 17
        })
    });
    let starts: std::collections::BTreeSet<usize> = starts.collect();
    assert_eq!(starts.len(), 1, "{}", lines.join("\n"));
}

#[test]
fn the_selected_node_has_a_line_and_a_mark() {
    let cluster = view(&cluster(&["storage-04"]));
    let down: Vec<Key> = vec![Key::Down; 6];
    let text = text(&cluster, &down, 140, 40);
    has(
        &text,
        &[
            "▸ storage-04",
            "storage-04 storage · 127.0.0.1:7000 · connection refused",
        ],
    );
    has(
        &super::tests::text(&cluster, &[Key::Last], 140, 40),
        &["storage-10 storage · 127.0.0.1:7000 · truckee/0.1.0 · up for 15 min"],
    );
}

#[test]
fn what_is_selected_is_on_the_screen() {
    let cluster = view(&cluster(&[]));
    let top = text(&cluster, &[Key::First], 80, 20);
    let bottom = text(&cluster, &[Key::Last], 80, 20);
    has(&top, &["▸ gateway"]);
    has(&bottom, &["▸ storage-10"]);
    assert!(!top.contains("storage-10"), "{top}");
}

#[test]
fn pause_sort_and_help_are_shown() {
    let cluster = view(&cluster(&[]));
    has(&text(&cluster, &[Key::Char('p')], 140, 40), &["paused"]);
    has(
        &text(&cluster, &[Key::Char('l'), Key::Char('l')], 140, 40),
        &["by LATENCY, reversed"],
    );
    has(
        &text(&cluster, &[Key::Char('?')], 140, 40),
        &["PgUp", "underlined letter:"],
    );
}

fn cells(buffer: &Buffer) -> impl Iterator<Item = &ratatui::buffer::Cell> {
    buffer.content.iter()
}

#[test]
fn without_colours_there_are_none() {
    let cluster = view(&cluster(&["storage-04"]));
    let plain = buffer(&cluster, &Ui::new(2), 140, 40, false);
    assert!(cells(&plain).all(|cell| cell.fg == Color::Reset && cell.bg == Color::Reset));
    assert!(
        cells(&plain).any(|cell| cell.modifier.contains(Modifier::REVERSED)),
        "alarms stand out all the same"
    );
}

#[test]
fn colours_are_readable_on_light_and_dark() {
    let cluster = view(&cluster(&["storage-04"]));
    let coloured = buffer(&cluster, &Ui::new(2), 140, 40, true);
    assert!(cells(&coloured).any(|cell| cell.bg == Color::Red));
    for cell in cells(&coloured) {
        // Black or white text only on a ground of its own; grounds only under such text.
        let text_is_fixed = matches!(cell.fg, Color::Black | Color::White);
        assert_eq!(text_is_fixed, cell.bg != Color::Reset, "{cell:?}");
    }
}

#[test]
fn rooms_are_shared_out() {
    for height in HEIGHT_MIN..100 {
        let rows = Rows::of(height, 13);
        let table = height - 3 - rows.grid - rows.rates;
        assert!(table > TABLE_ROWS, "{height}: {rows:?}");
        assert!(
            rows.rates == 0 || rows.rates >= RATES_ROWS_MIN,
            "{height}: {rows:?}"
        );
        assert!(rows.grid >= GRID_ROWS_MIN, "{height}: {rows:?}");
    }
    let rows = |grid, rates| Rows { grid, rates };
    assert_eq!(Rows::of(40, 13), rows(GRID_ROWS, 10));
    assert_eq!(
        Rows::of(40, 100),
        rows(GRID_ROWS, RATES_ROWS),
        "nodes before higher curves"
    );
    assert_eq!(Rows::of(24, 13), rows(9, RATES_ROWS_MIN));
}

#[test]
fn rows_are_counted_as_they_are_broken() {
    let wraps = |text: &str, width: u16| {
        let mut terminal = Terminal::new(TestBackend::new(width, 20)).unwrap();
        let paragraph = Paragraph::new(text).wrap(Wrap { trim: true });
        terminal
            .draw(|frame| frame.render_widget(paragraph, frame.area()))
            .unwrap();
        let lines = lines(terminal.backend().buffer());
        lines.iter().filter(|line| !line.trim().is_empty()).count()
    };
    let long = "x".repeat(25);
    let texts = [
        "a",
        "aaaa: bbbb",
        "aaaa: bbbbb",
        "aaaa: bbbb cccc dddd",
        &long,
        "存储节点 存储节点 a",
    ];
    for text in texts
        .into_iter()
        .chain([keys(&Ui::new(2)), &format!("a {long} b")])
    {
        for width in [10, 11, 30] {
            assert_eq!(
                usize::from(rows_of(text, width)),
                wraps(text, width),
                "{text:?} in {width}"
            );
        }
    }
}

#[test]
fn texts_are_cut_by_cells() {
    assert_eq!(cut("storage-01", 10), "storage-01");
    assert_eq!(cut("storage-01", 8), "storage…");
    assert_eq!(cut("存储节点", 8), "存储节点");
    assert_eq!(cut("存储节点", 6), "存储…");
    assert_eq!(cut("存储节点", 7), "存储节…");
    assert_eq!(cut("a", 0), "…");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A node may say anything: it is shown, however absurd.
    #[test]
    fn no_figures_make_it_fall_over(values in prop::collection::vec((figure(), figure()), Series::EVERY.len()),
                                    times in prop::collection::vec(figure(), 6)) {
        let mut history = Series::EVERY.iter().zip(values).fold(History::storage(), |history, (series, (one, other))| {
            history.both(*series, one, other)
        });
        for timing in Timing::EVERY {
            history = history.distribution(*timing, Distribution {
                sum: times[0],
                count: times[1],
                buckets: vec![(times[2], times[3]), (times[4], times[5])],
            });
        }
        let nodes = [(node("one", "storage,gateway"), Some(history.clone())), (node("two", "storage"), Some(history))];
        let view = view(&nodes);
        for (width, height) in [(140, 40), (80, 24)] {
            prop_assert!(text(&view, &[Key::Last], width, height).contains("one"));
        }
        prop_assert!(plain::lines(&view).join(" ").contains("two"));
        prop_assert_eq!(plain::json(&view)["grid"]["nodes"].as_u64(), Some(2));
    }
}

fn figure() -> impl Strategy<Value = f64> {
    prop_oneof![
        prop::sample::select(vec![
            0.0,
            1.0,
            -1.0,
            0.5,
            3.0,
            1e18,
            1e300,
            f64::MAX,
            f64::MIN,
            f64::MIN_POSITIVE
        ]),
        0.0..1e12f64,
    ]
}
