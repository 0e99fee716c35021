//! The program under test.

use std::{
    env,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    sync::OnceLock,
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time::timeout,
};

/// How long one copy may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// The built example, with a folder of its own in which it is run.
pub(crate) struct Program {
    folder: TempDir,
}

impl Program {
    pub(crate) fn new() -> Self {
        let folder = TempDir::new().unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    pub(crate) fn write(&self, file: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(file), content).unwrap();
    }

    /// Starts a copy. It reads the credentials in the file `auth.json`, if there is one.
    pub(crate) fn start(&self, arguments: &[&str]) -> Child {
        let mut command = Command::new(built());
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("REGISTRY_AUTH_FILE", self.path("auth.json"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command.spawn().unwrap()
    }

    pub(crate) async fn run(&self, arguments: &[&str]) -> Output {
        finished(self.start(arguments)).await
    }

    /// Copies, which has to succeed without a word on stderr, and returns what was printed.
    pub(crate) async fn copy(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        let (stdout, stderr) = texts(&output);
        assert!(output.status.success(), "{arguments:?}: {stderr}");
        assert_eq!(stderr, "", "{arguments:?}");
        stdout
    }

    /// Copies, which has to fail, and returns the one line that says why.
    pub(crate) async fn fail(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        let (stdout, stderr) = texts(&output);
        assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
        assert_eq!(stdout, "", "{arguments:?}");
        let line = stderr.strip_prefix("copy: ");
        let line = line.and_then(|line| line.strip_suffix('\n'));
        let line = line.unwrap_or_else(|| panic!("{arguments:?}: {stderr}"));
        assert!(!line.contains('\n'), "{arguments:?}: {stderr}");
        line.to_owned()
    }
}

/// How a copy ended.
pub(crate) async fn finished(copy: Child) -> Output {
    timeout(PATIENCE, copy.wait_with_output())
        .await
        .unwrap()
        .unwrap()
}

/// What was said on stdout and on stderr.
pub(crate) fn texts(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_owned()).unwrap();
    (text(&output.stdout), text(&output.stderr))
}

/// The example, after cargo has built it: that is not done for a single test target.
pub(crate) fn built() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(build)
}

fn build() -> PathBuf {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let mut cargo = std::process::Command::new(env!("CARGO"));
    cargo
        .args(["build", "--offline", "--example", "copy"])
        .args(["--message-format", "json-render-diagnostics"])
        .args(["--manifest-path", manifest]);
    // The same features, so that nothing is built twice.
    if cfg!(feature = "network") {
        cargo.arg("--all-features");
    }
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    // What cargo tells a test about its package, build scripts take for a change.
    for (name, _) in env::vars_os() {
        let told = ["CARGO_PKG_", "CARGO_MANIFEST_"];
        if told
            .iter()
            .any(|told| name.to_string_lossy().starts_with(told))
        {
            cargo.env_remove(name);
        }
    }
    let output = cargo.stderr(Stdio::inherit()).output().unwrap();
    assert!(output.status.success(), "cargo: {}", output.status);
    let messages = output.stdout.split(|&byte| byte == b'\n');
    let messages = messages.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
    let mut examples = messages.filter(|message| message["target"]["name"] == "copy");
    let example = examples.find_map(|message| Some(message["executable"].as_str()?.into()));
    example.unwrap()
}
