//! The data directory, injected: append-only WAL files and files that appear whole or not at all.
//!
//! Calls block; whoever calls them is a thread that may wait. Paths are relative to the data directory, with `/`.

use std::{
    fmt,
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read as _, Write},
    path::{Path, PathBuf},
};

use bytes::Bytes;

use crate::error::{Error, Result};

/// Ending of a file that is being written by [`FileSystem::begin`] and was not published.
pub const TEMPORARY_SUFFIX: &str = ".tmp";

/// What storage asks of a disk.
pub trait FileSystem: Send + Sync + fmt::Debug {
    /// Makes a new, empty file for appending, and its name durable.
    ///
    /// # Errors
    /// `AlreadyExists` when there is such a file; whatever the disk says.
    fn create(&self, path: &str) -> io::Result<Box<dyn AppendFile>>;

    /// Begins a file that is there whole and durably once it is published, or not at all.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn begin(&self, path: &str) -> io::Result<Box<dyn NewFile>>;

    /// Writes such a file in one piece.
    ///
    /// # Errors
    /// `AlreadyExists` when there is such a file; whatever the disk says.
    fn put_durable(&self, path: &str, bytes: &[u8]) -> io::Result<()> {
        let mut file = self.begin(path)?;
        file.write_all(bytes)?;
        file.publish()
    }

    /// Every file below a directory with its length in bytes, sorted by path. A missing directory is empty.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn list(&self, directory: &str) -> io::Result<Vec<(String, u64)>>;

    /// A whole file.
    ///
    /// # Errors
    /// `NotFound`; whatever the disk says.
    fn read(&self, path: &str) -> io::Result<Bytes>;

    /// The first bytes of a file; fewer when it is shorter.
    ///
    /// # Errors
    /// `NotFound`; whatever the disk says.
    fn read_start(&self, path: &str, bytes: usize) -> io::Result<Bytes>;

    /// Removes a file; fine if it is gone already.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn remove(&self, path: &str) -> io::Result<()>;

    /// Bytes that may still be written.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn free_bytes(&self) -> io::Result<u64>;
}

/// A file that nobody sees before it is complete. Dropped without [`NewFile::publish`], it is gone.
pub trait NewFile: Write + Send + fmt::Debug {
    /// Makes its bytes durable, gives it its name, and makes the name durable.
    ///
    /// # Errors
    /// `AlreadyExists` when there is a file of that name; whatever the disk says.
    fn publish(self: Box<Self>) -> io::Result<()>;
}

/// A file that only grows.
pub trait AppendFile: Send + fmt::Debug {
    /// Writes at the end. After an error an unknown part of the bytes may be there.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Makes everything appended durable (`fdatasync`). After the first error the file's unsynced content is unknown,
    /// and a later success proves nothing: the kernel forgets what it could not write.
    ///
    /// # Errors
    /// Whatever the disk says.
    fn sync(&mut self) -> io::Result<()>;
}

/// A directory on a local disk, locked against a second process.
#[derive(Debug)]
pub struct Disk {
    root: PathBuf,
    // Unlocked by the kernel when the process ends, however it ends.
    _lock: File,
}

impl Disk {
    /// Opens the directory, makes it if needed, and takes its lock.
    ///
    /// # Errors
    /// `Invalid` when another process uses it; `Unavailable` when it cannot be made or opened.
    pub fn open(root: &Path) -> Result<Self> {
        let at = |what: &str| format!("data directory {}: {what}", root.display());
        std::fs::create_dir_all(root).map_err(|e| Error::unavailable(at("cannot be made")).with_source(e))?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(root.join("lock"))
            .map_err(|e| Error::unavailable(at("its lock file cannot be opened")).with_source(e))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::invalid(at("in use by another process"))),
            Err(TryLockError::Error(e)) => return Err(Error::unavailable(at("cannot be locked")).with_source(e)),
        }
        Ok(Self { root: root.to_path_buf(), _lock: lock })
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Makes missing directories on the way to a file, each one's name durable.
    fn make_parents(&self, path: &Path) -> io::Result<()> {
        let Some(parent) = path.parent() else { return Ok(()) };
        if parent.is_dir() {
            return Ok(());
        }
        self.make_parents(parent)?;
        match std::fs::create_dir(parent) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        sync_parent(parent)
    }

    fn list_into(&self, directory: &Path, found: &mut Vec<(String, u64)>) -> io::Result<()> {
        let entries = match std::fs::read_dir(directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            let metadata = entry.metadata()?;
            if metadata.is_dir() {
                self.list_into(&entry.path(), found)?;
            } else if let Some(path) = entry.path().strip_prefix(&self.root).ok().and_then(Path::to_str) {
                found.push((path.to_owned(), metadata.len()));
            }
        }
        Ok(())
    }
}

