//! Who is let in, who may ask what, and whom a node wants links to.

use super::*;

/// A view of `own` that knows the members, without the tombstones' nodes.
fn view(own: u16, own_roles: Roles, members: &[Member], revoked: &[u16]) -> Arc<RosterView> {
    Arc::new(RosterView {
        own: id(own),
        own_roles,
        own_grant: None,
        own_grant_expires: None,
        own_sequence: 1,
        own_revoked: false,
        trust: Arc::new(trust()),
        contacts: Arc::new(vec![Contact {
            node: id(0),
            addresses: vec![],
        }]),
        members: members
            .iter()
            .map(|member| (member.node(), Arc::new(member.clone())))
            .collect(),
        revoked: revoked.iter().map(|number| id(*number)).collect(),
    })
}

#[test]
fn peers_are_let_in_by_grant_or_roster_and_else_refused_with_the_reason() {
    let known = [member(1, 1, at(0)), member(2, 1, at(0))];
    let mut judge = Admission::new(view(9, storage(), &known, &[3]));
    let over = at(TERM.as_secs());
    let grant = |number: u16| grant_of(number, storage(), at(0)).grant().clone();
    let member = Ok(Standing::Member(storage()));
    assert_eq!(judge.admit(id(1), None, at(0)), member, "the roster knows it");
    assert_eq!(
        judge.admit(id(5), Some(&grant(5)), at(0)),
        member,
        "its grant speaks for it"
    );
    assert_eq!(judge.admit(id(5), None, at(0)), Err(Refusal::Stranger));
    assert_eq!(
        judge.admit(id(5), Some(&grant(6)), at(0)),
        Err(Refusal::BadGrant),
        "another's grant"
    );
    assert_eq!(judge.admit(id(1), Some(&grant(6)), at(0)), Err(Refusal::BadGrant));
    let mut forged = grant(5);
    forged.signature[0] ^= 1;
    assert_eq!(judge.admit(id(5), Some(&forged), at(0)), Err(Refusal::BadGrant));
    let foreign = ValidGrant::issue(&key(8), public(5), storage(), at(0), TERM).unwrap();
    assert_eq!(
        judge.admit(id(5), Some(foreign.grant()), at(0)),
        Err(Refusal::BadGrant),
        "of another mesh"
    );
    assert_eq!(judge.admit(id(5), Some(&grant(5)), over), Err(Refusal::Expired));
    assert_eq!(judge.admit(id(1), None, over), Err(Refusal::Expired));
    assert_eq!(judge.admit(id(3), Some(&grant(3)), at(0)), Err(Refusal::Revoked));
    let old = ValidGrant::issue(&key(0), public(1), storage(), UnixSeconds::from_secs(0), DAY).unwrap();
    assert_eq!(
        judge.admit(id(1), Some(old.grant()), at(0)),
        member,
        "the roster has a newer grant than it shows"
    );
}

#[test]
fn an_introducer_lets_strangers_knock_but_not_cheat() {
    let mut judge = Admission::new(view(0, roles(&[Role::Introducer]), &[member(1, 1, at(0))], &[3]));
    let grant = grant_of(6, storage(), at(0)).grant().clone();
    assert_eq!(judge.admit(id(5), None, at(0)), Ok(Standing::Joining));
    assert_eq!(
        judge.admit(id(1), None, at(TERM.as_secs())),
        Ok(Standing::Joining),
        "it may renew"
    );
    let foreign = ValidGrant::issue(&key(8), public(5), storage(), at(0), TERM).unwrap();
    assert_eq!(
        judge.admit(id(5), Some(foreign.grant()), at(0)),
        Ok(Standing::Joining),
        "it comes from another mesh"
    );
    assert_eq!(judge.admit(id(5), Some(&grant), at(0)), Err(Refusal::BadGrant));
    assert_eq!(judge.admit(id(3), None, at(0)), Err(Refusal::Revoked));
    assert_eq!(judge.authorise(id(5), RequestKind::Join, at(0)), Ok(Roles::NONE));
    for kind in RequestKind::ALL
        .into_iter()
        .filter(|kind| *kind != RequestKind::Join)
    {
        assert_eq!(
            judge.authorise(id(5), kind, at(0)),
            Err(Refusal::Stranger),
            "{kind:?}"
        );
    }
}

