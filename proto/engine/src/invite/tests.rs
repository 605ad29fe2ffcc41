use proptest::prelude::*;

use super::*;

fn secret() -> InviteSecret {
    InviteSecret::from_bytes([0x5a; 20])
}

fn invite() -> Invite {
    let addresses = ["introducer.example.org:3457", "[fd00::1]:3457", "10.0.0.1:1"];
    let addresses = addresses
        .iter()
        .map(|text| Address::parse(text).unwrap())
        .collect();
    Invite::new(NodeId([7; 32]), addresses, secret()).unwrap()
}

#[test]
fn print_and_parse_agree() {
    let text = invite().to_text();
    assert_eq!(Invite::parse(&text).unwrap(), invite());
    assert_eq!(*Invite::parse(&text).unwrap().to_text(), *text);
    assert_eq!(invite().addresses()[1].host(), "fd00::1");
    assert_eq!(invite().addresses()[1].port(), 3457);
}

#[test]
fn nothing_prints_the_secret_by_accident() {
    let text = secret().to_text();
    for printed in [format!("{:?}", invite()), format!("{:?}", secret())] {
        assert!(!printed.contains(text.as_str()), "{printed}");
    }
    assert!(format!("{:?}", invite()).contains("introducer.example.org:3457"));
}

#[test]
fn the_secret_is_compared_whole() {
    assert!(secret().matches(&[0x5a; 20]));
    assert!(!secret().matches(&[0x5a; 19]));
    assert!(!secret().matches(&[0x5a; 21]));
    let mut other = [0x5a; 20];
    other[19] ^= 1;
    assert!(!secret().matches(&other));
    assert!(!secret().matches(&[]));
}

#[test]
fn every_wrong_part_is_named() {
    let good = invite().to_text().to_string();
    let id = NodeId([7; 32]).to_base32();
    let secret = secret().to_text().to_string();
    let cases = [
        (good.replace("truckee:", "http:"), InviteError::Scheme),
        (good.replace('@', ""), InviteError::NoAt),
        (format!("truckee://{id}@a:1"), InviteError::NoSecret),
        (
            format!("truckee://{id}@/{secret}"),
            InviteError::Address {
                position: 1,
                error: AddressError::NoPort,
            },
        ),
        (
            format!("truckee://{id}@a:1,/{secret}"),
            InviteError::Address {
                position: 2,
                error: AddressError::NoPort,
            },
        ),
        (
            format!("truckee://{id}@a:0/{secret}"),
            InviteError::Address {
                position: 1,
                error: AddressError::Port,
            },
        ),
        (
            format!("truckee://{id}@a:65536/{secret}"),
            InviteError::Address {
                position: 1,
                error: AddressError::Port,
            },
        ),
        (
            format!("truckee://{id}@a:01/{secret}"),
            InviteError::Address {
                position: 1,
                error: AddressError::Port,
            },
        ),
        (
            format!("truckee://{id}@a_:1/{secret}"),
            InviteError::Address {
                position: 1,
                error: AddressError::Host,
            },
        ),
        (
            format!("truckee://{id}@a:1,b:1,a:1/{secret}"),
            InviteError::AddressTwice { position: 3 },
        ),
        ("truckee://".repeat(300), InviteError::TooLong { bytes: 3000 }),
    ];
    for (text, expected) in cases {
        assert_eq!(Invite::parse(&text).unwrap_err(), expected, "{text}");
    }
    let many: Vec<String> = (1..=9).map(|port| format!("a:{port}")).collect();
    let many = format!("truckee://{id}@{}/{secret}", many.join(","));
    assert_eq!(
        Invite::parse(&many).unwrap_err(),
        InviteError::Addresses { count: 9 }
    );
    assert!(matches!(
        Invite::parse(&good.to_uppercase().replace("TRUCKEE", "truckee")),
        Err(InviteError::NodeId(_))
    ));
    for cut in [good.len() - 1, good.len() - 5] {
        assert!(matches!(Invite::parse(&good[..cut]), Err(InviteError::Secret(_))));
    }
    for longer in [
        format!("{good}a"),
        format!("{good}/"),
        format!("{good} "),
        format!("{good}\n"),
    ] {
        assert!(
            matches!(Invite::parse(&longer), Err(InviteError::Secret(_))),
            "{longer:?}"
        );
    }
}

#[test]
fn hosts_are_strict() {
    for good in [
        "localhost:1",
        "a-b.c9:80",
        "127.0.0.1:65535",
        "[::1]:9",
        "[::ffff:10.0.0.1]:9",
        "node_1.lan:5",
    ] {
        assert!(Address::parse(good).is_ok(), "{good}");
    }
    let long_label = format!("{}:1", "a".repeat(64));
    let bad = [
        ":1",
        "a",
        "a:",
        "A:1",
        "a..b:1",
        ".a:1",
        "a.:1",
        "-a:1",
        "1.2.3:1",
        "1.2.3.4.5:1",
        "01.2.3.4:1",
        "256.1.1.1:1",
        "::1:9",
        "[::1]9",
        "[::1:9",
        "[0::1]:9",
        "[::1%eth0]:9",
        "a b:1",
        "a/b:1",
        "a@b:1",
        "é:1",
        "a:+1",
        "a: 1",
        &long_label,
    ];
    for bad in bad {
        assert!(Address::parse(bad).is_err(), "{bad}");
    }
}

proptest! {
    #[test]
    fn whatever_parses_prints_the_same(text in "truckee://[a-z2-7]{50,54}@[a-z0-9.:,\\[\\]-]{1,30}/[a-z2-7]{31,33}") {
        if let Ok(invite) = Invite::parse(&text) {
            let printed = invite.to_text();
            prop_assert_eq!(printed.as_str(), text);
        }
    }

    #[test]
    fn any_secret_and_port_come_back(secret in any::<[u8; 20]>(), id in any::<[u8; 32]>(), port in 1u16..) {
        let address = Address::parse(&format!("host:{port}")).unwrap();
        let invite = Invite::new(NodeId(id), vec![address], InviteSecret::from_bytes(secret)).unwrap();
        prop_assert_eq!(Invite::parse(&invite.to_text()).unwrap(), invite);
    }
}
