//! Conversions: what goes out comes back, and what breaks a bound is named.

use std::time::Duration;

use proptest::prelude::*;
use prost::Message;
use truckee_grid::bucket::Bucket;
use truckee_grid::geometry::Geometry;
use truckee_grid::ids::{NodeId, SegmentIndex, ShareNumber, StorageIndex, UploadId};
use truckee_grid::params::Coding;
use truckee_grid::ueb::Ueb;

use super::*;
use crate::frame::{Decoder, FRAME_BYTES_MAX, FrameOut, HEAD_BYTES_MAX};
use crate::message::limits::{PAYLOAD_BYTES_MAX, ROSTER_ITEMS_MAX, ROSTER_NEWS_MAX};
use crate::message::*;
use crate::schema;

mod bounds;
mod drive;
mod inventory;

fn bytes(max: usize) -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 0..=max).prop_map(Bytes::from)
}

fn block() -> impl Strategy<Value = Bytes> {
    prop::collection::vec(any::<u8>(), 1..200).prop_map(Bytes::from)
}

fn hash() -> impl Strategy<Value = Hash> {
    any::<[u8; 32]>().prop_map(Hash)
}

fn name() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9 äß-]{0,30}"
}

fn si() -> impl Strategy<Value = StorageIndex> {
    any::<[u8; 16]>().prop_map(StorageIndex)
}

fn upload() -> impl Strategy<Value = UploadId> {
    any::<[u8; 16]>().prop_map(UploadId)
}

fn facts() -> impl Strategy<Value = FileFacts> {
    (1u32..20, 1u32..20, 1u64..10_000_000, hash(), hash()).prop_map(|(k, more, file_bytes, sealed, share)| {
        let coding = Coding::new(k, k + more).expect("k < n");
        let geometry = Geometry::new(file_bytes, 1 << 20, coding).expect("in bounds");
        let share_roots = (0..coding.n()).map(|i| Hash([i as u8; 32])).collect();
        FileFacts {
            ueb: Ueb::new(geometry, sealed, share),
            share_roots,
        }
    })
}

fn grant() -> impl Strategy<Value = Grant> {
    (bytes(100), any::<[u8; 32]>(), any::<[u8; 32]>()).prop_map(|(body, introducer, half)| {
        let mut signature = [1; 64];
        signature[..32].copy_from_slice(&half);
        Grant {
            body,
            introducer,
            signature,
        }
    })
}

fn announcement() -> impl Strategy<Value = Announcement> {
    (grant(), prop::option::of(grant())).prop_map(|(signed, grant)| Announcement {
        body: signed.body,
        node: signed.introducer,
        signature: signed.signature,
        grant,
    })
}

fn tombstone() -> impl Strategy<Value = Tombstone> {
    grant().prop_map(|g| Tombstone {
        body: g.body,
        introducer: g.introducer,
        signature: g.signature,
    })
}

fn sync() -> impl Strategy<Value = SyncRoster> {
    let item = (any::<u64>(), any::<bool>(), any::<u64>());
    let items = prop::collection::btree_map(any::<[u8; 32]>(), item, 0..20);
    let bound = || prop::option::of(any::<[u8; 32]>().prop_map(NodeId));
    (items, bound(), bound()).prop_map(|(items, after, upto)| {
        let items = items
            .into_iter()
            .map(|(id, (sequence, revoked, grant_expires_unix_s))| RosterItem {
                node_id: NodeId(id),
                sequence,
                revoked,
                grant_expires_unix_s,
            });
        SyncRoster {
            items: items.collect(),
            after,
            upto,
        }
    })
}

/// A place in a bucket: its 10 bits, then 6 of zero, then `rest`.
fn place(bucket: Bucket, rest: [u8; 14], share: u8) -> SharePlace {
    let mut si = [0; 16];
    si[..2].copy_from_slice(&((bucket.index() as u16) << 6).to_be_bytes());
    si[2..].copy_from_slice(&rest);
    SharePlace {
        si: StorageIndex(si),
        share: ShareNumber(share),
    }
}

