//! The rules one by one: signatures, merging, joining, revoking, the cache.

use super::*;

#[test]
fn a_grant_counts_only_as_signed_by_whom_for_whom_and_how_long() {
    let good = grant_of(1, storage(), at(0));
    assert_eq!(ValidGrant::check(good.grant(), &trust()), Ok(good.clone()));
    assert!(good.runs_at(at(0)) && good.runs_at(at(TERM.as_secs() - 1)) && !good.runs_at(at(TERM.as_secs())));
    assert_eq!(good.renew_at(), at(TERM.as_secs() / 2));
    assert_eq!(
        good.clone().for_node(id(2)),
        Err(GrantError::OtherNode { granted: id(1) })
    );

    let stranger = ValidGrant::issue(&key(9), public(1), storage(), at(0), TERM).unwrap();
    assert_eq!(
        ValidGrant::check(stranger.grant(), &trust()),
        Err(GrantError::Untrusted { introducer: id(9) })
    );
    let pretended = Grant {
        introducer: public(0),
        ..stranger.grant().clone()
    };
    assert_eq!(
        ValidGrant::check(&pretended, &trust()),
        Err(GrantError::Signature)
    );
    let more = grant_of(1, roles(&[Role::Gateway]), at(0));
    let swapped = Grant {
        body: more.grant().body.clone(),
        ..good.grant().clone()
    };
    assert_eq!(ValidGrant::check(&swapped, &trust()), Err(GrantError::Signature));
    let long = ValidGrant::issue(&key(0), public(1), storage(), at(0), GRANT_TERM_MAX * 2).unwrap();
    assert_eq!(long.expires(), at(0) + GRANT_TERM_MAX, "cut when issued");
    let body = truckee_wire::message::GrantBody {
        node: public(1),
        roles: storage(),
        issued_unix_s: 0,
        expires_unix_s: GRANT_TERM_MAX.as_secs() + 1,
    };
    let forever = signed_by_introducer(body.encode().unwrap());
    assert_eq!(
        ValidGrant::check(&forever, &trust()),
        Err(GrantError::TooLong),
        "and refused when shown"
    );
    assert_eq!(
        ValidGrant::check(&signed_by_introducer(vec![1, 2, 3].into()), &trust()),
        Err(GrantError::Malformed)
    );
}

fn signed_by_introducer(body: bytes::Bytes) -> Grant {
    let signature = signed::sign(&key(0), signed::GRANT_TAG, &body);
    Grant {
        body,
        introducer: public(0),
        signature,
    }
}

#[test]
fn an_announcement_needs_its_own_signature_grant_and_roles() {
    let good = member(1, 5, at(0));
    assert_eq!(Member::check(good.announcement(), &trust()).unwrap(), good);
    let refused = |change: &dyn Fn(&mut truckee_wire::message::Announcement), expected: NewsError| {
        let mut announcement = good.announcement().clone();
        change(&mut announcement);
        assert_eq!(Member::check(&announcement, &trust()), Err(expected));
    };
    refused(&|announcement| announcement.grant = None, NewsError::NoGrant);
    refused(
        &|announcement| announcement.signature[9] ^= 1,
        NewsError::Signature,
    );
    refused(
        &|announcement| announcement.body = body(1, 6, storage()).encode().unwrap(),
        NewsError::Signature,
    );
    let others = grant_of(2, storage(), at(0)).grant().clone();
    refused(
        &|announcement| announcement.grant = Some(others.clone()),
        NewsError::Grant(GrantError::OtherNode { granted: id(2) }),
    );
    let grant = grant_of(1, storage(), at(0));
    let more = body(1, 5, roles(&[Role::Storage, Role::Gateway]));
    assert_eq!(Member::announce(&key(1), &more, &grant), Err(NewsError::Roles));
    assert_eq!(
        Member::announce(&key(1), &body(1, 5, Roles::NONE), &grant),
        Err(NewsError::Roles)
    );
    assert_eq!(
        Member::announce(&key(2), &body(2, 5, storage()), &grant),
        Err(NewsError::Grant(GrantError::OtherNode { granted: id(1) }))
    );
}

