//! Whether files are whole, space, shares, and what the share stores do.

use super::panel::{BYTES, BYTES_PER_SECOND, COUNT, DAYS, PER_SECOND, RATIO, SECONDS, lines, stack, stat};
use super::{Dashboard, Panel, Row};

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: "truckee-storage",
        title: "Truckee: storage and healing",
        description: "Is every file whole, how full is each node, how fast are its disks, and is what they hold still good?",
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
            Row::new("Is every file whole?", whole()),
            Row::new("Space", space()),
            Row::new("Work", work()),
            Row::new("Is it still good?", good()),
            Row::new("Is all of it looked at?", looked_at()),
            Row::new("What is let go?", let_go()),
        ],
    }
}

fn whole() -> Vec<Panel> {
    vec![
        stat("How many files cannot be read?", "Files of which fewer shares answer than it takes (k). Nodes that come back bring them back; what is lost for good stays here.", COUNT)
            .ask("sum(truckee_heal_files{@,state=\"unreadable\"})", "files")
            .warn(&[(1.0, "red")]),
        stat("How many shares may the most endangered file still lose?", "Shares beyond k of the file that has the fewest of those with missing shares; n less k while none has any.", COUNT)
            .ask("min((truckee_heal_margin_shares{@} >= 0) or on () (max(truckee_gateway_shares_made{job=~\"$job\"}) - max(truckee_gateway_shares_needed{job=~\"$job\"})))", "shares")
            .bad_below(&[(2.0, "orange"), (4.0, "green")]),
        stat("How many files wait for repair?", "Files with missing shares that can be made again, and are about to be.", COUNT)
            .ask("sum(truckee_heal_files{@,state=\"short\"})", "files")
            .warn(&[(1.0, "orange")]),
        stat("How many repairs run?", "Files whose missing shares are being made now.", COUNT)
            .ask("sum(truckee_repair_active{@})", "repairs"),
        lines("Which files lack shares, and why is that so?", "Short: shares are missing and will be made again. Leaving: none is missing, some are made again because their node is being emptied. Presumed: found while nodes were away that are taken to hold them and have time to come back; a node that goes away is no reason to look at its files at once. Unreadable: too few answer. Contradicted: nodes say different things of a file; the repair finds out which is right.", COUNT)
            .ask("sum by (state) (truckee_heal_files{@})", "{{state}}"),
        lines("How fast are shares made again?", "Bytes of blocks that repairs read from other nodes and wrote to them. Both together stay below heal.bytes_per_second of a node.", BYTES_PER_SECOND)
            .ask("sum by (node) (rate(truckee_repair_read_bytes_total{@}[$__rate_interval]))", "{{node}} reads")
            .ask("sum by (node) (rate(truckee_repair_written_bytes_total{@}[$__rate_interval]))", "{{node}} writes"),
        lines("How many shares were made again?", "Shares in the last hour, by the node that made them.", COUNT)
            .ask("sum by (node) (increase(truckee_repair_shares_total{@}[1h]))", "{{node}}"),
        lines("How do repairs end?", "Complete and unneeded: the file is whole. Partial: not every share found a place. The others are causes of failure; what failed is tried again, later each time.", COUNT)
            .ask("sum by (outcome) (increase(truckee_repair_finished_total{@}[1h]))", "{{outcome}}"),
        lines("How long does a repair take?", "Mean over the repairs of the last hour, by the node that made them. Repairs wait for their rate.", SECONDS)
            .ask("sum by (node) (increase(truckee_repair_seconds_sum{@}[1h])) / (sum by (node) (increase(truckee_repair_seconds_count{@}[1h])) > 0)", "{{node}}"),
        lines("Which nodes are waited for?", "Storage nodes that do not answer and still count: the number that each keeper of files sees.", COUNT)
            .ask("max by (node) (truckee_heal_nodes_away{@})", "seen by {{node}}"),
        lines("Is all compared?", "Rounds in which a node compared what all others hold, and parts that it has still to list.", COUNT)
            .ask("sum by (node) (increase(truckee_heal_rounds_total{@}[10m]))", "{{node}} rounds in ten minutes")
            .ask("sum by (node) (truckee_heal_buckets_left{@})", "{{node}} parts left"),
        lines("What does comparing cost?", "Shares in the lists that nodes send each other, 19 bytes each. None while nothing changes.", PER_SECOND)
            .ask("sum(rate(truckee_heal_shares_listed_total{@}[$__rate_interval]))", "shares listed")
            .ask("sum(rate(truckee_heal_lists_failed_total{@}[$__rate_interval]))", "lists failed"),
        lines("How many shares are there twice?", "Copies of shares beyond one of each, as nodes leave them that were away while what they held was made again.", COUNT)
            .ask("sum(truckee_heal_surplus_shares{@})", "copies"),
        lines("How far are nodes emptied?", "Of the files with a share on a node that is being emptied: moved are those all of whose shares are on other nodes that stay, waiting those that are not, stuck those of which too few shares answer.", COUNT)
            .ask("sum(truckee_store_draining{@})", "nodes being emptied")
            .ask("sum by (node, state) (truckee_drain_files{@}) and on (node) (max by (node) (truckee_store_draining{@}) > 0)", "{{node}} {{state}}"),
        lines("What becomes of copies that are too many?", "Copies that nodes look at: those that went into the trash in the last hour, and those that stay, by why.", COUNT)
            .ask("sum(increase(truckee_trim_dropped_total{@}[1h]))", "gone into the trash")
            .ask("sum by (cause) (increase(truckee_trim_stays_total{@}[1h]))", "{{cause}}"),
        lines("Do new nodes fill up?", "Shares that belong on another node since nodes came: those that wait for their move, and those moved in the last hour.", COUNT)
            .ask("sum(truckee_trim_copies{@,state=\"leaving\"})", "to be moved")
            .ask("sum(increase(truckee_trim_moved_total{@}[1h]))", "moved"),
    ]
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

fn let_go() -> Vec<Panel> {
    vec![
        lines("Which nodes let shares go?", "1: shares that nobody has renewed for the node's term are collected. 0: none are.", COUNT)
            .ask("max by (node) (truckee_gc_on{@})", "{{node}}"),
        lines("In how many days does the first share go?", "After collecting was turned on, nothing goes for a whole term. 0: it is over, or collecting is off.", COUNT)
            .ask("max by (node) (truckee_gc_first_term_seconds{@}) / 86400", "{{node}}"),
        lines("How many leases are renewed?", "Files of which a node holds shares, once for each renewal, in a day. Nothing over a week means that nobody renews.", COUNT)
            .ask("sum by (node) (increase(truckee_store_leases_renewed_total{@}[1d]))", "{{node}}"),
        lines("How much waits in the trash?", "Bytes of shares that were collected or surplus and are not deleted yet. They still use their space; a renewal brings back what was collected.", BYTES)
            .ask("sum by (node) (truckee_store_trash_bytes{@})", "{{node}}"),
        lines("How many shares wait in the trash?", "The same, in shares.", COUNT)
            .ask("sum by (node) (truckee_store_trash_shares{@})", "{{node}}"),
        lines("How many shares were let go?", "Collected: into the trash. Deleted: from the trash, for good. In a day.", COUNT)
            .ask("sum by (step) (increase(truckee_gc_shares_total{@}[1d]))", "{{step}}"),
        lines("How much was let go?", "The same, in bytes.", BYTES)
            .ask("sum by (step) (increase(truckee_gc_share_bytes_total{@}[1d]))", "{{step}}"),
        lines("Does the collector get on?", "Walks over all shares, one a day, and what it could not look at or move on the way, in a day.", COUNT)
            .ask("sum by (node) (increase(truckee_gc_walks_total{@}[1d]))", "{{node}} walks")
            .ask("sum by (node) (increase(truckee_gc_failures_total{@}[1d]))", "{{node}} failures"),
        lines("Is a node's calendar ahead of the days that it has seen?", "After time off it catches up within as long. More than that is a clock that is wrong.", COUNT)
            .ask("max by (node) (truckee_gc_behind_seconds{@}) / 86400", "{{node}}")
            .warn(&[(14.0, "orange")]),
    ]
}
