//! The programs that keep credentials for Docker: they are told a server on their standard input,
//! and answer in JSON.

use std::{
    io,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use futures_util::future::join;
use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::Command,
    time::timeout,
};

use super::{Credentials, DockerConfigError};
use crate::text::Excerpt;

/// How long a helper may take: it may ask its user, or a server.
const LIMIT: Duration = Duration::from_secs(30);
const LARGEST_ANSWER: u64 = 1 << 20;

/// What helpers write when they fail because they have nothing.
const NOT_FOUND: &str = "credentials not found in native keychain";
/// The user name that says that the secret is an identity token.
const IDENTITY: &str = "<token>";

/// A credential helper: `docker-credential-NAME`.
pub(super) struct Helper {
    program: String,
}

/// The answer, with names in the case that Docker's own helpers use, and in that of others: Go does
/// not tell them apart.
#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Username", alias = "username", default)]
    username: String,
    #[serde(rename = "Secret", alias = "secret", default)]
    secret: String,
}

impl Helper {
    /// The helper with the name that a file gives. It must not lead to a program elsewhere.
    pub(super) fn named(name: &str) -> Result<Self, DockerConfigError> {
        let belongs = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        if name.is_empty() || !name.bytes().all(belongs) {
            return Err(DockerConfigError::InvalidHelper(Excerpt::of(name)));
        }
        let program = format!("docker-credential-{name}");
        Ok(Self { program })
    }

    /// What the helper has for a server. That it has nothing is no error.
    pub(super) async fn get(&self, server: &str) -> Result<Credentials, DockerConfigError> {
        let program = self.program.clone();
        match timeout(LIMIT, self.run(server)).await {
            Ok(result) => result,
            Err(_) => Err(DockerConfigError::HelperTimeout {
                program,
                limit: LIMIT,
            }),
        }
    }

    async fn run(&self, server: &str) -> Result<Credentials, DockerConfigError> {
        let program = || self.program.clone();
        let (answer, status) =
            self.converse(server)
                .await
                .map_err(|error| DockerConfigError::HelperUnavailable {
                    program: program(),
                    error,
                })?;
        match status {
            // It had not ended, because it said too much.
            None => Err(DockerConfigError::HelperAnswer { program: program() }),
            Some(status) if status.success() => {
                read(&answer).ok_or_else(|| DockerConfigError::HelperAnswer { program: program() })
            }
            Some(_) if String::from_utf8_lossy(&answer).contains(NOT_FOUND) => {
                Ok(Credentials::Anonymous)
            }
            Some(status) => Err(DockerConfigError::HelperFailed {
                program: program(),
                status,
            }),
        }
    }

    /// Says `server` to the program, and hears what it answers: all of it and how the program ended,
    /// or the beginning of too much. Who does not wait for that ends the program.
    async fn converse(&self, server: &str) -> io::Result<(Vec<u8>, Option<ExitStatus>)> {
        // What a helper says on its standard error may be a secret, and nobody reads it here.
        let mut child = Command::new(&self.program)
            .arg("get")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let say = async {
            if let Some(mut input) = input {
                // A helper that answers the same to everybody need not listen.
                _ = input.write_all(server.as_bytes()).await;
            }
        };
        let hear = async {
            let mut answer = Vec::new();
            if let Some(output) = output {
                let mut output = output.take(LARGEST_ANSWER + 1);
                output.read_to_end(&mut answer).await?;
            }
            io::Result::Ok(answer)
        };
        let ((), answer) = join(say, hear).await;
        let answer = answer?;
        if answer.len() as u64 > LARGEST_ANSWER {
            return Ok((answer, None));
        }
        let status = child.wait().await?;
        Ok((answer, Some(status)))
    }
}

fn read(answer: &[u8]) -> Option<Credentials> {
    // The text of the error may have a piece of the secret in it.
    let Answer { username, secret } = serde_json::from_slice(answer).ok()?;
    Some(match username.as_str() {
        IDENTITY => Credentials::IdentityToken(secret),
        "" if secret.is_empty() => Credentials::Anonymous,
        _ => Credentials::basic(username, secret),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // a test fails by panicking
mod tests {
    use super::*;

    #[test]
    fn a_helper_has_a_plain_name() {
        for name in ["ecr-login", "desktop.exe", "pass", "a_1"] {
            let helper = Helper::named(name).unwrap();
            assert_eq!(helper.program, format!("docker-credential-{name}"));
        }
        let long = "/".repeat(10_000);
        for name in [
            "", "/", "../x", "a/b", "a\\b", "a b", "a\0", "a;b", "é", &long,
        ] {
            let error = Helper::named(name).err().unwrap();
            assert!(
                matches!(error, DockerConfigError::InvalidHelper(_)),
                "{name}"
            );
            assert!(error.to_string().len() < 400);
        }
    }

    #[test]
    fn answers_are_a_password_a_token_or_nothing() {
        let token = || Credentials::IdentityToken("s".to_owned());
        for (answer, expected) in [
            (
                r#"{"ServerURL":"a","Username":"u","Secret":"s"}"#,
                Some(Credentials::basic("u", "s")),
            ),
            (
                r#"{"username":"u","secret":"s"}"#,
                Some(Credentials::basic("u", "s")),
            ),
            (r#"{"Username":"<token>","Secret":"s"}"#, Some(token())),
            (
                r#"{"Username":"","Secret":""}"#,
                Some(Credentials::Anonymous),
            ),
            ("{}", Some(Credentials::Anonymous)),
            ("", None),
            (r#"{"Username":5}"#, None),
            (r#"{"Username":"u","Secret":"s"} more"#, None),
        ] {
            assert_eq!(read(answer.as_bytes()), expected, "{answer}");
        }
    }
}