fn request() -> impl Strategy<Value = Request> {
    let share = || any::<u8>().prop_map(ShareNumber);
    let segment = || (0u64..1 << 20).prop_map(SegmentIndex);
    prop_oneof![
        (si(), 0..=PAYLOAD_BYTES_MAX as u32)
            .prop_map(|(si, inline_bytes_max)| Request::FindShares(FindShares { si, inline_bytes_max })),
        (si(), upload(), 0..4u8, 0u64..1 << 45).prop_map(|(si, upload, share, reserve_bytes)| {
            let coding = Coding::new(3, 10).expect("valid");
            let share = ShareNumber(share);
            Request::OpenShare(OpenShare {
                si,
                share,
                upload,
                coding,
                segment_bytes: 1 << 20,
                reserve_bytes,
            })
        }),
        (si(), share(), upload(), segment(), hash(), hash(), block()).prop_map(
            |(si, share, upload, segment, block_leaf, sealed_leaf, block)| Request::WriteBlock(WriteBlock {
                si,
                share,
                upload,
                segment,
                block_leaf,
                sealed_leaf,
                block
            })
        ),
        (si(), share(), upload(), facts()).prop_map(|(si, share, upload, file)| Request::CloseShare(
            CloseShare {
                si,
                share,
                upload,
                file
            }
        )),
        (si(), share(), upload()).prop_map(|(si, share, upload)| Request::AbortShare(AbortShare {
            si,
            share,
            upload
        })),
        (si(), share(), facts(), block()).prop_map(|(si, share, file, block)| Request::PutShare(PutShare {
            si,
            share,
            file,
            block
        })),
        (si(), share(), segment(), any::<bool>()).prop_map(|(si, share, segment, suspect)| {
            Request::ReadBlock(ReadBlock {
                si,
                share,
                segment,
                suspect,
            })
        }),
        Just(Request::GetStatus),
        Just(Request::GetInventory),
        (0..Bucket::COUNT, any::<bool>(), any::<[u8; 14]>(), any::<u8>()).prop_map(
            |(index, goes_on, rest, share)| {
                let bucket = Bucket::from_index(index).expect("below the count");
                let after = goes_on.then(|| place(bucket, rest, share));
                Request::ListShares(ListShares { bucket, after })
            }
        ),
        (
            1u64..,
            prop::collection::btree_map(0..Bucket::COUNT, any::<(u32, u32)>(), 1..20)
        )
            .prop_map(|(epoch, spans)| {
                let spans = spans.into_iter().map(|(index, (after, until))| Span {
                    bucket: Bucket::from_index(index).expect("below the count"),
                    after,
                    until,
                });
                Request::ListAdded(ListAdded {
                    epoch,
                    spans: spans.collect(),
                })
            }),
        prop::collection::btree_set(si(), 1..20).prop_map(|sis| Request::RenewLeases(RenewLeases {
            sis: sis.into_iter().collect()
        })),
        (si(), share()).prop_map(|(si, share)| Request::KeepShare(KeepShare { si, share })),
        (bytes(64), announcement()).prop_map(|(secret, announcement)| {
            Request::Join(Box::new(Join {
                secret: JoinSecret::new(&secret),
                announcement,
            }))
        }),
        sync().prop_map(Request::SyncRoster),
        (
            prop::collection::vec(announcement(), 0..5),
            prop::collection::vec(tombstone(), 0..5)
        )
            .prop_map(|(announcements, tombstones)| Request::PushRoster(PushRoster {
                announcements,
                tombstones
            })),
        drive::get().prop_map(Request::GetRows),
        drive::commit().prop_map(Request::CommitChange),
    ]
}

fn found() -> impl Strategy<Value = FoundShares> {
    let some = (facts(), prop::option::of(block())).prop_map(|(file, inlined)| {
        let shares = file.ueb.coding().shares().step_by(2).collect();
        FoundShares {
            shares,
            file: Some(file),
            inlined,
        }
    });
    prop_oneof![
        Just(FoundShares {
            shares: Vec::new(),
            file: None,
            inlined: None
        }),
        some
    ]
}