#[test]
fn a_signature_of_one_kind_is_none_of_another() {
    let body = body(1, 5, storage()).encode().unwrap();
    for tag in [signed::GRANT_TAG, signed::TOMBSTONE_TAG, b"".as_slice()] {
        let signature = signed::sign(&key(1), tag, &body);
        let announcement = truckee_wire::message::Announcement {
            body: body.clone(),
            node: public(1),
            signature,
            grant: None,
        };
        assert_eq!(check_signed(&announcement), Err(NewsError::Signature));
    }
}

#[test]
fn a_tombstone_counts_only_by_an_introducer() {
    let good = Revoked::issue(&key(0), id(1), at(0)).unwrap();
    assert_eq!(Revoked::check(good.tombstone(), &trust()), Ok(good.clone()));
    let other = Revoked::issue(&key(1), id(2), at(0)).unwrap();
    assert_eq!(
        Revoked::check(other.tombstone(), &trust()),
        Err(NewsError::Tombstone)
    );
    let mut forged = good.tombstone().clone();
    forged.body = other.tombstone().body.clone();
    assert_eq!(Revoked::check(&forged, &trust()), Err(NewsError::Tombstone));
}

#[test]
fn the_highest_sequence_counts_and_a_tombstone_wins_in_any_order() {
    let news = [member(1, 5, at(0)), member(1, 6, at(0)), member(1, 5, at(100))];
    let mut roster = Roster::default();
    assert_eq!(roster.take(news[0].clone(), at(200)), Ok(Merge::News));
    assert_eq!(roster.take(news[0].clone(), at(200)), Ok(Merge::Known));
    assert_eq!(
        roster.take(news[2].clone(), at(200)),
        Ok(Merge::News),
        "a longer grant, the same sequence"
    );
    assert_eq!(roster.take(news[1].clone(), at(200)), Ok(Merge::News));
    assert_eq!(roster.take(news[2].clone(), at(200)), Ok(Merge::Known), "older");
    let revoked = Revoked::issue(&key(0), id(1), at(0)).unwrap();
    assert_eq!(roster.bury(revoked.clone(), at(200)), Ok(Merge::News));
    assert_eq!(roster.bury(revoked.clone(), at(200)), Ok(Merge::Known));
    assert_eq!(
        roster.take(member(1, 99, at(300)), at(300)),
        Err(NewsError::Revoked)
    );
    let mut other = Roster::default();
    other.bury(revoked, at(200)).unwrap();
    assert_eq!(other.take(news[1].clone(), at(200)), Err(NewsError::Revoked));
    assert_eq!(roster, other);
}

#[test]
fn expired_members_are_refused_kept_a_while_and_forgotten() {
    let mut roster = Roster::default();
    let end = TERM.as_secs();
    assert_eq!(roster.take(member(1, 5, at(0)), at(end)), Err(NewsError::Expired));
    roster.take(member(1, 5, at(0)), at(end - 1)).unwrap();
    assert!(!roster.tidy(at(end + EXPIRED_KEPT.as_secs() - 1)));
    assert!(roster.tidy(at(end + EXPIRED_KEPT.as_secs())));
    assert!(roster.members().is_empty());
    let revoked = Revoked::issue(&key(0), id(2), at(0)).unwrap();
    roster.bury(revoked.clone(), at(0)).unwrap();
    assert!(!roster.tidy(at(GRANT_TERM_MAX.as_secs() - 1)));
    assert!(roster.tidy(at(GRANT_TERM_MAX.as_secs())));
    assert_eq!(
        roster.bury(revoked, at(GRANT_TERM_MAX.as_secs())),
        Ok(Merge::Known),
        "nothing left to contradict"
    );
}

