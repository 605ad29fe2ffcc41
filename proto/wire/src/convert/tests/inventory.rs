//! The bounds of inventories, of pages of buckets and of renewals.

use schema::request::Body as Ask;
use schema::response::Body as Say;

use super::*;
use crate::message::limits::{ADDED_MAX, LISTED_MAX, RENEWED_MAX};

fn ask(list: schema::ListShares) -> Result<Request, ConvertError> {
    let body = Some(Ask::ListShares(list));
    request::request_from_wire(schema::Request { body }, 0)
}

fn say(body: Say) -> Result<Response, ConvertError> {
    let answer = response::answer_from_wire(schema::Response { body: Some(body) }, 0)?;
    Ok(answer.expect("no failure"))
}

fn list() -> schema::ListShares {
    schema::ListShares {
        bucket: 0,
        after_si: vec![0; 16].into(),
        after_share: 255,
    }
}

/// A row of the first bucket.
fn row(last: u8, share: u8) -> Vec<u8> {
    let mut row = vec![0; 19];
    (row[15], row[16], row[17], row[18]) = (last, share, 2, 9);
    row
}

fn listed(rows: &[Vec<u8>]) -> schema::SharesListed {
    schema::SharesListed {
        epoch: 1,
        changes: 2,
        shares: rows.concat().into(),
        next_si: Bytes::new(),
        next_share: 0,
    }
}

#[test]
fn a_page_is_of_one_bucket_that_there_is() {
    ask(list()).expect("valid");
    for (bucket, field) in [(1024, "bucket"), (u32::MAX, "bucket"), (1, "after_si")] {
        let error = ask(schema::ListShares { bucket, ..list() }).expect_err("not so");
        assert!(error.to_string().starts_with(field), "{error}");
    }
    let beginning = schema::ListShares {
        after_si: Bytes::new(),
        ..list()
    };
    assert_eq!(
        ask(beginning),
        Err(ConvertError::Unexpected { field: "after_share" })
    );
}

#[test]
fn rows_ascend_in_one_bucket_and_fit_their_coding() {
    let good = listed(&[row(1, 0), row(1, 9), row(2, 3)]);
    let Ok(Response::SharesListed(read)) = say(Say::SharesListed(good)) else {
        panic!("valid");
    };
    assert_eq!(
        (
            read.shares.len(),
            read.shares[1].coding.k(),
            read.shares[1].coding.n()
        ),
        (3, 3, 10)
    );
    let refused = |rows: &[Vec<u8>]| say(Say::SharesListed(listed(rows))).expect_err("not so");
    let order = ConvertError::Order { field: "shares" };
    assert_eq!(refused(&[row(2, 3), row(1, 0)]), order);
    assert_eq!(refused(&[row(1, 3), row(1, 3)]), order);
    assert!(matches!(
        refused(&[row(1, 10)]),
        ConvertError::OutOfRange { field: "share", .. }
    ));
    let mut elsewhere = row(1, 0);
    elsewhere[0] = 255;
    let several = ConvertError::Unexpected { field: "shares" };
    assert_eq!(refused(&[row(1, 0), elsewhere]), several);
    let mut odd = row(1, 0);
    odd[17] = 20; // k above n
    assert!(matches!(refused(&[odd]), ConvertError::Params(_)));
    assert!(matches!(
        refused(&[row(1, 0), vec![0]]),
        ConvertError::Length { .. }
    ));
    let many: Vec<Vec<u8>> = (0..=LISTED_MAX)
        .map(|index| row((index >> 3) as u8, (index & 7) as u8))
        .collect();
    say(Say::SharesListed(listed(&many[1..]))).expect("just fits");
    assert!(matches!(
        refused(&many),
        ConvertError::TooLong { field: "shares", .. }
    ));
}

#[test]
fn who_goes_on_never_goes_back() {
    let goes_on = |next: u8| schema::SharesListed {
        next_si: row(next, 0)[..16].to_vec().into(),
        ..listed(&[row(2, 3)])
    };
    assert_eq!(
        say(Say::SharesListed(goes_on(1))),
        Err(ConvertError::Order { field: "next_si" })
    );
    say(Say::SharesListed(goes_on(3))).expect("further on");
}

#[test]
fn an_inventory_counts_every_bucket_of_an_epoch() {
    let inventory = |epoch, bytes: usize| {
        say(Say::Inventory(schema::Inventory {
            epoch,
            changes: vec![0; bytes].into(),
            accepts_shares: false,
            draining: false,
        }))
    };
    inventory(1, 4096).expect("valid");
    assert!(matches!(
        inventory(0, 4096),
        Err(ConvertError::OutOfRange { field: "epoch", .. })
    ));
    for bytes in [0, 4095, 4100] {
        assert!(matches!(
            inventory(1, bytes),
            Err(ConvertError::Length { field: "changes", .. })
        ));
    }
}