fn answer() -> impl Strategy<Value = Result<Response, Failure>> {
    let path = || prop::collection::vec(hash(), 0..=20);
    prop_oneof![
        (0..FailureCode::ALL.len(), name(), 0u64..1 << 32).prop_map(|(code, text, ms)| {
            let retry_after = Duration::from_millis(ms);
            Err(Failure {
                retry_after,
                ..Failure::new(FailureCode::ALL[code], text)
            })
        }),
        found().prop_map(|found| Ok(Response::FoundShares(found))),
        any::<bool>().prop_map(|already_there| Ok(Response::ShareOpened { already_there })),
        Just(Ok(Response::BlockWritten)),
        Just(Ok(Response::ShareClosed)),
        Just(Ok(Response::ShareAborted)),
        any::<bool>().prop_map(|already_there| Ok(Response::SharePut { already_there })),
        (path(), hash(), path(), block()).prop_map(|(block_path, leaf, path, block)| {
            Ok(Response::BlockRead(BlockRead {
                block_path,
                sealed: SealedProof { leaf, path },
                block,
            }))
        }),
        (any::<u64>(), any::<u64>(), any::<bool>(), 0u64..1 << 40, name()).prop_map(
            |(share_count, used_bytes, accepts_shares, uptime_s, software)| {
                let uptime = Duration::from_secs(uptime_s);
                let available_bytes = used_bytes / 3;
                Ok(Response::NodeStatus(NodeStatus {
                    share_count,
                    used_bytes,
                    available_bytes,
                    accepts_shares,
                    uptime,
                    software,
                }))
            }
        ),
        (1u64.., any::<u32>(), any::<(bool, bool)>()).prop_map(
            |(epoch, seed, (accepts_shares, draining))| {
                let changes = (0..Bucket::COUNT as u32)
                    .map(|index| seed.wrapping_mul(index))
                    .collect();
                Ok(Response::Inventory(Inventory {
                    epoch,
                    changes,
                    accepts_shares,
                    draining,
                }))
            }
        ),
        (
            1u64..,
            any::<u32>(),
            0..Bucket::COUNT,
            prop::collection::btree_set(any::<([u8; 14], u8)>(), 0..20),
            any::<bool>()
        )
            .prop_map(|(epoch, changes, index, places, more)| {
                let bucket = Bucket::from_index(index).expect("below the count");
                let listed = |(rest, share)| ListedShare {
                    place: place(bucket, rest, share),
                    coding: Coding::new(200, 256).expect("valid"),
                };
                let shares: Vec<ListedShare> = places.into_iter().map(listed).collect();
                let next = shares.last().filter(|_| more).map(|last| last.place);
                Ok(Response::SharesListed(SharesListed {
                    epoch,
                    changes,
                    shares,
                    next,
                }))
            }),
        (
            prop::collection::btree_set((si(), any::<u8>()), 0..20),
            prop::collection::btree_set(0..Bucket::COUNT, 0..20)
        )
            .prop_map(|(places, unknown)| {
                let listed = |(si, share)| ListedShare {
                    place: SharePlace {
                        si,
                        share: ShareNumber(share),
                    },
                    coding: Coding::new(200, 256).expect("valid"),
                };
                Ok(Response::AddedListed(AddedListed {
                    shares: places.into_iter().map(listed).collect(),
                    unknown: unknown.into_iter().filter_map(Bucket::from_index).collect(),
                }))
            }),
        prop::collection::vec(any::<bool>(), 1..99)
            .prop_map(|held| Ok(Response::LeasesRenewed(LeasesRenewed::of(&held)))),
        any::<bool>().prop_map(|kept| Ok(Response::ShareKept { kept })),
        grant().prop_map(|grant| Ok(Response::Joined(grant))),
        (
            prop::collection::vec(announcement(), 0..4),
            prop::collection::vec(any::<[u8; 32]>(), 0..9),
            any::<bool>()
        )
            .prop_map(|(announcements, wanted, truncated)| {
                let wanted = wanted.into_iter().map(NodeId).collect();
                Ok(Response::RosterSynced(RosterSynced {
                    announcements,
                    tombstones: Vec::new(),
                    wanted,
                    truncated,
                }))
            }),
        Just(Ok(Response::RosterPushed)),
        drive::got().prop_map(|got| Ok(Response::RowsGot(Box::new(got)))),
        drive::taken().prop_map(|taken| Ok(Response::ChangeTaken(Box::new(taken)))),
    ]
}