#[test]
fn the_roster_is_bounded_and_pages_fit_their_messages() {
    let mut roster = Roster::default();
    for number in 1..=MEMBERS_MAX as u16 {
        roster
            .take(member(number, 5, at(u64::from(number))), at(0))
            .unwrap();
    }
    assert_eq!(
        roster.take(member(5000, 5, at(0)), at(0)),
        Err(NewsError::RosterFull)
    );
    let first_end = at(TERM.as_secs() + 1);
    roster
        .take(member(5000, 5, at(100)), first_end)
        .expect("takes the place of one that has expired");
    assert_eq!(roster.members().len(), MEMBERS_MAX);

    let (mut after, mut pages, mut items) = (None, 0, 0);
    loop {
        let page = roster.page(after);
        assert!(page.items.len() <= SYNC_ITEMS_MAX);
        (pages, items) = (pages + 1, items + page.items.len());
        assert_eq!(page.after, after);
        let nothing_known = SyncRoster {
            items: Vec::new(),
            ..page.clone()
        };
        let answer = roster.answer(&nothing_known, at(200));
        assert!(answer.truncated, "512 announcements are more than fit");
        let bytes: usize = answer
            .announcements
            .iter()
            .map(|announcement| announcement.encoded_len())
            .sum();
        assert!(bytes <= truckee_wire::convert::ROSTER_NEWS_BYTES);
        assert!(!answer.announcements.is_empty());
        match page.upto {
            Some(upto) => after = Some(upto),
            None => break,
        }
    }
    assert_eq!((pages, items), (8, MEMBERS_MAX));
    let pushes = roster.news_of(roster.members().keys().copied());
    assert_eq!(
        pushes.iter().map(|push| push.announcements.len()).sum::<usize>(),
        MEMBERS_MAX
    );
    for push in pushes {
        let bytes: usize = push
            .announcements
            .iter()
            .map(|announcement| announcement.encoded_len())
            .sum();
        assert!(bytes <= truckee_wire::convert::ROSTER_NEWS_BYTES && push.announcements.len() <= 256);
    }
}

#[test]
fn a_comparison_tells_each_side_what_it_lacks() {
    let (mut ours, mut theirs) = (Roster::default(), Roster::default());
    for number in 1..=4 {
        ours.take(member(number, 5, at(0)), at(0)).unwrap();
    }
    theirs.take(member(1, 5, at(0)), at(0)).unwrap();
    theirs.take(member(2, 6, at(0)), at(0)).unwrap();
    theirs.take(member(3, 4, at(0)), at(0)).unwrap();
    theirs.take(member(5, 1, at(0)), at(0)).unwrap();
    theirs
        .bury(Revoked::issue(&key(0), id(4), at(0)).unwrap(), at(0))
        .unwrap();
    ours.bury(Revoked::issue(&key(0), id(6), at(0)).unwrap(), at(0))
        .unwrap();
    let answer = ours.answer(&theirs.page(None), at(0));
    let told: Vec<NodeId> = answer
        .announcements
        .iter()
        .map(|announcement| NodeId::of_public_key(&announcement.node))
        .collect();
    assert_eq!(told, [id(3)], "newer here; 4 is known there to be revoked");
    assert_eq!(answer.tombstones.len(), 1);
    assert_eq!(
        answer.wanted.iter().copied().collect::<BTreeSet<_>>(),
        BTreeSet::from([id(2), id(4), id(5)])
    );
    assert!(!answer.truncated);
    let odd = SyncRoster {
        items: Vec::new(),
        after: Some(id(1).max(id(2))),
        upto: Some(id(1).min(id(2))),
    };
    assert_eq!(
        ours.answer(&odd, at(0)).announcements.len(),
        0,
        "a page that ends before it begins"
    );
}