#[test]
fn requests_need_a_role_at_the_moment_they_come() {
    let gateway = ValidGrant::issue(&key(0), public(2), roles(&[Role::Gateway]), at(0), TERM).unwrap();
    let introducer = ValidGrant::issue(&key(0), public(4), roles(&[Role::Introducer]), at(0), TERM).unwrap();
    let mut judge = Admission::new(view(9, storage(), &[member(1, 1, at(0))], &[3]));
    judge.admit(id(2), Some(gateway.grant()), at(0)).unwrap();
    judge.admit(id(4), Some(introducer.grant()), at(0)).unwrap();
    let share_kinds = [
        RequestKind::FindShares,
        RequestKind::OpenShare,
        RequestKind::WriteBlock,
        RequestKind::CloseShare,
        RequestKind::AbortShare,
        RequestKind::PutShare,
        RequestKind::ReadBlock,
    ];
    for kind in share_kinds {
        assert_eq!(judge.authorise(id(1), kind, at(0)), Ok(storage()), "{kind:?}");
        assert_eq!(
            judge.authorise(id(2), kind, at(0)),
            Ok(roles(&[Role::Gateway])),
            "{kind:?}"
        );
        assert_eq!(
            judge.authorise(id(4), kind, at(0)),
            Err(Refusal::WrongRole),
            "{kind:?}"
        );
        assert_eq!(
            judge.authorise(id(9), kind, at(0)),
            Ok(storage()),
            "a node asks itself"
        );
    }
    for kind in [
        RequestKind::GetRows,
        RequestKind::CommitChange,
        RequestKind::RenewLeases,
    ] {
        assert!(judge.authorise(id(2), kind, at(0)).is_ok(), "{kind:?}");
        for other in [1, 4] {
            let refused = judge.authorise(id(other), kind, at(0));
            assert_eq!(refused, Err(Refusal::WrongRole), "{kind:?}");
        }
    }
    for kind in [
        RequestKind::GetInventory,
        RequestKind::ListShares,
        RequestKind::ListAdded,
        RequestKind::KeepShare,
    ] {
        assert!(judge.authorise(id(1), kind, at(0)).is_ok(), "{kind:?}");
        for other in [2, 4] {
            let refused = judge.authorise(id(other), kind, at(0));
            assert_eq!(refused, Err(Refusal::WrongRole), "{kind:?}");
        }
    }
    for kind in [
        RequestKind::GetStatus,
        RequestKind::SyncRoster,
        RequestKind::PushRoster,
    ] {
        assert!(judge.authorise(id(4), kind, at(0)).is_ok(), "{kind:?}");
    }
    assert_eq!(
        judge.authorise(id(2), RequestKind::Join, at(0)),
        Err(Refusal::WrongRole),
        "this is no introducer"
    );
    assert_eq!(
        judge.authorise(id(7), RequestKind::GetStatus, at(0)),
        Err(Refusal::Stranger)
    );
    assert_eq!(
        judge.authorise(id(3), RequestKind::GetStatus, at(0)),
        Err(Refusal::Revoked)
    );
    let over = at(TERM.as_secs());
    assert_eq!(
        judge.authorise(id(1), RequestKind::ReadBlock, over),
        Err(Refusal::Expired)
    );
    assert_eq!(
        judge.authorise(id(2), RequestKind::ReadBlock, over),
        Err(Refusal::Expired)
    );
    judge.forget(id(2));
    assert_eq!(
        judge.authorise(id(2), RequestKind::ReadBlock, at(0)),
        Err(Refusal::Stranger),
        "its link is gone"
    );
    judge.admit(id(2), Some(gateway.grant()), at(0)).unwrap();
    judge.set_view(view(9, storage(), &[], &[2]));
    assert_eq!(
        judge.authorise(id(2), RequestKind::ReadBlock, at(0)),
        Err(Refusal::Revoked),
        "while it is linked"
    );
}

#[test]
fn a_small_mesh_is_full_and_a_large_one_is_a_ring_with_chords() {
    let members: Vec<Member> = (1..=200).map(|number| member(number, 1, at(0))).collect();
    let small = view(1, storage(), &members[..FULL_MESH_MAX], &[]).links_wanted(at(0));
    assert_eq!(small.len(), FULL_MESH_MAX, "all but itself, and the introducer");
    assert!(small.contains(&id(0)) && !small.contains(&id(1)));
    let mut reached = BTreeSet::from([id(1)]);
    for steps in 0.. {
        if reached.len() >= 200 {
            assert!(steps <= 8, "{steps} steps across");
            break;
        }
        let next: BTreeSet<NodeId> = (1..=200)
            .filter(|number| reached.contains(&id(*number)))
            .flat_map(|number| view(number, storage(), &members, &[]).links_wanted(at(0)))
            .filter(|node| *node != id(0))
            .collect();
        assert!(
            next.len() > reached.len() || !next.is_subset(&reached),
            "the ring is broken"
        );
        reached.extend(next);
    }
    let large = view(1, storage(), &members, &[]).links_wanted(at(0));
    assert!(large.len() < 15, "{} links", large.len());
    assert!(
        view(1, storage(), &members, &[])
            .links_wanted(at(TERM.as_secs()))
            .len()
            == 1,
        "nobody but the introducer"
    );
}
