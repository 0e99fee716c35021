//! Where the files are.

use std::path::PathBuf;

/// What says where the files of a user are.
pub(super) struct Variables<'a> {
    /// The value of a variable of the environment.
    pub(super) get: &'a dyn Fn(&str) -> Option<PathBuf>,
    pub(super) home: Option<PathBuf>,
    /// The number of the user, on systems that have one.
    pub(super) user: Option<u32>,
}

impl Variables<'_> {
    /// The files that may be there, in the order in which podman reads them.
    // containers-auth.json(5)
    pub(super) fn files(&self) -> Vec<PathBuf> {
        if let Some(file) = self.variable("REGISTRY_AUTH_FILE") {
            return vec![file];
        }
        let home = self.home.as_ref().filter(|it| !it.as_os_str().is_empty());
        let in_home = |folder: &str| home.map(|home| home.join(folder));
        let runtime = match (self.variable("XDG_RUNTIME_DIR"), self.user) {
            (Some(folder), _) => Some(folder.join("containers")),
            // What is of a user without a session, as root often is.
            (None, Some(user)) => Some(format!("/run/containers/{user}").into()),
            (None, None) => None,
        };
        let config = self.variable("XDG_CONFIG_HOME");
        let config = config.or_else(|| in_home(".config"));
        let docker = self.variable("DOCKER_CONFIG");
        let docker = docker.or_else(|| in_home(".docker"));
        let files = [
            runtime.map(|folder| folder.join("auth.json")),
            config.map(|folder| folder.join("containers/auth.json")),
            docker.map(|folder| folder.join("config.json")),
        ];
        files.into_iter().flatten().collect()
    }

    /// A variable that is set, and not to nothing.
    fn variable(&self, name: &str) -> Option<PathBuf> {
        (self.get)(name).filter(|value| !value.as_os_str().is_empty())
    }
}

/// The number of the user who runs this process.
pub(super) fn user() -> Option<u32> {
    #[cfg(target_os = "linux")]
    return std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").ok()?).into();
    #[cfg(not(target_os = "linux"))]
    return None;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(variables: &[(&str, &str)], home: Option<&str>, user: Option<u32>) -> Vec<String> {
        let variables = Variables {
            get: &|name| {
                let mut variables = variables.iter();
                let (_, value) = variables.find(|(other, _)| *other == name)?;
                Some(value.into())
            },
            home: home.map(PathBuf::from),
            user,
        };
        let files = variables.files().into_iter();
        files.map(|file| file.display().to_string()).collect()
    }

    #[test]
    fn files_are_read_in_the_order_of_podman() {
        let in_home = [
            "/home/a/.config/containers/auth.json",
            "/home/a/.docker/config.json",
        ];
        let elsewhere = [
            ("XDG_RUNTIME_DIR", "/run/user/7"),
            ("XDG_CONFIG_HOME", "/config"),
            ("DOCKER_CONFIG", "/docker"),
        ];
        let home = Some("/home/a");
        assert_eq!(files(&[], home, None), in_home);
        assert_eq!(files(&[], home, Some(7))[0], "/run/containers/7/auth.json");
        assert_eq!(files(&[], home, Some(7))[1..], in_home);
        assert_eq!(
            files(&elsewhere, home, Some(7)),
            [
                "/run/user/7/containers/auth.json",
                "/config/containers/auth.json",
                "/docker/config.json"
            ]
        );
        assert_eq!(files(&elsewhere, None, None), files(&elsewhere, home, None));
    }

    #[test]
    fn a_file_that_is_named_is_the_only_one() {
        let named = [("REGISTRY_AUTH_FILE", "x/y.json"), ("DOCKER_CONFIG", "/d")];
        assert_eq!(files(&named, Some("/home/a"), Some(7)), ["x/y.json"]);
    }

    #[test]
    fn a_variable_that_is_empty_is_not_set() {
        let empty = [
            "REGISTRY_AUTH_FILE",
            "XDG_RUNTIME_DIR",
            "XDG_CONFIG_HOME",
            "DOCKER_CONFIG",
        ];
        let empty = empty.map(|name| (name, ""));
        assert_eq!(
            files(&empty, Some("/h"), None),
            files(&[], Some("/h"), None)
        );
        assert!(files(&empty, Some(""), None).is_empty());
        assert!(files(&[], None, None).is_empty());
    }
}
