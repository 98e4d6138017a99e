//! The threads that make pictures: one renderer with its caches per thread, because a font face is bound
//! to the thread that opened it. They let every other thread go first: base stations and people wait for answers.

use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use gondola_drivers::priority;
use gondola_protocol::Planes;
use tokio::sync::oneshot;

use crate::render::{RenderError, Rendered, Renderer};
use crate::template::Scene;

/// Pictures that wait for a thread: what two hundred stores have made at once, and some for people who look.
const WAITING_MAX: usize = 16_384;

type Job = (Scene, Box<dyn FnOnce(Rendered) + Send>);

/// Hands scenes to the render threads. The threads end when the last handle is gone.
#[derive(Debug, Clone)]
pub struct Studio {
    jobs: mpsc::SyncSender<Job>,
}

/// There is no room in line; the picture is not made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{WAITING_MAX} pictures wait to be made already")]
pub struct StudioFull;

impl Studio {
    /// Starts `threads` render threads.
    ///
    /// # Errors
    /// The fonts do not open, or the system gives no thread.
    pub fn start(threads: usize) -> Result<Self, RenderError> {
        // Opened once here, so that a broken font is an error at start and not in a thread.
        Renderer::new()?;
        let (jobs, waiting) = mpsc::sync_channel::<Job>(WAITING_MAX);
        let waiting = Arc::new(Mutex::new(waiting));
        for number in 0..threads.max(1) {
            let waiting = Arc::clone(&waiting);
            let builder = thread::Builder::new().name(format!("render-{number}"));
            builder.spawn(move || work(&waiting)).expect("the system gives a thread at start");
        }
        Ok(Self { jobs })
    }

    /// Makes a picture, and hands it to `done` on the thread that made it.
    ///
    /// # Errors
    /// [`StudioFull`]: `done` is not called.
    pub fn order(&self, scene: Scene, done: impl FnOnce(Rendered) + Send + 'static) -> Result<(), StudioFull> {
        self.jobs.try_send((scene, Box::new(done))).map_err(|_| StudioFull)
    }

    /// Makes a picture and waits for it.
    ///
    /// # Errors
    /// [`StudioFull`].
    pub async fn picture(&self, scene: Scene) -> Result<Planes, StudioFull> {
        let (done, picture) = oneshot::channel();
        self.order(scene, move |rendered| {
            // Whoever asked may have gone away meanwhile.
            let _ = done.send(rendered.planes);
        })?;
        picture.await.map_err(|_| StudioFull)
    }
}

fn work(waiting: &Mutex<mpsc::Receiver<Job>>) {
    priority::yield_to_others();
    let mut renderer = Renderer::new().expect("the fonts opened when the threads were started");
    loop {
        let job = waiting.lock().map(|waiting| waiting.recv());
        let Ok(Ok((scene, done))) = job else { return };
        done(renderer.render(&scene));
    }
}
