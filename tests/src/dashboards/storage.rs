//! Space, shares, and what the share stores do.

use super::panel::{BYTES, BYTES_PER_SECOND, COUNT, DAYS, PER_SECOND, RATIO, SECONDS, lines, stack, stat};
use super::{Dashboard, Panel, Row};

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: "truckee-storage",
        title: "Truckee: storage and healing",
        description: "How full is each node, how fast are its disks, and is what they hold still good?",
        choices: &[
            (
                "request",
                "Store request",
                &[
                    "write_block",
                    "open_share",
                    "close_share",
                    "put_share",
                    "read_block",
                    "find_shares",
                    "abort_share",
                ],
            ),
            (
                "quantile",
                "Quantile",
                &["0.99", "0.01", "0.1", "0.5", "0.9", "0.999"],
            ),
        ],
        rows: vec![
            Row::new("Space", space()),
            Row::new("Work", work()),
            Row::new("Is it still good?", good()),
            Row::new("Is all of it looked at?", looked_at()),
        ],
    }
}

fn space() -> Vec<Panel> {
    vec![
        stat("How many shares are there?", "Complete shares on all storage nodes.", COUNT)
            .ask("sum(grid:truckee_store_shares:sum{job=~\"$job\"})", "shares"),
        stat("About how many files are there?", "Shares, divided by the shares that gateways make of a file. Small files that live in their caps are not among them.", COUNT)
            .ask("sum(grid:truckee_store_shares:sum{job=~\"$job\"}) / max(truckee_gateway_shares_made{job=~\"$job\"})", "files"),
        stat("How much is used?", "Complete shares on all storage nodes.", BYTES)
            .ask("sum(grid:truckee_store_used_bytes:sum{job=~\"$job\"})", "used"),
        stat("How much is left?", "What quota, reserve and disks still allow, over all storage nodes.", BYTES)
            .ask("sum(grid:truckee_store_available_bytes:sum{job=~\"$job\"})", "left"),
        stat("How much disk does a byte stored take?", "Bytes of shares written for each byte of plaintext taken in, since the nodes started: n/k and what hashes take.", RATIO)
            .ask("sum(truckee_store_written_bytes_total{job=~\"$job\"}) / sum(truckee_upload_plaintext_bytes_total{job=~\"$job\"})", "expansion"),
        lines("How much does each node hold?", "Complete shares, bytes.", BYTES)
            .ask("sum by (node) (truckee_store_used_bytes{@})", "{{node}}"),
        lines("How many shares does each node hold?", "Complete shares.", COUNT)
            .ask("sum by (node) (truckee_store_shares{@})", "{{node}}"),
        lines("How much is left on each node?", "What quota, reserve and disk still allow for new shares.", BYTES)
            .ask("sum by (node) (truckee_store_available_bytes{@})", "{{node}}"),
        lines("How full are the disks below?", "Use of the file systems that hold the nodes' directories, by whatever.", RATIO)
            .ask("1 - max by (node) (truckee_node_disk_free_bytes{@} / truckee_node_disk_size_bytes{@})", "{{node}}")
            .warn(&[(0.8, "orange"), (0.95, "red")]),
        lines("How large are those disks, and how much is free?", "Size and free bytes, over all nodes. Nodes on one disk count it once each.", BYTES)
            .ask("sum(truckee_node_disk_size_bytes{@})", "size")
            .ask("sum(truckee_node_disk_free_bytes{@})", "free"),
        lines("By how much did the days until full change?", "Days until full by the growth of two and four weeks: a falling line means that growth speeds up.", DAYS)
            .ask("min(grid:truckee_full_days:2w{job=~\"$job\"} >= 0)", "as in two weeks")
            .ask("min(grid:truckee_full_days:4w{job=~\"$job\"} >= 0)", "as in four weeks"),
    ]
}

