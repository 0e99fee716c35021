//! Programs that pull and push.

use std::{
    ffi::{OsStr, OsString},
    fs,
    io::Write,
    path::PathBuf,
    process::{Output, Stdio},
    time::Duration,
};

use tempfile::TempDir;
use tokio::{process::Command, time::timeout};

/// How long one run of a client may take.
const PATIENCE: Duration = Duration::from_secs(120);

const POLICY: &str = "--signature-policy=policy.json";

/// A program, with a folder of its own.
pub(crate) struct Client {
    program: &'static str,
    folder: TempDir,
}

impl Client {
    /// The client, or nothing if it is not installed and need not be.
    pub(crate) fn find(program: &'static str) -> Option<Self> {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let mut folders = std::env::split_paths(&path);
        if !folders.any(|folder| folder.join(program).is_file()) {
            let required = std::env::var_os("TOWER_OCI_REQUIRE_CLIENTS");
            assert!(required.is_none_or(|value| value != "1"), "no {program}");
            // Not eprintln, which the test harness keeps to itself.
            let skipped = format!("SKIPPED: {program} is not installed\n");
            std::io::stderr().write_all(skipped.as_bytes()).unwrap();
            return None;
        }
        let folder = TempDir::new().unwrap();
        let policy = r#"{"default": [{"type": "insecureAcceptAnything"}]}"#;
        fs::write(folder.path().join("policy.json"), policy).unwrap();
        Some(Self { program, folder })
    }

    pub(crate) fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    pub(crate) fn read(&self, file: &str) -> Vec<u8> {
        fs::read(self.path(file)).unwrap()
    }

    pub(crate) fn write(&self, file: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(file), content).unwrap();
    }

    pub(crate) async fn try_run<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Output {
        let mut command = Command::new(self.program);
        command
            .args(arguments)
            .current_dir(self.folder.path())
            .env("HOME", self.folder.path())
            .env("XDG_RUNTIME_DIR", self.folder.path())
            .env("TMPDIR", self.folder.path())
            .env_remove("http_proxy")
            .env_remove("HTTP_PROXY")
            .env_remove("all_proxy")
            .env_remove("ALL_PROXY")
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let output = timeout(PATIENCE, command.output()).await;
        output.unwrap().unwrap()
    }

    /// Runs the client, which has to succeed, and returns what it printed.
    pub(crate) async fn run<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Vec<u8> {
        let arguments: Vec<A> = arguments.into_iter().collect();
        let output = self.try_run(&arguments).await;
        let shown: Vec<_> = arguments.iter().map(AsRef::as_ref).collect();
        let errors = String::from_utf8_lossy(&output.stderr);
        let status = output.status;
        assert!(
            status.success(),
            "{} {shown:?}: {status}\n{errors}",
            self.program
        );
        output.stdout
    }

    /// Runs the client, which has to fail, and returns what it said.
    pub(crate) async fn fail<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> String {
        let output = self.try_run(arguments).await;
        assert!(!output.status.success(), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    pub(crate) async fn json(&self, arguments: &[&str]) -> serde_json::Value {
        serde_json::from_slice(&self.run(arguments).await).unwrap()
    }

    /// Skopeo's copy of `from` into a new folder.
    pub(crate) async fn skopeo_copy(&self, from: &str, options: &[&str]) -> PathBuf {
        self.skopeo_copy_to("dir:copy", from, options).await;
        self.path("copy")
    }

    pub(crate) async fn skopeo_copy_to(&self, to: &str, from: &str, options: &[&str]) {
        self.run(Self::copy_arguments(to, from, options)).await;
    }

    /// The arguments of skopeo's copy.
    pub(crate) fn copy_arguments<'a>(
        to: &'a str,
        from: &'a str,
        options: &[&'a str],
    ) -> Vec<&'a str> {
        let copy = ["--policy", "policy.json", "copy"];
        let tls = ["--src-tls-verify=false", "--dest-tls-verify=false"];
        [&copy[..], &tls, options, &[from, to]].concat()
    }

    /// Runs podman or buildah on a storage in the client's folder, and returns what it printed.
    pub(crate) async fn in_storage(&self, arguments: &[&str]) -> String {
        let printed = self.run(self.storage_arguments(arguments)).await;
        String::from_utf8(printed).unwrap().trim().to_owned()
    }

    /// Lets podman or buildah pull `image` into the storage, and returns its id: the digest of its
    /// configuration.
    pub(crate) async fn storage_pull(&self, image: &str, options: &[&str]) -> String {
        let pull = ["pull", POLICY, "--tls-verify=false"];
        self.in_storage(&[&pull, options, &[image]].concat()).await
    }

    /// Lets podman or buildah push `image` from the storage.
    pub(crate) async fn storage_push(&self, image: &str, to: &str, options: &[&str]) {
        let push = ["push", POLICY, "--tls-verify=false"];
        self.in_storage(&[&push, options, &[image, to]].concat())
            .await;
    }

    fn storage_arguments(&self, arguments: &[&str]) -> Vec<OsString> {
        let mut all: Vec<OsString> = vec!["--storage-driver=vfs".into()];
        for folder in ["root", "runroot"] {
            all.extend([format!("--{folder}").into(), self.path(folder).into()]);
        }
        all.extend(arguments.iter().map(Into::into));
        all
    }
}
