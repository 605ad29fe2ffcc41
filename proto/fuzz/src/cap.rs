//! Caps. A text is refused, or it is the one text of the cap that it is.

use truckee_grid::caps::Cap;

/// The target.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(cap) = Cap::parse(text) else { return };
    assert_eq!(cap.to_uri(), text, "a cap has two texts");
    assert!(
        text.len() < 32 || !format!("{cap:?}").contains(text),
        "a cap is printed by accident"
    );
    for weaker in [cap.to_read(), cap.to_verifier()].into_iter().flatten() {
        let text = weaker.to_uri();
        let same = Cap::parse(&text).expect("a derived cap has a valid text");
        assert_eq!(same.to_uri(), text);
        assert_eq!(
            weaker.storage_index(),
            cap.storage_index(),
            "a derived cap names another file"
        );
    }
}
