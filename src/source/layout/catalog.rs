//! All the layouts in a directory tree.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{directory::is_absent, error::LayoutError, faults::Faults, marker::is_layout};
use crate::{name::RepositoryName, text::with_causes, trace};

/// The layouts that one look at the whole tree found.
#[derive(Default)]
pub(super) struct Catalog {
    pub(super) names: BTreeSet<RepositoryName>,
    /// Why the root could not be read.
    pub(super) failure: Option<String>,
    faults: Faults,
}

/// A directory that is to be looked at.
struct Directory {
    path: PathBuf,
    /// The path below the root.
    name: String,
    /// The path without symbolic links.
    real: PathBuf,
}

/// A look at a tree.
///
/// Each entry of each directory is looked at once, however the directories link to each other.
/// What a directory holds is listed under its own path in the tree, which is why links are kept
/// for later, and under that of a link only if it is not in the tree itself.
#[derive(Default)]
struct Looking {
    catalog: Catalog,
    directories: Vec<Directory>,
    /// Symbolic links, with their paths below the root.
    links: BTreeMap<PathBuf, String>,
    /// The real paths of the directories whose entries were looked at.
    listed: HashSet<PathBuf>,
}

impl Catalog {
    /// How the next catalog is made from the one before.
    pub(super) fn next(
        root: PathBuf,
    ) -> impl Fn(Option<Arc<Self>>) -> Arc<Self> + Send + Sync + 'static {
        move |before| {
            let before = before.as_deref();
            Arc::new(Self::of(&root, before).unwrap_or_else(|error| {
                let failure = with_causes(&LayoutError::unreadable(&root, error));
                if before.and_then(|before| before.failure.as_ref()) != Some(&failure) {
                    trace::layout_failed(&failure);
                }
                Self {
                    failure: Some(failure),
                    ..Self::default()
                }
            }))
        }
    }

    /// Looks at the whole tree. Blocks.
    pub(super) fn of(root: &Path, before: Option<&Self>) -> io::Result<Self> {
        let mut looking = Looking::default();
        looking.visit(&Directory {
            path: root.to_owned(),
            name: String::new(),
            real: fs::canonicalize(root)?,
        })?;
        while let Some(directory) = looking.next() {
            match looking.visit(&directory) {
                Err(error) if !is_absent(&error) => {
                    let fault = format!("{} is left out: {error}", directory.path.display());
                    looking.catalog.faults.add(fault);
                }
                _ => {}
            }
        }
        let catalog = looking.catalog;
        let before = before.map(|before| &before.faults);
        let warn = |fault: &str| trace::layout_warned(root, fault);
        catalog.faults.tell(before, root, warn);
        Ok(catalog)
    }

    fn layout(&mut self, name: &str) {
        match name.parse() {
            Ok(name) => {
                self.names.insert(name);
            }
            Err(error) => {
                let fault = format!("the layout at {name:?} is left out: {error}");
                self.faults.add(fault);
            }
        }
    }
}

impl Looking {
    fn next(&mut self) -> Option<Directory> {
        if let Some(directory) = self.directories.pop() {
            return Some(directory);
        }
        while let Some((path, name)) = self.links.pop_first() {
            if let Ok(real) = fs::canonicalize(&path)
                && real.is_dir()
            {
                return Some(Directory { path, name, real });
            }
        }
        None
    }

    fn visit(&mut self, directory: &Directory) -> io::Result<()> {
        let is_layout = is_layout(&directory.path)?;
        if is_layout {
            self.catalog.layout(&directory.name);
        }
        if !self.listed.insert(directory.real.clone()) {
            return Ok(());
        }
        for entry in fs::read_dir(&directory.path)? {
            let entry = entry?;
            if !(is_layout && entry.file_name() == "blobs") {
                self.entry(directory, &entry);
            }
        }
        Ok(())
    }

    fn entry(&mut self, directory: &Directory, entry: &fs::DirEntry) {
        let file_name = entry.file_name();
        let component = file_name.to_string_lossy();
        let name = match directory.name.as_str() {
            "" => component.into_owned(),
            above => format!("{above}/{component}"),
        };
        // No name is longer, so nothing can be found further down.
        if name.len() > RepositoryName::MAX_LENGTH {
            return;
        }
        match entry.file_type() {
            Ok(file_type) if file_type.is_dir() => self.directories.push(Directory {
                path: entry.path(),
                name,
                real: directory.real.join(&file_name),
            }),
            Ok(file_type) if file_type.is_symlink() => {
                self.links.insert(entry.path(), name);
            }
            _ => {}
        }
    }
}