/// Through the bytes of a frame and back, as far as the head.
fn head_of(frame: &FrameOut) -> Head {
    let mut decoder = Decoder::new();
    decoder.push(&frame.head);
    decoder.push(&frame.payload);
    let frame = decoder
        .next_frame()
        .expect("a valid frame")
        .expect("a whole frame");
    decode_head(frame.head).expect("a valid head")
}

proptest! {
    #[test]
    fn requests_come_back(request in request(), id in 1u64.., lane in 0..3usize, budget_ms in 1u64..1 << 32, traced in any::<bool>()) {
        let lane = Lane::ALL[lane];
        let trace = traced.then_some(TraceContext { trace_id: [3; 16], span_id: [4; 8] });
        let budget = Duration::from_millis(budget_ms);
        let prepared = Prepared::request(id, lane, trace, &request).expect("in bounds");
        let head = head_of(&prepared.into_frame(Some(budget), request.payload()));
        let payload_bytes = request.payload_bytes();
        let Head::Request { request: Ok(mut decoded), id: got_id, lane: got_lane, budget: got_budget, trace: got_trace, payload_bytes: got_bytes } = head else {
            panic!("{head:?}");
        };
        decoded.attach_payload(request.payload()).expect("in bounds");
        prop_assert_eq!((decoded, got_id, got_lane, got_budget, got_trace, got_bytes), (request, id, lane, Some(budget), trace, payload_bytes));
    }

    #[test]
    fn answers_come_back(answer in answer(), id in 1u64..) {
        let prepared = Prepared::answer(id, Lane::Bulk, &answer).expect("in bounds");
        let payload = answer.as_ref().map(Response::payload).unwrap_or_default();
        let head = head_of(&prepared.into_frame(None, payload.clone()));
        let Head::Answer { id: got_id, answer: Ok(mut decoded), payload_bytes, .. } = head else { panic!("{head:?}") };
        if let Ok(response) = &mut decoded {
            response.attach_payload(payload.clone()).expect("in bounds");
        }
        prop_assert_eq!((decoded, got_id, payload_bytes), (answer, id, payload.len()));
    }

    #[test]
    fn signed_bodies_and_the_roster_file_come_back(
        ints in any::<(u64, u64)>(),
        node in any::<[u8; 32]>(),
        names in (name(), name(), name()),
        addresses in prop::collection::vec("[a-z0-9.:]{0,40}", 0..=8),
        announcements in prop::collection::vec(announcement(), 0..4),
        tombstones in prop::collection::vec(tombstone(), 0..4),
        own_grant in prop::option::of(grant()),
    ) {
        let roles = Roles::NONE.with(Role::Storage).with(Role::Gateway);
        let grant = GrantBody { node, roles, issued_unix_s: ints.0, expires_unix_s: ints.1 };
        prop_assert_eq!(GrantBody::decode(&grant.encode().expect("in bounds")), Ok(grant));
        let (nickname, zone, software) = names;
        let announcement = AnnouncementBody { sequence: ints.0, nickname, addresses, roles, zone, software };
        prop_assert_eq!(AnnouncementBody::decode(&announcement.encode().expect("in bounds")), Ok(announcement));
        let tombstone = TombstoneBody { node_id: NodeId(node), revoked_unix_s: ints.1 };
        prop_assert_eq!(TombstoneBody::decode(&tombstone.encode().expect("in bounds")), Ok(tombstone));
        let file = RosterFile { announcements, tombstones, own_grant, own_sequence: ints.0 };
        prop_assert_eq!(RosterFile::decode(&file.encode().expect("in bounds")), Ok(file));
    }

    #[test]
    fn fields_of_later_versions_are_skipped(request in request(), number in 100u32..500, value in bytes(40)) {
        let mut head = schema::Envelope {
            id: 1,
            kind: schema::Kind::Request.into(),
            lane: schema::Lane::Bulk.into(),
            payload_bytes: request.payload_bytes() as u32,
            body: Some(schema::envelope::Body::Request(request::request_to_wire(&request).expect("in bounds"))),
            ..Default::default()
        }.encode_to_vec();
        prost::encoding::bytes::encode(number, &value, &mut head);
        let decoded = decode_head(head.into());
        let Ok(Head::Request { request: Ok(mut decoded), .. }) = decoded else { panic!("{decoded:?}") };
        decoded.attach_payload(request.payload()).expect("in bounds");
        prop_assert_eq!(decoded, request);
    }

    #[test]
    fn no_head_panics(garbage in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode_head(garbage.clone().into());
        let _ = GrantBody::decode(&garbage);
        let _ = AnnouncementBody::decode(&garbage);
        let _ = TombstoneBody::decode(&garbage);
        let _ = RosterFile::decode(&garbage);
    }

    #[test]
    fn a_damaged_head_never_panics(request in request(), answer in answer(), at in any::<prop::sample::Index>(), flip in 1u8..) {
        let request = Prepared::request(1, Lane::Bulk, None, &request).expect("in bounds").into_frame(None, Bytes::new());
        let answer = Prepared::answer(1, Lane::Bulk, &answer).expect("in bounds").into_frame(None, Bytes::new());
        for frame in [request, answer] {
            let mut head = frame.head[8..].to_vec();
            let at = at.index(head.len());
            head[at] ^= flip;
            let _ = decode_head(head.into());
        }
    }
}

