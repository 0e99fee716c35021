//! The registry that Docker wrote, as Debian packages it: `docker-registry`, which is distribution
//! 2.8.

use std::{
    fs,
    net::TcpListener,
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
};

use crate::client::Client;

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whom it lets in.
pub(crate) enum Login<'a> {
    Everybody,
    /// A user with a password.
    Basic(&'a str, &'a str),
    /// Whoever has a token.
    Token(&'a TokenServer),
}

/// Whose tokens it takes.
pub(crate) struct TokenServer {
    pub(crate) realm: String,
    pub(crate) service: String,
    pub(crate) issuer: String,
    /// In PEM form.
    pub(crate) certificate: String,
}

/// The registry with a storage of its own. Both end with this.
pub(crate) struct Distribution {
    pub(crate) address: String,
    _running: Child,
    folder: TempDir,
}

impl Distribution {
    /// Starts it; or nothing, if it is not installed and need not be.
    pub(crate) async fn start(login: Login<'_>) -> Option<Self> {
        Client::find("docker-registry")?;
        let folder = TempDir::new().unwrap();
        let auth = match login {
            Login::Everybody => String::new(),
            Login::Basic(user, password) => {
                Client::find("htpasswd")?;
                let file = folder.path().join("htpasswd");
                let create = ["-B", "-C", "4", "-b", "-c"];
                let mut htpasswd = Command::new("htpasswd");
                htpasswd.args(create).arg(&file).args([user, password]);
                let output = htpasswd.output().await.unwrap();
                assert!(output.status.success(), "{output:?}");
                format!(
                    "auth: {{htpasswd: {{realm: \"a realm, with a comma\", path: {}}}}}\n",
                    file.display()
                )
            }
            Login::Token(server) => {
                let file = folder.path().join("certificate");
                fs::write(&file, &server.certificate).unwrap();
                let TokenServer {
                    realm,
                    service,
                    issuer,
                    ..
                } = server;
                format!(
                    "auth: {{token: {{realm: \"{realm}\", service: \"{service}\", \
                     issuer: \"{issuer}\", rootcertbundle: {}}}}}\n",
                    file.display()
                )
            }
        };
        // Another program may take the port before it does.
        for _ in 0..5 {
            if let Some((address, running)) = Self::listen(&folder, &auth).await {
                return Some(Self {
                    address,
                    _running: running,
                    folder,
                });
            }
        }
        panic!("docker-registry does not start: {}", log(&folder));
    }

    async fn listen(folder: &TempDir, auth: &str) -> Option<(String, Child)> {
        let address = {
            let free = TcpListener::bind("127.0.0.1:0").unwrap();
            free.local_addr().unwrap().to_string()
        };
        let storage = folder.path().join("storage");
        let config = format!(
            "version: 0.1\n\
             log: {{level: error}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\n\
             http: {{addr: \"{address}\", secret: \"of the test\"}}\n\
             {auth}",
            storage.display()
        );
        let file = folder.path().join("config.yml");
        fs::write(&file, config).unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let mut running = Command::new("docker-registry")
            .arg("serve")
            .arg(&file)
            .env_clear()
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let begin = Instant::now();
        while begin.elapsed() < PATIENCE {
            if running.try_wait().unwrap().is_some() {
                return None;
            }
            if TcpStream::connect(&address).await.is_ok() {
                return Some((address, running));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        None
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it has said.
    pub(crate) fn log(&self) -> String {
        log(&self.folder)
    }
}

fn log(folder: &TempDir) -> String {
    let log: PathBuf = folder.path().join("log");
    fs::read_to_string(log).unwrap_or_default()
}
