//! The pages as people use them, in a real browser: by mouse, by keyboard, on a telephone, without scripts.
//!
//! Pictures of each step are kept in `target/browser/` for people to look at.

use std::path::{Path, PathBuf};

use serde_json::json;
use truckee_tests::rig::browser::{self, Browser, key};
use truckee_tests::rig::{self, Cluster, until};

use crate::program;

/// Beside the build's other results.
fn shots() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()
        .expect("it lies in target")
        .join("browser")
}

/// A browser at a new cluster; none, loudly, where there is no browser.
fn start(test: &str) -> Option<(Cluster, Browser)> {
    if let Some(why) = browser::missing() {
        eprintln!("SKIPPED {test}: {why}");
        return None;
    }
    Some((Cluster::start(program()), Browser::start(&shots())))
}

/// The row of a child.
fn row(name: &str) -> String {
    format!("tr[data-name=\"{name}\"]")
}

/// Opens the menu of a child and takes an entry.
fn act(browser: &Browser, name: &str, entry: &str) {
    browser.click(&format!("{} summary", row(name)));
    browser.click(&format!("{} [data-act={entry}]", row(name)));
}

fn has(browser: &Browser, name: &str) {
    browser.until(&format!("document.querySelector({:?})", row(name)));
}

fn has_not(browser: &Browser, name: &str) {
    browser.until(&format!("!document.querySelector({:?})", row(name)));
}

fn make_folder(browser: &Browser, name: &str) {
    let field = browser.find("#mkdir-form input[name=name]");
    field.write(name);
    field.write(key::ENTER);
    has(browser, name);
}

fn in_new_folder(cluster: &Cluster, browser: &Browser) -> String {
    browser.open(&format!("{}/files", cluster.gateway()));
    browser.click("#new-root");
    browser.until("document.getElementById('listing')");
    browser.address()
}

/// Nothing was refused by the content policy, nothing failed, and nobody else was asked.
fn clean(cluster: &Cluster, browser: &Browser) {
    let console = browser.console();
    assert!(console.is_empty(), "the console says {console:#?}");
    for url in browser.requests() {
        let ours =
            url.starts_with(cluster.gateway()) || url.starts_with("data:") || url.starts_with("chrome");
        assert!(ours, "a page asked {url}");
    }
}

#[test]
fn files_by_mouse() {
    let Some((cluster, browser)) = start("files_by_mouse") else {
        return;
    };
    browser.screen(1280, 860);
    browser.open(cluster.gateway());
    browser.shot("grid");
    in_new_folder(&cluster, &browser);
    browser.shot("folder-empty");
    let picture = "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 4 3'><rect width='4' height='3' fill='#17708a'/></svg>";
    let contents = [
        ("notes.txt", b"To remember:\n  <b>caps are keys</b>\n".to_vec()),
        ("river.svg", picture.as_bytes().to_vec()),
        ("data.bin", rig::bytes(1, 3_000_000)),
    ];
    let paths: Vec<String> = contents
        .iter()
        .map(|(name, content)| {
            let path = cluster.scratch(name);
            std::fs::write(&path, content).unwrap();
            path.display().to_string()
        })
        .collect();
    browser.find("#upload-files").write(&paths.join("\n"));
    contents.iter().for_each(|(name, _)| has(&browser, name));
    make_folder(&browser, "Archive");
    browser.shot("folder");

    act(&browser, "notes.txt", "rename");
    let field = browser.find("#ask-input");
    field.clear();
    field.write("read me.txt");
    browser.shot("rename");
    browser.click("#ask-ok");
    has(&browser, "read me.txt");

    browser.click(&format!("{} a.entry", row("read me.txt")));
    browser.until("document.querySelector('#preview-body pre')");
    let shown = browser.find("#preview-body pre").text();
    assert!(
        shown.contains("<b>caps are keys</b>"),
        "the text as it is: {shown}"
    );
    browser.shot("preview-text");
    browser.click("#preview-close");
    browser.click(&format!("{} a.entry", row("river.svg")));
    browser.until("document.querySelector('#preview-body img')?.naturalWidth > 0");
    browser.shot("preview-picture");
    browser.click("#preview-close");

    browser.click(&format!("{} summary", row("data.bin")));
    browser.shot("menu");
    browser.click(&format!("{} .items a[href$='save=true']", row("data.bin")));
    let file = browser.downloads().join("data.bin");
    let saved = until("the download is there", || {
        std::fs::read(&file).ok().filter(|saved| saved.len() == 3_000_000)
    });
    assert!(saved == contents[2].1, "the download differs");

    act(&browser, "data.bin", "move");
    browser.click("#ask-folders label");
    browser.shot("move");
    browser.click("#ask-ok");
    has_not(&browser, "data.bin");
    browser.click(&format!("{} a.entry", row("Archive")));
    has(&browser, "data.bin");

    act(&browser, "data.bin", "delete");
    has_not(&browser, "data.bin");
    browser.shot("deleted");
    browser.click(".toast button");
    has(&browser, "data.bin");
    browser.click(".tools a[href='?t=info']");
    let _there = browser.find(".copyable");
    browser.shot("details");
    clean(&cluster, &browser);
}

