use super::*;
use crate::answers_ping;
use crate::clock::SystemClock;
use tokio::sync::oneshot;
use truckee_engine::restart::{Class, Policy};

const QUICK: Policy = Policy {
    restarts_max: 3,
    window: Duration::from_secs(60),
    delay_first: Duration::from_millis(1),
    delay_max: Duration::from_millis(1),
};

struct Worker {
    guard: ExitGuard,
    handled: u32,
    stops: bool,
}

impl Actor for Worker {
    type Context = Context<Self>;
}

answers_ping!(Worker);

impl Handler<Stop> for Worker {
    type Result = ();

    fn handle(&mut self, _: Stop, context: &mut Self::Context) {
        if self.stops {
            context.stop();
        }
    }
}

#[derive(Message)]
#[rtype(result = "(u64, u32)")]
enum Order {
    Work,
    Panic,
    Fail,
}

impl Handler<Order> for Worker {
    type Result = MessageResult<Order>;

    fn handle(&mut self, order: Order, context: &mut Self::Context) -> Self::Result {
        match order {
            Order::Work => self.handled += 1,
            Order::Panic => panic!("on purpose"),
            Order::Fail => {
                self.guard.fail();
                context.stop();
            }
        }
        MessageResult((self.guard.generation(), self.handled))
    }
}

/// Hears what the supervisor reports.
#[derive(Default)]
struct Ear(Vec<String>, Option<oneshot::Sender<Vec<String>>>);

impl Ear {
    fn hear(&mut self, what: String) {
        self.0.push(what);
        if let Some(done) = self.1.take() {
            done.send(self.0.clone()).expect("the test listens");
        }
    }
}

impl Actor for Ear {
    type Context = Context<Self>;
}

impl Handler<Escalated> for Ear {
    type Result = ();

    fn handle(&mut self, escalated: Escalated, _: &mut Self::Context) {
        self.hear(format!(
            "{} escalated {} {}",
            escalated.child,
            escalated.reason.name(),
            escalated.exits
        ));
    }
}

impl Handler<Ended> for Ear {
    type Result = ();

    fn handle(&mut self, ended: Ended, _: &mut Self::Context) {
        self.hear(format!("{} ended {}", ended.child, ended.reason.name()));
    }
}

struct Family {
    supervisor: Addr<Supervisor>,
    slot: Slot<Worker>,
    heard: oneshot::Receiver<Vec<String>>,
    _ear: Addr<Ear>,
}

fn worker(name: &str, class: Class, slot: &Slot<Worker>, stops: bool) -> StartChild {
    StartChild(ChildSpec::new(
        ChildId::named("worker", name),
        (class, QUICK),
        Duration::from_millis(20),
        slot,
        move |guard| Worker {
            guard,
            handled: 0,
            stops,
        },
    ))
}

async fn family(class: Class) -> Family {
    let (sender, heard) = oneshot::channel();
    let ear = Ear(Vec::new(), Some(sender)).start();
    let parent = Slot::new();
    parent.fill(&ear);
    let supervisor = Supervisor::new(SystemClock::handle(), parent, Health::new()).start();
    let slot = Slot::new();
    supervisor
        .send(worker("a", class, &slot, true))
        .await
        .expect("alive");
    Family {
        supervisor,
        slot,
        heard,
        _ear: ear,
    }
}

async fn alive(slot: &Slot<Worker>) -> Addr<Worker> {
    loop {
        if let Some(address) = slot.get() {
            return address;
        }
        tokio::task::yield_now().await;
    }
}

#[actix::test]
async fn a_panic_is_followed_by_a_fresh_generation() {
    let family = family(Class::Permanent).await;
    let first = alive(&family.slot).await;
    assert_eq!(first.send(Order::Work).await.expect("alive"), (1, 1));
    assert!(first.send(Order::Panic).await.is_err());
    let second = alive(&family.slot).await;
    assert_eq!(
        second.send(Order::Work).await.expect("alive"),
        (2, 1),
        "fresh state"
    );
}

#[actix::test]
async fn too_many_ends_escalate() {
    let family = family(Class::Transient).await;
    for _ in 0..3 {
        let child = alive(&family.slot).await;
        child.send(Order::Fail).await.expect("answers before it ends");
        while child.connected() {
            tokio::task::yield_now().await;
        }
    }
    assert!(alive(&family.slot).await.send(Order::Panic).await.is_err());
    assert_eq!(
        family.heard.await.expect("reported"),
        ["worker a escalated panicked 4"]
    );
    assert!(family.slot.get().is_none());
}