#[test]
fn joining_takes_the_secret_the_own_name_and_a_role() {
    let mut machine = introducer(Mono::ZERO, at(0));
    let mut ask = |asker: u16, request: Request| {
        machine
            .handle_request(Mono::ZERO, at(0), id(asker), request)
            .map_err(|failure| failure.code)
    };
    let (right, mut wrong) = ([7; 20], [7; 20]);
    wrong[0] = 8;
    assert_eq!(ask(1, join_of(1, &wrong, storage())), Err(FailureCode::BadSecret));
    assert_eq!(
        ask(1, join_of(1, &right[..19], storage())),
        Err(FailureCode::BadSecret)
    );
    assert_eq!(
        ask(1, join_of(1, &[], storage())),
        Err(FailureCode::BadSecret),
        "nothing is no secret"
    );
    assert_eq!(
        ask(2, join_of(1, &right, storage())),
        Err(FailureCode::BadRequest),
        "another's announcement"
    );
    assert_eq!(
        ask(1, join_of(1, &right, Roles::NONE)),
        Err(FailureCode::BadRequest)
    );
    let Request::Join(mut forged) = join_of(1, &right, storage()) else {
        panic!()
    };
    forged.announcement.signature[0] ^= 1;
    assert_eq!(ask(1, Request::Join(forged)), Err(FailureCode::BadRequest));
    let Ok(Response::Joined(grant)) = ask(1, join_of(1, &right, storage())) else {
        panic!("joins")
    };
    let grant = ValidGrant::check(&grant, &trust())
        .unwrap()
        .for_node(id(1))
        .unwrap();
    assert_eq!((grant.roles(), grant.expires()), (storage(), at(0) + TERM));
    assert!(
        matches!(ask(1, join_of(1, &[], storage())), Ok(Response::Joined(_))),
        "a member renews without it"
    );
    assert!(
        matches!(ask(1, join_of(1, &wrong, storage())), Ok(Response::Joined(_))),
        "also with one that was renewed meanwhile"
    );
    assert_eq!(
        ask(3, join_of(3, &wrong, storage())),
        Err(FailureCode::BadSecret),
        "nobody else"
    );
    assert_eq!(machine.report().joins["bad_secret"], 4);
    assert_eq!(machine.report().joins["granted"], 3);
    machine.revoke(Mono::ZERO, at(0), id(1)).unwrap();
    let refused = machine.handle_request(Mono::ZERO, at(0), id(1), join_of(1, &right, storage()));
    assert_eq!(
        refused.unwrap_err().code,
        FailureCode::RefusedRole,
        "not even with the secret"
    );
    let mut plain = node(3, storage(), None, at(0));
    let refused = plain.handle_request(Mono::ZERO, at(0), id(1), join_of(1, &right, storage()));
    assert_eq!(refused.unwrap_err().code, FailureCode::RefusedRole);
}

#[test]
fn a_node_without_a_grant_asks_and_asks_again_with_growing_pauses() {
    let mut machine = node(1, storage(), None, at(0));
    let mut now = Mono::ZERO;
    let mut pauses = Vec::new();
    for _ in 0..12 {
        settle(&mut machine, now, at(0));
        let calls = calls(&mut machine);
        let [(token, peer, Request::Join(join))] = &calls[..] else {
            panic!("{calls:?}")
        };
        assert_eq!((*peer, join.secret.expose()), (id(0), [7; 20].as_slice()));
        machine.handle_answer(now, at(0), *token, Err(NoAnswer::NotReached));
        let next = machine.next_deadline(now);
        pauses.push(next.saturating_sub(now));
        now = next;
    }
    assert!(
        pauses[0] <= join::JOIN_RETRY_MIN && pauses[0] >= join::JOIN_RETRY_MIN / 2,
        "{pauses:?}"
    );
    assert!(pauses.iter().all(|pause| *pause <= join::JOIN_RETRY_MAX));
    assert!(
        pauses[9..].iter().all(|pause| *pause >= join::JOIN_RETRY_MAX / 2),
        "{pauses:?}"
    );
    assert_eq!(
        machine.join_errors().next().unwrap().1,
        &join::JoinError::NotReached
    );
    machine.handle_link(now, id(0), true);
    settle(&mut machine, now, at(0));
    assert_eq!(
        calls(&mut machine).len(),
        1,
        "at once when the introducer's link comes up"
    );
}