#[test]
fn drops_conflicts_and_cancelled_uploads() {
    let Some((cluster, browser)) = start("drops_conflicts_and_cancelled_uploads") else {
        return;
    };
    browser.screen(1280, 860);
    in_new_folder(&cluster, &browser);
    let drop = "const files = new DataTransfer(); \
        for (const [name, text] of arguments[0]) files.items.add(new File([text], name)); \
        document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: files, bubbles: true, cancelable: true }));";
    browser.script(drop, &[json!([["a.txt", "one"], ["b.txt", "two"]])]);
    has(&browser, "a.txt");
    has(&browser, "b.txt");
    browser.script(drop, &[json!([["a.txt", "three"]])]);
    browser.until("document.querySelector('.transfer .why')");
    browser.shot("conflict");
    browser.click("button[aria-label='Replace a.txt']");
    browser.until("!document.querySelector('.transfer')");
    browser.click(&format!("{} a.entry", row("a.txt")));
    browser.until("document.querySelector('#preview-body pre')?.textContent === 'three'");
    browser.click("#preview-close");
    // A file that cannot be sent at once: the bar stands, and goes with the click.
    let large = "const files = new DataTransfer(); \
        files.items.add(new File([new Uint8Array(64 << 20)], 'large.bin')); \
        document.body.dispatchEvent(new DragEvent('drop', { dataTransfer: files, bubbles: true, cancelable: true })); \
        document.querySelector('.transfer button').click();";
    browser.script(large, &[]);
    browser.until("!document.querySelector('.transfer')");
    has_not(&browser, "large.bin");
    // The refusal that led to the question is in the console, and nothing else.
    let console = browser.console();
    assert!(console.iter().all(|line| line.contains("409")), "{console:#?}");
}

#[test]
fn by_keyboard_alone() {
    let Some((cluster, browser)) = start("by_keyboard_alone") else {
        return;
    };
    browser.screen(1280, 860);
    in_new_folder(&cluster, &browser);
    browser.press(&[key::TAB]);
    browser.until("document.activeElement.className === 'skip'");
    let tab_to = |condition: &str| {
        for _ in 0..40 {
            let there = browser.script(
                &format!("const at = document.activeElement; return Boolean({condition})"),
                &[],
            );
            if there == json!(true) {
                return;
            }
            browser.press(&[key::TAB]);
        }
        panic!("no way by the tabulator to {condition}");
    };
    for name in ["one", "two"] {
        tab_to("at.name === 'name'");
        browser.press(&[name, key::ENTER]);
        has(&browser, name);
    }
    tab_to("at.matches('summary') && at.closest('tr').dataset.name === 'one'");
    browser.shot("focus");
    browser.press(&[key::ENTER, key::DOWN, key::ENTER]);
    browser.until("document.activeElement.id === 'ask-input'");
    browser.press(&["1", key::ENTER]);
    has(&browser, "1");
    tab_to("at.matches('summary') && at.closest('tr').dataset.name === '1'");
    browser.press(&[key::ENTER]);
    browser.until("document.querySelector('details[open]')");
    browser.press(&[key::ESCAPE]);
    browser.until("!document.querySelector('details[open]') && document.activeElement.matches('summary')");
    tab_to("at.matches('a.entry') && at.textContent.includes('two')");
    browser.press(&[key::ENTER]);
    browser.until("document.querySelector('h1').textContent.includes('two')");
    clean(&cluster, &browser);
}