/// Makes the name of a file or directory durable.
fn sync_parent(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => File::open(parent)?.sync_all(),
        _ => File::open(".")?.sync_all(),
    }
}

impl FileSystem for Disk {
    fn create(&self, path: &str) -> io::Result<Box<dyn AppendFile>> {
        let path = self.path(path);
        self.make_parents(&path)?;
        let file = OpenOptions::new().create_new(true).append(true).open(&path)?;
        sync_parent(&path)?;
        Ok(Box::new(file))
    }

    fn begin(&self, path: &str) -> io::Result<Box<dyn NewFile>> {
        let path = self.path(path);
        self.make_parents(&path)?;
        let mut temporary = path.clone().into_os_string();
        temporary.push(TEMPORARY_SUFFIX);
        let temporary = PathBuf::from(temporary);
        Ok(Box::new(DiskFile { file: File::create(&temporary)?, temporary, path }))
    }

    fn list(&self, directory: &str) -> io::Result<Vec<(String, u64)>> {
        let mut found = Vec::new();
        self.list_into(&self.path(directory), &mut found)?;
        found.sort();
        Ok(found)
    }

    fn read(&self, path: &str) -> io::Result<Bytes> {
        std::fs::read(self.path(path)).map(Bytes::from)
    }

    fn read_start(&self, path: &str, bytes: usize) -> io::Result<Bytes> {
        let mut start = Vec::with_capacity(bytes);
        File::open(self.path(path))?.take(bytes as u64).read_to_end(&mut start)?;
        Ok(start.into())
    }

    fn remove(&self, path: &str) -> io::Result<()> {
        match std::fs::remove_file(self.path(path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn free_bytes(&self) -> io::Result<u64> {
        let stat = rustix::fs::statvfs(&self.root)?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

/// See [`Disk::begin`]: under a temporary name until it is published.
#[derive(Debug)]
struct DiskFile {
    file: File,
    temporary: PathBuf,
    path: PathBuf,
}

impl Write for DiskFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl NewFile for DiskFile {
    fn publish(self: Box<Self>) -> io::Result<()> {
        self.file.sync_all()?;
        // A link fails where a rename would replace: a published file is never overwritten.
        std::fs::hard_link(&self.temporary, &self.path)?;
        std::fs::remove_file(&self.temporary)?;
        sync_parent(&self.path)
    }
}

impl Drop for DiskFile {
    fn drop(&mut self) {
        // Gone already when it was published. What stays is cleared at the next start.
        let _ = std::fs::remove_file(&self.temporary);
    }
}

impl AppendFile for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    #[test]
    fn a_put_file_is_whole_and_never_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::open(directory.path()).unwrap();
        disk.put_durable("a/b/c", b"one").unwrap();
        assert_eq!(disk.put_durable("a/b/c", b"two").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(disk.read("a/b/c").unwrap(), "one");
        assert_eq!(disk.read_start("a/b/c", 2).unwrap(), "on");
        assert_eq!(disk.read_start("a/b/c", 9).unwrap(), "one");
        assert_eq!(disk.list("a").unwrap(), [("a/b/c".to_owned(), 3)]);
        disk.remove("a/b/c").unwrap();
        disk.remove("a/b/c").unwrap();
        assert!(disk.list("a").unwrap().is_empty());
        assert!(disk.list("nowhere").unwrap().is_empty());
        let mut file = disk.begin("a/b/d").unwrap();
        file.write_all(b"half").unwrap();
        assert_eq!(disk.list("a").unwrap(), [("a/b/d.tmp".to_owned(), 4)]);
        drop(file);
        assert!(disk.list("a").unwrap().is_empty());
        assert!(disk.free_bytes().unwrap() > 0);
    }

    #[test]
    fn an_append_file_grows() {
        let directory = tempfile::tempdir().unwrap();
        let disk = Disk::open(directory.path()).unwrap();
        let mut file = disk.create("wal/1").unwrap();
        file.append(b"abc").unwrap();
        file.append(b"def").unwrap();
        file.sync().unwrap();
        assert_eq!(disk.read("wal/1").unwrap(), "abcdef");
        assert_eq!(disk.create("wal/1").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
    }

    #[test]
    fn a_second_owner_is_refused_until_the_first_is_gone() {
        let directory = tempfile::tempdir().unwrap();
        let first = Disk::open(directory.path()).unwrap();
        let refused = Disk::open(directory.path()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Invalid);
        assert!(refused.to_string().contains("in use by another process"), "{refused}");
        drop(first);
        Disk::open(directory.path()).unwrap();
    }
}