#[actix::test]
async fn a_temporary_child_is_not_started_again() {
    let family = family(Class::Temporary).await;
    assert!(alive(&family.slot).await.send(Order::Panic).await.is_err());
    assert_eq!(family.heard.await.expect("reported"), ["worker a ended panicked"]);
    assert!(family.slot.get().is_none());
}

#[actix::test]
async fn a_factory_that_panics_counts_as_a_panic_of_the_child() {
    let family = family(Class::Temporary).await;
    let spec = ChildSpec::new(
        ChildId::only("broken"),
        (Class::Temporary, QUICK),
        Duration::from_millis(20),
        &family.slot,
        |_guard| -> Worker { panic!("on purpose") },
    );
    family
        .supervisor
        .send(StartChild(spec))
        .await
        .expect("the supervisor survives");
    assert_eq!(family.heard.await.expect("reported"), ["broken ended panicked"]);
}

#[actix::test]
async fn stopping_asks_the_youngest_first_and_names_those_who_stay() {
    let family = family(Class::Permanent).await;
    let stubborn = Slot::new();
    family
        .supervisor
        .send(worker("b", Class::Permanent, &stubborn, false))
        .await
        .expect("alive");
    let overdue = stop_all(&family.supervisor).await;
    assert_eq!(overdue, [ChildId::named("worker", "b")]);
    while family.slot.get().is_some() || stubborn.get().is_some() {
        tokio::task::yield_now().await;
    }
}

#[actix::test]
async fn killing_ends_all_children_at_once() {
    let family = family(Class::Permanent).await;
    let stubborn = Slot::new();
    family
        .supervisor
        .send(worker("b", Class::Permanent, &stubborn, false))
        .await
        .expect("alive");
    // A timer would keep an actor alive whose addresses are gone.
    family.slot.tell(SetTimer).expect("alive");
    family.supervisor.send(KillAll).await.expect("alive");
    while family.slot.get().is_some() || stubborn.get().is_some() || family.supervisor.connected() {
        tokio::task::yield_now().await;
    }
}

#[derive(Message)]
#[rtype(result = "()")]
struct SetTimer;

impl Handler<SetTimer> for Worker {
    type Result = ();

    fn handle(&mut self, _: SetTimer, context: &mut Self::Context) {
        context.run_later(Duration::from_secs(3600), |_, _| ());
    }
}

#[actix::test]
async fn children_that_are_stopped_all_at_once_share_the_time() {
    let supervisor = Supervisor::new(SystemClock::handle(), (), Health::new())
        .stopping(StopOrder::AllAtOnce)
        .start();
    let (willing, stubborn) = (Slot::new(), Slot::new());
    supervisor
        .send(worker("willing", Class::Permanent, &willing, true))
        .await
        .expect("alive");
    supervisor
        .send(worker("stubborn", Class::Permanent, &stubborn, false))
        .await
        .expect("alive");
    assert_eq!(
        stop_all(&supervisor).await,
        [ChildId::named("worker", "stubborn")]
    );
}

#[actix::test]
async fn health_names_a_child_that_handles_nothing() {
    tokio::time::pause();
    let health = Health::new();
    let supervisor = Supervisor::new(SystemClock::handle(), (), health.clone()).start();
    let slot = Slot::new();
    supervisor
        .send(worker("a", Class::Permanent, &slot, true))
        .await
        .expect("alive");
    tokio::time::sleep(HEALTH_CHECK_EVERY * 2).await;
    assert_eq!(health.unresponsive(), Some(Vec::new()));
    #[derive(Message)]
    #[rtype(result = "()")]
    struct Hang;
    impl Handler<Hang> for Worker {
        type Result = ();
        fn handle(&mut self, _: Hang, context: &mut Self::Context) {
            context.wait(actix::fut::wrap_future(std::future::pending()));
        }
    }
    slot.tell(Hang).expect("alive");
    tokio::time::sleep(HEALTH_CHECK_EVERY * 3).await;
    assert_eq!(health.unresponsive(), Some(vec![ChildId::named("worker", "a")]));
}
