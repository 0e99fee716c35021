use std::fs;

use tempfile::TempDir;

use super::*;

const PATH: &str = "/somewhere/config.json";

fn file(content: &str) -> ConfigFile {
    ConfigFile::parse(Path::new(PATH), content.as_bytes()).unwrap()
}

async fn find(content: &str, registry: &str, repository: &str) -> Credentials {
    try_find(content, registry, repository).await.unwrap()
}

async fn try_find(
    content: &str,
    registry: &str,
    repository: &str,
) -> Result<Credentials, DockerConfigError> {
    let config = DockerConfig {
        files: [file(content)].into(),
    };
    let repository = (!repository.is_empty()).then(|| repository.parse().unwrap());
    config.find(registry, repository.as_ref()).await
}

/// An entry whose user name is `user`.
fn entry(user: &str) -> String {
    format!(r#"{{"username":"{user}","password":"p"}}"#)
}

#[tokio::test]
async fn entries_are_written_in_many_ways() {
    let alice = || Credentials::basic("alice", "sesame");
    let identity = || Credentials::IdentityToken("i".to_owned());
    let registry_token = || Credentials::RegistryToken("r".to_owned());
    for (entry, expected) in [
        (r#"{"auth":"YWxpY2U6c2VzYW1l"}"#, alice()),
        // Broken lines, no padding, and the zeros of old Dockers.
        (r#"{"auth":"YWxpY2U6\nc2VzYW1l\r\n"}"#, alice()),
        (r#"{"auth":"YWxpY2U6c2VzYW1lAAA"}"#, alice()),
        (r#"{"auth":"YTo="}"#, Credentials::basic("a", "")),
        (r#"{"auth":"YTpiOmM"}"#, Credentials::basic("a", "b:c")),
        (r#"{"username":"alice","password":"sesame"}"#, alice()),
        (
            r#"{"auth":"","username":"alice","password":"sesame"}"#,
            alice(),
        ),
        (
            r#"{"auth":"YWxpY2U6c2VzYW1l","username":"bob","password":"x","email":"a@b"}"#,
            alice(),
        ),
        (r#"{"auth":"YTo=","identitytoken":"i"}"#, identity()),
        (r#"{"identitytoken":"i"}"#, identity()),
        (
            r#"{"registrytoken":"r","identitytoken":"i"}"#,
            registry_token(),
        ),
        (r#"{"registrytoken":"r","auth":null}"#, registry_token()),
        (r#"{}"#, Credentials::Anonymous),
        (r#"{"auth":""}"#, Credentials::Anonymous),
        (r#"null"#, Credentials::Anonymous),
    ] {
        let content = format!(r#"{{"auths":{{"a.example":{entry}}}}}"#);
        assert_eq!(find(&content, "a.example", "").await, expected, "{entry}");
    }
}

#[tokio::test]
async fn an_auth_that_makes_no_sense_is_an_error_without_its_text() {
    for auth in ["sesame", "c2VzYW1l", "c2VzYW1lOv8=", "!", "c2Vz YW1lOg"] {
        let content = format!(
            r#"{{"auths":{{"a.example":{{"auth":"{auth}"}},"b.example":{}}}}}"#,
            entry("bob")
        );
        if auth.contains(' ') {
            // White space is no part of base64.
            let sesame = Credentials::basic("sesame", "");
            assert_eq!(find(&content, "a.example", "").await, sesame);
            continue;
        }
        let error = try_find(&content, "a.example", "").await.unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(
            shown.contains("a.example") && shown.contains(PATH),
            "{shown}"
        );
        assert!(!shown.contains(auth), "{shown}");
        // Who asks for another registry does not learn of it.
        let bob = Credentials::basic("bob", "p");
        assert_eq!(find(&content, "b.example", "").await, bob);
    }
}

#[tokio::test]
async fn the_longest_namespace_counts() {
    let keys = [
        "r.example",
        "r.example/team",
        "r.example/team/app",
        "r.example:5000",
        "https://s.example/team",
        "docker.io/library",
        "https://index.docker.io/v1/",
    ];
    let entries = keys.map(|key| format!(r#""{key}":{}"#, entry(key)));
    let content = format!(
        r#"{{"auths":{{"r.example/team/web":{{}},{}}}}}"#,
        entries.join(",")
    );
    for (registry, repository, expected) in [
        ("r.example", "", "r.example"),
        ("R.Example", "", "r.example"),
        ("r.example", "other/app", "r.example"),
        ("r.example", "teams", "r.example"),
        ("r.example", "team", "r.example/team"),
        ("r.example", "team/api", "r.example/team"),
        ("r.example", "team/app", "r.example/team/app"),
        ("r.example", "team/app/x", "r.example/team/app"),
        // An empty entry says nothing.
        ("r.example", "team/web", "r.example/team"),
        ("r.example:5000", "team/app", "r.example:5000"),
        ("s.example", "other", "https://s.example/team"),
        (
            "registry-1.docker.io",
            "library/alpine",
            "docker.io/library",
        ),
        ("docker.io", "library/alpine", "docker.io/library"),
        (
            "registry-1.docker.io",
            "user/app",
            "https://index.docker.io/v1/",
        ),
        ("index.docker.io", "", "https://index.docker.io/v1/"),
    ] {
        let found = find(&content, registry, repository).await;
        let expected = Credentials::basic(expected, "p");
        assert_eq!(found, expected, "{registry} {repository}");
    }
    for registry in [
        "example",
        "x.r.example",
        "r.example:443",
        "s.example:5000",
        "",
    ] {
        let found = find(&content, registry, "team/app").await;
        assert_eq!(found, Credentials::Anonymous, "{registry}");
    }
}

#[tokio::test]
async fn the_first_file_with_credentials_counts() {
    let with_user = |registry: &str, user: &str| {
        file(&format!(r#"{{"auths":{{"{registry}":{}}}}}"#, entry(user)))
    };
    let config = DockerConfig {
        files: [
            file(r#"{"auths":{"a.example":{}}}"#),
            with_user("a.example", "second"),
            with_user("a.example/team", "third"),
            with_user("b.example", "fourth"),
        ]
        .into(),
    };
    let team = "team".parse().unwrap();
    let found = config.find("a.example", Some(&team)).await.unwrap();
    assert_eq!(found, Credentials::basic("second", "p"));
    let found = config.credentials("b.example", None).await.unwrap();
    assert_eq!(found, Credentials::basic("fourth", "p"));
    let found = config.find("c.example", None).await.unwrap();
    assert_eq!(found, Credentials::Anonymous);
}

#[tokio::test]
async fn a_helper_outside_the_path_is_not_run() {
    for content in [
        r#"{"credsStore":"../sesame"}"#,
        r#"{"credHelpers":{"a.example":"../sesame"}}"#,
        r#"{"credHelpers":{"https://A.example/v1/":"/sesame"},"auths":{"a.example":{"auth":"YTo="}}}"#,
    ] {
        let error = try_find(content, "a.example", "").await.unwrap_err();
        let is_refused = matches!(error, DockerConfigError::InvalidHelper(_));
        assert!(is_refused, "{content}: {error}");
    }
    // What has credentials here needs no store.
    let content = format!(
        r#"{{"credsStore":"../x","credHelpers":{{"b.example":"/"}},"auths":{{"a.example":{}}}}}"#,
        entry("alice")
    );
    let alice = Credentials::basic("alice", "p");
    assert_eq!(find(&content, "a.example", "").await, alice);
}

#[test]
fn what_others_write_into_the_file_does_no_harm() {
    for content in [
        "",
        " \n",
        "{}",
        r#"{"auths":null,"credHelpers":null,"credsStore":null}"#,
        r#"{"auths":{},"credHelpers":{},"credsStore":""}"#,
        r#"{"HttpHeaders":{"User-Agent":"x"},"detachKeys":"ctrl-e,e","proxies":{},"auths":{"":{}}}"#,
    ] {
        let file = file(content);
        assert!(file.auths.is_empty() && file.helpers.is_empty() && file.store.is_none());
    }
}

#[test]
fn a_file_that_is_no_configuration_is_an_error_without_its_text() {
    for content in [
        "sesame",
        r#""sesame""#,
        r#"{"auths":"sesame"}"#,
        r#"{"auths":{"a":"sesame"}}"#,
        r#"{"auths":{"a":{"auth":["sesame"]}}}"#,
        r#"{"auths":{"a":{"auth":"sesame"#,
        "{\"auths\":{}}\nsesame",
        &r#"{"auths":"#.repeat(1_000),
    ] {
        let error = ConfigFile::parse(Path::new(PATH), content.as_bytes())
            .err()
            .unwrap();
        let shown = with_sources(&error);
        assert!(shown.contains(PATH), "{shown}");
        assert!(!shown.contains("sesame"), "{shown}");
    }
    let content = "{\n\"auths\": 5 }";
    let error = ConfigFile::parse(Path::new(PATH), content.as_bytes())
        .err()
        .unwrap();
    let expected = "/somewhere/config.json is no Docker configuration: see line 2, column 10";
    assert_eq!(error.to_string(), expected);
}

/// All that a log could show of an error.
fn with_sources(error: &DockerConfigError) -> String {
    let mut shown = format!("{error} {error:?}");
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        shown += &format!(" {error} {error:?}");
        source = error.source();
    }
    shown
}

#[tokio::test]
async fn a_file_that_does_not_exist_has_no_credentials() {
    let folder = TempDir::new().unwrap();
    let exists = folder.path().join("file");
    fs::write(&exists, "{}").unwrap();
    for path in [folder.path().join("nothing"), exists.join("below/a/file")] {
        let config = DockerConfig::read(&path).await.unwrap();
        assert!(config.files.is_empty());
        let found = config.find("a.example", None).await.unwrap();
        assert_eq!(found, Credentials::Anonymous);
    }
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_an_error() {
    let folder = TempDir::new().unwrap();
    let error = DockerConfig::read(folder.path()).await.unwrap_err();
    assert!(
        matches!(error, DockerConfigError::Unreadable { .. }),
        "{error}"
    );

    let path = folder.path().join("config.json");
    let mut content = r#"{"auths":{"a.example":{"auth":"YTo="}}}"#.to_owned();
    content += &" ".repeat(usize::try_from(ConfigFile::LARGEST).unwrap() - content.len());
    fs::write(&path, &content).unwrap();
    let config = DockerConfig::read(&path).await.unwrap();
    let found = config.find("a.example", None).await.unwrap();
    assert_eq!(found, Credentials::basic("a", ""));

    fs::write(&path, content + " ").unwrap();
    let error = DockerConfig::read(&path).await.unwrap_err();
    assert!(
        matches!(error, DockerConfigError::TooLarge { .. }),
        "{error}"
    );
}

#[test]
fn debug_shows_no_secret() {
    let config = DockerConfig {
        files: [file(
            r#"{"auths":{"a.example":{"auth":"c2VzYW1lOnNlc2FtZQ=="}}}"#,
        )]
        .into(),
    };
    assert_eq!(format!("{config:?}"), format!("[{PATH:?}]"));
}
