//! The Docker configuration of a user, with real credential helpers: the programs in `helpers`.
//!
//! The environment says where both are, and cannot be changed in a process with several threads.
//! So each test runs this program again, with an environment of its own, for one of the tests that
//! are ignored otherwise.

#![cfg(all(feature = "client", unix))]
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)] // a test fails by panicking

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use tempfile::TempDir;
use tower_oci::{
    BoxError,
    client::{CredentialSource, Credentials, DockerConfig, DockerConfigError},
};

/// A home of a user, in whose environment a test runs.
struct Home {
    folder: TempDir,
}

impl Home {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        Self { folder }
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// Puts a file below it.
    fn file(self, path: &str, content: &str) -> Self {
        let file = self.path(path);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
        self
    }

    /// Runs the ignored test in a process of its own.
    fn run(&self, test: &str) {
        self.run_with(test, &[]);
    }

    /// Runs one that wants the user name `user` for `a.example`. The values of `folders` are below
    /// this home.
    fn user_is(&self, user: &str, folders: &[(&str, &str)]) {
        let folders = folders.iter();
        let mut variables: Vec<_> = folders
            .map(|&(name, folder)| (name, self.path(folder)))
            .collect();
        variables.push(("EXPECTED_USER", user.into()));
        self.run_with("inner::user_is", &variables);
    }

    fn run_with(&self, test: &str, variables: &[(&str, PathBuf)]) {
        let helpers = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/client_auth/helpers");
        let mut command = Command::new(env::current_exe().unwrap());
        command
            .args(["--ignored", "--exact", test, "--nocapture"])
            .env_clear()
            .env("HOME", self.folder.path())
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env("PATH", format!("{}:/usr/bin:/bin", helpers.display()))
            .env("PID_FILE", self.path("pid"))
            .envs(variables.iter().map(|(name, value)| (name, value)));
        let output = command.output().unwrap();
        let [stdout, stderr] =
            [&output.stdout, &output.stderr].map(|it| String::from_utf8_lossy(it));
        let shown = format!("{stdout}\n{stderr}");
        assert!(output.status.success(), "{shown}");
        assert!(stdout.contains("1 passed"), "{shown}");
        assert!(!shown.contains("sesame"), "{shown}");
    }
}

async fn found(registry: &str) -> Result<Credentials, BoxError> {
    let config = DockerConfig::load().await?;
    config.credentials(registry, None).await
}

async fn user(registry: &str) -> String {
    match found(registry).await.unwrap() {
        Credentials::Basic { username, .. } => username,
        other => format!("{other:?}"),
    }
}

/// A file in which one registry has an entry, whose user name is `user`.
fn entry(registry: &str, user: &str) -> String {
    format!(r#"{{"auths":{{"{registry}":{{"username":"{user}","password":"p"}}}}}}"#)
}

#[test]
fn files_are_found_in_the_places_and_order_of_podman() {
    let mut home = Home::new();
    home.user_is("Anonymous", &[]);
    for (file, user) in [
        (".docker/config.json", "docker"),
        (".config/containers/auth.json", "config"),
        ("run/containers/auth.json", "run"),
    ] {
        home = home.file(file, &entry("a.example", user));
        home.user_is(user, &[]);
    }
    let home = home
        .file("d/config.json", &entry("a.example", "elsewhere"))
        .file("named.json", &entry("a.example", "named"));
    let no_run = ("XDG_RUNTIME_DIR", "nowhere");
    let no_config = ("XDG_CONFIG_HOME", "nowhere");
    home.user_is("config", &[no_run]);
    home.user_is("docker", &[no_run, no_config]);
    home.user_is("elsewhere", &[no_run, no_config, ("DOCKER_CONFIG", "d")]);
    home.user_is("named", &[("REGISTRY_AUTH_FILE", "named.json")]);
    home.user_is("Anonymous", &[("REGISTRY_AUTH_FILE", "nothing.json")]);
}

#[test]
fn a_broken_file_is_an_error_when_it_is_loaded() {
    let home = Home::new().file(".docker/config.json", r#"{"auths":"sesame"}"#);
    home.run("inner::loading_fails");
}

#[test]
fn a_store_has_what_the_files_have_not() {
    let home = Home::new().file(
        ".docker/config.json",
        r#"{"credsStore":"test","auths":{
            "password.example":{},
            "entry.example":{"auth":"ZW50cnk6cA=="},
            "password.example/team":{"auth":"dGVhbTpw"}
        }}"#,
    );
    home.run("inner::a_store_answers");
}

#[test]
fn a_helper_of_a_registry_is_asked_before_all_else_in_its_file() {
    let home = Home::new()
        .file(
            ".config/containers/auth.json",
            r#"{"credsStore":"missing",
                "credHelpers":{"password.example":"test","nothing.example":"test"},
                "auths":{
                    "password.example":{"auth":"ZW50cnk6cA=="},
                    "nothing.example":{"auth":"ZW50cnk6cA=="}
            }}"#,
        )
        .file(".docker/config.json", &entry("nothing.example", "docker"));
    home.run("inner::a_helper_answers");
}