#[test]
fn a_wrong_secret_is_not_tried_again_soon() {
    let mut machine = node(1, storage(), None, at(0));
    settle(&mut machine, Mono::ZERO, at(0));
    let (token, ..) = calls(&mut machine)[0].clone();
    let failure = Failure::new(FailureCode::BadSecret, "no");
    machine.handle_answer(Mono::ZERO, at(0), token, Err(NoAnswer::Refused(failure)));
    assert!(machine.next_deadline(Mono::ZERO) >= Mono::ZERO + join::JOIN_SLOW_RETRY / 2);
    machine.handle_link(Mono::ZERO, id(0), true);
    settle(&mut machine, Mono::ZERO, at(0));
    assert!(
        calls(&mut machine).is_empty(),
        "a new link does not make it right"
    );
}

/// A node that has joined, and the moment.
fn joined(number: u16) -> Membership {
    let mut machine = node(number, storage(), None, at(0));
    settle(&mut machine, Mono::ZERO, at(0));
    let (token, ..) = calls(&mut machine)[0].clone();
    let grant = grant_of(number, storage(), at(0)).grant().clone();
    machine.handle_answer(Mono::ZERO, at(0), token, Ok(Response::Joined(grant)));
    machine
}

#[test]
fn a_grant_that_is_not_ones_own_is_not_taken() {
    let stranger = ValidGrant::issue(&key(9), public(1), storage(), at(0), TERM)
        .unwrap()
        .grant()
        .clone();
    for bad in [grant_of(2, storage(), at(0)).grant().clone(), stranger] {
        let mut machine = node(1, storage(), None, at(0));
        settle(&mut machine, Mono::ZERO, at(0));
        let (token, ..) = calls(&mut machine)[0].clone();
        machine.handle_answer(Mono::ZERO, at(0), token, Ok(Response::Joined(bad)));
        assert!(machine.view().own_grant().is_none());
        assert!(matches!(
            machine.join_errors().next(),
            Some((_, join::JoinError::BadGrant(_)))
        ));
    }
}

#[test]
fn a_grant_is_renewed_from_half_of_its_life() {
    let mut machine = joined(1);
    settle(&mut machine, Mono::ZERO, at(0));
    effects(&mut machine);
    let expires = machine.view().own_grant_expires().unwrap();
    let mut asked_at = None;
    let mut now = Mono::ZERO;
    while asked_at.is_none() {
        now = machine.next_deadline(now).max(now + Duration::from_secs(1));
        let unix = at(now.saturating_sub(Mono::ZERO).as_secs());
        machine.handle_timeout(now, unix);
        let join = calls(&mut machine)
            .into_iter()
            .find(|(.., request)| request.kind() == RequestKind::Join);
        asked_at = join.map(|(token, ..)| (token, unix));
    }
    let (token, unix) = asked_at.unwrap();
    let passed = unix.saturating_sub(at(0)).as_secs_f64() / TERM.as_secs_f64();
    assert!((0.47..0.53).contains(&passed), "after {passed} of it");
    let sequence = machine.view().own_sequence();
    let longer = grant_of(1, storage(), unix).grant().clone();
    machine.handle_answer(now, unix, token, Ok(Response::Joined(longer)));
    assert!(machine.view().own_grant_expires().unwrap() > expires);
    assert!(machine.view().own_sequence() > sequence, "announced anew");
    assert_eq!(
        machine.roster().members()[&id(1)].grant().expires(),
        machine.view().own_grant_expires().unwrap()
    );
}

