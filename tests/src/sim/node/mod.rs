//! A node of the simulation: the pure machines of a real node, put together as the actors put them together.
//!
//! What one machine gives out is carried to the next until nothing is left ([`Node::settle`]); only then does the event
//! loop go on, so that no machine ever sees another one half-way. The node's checks are about the seams: each call has one
//! end, each request one answer, nothing is left when all is quiet.

mod downloads;
mod drive;
mod links;
mod members;
mod peer;
mod repairs;
mod socket;
mod store;
mod types;
mod uploads;
mod vdrive;

use std::collections::BTreeSet;

use truckee_engine::session::CallError;
use truckee_engine::time::Mono;
use truckee_grid::ids::{NodeId, StorageIndex};
use truckee_grid::placement::{Candidate, ring_order};
use truckee_wire::message::{Failure, FailureCode, Lane, Request, RequestKind, Response, Role};

pub use self::downloads::DownloadOrder;
pub use self::repairs::RepairOrder;
pub use self::types::{CallResult, Caller, Decoded, Job, Rebuilt, ReplyTo, Write};
pub use self::uploads::{Misbehaviour, UploadOrder};

use self::downloads::Downloads;
use self::drive::Desk;
use self::links::Links;
use self::members::Members;
use self::peer::Call;
use self::repairs::Repairs;
use self::socket::LinkEvent;
use self::store::Keeper;
use self::types::{Errand, OWN_LINK};
use self::uploads::Uploads;
use self::vdrive::Vdrive;
use super::disk::Disk;
use super::identity::Identity;
use super::model::OrderId;
use super::network::{ConnId, Side};
use super::rng::Rng;
use super::world::Ctx;

/// See the module.
#[derive(Debug)]
pub struct Node {
    me: Identity,
    links: Links,
    members: Members,
    keeper: Option<Keeper>,
    uploads: Uploads,
    downloads: Downloads,
    repairs: Repairs,
    /// Of a gateway.
    desk: Option<Box<Desk>>,
    vdrive: Option<Vdrive>,
    errands: Vec<Errand>,
    answers: Vec<(ReplyTo, Result<Response, Failure>)>,
    own_calls: BTreeSet<Caller>,
    notices: u64,
}

impl Node {
    /// A node as it is before it does anything: all that it knows is on its disk.
    pub fn new(me: &Identity, ctx: &mut Ctx<'_>) -> Self {
        let rng = Rng::new(ctx.rng.bits());
        Self {
            me: me.clone(),
            links: Links::new(me.node_id, rng.fork("links")),
            members: Members::new(me, ctx, &mut rng.fork("members")),
            keeper: me.roles.contains(Role::Storage).then(|| Keeper::new(ctx)),
            uploads: Uploads::default(),
            downloads: Downloads::default(),
            repairs: Repairs::default(),
            desk: me.roles.contains(Role::Gateway).then(|| Box::new(Desk::new(ctx))),
            vdrive: me.roles.contains(Role::Vdrive).then(Vdrive::default),
            errands: Vec::new(),
            answers: Vec::new(),
            own_calls: BTreeSet::new(),
            notices: 0,
        }
    }

    /// Somebody has dialled this node and has shown that it is `peer`.
    pub fn accepted(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, peer: NodeId) {
        let hello = self.members.hello();
        self.links.opened(ctx, conn, peer, Side::Acceptor, &hello);
    }

    /// A dial has reached a node that has shown that it is `peer`.
    pub fn dialled(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, peer: NodeId) {
        match self.links.dialled_peer(conn) {
            Some(wanted) if wanted == peer => {
                let hello = self.members.hello();
                self.links.opened(ctx, conn, peer, Side::Dialler, &hello);
            }
            wanted => {
                wanted
                    .into_iter()
                    .for_each(|wanted| self.links.dial_failed(ctx.now, wanted));
                ctx.network.close(ctx.at(), conn, Side::Dialler);
            }
        }
    }

    /// A dial came to nothing.
    pub fn dial_failed(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) {
        if let Some(peer) = self.links.dialled_peer(conn) {
            self.links.dial_failed(ctx.now, peer);
        }
    }

    /// Bytes have come.
    pub fn bytes(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, bytes: &[u8]) {
        self.links.bytes(ctx, conn, bytes);
    }

    /// A connection takes bytes again.
    pub fn writable(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) {
        self.links.pump(ctx, conn);
    }