#[test]
fn a_helper_need_not_listen() {
    let store = r#"{"credsStore":"deaf"}"#;
    let home = Home::new().file(".docker/config.json", store);
    home.run("inner::a_deaf_helper_answers");
}

#[test]
fn a_helper_that_fails_is_an_error_without_what_it_says() {
    let store = r#"{"credsStore":"test","credHelpers":{"unknown.example":"unknown"}}"#;
    let home = Home::new().file(".docker/config.json", store);
    home.run("inner::helpers_fail");
}

#[test]
fn a_helper_that_does_not_answer_is_ended() {
    let store = r#"{"credsStore":"test"}"#;
    let home = Home::new().file(".docker/config.json", store);
    home.run("inner::a_helper_is_late");
    home.run("inner::a_helper_is_ended_with_its_future");
}

/// What runs in a process of its own.
mod inner {
    use super::*;

    #[tokio::test]
    #[ignore = "needs an environment"]
    async fn user_is() {
        let expected = env::var("EXPECTED_USER").unwrap();
        assert_eq!(user("a.example").await, expected);
    }

    #[tokio::test]
    #[ignore = "needs an environment"]
    async fn loading_fails() {
        let error = DockerConfig::load().await.unwrap_err();
        let is_malformed = matches!(error, DockerConfigError::Malformed { .. });
        assert!(is_malformed, "{error}");
    }

    #[tokio::test]
    #[ignore = "needs an environment"]
    async fn a_store_answers() {
        let expected = Credentials::basic("alice", "of password.example");
        assert_eq!(found("password.example").await.unwrap(), expected);
        let expected = Credentials::basic("alice", "of password.example:5000");
        assert_eq!(found("password.example:5000").await.unwrap(), expected);
        let expected = Credentials::IdentityToken("identity".to_owned());
        assert_eq!(found("token.example").await.unwrap(), expected);
        let expected = Credentials::basic("hub", "of hub");
        assert_eq!(found("registry-1.docker.io").await.unwrap(), expected);
        assert_eq!(
            found("nothing.example").await.unwrap(),
            Credentials::Anonymous
        );
        // Entries with credentials need no program.
        assert_eq!(user("entry.example").await, "entry");
        let config = DockerConfig::load().await.unwrap();
        let team = "team/app".parse().unwrap();
        let found = config.credentials("password.example", Some(&team)).await;
        assert_eq!(found.unwrap(), Credentials::basic("team", "p"));
    }

    #[tokio::test]
    #[ignore = "needs an environment"]
    async fn a_helper_answers() {
        assert_eq!(user("password.example").await, "alice");
        // It has nothing, so the next file is read.
        assert_eq!(user("nothing.example").await, "docker");
    }

    #[tokio::test]
    #[ignore = "needs an environment"]
    async fn a_deaf_helper_answers() {
        // More than a pipe holds.
        for registry in ["a.example", &"a".repeat(200_000)] {
            assert_eq!(user(registry).await, "deaf");
        }
    }

    #[tokio::test]
    #[ignore = "needs an environment"]
    async fn helpers_fail() {
        use DockerConfigError::*;

        let fails = async |registry| {
            let error = found(registry).await.unwrap_err();
            let error = *error.downcast::<DockerConfigError>().unwrap();
            let source = std::error::Error::source(&error);
            // The outer test sees to it that this has no secret.
            println!("{error} {error:?} {source:?}");
            error
        };
        let error = fails("failing.example").await;
        assert!(matches!(&error, HelperFailed { status, .. } if status.code() == Some(3)));
        assert!(error.to_string().contains("docker-credential-test"));
        let error = fails("garbage.example").await;
        assert!(matches!(error, HelperAnswer { .. }));
        let error = fails("endless.example").await;
        assert!(matches!(error, HelperAnswer { .. }));
        let error = fails("unknown.example").await;
        assert!(matches!(error, HelperUnavailable { .. }));
    }

    #[tokio::test(start_paused = true)]
    #[ignore = "needs an environment"]
    async fn a_helper_is_late() {
        let config = DockerConfig::load().await.unwrap();
        // While only the helper works, the paused clock goes on to the end of its time.
        let begin = tokio::time::Instant::now();
        let error = config
            .credentials("sleeping.example", None)
            .await
            .unwrap_err();
        let error = error.downcast::<DockerConfigError>().unwrap();
        assert!(matches!(*error, DockerConfigError::HelperTimeout { .. }));
        assert_eq!(begin.elapsed().as_secs(), 30);
    }

    #[tokio::test]
    #[ignore = "needs an environment"]
    async fn a_helper_is_ended_with_its_future() {
        let pid_file = env::var("PID_FILE").unwrap();
        _ = fs::remove_file(&pid_file);
        let config = DockerConfig::load().await.unwrap();
        let asked = tokio::spawn(async move {
            let answer = config.credentials("sleeping.example", None).await;
            answer.is_ok()
        });
        let pid = loop {
            match fs::read_to_string(&pid_file) {
                Ok(pid) => break pid,
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            }
        };
        asked.abort();
        let process = format!("/proc/{}", pid.trim());
        for _ in 0..1_000 {
            if !Path::new(&process).exists() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        panic!("the helper still runs");
    }
}
