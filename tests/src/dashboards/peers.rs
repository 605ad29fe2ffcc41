//! Who is in the mesh, which links stand, and what goes over them.

use super::panel::{BYTES_PER_SECOND, COUNT, DAYS, PER_SECOND, SECONDS, lines, ranking, stack, stat};
use super::{Dashboard, Panel, Row};

pub(super) fn dashboard() -> Dashboard {
    Dashboard {
        uid: "truckee-peers",
        title: "Truckee: peers and links",
        description: "Who is in the mesh, which links stand, how fast are they, and who is refused?",
        choices: &[],
        rows: vec![
            Row::new("Members", members()),
            Row::new("Links", links()),
            Row::new("Requests between nodes", requests()),
            Row::new("Strangers", strangers()),
        ],
    }
}

fn members() -> Vec<Panel> {
    vec![
        lines("How many members does the mesh have?", "Members by role, as the best informed node knows them.", COUNT)
            .ask("max by (role) (truckee_membership_members{@})", "{{role}}"),
        stat("How many introducers are reached?", "Introducers with a live link, as the worst placed node sees it. None is needed for reading and writing; to join, one is.", COUNT)
            .ask("min(truckee_membership_introducers_up{@,node_roles!~\".*introducer.*\"})", "introducers")
            .bad_below(&[(1.0, "green")]),
        stat("When does the first grant or certificate end?", "Days until a node's right to be a member ends, if it cannot be renewed, and until the certificate of a gateway's own HTTPS does.", DAYS)
            .ask("(min(truckee_membership_grant_expires_seconds{@} > 0) - time()) / 86400", "grant")
            .ask("(min(truckee_gateway_certificate_expires_seconds{@} > 0) - time()) / 86400", "certificate")
            .bad_below(&[(2.0, "orange"), (7.0, "green")]),
        lines("Do nodes agree on who is a member?", "Exchanges of the roster by outcome, and statements in it that failed their checks.", PER_SECOND)
            .ask("sum by (outcome) (rate(truckee_membership_syncs_total{@}[$__rate_interval]))", "exchange {{outcome}}"),
        stat("How many nodes were revoked?", "Tombstones in the roster.", COUNT)
            .ask("max(truckee_membership_revoked{@})", "revoked"),
    ]
}

fn links() -> Vec<Panel> {
    vec![
        stack(
            "In which state are the links?",
            "Links to known peers by state, over all nodes; each link is counted at both ends.",
            COUNT,
        )
        .ask("sum by (state) (truckee_mesh_peers{@})", "{{state}}"),
        ranking(
            "Which node misses links?",
            "Known peers that a node has no link to although it tries.",
            COUNT,
        )
        .ask(
            "topk(10, sum by (node) (truckee_mesh_peers{@,state=~\"dialing|backoff\"}))",
            "{{node}}",
        )
        .warn(&[(1.0, "orange"), (3.0, "red")]),
        lines("How far are peers away?", "Heartbeats there and back.", SECONDS)
            .ask_quantiles("truckee_link_round_trip_seconds", "")
            .warn(&[(0.5, "orange")]),
        lines(
            "How much goes over the links?",
            "Bytes of frames, both directions, by node.",
            BYTES_PER_SECOND,
        )
        .ask(
            "sum by (node) (rate(truckee_link_sent_bytes_total{@}[$__rate_interval]))",
            "{{node}} sends",
        )
        .ask(
            "sum by (node) (rate(truckee_link_received_bytes_total{@}[$__rate_interval]))",
            "{{node}} receives",
        ),
        lines(
            "Why do links end?",
            "Ends of links by cause. Silent: the peer froze or the network is cut.",
            PER_SECOND,
        )
        .ask(
            "sum by (cause) (rate(truckee_link_closed_total{@}[$__rate_interval]))",
            "{{cause}}",
        ),
        lines(
            "How often are peers connected again?",
            "Links to peers that had one before, and attempts by outcome.",
            PER_SECOND,
        )
        .ask(
            "sum(rate(truckee_link_reconnects_total{@}[$__rate_interval]))",
            "again",
        )
        .ask(
            "sum by (outcome) (rate(truckee_link_dials_total{@}[$__rate_interval]))",
            "dialled: {{outcome}}",
        ),
    ]
}

fn requests() -> Vec<Panel> {
    vec![
        lines("How long do peers take to answer?", "Mean time from a request to its answer, by kind of request, as the asking nodes see it.", SECONDS)
            .ask("sum by (request) (rate(truckee_link_call_seconds_sum{@}[$__rate_interval])) / sum by (request) (rate(truckee_link_call_seconds_count{@}[$__rate_interval]))", "{{request}}"),
        lines("What do peers ask of each other?", "Requests by kind and outcome.", PER_SECOND)
            .ask("sum by (request, outcome) (rate(truckee_link_calls_total{@}[$__rate_interval]))", "{{request}}: {{outcome}}"),
        lines("How many requests wait for answers?", "Requests to peers that wait, and requests of peers that are worked on.", COUNT)
            .ask("sum by (node) (truckee_link_pending_calls{@})", "{{node}} waits")
            .ask("sum by (node) (truckee_link_serving_requests{@})", "{{node}} serves"),
        stack("Which lanes carry what?", "Payload sent, by lane. Interactive: somebody waits for it; bulk: uploads and repair.", BYTES_PER_SECOND)
            .ask("sum by (lane) (rate(truckee_link_lane_payload_bytes_total{@}[$__rate_interval]))", "{{lane}}"),
        lines("Does anything wait in the lanes?", "Requests and answers that have to be sent yet, all links of a node together, and messages sent per second.", COUNT)
            .ask("sum by (node, lane) (truckee_link_lane_waiting_messages{@})", "{{node}}: {{lane}} waits")
            .ask("sum by (lane) (rate(truckee_link_lane_messages_total{@}[$__rate_interval]))", "{{lane}} per second"),
        lines("How long do handshakes take?", "TCP and TLS, by side: mean since the nodes started.", SECONDS)
            .ask("sum by (side) (truckee_link_handshake_seconds_sum{@}) / sum by (side) (truckee_link_handshake_seconds_count{@})", "{{side}}"),
    ]
}

fn strangers() -> Vec<Panel> {
    vec![
        lines(
            "Is anybody refused?",
            "Peers that were turned away before any request was read, by cause.",
            PER_SECOND,
        )
        .ask(
            "sum by (cause) (rate(truckee_link_refused_total{@}[$__rate_interval]))",
            "{{cause}}",
        )
        .warn(&[(1.0, "orange")]),
        lines(
            "How do accepted connections end up?",
            "Connections by outcome of the handshake.",
            PER_SECOND,
        )
        .ask(
            "sum by (outcome) (rate(truckee_link_accepts_total{@}[$__rate_interval]))",
            "{{outcome}}",
        ),
    ]
}