    /// A connection is gone.
    pub fn broken(&mut self, ctx: &mut Ctx<'_>, conn: ConnId) {
        self.links.broken(ctx, conn);
    }

    /// Something that was waited for is done.
    pub fn job_done(&mut self, ctx: &mut Ctx<'_>, job: Job) {
        let errands = &mut self.errands;
        match job {
            Job::Body(id) => self.uploads.body(ctx, id, errands),
            Job::Encoded(id, segment, coded) => self.uploads.encoded(ctx, id, (segment, coded), errands),
            Job::Read(id) => self.downloads.read(ctx, id, errands),
            Job::Decoded(id, segment, decoded) => {
                self.downloads.decoded(ctx, id, (segment, decoded), errands);
            }
            Job::Rebuilt(id, job, rebuilt) => self.repairs.rebuilt(ctx, id, (job, rebuilt), errands),
            Job::Granted(id) => self.repairs.granted(ctx, id, errands),
            Job::Disk(token) => {
                if let Some(keeper) = &mut self.keeper {
                    keeper.disk_done(ctx, token);
                }
            }
            Job::Roster => self.members.write_roster(ctx),
            Job::Worked(job, worked) => {
                if let Some(desk) = &mut self.desk {
                    desk.worked(ctx, (job, *worked), errands);
                }
            }
            Job::Database(ticket) => {
                if let Some(vdrive) = &mut self.vdrive {
                    vdrive.database(ctx, ticket, &mut self.answers);
                }
            }
        }
    }

    /// The earliest deadline of a machine has come.
    pub fn wake(&mut self, ctx: &mut Ctx<'_>) {
        self.links.wake(ctx);
        self.members.wake(ctx);
        if let Some(keeper) = &mut self.keeper {
            keeper.wake(ctx);
        }
        self.uploads.wake(ctx, &mut self.errands);
        self.downloads.wake(ctx, &mut self.errands);
        self.repairs.wake(ctx, &mut self.errands);
        self.learn_vdrives(ctx);
        if let Some(desk) = &mut self.desk {
            desk.wake(ctx, &mut self.errands);
        }
    }

    /// When to call [`Node::wake`].
    pub fn next_deadline(&self, now: Mono) -> Option<Mono> {
        let keeper = self.keeper.as_ref().and_then(Keeper::next_deadline);
        let desk = self.desk.as_ref().and_then(|desk| desk.next_deadline());
        let transfers = [
            self.uploads.next_deadline(),
            self.downloads.next_deadline(),
            self.repairs.next_deadline(),
            desk,
        ];
        [
            self.links.next_deadline(),
            Some(self.members.next_deadline(now)),
            keeper,
        ]
        .into_iter()
        .chain(transfers)
        .flatten()
        .min()
    }

    /// A client wants a file stored.
    pub fn upload(&mut self, ctx: &mut Ctx<'_>, order: UploadOrder) {
        let candidates = self.candidates(ctx, order.key.storage_index());
        self.uploads.start(ctx, order, candidates, &mut self.errands);
    }

    /// A client wants to read a file.
    pub fn download(&mut self, ctx: &mut Ctx<'_>, order: DownloadOrder) {
        let candidates = self.candidates(ctx, order.file.cap.storage_index());
        self.downloads.start(ctx, order, candidates, &mut self.errands);
    }

    /// A client wants something of a directory.
    pub fn drive(&mut self, ctx: &mut Ctx<'_>, id: OrderId) {
        self.learn_vdrives(ctx);
        if let Some(desk) = &mut self.desk {
            desk.start(ctx, id, &mut self.errands);
        }
    }

    fn learn_vdrives(&mut self, ctx: &Ctx<'_>) {
        if let Some(desk) = &mut self.desk {
            let vdrives = self.members.with_role(Role::Vdrive, ctx.unix);
            desk.vdrives(vdrives.into_iter().map(|(node, _)| node).collect());
        }
    }

    /// Carries what the machines give out to where it belongs, until nothing is left.
    pub fn settle(&mut self, ctx: &mut Ctx<'_>) {
        loop {
            if let Some(event) = self.links.poll_event() {
                self.link_event(ctx, event);
            } else if !self.errands.is_empty() {
                for errand in std::mem::take(&mut self.errands) {
                    self.run_errand(ctx, errand);
                }
            } else if let Some((reply, result)) = self.next_answer(ctx) {
                self.reply(ctx, reply, result);
            } else if !self.members.drain(ctx, &mut self.links, &mut self.errands) {
                return;
            }
        }
    }