#[test]
fn on_a_telephone_and_in_the_dark() {
    let Some((cluster, browser)) = start("on_a_telephone_and_in_the_dark") else {
        return;
    };
    let folder = in_new_folder(&cluster, &browser);
    for name in ["Photos of the river in autumn", "Letters"] {
        make_folder(&browser, name);
    }
    let long = "a rather long name of a report that somebody wrote without thinking of small screens.txt";
    let http = cluster.http();
    let put = |name: &str| {
        let path = folder.strip_prefix(cluster.gateway()).expect("it is ours");
        let path = format!("{}/{}", path.trim_end_matches('/'), name.replace(' ', "%20"));
        let _stored = http.answer("PUT", &path, &[], &rig::bytes(2, 1_234_567)).ok();
    };
    put(long);
    put("chart.png");
    let places = [
        ("folder", folder.as_str()),
        ("grid", "/"),
        ("files", "/files"),
        ("operations", "/status"),
        ("storage", "/storage"),
    ];
    for (screen, width, height) in [("phone", 390, 844), ("desk", 1280, 860)] {
        browser.screen(width, height);
        for (colours, dark) in [("light", false), ("dark", true)] {
            browser.dark(dark);
            for (place, path) in places {
                let url = if path.starts_with('/') {
                    format!("{}{path}", cluster.gateway())
                } else {
                    path.to_owned()
                };
                browser.open(&url);
                let _there = browser.find("h1");
                browser.shot(&format!("{place}-{screen}-{colours}"));
                let wide = browser.script("return document.documentElement.scrollWidth - innerWidth", &[]);
                assert!(
                    wide.as_i64() <= Some(0),
                    "{place} is {wide} pixels wider than a {screen}"
                );
            }
        }
    }
    clean(&cluster, &browser);
}

#[test]
fn stored_pages_run_nothing() {
    let Some((cluster, browser)) = start("stored_pages_run_nothing") else {
        return;
    };
    let folder = in_new_folder(&cluster, &browser);
    let script = "localStorage.setItem('stolen', '1'); fetch('/stolen'); new Image().src = '/stolen';";
    let page =
        format!("<title>harmless</title><script>{script}</script><img src='/stolen' onerror=\"{script}\">");
    let picture = format!(
        "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9' onload=\"{script}\"><script>{script}</script></svg>"
    );
    let folder = folder.trim_end_matches('/');
    let path = folder.strip_prefix(cluster.gateway()).expect("it is ours");
    for (name, content) in [("page.html", &page), ("picture.svg", &picture)] {
        let _stored = cluster
            .http()
            .answer("PUT", &format!("{path}/{name}"), &[], content.as_bytes())
            .ok();
    }
    for name in ["page.html", "picture.svg"] {
        browser.open(&format!("{folder}/{name}"));
    }
    browser.open(&format!("{folder}/"));
    for name in ["page.html", "picture.svg"] {
        browser.click(&format!("{} a.entry", row(name)));
        browser.until("document.querySelector('#preview-body pre') || document.querySelector('#preview-body img')?.complete");
        browser.click("#preview-close");
    }
    let stolen = browser.script("return localStorage.getItem('stolen')", &[]);
    assert!(stolen.is_null(), "a stored page ran in our origin");
    let asked = browser
        .requests()
        .into_iter()
        .filter(|url| url.ends_with("/stolen"))
        .count();
    // The page may load pictures, since its policy only takes scripts away.
    assert!(asked <= 1, "a stored page's script asked for something");
}

#[test]
fn without_scripts() {
    let Some((cluster, browser)) = start("without_scripts") else {
        return;
    };
    browser.screen(1280, 860);
    browser.scripts(false);
    browser.open(&format!("{}/files", cluster.gateway()));
    browser.click("#new-root");
    let _there = browser.find("#upload-form");
    let path = cluster.scratch("plain.txt");
    std::fs::write(&path, "plain").unwrap();
    browser.find("#upload-files").write(path.to_str().unwrap());
    browser.click("#upload-form > button");
    let _there = browser.find(&row("plain.txt"));
    let field = browser.find("#mkdir-form input[name=name]");
    field.write("sub");
    browser.click("#mkdir-form button");
    let _there = browser.find(&row("sub"));
    browser.shot("without-scripts");
    browser.click(&format!("{} summary", row("plain.txt")));
    browser.click(&format!("{} [data-act=rename]", row("plain.txt")));
    let field = browser.find("input[name=to_name]");
    browser.shot("change");
    field.clear();
    field.write("renamed.txt");
    browser.click("form[action$='t=rename'] button");
    let _there = browser.find(&row("renamed.txt"));
    browser.click(&format!("{} summary", row("renamed.txt")));
    browser.click(&format!("{} [data-act=delete]", row("renamed.txt")));
    browser.click("form[action$='t=delete'] button");
    let _there = browser.find(&row("sub"));
    assert_eq!(browser.count(&row("renamed.txt")), 0);
}