#[test]
fn signals_come_back() {
    let hello = Hello {
        version: PROTOCOL_VERSION,
        session: SessionId([9; 16]),
        grant: None,
        announcement_sequence: 5,
        frame_bytes_max: FRAME_BYTES_MAX as u32,
        inflight_bytes_max: 8 << 20,
    };
    assert_eq!(
        head_of(&hello_frame(&hello).expect("in bounds")),
        Head::Hello(hello)
    );
    for reason in [
        GoodbyeReason::Stopping,
        GoodbyeReason::Duplicate,
        GoodbyeReason::Refused,
        GoodbyeReason::Idle,
    ] {
        assert_eq!(
            head_of(&goodbye_frame(Goodbye { reason })),
            Head::Goodbye(Goodbye { reason })
        );
    }
    assert_eq!(head_of(&ping_frame(3)), Head::Ping { id: 3 });
    assert_eq!(head_of(&pong_frame(0)), Head::Pong { id: 0 });
    assert_eq!(head_of(&cancel_frame(7)), Head::Cancel { id: 7 });
    let part = Bytes::from_static(b"part");
    for of_answer in [false, true] {
        let frame = more_frame(7, Lane::Bulk, of_answer, part.clone());
        assert_eq!(frame.payload.as_ptr(), part.as_ptr(), "a part is not copied");
        assert_eq!(
            head_of(&frame),
            Head::More {
                id: 7,
                lane: Lane::Bulk,
                of_answer
            }
        );
    }
}

#[test]
fn a_budget_is_never_sent_as_the_receivers_default() {
    let prepared = Prepared::request(1, Lane::Bulk, None, &Request::GetStatus).expect("in bounds");
    let head = head_of(&prepared.into_frame(Some(Duration::from_micros(3)), Bytes::new()));
    let budget = Some(Duration::from_millis(1));
    assert!(
        matches!(&head, Head::Request { budget: got, .. } if *got == budget),
        "{head:?}"
    );
}