    /// What must be true after every step.
    pub fn check(&self, ctx: &mut Ctx<'_>) {
        if let Some(keeper) = &self.keeper {
            keeper.check(ctx);
        }
        let vdrives = ctx
            .book
            .all()
            .iter()
            .filter(|node| node.roles.contains(Role::Vdrive));
        let tainted = || {
            vdrives
                .clone()
                .any(|node| ctx.network.is_tainted(ctx.host, node.host))
        };
        let tainted = self.desk.is_some() && tainted();
        for what in ctx.drive.judge(tainted) {
            ctx.violation(what);
        }
    }

    /// Is this peer a member to us, and is there one link to it?
    ///
    /// # Errors
    /// Says what is missing.
    pub fn sees(&self, peer: &Identity) -> Result<(), String> {
        if !self.members.knows(&peer.node_id) {
            return Err("not in the roster".into());
        }
        if !self.links.is_up(&peer.node_id) {
            return Err("no link".into());
        }
        match self.links.connections_to(&peer.node_id) {
            1 => Ok(()),
            count => Err(format!("{count} connections")),
        }
    }

    /// Is nothing under way?
    ///
    /// # Errors
    /// Says what is.
    pub fn idle(&self, disk: &Disk) -> Result<(), String> {
        let (calls, serving) = self.links.pending();
        let (uploads, downloads) = (self.uploads.count(), self.downloads.count());
        let repairs = self.repairs.count();
        let asked = self.vdrive.as_ref().map_or(0, Vdrive::count);
        if asked > 0 || !self.desk.as_ref().is_none_or(|desk| desk.is_idle()) {
            return Err(format!(
                "directories are at work, {asked} requests at the database"
            ));
        }
        // Gossip never ends: a call or two of it may be under way at any time.
        if uploads + downloads + repairs + self.own_calls.len() > 0 || calls > 2 || serving > 8 {
            return Err(format!(
                "{uploads} uploads, {downloads} downloads, {repairs} repairs, {calls} calls, {serving} requests, own {:?}",
                self.own_calls
            ));
        }
        self.keeper.as_ref().map_or(Ok(()), |keeper| keeper.idle(disk))
    }

    /// What the machine of an order believes, for people.
    pub fn state_of(&self, id: OrderId) -> String {
        let state = self.uploads.state_of(id).or_else(|| self.downloads.state_of(id));
        let state = state.or_else(|| self.repairs.state_of(id));
        state.unwrap_or_else(|| "the node knows nothing of it".into())
    }

    /// Writes that are under way while the node stops.
    pub fn into_writes(self) -> Vec<Write> {
        let changes = self
            .vdrive
            .into_iter()
            .flat_map(Vdrive::into_changes)
            .map(Box::new);
        let roster = self.members.into_roster().map(Write::Roster);
        let shares = self
            .keeper
            .into_iter()
            .flat_map(Keeper::into_writes)
            .map(Write::Share);
        roster
            .into_iter()
            .chain(shares)
            .chain(changes.map(Write::Directory))
            .collect()
    }

    fn candidates(&self, ctx: &Ctx<'_>, si: StorageIndex) -> Vec<NodeId> {
        let stores = self.members.with_role(Role::Storage, ctx.unix);
        let candidates: Vec<Candidate> = stores
            .into_iter()
            .map(|(id, zone)| Candidate { id, zone })
            .collect();
        ring_order(&si, &candidates)
    }

    fn next_answer(&mut self, ctx: &mut Ctx<'_>) -> Option<(ReplyTo, Result<Response, Failure>)> {
        if self.answers.is_empty()
            && let Some(keeper) = &mut self.keeper
        {
            keeper.drain(ctx, &mut self.answers);
            self.answers.reverse();
        }
        self.answers.pop()
    }

