//! Uploads and downloads through random faults: what was promised comes back.

use std::collections::BTreeSet;
use std::time::Duration;

use truckee_grid::ids::ShareNumber;

use super::model::{
    Body, Dice, ModelPeer, Reader, World, encoding, plaintext, run_download, run_upload, upload_config,
};
use crate::download::DownloadError;
use crate::upload::{Config, UploadError};

/// Enough to meet each pair of faults many times, and still only a few seconds.
const SEEDS: u64 = 2_000;

const SHAPES: [(u32, u32, u32); 5] = [(3, 10, 7), (1, 1, 1), (1, 3, 2), (4, 7, 5), (2, 5, 1)];

pub(crate) fn some_fault(dice: &mut Dice, world: &World, peer: &mut ModelPeer) {
    let soon = world.now + Duration::from_millis(dice.roll(120));
    match dice.roll(9) {
        0 => peer.frozen_from = Some(soon),
        1 => (peer.frozen_from, peer.undead) = (Some(soon), true),
        2 => peer.down_from = Some(soon),
        3 => peer.full = true,
        4 => peer.busy = dice.roll(30) as u32,
        5 => peer.dies_after = Some(1 + dice.roll(20) as u32),
        6 => peer.dies_at_close = true,
        7 => peer.talks_nonsense = true,
        _ => peer.delay = Duration::from_millis(dice.roll(300)),
    }
}

pub(crate) fn heal(world: &mut World) {
    for peer in world.peers.values_mut() {
        let shares = std::mem::take(&mut peer.shares);
        *peer = ModelPeer {
            shares,
            ..ModelPeer::default()
        };
    }
}

fn one_life(seed: u64) -> &'static str {
    let mut dice = Dice(seed);
    let (k, n, happy) = SHAPES[dice.roll(SHAPES.len() as u64) as usize];
    let mut world = World::new((happy + dice.roll(u64::from(n) + 4) as u32) as u8);
    let mut peers = std::mem::take(&mut world.peers);
    let fault_rate = dice.roll(60);
    for peer in peers.values_mut() {
        if dice.roll(100) < fault_rate {
            some_fault(&mut dice, &world, peer);
        }
    }
    world.peers = peers;
    let len = 1 + dice.roll(20_000) as usize;
    let config = Config {
        window_bytes: 1 + dice.roll(60_000) as usize,
        ..upload_config(&world, encoding(k, n, happy))
    };
    let config = Config {
        find_existing: dice.roll(2) == 0,
        ..config
    };
    let body = Body {
        pause: Duration::from_millis(dice.roll(15)),
        ..Body::of(plaintext(len))
    };
    let uploaded = run_upload(&mut world, config, &body);
    let done = match uploaded.result {
        Ok(done) => done,
        Err(UploadError::NotHappy(not_happy)) => {
            assert!(fault_rate > 0, "seed {seed}: failed without a fault: {not_happy}");
            return "not happy";
        }
        Err(other) => panic!("seed {seed}: {other}"),
    };
    assert!(
        done.happiness >= happy as usize && done.placements.len() >= k as usize,
        "seed {seed}"
    );
    for (share, peer) in &done.placements {
        assert!(
            world.peers[peer].shares.contains_key(share),
            "seed {seed}: share {share} is not where it was said"
        );
    }
    heal(&mut world);
    // All but k of the promised shares are lost, damaged or out of reach; nobody else helps.
    let mut spared: BTreeSet<ShareNumber> = done.placements.iter().map(|(share, _)| *share).collect();
    while spared.len() > k as usize {
        let victim = *spared
            .iter()
            .nth(dice.roll(spared.len() as u64) as usize)
            .expect("within");
        spared.remove(&victim);
    }
    for peer in world.peers.values_mut() {
        peer.shares
            .retain(|share, _| spared.contains(share) || dice.roll(2) == 0);
        if peer.shares.keys().all(|share| !spared.contains(share)) {
            match dice.roll(5) {
                0 => peer.frozen_from = Some(crate::time::Mono::ZERO),
                1 => peer.down_from = Some(crate::time::Mono::ZERO),
                2 => peer.bad_blocks_from = Some(dice.roll(5)),
                3 => peer.bad_facts = true,
                _ => peer.shares.clear(),
            }
        } else {
            peer.busy = dice.roll(3) as u32;
            peer.delay = Duration::from_millis(dice.roll(80));
        }
    }
    let start = dice.roll(len as u64);
    let end = start + dice.roll(len as u64 + 10);
    let reader = Reader {
        window: 1 + dice.roll(6) as usize,
        ..Reader::of(&done).range(start..end)
    };
    let downloaded = run_download(&mut world, &reader);
    let expected = &plaintext(len)[start as usize..(end as usize).min(len)];
    match downloaded.result {
        Ok(bytes) => assert_eq!(bytes, expected, "seed {seed}"),
        Err(error) => panic!("seed {seed}: {error}"),
    }
    "came back"
}

#[test]
fn what_was_promised_comes_back() {
    let mut came_back = 0;
    for seed in 0..SEEDS {
        if one_life(seed) == "came back" {
            came_back += 1;
        }
    }
    println!("{came_back} of {SEEDS} seeds completed their upload");
    assert!(came_back > SEEDS / 2, "faults are meant to be survived");
    assert!(came_back < SEEDS, "some are meant to be too many");
}

#[test]
fn any_answer_at_any_time_leads_to_an_end() {
    for seed in 0..SEEDS {
        let mut dice = Dice(seed ^ 0x5eed);
        let mut world = World::new(10);
        let config = upload_config(&world, encoding(3, 10, 7));
        let len = 1 + dice.roll(9_000) as usize;
        let Ok(done) = run_upload(&mut world, config, &Body::of(plaintext(len))).result else {
            panic!("seed {seed}: nothing was wrong");
        };
        let mut peers = std::mem::take(&mut world.peers);
        for peer in peers.values_mut() {
            match dice.roll(6) {
                0 => peer.bad_blocks_from = Some(dice.roll(9)),
                1 => peer.bad_path = true,
                2 => peer.admits_damage = true,
                3 => peer.shares.clear(),
                _ => some_fault(&mut dice, &world, peer),
            }
        }
        world.peers = peers;
        match run_download(&mut world, &Reader::of(&done)).result {
            Ok(bytes) => assert_eq!(bytes, plaintext(len), "seed {seed}"),
            Err(DownloadError::TooFewShares(_)) => {}
            Err(other) => panic!("seed {seed}: {other}"),
        }
    }
}
