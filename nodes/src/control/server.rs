//! The node's end of the socket.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use truckee_actors::membership::MembershipHandle;

use super::{ASK_WITHIN, Answer, Ask, LINE_BYTES_MAX, members, socket_path};
use crate::dir::{MODE_SECRET, NodeDir};
use crate::drain::Drain;
use crate::http::port::NodeView;

/// Asks served at once: one operator, and a script or two that look how things stand.
const ASKS_MAX: usize = 4;
/// After the system refused a connection, as when there are too many open files.
const ACCEPT_REST: std::time::Duration = std::time::Duration::from_millis(500);

/// What is operated.
pub(crate) struct Operated {
    pub(crate) membership: MembershipHandle,
    pub(crate) view: Arc<dyn NodeView>,
    /// Of storage nodes.
    pub(crate) drain: Option<Drain>,
}

/// The socket, until it is dropped.
pub(crate) struct Control {
    path: PathBuf,
    serving: JoinHandle<()>,
}

impl Control {
    /// Listens in the node's directory, which this process has locked. A file system without sockets is no reason not to
    /// serve the mesh: then the node goes on without, and says so.
    pub(crate) fn start(dir: &NodeDir, operated: Operated) -> Option<Control> {
        let path = dir.control_path();
        match listen(dir) {
            Ok((listener, open)) => {
                let serving = actix_rt::spawn(serve(listener, open, Rc::new(operated)));
                Some(Control { path, serving })
            }
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "the node cannot listen to its operator and goes on without");
                None
            }
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.serving.abort();
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::debug!(%error, "the control socket stays behind; the next start replaces it");
        }
    }
}

fn listen(dir: &NodeDir) -> io::Result<(UnixListener, Option<File>)> {
    let (path, open) = socket_path(dir.path())?;
    // Left over by a process that was killed.
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, Permissions::from_mode(MODE_SECRET))?;
    Ok((listener, open))
}

async fn serve(listener: UnixListener, _open: Option<File>, operated: Rc<Operated>) {
    let places = Arc::new(Semaphore::new(ASKS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let operated = Rc::clone(&operated);
                actix_rt::spawn(async move {
                    let _place = place;
                    serve_one(stream, &operated).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "an operator cannot be heard");
                tokio::time::sleep(ACCEPT_REST).await;
            }
        }
    }
}

async fn serve_one(stream: UnixStream, operated: &Operated) {
    let served = async {
        let (read, mut write) = stream_of_owner(stream)?.into_split();
        let mut line = String::new();
        BufReader::new(read.take(LINE_BYTES_MAX))
            .read_line(&mut line)
            .await?;
        let answer = match serde_json::from_str(&line) {
            Ok(ask) => answer(ask, operated).await,
            Err(error) => Answer::Refused {
                sentence: format!(
                    "this node does not know what it was asked ({error}); it may be of another version"
                ),
            },
        };
        let mut text = serde_json::to_vec(&answer)?;
        text.push(b'\n');
        write.write_all(&text).await
    };
    match timeout(ASK_WITHIN, served).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%error, "an operator was not answered"),
        Err(_) => tracing::warn!("an operator was not answered in time"),
    }
}

/// The socket's mode says the same, but only from a moment after it was made.
fn stream_of_owner(stream: UnixStream) -> io::Result<UnixStream> {
    let asker = stream.peer_cred()?.uid();
    if asker == 0 || asker == rustix::process::geteuid().as_raw() {
        Ok(stream)
    } else {
        Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("user {asker} does not own this node"),
        ))
    }
}

async fn answer(ask: Ask, operated: &Operated) -> Answer {
    let membership = &operated.membership;
    let answered = match ask {
        Ask::Member { node } => {
            let view = membership.view();
            members::find(&view, &node)
                .map(|node| Answer::Member(members::describe(&view, node, operated.view.as_ref())))
        }
        Ask::Revoke { node_id } => members::revoke(membership, &node_id)
            .await
            .map(|()| Answer::Revoked),
        Ask::Drain { on } => match drain_of(operated) {
            Ok(drain) => drain.set(on).await.map(Answer::Drain),
            Err(sentence) => Err(sentence),
        },
        Ask::DrainStatus => match drain_of(operated) {
            Ok(drain) => drain.status().await.map(Answer::Drain),
            Err(sentence) => Err(sentence),
        },
    };
    answered.unwrap_or_else(|sentence| Answer::Refused { sentence })
}

fn drain_of(operated: &Operated) -> Result<&Drain, String> {
    operated
        .drain
        .as_ref()
        .ok_or_else(|| "this node holds no shares, so that there is nothing to move away from it".to_owned())
}
