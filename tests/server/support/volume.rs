//! A disk of our own: an ext4 in a file, which can lose its power and fill up. Needs root and a loop device.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

use super::Python;

/// Mounted until it is dropped.
#[derive(Debug)]
pub(crate) struct Volume {
    home: TempDir,
}

impl Volume {
    /// An empty one of that size. `None`, said loudly, where this cannot be had.
    pub(crate) fn new(test: &str, mib: u64) -> Option<Self> {
        let home = tempfile::Builder::new().prefix("rootline-volume-").tempdir().expect("a temporary directory");
        let volume = Self { home };
        let image = File::create(volume.image()).expect("the directory is writable");
        image.set_len(mib << 20).expect("a file may have holes");
        fs::create_dir(volume.mount_point()).expect("the directory is writable");
        // Without blocks that only root may fill: the server may be root here.
        let made = run(Command::new("mkfs.ext4").args(["-q", "-F", "-m", "0"]).arg(volume.image()));
        if let Err(why) = made.and_then(|()| volume.try_mount()) {
            eprintln!("SKIPPED: {test}: needs root, mkfs.ext4 and a loop device: {why}");
            return None;
        }
        Some(volume)
    }

    /// Where the server may keep its data.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.mount_point().join("data")
    }

    /// What was not synced is gone. Whoever uses the volume gets errors until [`Self::mount_again`].
    ///
    /// `switch_off` is called just before: a sync that is under way at that moment may succeed and be gone all the same
    /// (seen with a program of ten lines, too), and nothing leaves a machine that is off.
    pub(crate) async fn cut_power(&self, python: &Python, switch_off: impl FnOnce()) {
        let mut script = python.start("power_cut.py", [self.mount_point()]);
        let (mut told, answers) = (script.stdin.take().expect("piped"), script.stdout.take().expect("piped"));
        let ready = tokio::task::spawn_blocking(move || BufReader::new(answers).lines().next());
        let ready = ready.await.expect("no panic");
        assert!(ready.is_some_and(|line| line.is_ok_and(|line| line == "ready")), "power_cut.py is not ready");
        switch_off();
        told.write_all(b"now\n").expect("it listens");
        let ended = tokio::task::spawn_blocking(move || script.wait()).await.expect("no panic");
        assert!(ended.expect("it can be waited for").success(), "power_cut.py failed");
    }

    /// After the power is back. Nobody may use the volume meanwhile.
    pub(crate) fn mount_again(&self) {
        run(Command::new("umount").arg(self.mount_point())).expect("nobody uses it");
        self.try_mount().expect("it was mounted before");
    }

    /// Fills it to the last byte.
    pub(crate) fn fill(&self) {
        let mut ballast = File::options().create(true).append(true).open(self.ballast()).expect("a name costs nothing");
        // Ever smaller pieces, until not even a byte goes in.
        let mut piece = vec![0xa5; 1 << 20];
        while !piece.is_empty() {
            if ballast.write(&piece).and_then(|_| ballast.sync_all()).is_err() {
                piece.truncate(piece.len() / 2);
            }
        }
    }

    /// Gives back what [`Self::fill`] took.
    pub(crate) fn free(&self) {
        fs::remove_file(self.ballast()).expect("it was filled");
    }

    fn try_mount(&self) -> Result<(), String> {
        run(Command::new("mount").args(["-o", "loop"]).arg(self.image()).arg(self.mount_point()))
    }

    fn image(&self) -> PathBuf {
        self.home.path().join("image")
    }

    fn mount_point(&self) -> PathBuf {
        self.home.path().join("volume")
    }

    fn ballast(&self) -> PathBuf {
        self.mount_point().join("ballast")
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        // Lazily: also when a server that failed its test has not let go yet. Not mounted at all is fine.
        let _ = run(Command::new("umount").arg("--lazy").arg(self.mount_point()));
    }
}

/// Runs a program of the system's.
fn run(command: &mut Command) -> Result<(), String> {
    let name = Path::new(command.get_program()).display().to_string();
    let output = command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").output();
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{name}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Err(format!("{name}: {error}")),
    }
}
