//! Faults in the server's system calls, by `strace --inject`: calls that fail, take long, do nothing, or are the last.

use std::{
    fs::{self, File},
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use super::{Server, eventually};

const PROGRAM: &str = "/usr/bin/strace";

/// A tracer of a running server. Dropping it ends the faults and lets the server go on.
#[derive(Debug)]
pub(crate) struct Strace {
    child: Child,
    home: TempDir,
}

impl Strace {
    /// Whether there is one; said loudly where there is not.
    pub(crate) fn is_here(test: &str) -> bool {
        let is_here = Path::new(PROGRAM).exists();
        if !is_here {
            eprintln!("SKIPPED: {test}: there is no {PROGRAM}");
        }
        is_here
    }

    /// Tampers with system calls from now on: `calls` as in `fsync,fdatasync`, `fault` as in `error=EIO:when=3`
    /// (counted for each thread). With a `path`, only calls on that file.
    pub(crate) async fn attach(server: &Server, calls: &str, fault: &str, path: Option<&Path>) -> Self {
        let home = TempDir::new().expect("a temporary directory");
        let messages = File::create(home.path().join("messages")).expect("the directory is writable");
        let mut command = Command::new(PROGRAM);
        command.args(["-f", "-p", &server.pid().as_raw_nonzero().to_string(), "-o"]).arg(home.path().join("calls"));
        command.args(["-e", &format!("trace={calls}"), "-e", &format!("inject={calls}:{fault}")]);
        if let Some(path) = path {
            command.arg("-P").arg(path);
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(messages).spawn().expect("it is here");
        let mut strace = Self { child, home };
        eventually("strace attaches", Duration::from_secs(30), async || {
            let messages = fs::read_to_string(strace.home.path().join("messages")).expect("made above");
            let ended = strace.child.try_wait().expect("the process can be asked");
            // It may be over at once: when the first call was to kill the server.
            if !messages.contains("attached")
                && let Some(status) = ended
            {
                panic!("strace ended with {status}: {messages}");
            }
            messages.contains("attached").then_some(())
        })
        .await;
        strace
    }

    /// How often a call was tampered with so far.
    pub(crate) fn hits(&self) -> usize {
        let calls = fs::read_to_string(self.home.path().join("calls")).unwrap_or_default();
        calls.matches("(INJECTED").count() + calls.matches("(DELAYED").count() + calls.matches("+++ killed by").count()
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        // On SIGTERM it detaches first. Gone already is fine, too: its server was killed.
        if let Some(pid) = Pid::from_raw(self.child.id().cast_signed()) {
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = self.child.wait();
    }
}
