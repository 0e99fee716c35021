//! A directory tree of layouts: a layout's path in it is the repository's name.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use super::{
    super::{MissingContent, SourceError},
    catalog::Catalog,
    error::LayoutError,
    kept::KeptFiles,
    marker::{self, is_layout},
    refreshed::{Age, Refreshed, on_blocking_thread},
    snapshot::{Layout, WhenGone},
    view::View,
};
use crate::name::RepositoryName;

/// How many layouts are known before the first look for those that nobody needs.
const FEW: usize = 64;

pub(super) struct Tree {
    root: PathBuf,
    kept: Arc<KeptFiles>,
    known: Mutex<Known>,
    catalog: Refreshed<Catalog>,
}

/// Layouts that were asked for and are there. A name that leads to nothing never gets in here.
struct Known {
    layouts: HashMap<RepositoryName, Arc<Layout>>,
    /// How many there may be before those are dropped that nobody needs.
    room: usize,
}

impl Tree {
    /// Opens every layout below `root`. Blocks.
    pub(super) fn open(root: PathBuf) -> Result<Self, LayoutError> {
        let looked = Instant::now();
        let catalog =
            Catalog::of(&root, None).map_err(|error| LayoutError::unreadable(&root, error))?;
        let kept = Arc::new(KeptFiles::default());
        let mut layouts = HashMap::new();
        for name in &catalog.names {
            let layout = Layout::open(&root.join(name.as_str()), WhenGone::Forget, &kept)?;
            layouts.insert(name.clone(), Arc::new(layout));
        }
        let room = FEW.max(2 * layouts.len());
        let catalog = Refreshed::made(catalog, looked, Catalog::next(root.clone()));
        Ok(Self {
            root,
            kept,
            known: Mutex::new(Known { layouts, room }),
            catalog,
        })
    }

    /// The repositories as they were at most a second ago.
    pub(super) async fn catalog(&self) -> Result<Arc<Catalog>, SourceError> {
        let catalog = self.catalog.get(Age::of_snapshot).await?;
        match &catalog.failure {
            Some(failure) => Err(SourceError::backend(failure.as_str())),
            None => Ok(catalog),
        }
    }

    pub(super) async fn view(
        self: &Arc<Self>,
        name: &RepositoryName,
    ) -> Result<Arc<View>, SourceError> {
        let missing = SourceError::NotFound(MissingContent::Repository);
        let Some(layout) = self.layout(name).await? else {
            return Err(missing);
        };
        let snapshot = layout.snapshot().await?;
        if snapshot.gone {
            self.forget(name, &layout);
            return Err(missing);
        }
        snapshot.view()
    }

    async fn layout(
        self: &Arc<Self>,
        name: &RepositoryName,
    ) -> Result<Option<Arc<Layout>>, SourceError> {
        let known = self.lock().layouts.get(name).cloned();
        if known.is_some() {
            return Ok(known);
        }
        let (this, name) = (self.clone(), name.clone());
        let found = on_blocking_thread(move || this.find(name)).await?;
        found.map_err(SourceError::backend)
    }

    /// Looks for a layout that was not asked for before. Blocks.
    fn find(&self, name: RepositoryName) -> Result<Option<Arc<Layout>>, LayoutError> {
        let path = self.root.join(name.as_str());
        let unreadable = |error| LayoutError::unreadable(&path, error);
        if !is_repository(&self.root, &name).map_err(unreadable)? {
            // Where the whole tree is not there (not mounted, perhaps), nothing is known of what
            // is in it.
            fs::metadata(&self.root).map_err(|error| LayoutError::unreadable(&self.root, error))?;
            return Ok(None);
        }
        if self.lock().is_full() {
            self.make_room();
        }
        let layout = || Arc::new(Layout::unread(&path, WhenGone::Forget, &self.kept));
        let mut known = self.lock();
        Ok(Some(
            known.layouts.entry(name).or_insert_with(layout).clone(),
        ))
    }

    fn forget(&self, name: &RepositoryName, layout: &Arc<Layout>) {
        let mut known = self.lock();
        let known_layout = known.layouts.get(name);
        if known_layout.is_some_and(|known| Arc::ptr_eq(known, layout)) {
            known.layouts.remove(name);
        }
    }

