//! The virtual drive's servers, and the gateways' HTTP side.

use super::panel::{BYTES, BYTES_PER_SECOND, COUNT, PER_SECOND, RATIO, SECONDS, lines, stack, stat};
use super::{Dashboard, Panel, Row};

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: "truckee-http",
        title: "Truckee: vdrive and HTTP",
        description: "What do clients ask for, how fast are they answered, and what do they get?",
        choices: &[],
        rows: vec![
            Row::new("HTTP", http()),
            Row::new("Virtual drive", vdrive()),
            Row::new("Directories at the gateways", directories()),
            Row::new("Checks of files", checks()),
        ],
    }
}

fn http() -> Vec<Panel> {
    vec![
        stat("How many requests are under way?", "Requests that are not answered to the last byte.", COUNT)
            .ask("sum(truckee_http_active_requests{@})", "requests"),
        stat("Which part of the requests fails on our side?", "Answers of class 5xx of the last hour, without probes.", RATIO)
            .ask("(sum(increase(truckee_http_requests_total{@,status=\"5xx\"}[1h])) or vector(0)) / sum(increase(truckee_http_requests_total{@}[1h]))", "5xx")
            .warn(&[(0.001, "orange"), (0.01, "red")]),
        stack("What is asked for?", "Requests by route and method.", PER_SECOND)
            .ask("sum by (route, method) (rate(truckee_http_requests_total{@}[$__rate_interval]))", "{{method}} {{route}}"),
        stack("How are requests answered?", "Answers by class of status; gone: the client went away first.", PER_SECOND)
            .ask("sum by (status) (rate(truckee_http_requests_total{@}[$__rate_interval]))", "{{status}}"),
        lines("How long do requests take?", "Mean time by route, from the head of the request to the last byte of the answer.", SECONDS)
            .ask("sum by (route) (rate(truckee_http_request_seconds_sum{@}[$__rate_interval])) / sum by (route) (rate(truckee_http_request_seconds_count{@}[$__rate_interval]))", "{{route}}"),
        lines("How slow are the slowest requests?", "The time in which 99 % of the requests of a route were answered.", SECONDS)
            .ask("histogram_quantile(0.99, sum by (le, route) (rate(truckee_http_request_seconds_bucket{@}[$__rate_interval])))", "{{route}}"),
        lines("How many bytes do clients send and get?", "Bodies of requests and answers.", BYTES_PER_SECOND)
            .ask("sum by (node) (rate(truckee_http_received_bytes_total{@}[$__rate_interval]))", "{{node}} received")
            .ask("sum by (node) (rate(truckee_http_sent_bytes_total{@}[$__rate_interval]))", "{{node}} sent"),
    ]
}

fn vdrive() -> Vec<Panel> {
    let panels = vec![
        stat("Do the databases work?", "1 while the last use of each vdrive's database went well.", COUNT)
            .ask("min(truckee_vdrive_database_up{@})", "up")
            .bad_below(&[(1.0, "green")]),
        stat("How many changes share a transaction?", "Changes of directories for each transaction that was made durable; more under load.", COUNT)
            .ask("sum(truckee_vdrive_changes_total{@}) / sum(truckee_vdrive_transactions_total{@})", "changes"),
        stack("What is asked of the vdrive?", "Requests by kind and outcome; behind is a conflict: somebody else changed the directory first.", PER_SECOND)
            .ask("sum by (request, outcome) (rate(truckee_vdrive_requests_total{@}[$__rate_interval]))", "{{request}}: {{outcome}}"),
        lines("How long does the vdrive take?", "Mean time of a request by kind, from its arrival to the answer.", SECONDS)
            .ask("sum by (request) (rate(truckee_vdrive_request_seconds_sum{@}[$__rate_interval])) / sum by (request) (rate(truckee_vdrive_request_seconds_count{@}[$__rate_interval]))", "{{request}}"),
        lines("How many directories change?", "Changes, and transactions that had to be run again because others were in the way.", PER_SECOND)
            .ask("sum by (node) (rate(truckee_vdrive_changes_total{@}[$__rate_interval]))", "{{node}} changes")
            .ask("sum by (node) (rate(truckee_vdrive_retries_total{@}[$__rate_interval]))", "{{node}} again"),
    ];
    panels.into_iter().map(|panel| panel.needs("vdrive")).collect()
}

fn directories() -> Vec<Panel> {
    let panels = vec![
        stat("Was an answer of a vdrive not believed?", "Answers of the last day that were forged, older than what was known, or of a split database.", COUNT)
            .ask("sum(increase(truckee_drive_distrusted_total{@}[1d]))", "answers")
            .warn(&[(1.0, "red")]),
        stat("How much memory do copies of directories take?", "Verified copies that gateways keep, about.", BYTES)
            .ask("sum(truckee_drive_copies_bytes{@})", "copies"),
        stack("What is done with directories?", "Reads and changes by outcome, as clients asked for them.", PER_SECOND)
            .ask("sum by (operation, outcome) (rate(truckee_drive_calls_total{@}[$__rate_interval]))", "{{operation}}: {{outcome}}"),
        lines("How long do directories take?", "Mean time from the call to the answer.", SECONDS)
            .ask("sum by (operation) (rate(truckee_drive_call_seconds_sum{@}[$__rate_interval])) / sum by (operation) (rate(truckee_drive_call_seconds_count{@}[$__rate_interval]))", "{{operation}}"),
        stack("How often was the gateway's copy up to date?", "Questions for news of a directory. Current is a hit; news brought rows that changed; whole is a miss.", PER_SECOND)
            .ask("sum by (outcome) (rate(truckee_drive_fetches_total{@}[$__rate_interval]))", "{{outcome}}"),
        lines("How often do changes collide or fail?", "Changes evaluated anew because somebody else's was first, requests that were not answered as asked, and copies that made room.", PER_SECOND)
            .ask("sum(rate(truckee_drive_conflicts_total{@}[$__rate_interval]))", "conflicts")
            .ask("sum(rate(truckee_drive_requests_failed_total{@}[$__rate_interval]))", "failed requests")
            .ask("sum(rate(truckee_drive_evicted_total{@}[$__rate_interval]))", "evicted copies"),
    ];
    panels.into_iter().map(|panel| panel.needs("vdrive")).collect()
}

fn checks() -> Vec<Panel> {
    vec![
        lines(
            "How many checks of files end, and how?",
            "Checks that clients asked for, by outcome.",
            PER_SECOND,
        )
        .ask(
            "sum by (outcome) (rate(truckee_check_finished_total{@}[$__rate_interval]))",
            "{{outcome}}",
        ),
        lines(
            "Did checks find damage?",
            "Damaged shares that checks found.",
            COUNT,
        )
        .ask(
            "sum(increase(truckee_check_corrupt_shares_total{@}[1d]))",
            "shares",
        )
        .warn(&[(1.0, "red")]),
    ]
}