    fn link_event(&mut self, ctx: &mut Ctx<'_>, event: LinkEvent) {
        match event {
            LinkEvent::Hello { conn, peer, hello } => {
                if self.members.admits(ctx, peer, hello.grant.as_ref()) {
                    self.links.admit(ctx, conn, hello.session);
                } else {
                    self.links.refuse(ctx, conn);
                }
            }
            LinkEvent::Request {
                conn,
                id,
                peer,
                link,
                request,
                deadline,
            } => {
                self.serve(ctx, ReplyTo::Link(link, conn, id), peer, *request, deadline);
            }
            LinkEvent::Cancelled { conn, id } => ctx.line("request cancelled", [conn.0, id.0]),
            LinkEvent::Answer { caller, result } => self.call_ended(ctx, caller, *result),
            LinkEvent::Up { peer } => self.members.link(ctx, peer, true),
            LinkEvent::Down { peer, link } => {
                if let Some(keeper) = &mut self.keeper {
                    keeper.link_lost(link);
                }
                self.members.link(ctx, peer, false);
            }
        }
    }

    fn run_errand(&mut self, ctx: &mut Ctx<'_>, errand: Errand) {
        match errand {
            Errand::Call {
                caller,
                peer,
                request,
                budget,
                ..
            } if peer == self.me.node_id => {
                self.own_calls.insert(caller);
                let deadline = ctx.now + budget;
                self.serve(ctx, ReplyTo::Own(caller), peer, *request, deadline);
            }
            Errand::Call {
                caller,
                peer,
                request,
                lane,
                budget,
            } => {
                self.links.call(
                    ctx,
                    peer,
                    Call {
                        caller,
                        request: *request,
                        lane,
                        budget,
                    },
                );
            }
            Errand::Cancel(caller) => {
                if !self.own_calls.remove(&caller) {
                    self.links.cancel(ctx, caller);
                }
            }
            Errand::Notify {
                peer,
                request,
                budget,
            } => {
                self.notices += 1;
                let caller = Caller::Nobody(self.notices);
                self.errands.push(Errand::Call {
                    caller,
                    peer,
                    request,
                    lane: Lane::Control,
                    budget,
                });
            }
        }
    }

    /// A request of `peer` is to be served.
    fn serve(&mut self, ctx: &mut Ctx<'_>, reply: ReplyTo, peer: NodeId, request: Request, deadline: Mono) {
        if let Err(failure) = self.members.authorises(ctx, peer, request.kind()) {
            return self.reply(ctx, reply, Err(failure));
        }
        let asker = ctx.book.host_of(&peer).filter(|host| *host != ctx.host);
        match request.kind() {
            RequestKind::Join | RequestKind::SyncRoster | RequestKind::PushRoster => {
                let result = self.members.serve(ctx, peer, request);
                self.reply(ctx, reply, result);
            }
            RequestKind::GetRows | RequestKind::CommitChange => match &mut self.vdrive {
                Some(vdrive) => vdrive.serve(ctx, reply, deadline, request, &mut self.answers),
                None => {
                    let failure = Failure::new(FailureCode::RefusedRole, "this node keeps no directories");
                    self.reply(ctx, reply, Err(failure));
                }
            },
            _ => match &mut self.keeper {
                Some(keeper) => keeper.serve(ctx, reply, asker, deadline, request),
                None => {
                    let failure = Failure::new(FailureCode::RefusedRole, "this node keeps no shares");
                    self.reply(ctx, reply, Err(failure));
                }
            },
        }
    }

    fn reply(&mut self, ctx: &mut Ctx<'_>, reply: ReplyTo, result: Result<Response, Failure>) {
        match reply {
            ReplyTo::Link(_, conn, id) => self.links.respond(ctx, conn, id, result),
            ReplyTo::Own(caller) => {
                if self.own_calls.remove(&caller) {
                    self.call_ended(ctx, caller, result.map_err(CallError::Refused));
                }
            }
        }
    }

    fn call_ended(&mut self, ctx: &mut Ctx<'_>, caller: Caller, result: CallResult) {
        match caller {
            Caller::Upload(id, token) => self.uploads.answered(ctx, (id, token), result, &mut self.errands),
            Caller::Download(id, token) => {
                self.downloads
                    .answered(ctx, (id, token), result, &mut self.errands);
            }
            Caller::Repair(id, token) => self.repairs.answered(ctx, (id, token), result, &mut self.errands),
            Caller::Drive(token) => {
                if let Some(desk) = &mut self.desk {
                    desk.answered(ctx, token, result, &mut self.errands);
                }
            }
            Caller::Members(token) => self.members.answered(ctx, token, result),
            Caller::Nobody(_) => {}
        }
    }
}