    /// Drops layouts that nobody asked for since they went, and all but one of those that are the same
    /// under several names: links that lead back up give them any number. Blocks.
    fn make_room(&self) {
        let names: Vec<RepositoryName> = self.lock().layouts.keys().cloned().collect();
        let mut places = HashSet::new();
        let is_needless = |name: &RepositoryName| {
            let path = self.root.join(name.as_str());
            // One whose `index.json` is missing for now is served as it was last.
            marker::is_gone(&path)
                || fs::canonicalize(&path).is_ok_and(|place| !places.insert(place))
        };
        let needless: Vec<RepositoryName> = names.into_iter().filter(is_needless).collect();
        let mut known = self.lock();
        for name in needless {
            known.layouts.remove(&name);
        }
        known.room = FEW.max(2 * known.layouts.len());
    }

    // A panic while the lock is held cannot happen between two changes that belong together.
    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn is_full(&self) -> bool {
        self.layouts.len() >= self.room
    }
}

/// Whether there is a layout at `name`, outside the blobs of another layout.
///
/// All that the catalog lists is one, and so is a layout under another name that leads to it
/// through symbolic links.
fn is_repository(root: &Path, name: &RepositoryName) -> io::Result<bool> {
    let mut path = root.to_owned();
    for component in name.as_str().split('/') {
        if component == "blobs" && is_layout(&path)? {
            return Ok(false);
        }
        path.push(component);
    }
    is_layout(&path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test fails by panicking
mod tests {
    use super::*;

    fn put(root: &Path, name: &str) -> RepositoryName {
        let layout = root.join(name);
        fs::create_dir(&layout).unwrap();
        fs::write(
            layout.join("oci-layout"),
            r#"{"imageLayoutVersion":"1.0.0"}"#,
        )
        .unwrap();
        fs::write(layout.join("index.json"), r#"{"manifests":[]}"#).unwrap();
        name.parse().unwrap()
    }

    #[tokio::test]
    async fn layouts_that_came_and_went_are_forgotten_though_nobody_asks_again() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let tree = Arc::new(Tree::open(root.to_owned()).unwrap());
        let stays = put(root, "stays");
        tree.view(&stays).await.unwrap();
        let known = |tree: &Tree| tree.lock().layouts.get(&stays).unwrap().clone();
        let layout = known(&tree);
        for number in 0..3 * FEW {
            let name = put(root, &format!("goes-{number}"));
            tree.view(&name).await.unwrap();
            fs::remove_dir_all(root.join(name.as_str())).unwrap();
            assert!(tree.lock().layouts.len() <= FEW, "after {number}");
        }
        assert!(Arc::ptr_eq(&layout, &known(&tree)));
    }

    #[tokio::test]
    async fn however_many_layouts_there_are_all_are_known() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let tree = Arc::new(Tree::open(root.to_owned()).unwrap());
        for number in 0..3 * FEW {
            let name = put(root, &format!("stays-{number}"));
            tree.view(&name).await.unwrap();
            assert_eq!(tree.lock().layouts.len(), number + 1);
        }
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn the_names_that_links_give_one_layout_are_not_all_kept() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        put(root, "demo");
        std::os::unix::fs::symlink(".", root.join("a")).unwrap();
        let tree = Arc::new(Tree::open(root.to_owned()).unwrap());
        for number in 0..100 {
            let name = format!("{}demo", "a/".repeat(number % 39));
            tree.view(&name.parse().unwrap()).await.unwrap();
            let mut known = tree.lock();
            known.room = known.room.min(8);
            assert!(known.layouts.len() <= 8, "after {number}");
        }
    }

    #[tokio::test]
    async fn a_layout_whose_index_is_being_replaced_is_not_forgotten() {
        let directory = tempfile::tempdir().unwrap();
        let root = directory.path();
        let tree = Arc::new(Tree::open(root.to_owned()).unwrap());
        let replaced = put(root, "replaced");
        tree.view(&replaced).await.unwrap();
        fs::remove_file(root.join("replaced/index.json")).unwrap();
        for number in 0..=FEW {
            let name = put(root, &format!("other-{number}"));
            tree.view(&name).await.unwrap();
        }
        tree.view(&replaced).await.unwrap();
    }
}