#[test]
fn the_cache_is_enough_to_come_back_without_introducers() {
    let mut machine = joined(1);
    let news = PushRoster {
        announcements: vec![member(2, 5, at(0)).announcement().clone()],
        tombstones: vec![],
    };
    machine
        .handle_request(Mono::ZERO, at(0), id(2), Request::PushRoster(news))
        .unwrap();
    settle(&mut machine, Mono::ZERO, at(0));
    let file = machine.file();
    let later = at(DAY.as_secs());
    let mut again = node(1, storage(), Some(file.clone()), later);
    assert!(again.view().member(id(2)).is_some());
    assert!(again.view().own_grant().is_some());
    assert!(
        again.view().own_sequence() > file.own_sequence,
        "what it says now is newer than what it said"
    );
    let view = Arc::new(again.view());
    let mut judge = Admission::new(view);
    assert_eq!(judge.admit(id(2), None, later), Ok(Standing::Member(storage())));
    settle(&mut again, Mono::ZERO, later);
    let asked = calls(&mut again)
        .into_iter()
        .any(|(.., request)| request.kind() == RequestKind::Join);
    assert!(!asked, "it has a grant");
    let mut lost = file;
    lost.own_sequence = 0;
    assert!(node(1, storage(), Some(lost), later).view().own_sequence() >= later.as_secs());
}

#[test]
fn what_does_not_check_in_the_cache_is_left_out_and_counted() {
    let mut bad_signature = member(2, 5, at(0)).announcement().clone();
    bad_signature.signature[0] ^= 1;
    let file = RosterFile {
        announcements: vec![
            bad_signature,
            member(3, 5, at(0)).announcement().clone(),
            member(4, 5, UnixSeconds::from_secs(5)).announcement().clone(),
        ],
        tombstones: vec![Revoked::issue(&key(9), id(3), at(0)).unwrap().tombstone().clone()],
        own_grant: Some(grant_of(7, storage(), at(0)).grant().clone()),
        own_sequence: 3,
    };
    let machine = node(1, storage(), Some(file), at(0));
    assert_eq!(
        machine.roster().members().keys().copied().collect::<Vec<_>>(),
        [id(3)]
    );
    assert!(machine.view().own_grant().is_none(), "another node's grant");
    let rejected = &machine.report().rejected;
    assert_eq!(
        (rejected["signature"], rejected["expired"], rejected["tombstone"]),
        (1, 1, 1)
    );
}

#[test]
fn a_grant_without_a_new_role_is_asked_for_anew() {
    let file = joined(1).file();
    let more = roles(&[Role::Storage, Role::Gateway]);
    assert!(
        node(1, more, Some(file.clone()), at(5))
            .view()
            .own_grant()
            .is_none()
    );
    assert!(node(1, storage(), Some(file), at(5)).view().own_grant().is_some());
}