fn work() -> Vec<Panel> {
    vec![
        lines("How long does a request take, at the chosen quantile?", "Requests of the chosen kind, from their arrival in the store to the answer, by node.", SECONDS)
            .ask("histogram_quantile($quantile, sum by (le, node) (rate(truckee_store_request_seconds_bucket{@,request=\"$request\"}[$__rate_interval])))", "{{node}}"),
        lines("How long does a request take on average?", "Mean over the requests of the chosen kind, by node.", SECONDS)
            .ask("sum by (node) (rate(truckee_store_request_seconds_sum{@,request=\"$request\"}[$__rate_interval])) / sum by (node) (rate(truckee_store_request_seconds_count{@,request=\"$request\"}[$__rate_interval]))", "{{node}}"),
        lines("How many requests of the chosen kind does each node serve?", "Requests by node.", PER_SECOND)
            .ask("sum by (node) (rate(truckee_store_requests_total{@,request=\"$request\"}[$__rate_interval]))", "{{node}}"),
        stack("What is asked of the stores?", "Requests by kind and outcome.", PER_SECOND)
            .ask("sum by (request, outcome) (rate(truckee_store_requests_total{@}[$__rate_interval]))", "{{request}}: {{outcome}}"),
        lines("How fast is written and read?", "Bytes of blocks.", BYTES_PER_SECOND)
            .ask("sum by (node) (rate(truckee_store_written_bytes_total{@}[$__rate_interval]))", "{{node}} writes")
            .ask("sum by (node) (rate(truckee_store_read_bytes_total{@}[$__rate_interval]))", "{{node}} reads"),
        lines("Which disk operation is slow?", "Mean time of disk operations by kind; finish includes the flush to the platter.", SECONDS)
            .ask("sum by (operation) (rate(truckee_store_disk_seconds_sum{@}[$__rate_interval])) / sum by (operation) (rate(truckee_store_disk_seconds_count{@}[$__rate_interval]))", "{{operation}}"),
        lines("Do disk operations queue up?", "Operations that wait for a thread or are carried out.", COUNT)
            .ask("sum by (node) (truckee_store_disk_queue_operations{@})", "{{node}}")
            .warn(&[(100.0, "orange")]),
        lines("How many shares are being written?", "Shares that are open, by node.", COUNT)
            .ask("sum by (node) (truckee_store_open_shares{@})", "{{node}}"),
    ]
}

fn good() -> Vec<Panel> {
    vec![
        lines(
            "Which node found damaged shares?",
            "Shares whose bytes did not match their hashes, set aside. Nothing of them is served.",
            COUNT,
        )
        .ask(
            "sum by (node) (increase(truckee_store_corrupt_shares_total{@}[1d]))",
            "{{node}}",
        )
        .warn(&[(1.0, "red")]),
        lines(
            "What was at work when damage was found?",
            "Scrub: the node itself, before anybody asked. Read: a peer asked for a share. Write: a share was to be stored in its place.",
            COUNT,
        )
        .ask(
            "sum by (found_by) (increase(truckee_store_corrupt_shares_total{@}[1d]))",
            "{{found_by}}",
        )
        .warn(&[(1.0, "red")]),
        lines("Do disks fail?", "Disk operations that failed, by kind.", COUNT)
            .ask(
                "sum by (node, operation) (increase(truckee_store_disk_errors_total{@}[1h]))",
                "{{node}} {{operation}}",
            )
            .warn(&[(1.0, "red")]),
        lines(
            "Why are unfinished shares removed?",
            "Shares that were begun and never closed, by cause.",
            COUNT,
        )
        .ask(
            "sum by (cause) (increase(truckee_store_aborted_shares_total{@}[1h]))",
            "{{cause}}",
        ),
    ]
}

fn looked_at() -> Vec<Panel> {
    vec![
        lines("How far is each node in its round?", "Part of its shares that the scrubber has read back in the round under way. It stays at 0 until the next round is due.", RATIO)
            .ask("max by (node) (truckee_store_scrub_position_ratio{@})", "{{node}}"),
        lines("Are rounds on time?", "Age of the round under way, and how long a round takes over what the node holds if nothing holds it up. The age should stay below.", DAYS)
            .ask("(time() - min by (node) (truckee_store_scrub_round_start_time_seconds{@})) / 86400", "{{node}} so far")
            .ask("max by (node) (truckee_store_scrub_planned_seconds{@}) / 86400", "{{node}} planned"),
        lines("How long ago was everything read back?", "Since the end of the last round; for a node without one, since its first one began.", DAYS)
            .ask("(time() - max by (node) ((truckee_store_scrub_last_end_time_seconds{@} > 0) or truckee_store_scrub_round_start_time_seconds{@})) / 86400", "{{node}}"),
        lines("How many rounds were finished?", "Since the nodes started.", COUNT)
            .ask("sum by (node) (truckee_store_scrub_rounds_total{@})", "{{node}}"),
        lines("How much was read back and checked?", "Bytes of sound shares that the scrubber read.", BYTES_PER_SECOND)
            .ask("sum by (node) (rate(truckee_store_scrubbed_bytes_total{@}[$__rate_interval]))", "{{node}}"),
        lines("How many shares were checked, and with what outcome?", "Unreadable: the disk gave an error. Corrupt: bytes did not match their hashes, and the share was set aside.", PER_SECOND)
            .ask("sum by (outcome) (rate(truckee_store_scrub_shares_total{@}[$__rate_interval]))", "{{outcome}}"),
    ]
}
