//! What nodes are made of: actors, gates, threads, memory.

use super::panel::{BYTES, BYTES_PER_SECOND, COUNT, PER_SECOND, RATIO, SECONDS, lines, ranking, stack};
use super::{Dashboard, Panel, Row};

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: "truckee-runtime",
        title: "Truckee: actors and runtime",
        description: "Is a node short of CPU, memory, descriptors or patience, and do its parts keep running?",
        choices: &[],
        rows: vec![
            Row::new("Processes", processes()),
            Row::new("Actors", actors()),
            Row::new("Gates and threads", gates()),
        ],
    }
}

fn processes() -> Vec<Panel> {
    vec![
        stack("How much CPU does each node use?", "Processors, averaged over five minutes.", COUNT)
            .ask("sum by (node) (rate(truckee_process_cpu_seconds_total{@}[5m]))", "{{node}}"),
        stack("How much memory does each node use?", "Memory in RAM.", BYTES)
            .ask("sum by (node) (truckee_process_resident_memory_bytes{@})", "{{node}}"),
        lines("How large are the address spaces?", "Virtual memory, by node.", BYTES)
            .ask("sum by (node) (truckee_process_virtual_memory_bytes{@})", "{{node}}"),
        ranking("Which node runs out of descriptors?", "Open files and sockets, of those allowed.", RATIO)
            .ask("topk(10, truckee_process_open_files{@} / truckee_process_open_files_max{@})", "{{node}}")
            .warn(&[(0.7, "orange"), (0.9, "red")]),
        lines("How much do the processes read from and write to disks?", "What the page cache served is not in it.", BYTES_PER_SECOND)
            .ask("sum by (node) (rate(truckee_process_disk_read_bytes_total{@}[$__rate_interval]))", "{{node}} reads")
            .ask("sum by (node) (rate(truckee_process_disk_written_bytes_total{@}[$__rate_interval]))", "{{node}} writes"),
        lines("How many threads and descriptors are there?", "Threads, files and sockets, by node.", COUNT)
            .ask("sum by (node) (truckee_process_threads{@})", "{{node}} threads")
            .ask("sum by (node) (truckee_process_open_files{@})", "{{node}} descriptors"),
        lines("How long do nodes run?", "Time since the process started, and its version.", SECONDS)
            .ask("max by (node, version) (time() - truckee_node_start_time_seconds{@} + on (node, instance) group_left (version) 0 * truckee_node_info{@})", "{{node}} {{version}}"),
        lines("Do event loops keep up?", "How late a task was woken: on average, and 99 % below. More than a tenth of a second is felt.", SECONDS)
            .ask("sum by (node, loop) (rate(truckee_runtime_lag_seconds_sum{@}[$__rate_interval])) / sum by (node, loop) (rate(truckee_runtime_lag_seconds_count{@}[$__rate_interval]))", "{{node}} {{loop}} mean")
            .ask("histogram_quantile(0.99, sum by (le, node, loop) (rate(truckee_runtime_lag_seconds_bucket{@}[$__rate_interval])))", "{{node}} {{loop}} 99 %")
            .warn(&[(0.1, "orange"), (0.5, "red")]),
    ]
}

fn actors() -> Vec<Panel> {
    vec![
        stack("How many actors run?", "Supervised children by kind.", COUNT)
            .ask("sum by (actor) (truckee_actor_running{@})", "{{actor}}"),
        lines("How long do messages wait in mailboxes?", "Time that a health check waited, by kind of actor: mean.", SECONDS)
            .ask("sum by (actor) (rate(truckee_actor_mailbox_wait_seconds_sum{@}[2m])) / sum by (actor) (rate(truckee_actor_mailbox_wait_seconds_count{@}[2m]))", "{{actor}}")
            .warn(&[(0.1, "orange"), (1.0, "red")]),
        lines("Do actors restart?", "Children that the supervisor started again.", COUNT)
            .ask("sum by (node, actor) (increase(truckee_actor_restarts_total{@}[1h]))", "{{node}} {{actor}}")
            .warn(&[(1.0, "orange"), (5.0, "red")]),
        lines("Do restarts escalate, or do actors hang?", "Children that ended too often, and health checks that were not answered in time.", COUNT)
            .ask("sum by (node) (increase(truckee_actor_escalations_total{@}[1h]))", "{{node}} escalated")
            .ask("sum by (node) (increase(truckee_actor_unresponsive_total{@}[1h]))", "{{node}} hung"),
    ]
}

fn gates() -> Vec<Panel> {
    vec![
        lines(
            "How full are the gates?",
            "Permits in use, of all; at one, askers wait.",
            RATIO,
        )
        .ask(
            "max by (node, gate) (truckee_gate_used_permits{@} / truckee_gate_capacity_permits{@})",
            "{{node}} {{gate}}",
        )
        .ask(
            "max by (node, gate) (truckee_gate_used_bytes{@} / truckee_gate_capacity_bytes{@})",
            "{{node}} {{gate}}",
        )
        .warn(&[(0.9, "orange")]),
        lines(
            "Who waits at a gate, and who is sent away?",
            "Askers that wait now, and those of the last hour that were refused.",
            COUNT,
        )
        .ask(
            "sum by (node, gate) (truckee_gate_waiting{@})",
            "{{node}} {{gate}} wait",
        )
        .ask(
            "sum by (node, gate) (increase(truckee_gate_refused_total{@}[1h]))",
            "{{node}} {{gate}} refused",
        ),
        lines(
            "How long is waited at gates?",
            "Seconds of waiting for each second that passes, by gate.",
            SECONDS,
        )
        .ask(
            "sum by (gate) (rate(truckee_gate_wait_seconds_sum{@}[$__rate_interval]))",
            "{{gate}}",
        ),
        lines(
            "Is the CPU pool behind?",
            "Jobs that wait for a thread, beside the number of threads.",
            COUNT,
        )
        .ask("sum by (node) (truckee_cpu_queue_jobs{@})", "{{node}} waiting")
        .ask("sum by (node) (truckee_cpu_threads{@})", "{{node}} threads"),
        lines("Do spans reach the collector?", "Spans of requests that were exported, and those that were lost because the collector did not take them. Nothing where no collector is configured.", PER_SECOND)
            .ask("sum by (outcome) (rate(truckee_trace_spans_total{@}[$__rate_interval]))", "{{outcome}}"),
        lines("How do CPU jobs end?", "Jobs by kind and outcome.", PER_SECOND).ask(
            "sum by (work, outcome) (rate(truckee_cpu_jobs_total{@}[$__rate_interval]))",
            "{{work}}: {{outcome}}",
        ),
    ]
}