#[test]
fn forged_expired_stale_and_revoked_news_is_refused_and_counted() {
    let mut machine = joined(1);
    let push = |machine: &mut Membership, announcements: Vec<_>, tombstones: Vec<_>| {
        let push = Request::PushRoster(PushRoster {
            announcements,
            tombstones,
        });
        machine.handle_request(Mono::ZERO, at(0), id(2), push).unwrap();
        settle(machine, Mono::ZERO, at(0));
    };
    let mut forged = member(2, 5, at(0)).announcement().clone();
    forged.signature[3] ^= 1;
    let expired = member(3, 5, UnixSeconds::from_secs(0)).announcement().clone();
    let no_grant = sign_announcement(&key(4), &body(4, 5, storage())).unwrap();
    let foreign = ValidGrant::issue(&key(9), public(5), storage(), at(0), TERM).unwrap();
    let foreign = Member::announce(&key(5), &body(5, 5, storage()), &foreign)
        .unwrap()
        .announcement()
        .clone();
    let bad_tombstone = Revoked::issue(&key(3), id(1), at(0)).unwrap().tombstone().clone();
    push(
        &mut machine,
        vec![forged, expired, no_grant, foreign],
        vec![bad_tombstone],
    );
    let of_oneself = member(1, u64::MAX, at(0)).announcement().clone();
    push(
        &mut machine,
        vec![of_oneself, member(6, 5, at(0)).announcement().clone()],
        vec![],
    );
    push(
        &mut machine,
        vec![member(6, 4, at(0)).announcement().clone()],
        vec![],
    );
    assert_eq!(
        machine
            .roster()
            .members()
            .keys()
            .copied()
            .collect::<BTreeSet<_>>(),
        BTreeSet::from([id(1), id(6)])
    );
    assert_eq!(
        machine.roster().members()[&id(6)].sequence(),
        5,
        "the stale one changed nothing"
    );
    let grave = Revoked::issue(&key(0), id(6), at(0)).unwrap().tombstone().clone();
    push(
        &mut machine,
        vec![member(6, 9, at(0)).announcement().clone()],
        vec![grave],
    );
    assert!(!machine.roster().members().contains_key(&id(6)));
    let rejected = &machine.report().rejected;
    let counted = [
        "signature",
        "expired",
        "no_grant",
        "grant",
        "tombstone",
        "revoked",
    ]
    .map(|name| rejected[name]);
    assert_eq!(counted, [1; 6]);
}

#[test]
fn a_flood_of_news_is_bounded() {
    let mut machine = joined(1);
    let announcement = member(2, 5, at(0)).announcement().clone();
    for _ in 0..10 {
        let push = PushRoster {
            announcements: vec![announcement.clone(); 256],
            tombstones: vec![],
        };
        machine
            .handle_request(Mono::ZERO, at(0), id(2), Request::PushRoster(push))
            .unwrap();
    }
    assert_eq!(machine.report().dropped, 2560 - exchange::INBOX_MAX as u64);
    machine.handle_timeout(Mono::ZERO, at(0));
    assert!(
        machine.next_deadline(Mono::ZERO) > Mono::ZERO,
        "what is known already costs no signature"
    );
}

#[test]
fn few_signatures_are_checked_at_a_time() {
    let mut machine = joined(1);
    let announcements = (2..40)
        .map(|number| member(number, 5, at(0)).announcement().clone())
        .collect();
    let push = PushRoster {
        announcements,
        tombstones: vec![],
    };
    machine
        .handle_request(Mono::ZERO, at(0), id(2), Request::PushRoster(push))
        .unwrap();
    machine.handle_timeout(Mono::ZERO, at(0));
    assert_eq!(machine.roster().members().len(), 1 + exchange::CHECKED_AT_ONCE);
    assert_eq!(machine.next_deadline(Mono::ZERO), Mono::ZERO, "and on at once");
    settle(&mut machine, Mono::ZERO, at(0));
    assert_eq!(machine.roster().members().len(), 39);
}

#[test]
fn a_revoked_node_falls_silent() {
    let mut machine = joined(1);
    machine.handle_link(Mono::ZERO, id(0), true);
    settle(&mut machine, Mono::ZERO, at(0));
    effects(&mut machine);
    let grave = Revoked::issue(&key(0), id(1), at(0)).unwrap().tombstone().clone();
    let push = PushRoster {
        announcements: vec![],
        tombstones: vec![grave],
    };
    machine
        .handle_request(Mono::ZERO, at(0), id(0), Request::PushRoster(push))
        .unwrap();
    settle(&mut machine, Mono::ZERO, at(0));
    assert!(machine.view().own_revoked());
    let mut now = Mono::ZERO;
    for _ in 0..50 {
        now = machine.next_deadline(now).max(now + Duration::from_secs(60));
        machine.handle_timeout(now, at(0));
        assert_eq!(calls(&mut machine), []);
    }
}

