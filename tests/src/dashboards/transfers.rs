//! What uploads and downloads do, stage by stage, and why they fail.

use super::panel::{BYTES, BYTES_PER_SECOND, COUNT, PER_SECOND, RATIO, SECONDS, lines, stack, stat};
use super::{Dashboard, Panel, Row};

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: "truckee-transfers",
        title: "Truckee: uploads and downloads",
        description: "Where does the time of a transfer go, and why do some fail?",
        choices: &[],
        rows: vec![
            Row::new("Uploads", uploads()),
            Row::new("Downloads", downloads()),
            Row::new("Coding", coding()),
        ],
    }
}

fn uploads() -> Vec<Panel> {
    vec![
        stat("How many uploads run?", "Uploads under way on all gateways.", COUNT)
            .ask("sum(truckee_upload_active{@})", "uploads"),
        stat("How many files were stored today?", "Uploads of the last day that ended well.", COUNT)
            .ask("sum(increase(truckee_upload_finished_total{@,outcome=\"completed\"}[1d]))", "files"),
        stat("How much was stored today?", "Plaintext that uploads took in during the last day.", BYTES)
            .ask("sum(increase(truckee_upload_plaintext_bytes_total{@}[1d]))", "plaintext"),
        stat("How much is sent for a byte stored?", "Bytes of blocks sent to storage nodes for each byte of plaintext: n/k and a little more.", COUNT)
            .ask("sum(increase(truckee_upload_sent_bytes_total{@}[1d])) / sum(increase(truckee_upload_plaintext_bytes_total{@}[1d]))", "times"),
        lines("How many bytes are uploaded per second?", "Plaintext in, and blocks out to storage nodes.", BYTES_PER_SECOND)
            .ask("sum by (node) (rate(truckee_upload_plaintext_bytes_total{@}[$__rate_interval]))", "{{node}} plaintext")
            .ask("sum by (node) (rate(truckee_upload_sent_bytes_total{@}[$__rate_interval]))", "{{node}} blocks"),
        stack("How many files are uploaded per second, and how do they end?", "Uploads that ended, by outcome.", PER_SECOND)
            .ask("sum by (outcome) (rate(truckee_upload_finished_total{@}[$__rate_interval]))", "{{outcome}}"),
        lines("How long does an upload take?", "From the first byte to the cap. Depends on the size of files; the stages tell more.", SECONDS)
            .ask_quantiles("truckee_upload_seconds", ""),
        lines("Which stage of an upload takes the time?", "Mean time of each stage. Stages overlap: while one segment is sent the next one is coded.", SECONDS)
            .ask("sum by (stage) (rate(truckee_upload_stage_seconds_sum{@}[$__rate_interval])) / sum by (stage) (rate(truckee_upload_stage_seconds_count{@}[$__rate_interval]))", "{{stage}}"),
        lines("Why do peers fail uploads?", "Peers that lost their share of an upload, by what went wrong first.", PER_SECOND)
            .ask("sum by (cause) (rate(truckee_upload_peers_failed_total{@}[$__rate_interval]))", "{{cause}}"),
        lines("How many shares are left to repair?", "Shares below n at the end of uploads that succeeded.", COUNT)
            .ask("sum by (node) (increase(truckee_upload_shares_missing_total{@}[1h]))", "{{node}}")
            .warn(&[(1.0, "orange")]),
    ]
}

