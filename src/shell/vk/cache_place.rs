//! The place where a pipeline cache lies: how it is read, and when it is written. A path that was
//! mistyped, or that somebody else gets at, must cost nothing: what is no cache of this user stays
//! exactly as it is. Parts of the path may be symbolic links, the last one may not.

use super::cache_file::{KIND, MAX_FILE_BYTES};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// How often a file is put in place anew, where another process did the same meanwhile.
const ATTEMPTS: u32 = 8;

/// All of the file; `None` when there is none.
pub(super) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let Some((file, metadata)) = open(path)? else {
        return Ok(None);
    };
    if metadata.len() > MAX_FILE_BYTES {
        return Err(io::Error::other("it is too large"));
    }
    // No further than it says: files of the kernel say 0, and some of them never end.
    let mut bytes = Vec::new();
    file.take(metadata.len()).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Puts `bytes` in the place of the file at once: whoever opens it sees the old one or the new one.
/// Only where nothing is, or where a cache of this user is, whose mode and group the new one gets.
/// Not synced to disk: what a crash cuts off, the checksum finds.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut attempt = 1;
    loop {
        let old = cache_at(path)?;
        system::check_file_limit(bytes.len())?;
        let done = Temporary::beside(path)
            .and_then(|temporary| temporary.write(bytes, old.as_ref()))
            .and_then(|temporary| put(&temporary.path, path, old.as_ref()));
        match done {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && attempt < ATTEMPTS => {
                attempt += 1;
            }
            done => return done,
        }
    }
}

/// The regular file at `path`, open for reading, and what is known of it; `None` when nothing is
/// there.
fn open(path: &Path) -> io::Result<Option<(File, Metadata)>> {
    // Asked first: to open a device may do something. Asked again of what was opened: it is what
    // counts.
    let Some(before) = present(fs::symlink_metadata(path))? else {
        return Ok(None);
    };
    if before.is_symlink() {
        return Err(io::Error::other("it is a symbolic link"));
    }
    let regular = |metadata: &Metadata| match metadata.is_file() {
        true => Ok(()),
        false => Err(io::Error::other("it is no regular file")),
    };
    regular(&before)?;
    let mut options = OpenOptions::new();
    system::without_waiting(options.read(true));
    let Some(file) = present(options.open(path))? else {
        return Ok(None);
    };
    let metadata = file.metadata()?;
    regular(&metadata)?;
    Ok(Some((file, metadata)))
}

fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        result => result.map(Some),
    }
}

/// The cache of this user at `path`; `None` when nothing is there, an error for all else.
fn cache_at(path: &Path) -> io::Result<Option<Metadata>> {
    let Some((file, metadata)) = open(path)? else {
        return Ok(None);
    };
    let mut start = Vec::new();
    file.take(metadata.len().min(KIND.len() as u64))
        .read_to_end(&mut start)?;
    if start != KIND {
        return Err(io::Error::other(
            "a file that is no pipeline cache is there",
        ));
    }
    if !system::is_ours(&metadata) {
        return Err(io::Error::other("a file of another user is there"));
    }
    Ok(Some(metadata))
}

/// A file of this user alone that is removed at the end, unless it was put in its place.
struct Temporary {
    path: PathBuf,
    file: File,
}

impl Temporary {
    /// Under a name that no other thread or process writes to.
    fn beside(path: &Path) -> io::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let mut name = path
            .file_name()
            .ok_or_else(|| io::Error::other("it has no file name"))?
            .to_owned();
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        name.push(format!(".{}.{count}.tmp", std::process::id()));
        let path = path.with_file_name(name);
        let mut options = OpenOptions::new();
        system::private(options.write(true).create_new(true));
        let file = options.open(&path)?;
        Ok(Self { path, file })
    }

    /// With the access that `old` gives, where it is to take its place.
    fn write(mut self, bytes: &[u8], old: Option<&Metadata>) -> io::Result<Self> {
        if let Some(old) = old {
            system::same_access(&self.file, old)?;
        }
        self.file.write_all(bytes)?;
        Ok(self)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        // Not there after a rename. That a file stays is not worth another error.
        let _ = fs::remove_file(&self.path);
    }
}

