//! Good inputs that the corpora begin with.

use std::time::Duration;

use bytes::Bytes;
use truckee_grid::bucket::Bucket;
use truckee_grid::caps::Cap;
use truckee_grid::geometry::Geometry;
use truckee_grid::ids::{Hash, NodeId, SegmentIndex, ShareNumber, StorageIndex, UploadId};
use truckee_grid::params::Coding;
use truckee_grid::ueb::Ueb;
use truckee_wire::convert::{Prepared, goodbye_frame, hello_frame, more_frame, ping_frame};
use truckee_wire::frame::{FrameOut, PREFIX_BYTES};
use truckee_wire::message::*;

use crate::drive_seeds;
use crate::fuzzing::share::good;

pub(crate) type Input = (&'static str, String, Vec<u8>);

/// Target, file name, bytes.
pub(crate) fn all() -> Vec<Input> {
    let mut inputs = frames();
    inputs.extend(envelopes());
    inputs.extend(caps());
    inputs.extend(shares());
    inputs.extend(sessions());
    inputs.extend(drive_seeds::all());
    inputs
}

fn grant() -> Grant {
    let body = GrantBody {
        node: [1; 32],
        roles: Roles::NONE.with(Role::Storage),
        issued_unix_s: 1_700_000_000,
        expires_unix_s: 1_800_000_000,
    };
    Grant {
        body: body.encode().expect("valid"),
        introducer: [2; 32],
        signature: [3; 64],
    }
}

fn announcement_body() -> AnnouncementBody {
    AnnouncementBody {
        sequence: 7,
        nickname: "emerald bay".into(),
        addresses: vec!["192.0.2.1:4000".into(), "[2001:db8::1]:4000".into()],
        roles: Roles::NONE.with(Role::Storage).with(Role::Gateway),
        zone: "north shore".into(),
        software: "truckee 0.1.0".into(),
    }
}

fn announcement() -> Announcement {
    let body = announcement_body().encode().expect("valid");
    Announcement {
        body,
        node: [1; 32],
        signature: [4; 64],
        grant: Some(grant()),
    }
}

fn facts() -> FileFacts {
    let coding = Coding::new(3, 10).expect("valid");
    let geometry = Geometry::new(1_000, 1 << 20, coding).expect("valid");
    let ueb = Ueb::new(geometry, Hash([5; 32]), Hash([6; 32]));
    FileFacts {
        ueb,
        share_roots: (0..10).map(|i| Hash([i; 32])).collect(),
    }
}

fn requests() -> Vec<Request> {
    let (si, share, upload) = (StorageIndex([1; 16]), ShareNumber(2), UploadId([3; 16]));
    let block = Bytes::from(vec![7; 200]);
    let coding = Coding::new(3, 10).expect("valid");
    let item = RosterItem {
        node_id: NodeId([8; 32]),
        sequence: 3,
        revoked: false,
        grant_expires_unix_s: 9,
    };
    let mut requests = vec![
        Request::FindShares(FindShares {
            si,
            inline_bytes_max: 4096,
        }),
        Request::OpenShare(OpenShare {
            si,
            share,
            upload,
            coding,
            segment_bytes: 1 << 20,
            reserve_bytes: 1 << 30,
        }),
        Request::WriteBlock(WriteBlock {
            si,
            share,
            upload,
            segment: SegmentIndex(4),
            block_leaf: Hash([5; 32]),
            sealed_leaf: Hash([6; 32]),
            block: block.clone(),
        }),
        Request::CloseShare(CloseShare {
            si,
            share,
            upload,
            file: facts(),
        }),
        Request::AbortShare(AbortShare { si, share, upload }),
        Request::PutShare(PutShare {
            si,
            share,
            file: facts(),
            block,
        }),
        Request::ReadBlock(ReadBlock {
            si,
            share,
            segment: SegmentIndex(4),
            suspect: false,
        }),
        Request::GetStatus,
        Request::GetInventory,
        Request::ListShares(ListShares {
            bucket: Bucket::of(&si),
            after: Some(SharePlace {
                si,
                share: ShareNumber(7),
            }),
        }),
        Request::ListAdded(ListAdded {
            epoch: 9,
            spans: vec![Span {
                bucket: Bucket::of(&si),
                after: 1,
                until: 2,
            }],
        }),
        Request::RenewLeases(RenewLeases {
            sis: vec![si, StorageIndex([0xf0; 16])],
        }),
        Request::KeepShare(KeepShare {
            si,
            share: ShareNumber(7),
        }),
        Request::Join(Box::new(Join {
            secret: JoinSecret::new(&[9; 32]),
            announcement: announcement(),
        })),
        Request::SyncRoster(SyncRoster {
            items: vec![item],
            after: None,
            upto: Some(NodeId([9; 32])),
        }),
        Request::PushRoster(PushRoster {
            announcements: vec![announcement()],
            tombstones: vec![tombstone()],
        }),
    ];
    requests.extend(drive_seeds::requests());
    requests
}

fn tombstone() -> Tombstone {
    let body = TombstoneBody {
        node_id: NodeId([8; 32]),
        revoked_unix_s: 1_700_000_000,
    };
    Tombstone {
        body: body.encode().expect("valid"),
        introducer: [2; 32],
        signature: [3; 64],
    }
}

fn answers() -> Vec<Result<Response, Failure>> {
    let block = Bytes::from(vec![7; 200]);
    let found = FoundShares {
        shares: vec![ShareNumber(1), ShareNumber(4)],
        file: Some(facts()),
        inlined: Some(block.clone()),
    };
    let mut answers = vec![
        Err(Failure::busy(Duration::from_millis(250), "too much to do")),
        Ok(Response::FoundShares(found)),
        Ok(Response::ShareOpened { already_there: true }),
        Ok(Response::BlockRead(BlockRead {
            block_path: vec![Hash([1; 32]); 3],
            sealed: SealedProof {
                leaf: Hash([2; 32]),
                path: vec![Hash([3; 32]); 3],
            },
            block,
        })),
        Ok(Response::NodeStatus(NodeStatus {
            share_count: 5,
            used_bytes: 6,
            available_bytes: 7,
            accepts_shares: true,
            uptime: Duration::from_secs(8),
            software: "truckee 0.1.0".into(),
        })),
        Ok(Response::Inventory(Inventory {
            epoch: 9,
            changes: vec![1; Bucket::COUNT],
            accepts_shares: true,
            draining: false,
        })),
        Ok(Response::LeasesRenewed(LeasesRenewed::of(&[true, false]))),
        Ok(Response::ShareKept { kept: true }),
        Ok(Response::SharesListed(SharesListed {
            epoch: 9,
            changes: 1,
            shares: vec![ListedShare {
                place: SharePlace {
                    si: StorageIndex([1; 16]),
                    share: ShareNumber(2),
                },
                coding: Coding::new(3, 10).expect("valid"),
            }],
            next: None,
        })),
        Ok(Response::AddedListed(AddedListed {
            shares: vec![ListedShare {
                place: SharePlace {
                    si: StorageIndex([1; 16]),
                    share: ShareNumber(2),
                },
                coding: Coding::new(3, 10).expect("valid"),
            }],
            unknown: vec![Bucket::FIRST],
        })),
        Ok(Response::Joined(grant())),
        Ok(Response::RosterSynced(RosterSynced {
            announcements: vec![announcement()],
            tombstones: vec![tombstone()],
            wanted: vec![NodeId([8; 32])],
            truncated: true,
        })),
    ];
    answers.extend(drive_seeds::answers().into_iter().map(Ok));
    answers
}

fn signals() -> Vec<FrameOut> {
    let hello = Hello {
        version: PROTOCOL_VERSION,
        session: SessionId([1; 16]),
        grant: Some(grant()),
        announcement_sequence: 7,
        frame_bytes_max: 256 * 1024,
        inflight_bytes_max: 8 << 20,
    };
    vec![
        hello_frame(&hello).expect("valid"),
        goodbye_frame(Goodbye {
            reason: GoodbyeReason::Stopping,
        }),
        ping_frame(300),
        more_frame(5, Lane::Bulk, true, Bytes::from_static(b"a part")),
    ]
}

fn messages() -> Vec<FrameOut> {
    let trace = Some(TraceContext {
        trace_id: [1; 16],
        span_id: [2; 8],
    });
    let asked = requests().into_iter().enumerate().map(|(i, request)| {
        let head = Prepared::request(i as u64 + 1, Lane::ALL[i % 3], trace, &request).expect("valid");
        head.into_frame(Some(Duration::from_secs(5)), request.payload())
    });
    let answered = answers().into_iter().enumerate().map(|(i, answer)| {
        let payload = answer.as_ref().map(Response::payload).unwrap_or_default();
        Prepared::answer(i as u64 + 1, Lane::Bulk, &answer)
            .expect("valid")
            .into_frame(None, payload)
    });
    asked.chain(answered).collect()
}

fn frames() -> Vec<Input> {
    let stream = |frames: &[FrameOut], cut: u16| {
        let mut bytes = cut.to_le_bytes().to_vec();
        for frame in frames {
            bytes.extend_from_slice(&frame.head);
            bytes.extend_from_slice(&frame.payload);
        }
        bytes
    };
    vec![
        ("frame", "signals".into(), stream(&signals(), 3)),
        ("frame", "messages".into(), stream(&messages()[..6], 100)),
        (
            "frame",
            "four-gibibytes".into(),
            vec![1, 0, 0xff, 0xff, 0xff, 0xff],
        ),
    ]
}

fn envelopes() -> Vec<Input> {
    let head = |(i, frame): (usize, FrameOut)| -> Input {
        (
            "envelope",
            format!("head-{i:02}"),
            frame.head[PREFIX_BYTES..].to_vec(),
        )
    };
    let mut inputs: Vec<Input> = signals()
        .into_iter()
        .chain(messages())
        .enumerate()
        .map(head)
        .collect();
    let file = RosterFile {
        announcements: vec![announcement()],
        tombstones: vec![tombstone()],
        own_grant: Some(grant()),
        own_sequence: 7,
    };
    let bodies = [
        ("grant", grant().body),
        ("announcement", announcement().body),
        ("tombstone", tombstone().body),
        ("roster", file.encode().expect("valid")),
    ];
    inputs.extend(
        bodies
            .into_iter()
            .map(|(name, body)| ("envelope", name.into(), body.to_vec())),
    );
    inputs
}

fn caps() -> Vec<Input> {
    let key = "aaaqeayeaudaocajbifqydiob4";
    let hash = "aaaqeayeaudaocajbifqydiob4ibceqtcqkrmfyydenbwha5dypq";
    let read = Cap::Chk(good().cap.clone());
    let mut texts = vec![
        read.to_uri(),
        read.to_verifier().expect("a verifier").to_uri(),
        "URI:LIT:nbswy3dp".to_owned(),
        format!("URI:CHK:{key}:{hash}:3:10:1048576"),
    ];
    for kind in ["DIR2", "SSK", "MDMF"] {
        for form in ["", "-RO", "-Verifier"] {
            texts.push(format!("URI:{kind}{form}:{key}:{hash}"));
        }
    }
    texts.push(format!("URI:DIR2-CHK:{key}:{hash}:1:1:55"));
    texts.push("URI:DIR2-LIT:".to_owned());
    let input = |(i, text): (usize, String)| -> Input { ("cap", format!("cap-{i:02}"), text.into_bytes()) };
    texts.into_iter().enumerate().map(input).collect()
}

fn shares() -> Vec<Input> {
    let with = |mode: u8, rest: &[u8]| [&[mode], rest].concat();
    vec![
        ("share", "good".into(), with(1, &good().shares[2])),
        ("share", "ueb".into(), with(1, &facts().ueb.encode())),
        ("share", "unchanged".into(), with(0, &[])),
        ("share", "one-bit".into(), with(0, &[0x10, 0x03, 0x40, 0])),
        (
            "share",
            "two-places".into(),
            with(0, &[0xff, 0x07, 0x01, 0, 0x00, 0x00, 0x80, 0]),
        ),
    ]
}

/// Lists of operations: what, who, how much.
fn sessions() -> Vec<Input> {
    let exchange = |round: &[[u8; 3]]| -> Vec<[u8; 3]> {
        let mut operations = round.to_vec();
        for who in 0..2 {
            operations.push([5, who, 255]);
            operations.push([7, 1 - who, 255]);
        }
        operations
    };
    let hello = exchange(&[]);
    let asked = exchange(&[[0, 0, 3], [0, 0, 255], [0, 1, 1], [0, 1, 64], [0, 0, 127]]);
    let answered = exchange(&[[2, 1, 9], [2, 1, 8], [2, 0, 7], [2, 0, 250], [9, 0, 100]]);
    let whole = [
        hello.clone(),
        asked.clone(),
        answered.clone(),
        asked.clone(),
        answered.clone(),
    ]
    .concat();
    let cancelled = [
        hello.clone(),
        asked.clone(),
        vec![[4, 0, 0], [4, 1, 1], [9, 0, 250]],
        answered.clone(),
    ]
    .concat();
    let halfway = [
        hello.clone(),
        vec![[0, 0, 255], [0, 0, 191], [5, 0, 1], [7, 1, 9], [4, 0, 0]],
        asked.clone(),
    ];
    let parting = [
        hello.clone(),
        asked.clone(),
        vec![[10, 0, 255]],
        answered.clone(),
        answered.clone(),
    ]
    .concat();
    let lost = [hello.clone(), asked.clone(), vec![[10, 1, 246]], answered].concat();
    let damaged = [hello, vec![[0, 0, 3], [5, 0, 9], [11, 255, 2]], asked].concat();
    let lists = [
        ("whole", whole),
        ("cancelled", cancelled),
        ("halfway", halfway.concat()),
        ("parting", parting),
        ("lost", lost),
        ("damaged", damaged),
    ];
    lists
        .into_iter()
        .map(|(name, list)| ("session", name.into(), list.concat()))
        .collect()
}