#[test]
fn only_introducers_revoke_and_not_themselves() {
    assert_eq!(
        joined(1).revoke(Mono::ZERO, at(0), id(2)),
        Err(RevokeError::NotIntroducer)
    );
    let mut machine = introducer(Mono::ZERO, at(0));
    assert_eq!(
        machine.revoke(Mono::ZERO, at(0), id(0)),
        Err(RevokeError::Oneself)
    );
    assert_eq!(
        machine.revoke(Mono::ZERO, at(0), id(77)),
        Ok(()),
        "also one that is not known"
    );
    assert!(machine.view().is_revoked(id(77)));
    assert_eq!(machine.revoke(Mono::ZERO, at(0), id(77)), Ok(()));
}

#[test]
fn an_introducer_admits_and_renews_itself() {
    let mut machine = introducer(Mono::ZERO, at(0));
    let first = machine.view().own_grant_expires().unwrap();
    let half = TERM / 2 + Duration::from_secs(10);
    let now = Mono::ZERO + half;
    settle(&mut machine, now, at(half.as_secs()));
    assert!(machine.view().own_grant_expires().unwrap() > first);
}

#[test]
fn a_configuration_that_cannot_work_is_refused() {
    let begin = |facts: OwnFacts, invites: Vec<Invite>, introducer: Option<IntroducerConfig>| {
        let config = MembershipConfig {
            key: key(1),
            facts,
            invites,
            introducer,
        };
        Membership::new(config, None, Mono::ZERO, at(0), [0; 32]).map(|_| ())
    };
    let admits = || {
        Some(IntroducerConfig {
            secret: secret(),
            grant_term: TERM,
        })
    };
    assert_eq!(
        begin(facts(1, storage()), vec![], None),
        Err(MembershipError::NoInvite)
    );
    assert_eq!(
        begin(facts(1, Roles::NONE), vec![invite()], None),
        Err(MembershipError::NoRole)
    );
    assert_eq!(
        begin(facts(1, storage()), vec![invite()], admits()),
        Err(MembershipError::Introducer)
    );
    assert_eq!(
        begin(facts(1, roles(&[Role::Introducer])), vec![], None),
        Err(MembershipError::Introducer)
    );
    let long = OwnFacts {
        nickname: "x".repeat(65),
        ..facts(1, storage())
    };
    assert_eq!(begin(long, vec![invite()], None), Err(MembershipError::Facts));
    assert_eq!(
        begin(facts(1, roles(&[Role::Introducer])), vec![], admits()),
        Ok(())
    );
}

#[test]
fn the_roster_is_saved_soon_after_a_change_and_once() {
    let mut machine = joined(1);
    settle(&mut machine, Mono::ZERO, at(0));
    let saves = |machine: &mut Membership| {
        effects(machine)
            .iter()
            .filter(|effect| matches!(effect, Effect::Save(_)))
            .count()
    };
    assert_eq!(saves(&mut machine), 1, "a grant at once");
    for number in 2..5 {
        let announcements = vec![member(number, 5, at(0)).announcement().clone()];
        let push = Request::PushRoster(PushRoster {
            announcements,
            tombstones: vec![],
        });
        machine.handle_request(Mono::ZERO, at(0), id(2), push).unwrap();
        settle(&mut machine, Mono::ZERO, at(0));
    }
    assert_eq!(saves(&mut machine), 0);
    machine.handle_timeout(Mono::ZERO + SAVE_DELAY, at(1));
    assert_eq!(saves(&mut machine), 1);
    assert_eq!(machine.file().announcements.len(), 4);
}

#[test]
fn requests_of_others_are_not_served() {
    let find = Request::FindShares(truckee_wire::message::FindShares {
        si: StorageIndex([0; 16]),
        inline_bytes_max: 0,
    });
    let refused = joined(1).handle_request(Mono::ZERO, at(0), id(2), find);
    assert_eq!(refused.unwrap_err().code, FailureCode::Unsupported);
}
