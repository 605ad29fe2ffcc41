//! The bounds of inventories, of pages of buckets and of renewals.

use schema::request::Body as Ask;
use schema::response::Body as Say;

use super::*;
use crate::message::limits::{LISTED_MAX, RENEWED_MAX};

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