#[test]
fn the_longest_messages_fit_a_head() {
    let items = (0..ROSTER_ITEMS_MAX as u64).map(|i| {
        let mut id = [0xff; 32];
        id[..8].copy_from_slice(&i.to_be_bytes());
        RosterItem {
            node_id: NodeId(id),
            sequence: u64::MAX,
            revoked: true,
            grant_expires_unix_s: u64::MAX,
        }
    });
    let bound = Some(NodeId([0xff; 32]));
    let sync = Request::SyncRoster(SyncRoster {
        items: items.collect(),
        after: bound,
        upto: bound,
    });
    Prepared::request(u64::MAX, Lane::Control, None, &sync).expect("fits");

    let coding = Coding::new(255, 256).expect("valid");
    let geometry = Geometry::new(1 << 40, 16 << 20, coding).expect("in bounds");
    let ueb = Ueb::new(geometry, Hash([255; 32]), Hash([255; 32]));
    let file = FileFacts {
        ueb,
        share_roots: vec![Hash([255; 32]); 256],
    };
    let found = FoundShares {
        shares: coding.shares().collect(),
        file: Some(file),
        inlined: None,
    };
    Prepared::answer(u64::MAX, Lane::Bulk, &Ok(Response::FoundShares(found))).expect("fits");
}

#[test]
fn news_within_their_measure_fit_a_head() {
    let grant = Grant {
        body: vec![1; 512].into(),
        introducer: [1; 32],
        signature: [1; 64],
    };
    let announcement = Announcement {
        body: vec![1; 4096].into(),
        node: [1; 32],
        signature: [1; 64],
        grant: Some(grant),
    };
    let tombstone = Tombstone {
        body: vec![1; 60].into(),
        introducer: [1; 32],
        signature: [1; 64],
    };
    let mut synced = RosterSynced {
        truncated: true,
        ..Default::default()
    };
    let mut used = 0;
    while used + announcement.encoded_len() <= ROSTER_NEWS_BYTES / 2 {
        used += announcement.encoded_len();
        synced.announcements.push(announcement.clone());
    }
    while used + tombstone.encoded_len() <= ROSTER_NEWS_BYTES * 3 / 4 {
        used += tombstone.encoded_len();
        synced.tombstones.push(tombstone.clone());
    }
    while used + WANTED_BYTES <= ROSTER_NEWS_BYTES {
        used += WANTED_BYTES;
        synced.wanted.push(NodeId([1; 32]));
    }
    assert!(synced.tombstones.len() <= ROSTER_NEWS_MAX);
    let frame = Prepared::answer(1, Lane::Control, &Ok(Response::RosterSynced(synced)))
        .expect("fits")
        .into_frame(None, Bytes::new());
    assert!(
        frame.head.len() > HEAD_BYTES_MAX - 4096,
        "the measure is close: {}",
        frame.head.len()
    );
}

#[test]
fn a_head_that_would_be_too_long_is_an_error_here() {
    let announcement = Announcement {
        body: vec![1; 4096].into(),
        node: [1; 32],
        signature: [1; 64],
        grant: None,
    };
    let push = PushRoster {
        announcements: vec![announcement; 20],
        tombstones: Vec::new(),
    };
    let error = Prepared::request(1, Lane::Control, None, &Request::PushRoster(push)).expect_err("too long");
    assert!(
        matches!(
            error,
            ConvertError::TooLong {
                field: "head",
                max: HEAD_BYTES_MAX,
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn secrets_are_not_printed() {
    let secret = JoinSecret::new(b"open sesame");
    assert_eq!(format!("{secret:?}"), "JoinSecret(..)");
    assert_eq!(secret, JoinSecret::new(b"open sesame"));
    assert_ne!(secret, JoinSecret::new(b"open sesamE"));
    assert_ne!(secret, JoinSecret::new(b"open"));
}
