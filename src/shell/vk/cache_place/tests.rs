//! What is written, what is left alone, and what never waits.

use super::*;
use std::time::SystemTime;

/// A folder of one test, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("etvk-place-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("temporary folder");
        Self(folder)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).expect("there");
        let names = entries.map(|e| e.expect("entry").file_name().to_string_lossy().into_owned());
        let mut names: Vec<_> = names.collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

const ONE: &[u8] = b"etvkpc1\none";
const TWO: &[u8] = b"etvkpc1\nthe second";

/// What a file is, from its metadata and its bytes.
fn state(path: &Path) -> (Vec<u8>, SystemTime) {
    let modified = fs::metadata(path).expect("there").modified();
    (fs::read(path).expect("readable"), modified.expect("a time"))
}

#[test]
fn files_are_replaced_whole_or_not_at_all() {
    let folder = Folder::new("replaced");
    let path = folder.at("cache");
    assert_eq!(read(&path).expect("no file"), None);
    replace(&path, ONE).expect("written");
    assert_eq!(read(&path).expect("a file").as_deref(), Some(ONE));
    replace(&path, TWO).expect("replaced");
    assert_eq!(read(&path).expect("a file").as_deref(), Some(TWO));
    assert!(read(&folder.0).is_err(), "a folder is no file");
    assert!(replace(&folder.0, ONE).is_err(), "a folder stays");
    assert!(replace(&folder.at("none/cache"), ONE).is_err());
    assert!(replace(Path::new("/"), ONE).is_err());
    assert_eq!(folder.names(), ["cache"]);
}

#[test]
fn a_file_that_is_no_cache_stays() {
    let folder = Folder::new("foreign");
    for content in [&b"my notes"[..], b"", b"etvk", b"ETVKPC1\n", &[0; 4096]] {
        let path = folder.at("mine");
        fs::write(&path, content).expect("written");
        let before = state(&path);
        let error = replace(&path, ONE).expect_err("refused");
        assert!(error.to_string().contains("no pipeline cache"), "{error}");
        assert_eq!(state(&path), before);
    }
    // What only begins as one does is one: cut off, or of another version.
    let path = folder.at("cut");
    fs::write(&path, b"etvkpc9").expect("written");
    replace(&path, ONE).expect("replaced");
    assert_eq!(folder.names(), ["cut", "mine"]);
}

#[test]
fn too_large_a_file_is_not_read() {
    let folder = Folder::new("large");
    let path = folder.at("cache");
    let file = File::create(&path).expect("created");
    file.set_len(MAX_FILE_BYTES + 1).expect("sparse");
    let error = read(&path).expect_err("too large");
    assert!(error.to_string().contains("too large"), "{error}");
}

/// Of all that threads write at once, the last one stands, whole.
#[test]
fn several_writers() {
    let folder = Folder::new("writers");
    let path = folder.at("cache");
    std::thread::scope(|scope| {
        for t in 0..4u8 {
            let path = &path;
            scope.spawn(move || {
                for i in 0..50 {
                    let bytes = [KIND, &[t; 1000], &[i]].concat();
                    // Each attempt can meet another thread's file.
                    let _ = replace(path, &bytes);
                    let seen = read(path).expect("readable").expect("there");
                    assert_eq!(seen.len(), KIND.len() + 1001);
                    assert!(seen[KIND.len()..][..1000].windows(2).all(|w| w[0] == w[1]));
                }
            });
        }
    });
    assert_eq!(folder.names(), ["cache"]);
}