/// Renames `temporary` to `path`, where `old` was a moment ago. AlreadyExists when something came or
/// changed there since.
fn put(temporary: &Path, path: &Path, old: Option<&Metadata>) -> io::Result<()> {
    let changed = || io::Error::new(ErrorKind::AlreadyExists, "a file came there meanwhile");
    if old.is_none() {
        match fs::hard_link(temporary, path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => return Err(changed()),
            Ok(()) => return Ok(()),
            // The file system has no links: look, and rename at once.
            Err(_) => {}
        }
    }
    let now = present(fs::symlink_metadata(path))?;
    let same = match (old, &now) {
        (None, None) => true,
        (Some(old), Some(now)) => system::same_file(old, now),
        _ => false,
    };
    match same {
        true => fs::rename(temporary, path),
        false => Err(changed()),
    }
}

/// Owners, modes and limits, where the system has them.
#[cfg(unix)]
mod system {
    use std::fs::{File, Metadata, OpenOptions, Permissions};
    use std::io;
    use std::os::unix::fs::{fchown, MetadataExt, OpenOptionsExt, PermissionsExt};

    /// Opening neither follows a link nor waits: a pipe may have come in the file's place.
    pub(super) fn without_waiting(options: &mut OpenOptions) {
        options.custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY);
    }

    pub(super) fn private(options: &mut OpenOptions) {
        options.mode(0o600);
    }

    pub(super) fn is_ours(metadata: &Metadata) -> bool {
        // SAFETY: it takes nothing and always succeeds.
        let user = unsafe { libc::geteuid() };
        metadata.uid() == user
    }

    /// The group first: changing it may clear bits of the mode.
    pub(super) fn same_access(file: &File, old: &Metadata) -> io::Result<()> {
        if file.metadata()?.gid() != old.gid() {
            fchown(file, None, Some(old.gid()))?;
        }
        file.set_permissions(Permissions::from_mode(old.mode() & 0o777))
    }

    pub(super) fn same_file(a: &Metadata, b: &Metadata) -> bool {
        (a.dev(), a.ino()) == (b.dev(), b.ino())
    }

    /// Fails where a file may not be as long as that: the system would end the process by a signal.
    pub(super) fn check_file_limit(size_bytes: usize) -> io::Result<()> {
        let mut limit = libc::rlimit {
            rlim_cur: libc::RLIM_INFINITY,
            rlim_max: libc::RLIM_INFINITY,
        };
        // SAFETY: the structure is ours, and outlives the call.
        let told = unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit) } == 0;
        let enough = limit.rlim_cur == libc::RLIM_INFINITY
            || libc::rlim_t::try_from(size_bytes).is_ok_and(|size| size <= limit.rlim_cur);
        match told && !enough {
            false => Ok(()),
            true => Err(io::Error::other(format!(
                "{size_bytes} bytes exceed the process's limit of a file's size, {}",
                limit.rlim_cur
            ))),
        }
    }
}

#[cfg(not(unix))]
mod system {
    use std::fs::{File, Metadata, OpenOptions};
    use std::io;

    pub(super) fn without_waiting(_: &mut OpenOptions) {}

    pub(super) fn private(_: &mut OpenOptions) {}

    pub(super) fn is_ours(_: &Metadata) -> bool {
        true
    }

    pub(super) fn same_access(_: &File, _: &Metadata) -> io::Result<()> {
        Ok(())
    }

    pub(super) fn same_file(a: &Metadata, b: &Metadata) -> bool {
        b.is_file() && a.created().ok() == b.created().ok()
    }

    pub(super) fn check_file_limit(_: usize) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests;
