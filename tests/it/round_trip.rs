//! Files go in and come back bit for bit, by curl, by plain HTTP and by the program's own commands.

use truckee_tests::rig::{self, Cluster};

use crate::{program, stdout, truckee};

/// Bytes of a segment, as a gateway is set up by default.
const SEGMENT_BYTES: usize = 1 << 20;

/// Sizes around everything that changes with size: nothing, content that fits into the cap (55 bytes), one segment.
const SIZES: [usize; 8] = [
    0,
    1,
    55,
    56,
    SEGMENT_BYTES - 1,
    SEGMENT_BYTES,
    SEGMENT_BYTES + 1,
    3 * SEGMENT_BYTES + 12_345,
];

#[test]
fn every_size_comes_back_bit_for_bit() {
    let cluster = Cluster::start(program());
    let http = cluster.http();
    for (seed, size) in SIZES.into_iter().enumerate() {
        let content = rig::bytes(seed as u64, size);
        let cap = http.put(&content);
        let kind = if size <= 55 { "URI:LIT:" } else { "URI:CHK:" };
        assert!(cap.starts_with(kind), "{size} bytes, seed {seed}: {cap}");
        let answer = http.get(&cap);
        assert_eq!(
            answer.header("content-length"),
            Some(size.to_string().as_str()),
            "{size} bytes"
        );
        assert!(
            answer.ok() == content,
            "{size} bytes, seed {seed}: the content differs"
        );
    }
}

#[test]
fn put_and_get_by_the_programs_own_commands() {
    let cluster = Cluster::start(program());
    let content = rig::bytes(7, 2 * SEGMENT_BYTES + 3);
    let (file, copy) = (cluster.scratch("file"), cluster.scratch("copy"));
    std::fs::write(&file, &content).unwrap();

    let cap = stdout(&truckee(cluster.gateway(), &["put", file.to_str().unwrap()]));
    assert_eq!(cap.lines().count(), 1, "put prints the cap alone: {cap:?}");
    stdout(&truckee(
        cluster.gateway(),
        &["get", &cap, "-o", copy.to_str().unwrap()],
    ));
    assert!(std::fs::read(&copy).unwrap() == content);

    let part = truckee(
        cluster.gateway(),
        &["get", &cap, "--offset", "1048570", "--length", "20"],
    );
    assert!(part.status.success());
    assert_eq!(part.stdout, content[1_048_570..1_048_590]);

    let json = stdout(&truckee(
        cluster.gateway(),
        &["put", file.to_str().unwrap(), "--json"],
    ));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["bytes"].as_u64(), Some(content.len() as u64));
    assert!(
        json["cap"]
            .as_str()
            .is_some_and(|cap| cap.starts_with("URI:CHK:")),
        "{json}"
    );

    let status = stdout(&truckee(cluster.gateway(), &["status"]));
    assert!(status.contains("10 of 10 connected"), "{status}");
}

#[test]
fn curl_from_a_pipe_and_into_a_range() {
    let cluster = Cluster::start(program());
    let content = rig::bytes(8, SEGMENT_BYTES + 77);
    let file = cluster.scratch("file");
    std::fs::write(&file, &content).unwrap();
    let uri = format!("{}/uri", cluster.gateway());
    // Without a Content-Length, as from a pipe.
    let chunked = [
        "-f",
        "-T",
        file.to_str().unwrap(),
        "-H",
        "Transfer-Encoding: chunked",
        &uri,
    ];
    let cap = stdout(&rig::curl(chunked));
    let whole = rig::curl(["-f", &format!("{uri}/{cap}")]);
    assert!(whole.stdout == content, "the content differs");
    let part = rig::curl(["-f", "-r", "1048570-1048600", &format!("{uri}/{cap}")]);
    assert_eq!(part.stdout, content[1_048_570..=1_048_600]);
}
