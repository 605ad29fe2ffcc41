//! Every metric of every node: name, kind, unit, labels and help text, in one table.
//!
//! Names are `truckee_<subsystem>_<what>_<unit>[_total]` in base units (seconds, bytes). Labels come from closed sets:
//! never a peer's text, an address or a file's name. Code that counts uses the constants of this file, so that a
//! dashboard or an alert that names something else is found by a test; `describe_all` hands the table to the recorder.

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, histogram};

/// How a metric moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, from zero at the start of the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// A distribution of observations.
    Histogram,
}

/// One row of the table.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Full name, as Prometheus shows it.
    pub name: &'static str,
    /// How it moves.
    pub kind: Kind,
    /// The base unit it is counted in.
    pub unit: Unit,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// What it tells an operator.
    pub help: &'static str,
}

macro_rules! table {
    ($($constant:ident, $kind:ident, $unit:ident, $name:literal, [$($label:literal),*], $help:literal;)*) => {
        $(#[doc = $help] pub const $constant: &str = $name;)*
        /// All metrics, in the order of their subsystems.
        pub const ALL: &[Metric] = &[$(Metric {
            name: $name,
            kind: Kind::$kind,
            unit: Unit::$unit,
            labels: &[$($label),*],
            help: $help,
        }),*];
    };
}

table! {
    NODE_INFO, Gauge, Count, "truckee_node_info", ["version", "roles"], "Always 1; the labels say what runs";
    NODE_READY, Gauge, Count, "truckee_node_ready", [], "1 while the node would answer its readiness check with yes";
    NODE_START_SECONDS, Gauge, Seconds, "truckee_node_start_time_seconds", [], "When the process started, in seconds since 1970";
    PROCESS_MEMORY_BYTES, Gauge, Bytes, "truckee_process_resident_memory_bytes", [], "Memory of the process that is in RAM";
    PROCESS_CPU_SECONDS, Counter, Seconds, "truckee_process_cpu_seconds_total", [], "User and system CPU time of the process";
    PROCESS_OPEN_FILES, Gauge, Count, "truckee_process_open_files", [], "Open file descriptors of the process";
    PROCESS_OPEN_FILES_MAX, Gauge, Count, "truckee_process_open_files_max", [], "File descriptors that the process may have open";
    PROCESS_VIRTUAL_BYTES, Gauge, Bytes, "truckee_process_virtual_memory_bytes", [], "Address space of the process";
    PROCESS_THREADS, Gauge, Count, "truckee_process_threads", [], "Threads of the process";
    PROCESS_DISK_READ_BYTES, Counter, Bytes, "truckee_process_disk_read_bytes_total", [], "Bytes that the process had fetched from disks";
    PROCESS_DISK_WRITTEN_BYTES, Counter, Bytes, "truckee_process_disk_written_bytes_total", [], "Bytes that the process had sent to disks";
    NODE_DISK_BYTES, Gauge, Bytes, "truckee_node_disk_size_bytes", [], "Size of the file system that holds the node's directory";
    NODE_DISK_FREE_BYTES, Gauge, Bytes, "truckee_node_disk_free_bytes", [], "Bytes that the node may still use of the file system that holds its directory";
    RUNTIME_LAG_SECONDS, Histogram, Seconds, "truckee_runtime_lag_seconds", ["loop"], "How late an event loop woke a task that had asked for a moment: mesh, http";

    TRACE_SPANS, Counter, Count, "truckee_trace_spans_total", ["outcome"], "Spans by what became of them at the collector: exported, failed";

    ACTOR_RUNNING, Gauge, Count, "truckee_actor_running", ["actor"], "Supervised children alive, by kind";
    ACTOR_RESTARTS, Counter, Count, "truckee_actor_restarts_total", ["actor"], "Children that the supervisor started again";
    ACTOR_EXITS, Counter, Count, "truckee_actor_exits_total", ["actor", "reason"], "Ends of children by reason: stopped, failed, panicked";
    ACTOR_ESCALATIONS, Counter, Count, "truckee_actor_escalations_total", ["actor"], "Children that ended too often within their window";
    ACTOR_MAILBOX_WAIT_SECONDS, Histogram, Seconds, "truckee_actor_mailbox_wait_seconds", ["actor"], "Time a health check waited in the mailbox of a child";
    ACTOR_UNRESPONSIVE, Counter, Count, "truckee_actor_unresponsive_total", ["actor"], "Health checks that a child did not answer in time";

    GATE_CAPACITY_BYTES, Gauge, Bytes, "truckee_gate_capacity_bytes", ["gate"], "Bytes that a byte gate lets in at once";
    GATE_USED_BYTES, Gauge, Bytes, "truckee_gate_used_bytes", ["gate"], "Bytes that hold a permit of a byte gate now";
    GATE_CAPACITY, Gauge, Count, "truckee_gate_capacity_permits", ["gate"], "Permits of a counting gate";
    GATE_USED, Gauge, Count, "truckee_gate_used_permits", ["gate"], "Permits of a counting gate that are in use now";
    GATE_WAITING, Gauge, Count, "truckee_gate_waiting", ["gate"], "Askers that wait for a permit now";
    GATE_WAIT_SECONDS, Histogram, Seconds, "truckee_gate_wait_seconds", ["gate"], "Time askers that had to wait spent at a gate";
    GATE_REFUSED, Counter, Count, "truckee_gate_refused_total", ["gate"], "Askers that did not want to wait and were sent away";

    CPU_QUEUE_JOBS, Gauge, Count, "truckee_cpu_queue_jobs", [], "Jobs that wait for a thread of the CPU pool";
    CPU_THREADS, Gauge, Count, "truckee_cpu_threads", [], "Threads of the CPU pool";
    CPU_JOBS, Counter, Count, "truckee_cpu_jobs_total", ["work", "outcome"], "Jobs of the CPU pool: done, panicked, refused, dropped";
    CPU_WAIT_SECONDS, Histogram, Seconds, "truckee_cpu_wait_seconds", ["work"], "Time from submission of a job to its start";
    CPU_RUN_SECONDS, Histogram, Seconds, "truckee_cpu_run_seconds", ["work"], "Time a job ran";

    CODEC_FALLBACK, Gauge, Count, "truckee_codec_fallback", ["codec"], "1 if the fast engine failed its check and the reference engine works instead";
    CODEC_STAGE_SECONDS, Histogram, Seconds, "truckee_codec_stage_seconds", ["stage"], "Stages of coding a segment; uploads: seal, code, hash; downloads: verify, decode, open";
    CODEC_STAGE_CPU_SECONDS, Histogram, Seconds, "truckee_codec_stage_cpu_seconds", ["stage"], "CPU time of the same stages, without what others burned on the processor meanwhile";

    MESH_PEERS, Gauge, Count, "truckee_mesh_peers", ["state"], "Known peers by link state: idle, dialing, backoff, up, draining";
    LINK_DIALS, Counter, Count, "truckee_link_dials_total", ["outcome"], "Dialled connections by outcome";
    LINK_ACCEPTS, Counter, Count, "truckee_link_accepts_total", ["outcome"], "Accepted connections by outcome of the handshake";
    LINK_REFUSED, Counter, Count, "truckee_link_refused_total", ["cause"], "Peers refused before any request was read, by cause";
    LINK_RECONNECTS, Counter, Count, "truckee_link_reconnects_total", [], "Links to peers that had been connected before, whoever dialled";
    LINK_CLOSED, Counter, Count, "truckee_link_closed_total", ["cause"], "Ends of links by cause";
    LINK_HANDSHAKE_SECONDS, Histogram, Seconds, "truckee_link_handshake_seconds", ["side"], "TCP and TLS handshake, both sides";
    LINK_ROUND_TRIP_SECONDS, Histogram, Seconds, "truckee_link_round_trip_seconds", [], "Heartbeat there and back";
    LINK_RECEIVED_BYTES, Counter, Bytes, "truckee_link_received_bytes_total", [], "Bytes of frames received from peers";
    LINK_SENT_BYTES, Counter, Bytes, "truckee_link_sent_bytes_total", [], "Bytes of frames sent to peers";
    LINK_LANE_MESSAGES, Counter, Count, "truckee_link_lane_messages_total", ["lane"], "Requests and answers sent to peers, by lane: control, interactive, bulk";
    LINK_LANE_BYTES, Counter, Bytes, "truckee_link_lane_payload_bytes_total", ["lane"], "Payload of requests and answers sent to peers, by lane";
    LINK_LANE_WAITING, Gauge, Count, "truckee_link_lane_waiting_messages", ["lane"], "Requests and answers of which something has to be sent yet, by lane";
    LINK_CALLS, Counter, Count, "truckee_link_calls_total", ["request", "outcome"], "Requests to peers by outcome";
    LINK_CALL_SECONDS, Histogram, Seconds, "truckee_link_call_seconds", ["request"], "Time from a request to a peer to its answer";
    LINK_PENDING_CALLS, Gauge, Count, "truckee_link_pending_calls", [], "Requests to peers that wait for their answer";
    LINK_SERVED, Counter, Count, "truckee_link_served_total", ["request", "outcome"], "Requests of peers by outcome";
    LINK_SERVING, Gauge, Count, "truckee_link_serving_requests", [], "Requests of peers that are being worked on";

    MEMBERSHIP_MEMBERS, Gauge, Count, "truckee_membership_members", ["role"], "Members of the mesh that the roster knows, by role";
    MEMBERSHIP_REVOKED, Gauge, Count, "truckee_membership_revoked", [], "Tombstones in the roster";
    MEMBERSHIP_JOINS, Counter, Count, "truckee_membership_joins_total", ["outcome"], "Join requests at an introducer by outcome";
    MEMBERSHIP_SYNCS, Counter, Count, "truckee_membership_syncs_total", ["outcome"], "Rounds of roster exchange by outcome";
    MEMBERSHIP_REJECTED, Counter, Count, "truckee_membership_rejected_total", ["cause"], "Announcements, grants and tombstones that failed their checks";
    MEMBERSHIP_GRANT_EXPIRES_SECONDS, Gauge, Seconds, "truckee_membership_grant_expires_seconds", [], "When this node's own grant ends, in seconds since 1970; 0 without one";
    MEMBERSHIP_INTRODUCERS_UP, Gauge, Count, "truckee_membership_introducers_up", [], "Introducers with a live link";

    STORE_SHARES, Gauge, Count, "truckee_store_shares", [], "Complete shares on disk";
    STORE_USED_BYTES, Gauge, Bytes, "truckee_store_used_bytes", [], "Bytes of complete shares on disk, those in the trash included";
    GC_ON, Gauge, Count, "truckee_gc_on", [], "1 if shares whose leases are over are collected";
    GC_FIRST_SECONDS, Gauge, Seconds, "truckee_gc_first_term_seconds", [], "Time, in whole days, until the first term after it was turned on is over";
    GC_BEHIND_SECONDS, Gauge, Seconds, "truckee_gc_behind_seconds", [], "Time, in whole days, by which the calendar is ahead of the days that the node has seen pass";
    GC_SHARES, Counter, Count, "truckee_gc_shares_total", ["step"], "Shares moved into the trash because their leases were over, and shares deleted from the trash for good";
    GC_BYTES, Counter, Bytes, "truckee_gc_share_bytes_total", ["step"], "Bytes of those";
    GC_FAILED, Counter, Count, "truckee_gc_failures_total", [], "Pages and shares that the collector could not look at or move";
    GC_WALKS, Counter, Count, "truckee_gc_walks_total", [], "Walks of the collector over all shares";
    STORE_LEASES_RENEWED, Counter, Count, "truckee_store_leases_renewed_total", [], "Leases renewed, one for each file and renewal";
    STORE_TRASH_SHARES, Gauge, Count, "truckee_store_trash_shares", [], "Shares in the trash";
    STORE_TRASH_BYTES, Gauge, Bytes, "truckee_store_trash_bytes", [], "Bytes of the shares in the trash";
    STORE_AVAILABLE_BYTES, Gauge, Bytes, "truckee_store_available_bytes", [], "Bytes left for new shares after quota and reserve";
    STORE_OPEN_SHARES, Gauge, Count, "truckee_store_open_shares", [], "Shares that are being written";
    STORE_DRAINING, Gauge, Count, "truckee_store_draining", [], "1 while the store takes no shares because the node is being emptied";
    STORE_REQUESTS, Counter, Count, "truckee_store_requests_total", ["request", "outcome"], "Requests to the share store by outcome";
    STORE_REQUEST_SECONDS, Histogram, Seconds, "truckee_store_request_seconds", ["request"], "Time from a request's arrival in the store to its answer";
    STORE_WRITTEN_BYTES, Counter, Bytes, "truckee_store_written_bytes_total", [], "Bytes of blocks written";
    STORE_READ_BYTES, Counter, Bytes, "truckee_store_read_bytes_total", [], "Bytes of blocks read for peers";
    STORE_DISK_SECONDS, Histogram, Seconds, "truckee_store_disk_seconds", ["operation"], "Disk operations, from start to end";
    STORE_DISK_QUEUE, Gauge, Count, "truckee_store_disk_queue_operations", [], "Disk operations that wait for a thread or are carried out now";
    STORE_DISK_ERRORS, Counter, Count, "truckee_store_disk_errors_total", ["operation"], "Disk operations that failed";
    STORE_ABORTED, Counter, Count, "truckee_store_aborted_shares_total", ["cause"], "Unfinished shares removed: asked, link_lost, idle, failed, restart";
    STORE_CORRUPT, Counter, Count, "truckee_store_corrupt_shares_total", ["found_by"], "Shares found damaged and put aside, by what was at work on them: read, write, scrub";
    STORE_SCRUBBED_BYTES, Counter, Bytes, "truckee_store_scrubbed_bytes_total", [], "Bytes read back and checked by the scrubber";
    STORE_SCRUB_SHARES, Counter, Count, "truckee_store_scrub_shares_total", ["outcome"], "Shares that the scrubber went through by outcome: sound, corrupt, unreadable";
    STORE_SCRUB_ROUNDS, Counter, Count, "truckee_store_scrub_rounds_total", [], "Rounds in which the scrubber went through all shares";
    STORE_SCRUB_POSITION, Gauge, Count, "truckee_store_scrub_position_ratio", [], "How much of its round the scrubber has gone through, from 0 to 1";
    STORE_SCRUB_PLANNED_SECONDS, Gauge, Seconds, "truckee_store_scrub_planned_seconds", [], "How long a round of the scrubber takes over what the store holds, if nothing holds it up";
    STORE_SCRUB_ROUND_START_SECONDS, Gauge, Seconds, "truckee_store_scrub_round_start_time_seconds", [], "When the scrubber's round under way began, or is to begin, in seconds since 1970";
    STORE_SCRUB_LAST_END_SECONDS, Gauge, Seconds, "truckee_store_scrub_last_end_time_seconds", [], "When the scrubber's last round ended, in seconds since 1970; 0 before the first";
    VDRIVE_REQUESTS, Counter, Count, "truckee_vdrive_requests_total", ["request", "outcome"], "Requests to the vdrive by outcome; behind: another change was first";
    VDRIVE_REQUEST_SECONDS, Histogram, Seconds, "truckee_vdrive_request_seconds", ["request"], "Time from a request's arrival in the vdrive to its answer";
    VDRIVE_CHANGES, Counter, Count, "truckee_vdrive_changes_total", [], "Changes of directories that were put into transactions";
    VDRIVE_TRANSACTIONS, Counter, Count, "truckee_vdrive_transactions_total", [], "Transactions that were made durable; several changes may share one";
    VDRIVE_RETRIES, Counter, Count, "truckee_vdrive_retries_total", [], "Transactions that were run again because others were in the way or the connection broke";
    VDRIVE_DATABASE_UP, Gauge, Count, "truckee_vdrive_database_up", [], "1 while the last use of the database went well";

    GATEWAY_SHARES_NEEDED, Gauge, Count, "truckee_gateway_shares_needed", [], "Shares that are enough to read a file that this gateway stores (k)";
    GATEWAY_SHARES_MADE, Gauge, Count, "truckee_gateway_shares_made", [], "Shares that this gateway makes of a file (n)";
    GATEWAY_PEERS_HAPPY, Gauge, Count, "truckee_gateway_peers_happy", [], "Distinct storage nodes that must hold a share before this gateway calls a file stored";

    GATEWAY_CERTIFICATE_EXPIRES_SECONDS, Gauge, Seconds, "truckee_gateway_certificate_expires_seconds", [], "When the certificate of the gateway's own HTTPS ends, in seconds since 1970; 0 without one";

    UPLOAD_STARTED, Counter, Count, "truckee_upload_started_total", [], "Uploads begun";
    UPLOAD_FINISHED, Counter, Count, "truckee_upload_finished_total", ["outcome"], "Uploads by outcome";
    UPLOAD_ACTIVE, Gauge, Count, "truckee_upload_active", [], "Uploads under way";
    UPLOAD_PLAINTEXT_BYTES, Counter, Bytes, "truckee_upload_plaintext_bytes_total", [], "Plaintext taken in by uploads";
    UPLOAD_SEGMENTS, Counter, Count, "truckee_upload_segments_total", [], "Segments sealed, coded and hashed";
    UPLOAD_SENT_BYTES, Counter, Bytes, "truckee_upload_sent_bytes_total", [], "Bytes of blocks sent to storage nodes";
    UPLOAD_SECONDS, Histogram, Seconds, "truckee_upload_seconds", [], "Whole uploads, first byte to cap";
    UPLOAD_STAGE_SECONDS, Histogram, Seconds, "truckee_upload_stage_seconds", ["stage"], "Stages of uploads, which overlap: locate, encode, send, close";
    UPLOAD_PEERS_FAILED, Counter, Count, "truckee_upload_peers_failed_total", ["cause"], "Peers that failed an upload, by what went wrong first";
    UPLOAD_SHARES_MISSING, Counter, Count, "truckee_upload_shares_missing_total", [], "Shares below n at the end of successful uploads, left to repair";

    DOWNLOAD_STARTED, Counter, Count, "truckee_download_started_total", [], "Downloads begun";
    DOWNLOAD_FINISHED, Counter, Count, "truckee_download_finished_total", ["outcome"], "Downloads by outcome";
    DOWNLOAD_ACTIVE, Gauge, Count, "truckee_download_active", [], "Downloads under way";
    DOWNLOAD_PLAINTEXT_BYTES, Counter, Bytes, "truckee_download_plaintext_bytes_total", [], "Plaintext given out by downloads";
    DOWNLOAD_SEGMENTS, Counter, Count, "truckee_download_segments_total", [], "Segments verified, decoded and opened";
    DOWNLOAD_RECEIVED_BYTES, Counter, Bytes, "truckee_download_received_bytes_total", [], "Bytes of blocks received from storage nodes";
    DOWNLOAD_SECONDS, Histogram, Seconds, "truckee_download_seconds", [], "Whole downloads, request to last byte";
    DOWNLOAD_FIRST_BYTE_SECONDS, Histogram, Seconds, "truckee_download_first_byte_seconds", [], "Downloads, request to first byte";
    DOWNLOAD_STAGE_SECONDS, Histogram, Seconds, "truckee_download_stage_seconds", ["stage"], "Stages of downloads, which overlap: locate, fetch, decode, deliver";
    DOWNLOAD_HEDGES, Counter, Count, "truckee_download_hedges_total", [], "Blocks asked of a further peer because the first was slow";
    DOWNLOAD_CORRUPT, Counter, Count, "truckee_download_corrupt_blocks_total", [], "Blocks that failed their hash and were not used";

    CHECK_STARTED, Counter, Count, "truckee_check_started_total", [], "Checks of files begun";
    CHECK_FINISHED, Counter, Count, "truckee_check_finished_total", ["outcome"], "Checks of files by outcome";
    CHECK_ACTIVE, Gauge, Count, "truckee_check_active", [], "Checks of files under way";
    CHECK_SECONDS, Histogram, Seconds, "truckee_check_seconds", [], "Whole checks of files";
    CHECK_RECEIVED_BYTES, Counter, Bytes, "truckee_check_received_bytes_total", [], "Bytes of blocks received to be verified";
    CHECK_CORRUPT, Counter, Count, "truckee_check_corrupt_shares_total", [], "Damaged shares that checks found";

    REPAIR_STARTED, Counter, Count, "truckee_repair_started_total", [], "Repairs of files begun";
    REPAIR_FINISHED, Counter, Count, "truckee_repair_finished_total", ["outcome"], "Repairs of files by outcome; complete and unneeded: the file is whole";
    REPAIR_ACTIVE, Gauge, Count, "truckee_repair_active", [], "Repairs of files under way";
    REPAIR_SECONDS, Histogram, Seconds, "truckee_repair_seconds", [], "Whole repairs of files";
    REPAIR_READ_BYTES, Counter, Bytes, "truckee_repair_read_bytes_total", [], "Bytes of blocks that repairs read";
    REPAIR_WRITTEN_BYTES, Counter, Bytes, "truckee_repair_written_bytes_total", [], "Bytes of blocks that repairs wrote";
    REPAIR_SHARES, Counter, Count, "truckee_repair_shares_total", [], "Shares made again";

    HEAL_FILES, Gauge, Count, "truckee_heal_files", ["state"], "Files with missing shares by state: short (will be repaired), leaving (none is missing, some are to be moved off nodes that are being emptied), presumed (nodes that are away are waited for), unreadable (fewer than k shares answer), contradicted (nodes disagree on what it is)";
    HEAL_MARGIN, Gauge, Count, "truckee_heal_margin_shares", [], "Shares beyond k of the most endangered file that will be repaired; NaN without any";
    HEAL_SURPLUS, Gauge, Count, "truckee_heal_surplus_shares", [], "Copies of shares beyond one of each";
    HEAL_NODES_AWAY, Gauge, Count, "truckee_heal_nodes_away", [], "Storage nodes that do not answer this node and are waited for";
    HEAL_ROUNDS, Counter, Count, "truckee_heal_rounds_total", [], "Rounds of comparing what nodes hold";
    HEAL_BUCKETS_LEFT, Gauge, Count, "truckee_heal_buckets_left", [], "Buckets that the round under way has still to list";
    HEAL_BUCKETS, Counter, Count, "truckee_heal_buckets_listed_total", [], "Buckets listed at all nodes";
    HEAL_SHARES, Counter, Count, "truckee_heal_shares_listed_total", [], "Shares in the lists of all nodes";
    DRAIN_FILES, Gauge, Count, "truckee_drain_files", ["state"], "While this node is being emptied, files with a share here by state: moved (all shares are on other nodes that stay), waiting (not yet), stuck (too few shares answer to make any)";
    HEAL_LISTS_FAILED, Counter, Count, "truckee_heal_lists_failed_total", [], "Buckets given up for a round because a node did not list them";

    TRIM_COPIES, Gauge, Count, "truckee_trim_copies", ["state"], "Copies of shares on this node that may go by state: waiting (may be too many), in_grace (proven once to be there twice), leaving (belong on another node)";
    TRIM_DROPPED, Counter, Count, "truckee_trim_dropped_total", [], "Copies that were too many and went into the trash";
    TRIM_MOVED, Counter, Count, "truckee_trim_moved_total", [], "Shares that were copied to the node where they belong, and went into the trash here";
    TRIM_STAYS, Counter, Count, "truckee_trim_stays_total", ["cause"], "Copies that were looked at and stay, by cause";

    DRIVE_CALLS, Counter, Count, "truckee_drive_calls_total", ["operation", "outcome"], "Reads and changes of directories by outcome";
    DRIVE_CALL_SECONDS, Histogram, Seconds, "truckee_drive_call_seconds", ["operation"], "Reads and changes of directories, call to answer";
    DRIVE_FETCHES, Counter, Count, "truckee_drive_fetches_total", ["outcome"], "Questions for news of a directory: current (the copy was up to date), news, whole";
    DRIVE_ROWS_OPENED, Counter, Count, "truckee_drive_rows_opened_total", [], "Rows of directories that were verified and opened";
    DRIVE_CHANGES, Counter, Count, "truckee_drive_changes_total", [], "Signed changes of directories that vdrives took";
    DRIVE_CHANGED_CALLS, Counter, Count, "truckee_drive_changed_calls_total", [], "Calls in those changes; several that wait together share one change";
    DRIVE_CONFLICTS, Counter, Count, "truckee_drive_conflicts_total", [], "Changes that were evaluated anew because somebody else's was first";
    DRIVE_REQUESTS_FAILED, Counter, Count, "truckee_drive_requests_failed_total", [], "Requests to vdrives that were not answered as asked";
    DRIVE_DISTRUSTED, Counter, Count, "truckee_drive_distrusted_total", ["cause"], "Answers of vdrives that were not believed: forged, rolled_back, split_database";
    DRIVE_COPIES_BYTES, Gauge, Bytes, "truckee_drive_copies_bytes", [], "Memory of verified copies of directories, about";
    DRIVE_EVICTED, Counter, Count, "truckee_drive_evicted_total", [], "Copies of directories that made room for others";

    HTTP_REQUESTS, Counter, Count, "truckee_http_requests_total", ["route", "method", "status"], "HTTP requests by route, method and class of status";
    HTTP_REQUEST_SECONDS, Histogram, Seconds, "truckee_http_request_seconds", ["route"], "HTTP requests, head to last byte";
    HTTP_ACTIVE, Gauge, Count, "truckee_http_active_requests", [], "HTTP requests under way";
    HTTP_RECEIVED_BYTES, Counter, Bytes, "truckee_http_received_bytes_total", [], "Bytes of HTTP request bodies";
    HTTP_SENT_BYTES, Counter, Bytes, "truckee_http_sent_bytes_total", [], "Bytes of HTTP response bodies";
}

/// Gives the recorder of this process the help text and unit of every metric. Call once, after it is installed.
pub fn describe_all() {
    for metric in ALL {
        match metric.kind {
            Kind::Counter => describe_counter!(metric.name, metric.unit, metric.help),
            Kind::Gauge => describe_gauge!(metric.name, metric.unit, metric.help),
            Kind::Histogram => describe_histogram!(metric.name, metric.unit, metric.help),
        }
    }
}

/// Values of labels that an alert or a panel must be able to tell from "never looked": they are shown as zero from the
/// start, because the first step of a counter that appears with it is invisible to Prometheus.
const FROM_THE_START: &[(&str, &str, &[&str])] = &[
    (GC_SHARES, "step", &["collected", "deleted"]),
    (GC_BYTES, "step", &["collected", "deleted"]),
    (
        UPLOAD_FINISHED,
        "outcome",
        &["completed", "not_happy", "internal"],
    ),
    (
        DOWNLOAD_FINISHED,
        "outcome",
        &["completed", "too_few_shares", "internal"],
    ),
    (
        DRIVE_DISTRUSTED,
        "cause",
        &["forged", "rolled_back", "split_database"],
    ),
    (CHECK_FINISHED, "outcome", &["completed"]),
    (
        UPLOAD_PEERS_FAILED,
        "cause",
        &["unreachable", "link_lost", "timed_out", "too_slow", "full"],
    ),
    (LINK_DIALS, "outcome", &["ok", "unreachable"]),
    (
        REPAIR_FINISHED,
        "outcome",
        &["complete", "unneeded", "partial", "too_few_shares"],
    ),
    (TRACE_SPANS, "outcome", &["exported", "failed"]),
    (LINK_ACCEPTS, "outcome", &["ok", "handshake_failed"]),
    (LINK_REFUSED, "cause", &["stranger", "revoked"]),
    (LINK_CLOSED, "cause", &["closed", "silent"]),
    (
        STORE_DISK_ERRORS,
        "operation",
        &["append", "finish", "put", "read", "verify", "list"],
    ),
    (STORE_SCRUB_SHARES, "outcome", &["sound", "corrupt", "unreadable"]),
    (STORE_CORRUPT, "found_by", &["read", "write", "scrub"]),
];

/// Subsystems that every node has, whatever its roles.
pub const EVERYWHERE: &[&str] = &[
    "truckee_trace_",
    "truckee_process_",
    "truckee_link_",
    "truckee_membership_",
    "truckee_http_",
];
/// Subsystems of a gateway.
pub const OF_GATEWAYS: &[&str] = &[
    "truckee_upload_",
    "truckee_download_",
    "truckee_check_",
    "truckee_drive_",
];
/// Subsystems of a storage node.
pub const OF_STORES: &[&str] = &[
    "truckee_store_",
    "truckee_repair_",
    "truckee_heal_",
    "truckee_gc_",
];

/// Subsystems of a vdrive.
pub const OF_VDRIVES: &[&str] = &["truckee_vdrive_"];

/// Shows the counters and histograms of these subsystems as zero until they move. Call once for each that the node has.
pub fn start_at_zero(prefixes: &[&str]) {
    let has = |name: &str| prefixes.iter().any(|prefix| name.starts_with(prefix));
    for metric in ALL
        .iter()
        .filter(|metric| has(metric.name) && metric.labels.is_empty())
    {
        match metric.kind {
            Kind::Counter => counter!(metric.name).increment(0),
            Kind::Histogram => drop(histogram!(metric.name)),
            // A gauge says something as soon as it is there.
            Kind::Gauge => {}
        }
    }
    for (name, label, values) in FROM_THE_START.iter().filter(|(name, ..)| has(name)) {
        for value in *values {
            counter!(*name, *label => *value).increment(0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::path::{Path, PathBuf};

    #[test]
    fn names_are_unique_and_say_their_unit() {
        let mut seen = BTreeSet::new();
        for metric in ALL {
            assert!(seen.insert(metric.name), "{} stands twice", metric.name);
            assert!(metric.name.starts_with("truckee_"), "{}", metric.name);
            assert!(
                metric
                    .name
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte == b'_'),
                "{}",
                metric.name
            );
            let bare = metric.name.strip_suffix("_total").unwrap_or(metric.name);
            assert_eq!(
                metric.kind == Kind::Counter,
                bare != metric.name,
                "{}",
                metric.name
            );
            match metric.unit {
                Unit::Seconds => assert!(bare.ends_with("_seconds"), "{}", metric.name),
                Unit::Bytes => assert!(bare.ends_with("_bytes"), "{}", metric.name),
                _ => assert!(
                    !bare.ends_with("_seconds") && !bare.ends_with("_bytes"),
                    "{}",
                    metric.name
                ),
            }
        }
    }

    #[test]
    fn what_is_zero_from_the_start_is_a_counter_with_that_label() {
        for (name, label, values) in FROM_THE_START {
            let metric = ALL
                .iter()
                .find(|metric| metric.name == *name)
                .expect("in the table");
            assert_eq!(metric.kind, Kind::Counter, "{name}");
            assert_eq!(metric.labels, [*label], "{name}");
            assert!(!values.is_empty(), "{name}");
        }
        for prefix in [EVERYWHERE, OF_GATEWAYS, OF_STORES, OF_VDRIVES].concat() {
            assert!(
                ALL.iter().any(|metric| metric.name.starts_with(prefix)),
                "{prefix}"
            );
        }
    }

    fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
        let Ok(entries) = std::fs::read_dir(directory) else {
            return;
        };
        for entry in entries.flatten() {
            let path = entry.path();
            let name = entry.file_name();
            if name == "tests" || name == "tests.rs" {
                // A test may say what the outside world should see.
                continue;
            }
            if path.is_dir() && name != "target" && name != ".git" {
                sources(&path, found);
            } else if path.extension().is_some_and(|ext| ext == "rs") {
                found.push(path);
            }
        }
    }

    #[test]
    fn no_other_source_of_the_program_spells_a_metric_name() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"))
            .parent()
            .expect("the crate lies in the workspace");
        let mut files = Vec::new();
        for part in ["proto", "actors/src", "nodes/src"] {
            sources(&root.join(part), &mut files);
        }
        assert!(!files.is_empty());
        for file in files
            .iter()
            .filter(|file| !file.ends_with("actors/src/metrics.rs"))
        {
            let text = std::fs::read_to_string(file).expect("sources are readable text");
            for metric in ALL {
                let literal = format!("\"{}\"", metric.name);
                assert!(!text.contains(&literal), "{} spells {literal}", file.display());
            }
        }
    }
}