#[test]
fn what_came_is_asked_of_each_bucket_once() {
    let ask = |spans: Vec<u8>| {
        let spans = spans.into();
        let body = Some(Ask::ListAdded(schema::ListAdded { epoch: 1, spans }));
        request::request_from_wire(schema::Request { body }, 0)
    };
    let span = |bucket: u16| [&bucket.to_be_bytes()[..], &[1; 4], &[2; 4]].concat();
    let Ok(Request::ListAdded(list)) = ask([span(3), span(1023)].concat()) else {
        panic!("valid");
    };
    let last = list.spans[1];
    assert_eq!((list.spans.len(), last.bucket.index()), (2, 1023));
    assert_eq!((last.after, last.until), (0x0101_0101, 0x0202_0202));
    ask((0..1024).flat_map(span).collect()).expect("all there are");
    for wrong in [
        Vec::new(),
        vec![0; 11],
        [span(3), span(3)].concat(),
        [span(3), span(2)].concat(),
    ] {
        let error = ask(wrong).expect_err("not so");
        assert!(error.to_string().starts_with("spans"), "{error}");
    }
    let error = ask(span(1024)).expect_err("there is none");
    assert!(error.to_string().starts_with("bucket"), "{error}");
    let body = Some(Ask::ListAdded(schema::ListAdded {
        epoch: 0,
        spans: span(3).into(),
    }));
    let error = request::request_from_wire(schema::Request { body }, 0).expect_err("no epoch");
    assert!(error.to_string().starts_with("epoch"), "{error}");
}

#[test]
fn what_came_is_told_once_and_not_too_much() {
    let came = |shares: &[Vec<u8>], unknown: &[u8]| {
        say(Say::AddedListed(schema::AddedListed {
            shares: shares.concat().into(),
            unknown: unknown.to_vec().into(),
        }))
    };
    let mut elsewhere = row(1, 0);
    elsewhere[0] = 255;
    came(&[row(1, 0), elsewhere], &[0, 3, 3, 255]).expect("of several buckets");
    let mut many: Vec<Vec<u8>> = (0..=ADDED_MAX)
        .map(|index| {
            let mut row = row(index as u8, 0);
            row[14] = (index >> 8) as u8;
            row
        })
        .collect();
    let (too_long, field) = (came(&many, &[]), "shares");
    assert!(matches!(
        too_long,
        Err(ConvertError::TooLong { field: "shares", .. })
    ));
    many.pop();
    came(&many, &[]).expect("just fits");
    let order = Err(ConvertError::Order { field });
    assert_eq!(came(&[row(2, 3), row(1, 0)], &[]), order);
    assert_eq!(came(&[row(1, 3), row(1, 3)], &[]), order);
    let order = Err(ConvertError::Order { field: "unknown" });
    assert_eq!(came(&[], &[0, 3, 0, 3]), order);
    for (unknown, field) in [
        (&[4, 0][..], "bucket"),
        (&[0; 3], "unknown"),
        (&[0; 2050], "unknown"),
    ] {
        let error = came(&[], unknown).expect_err("not so");
        assert!(error.to_string().starts_with(field), "{error}");
    }
}

#[test]
fn a_renewal_names_each_file_once_and_not_too_many() {
    let renew = |sis: Vec<u8>| {
        let body = Some(Ask::RenewLeases(schema::RenewLeases { sis: sis.into() }));
        request::request_from_wire(schema::Request { body }, 0)
    };
    let numbered = |count: usize| {
        let si = |number: usize| [&[0; 8][..], &(number as u64).to_be_bytes()].concat();
        (0..count).flat_map(si).collect::<Vec<u8>>()
    };
    renew(numbered(1)).expect("valid");
    renew(numbered(RENEWED_MAX)).expect("valid");
    for wrong in [
        Vec::new(),
        numbered(RENEWED_MAX + 1),
        vec![0; 17],
        vec![0; 32],
        [[2; 16], [1; 16]].concat(),
    ] {
        let error = renew(wrong).expect_err("not so");
        assert!(error.to_string().starts_with("sis"), "{error}");
    }
    let held = |bytes: usize| {
        let held = vec![0; bytes].into();
        say(Say::LeasesRenewed(schema::LeasesRenewed { held }))
    };
    held(RENEWED_MAX / 8).expect("valid");
    for wrong in [0, RENEWED_MAX / 8 + 1] {
        assert!(held(wrong).is_err(), "{wrong} bytes");
    }
}