fn downloads() -> Vec<Panel> {
    vec![
        stat("How many downloads run?", "Downloads under way on all gateways.", COUNT)
            .ask("sum(truckee_download_active{@})", "downloads"),
        stat("How many files were read today?", "Downloads of the last day that ended well.", COUNT)
            .ask("sum(increase(truckee_download_finished_total{@,outcome=\"completed\"}[1d]))", "files"),
        stat("How much was read today?", "Plaintext that downloads gave out during the last day.", BYTES)
            .ask("sum(increase(truckee_download_plaintext_bytes_total{@}[1d]))", "plaintext"),
        stat("Was a damaged block refused today?", "Blocks that failed their hash. Another share was used in their place.", COUNT)
            .ask("sum(increase(truckee_download_corrupt_blocks_total{@}[1d]))", "blocks")
            .warn(&[(1.0, "red")]),
        lines("How many bytes are downloaded per second?", "Blocks in from storage nodes, and plaintext out.", BYTES_PER_SECOND)
            .ask("sum by (node) (rate(truckee_download_plaintext_bytes_total{@}[$__rate_interval]))", "{{node}} plaintext")
            .ask("sum by (node) (rate(truckee_download_received_bytes_total{@}[$__rate_interval]))", "{{node}} blocks"),
        stack("How many files are downloaded per second, and how do they end?", "Downloads that ended, by outcome.", PER_SECOND)
            .ask("sum by (outcome) (rate(truckee_download_finished_total{@}[$__rate_interval]))", "{{outcome}}"),
        lines("How long until the first byte?", "From the request to the first byte of plaintext.", SECONDS)
            .ask_quantiles("truckee_download_first_byte_seconds", "")
            .warn(&[(1.0, "orange"), (2.0, "red")]),
        lines("How long does a download take?", "From the request to the last byte.", SECONDS)
            .ask_quantiles("truckee_download_seconds", ""),
        lines("Which stage of a download takes the time?", "Mean time to find shares, and to fetch, verify, decode and open.", SECONDS)
            .ask("sum by (stage) (rate(truckee_download_stage_seconds_sum{@}[$__rate_interval])) / sum by (stage) (rate(truckee_download_stage_seconds_count{@}[$__rate_interval]))", "{{stage}}"),
        lines("How often is a slow peer hedged?", "Blocks asked of a further peer because the first was slow, for each segment.", RATIO)
            .ask("sum(rate(truckee_download_hedges_total{@}[$__rate_interval])) / clamp_min(sum(rate(truckee_download_segments_total{@}[$__rate_interval])), 0.001)", "hedges"),
    ]
}

fn coding() -> Vec<Panel> {
    vec![
        lines("How many segments are coded?", "Segments sealed, coded and hashed for uploads; verified, decoded and opened for downloads.", PER_SECOND)
            .ask("sum(rate(truckee_upload_segments_total{@}[$__rate_interval]))", "encoded")
            .ask("sum(rate(truckee_download_segments_total{@}[$__rate_interval]))", "decoded"),
        lines("How long does a segment take to code?", "Mean time of a job on the CPU pool, and of its wait for a thread.", SECONDS)
            .ask("sum by (work) (rate(truckee_cpu_run_seconds_sum{@}[$__rate_interval])) / sum by (work) (rate(truckee_cpu_run_seconds_count{@}[$__rate_interval]))", "{{work}} runs")
            .ask("sum by (work) (rate(truckee_cpu_wait_seconds_sum{@}[$__rate_interval])) / sum by (work) (rate(truckee_cpu_wait_seconds_count{@}[$__rate_interval]))", "{{work}} waits"),
        lines("Which step of coding takes the time?", "Mean time of each step for a segment. Uploads: seal, code, hash; downloads: verify, decode, open.", SECONDS)
            .ask("sum by (stage) (rate(truckee_codec_stage_seconds_sum{@}[$__rate_interval])) / sum by (stage) (rate(truckee_codec_stage_seconds_count{@}[$__rate_interval]))", "{{stage}}"),
        lines("Which step of coding takes the processor?", "CPU seconds for each second of the clock, by step.", RATIO)
            .ask("sum by (stage) (rate(truckee_codec_stage_cpu_seconds_sum{@}[$__rate_interval]))", "{{stage}}"),
        stat("Does a reference engine work in place of a fast one?", "1 if a fast engine failed its check at the start and the slow one works instead.", COUNT)
            .ask("max(truckee_codec_fallback{@})", "fallback")
            .warn(&[(1.0, "orange")]),
    ]
}