#[cfg(unix)]
mod unix {
    use super::*;
    use std::os::unix::fs::{symlink, FileTypeExt, MetadataExt, PermissionsExt};
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("there").mode() & 0o7777
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("ours");
    }

    /// Neither read nor written, and told why.
    fn refused(path: &Path, why: &str) {
        for error in [
            read(path).map(|_| ()).expect_err("not read"),
            replace(path, ONE).expect_err("not written"),
        ] {
            assert!(error.to_string().contains(why), "{path:?}: {error}");
        }
    }

    #[test]
    fn a_new_file_is_private_and_an_old_one_keeps_its_mode() {
        let folder = Folder::new("modes");
        let path = folder.at("cache");
        replace(&path, ONE).expect("written");
        assert_eq!(mode(&path), 0o600);
        for kept in [0o600, 0o644, 0o400, 0o660] {
            set_mode(&path, kept);
            replace(&path, TWO).expect("replaced");
            assert_eq!(mode(&path), kept);
        }
    }

    #[test]
    fn links_are_not_followed() {
        let folder = Folder::new("links");
        let target = folder.at("target");
        replace(&target, ONE).expect("written");
        for (name, to) in [
            ("to_file", target.clone()),
            ("to_folder", folder.0.clone()),
            ("to_nothing", folder.at("nothing")),
        ] {
            let link = folder.at(name);
            symlink(&to, &link).expect("linked");
            refused(&link, "symbolic link");
            assert_eq!(fs::read_link(&link).expect("still a link"), to);
        }
        assert_eq!(fs::read(&target).expect("there"), ONE);
        // A link in the path before it is the caller's way of naming a folder.
        let through = folder.at("to_folder/cache");
        replace(&through, TWO).expect("written");
        assert_eq!(fs::read(folder.at("cache")).expect("there"), TWO);
        assert!(!folder.at("nothing").exists());
    }

    #[test]
    fn pipes_sockets_and_devices_stay_and_nobody_waits() {
        let folder = Folder::new("special");
        let pipe = folder.at("pipe");
        let made = Command::new("mkfifo").arg(&pipe).status();
        assert!(made.expect("mkfifo").success());
        refused(&pipe, "no regular file");
        assert!(fs::metadata(&pipe).expect("there").file_type().is_fifo());
        // One that came after the first look.
        let mut options = OpenOptions::new();
        system::without_waiting(options.read(true));
        options.open(&pipe).expect("opened at once");
        let socket = folder.at("socket");
        let _listener = UnixListener::bind(&socket).expect("bound");
        refused(&socket, "no regular file");
        assert!(fs::metadata(&socket)
            .expect("there")
            .file_type()
            .is_socket());
        for device in ["/dev/null", "/dev/zero", "/dev/tty"] {
            refused(Path::new(device), "no regular file");
        }
        let null = fs::metadata("/dev/null").expect("there");
        assert!(null.file_type().is_char_device(), "/dev/null was replaced");
        assert_eq!(folder.names(), ["pipe", "socket"]);
    }

    /// They say that they are regular files of 0 bytes; some have no end, or wait.
    #[test]
    fn files_of_the_kernel_are_no_caches() {
        for name in ["/proc/version", "/proc/self/mem", "/proc/kmsg"] {
            let path = Path::new(name);
            if path.exists() {
                assert!(read(path).map_or(true, |bytes| bytes == Some(Vec::new())));
                assert!(replace(path, ONE).is_err());
            }
        }
    }

    #[test]
    fn where_nothing_may_be_written_nothing_is() {
        let folder = Folder::new("closed");
        set_mode(&folder.0, 0o500);
        let done = replace(&folder.at("cache"), ONE);
        set_mode(&folder.0, 0o700);
        match done {
            // Root may.
            Ok(()) => assert_eq!(folder.names(), ["cache"]),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::PermissionDenied);
                assert!(folder.names().is_empty());
            }
        }
    }

    /// A file of another user, as only root can make one.
    #[test]
    fn another_users_cache_stays() {
        let folder = Folder::new("users");
        let path = folder.at("cache");
        fs::write(&path, ONE).expect("written");
        if std::os::unix::fs::chown(&path, Some(12345), None).is_err() {
            eprintln!("SKIPPED another_users_cache_stays: not root");
            return;
        }
        let before = state(&path);
        let error = replace(&path, TWO).expect_err("refused");
        assert!(error.to_string().contains("another user"), "{error}");
        assert_eq!(state(&path), before);
        assert_eq!(folder.names(), ["cache"]);
    }

    /// Another file than the one that was looked at is not replaced.
    #[test]
    fn what_came_meanwhile_stays() {
        let folder = Folder::new("meanwhile");
        let (path, temporary) = (folder.at("cache"), folder.at("new"));
        fs::write(&temporary, TWO).expect("written");
        fs::write(&path, ONE).expect("written");
        let old = cache_at(&path).expect("a cache").expect("there");
        fs::rename(&path, folder.at("old")).expect("moved away");
        fs::write(&path, b"something else").expect("written");
        for old in [Some(&old), None] {
            let error = put(&temporary, &path, old).expect_err("changed");
            assert_eq!(error.kind(), ErrorKind::AlreadyExists);
        }
        assert_eq!(fs::read(&path).expect("there"), b"something else");
        fs::remove_file(&path).expect("ours");
        assert!(put(&temporary, &path, Some(&old)).is_err(), "it has gone");
        put(&temporary, &path, None).expect("nothing is there");
        assert_eq!(fs::read(&path).expect("there"), TWO);
    }
}
