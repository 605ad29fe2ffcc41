//! Is the grid well: safe, how full, how fast, what is broken, what to do.

use super::panel::{BYTES, BYTES_PER_SECOND, COUNT, DAYS, RATIO, SECONDS, lines, ranking, stack, stat};
use super::{Dashboard, Panel, Row};

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: "truckee-overview",
        title: "Truckee: grid overview",
        description: "Is every file safe, when will the grid be full, which node is the slow one, what should I do now?",
        choices: &[],
        rows: vec![
            Row::new("Is it healthy?", health()),
            Row::new("How full is it?", space()),
            Row::new("How fast is it?", speed()),
            Row::new("What is broken?", trouble()),
        ],
    }
}

fn health() -> Vec<Panel> {
    vec![
        stat("What should I do now? (alerts that fire)",
            "Alerts of the grid that fire. Each names its first action; the list stands under Alerting, the actions in ops/README.md.", COUNT)
            .ask("sum(ALERTS{alertname=~\"Truckee.*\",alertstate=\"firing\",severity!=\"info\"}) or vector(0)", "alerts")
            .warn(&[(1.0, "orange"), (3.0, "red")]),
        stat("How many more storage nodes may fail before a file cannot be read?",
            "Storage nodes that answer, less the shares that a file needs (k). At zero or below, files are out of reach; nothing is lost as long as disks come back.", COUNT)
            .ask("min(grid:truckee_storage_nodes_spare:count{job=~\"$job\"})", "nodes")
            .bad_below(&[(1.0, "orange"), (3.0, "green")]),
        stat("Which share of the storage nodes answers?",
            "Scraped storage nodes that answer, of those that are known.", RATIO)
            .ask("min(grid:truckee_storage_nodes_up:count{job=~\"$job\"} / grid:truckee_storage_nodes_known:count{job=~\"$job\"})", "up")
            .bad_below(&[(0.7, "orange"), (1.0, "green")]),
        stat("Which files are not safe?",
            "Files that nobody can read now, and files with missing shares that are being made again. What is on nodes that are away counts as there until their time to come back is over, or until few shares are left.", COUNT)
            .ask("sum(truckee_heal_files{@,state=\"unreadable\"})", "cannot be read")
            .ask("sum(truckee_heal_files{@,state=\"short\"})", "to be repaired")
            .warn(&[(1.0, "orange")]),
        stat("Do uploads succeed?", "Uploads of the last hour that ended well, of those that did not end by the client's own doing.", RATIO)
            .ask("1 - max(grid:truckee_upload_errors:ratio_rate1h{job=~\"$job\"})", "succeed")
            .bad_below(&[(0.99, "orange"), (0.999, "green")]),
        stat("Do downloads succeed?", "Downloads of the last hour that ended well, of those that did not end by the client's own doing.", RATIO)
            .ask("1 - max(grid:truckee_download_errors:ratio_rate1h{job=~\"$job\"})", "succeed")
            .bad_below(&[(0.99, "orange"), (0.999, "green")]),
        stat("Was anything found damaged today?", "Shares that storage nodes set aside and blocks that downloads refused. Nothing damaged is ever given out.", COUNT)
            .ask("sum(increase(truckee_store_corrupt_shares_total{@}[1d])) + (sum(increase(truckee_download_corrupt_blocks_total{@}[1d])) or vector(0))", "finds")
            .warn(&[(1.0, "red")]),
        stat("Which nodes do not answer?", "Nodes that Prometheus knows and cannot scrape.", COUNT)
            .ask("count(up{@} == 0) or vector(0)", "nodes")
            .warn(&[(1.0, "orange"), (2.0, "red")]),
    ]
}

fn space() -> Vec<Panel> {
    vec![
        stack("How much is stored, how much is left?", "Complete shares on all storage nodes, and what quota, reserve and disks still allow.", BYTES)
            .ask("sum(grid:truckee_store_used_bytes:sum{job=~\"$job\"})", "used")
            .ask("sum(grid:truckee_store_available_bytes:sum{job=~\"$job\"})", "left"),
        lines("How fast does it fill?", "Growth of what is stored, over four windows. Negative while more is removed than stored.", BYTES_PER_SECOND)
            .ask("sum(grid:truckee_store_used_bytes:deriv1h{job=~\"$job\"})", "over an hour")
            .ask("sum(grid:truckee_store_used_bytes:deriv1d{job=~\"$job\"})", "over a day")
            .ask("sum(grid:truckee_store_used_bytes:deriv2w{job=~\"$job\"})", "over two weeks")
            .ask("sum(grid:truckee_store_used_bytes:deriv4w{job=~\"$job\"})", "over four weeks"),
        lines("In how many days is the grid full?", "What is left, divided by the growth over four windows. No line while nothing grows.", DAYS)
            .ask("min(grid:truckee_full_days:1h{job=~\"$job\"} >= 0)", "as in the last hour")
            .ask("min(grid:truckee_full_days:1d{job=~\"$job\"} >= 0)", "as in the last day")
            .ask("min(grid:truckee_full_days:2w{job=~\"$job\"} >= 0)", "as in two weeks")
            .ask("min(grid:truckee_full_days:4w{job=~\"$job\"} >= 0)", "as in four weeks"),
        ranking("Which node fills first?", "Used, of what a node may use.", RATIO)
            .ask("topk(10, truckee_store_used_bytes{@} / clamp_min(truckee_store_used_bytes{@} + truckee_store_available_bytes{@}, 1))", "{{node}}")
            .warn(&[(0.8, "orange"), (0.95, "red")]),
    ]
}

fn speed() -> Vec<Panel> {
    vec![
        lines("How fast do files come and go?", "Plaintext taken in by uploads and given out by downloads, over all gateways.", BYTES_PER_SECOND)
            .ask("sum(rate(truckee_upload_plaintext_bytes_total{@}[$__rate_interval]))", "up")
            .ask("sum(rate(truckee_download_plaintext_bytes_total{@}[$__rate_interval]))", "down"),
        lines("How long until the first byte of a download?", "From the request to the first byte of plaintext.", SECONDS)
            .ask_quantiles("truckee_download_first_byte_seconds", "")
            .warn(&[(1.0, "orange"), (2.0, "red")]),
        ranking("Which node is the slow one?", "The time in which a storage node answered 99 % of the requests of the last half hour.", SECONDS)
            .ask("topk(10, histogram_quantile(0.99, sum by (le, node) (rate(truckee_store_request_seconds_bucket{@}[30m]))))", "{{node}}")
            .warn(&[(0.5, "orange"), (2.0, "red")])
            .wide(24),
    ]
}

fn trouble() -> Vec<Panel> {
    vec![
        lines("Why do transfers fail?", "Uploads and downloads that failed, by cause; those that clients broke off included.", COUNT)
            .ask("sum by (outcome) (increase(truckee_upload_finished_total{@,outcome!=\"completed\"}[$__rate_interval]))", "upload {{outcome}}")
            .ask("sum by (outcome) (increase(truckee_download_finished_total{@,outcome!=\"completed\"}[$__rate_interval]))", "download {{outcome}}"),
        lines("Does anything restart?", "Supervised parts of nodes that were started again, and nodes that were.", COUNT)
            .ask("sum by (node, actor) (increase(truckee_actor_restarts_total{@}[1h])) > 0", "{{node}} {{actor}}")
            .ask("sum(changes(truckee_node_start_time_seconds{@}[1h]))", "whole nodes"),
    ]
}
