//! A store's state as an earlier run left it, brought back from its view and its journal.

use std::path::Path;
use std::sync::Arc;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use gondola_protocol::StoreId;
use tokio::sync::mpsc;

use super::clock::Clock;
use super::store::{Inbox, News};
use super::{StartError, store_settings};
use crate::catalog::Catalog;
use crate::config::StoreConfig;
use crate::controller::Controller;
use crate::journal::{Journal, JournalError, JournalOptions, Opened, Recalled};
use crate::storage::{DataDir, Pictures, Rows, Tree, View, ViewWriter};
use crate::template::Templates;

/// A store's state, and what keeps it.
pub(super) struct Recovered {
    pub(super) controller: Controller,
    pub(super) view: ViewWriter,
    pub(super) pictures: Arc<Pictures>,
    pub(super) journal: Opened,
    pub(super) inbox: Inbox,
}

/// What is the same for every store.
#[derive(Clone)]
pub(super) struct Recovery {
    pub(super) templates: Arc<Templates>,
    pub(super) clock: Clock,
    pub(super) journal: JournalOptions,
}

impl Recovery {
    /// Every store's state, in their order; as many are read at once as there are processors.
    pub(super) async fn of_all(self, stores: &[StoreConfig], data_dir: &DataDir) -> Result<Vec<Recovered>, StartError> {
        let at_once = std::thread::available_parallelism().map_or(1, usize::from);
        let recovered = stores.iter().map(|store| {
            let (recovery, store, dir) = (self.clone(), store.clone(), data_dir.store_dir(&store.id));
            async move {
                let read = tokio::task::spawn_blocking(move || recovery.of(&store, &dir));
                read.await.expect("reading a store's state does not panic")
            }
        });
        stream::iter(recovered).buffered(at_once).try_collect().await
    }

    /// Brings a store's state back: from the view what other systems can tell again, then from the journal what only
    /// it knows. A view that goes further than the journal, as after a restored backup, is made anew.
    fn of(&self, config: &StoreConfig, dir: &Path) -> Result<Recovered, StartError> {
        let (id, inbox) = (&config.id, Inbox::default());
        let journal_failed = |source| StartError::Journal { store: id.clone(), source };
        let refused = |source| StartError::View { store: id.clone(), source };
        let settings = store_settings(config)?;
        let empty = || Controller::new(settings.clone(), Arc::clone(&self.templates), self.clock.now());
        let (mut view, opened) = View::open(dir).map_err(refused)?;
        let mut controller = empty();
        restore(&opened.rows, id, controller.catalog_mut());
        drop(opened.rows);
        view.rest();
        let replay = &mut |it: Recalled| controller.replay(it.position.map(|it| it.sequence), it.at, &it.entry);
        let news = journal_news(inbox.news.clone());
        let journal = Journal::open(dir, id, self.journal.clone(), replay, news).map_err(journal_failed)?;
        if opened.journal_sequence.is_some_and(|sequence| sequence > journal.head.sequence) {
            (view, _) = view.replace("it goes further than the journal").map_err(refused)?;
            controller = empty();
            let replay = &mut |it: Recalled| controller.replay(it.position.map(|it| it.sequence), it.at, &it.entry);
            journal.journal.reader().recall(replay).map_err(journal_failed)?;
        }
        let pictures = Arc::new(Pictures::new(&view));
        let news = inbox.news.clone();
        let stored = move |number| {
            // The store has ended.
            let _ = news.blocking_send(News::Stored(number));
        };
        let view = ViewWriter::spawn(view, stored).map_err(|source| StartError::Thread { what: "the view", source })?;
        Ok(Recovered { controller, view, pictures, journal, inbox })
    }
}

/// Takes the view's values back. One that cannot be read is told of and left out.
fn restore(rows: &Rows, store: &StoreId, catalog: &mut Catalog) {
    for tree in [Tree::Products, Tree::Promotions, Tree::Held, Tree::Meta] {
        for (key, value) in rows.of(tree) {
            if let Err(error) = catalog.restore(tree, key, value) {
                let key = String::from_utf8_lossy(key).into_owned();
                tracing::warn!(%store, %error, key, "a row of the view cannot be read; its source must send it again");
            }
        }
    }
}

pub(crate) fn journal_news(
    news: mpsc::Sender<News>,
) -> impl FnMut(Result<crate::journal::Synced, JournalError>) + Send + 'static {
    move |synced| {
        let told = match synced {
            Ok(synced) => News::Synced(synced),
            Err(error) => News::JournalFailed(error),
        };
        // The store has ended.
        let _ = news.blocking_send(told);
    }
}
